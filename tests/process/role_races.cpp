// tests/process/role_races.cpp: threads that go on calling while another one closes.
#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include "tests/process/role.hpp"

namespace role {
namespace {

/// A set with all roles in this process, two devices, a thread in every kind of call. All of them
/// call until their object says that it is closed.
class CloseRace {
 public:
  explicit CloseRace(const std::string& name) : name_(name) {}

  std::int32_t run(unsigned seed) {
    std::int32_t code = open();
    if (code != VDSET_OK) return code;
    start();
    std::mt19937 random(seed);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
    close(static_cast<unsigned>(random() % 3));
    for (std::thread& thread : threads_)
      thread.join();
    for (Sender& sender : senders_)
      if (sender.taken != sender.called.load()) return VDSET_E_UNEXPECTED;
    return VDSET_OK;
  }

 private:
  struct Sender {
    vdset_command command{};
    std::atomic<bool> under_way{false};
    std::uint64_t taken = 0;
    std::atomic<std::uint64_t> called{0};
  };

  std::int32_t open() {
    std::int32_t code = configure_alone(name_, 2, 512, 4, primary_, server_);
    if (code == VDSET_OK) code = vdset_set_open_in_secondary(name_.c_str(), nullptr, &secondary_);
    vdset_set* const clients[] = {primary_, secondary_};
    for (unsigned i = 0; i < 2 && code == VDSET_OK; ++i) {
      const std::string device = i == 0 ? name_ : name_ + ".1";
      code = vdset_server_open_device(server_, device.c_str(), &server_devices_[i]);
      if (code == VDSET_OK) code = vdset_set_open_device(clients[i], device.c_str(), &devices_[i]);
    }
    return code;
  }

  /// Calls until the object is closed, in a thread of its own.
  template <class Call>
  void go_on(Call call) {
    threads_.emplace_back([call] {
      while (call() != VDSET_E_NOTOPEN) {
      }
    });
  }

  void start() {
    go_on([this] { return vdset_server_run_completion_agent(server_); });
    for (unsigned i = 0; i < 2; ++i) {
      go_on([this, i] { return serve_one(devices_[i], i == 0 ? VDSET_INFINITE : 0); });
      go_on([this, i] { return send_one(server_devices_[i], senders_[i]); });
    }
    for (vdset_set* client : {primary_, secondary_}) {
      go_on([client] {
        vdset_config config{};
        config.struct_bytes = sizeof config;
        return vdset_set_get_configuration(client, VDSET_INFINITE, &config);
      });
      go_on([client] {
        vdset_device* none = nullptr;
        return vdset_set_open_device(client, "another", &none);
      });
      go_on([client] {
        vdset_abort_reason reason{};
        reason.struct_bytes = sizeof reason;
        return vdset_set_get_abort_reason(client, &reason);
      });
    }
    go_on([this] {
      void* buffer = nullptr;
      const std::int32_t code = vdset_server_allocate_buffer(server_, 512, 0, &buffer);
      return code == VDSET_OK ? vdset_server_free_buffer(server_, buffer, 512) : code;
    });
  }

  static std::int32_t serve_one(vdset_device* device, std::int64_t timeout_ns) {
    const vdset_command* command = nullptr;
    const std::int32_t code = vdset_device_get_command(device, timeout_ns, &command);
    if (code != VDSET_OK) return code;
    return vdset_device_complete_command(device, command, VDSET_SUCCESS, 0, 0);
  }

  static void note(vdset_command*, void* context) {
    Sender& sender = *static_cast<Sender*>(context);
    ++sender.called;
    sender.under_way.store(false);
  }

  static std::int32_t send_one(vdset_server_device* device, Sender& sender) {
    if (sender.under_way.load()) {
      std::this_thread::yield();
      return VDSET_OK;
    }
    sender.under_way.store(true);
    sender.command = {};
    sender.command.struct_bytes = sizeof sender.command;
    sender.command.code = VDSET_COMMAND_FLUSH;
    sender.command.completion = note;
    sender.command.context = &sender;
    const std::int32_t code = vdset_server_device_send_command(device, &sender.command);
    // Every answer but these two owes a callback.
    if (code != VDSET_E_INVALID && code != VDSET_E_NOTOPEN) ++sender.taken;
    return code;
  }

  void close(unsigned first) {
    for (unsigned i = 0; i < 3; ++i) {
      const unsigned which = (first + i) % 3;
      if (which == 0) vdset_set_close(primary_);
      if (which == 1) vdset_server_close(server_);
      if (which == 2) vdset_set_close(secondary_);
    }
  }

  std::string name_;
  vdset_set* primary_ = nullptr;
  vdset_set* secondary_ = nullptr;
  vdset_server* server_ = nullptr;
  vdset_device* devices_[2] = {};
  vdset_server_device* server_devices_[2] = {};
  Sender senders_[2];
  std::vector<std::thread> threads_;
};

/// closes N NAME seed=: N sets that are closed while threads are in every kind of call.
std::string closes(const Words& w) {
  for (std::int64_t i = 0; i < w.number(0); ++i) {
    const auto seed = static_cast<unsigned>(w.option_number("seed", 1) + i);
    const std::int32_t code = CloseRace(w.word(1)).run(seed);
    if (code != VDSET_OK) return refused(code) + " (round " + std::to_string(i) + ")";
  }
  return ok();
}

}  // namespace

void add_race_verbs(Verbs& verbs) {
  verbs.insert({{"closes", closes}});
}

}  // namespace role
