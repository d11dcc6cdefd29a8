// pipeline.cpp: two threads per device: one fetches commands and passes their handles on, one takes
// the worker's answers and completes. Neither polls: one sleeps in get_command, the other in recv.
#include "pipeline.hpp"

#include <fmt/core.h>
#include <sys/socket.h>

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "engine_set.hpp"
#include "failure.hpp"
#include "link.hpp"

namespace cli {

namespace {

class Pipeline {
 public:
  Pipeline(vdset_set* set, vdset_device* device, const DeviceTask& task)
      : set_(set), device_(device), task_(task) {}

  Counts run();

 private:
  void fetch_commands();
  void wait_for_room();
  void pass_on(const vdset_command& command);
  LinkRequest request_for(const vdset_command& command);
  void take_answers();
  bool take_answer();
  void complete(const vdset_command* command, const LinkAnswer& answer);
  [[noreturn]] void fail_lost() const;

  vdset_set* set_;
  vdset_device* device_;
  const DeviceTask& task_;
  Counts counts_;
  bool is_finished_ = false;  // Complete was answered with success; the answers' thread writes it.
  std::mutex mutex_;
  std::condition_variable room_;
  std::deque<const vdset_command*> under_way_;  // In the order asked, which is that of the answers.
  bool is_lost_ = false;
  std::int32_t failed_result_ = VDSET_OK;  // Of complete_command.
};

Counts Pipeline::run() {
  std::thread answers([this] { take_answers(); });
  try {
    fetch_commands();
  } catch (...) {
    ::shutdown(task_.link_descriptor, SHUT_RDWR);
    answers.join();
    throw;
  }
  // No more requests: the worker ends when it has answered all, and its end closes the link.
  ::shutdown(task_.link_descriptor, SHUT_WR);
  answers.join();
  if (!under_way_.empty()) fail_lost();
  if (task_.expects_complete && !is_finished_) fail_unfinished(task_.device_name);
  return counts_;
}

void Pipeline::fail_lost() const {
  throw Failure(
      ExitCode::aborted,
      fmt::format("lost its worker process: {}; look at why that one ended", task_.device_name),
      Cause::consequence);
}

void Pipeline::fetch_commands() {
  for (;;) {
    wait_for_room();
    const vdset_command* command = nullptr;
    const std::int32_t result = vdset_device_get_command(device_, VDSET_INFINITE, &command);
    if (result == VDSET_E_CLOSE) return;
    if (result == VDSET_E_INTERRUPTED) continue;  // By the answers' thread: wait_for_room says why.
    if (result != VDSET_OK) fail_vdset(result, "cannot fetch a command", task_.device_name);
    counts_.commands += 1;
    pass_on(*command);
  }
}

void Pipeline::wait_for_room() {
  std::unique_lock lock(mutex_);
  room_.wait(lock, [this] {
    return under_way_.size() < in_flight_max || is_lost_ || failed_result_ != VDSET_OK;
  });
  if (is_lost_) fail_lost();
  if (failed_result_ != VDSET_OK) {
    fail_vdset(failed_result_, "cannot complete a command", task_.device_name);
  }
}

LinkRequest Pipeline::request_for(const vdset_command& command) {
  LinkRequest request;
  if (command.code == VDSET_COMMAND_FLUSH) {
    request.operation = LinkOperation::sync;
    return request;
  }
  if (command.code == VDSET_COMMAND_COMPLETE) {
    request.operation = LinkOperation::finish;
    return request;
  }
  const bool is_write = command.code == VDSET_COMMAND_WRITE;
  request.operation = is_write ? LinkOperation::write : LinkOperation::read;
  request.size_bytes = static_cast<std::uint32_t>(command.size);
  request.is_redelivered = (command.flags & VDSET_COMMAND_REDELIVERED) != 0 ? 1 : 0;
  const std::int32_t result = vdset_set_get_buffer_handle(set_, command.buffer, &request.handle);
  if (result != VDSET_OK) fail_vdset(result, "cannot get a buffer's handle", task_.device_name);
  counts_.handles += 1;
  return request;
}

void Pipeline::pass_on(const vdset_command& command) {
  const bool is_ours = command.code == VDSET_COMMAND_WRITE || command.code == VDSET_COMMAND_READ ||
                       command.code == VDSET_COMMAND_FLUSH ||
                       command.code == VDSET_COMMAND_COMPLETE;
  if (!is_ours) {
    const bool is_clear = command.code == VDSET_COMMAND_CLEAR_ERROR;
    complete(&command, {is_clear ? VDSET_SUCCESS : VDSET_ERROR_NOT_SUPPORTED, 0});
    return;
  }
  const LinkRequest request = request_for(command);
  {
    const std::lock_guard lock(mutex_);
    under_way_.push_back(&command);
  }
  while (::send(task_.link_descriptor, &request, sizeof request, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) fail_lost();
  }
}

void Pipeline::take_answers() {
  while (take_answer()) {
  }
  {
    const std::lock_guard lock(mutex_);
    is_lost_ = true;
    room_.notify_all();
  }
  // The other thread may sleep in get_command. If it has ended already this changes nothing.
  vdset_device_interrupt(device_);
}

bool Pipeline::take_answer() {
  LinkAnswer answer;
  ssize_t got = -1;
  do {
    got = ::recv(task_.link_descriptor, &answer, sizeof answer, 0);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof answer)) return false;
  const vdset_command* command = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (under_way_.empty()) return false;  // An answer to nothing: not our worker's.
    command = under_way_.front();
    under_way_.pop_front();
  }
  if (command->code == VDSET_COMMAND_COMPLETE && answer.completion_code == VDSET_SUCCESS) {
    is_finished_ = true;
  }
  complete(command, answer);
  return true;
}

void Pipeline::complete(const vdset_command* command, const LinkAnswer& answer) {
  const std::int32_t result =
      vdset_device_complete_command(device_, command, answer.completion_code, answer.bytes, 0);
  const std::lock_guard lock(mutex_);
  if (result != VDSET_OK && failed_result_ == VDSET_OK) failed_result_ = result;
  room_.notify_all();
}

}  // namespace

Counts serve_through_worker(vdset_set* set, vdset_device* device, const DeviceTask& task) {
  Pipeline pipeline(set, device, task);
  return pipeline.run();
}

}  // namespace cli
