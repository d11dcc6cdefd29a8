// agent.cpp: the command loop without a worker, and the secondary process.
#include "agent.hpp"

#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include "child.hpp"
#include "engine_set.hpp"
#include "failure.hpp"
#include "pipeline.hpp"
#include "roles.hpp"

namespace cli {

namespace {

// The server may see a death a moment after its parent does; until then the device counts as open.
constexpr int reopen_attempts_max = 200;
constexpr int reopen_wait_ms = 10;

TapeAnswer run_command(DeviceTape& tape, const vdset_command& command) {
  const auto size_bytes = static_cast<std::size_t>(command.size);
  auto* bytes = static_cast<std::uint8_t*>(command.buffer);
  switch (command.code) {
    case VDSET_COMMAND_WRITE:
      return tape.write({bytes, size_bytes}, (command.flags & VDSET_COMMAND_REDELIVERED) != 0);
    case VDSET_COMMAND_READ: return tape.read({bytes, size_bytes});
    case VDSET_COMMAND_FLUSH: return tape.sync();
    case VDSET_COMMAND_COMPLETE: return tape.finish();
    case VDSET_COMMAND_CLEAR_ERROR: return {VDSET_SUCCESS, 0};
    default: return {VDSET_ERROR_NOT_SUPPORTED, 0};
  }
}

Counts serve_alone(vdset_device* device, const DeviceTask& task) {
  DeviceTape tape(task.tape);
  Counts counts;
  for (;;) {
    const vdset_command* command = nullptr;
    std::int32_t result = vdset_device_get_command(device, VDSET_INFINITE, &command);
    if (result == VDSET_E_CLOSE) break;
    if (result != VDSET_OK) fail_vdset(result, "cannot fetch a command", task.device_name);
    counts.commands += 1;
    const TapeAnswer answer = run_command(tape, *command);
    result =
        vdset_device_complete_command(device, command, answer.completion_code, answer.bytes, 0);
    // The file's failure first: the server may have aborted the set because of it.
    if (tape.failure()) throw *tape.failure();
    if (result != VDSET_OK) fail_vdset(result, "cannot complete a command", task.device_name);
  }
  if (task.expects_complete && !tape.is_finished()) fail_unfinished(task.device_name);
  tape.put_counts(counts);
  return counts;
}

}  // namespace

void fail_unfinished(const std::string& device_name) {
  throw Failure(ExitCode::aborted,
                fmt::format("the server closed the device before all was written: {}; look for the "
                            "server's own message",
                            device_name),
                Cause::consequence);
}

Counts serve_device(vdset_set* set, vdset_device* device, const DeviceTask& task) {
  if (task.link_descriptor >= 0) return serve_through_worker(set, device, task);
  return serve_alone(device, task);
}

vdset_device* open_device(vdset_set* set, const DeviceTask& task) {
  vdset_device* device = nullptr;
  const int attempts_max = task.is_reopened ? reopen_attempts_max : 1;
  std::int32_t result = VDSET_OK;
  for (int attempt = 0; attempt < attempts_max; ++attempt) {
    result = vdset_set_open_device(set, task.device_name.c_str(), &device);
    if (result == VDSET_OK) return device;
    if (result != VDSET_E_BUSY && result != VDSET_E_PROTOCOL) break;
    if (attempt + 1 == attempts_max) break;
    // Ends early when the parent goes away.
    pollfd parent = {control_descriptor, 0, 0};
    if (::poll(&parent, 1, reopen_wait_ms) > 0) break;
  }
  fail_in_child(result, "cannot open the device", task.device_name);
}

JoinedSet::JoinedSet(const std::string& name) {
  vdset_join_options options = {};
  options.struct_bytes = sizeof options;
  const std::int32_t result = vdset_set_open_in_secondary(name.c_str(), &options, &set_);
  if (result != VDSET_OK) fail_in_child(result, "cannot join the set", name);
}

bool JoinedSet::is_aborted() const {
  vdset_abort_reason reason = {};
  reason.struct_bytes = sizeof reason;
  return vdset_set_get_abort_reason(set_, &reason) == VDSET_OK;
}

JoinedSet::~JoinedSet() {
  vdset_set_close(set_);
}

int run_secondary(const Arguments& arguments) {
  DeviceTask task;
  task.tape = TapeOptions::from(arguments);
  const std::string& set_name = arguments.text("set");
  task.device_name = device_name(set_name, arguments.number_32("device"));
  task.expects_complete = arguments.flag("is_backup");
  task.is_reopened = arguments.flag("is_reopened");
  task.link_descriptor = arguments.flag("has_worker") ? link_descriptor : -1;
  const bool hands_over = arguments.flag("hands_over");
  // The file is this process's only without a worker.
  const bool owns_file = task.tape.is_backup && task.link_descriptor < 0;
  begin_child("vdset-device", owns_file ? task.tape.path : "");
  return run_child_role(
      [&](ControlSender& control) {
        const JoinedSet set(set_name);
        try {
          vdset_device* device = open_device(set.get(), task);
          control.done(serve_device(set.get(), device, task));
        } catch (const Failure& failure) {
          if (!hands_over) throw;
          // Closing the set would fail the commands that were fetched; dying hands them over.
          if (set.is_aborted()) remove_own_file();
          control.failure(failure);
          ::_exit(static_cast<int>(failure.code()));
        }
      },
      hands_over);
}

}  // namespace cli
