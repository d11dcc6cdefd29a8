// conductor_watch.cpp: watching the processes of a run, deciding what their ends mean, and ending
// in order.
#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "conductor.hpp"
#include "output.hpp"

namespace cli {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// After an abort every process ends by itself; the promise is that all is over within a second.
constexpr milliseconds grace_for_children{600};
constexpr milliseconds grace_for_threads{2000};
// Per device: a worker that always dies must not go on for ever.
constexpr std::uint32_t replacements_max = 8;

bool was_killed(const Child& child) {
  return child.is_reaped && child.wait_code != CLD_EXITED && !child.killed_by_us;
}

int milliseconds_until(steady_clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
  return std::max(0, static_cast<int>(left.count()));
}

Failure killed_failure(const Child& child) {
  const int signal = child.wait_status;
  const char* remedy = signal == SIGKILL
                           ? "look for who killed it (perhaps the kernel: dmesg), then run it again"
                           : "this is a bug: report it with this line";
  return Failure(ExitCode::aborted,
                 fmt::format("a process was killed by signal {} ({}): {}; {}", signal,
                             ::strsignal(signal), child.name(), remedy),
                 Cause::death);
}

}  // namespace

void Conductor::watch_until_over() {
  while (!has_failed() && !is_over()) {
    watch_once(display_.tick());
    bool starts_devices = false;
    {
      const std::lock_guard lock(mutex_);
      starts_devices = is_configured_ && !has_started_devices_;
    }
    if (starts_devices && !has_failed()) start_devices();
  }
}

bool Conductor::is_over() {
  const std::lock_guard lock(mutex_);
  if (!has_started_devices_ || threads_running_ > 0) return false;
  return std::all_of(children_.begin(), children_.end(),
                     [](const Child& child) { return child.is_reaped; });
}

bool Conductor::has_failed() {
  const std::lock_guard lock(mutex_);
  return !failures_.empty();
}

void Conductor::watch_once(int timeout_ms) {
  const Events events = wait_events(signals_, bell_, children_, timeout_ms);
  if (events.signal != 0) {
    record(
        Failure(ExitCode::aborted,
                fmt::format("stopped by signal {} ({}): vdset (pid {}); nothing was kept, run it "
                            "again",
                            events.signal, ::strsignal(events.signal), ::getpid()),
                Cause::death));
  }
  for (Child* child : events.with_message)
    read_messages(*child);
  for (Child* child : events.ended) {
    if (child->is_reaped) continue;  // With its partner, a moment ago.
    read_messages(*child);
    reap_child(*child);
    take_end(*child);
  }
}

void Conductor::read_messages(Child& child) {
  while (child.control.is_open()) {
    ControlMessage message;
    const ssize_t got = ::recv(child.control.number(), &message, sizeof message, MSG_DONTWAIT);
    if (got == static_cast<ssize_t>(sizeof message)) {
      message.text[sizeof message.text - 1] = '\0';
      take_message(child, message);
      continue;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    child.control.reset();  // Closed, which is no death yet: the pidfd tells.
  }
}

void Conductor::take_message(Child& child, const ControlMessage& message) {
  switch (message.kind) {
    case ControlKind::plan:
      total_bytes_ = message.count;
      writers_go_on_ = (message.flags & 1) != 0;
      display_.set_total(message.count);
      if (plan_.is_backup && !writers_go_on_) {
        display_.note(
            "the database has a rollback journal, not WAL: its writers wait until it is read");
      }
      break;
    case ControlKind::note: display_.note(message.text); break;
    case ControlKind::progress: display_.update(message.count); break;
    case ControlKind::done: child.done = message; break;
    case ControlKind::failure: {
      child.has_reported_failure = true;
      const auto cause = static_cast<Cause>(message.cause);
      // In a set that hands over, only its end tells whether it fell with its partner: see
      // judge_pair.
      child.reported.emplace(static_cast<ExitCode>(message.code), message.text, cause);
      const bool may_be_replaced = plan_.hands_over && child.spec.device_index >= 0;
      if (!may_be_replaced || cause != Cause::consequence) record(*child.reported);
      break;
    }
  }
}

void Conductor::take_end(Child& child) {
  if (child.killed_by_us && !plan_.hands_over) return;
  if (plan_.hands_over && child.spec.device_index >= 0) {
    judge_pair(static_cast<std::uint32_t>(child.spec.device_index));
    return;
  }
  if (was_killed(child)) {
    record(killed_failure(child));
  } else if (!child.has_reported_failure && (child.wait_status != 0 || !child.done)) {
    record(Failure(ExitCode::internal,
                   fmt::format("a process ended without a word (exit code {}): {}; this is a bug",
                               child.wait_status, child.name())));
  }
}

void Conductor::judge_pair(std::uint32_t index) {
  // The last generation of the device's processes: a secondary, and a worker if there is one.
  std::vector<Child*> pair;
  for (Child& child : children_) {
    if (child.spec.device_index == static_cast<int>(index) && !child.is_replaced) {
      pair.push_back(&child);
    }
  }
  const bool all_done = std::all_of(pair.begin(), pair.end(),
                                    [](const Child* child) { return child->done.has_value(); });
  if (all_done) return;
  const auto killed =
      std::find_if(pair.begin(), pair.end(), [](const Child* child) { return was_killed(*child); });
  const bool may_replace = !has_failed() && replacements_[index] < replacements_max;
  if (killed != pair.end() && may_replace) {
    display_.note(fmt::format("{} was killed by signal {}; starting a new one in its place",
                              (*killed)->name(), (*killed)->wait_status));
    for (Child* child : pair) {
      kill_child(*child);
      if (!child->is_reaped) reap_child(*child);
      child->is_replaced = true;
      child->done.reset();
    }
    replacements_[index] += 1;
    replaced_count_ += 1;
    start_pair(index, true);
    return;
  }
  if (killed != pair.end()) record(killed_failure(**killed));
  const bool all_ended =
      std::all_of(pair.begin(), pair.end(), [](const Child* child) { return child->is_reaped; });
  for (const Child* child : pair) {
    if (all_ended && child->reported) record(*child->reported);
  }
  if (all_ended && !has_failed()) {
    record(Failure(
        ExitCode::internal,
        fmt::format("a process ended without a word: {}; this is a bug", pair.front()->name())));
  }
}

void Conductor::record(const Failure& failure) {
  bool is_first = false;
  {
    const std::lock_guard lock(mutex_);
    is_first = failures_.empty();
    failures_.push_back(failure);
  }
  if (is_first) abort_set(failure);
  bell_.ring();
}

void Conductor::abort_set(const Failure& failure) {
  // At once, so that nobody does more work than it takes to notice.
  if (set_ == nullptr) return;
  vdset_set_signal_abort(set_, static_cast<std::int32_t>(failure.code()), failure.what());
}

void Conductor::wind_down() {
  const auto children_deadline = steady_clock::now() + grace_for_children;
  const auto all_ended = [this] {
    return std::all_of(children_.begin(), children_.end(),
                       [](const Child& child) { return child.is_reaped; });
  };
  while (!all_ended() && steady_clock::now() < children_deadline) {
    watch_once(milliseconds_until(children_deadline));
  }
  for (Child& child : children_) {
    if (child.is_reaped) continue;
    kill_child(child);
    reap_child(child);
    read_messages(child);
  }
  const auto threads_deadline = steady_clock::now() + grace_for_threads;
  const auto threads_running = [this] {
    const std::lock_guard lock(mutex_);
    return threads_running_ > 0;
  };
  while (threads_running() && steady_clock::now() < threads_deadline) {
    wait_events(signals_, bell_, children_, milliseconds_until(threads_deadline));
  }
  if (!threads_running()) return;
  // A thread hangs in the system (a dead network disk): go without it rather than wait for ever.
  const Failure failure = worst_failure();
  display_.end();
  std::fprintf(stderr, "vdset: %s\n", one_line(failure.what()).c_str());
  if (plan_.clean_up) plan_.clean_up();
  ::_exit(static_cast<int>(failure.code()));
}

Failure Conductor::worst_failure() {
  const std::lock_guard lock(mutex_);
  const auto worst =
      std::min_element(failures_.begin(), failures_.end(),
                       [](const Failure& a, const Failure& b) { return a.cause() < b.cause(); });
  if (worst->cause() != Cause::consequence || set_ == nullptr) return *worst;
  // Nobody we know of began it: perhaps the library knows who did.
  vdset_abort_reason reason = {};
  reason.struct_bytes = sizeof reason;
  if (vdset_set_get_abort_reason(set_, &reason) != VDSET_OK) return *worst;
  if (reason.code == VDSET_E_MEMORY) {
    return Failure(ExitCode::no_memory, fmt::format("a process had not enough for the set: {}; {}",
                                                    plan_.engine.set_name, reason.text));
  }
  const char* roles[] = {"unknown", "server", "primary", "secondary"};
  return Failure(worst->code(),
                 fmt::format("{} (the set's record: {} with pid {}: {})", worst->text(),
                             roles[std::min(reason.role, 3u)], reason.pid, reason.text));
}

}  // namespace cli
