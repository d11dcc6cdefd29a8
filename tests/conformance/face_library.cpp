// tests/conformance/face_library.cpp: the calls through a language's binding, whose face is a
// shared library (face_library.h) in this very process: addresses and threads are the same here and
// there.
#include "face_library.h"
#include <dlfcn.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>
#include "face.hpp"

namespace conformance {
namespace {

static_assert(cannot == FACE_CANNOT);

struct Calls {
#define FACE_CALL(name, result, parameters) result(*name) parameters = nullptr;
  FACE_CALLS(FACE_CALL)
#undef FACE_CALL
};

template <class Call>
void find(void* library, const char* name, Call& out) {
  out = reinterpret_cast<Call>(dlsym(library, name));
  if (out != nullptr) return;
  std::fprintf(stderr, "%s\n", dlerror());
  std::exit(2);
}

/// Loads a face; ends the process where it is not whole.
Calls load(const std::string& path) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::exit(2);
  }
  Calls calls;
#define FACE_CALL(name, result, parameters) find(library, "face_" #name, calls.name);
  FACE_CALLS(FACE_CALL)
#undef FACE_CALL
  return calls;
}

char* text(const std::string& words) {
  return const_cast<char*>(words.c_str());
}

int give(int result, const vdset_config& from, VDConfig& out) {
  if (result == ok) std::memcpy(&out, &from.device_count, sizeof out);
  return result;
}
int give(int result, const vdset_abort_reason& r, Reason& out) {
  if (result == ok) out = {r.role, r.pid, r.call, r.code, r.text};
  return result;
}

class LibraryClientDevice : public ClientDevice {
 public:
  LibraryClientDevice(const Calls& calls, void* client, uint64_t device)
      : calls_(calls), client_(client), device_(device) {}
  int get(int64_t timeout_ms, Fetched& out) override {
    if (client_ == nullptr) return cannot;
    face_command got = {};
    const int result = calls_.client_get(client_, device_, timeout_ms, &got);
    if (result == ok)
      out = {got.code, got.size, got.position, static_cast<uint8_t*>(got.buffer),
             reinterpret_cast<const void*>(got.token)};
    return result;
  }
  int complete(const Fetched& command, int code, uint32_t bytes, int64_t position) override {
    if (client_ == nullptr) return cannot;
    return calls_.client_complete(client_, device_, reinterpret_cast<uint64_t>(command.token), code,
                                  bytes, position);
  }

 private:
  const Calls& calls_;
  void* client_;
  uint64_t device_;
};

class LibraryClient : public Client {
 public:
  explicit LibraryClient(const Calls& calls) : calls_(calls), client_(calls.client_new()) {}
  ~LibraryClient() override { calls_.client_free(client_); }
  int create(const std::string& name, const VDConfig& wish) override {
    vdset_config config;
    config.struct_bytes = sizeof config;
    std::memcpy(&config.device_count, &wish, sizeof wish);
    return calls_.client_create(client_, text(name), &config);
  }
  int open_in_secondary(const std::string& name) override {
    return calls_.client_join(client_, text(name));
  }
  int get_configuration(int64_t timeout_ms, VDConfig& out) override {
    vdset_config config = {};
    return give(calls_.client_configuration(client_, timeout_ms, &config), config, out);
  }
  int open_device(const std::string& name, ClientDevice*& out) override {
    uint64_t opened = 0;
    out = nullptr;
    const int result = calls_.client_open_device(client_, text(name), &opened);
    if (result != ok) return result;
    devices_.push_back(std::make_unique<LibraryClientDevice>(calls_, client_, opened));
    out = devices_.back().get();
    return result;
  }
  int signal_abort() override { return calls_.client_abort(client_, 0, text("")); }
  int abort_because(int code, const char* why) override {
    return calls_.client_abort(client_, code, text(why));
  }
  int abort_reason(Reason& out) override {
    vdset_abort_reason reason = {};
    return give(calls_.client_reason(client_, &reason), reason, out);
  }
  int get_handle(const void* buffer, uint32_t& out) override {
    return calls_.client_get_handle(client_, const_cast<void*>(buffer), &out);
  }
  int map_handle(uint32_t handle, uint8_t*& out) override {
    void* mapped = nullptr;
    const int result = calls_.client_map_handle(client_, handle, &mapped);
    if (result == ok) out = static_cast<uint8_t*>(mapped);
    return result;
  }
  int close() override { return calls_.client_close(client_); }

 private:
  const Calls& calls_;
  void* client_;
  std::vector<std::unique_ptr<ClientDevice>> devices_;
};

void finish(void* sent, int32_t code, int32_t bytes, int64_t position) {
  static_cast<Sent*>(sent)->finish(code, bytes, position);
}

class LibraryServerDevice : public ServerDevice {
 public:
  LibraryServerDevice(const Calls& calls, void* server, uint64_t device)
      : calls_(calls), server_(server), device_(device) {}
  int send(Sent& sent) override {
    if (server_ == nullptr) return cannot;
    return calls_.server_send(server_, device_, &sent, sent.code, sent.size, sent.position,
                              sent.buffer);
  }
  int close() override {
    return server_ == nullptr ? cannot : calls_.server_close_device(server_, device_);
  }

 private:
  const Calls& calls_;
  void* server_;
  uint64_t device_;
};

class LibraryServer : public Server {
 public:
  explicit LibraryServer(const Calls& calls) : calls_(calls), server_(calls.server_new(finish)) {}
  ~LibraryServer() override { calls_.server_free(server_); }
  int open(const std::string& name, uint64_t buffer_bytes_max) override {
    return calls_.server_open(server_, text(name), buffer_bytes_max);
  }
  int get_configuration(VDConfig& out) override {
    vdset_config config = {};
    return give(calls_.server_configuration(server_, &config), config, out);
  }
  int begin(uint32_t features, uint32_t block, uint32_t alignment, uint32_t transfer) override {
    return calls_.server_begin(server_, features, block, alignment, transfer);
  }
  int request(uint32_t size, uint32_t alignment, uint32_t count) override {
    return calls_.server_request(server_, size, alignment, count);
  }
  int query(uint32_t size, uint32_t alignment, uint32_t& count) override {
    return calls_.server_query(server_, size, alignment, &count);
  }
  int end() override { return calls_.server_end(server_); }
  int open_device(const std::string& name, ServerDevice*& out) override {
    uint64_t opened = 0;
    out = nullptr;
    const int result = calls_.server_open_device(server_, text(name), &opened);
    if (result != ok) return result;
    devices_.push_back(std::make_unique<LibraryServerDevice>(calls_, server_, opened));
    out = devices_.back().get();
    return result;
  }
  int run_agent() override { return calls_.server_run_agent(server_); }
  int allocate(uint8_t*& out, uint32_t size, uint32_t alignment) override {
    void* allocated = nullptr;
    const int result = calls_.server_allocate(server_, size, alignment, &allocated);
    if (result == ok) out = static_cast<uint8_t*>(allocated);
    return result;
  }
  int free(uint8_t* buffer, uint32_t) override { return calls_.server_release(server_, buffer); }
  int is_shared(const uint8_t* address) override {
    return calls_.server_is_shared(server_, const_cast<uint8_t*>(address));
  }
  int signal_abort() override { return calls_.server_abort(server_, 0, text("")); }
  int abort_because(int code, const char* why) override {
    return calls_.server_abort(server_, code, text(why));
  }
  int abort_reason(Reason& out) override {
    vdset_abort_reason reason = {};
    return give(calls_.server_reason(server_, &reason), reason, out);
  }
  int close() override { return calls_.server_close(server_); }

 private:
  const Calls& calls_;
  void* server_;
  std::vector<std::unique_ptr<ServerDevice>> devices_;
};

class LibraryFace : public Face {
 public:
  explicit LibraryFace(const std::string& word)
      : word_(word),
        name_(word.substr(0, word.find('='))),
        calls_(load(word.substr(word.find('=') + 1))) {}
  const char* name() const override { return name_.c_str(); }
  const char* word() const override { return word_.c_str(); }
  bool is_c() const override { return true; }
  bool closes_alone() const override { return name_ == "rust"; }
  std::unique_ptr<Client> client() override { return std::make_unique<LibraryClient>(calls_); }
  std::unique_ptr<Server> server() override { return std::make_unique<LibraryServer>(calls_); }
  ClientDevice& stray_client_device() override { return client_device_; }
  ServerDevice& stray_server_device() override { return server_device_; }

 private:
  const std::string word_, name_;
  const Calls calls_;
  LibraryClientDevice client_device_{calls_, nullptr, 0};
  LibraryServerDevice server_device_{calls_, nullptr, 0};
};

}  // namespace

std::unique_ptr<Face> make_library_face(const std::string& word) {
  return std::make_unique<LibraryFace>(word);
}

}  // namespace conformance
