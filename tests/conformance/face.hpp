// tests/conformance/face.hpp: the calls of the interface, once, so that each scenario runs through
// every face of the library: the C ABI, with completions called ("c") and pulled ("pull"), vdi.h
// with vdi_server.h ("vdi"), and the bindings of other languages ("rust=FILE", "go=FILE": a shared
// library, face_library.h). Results are the faces' own codes: all have VDI's numbers.
#pragma once
#include <vdset.h>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include "sqlvdi/vdi_server.h"

namespace conformance {

constexpr int ok = 0;
constexpr int infinite = -1;
/// Instead of a result: the face has no way to make the call (differences.cpp says why).
constexpr int cannot = 2;

/// What became of a command that the server sent. Filled by its completion routine.
struct Sent {
  Sent(int asked_code, int asked_size = 0, void* asked_buffer = nullptr, int64_t asked_position = 0)
      : code(asked_code),
        size(asked_size),
        position(asked_position),
        buffer(static_cast<uint8_t*>(asked_buffer)) {}
  Sent(const Sent&) = delete;
  Sent& operator=(const Sent&) = delete;

  /// Called by the faces, from the completion routine.
  void finish(int result, int count, int64_t where) {
    completion = result;
    bytes = count;
    out_position = where;
    thread = std::this_thread::get_id();
    if (then) then(*this);
    calls.fetch_add(1);
    calls.notify_all();
  }
  /// Until the completion routine was called; the watchdog ends what never comes.
  int wait() {
    for (int seen = calls.load(); seen == 0; seen = calls.load())
      calls.wait(0);
    return completion;
  }

  int code;
  int size;
  int64_t position;
  uint8_t* buffer;
  int completion = -1;
  int bytes = -1;
  int64_t out_position = -1;
  std::thread::id thread;
  std::atomic<int> calls{0};
  std::function<void(Sent&)> then;  // Runs inside the completion routine.
  vdset_command c = {};
  VDS_Command vdi = {};
};

/// A command as a client got it.
struct Fetched {
  int code = 0;
  int size = 0;
  int64_t position = 0;
  uint8_t* buffer = nullptr;
  const void* token = nullptr;  // What the face handed out.
};

struct Reason {
  unsigned role, pid, call;
  int code;
  std::string text;
};

class ClientDevice {
 public:
  virtual ~ClientDevice() = default;
  virtual int get(int64_t timeout_ms, Fetched& out) = 0;
  virtual int complete(const Fetched& command, int code, uint32_t bytes = 0,
                       int64_t position = 0) = 0;
};

class Client {
 public:
  virtual ~Client() = default;
  virtual int create(const std::string& name, const VDConfig& wish) = 0;
  virtual int open_in_secondary(const std::string& name) = 0;
  virtual int get_configuration(int64_t timeout_ms, VDConfig& out) = 0;
  /// `out` is owned by the client object, and null on failure.
  virtual int open_device(const std::string& name, ClientDevice*& out) = 0;
  virtual int signal_abort() = 0;
  virtual int abort_because(int code, const char* text) = 0;
  virtual int abort_reason(Reason& out) = 0;
  virtual int get_handle(const void* buffer, uint32_t& out) = 0;
  virtual int map_handle(uint32_t handle, uint8_t*& out) = 0;
  virtual int close() = 0;
};

class ServerDevice {
 public:
  virtual ~ServerDevice() = default;
  virtual int send(Sent& command) = 0;
  virtual int close() = 0;
};

class Server {
 public:
  virtual ~Server() = default;
  virtual int open(const std::string& name, uint64_t buffer_bytes_max = 0) = 0;
  virtual int get_configuration(VDConfig& out) = 0;
  virtual int begin(uint32_t features, uint32_t block, uint32_t alignment, uint32_t transfer) = 0;
  virtual int request(uint32_t size, uint32_t alignment, uint32_t count) = 0;
  virtual int query(uint32_t size, uint32_t alignment, uint32_t& count) = 0;
  virtual int end() = 0;
  virtual int open_device(const std::string& name, ServerDevice*& out) = 0;
  virtual int run_agent() = 0;
  virtual int allocate(uint8_t*& out, uint32_t size, uint32_t alignment = 0) = 0;
  virtual int free(uint8_t* buffer, uint32_t size) = 0;
  virtual int is_shared(const uint8_t* address) = 0;
  virtual int signal_abort() = 0;
  virtual int abort_because(int code, const char* text) = 0;
  virtual int abort_reason(Reason& out) = 0;
  virtual int close() = 0;
};

class Face {
 public:
  virtual ~Face() = default;
  virtual const char* name() const = 0;
  /// What make_face() takes.
  virtual const char* word() const { return name(); }
  /// The C ABI's codes, where those of vdi.h differ.
  virtual bool is_c() const = 0;
  /// Nobody may be in a call of an object that is closed: the language sees to it.
  virtual bool closes_alone() const { return false; }
  virtual std::unique_ptr<Client> client() = 0;
  virtual std::unique_ptr<Server> server() = 0;
  /// Devices that no OpenDevice gave: a null pointer, or a default-constructed object.
  virtual ClientDevice& stray_client_device() = 0;
  virtual ServerDevice& stray_server_device() = 0;
};

std::unique_ptr<Face> make_c_face(bool pulls);
std::unique_ptr<Face> make_vdi_face();
std::unique_ptr<Face> make_library_face(const std::string& word);
inline std::unique_ptr<Face> make_face(const std::string& name) {
  if (name.find('=') != std::string::npos) return make_library_face(name);
  return name == "vdi" ? make_vdi_face() : make_c_face(name == "pull");
}

}  // namespace conformance
