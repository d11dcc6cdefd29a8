// tests/conformance/face_c.cpp: the calls through vdset.h, once with completions that are called
// and once with completions that the agent's thread pulls. An object that was never opened or was
// closed is a null pointer.
#include <cstring>
#include <mutex>
#include <set>
#include <vector>
#include "face.hpp"

namespace conformance {
namespace {

constexpr int64_t ns(int64_t ms) {
  return ms < 0 ? VDSET_INFINITE : ms * 1'000'000;
}

vdset_config to_c(const VDConfig& from) {
  vdset_config to;
  to.struct_bytes = sizeof to;
  std::memcpy(&to.device_count, &from, sizeof from);
  return to;
}
void from_c(const vdset_config& from, VDConfig& to) {
  std::memcpy(&to, &from.device_count, sizeof to);
}

Reason from_c(const vdset_abort_reason& r) {
  return {r.role, r.pid, r.call, r.code, r.text};
}

class CClientDevice : public ClientDevice {
 public:
  explicit CClientDevice(vdset_device* device) : device_(device) {}
  int get(int64_t timeout_ms, Fetched& out) override {
    const vdset_command* got = nullptr;
    const int result = vdset_device_get_command(device_, ns(timeout_ms), &got);
    if (result == ok)
      out = {static_cast<int>(got->code), got->size, got->position,
             static_cast<uint8_t*>(got->buffer), got};
    return result;
  }
  int complete(const Fetched& command, int code, uint32_t bytes, int64_t position) override {
    return vdset_device_complete_command(device_, static_cast<const vdset_command*>(command.token),
                                         code, bytes, position);
  }

 private:
  vdset_device* device_;
};

class CClient : public Client {
 public:
  ~CClient() override { close(); }
  int create(const std::string& name, const VDConfig& wish) override {
    const vdset_config config = to_c(wish);
    vdset_set_options options = {};
    options.struct_bytes = sizeof options;
    options.handle_lifetime = VDSET_HANDLES_BUFFER;
    return keep(
        [&](vdset_set** out) { return vdset_set_create(name.c_str(), &config, &options, out); });
  }
  int open_in_secondary(const std::string& name) override {
    return keep(
        [&](vdset_set** out) { return vdset_set_open_in_secondary(name.c_str(), nullptr, out); });
  }
  int get_configuration(int64_t timeout_ms, VDConfig& out) override {
    vdset_config agreed;
    agreed.struct_bytes = sizeof agreed;
    const int result = vdset_set_get_configuration(set_, ns(timeout_ms), &agreed);
    if (result == ok) from_c(agreed, out);
    return result;
  }
  int open_device(const std::string& name, ClientDevice*& out) override {
    vdset_device* opened = nullptr;
    const int result = vdset_set_open_device(set_, name.c_str(), &opened);
    out = nullptr;
    if (opened == nullptr) return result;
    devices_.push_back(std::make_unique<CClientDevice>(opened));
    out = devices_.back().get();
    return result;
  }
  int signal_abort() override { return vdset_set_signal_abort(set_, 0, nullptr); }
  int abort_because(int code, const char* text) override {
    return vdset_set_signal_abort(set_, code, text);
  }
  int abort_reason(Reason& out) override {
    vdset_abort_reason reason;
    reason.struct_bytes = sizeof reason;
    const int result = vdset_set_get_abort_reason(set_, &reason);
    if (result == ok) out = from_c(reason);
    return result;
  }
  int get_handle(const void* buffer, uint32_t& out) override {
    return vdset_set_get_buffer_handle(set_, buffer, &out);
  }
  int map_handle(uint32_t handle, uint8_t*& out) override {
    void* mapped = nullptr;
    const int result = vdset_set_map_buffer_handle(set_, handle, &mapped);
    if (result == ok) out = static_cast<uint8_t*>(mapped);
    return result;
  }
  int close() override {
    vdset_set* const set = set_;
    set_ = nullptr;
    return vdset_set_close(set);
  }

 private:
  /// A second set beside the open one would be another object: closed again.
  template <class Make>
  int keep(Make make) {
    vdset_set* made = nullptr;
    const int result = make(&made);
    if (result == ok && set_ != nullptr)
      vdset_set_close(made);
    else if (result == ok)
      set_ = made;
    return result;
  }

  vdset_set* set_ = nullptr;
  std::vector<std::unique_ptr<ClientDevice>> devices_;
};

void completed(vdset_command* command, void* context) {
  static_cast<Sent*>(context)->finish(command->completion_code, command->bytes_transferred,
                                      command->out_position);
}

/// Commands sent without a completion: whoever learns that one is final finishes it.
class Pulled {
 public:
  void add(Sent& sent) {
    const std::lock_guard guard(lock_);
    sent_.insert(&sent);
  }
  void forget(Sent& sent) {
    const std::lock_guard guard(lock_);
    sent_.erase(&sent);
  }
  void finish(Sent& sent) {
    forget(sent);
    completed(&sent.c, &sent);
  }
  /// After Close: what was outstanding is the caller's again, with its code.
  void finish_all() {
    std::set<Sent*> left;
    {
      const std::lock_guard guard(lock_);
      left.swap(sent_);
    }
    for (Sent* sent : left)
      completed(&sent->c, sent);
  }

 private:
  std::mutex lock_;
  std::set<Sent*> sent_;
};

class CServerDevice : public ServerDevice {
 public:
  /// `pulled` null: completions are called.
  CServerDevice(vdset_server_device* device, Pulled* pulled) : device_(device), pulled_(pulled) {}
  int send(Sent& sent) override {
    sent.c = {};
    sent.c.struct_bytes = sizeof sent.c;
    sent.c.code = static_cast<uint32_t>(sent.code);
    sent.c.size = sent.size;
    sent.c.position = sent.position;
    sent.c.buffer = sent.buffer;
    sent.c.completion = pulled_ == nullptr ? completed : nullptr;
    sent.c.context = &sent;
    if (pulled_ == nullptr) return vdset_server_device_send_command(device_, &sent.c);
    pulled_->add(sent);
    const int result = vdset_server_device_send_command(device_, &sent.c);
    // The answer stands for the callback that is owed; these two owe none.
    const bool owed = result != ok && result != VDSET_E_INVALID && result != VDSET_E_NOTOPEN;
    if (owed)
      pulled_->finish(sent);
    else if (result != ok)
      pulled_->forget(sent);
    return result;
  }
  int close() override { return vdset_server_device_close(device_); }

 private:
  vdset_server_device* device_;
  Pulled* pulled_;
};

class CServer : public Server {
 public:
  explicit CServer(bool pulls) : pulls_(pulls) {}
  ~CServer() override { close(); }
  int open(const std::string& name, uint64_t buffer_bytes_max) override {
    vdset_join_options options = {};
    options.struct_bytes = sizeof options;
    options.area_bytes_max = buffer_bytes_max;
    vdset_server* opened = nullptr;
    const int result = vdset_server_open(name.c_str(), &options, &opened);
    if (result == ok && server_ != nullptr)
      vdset_server_close(opened);
    else if (result == ok)
      server_ = opened;
    return result;
  }
  int get_configuration(VDConfig& out) override {
    vdset_config wish;
    wish.struct_bytes = sizeof wish;
    const int result = vdset_server_get_configuration(server_, &wish);
    if (result == ok) from_c(wish, out);
    return result;
  }
  int begin(uint32_t features, uint32_t block, uint32_t alignment, uint32_t transfer) override {
    const vdset_base_configuration base = {sizeof base, features, block, alignment, transfer};
    return vdset_server_begin_configuration(server_, &base);
  }
  int request(uint32_t size, uint32_t alignment, uint32_t count) override {
    return vdset_server_request_buffers(server_, size, alignment, count);
  }
  int query(uint32_t size, uint32_t alignment, uint32_t& count) override {
    return vdset_server_query_available_buffers(server_, size, alignment, &count);
  }
  int end() override { return vdset_server_end_configuration(server_); }
  int open_device(const std::string& name, ServerDevice*& out) override {
    vdset_server_device* opened = nullptr;
    const int result = vdset_server_open_device(server_, name.c_str(), &opened);
    out = nullptr;
    if (opened == nullptr) return result;
    devices_.push_back(std::make_unique<CServerDevice>(opened, pulls_ ? &pulled_ : nullptr));
    out = devices_.back().get();
    return result;
  }
  int run_agent() override {
    if (!pulls_) return vdset_server_run_completion_agent(server_);
    vdset_server* const server = server_;
    for (bool first = true;; first = false) {
      vdset_command* command = nullptr;
      const int result = vdset_server_next_completion(server, VDSET_INFINITE, &command);
      if (result == VDSET_E_CLOSE) return ok;
      // Closed between two calls: the form that stays inside says ABORT.
      if (result == VDSET_E_NOTOPEN && !first) return VDSET_E_ABORT;
      if (result != ok) return result;
      pulled_.finish(*static_cast<Sent*>(command->context));
    }
  }
  int allocate(uint8_t*& out, uint32_t size, uint32_t alignment) override {
    void* allocated = nullptr;
    const int result = vdset_server_allocate_buffer(server_, size, alignment, &allocated);
    if (result == ok) out = static_cast<uint8_t*>(allocated);
    return result;
  }
  int free(uint8_t* buffer, uint32_t size) override {
    return vdset_server_free_buffer(server_, buffer, size);
  }
  int is_shared(const uint8_t* address) override {
    return vdset_server_is_shared_buffer(server_, address);
  }
  int signal_abort() override { return vdset_server_signal_abort(server_, 0, nullptr); }
  int abort_because(int code, const char* text) override {
    return vdset_server_signal_abort(server_, code, text);
  }
  int abort_reason(Reason& out) override {
    vdset_abort_reason reason;
    reason.struct_bytes = sizeof reason;
    const int result = vdset_server_get_abort_reason(server_, &reason);
    if (result == ok) out = from_c(reason);
    return result;
  }
  int close() override {
    const int result = vdset_server_close(server_);
    server_ = nullptr;  // After: an agent's thread still asks the open object.
    if (pulls_) pulled_.finish_all();
    return result;
  }

 private:
  const bool pulls_;
  Pulled pulled_;
  std::atomic<vdset_server*> server_ = nullptr;
  std::vector<std::unique_ptr<ServerDevice>> devices_;
};

class CFace : public Face {
 public:
  explicit CFace(bool pulls) : pulls_(pulls) {}
  const char* name() const override { return pulls_ ? "pull" : "c"; }
  bool is_c() const override { return true; }
  std::unique_ptr<Client> client() override { return std::make_unique<CClient>(); }
  std::unique_ptr<Server> server() override { return std::make_unique<CServer>(pulls_); }
  ClientDevice& stray_client_device() override { return client_device_; }
  ServerDevice& stray_server_device() override { return server_device_; }

 private:
  const bool pulls_;
  CClientDevice client_device_{nullptr};
  CServerDevice server_device_{nullptr, nullptr};
};

}  // namespace

std::unique_ptr<Face> make_c_face(bool pulls) {
  return std::make_unique<CFace>(pulls);
}

}  // namespace conformance
