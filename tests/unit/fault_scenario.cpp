// tests/unit/fault_scenario.cpp: see fault_scenario.hpp.
#include "tests/unit/fault_scenario.hpp"
#include <poll.h>
#include <cstring>
#include <mutex>
#include <thread>
#include "abi/include/vdset.h"
#include "tests/unit/system.hpp"

namespace vdset::unit {

void Report::append(char (&to)[900], const char* format, std::va_list arguments) {
  static std::mutex one_at_a_time;
  const std::lock_guard<std::mutex> guard(one_at_a_time);
  const std::size_t used = std::strlen(to);
  std::vsnprintf(to + used, sizeof to - used, format, arguments);
}

namespace {

constexpr const char* name = "faults";
constexpr const char* second = "second";
constexpr std::uint32_t small_bytes = 65536;
constexpr std::uint32_t large_bytes = 131072;  // The class that is added after the configuration.

class Life {
 public:
  Life(Report& report, bool with_secondary) : report_(report), secondary_(with_secondary) {}
  void run();

 private:
  struct Sent {
    Life* life;
    vdset_server_device* device;
    vdset_command command;
    bool accepted;
    int callbacks;
  };

  /// Runs a step; a failure must have a known code and words. Once more if told to.
  template <class F>
  std::int32_t step(const char* what, F f) {
    std::int32_t result = once(what, f);
    if (result != VDSET_OK && result != VDSET_E_ABORT && report_.retry) {
      result = once(what, f);
      if (result != VDSET_OK && result != VDSET_E_ABORT)
        report_.complain("%s fails twice for one fault: %s. ", what, vdset_last_error());
    }
    return result;
  }
  template <class F>
  std::int32_t once(const char* what, F f) {
    const std::int32_t result = f();
    if (result == VDSET_OK) return result;
    const char* const code = vdset_error_name(result);
    const char* const words = vdset_last_error();
    report_.note("%s: %s (%s); ", what, code, words);
    if (std::strcmp(code, "unknown") == 0) report_.complain("%s: code %d. ", what, result);
    if (*words == 0) report_.complain("%s: no words. ", what);
    if (report_.is_exhaustion && result != VDSET_E_ABORT && result != VDSET_E_MEMORY)
      report_.complain("%s: %s for want of descriptors, not MEMORY. ", what, code);
    return result;
  }

  void serve();
  bool configure(vdset_server* server);
  bool send(vdset_server* server, vdset_server_device* device, Sent& sent);
  static void completed(vdset_command* command, void* context);
  void help();
  void consume(vdset_set* set, const char* device_name);
  std::int32_t fetch(vdset_device* device, const vdset_command** out);
  std::int32_t run_agent(vdset_server* server);
  void check_reason(const char* who, std::int32_t result, const vdset_abort_reason& reason);
  void give_up(const char* why) { vdset_set_signal_abort(set_, VDSET_E_UNEXPECTED, why); }

  Report& report_;
  bool secondary_;
  vdset_set* set_ = nullptr;
  std::atomic<int> completed_by_client_{0};
  Sent sent_[2] = {};
};

/// Nobody died and nobody scribbled: a record that says so is wrong.
void Life::check_reason(const char* who, std::int32_t result, const vdset_abort_reason& reason) {
  if (result != VDSET_OK) return;
  if (reason.call == VDSET_CALL_POISONED || reason.call == VDSET_CALL_DIED ||
      reason.call == VDSET_CALL_SERVER_TIMEOUT || reason.call > VDSET_CALL_POISONED)
    report_.complain("%s: aborted by call %u: %s. ", who, reason.call, reason.text);
}

void Life::completed(vdset_command* command, void* context) {
  Sent& sent = *static_cast<Sent*>(context);
  if (command != &sent.command || ++sent.callbacks > 1)
    sent.life->report_.complain("a completion came twice or for another command. ");
  if (sent.accepted) vdset_server_device_close(sent.device);
}

bool Life::configure(vdset_server* server) {
  vdset_base_configuration base{};
  base.struct_bytes = sizeof base;
  base.features = VDSET_FEATURE_WRITE_MEDIA;
  base.block_bytes = 512;
  base.max_transfer_bytes = small_bytes;
  const bool configured =
      step("begin", [&] { return vdset_server_begin_configuration(server, &base); }) == VDSET_OK &&
      step("end", [&] {
        const std::int32_t asked = vdset_server_request_buffers(server, small_bytes, 0, 2);
        return asked != VDSET_OK ? asked : vdset_server_end_configuration(server);
      }) == VDSET_OK;
  if (!configured) return false;
  // More buffers than were asked for at first; without them the small ones have to do.
  const std::int32_t extended = step(
      "extend", [&] { return vdset_server_request_buffers(server, large_bytes, 0, 2); });
  return extended != VDSET_E_ABORT;
}

bool Life::send(vdset_server* server, vdset_server_device* device, Sent& sent) {
  void* buffer = nullptr;
  std::int32_t result = vdset_server_allocate_buffer(server, large_bytes, 0, &buffer);
  if (result != VDSET_OK)
    result = step("allocate",
                  [&] { return vdset_server_allocate_buffer(server, small_bytes, 0, &buffer); });
  if (result != VDSET_OK) return false;
  std::memset(buffer, 0x5a, small_bytes);
  sent.life = this;
  sent.device = device;
  sent.command.struct_bytes = sizeof sent.command;
  sent.command.code = VDSET_COMMAND_WRITE;
  sent.command.size = small_bytes;
  sent.command.buffer = buffer;
  sent.command.completion = completed;
  sent.command.context = &sent;
  sent.accepted = true;  // The completion may come before the call returns.
  const std::int32_t queued = vdset_server_device_send_command(device, &sent.command);
  if (queued != VDSET_OK) report_.note("send: %s; ", vdset_error_name(queued));
  sent.accepted = queued == VDSET_OK;
  return sent.accepted;
}

/// As an event loop, where it gets a descriptor. Looks once, then sleeps without an end.
template <class Look, class Arm>
std::int32_t in_a_loop(int descriptor, Look look, Arm arm) {
  for (pollfd p{descriptor, POLLIN, 0};; poll(&p, 1, -1)) {
    std::int32_t result = look();
    if (result != VDSET_E_TIMEOUT) return result;
    result = arm();
    if (result != VDSET_OK) return result;
  }
}

std::int32_t Life::fetch(vdset_device* device, const vdset_command** out) {
  int descriptor = -1;
  if (vdset_device_get_descriptor(device, &descriptor) != VDSET_OK)
    return vdset_device_get_command(device, VDSET_INFINITE, out);
  return in_a_loop(
      descriptor, [&] { return vdset_device_get_command(device, 0, out); },
      [&] { return vdset_device_arm(device); });
}

/// The server of one client in a call, that of two in a loop.
std::int32_t Life::run_agent(vdset_server* server) {
  int descriptor = -1;
  if (!secondary_ || vdset_server_get_descriptor(server, &descriptor) != VDSET_OK)
    return vdset_server_run_completion_agent(server);
  vdset_command* none = nullptr;
  const std::int32_t result = in_a_loop(
      descriptor, [&] { return vdset_server_next_completion(server, 0, &none); },
      [&] { return vdset_server_arm(server); });
  return result == VDSET_E_CLOSE ? VDSET_OK : result;
}

void Life::serve() {
  vdset_join_options options{};
  options.struct_bytes = sizeof options;
  options.directory = report_.directory;
  vdset_server* server = nullptr;
  if (step("server_open", [&] { return vdset_server_open(name, &options, &server); }) != VDSET_OK)
    return give_up("no server");
  bool fine = configure(server);
  vdset_server_device* devices[2] = {};
  const int count = secondary_ ? 2 : 1;
  for (int i = 0; i < count && fine; ++i)
    fine = step("name device", [&] {
             return vdset_server_open_device(server, i == 0 ? name : second, &devices[i]);
           }) == VDSET_OK;
  for (int i = 0; i < count && fine; ++i)
    fine = send(server, devices[i], sent_[i]);
  const auto agent = [&] { return run_agent(server); };
  if (fine) fine = once("agent", agent) == VDSET_OK;
  if (!fine) vdset_server_signal_abort(server, VDSET_E_UNEXPECTED, "the server gives up");
  vdset_abort_reason reason{};
  reason.struct_bytes = sizeof reason;
  if (!fine) check_reason("server", vdset_server_get_abort_reason(server, &reason), reason);
  const std::int32_t closed = vdset_server_close(server);
  if (closed != VDSET_OK && fine)
    report_.complain("server close: %s. ", vdset_error_name(closed));
}

/// Opens a device, does its one command, hears CLOSE.
void Life::consume(vdset_set* set, const char* device_name) {
  vdset_device* device = nullptr;
  const auto open = [&] { return vdset_set_open_device(set, device_name, &device); };
  if (step("open device", open) != VDSET_OK) return give_up("no device");
  const vdset_command* command = nullptr;
  if (step("fetch", [&] { return fetch(device, &command); }) != VDSET_OK)
    return give_up("no command");
  const auto* const bytes = static_cast<const unsigned char*>(command->buffer);
  if (command->size != small_bytes || bytes[0] != 0x5a || bytes[small_bytes - 1] != 0x5a)
    report_.complain("the buffer does not hold what was sent. ");
  void* mapped = nullptr;
  std::uint32_t handle = 0;
  if (vdset_set_get_buffer_handle(set, command->buffer, &handle) != VDSET_OK ||
      handle != command->buffer_handle ||
      vdset_set_map_buffer_handle(set, handle, &mapped) != VDSET_OK || mapped != command->buffer)
    report_.complain("the handle does not lead back to the buffer. ");
  if (step("complete", [&] {
        return vdset_device_complete_command(device, command, 0, small_bytes, 0);
      }) != VDSET_OK)
    return give_up("not completed");
  const std::int32_t end = vdset_device_get_command(device, VDSET_INFINITE, &command);
  if (end == VDSET_E_CLOSE)
    ++completed_by_client_;
  else
    report_.note("after the last: %s; ", vdset_error_name(end));
}

void Life::help() {
  vdset_join_options options{};
  options.struct_bytes = sizeof options;
  options.directory = report_.directory;
  vdset_set* own = nullptr;
  if (step("join", [&] { return vdset_set_open_in_secondary(name, &options, &own); }) != VDSET_OK)
    return give_up("no secondary");
  consume(own, second);
  vdset_set_close(own);
}

void Life::run() {
  vdset_config config{};
  config.struct_bytes = sizeof config;
  config.device_count = secondary_ ? 2 : 1;
  vdset_set_options options{};
  options.struct_bytes = sizeof options;
  options.directory = report_.directory;
  if (step("create", [&] { return vdset_set_create(name, &config, &options, &set_); }) != VDSET_OK)
    return;
  std::thread server([this] { serve(); });
  std::thread helper;
  vdset_config agreed{};
  agreed.struct_bytes = sizeof agreed;
  if (step("configuration", [&] {
        return vdset_set_get_configuration(set_, VDSET_INFINITE, &agreed);
      }) == VDSET_OK) {
    if (secondary_) helper = std::thread([this] { help(); });
    consume(set_, name);
  } else {
    give_up("no configuration");
  }
  if (helper.joinable()) helper.join();
  server.join();
  vdset_abort_reason reason{};
  reason.struct_bytes = sizeof reason;
  check_reason("primary", vdset_set_get_abort_reason(set_, &reason), reason);
  vdset_set_close(set_);
  for (const Sent& sent : sent_)
    if (sent.life != nullptr && sent.callbacks != 1)
      report_.complain("%d completions of one command. ", sent.callbacks);
  report_.finished = completed_by_client_ == (secondary_ ? 2 : 1);
}

}  // namespace

void run_life(Report& report, bool with_secondary) {
  Life life(report, with_secondary);
  life.run();
  if (report.harmless && (!report.finished || report.failed_steps != 0))
    report.complain("the library should have coped. ");
  if (report.failed_steps == 0 && !report.finished)
    report.complain("nothing failed, and yet it did not finish. ");
}

void check_name_is_free(Report& report) {
  vdset_config config{};
  config.struct_bytes = sizeof config;
  config.device_count = 1;
  vdset_set_options options{};
  options.struct_bytes = sizeof options;
  options.directory = report.directory;
  vdset_set* set = nullptr;
  if (vdset_set_create(name, &config, &options, &set) != VDSET_OK)
    report.complain("the name cannot be used again: %s. ", vdset_last_error());
  else
    vdset_set_close(set);
  if (!entries_of(report.directory).empty()) report.complain("nodes are left. ");
}

}  // namespace vdset::unit
