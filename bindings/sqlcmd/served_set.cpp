// served_set.cpp: opening, watching, explaining.
#include "served_set.hpp"

#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace sqlcmd {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto pause_first = std::chrono::milliseconds(1);
constexpr auto pause_max = std::chrono::milliseconds(100);
// What Windows says of a name that nobody has made; the real server logs the same.
constexpr std::uint32_t no_such_set = 0x80070002;

std::int32_t open_server(const std::string& name, vdset_server** out) {
  vdset_join_options join = {};
  join.struct_bytes = sizeof join;
  return vdset_server_open(name.c_str(), &join, out);
}

struct CodeText {
  std::int32_t code;
  const char* text;
};

const char* text_of_code(std::int32_t code) {
  if (code == VDSET_SUCCESS) return "fewer bytes than were given";
  static constexpr CodeText texts[] = {
      {VDSET_ERROR_INVALID_HANDLE, "no such handle"},
      {VDSET_ERROR_ARENA_TRASHED, "storage control blocks destroyed"},
      {VDSET_ERROR_BAD_ENVIRONMENT, "bad environment"},
      {VDSET_ERROR_WRITE_FAULT, "the device cannot be written to"},
      {VDSET_ERROR_READ_FAULT, "the device cannot be read from"},
      {VDSET_ERROR_HANDLE_EOF, "end of file"},
      {VDSET_ERROR_HANDLE_DISK_FULL, "the disk is full"},
      {VDSET_ERROR_NOT_SUPPORTED, "not supported"},
      {VDSET_ERROR_DISK_FULL, "no space is left on the device"},
      {VDSET_ERROR_OPERATION_ABORTED, "the operation was aborted"},
      {VDSET_ERROR_END_OF_MEDIA, "end of media"},
      {VDSET_ERROR_FILEMARK_DETECTED, "a file mark"},
      {VDSET_ERROR_NO_DATA_DETECTED, "no more data"},
      {VDSET_ERROR_IO_DEVICE, "an I/O error"},
      {VDSET_ERROR_EOM_OVERFLOW, "beyond the end of media"},
      {VDSET_ERROR_NO_SYSTEM_RESOURCES, "not enough resources"},
  };
  for (const CodeText& row : texts) {
    if (row.code == code) return row.text;
  }
  return "error not found";
}

struct CommandText {
  std::uint32_t command;
  const char* operation;  // As the log has it.
  const char* doing;
  std::int32_t number;
};

const CommandText& text_of_command(std::uint32_t command) {
  static constexpr CommandText texts[] = {
      {VDSET_COMMAND_WRITE, "BackupMedium::ReportIoError: write", "Write on", number::write_failed},
      {VDSET_COMMAND_READ, "BackupMedium::ReportIoError: read", "Read on", number::read_failed},
      {VDSET_COMMAND_FLUSH, "BackupVirtualDeviceFile::RequestDurableMedia: Flush", "Flushing",
       number::io_error},
      {VDSET_COMMAND_COMPLETE, "BackupVirtualDeviceFile::RequestDurableMedia: Complete",
       "Completing", number::io_error},
      {VDSET_COMMAND_CLEAR_ERROR, "BackupVirtualDeviceFile::ClearError:", "Clearing an error of",
       number::io_error},
      {VDSET_COMMAND_PREPARE_TO_FREEZE,
       "BackupVirtualDeviceFile::PrepareToFreeze:", "Preparing to freeze with", number::io_error},
      {VDSET_COMMAND_SNAPSHOT, "BackupVirtualDeviceFile::TakeSnapshot:", "The snapshot of",
       number::io_error},
      {VDSET_COMMAND_MOUNT_SNAPSHOT,
       "BackupVirtualDeviceFile::MountSnapshot:", "Mounting the snapshot of", number::io_error},
  };
  for (const CommandText& row : texts) {
    if (row.command == command) return row;
  }
  static constexpr CommandText other = {0, "BackupVirtualDeviceFile::SendCommand:", "A command to",
                                        number::io_error};
  return other;
}

bool is_after_effect(std::int32_t code) {
  return code == VDSET_ERROR_IO_DEVICE || code == VDSET_ERROR_OPERATION_ABORTED ||
         code == VDSET_ERROR_INVALID_HANDLE;
}

/// 18210: for the log, and for the session when no other number says it.
Message device_failure(const std::string& operation, const std::string& device,
                       const std::string& code, const char* text, std::uint32_t line) {
  return error_message(number::device_failure,
                       fmt::format("{} failure on backup device '{}'. Operating system error "
                                   "{}({}).",
                                   operation, device, code, text),
                       line);
}

sigset_t signals_to_watch() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP})
    sigaddset(&signals, signal);
  return signals;
}

std::string describe_abort(const vdset_abort_reason& reason) {
  static constexpr const char* roles[] = {"a process", "the server", "the client",
                                          "a secondary client"};
  static constexpr const char* calls[] = {"ended the set",
                                          "asked for an abort",
                                          "closed with devices open",
                                          "died",
                                          "left",
                                          "let no command complete in time",
                                          "damaged shared memory"};
  const char* role = roles[reason.role < 4 ? reason.role : 0];
  const char* call = calls[reason.call < 7 ? reason.call : 0];
  std::string text = fmt::format("{} (process {}) {}", role, reason.pid, call);
  if (reason.code != 0) text += fmt::format(", code {}", reason.code);
  if (reason.text[0] != '\0') text += fmt::format(": {}", reason.text);
  return text;
}

}  // namespace

ServedSet::ServedSet(const Request& request, std::int32_t timeout_s, Console& console) {
  const std::string& name = request.devices.front();
  const auto deadline = Clock::now() + std::chrono::seconds(timeout_s);
  auto pause = pause_first;
  std::int32_t result = open_server(name, &server_);
  // Clients make their set first, so at once is the rule. The directory where sets meet may not
  // even be there yet, and which one it will be is the library's business: so no inotify.
  while (result == VDSET_E_INVALID && Clock::now() < deadline) {
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, pause_max);
    result = open_server(name, &server_);
  }
  if (result == VDSET_OK) return;
  const std::string code = result == VDSET_E_INVALID
                               ? fmt::format("{:#x}", no_such_set)
                               : fmt::format("{:#x}", static_cast<std::uint32_t>(result));
  const std::string words = vdset_last_error();
  const Message failure = device_failure("BackupVirtualDeviceSet::Initialize: Open", name, code,
                                         words.c_str(), request.line);
  console.log(failure);
  console.say(failure);
  throw Refusal(number::cannot_open_device,
                fmt::format("Cannot open backup device '{}'. Operating system error {}({}).", name,
                            code, words));
}

ServedSet::~ServedSet() {
  if (is_watching_ && watch_.joinable()) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(watch_end_, &one, sizeof one);
    watch_.join();
    ::close(watch_end_);
  }
  vdset_server_close(server_);
}

HeldSignals::HeldSignals() {
  const sigset_t signals = signals_to_watch();
  ::pthread_sigmask(SIG_BLOCK, &signals, &before_);
}

HeldSignals::~HeldSignals() {
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

cli::EngineOptions ServedSet::engine_options(const Request& request) {
  vdset_config wish = {};
  wish.struct_bytes = sizeof wish;
  const std::int32_t result = vdset_server_get_configuration(server_, &wish);
  if (result != VDSET_OK) cli::fail_vdset(result, "cannot read the wish", request.devices.front());
  const auto devices_count = static_cast<std::uint32_t>(request.devices.size());
  if (wish.device_count != devices_count) {
    throw Refusal(number::unusable_devices,
                  fmt::format("The client of '{}' wants {} devices, the statement names {}.",
                              request.devices.front(), wish.device_count, devices_count));
  }
  cli::EngineOptions options;
  options.set_name = request.devices.front();
  options.backup = cli::random_uuid();
  options.devices_count = devices_count;
  options.block_bytes = request.block_bytes;
  options.max_transfer_bytes = request.max_transfer_bytes;
  options.buffers_count = request.buffers_wanted();
  options.buffers_min = request.buffers_count > 0 ? 0 : devices_count * 2 + 1;
  options.device_names = request.devices;
  options.server = server_;
  options.closes_in_order = true;
  options.on_bad_answer = [this, &request](const cli::Slot& slot) {
    const std::lock_guard lock(mutex_);
    // What the library answers for a device that has failed says less than what made it fail, and
    // may come first: sending to it is refused at once.
    if (bad_answer_ && !is_after_effect(bad_answer_->code)) return;
    if (bad_answer_ && is_after_effect(slot.command.completion_code)) return;
    bad_answer_ = {request.devices[slot.device_index], slot.command.code,
                   slot.command.completion_code};
  };
  return options;
}

void ServedSet::abort(const std::string& why) {
  vdset_server_signal_abort(server_, VDSET_ERROR_OPERATION_ABORTED, why.c_str());
}

void ServedSet::give_up(const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    if (bad_answer_) return;
  }
  abort(why);
}

void ServedSet::watch(std::int32_t timeout_s) {
  watch_end_ = ::eventfd(0, EFD_CLOEXEC);
  if (watch_end_ < 0) return;
  is_watching_ = true;
  watch_ = std::thread([this, timeout_s] { run_watch(timeout_s); });
}

void ServedSet::run_watch(std::int32_t timeout_s) {
  const sigset_t signals = signals_to_watch();
  const int signal_descriptor = ::signalfd(-1, &signals, SFD_CLOEXEC);
  pollfd watched[2] = {{watch_end_, POLLIN, 0}, {signal_descriptor, POLLIN, 0}};
  const auto deadline = Clock::now() + std::chrono::seconds(timeout_s);
  int ready = 0;
  do {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    const int wait_ms =
        timeout_s == 0 ? -1 : static_cast<int>(std::max<std::int64_t>(left.count(), 0));
    ready = ::poll(watched, 2, wait_ms);
  } while (ready < 0 && errno == EINTR);
  // The signal itself stays pending (HeldSignals).
  if (signal_descriptor >= 0) ::close(signal_descriptor);
  if (watched[0].revents != 0) return;
  const bool is_signal = watched[1].revents != 0;
  {
    const std::lock_guard lock(mutex_);
    stopped_by_ = is_signal ? "a signal asked this program to end" : "the query's time is up (-t)";
  }
  abort(is_signal ? "the server was asked to end by a signal" : "the query's time is up");
}

void ServedSet::explain(const Request& request, const cli::Failure& failure, Console& console) {
  std::optional<BadAnswer> answer;
  std::string stopped_by;
  {
    const std::lock_guard lock(mutex_);
    answer = bad_answer_;
    stopped_by = stopped_by_;
  }
  if (!stopped_by.empty()) {
    console.say(error_message(number::aborted, "Stopped: " + stopped_by + ".", request.line));
    return;
  }
  // A client that answers with an error often aborts as well: the error says more, unless it is one
  // that the abort, or another answer, brings about.
  const bool says_why = answer && !is_after_effect(answer->code);
  if (!says_why && explain_abort(request, console)) return;
  if (answer) {
    explain_answer(request, *answer, console);
    return;
  }
  if (failure.code() == cli::ExitCode::no_memory) {
    const Message no_buffers =
        device_failure("BackupVirtualDeviceSet::AllocateBuffer:", request.devices.front(),
                       fmt::format("{:#x}", static_cast<std::uint32_t>(VDSET_E_MEMORY)),
                       "not enough memory", request.line);
    console.log(no_buffers);
    console.say(no_buffers);
  }
  console.say(
      error_message(number_of_failure(request, failure), failure.text() + ".", request.line));
}

void ServedSet::explain_answer(const Request& request, const BadAnswer& answer, Console& console) {
  const CommandText& command = text_of_command(answer.command);
  const char* text = text_of_code(answer.code);
  console.log(device_failure(command.operation, answer.device, std::to_string(answer.code), text,
                             request.line));
  const bool is_abort = answer.code == VDSET_ERROR_OPERATION_ABORTED;
  console.say(error_message(
      is_abort ? number::io_error : command.number,
      fmt::format("{} '{}' failed: {}({}).", command.doing, answer.device, answer.code, text),
      request.line));
}

/// True when somebody else has ended the set.
bool ServedSet::explain_abort(const Request& request, Console& console) {
  vdset_abort_reason reason = {};
  reason.struct_bytes = sizeof reason;
  if (vdset_server_get_abort_reason(server_, &reason) != VDSET_OK) return false;
  const bool is_ours = reason.role == 1 && reason.call != VDSET_CALL_SERVER_TIMEOUT;
  if (is_ours) return false;
  const char* text = text_of_code(VDSET_ERROR_OPERATION_ABORTED);
  const std::string& device = request.devices.front();
  console.log(device_failure(
      text_of_command(request.is_backup() ? VDSET_COMMAND_WRITE : VDSET_COMMAND_READ).operation,
      device, std::to_string(VDSET_ERROR_OPERATION_ABORTED), text, request.line));
  console.say(error_message(
      number::io_error,
      fmt::format("An I/O error on '{}' that cannot be recovered from: {}({}). {}.", device,
                  VDSET_ERROR_OPERATION_ABORTED, text, describe_abort(reason)),
      request.line));
  return true;
}

std::int32_t number_of_failure(const Request& request, const cli::Failure& failure) {
  const bool reads = !request.is_backup();
  // How the stream's reader words an end that comes too early, and bytes that are no stream.
  const bool ends_early = failure.text().find("ends before its trailer") != std::string::npos ||
                          failure.text().starts_with("a Read brought nothing");
  if (reads && ends_early) return number::unexpected_end;
  if (reads && failure.text().starts_with("no block here")) return number::not_our_format;
  switch (failure.code()) {
    case cli::ExitCode::damaged: return reads ? number::bad_family : number::database_unusable;
    case cli::ExitCode::in_use: return reads ? number::in_use : number::database_unusable;
    case cli::ExitCode::no_memory: return number::unusable_devices;
    case cli::ExitCode::internal: return number::internal;
    case cli::ExitCode::aborted: return number::aborted;
    default: return number::database_unusable;
  }
}

void reject_set(const Request& request, const std::string& why) {
  vdset_server* server = nullptr;
  if (request.devices.empty()) return;
  if (open_server(request.devices.front(), &server) != VDSET_OK) return;
  vdset_server_signal_abort(server, VDSET_E_NOTSUPPORTED, why.c_str());
  vdset_server_close(server);
}

}  // namespace sqlcmd
