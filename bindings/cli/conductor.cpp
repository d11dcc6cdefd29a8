// conductor.cpp: starting the processes of a run, and the report; watching is in
// conductor_watch.cpp.
#include "conductor.hpp"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace cli {

namespace {
// The engine answers well within it, or dies; waiting in slices keeps an abort from being the only
// way out.
constexpr std::int64_t configuration_slice_ns = 1'000'000'000;
}  // namespace

Conductor::Conductor(const ConductorPlan& plan, const SignalGate& signals, ProgressDisplay& display)
    : plan_(plan),
      signals_(signals),
      display_(display),
      replacements_(plan.engine.devices_count, 0) {}

Conductor::~Conductor() {
  for (Child& child : children_)
    kill_child(child);
  for (Child& child : children_) {
    if (!child.is_reaped) reap_child(child);
  }
  for (std::thread& thread : threads_)
    thread.join();
  if (set_ != nullptr) vdset_set_close(set_);
}

RunReport Conductor::run() {
  started_at_ = std::chrono::steady_clock::now();
  try {
    create_set();
    start_engine();
    start_waiting_for_configuration();
    watch_until_over();
  } catch (const Failure& failure) {
    record(failure);
  }
  if (has_failed()) {
    wind_down();
    throw worst_failure();
  }
  return make_report();
}

void Conductor::create_set() {
  vdset_config wish = {};
  wish.struct_bytes = sizeof wish;
  wish.device_count = plan_.engine.devices_count;
  wish.features = VDSET_FEATURE_LIKE_PIPE;
  if (plan_.is_backup) wish.features |= VDSET_FEATURE_REQUEST_COMPLETE;
  vdset_set_options options = {};
  options.struct_bytes = sizeof options;
  options.handle_lifetime = VDSET_HANDLES_LEASE;
  options.on_secondary_death =
      plan_.hands_over ? VDSET_DEATH_HANDS_OVER : VDSET_DEATH_FAILS_COMMANDS;
  const std::string& name = plan_.engine.set_name;
  const std::int32_t result = vdset_set_create(name.c_str(), &wish, &options, &set_);
  if (result == VDSET_E_PROTOCOL) {
    fail(ExitCode::name_in_use, "the set's name is in use", name,
         "choose another with --name, or wait for the other to end");
  }
  // The name was judged with the options: what is left is the place where sets meet.
  if (result == VDSET_E_INVALID) {
    throw Failure(ExitCode::bad_input, fmt::format("cannot make the set: {}", vdset_last_error()));
  }
  if (result != VDSET_OK) fail_vdset(result, "cannot make the set", name);
}

void Conductor::start_engine() {
  ChildSpec spec;
  spec.command = plan_.engine_command;
  spec.role = "engine";
  spec.arguments = plan_.engine_extra;
  plan_.engine.put(spec.arguments);
  children_.push_back(start_child(std::move(spec)));
}

void Conductor::run_in_thread(const std::function<void()>& body) {
  {
    const std::lock_guard lock(mutex_);
    threads_running_ += 1;
  }
  threads_.emplace_back([this, body] {
    try {
      body();
    } catch (const Failure& failure) {
      record(failure);
    } catch (const std::exception& error) {
      record(Failure(ExitCode::internal, std::string("unexpected: vdset; ") + error.what()));
    }
    const std::lock_guard lock(mutex_);
    threads_running_ -= 1;
    bell_.ring();
  });
}

void Conductor::start_waiting_for_configuration() {
  run_in_thread([this] {
    vdset_config config = {};
    config.struct_bytes = sizeof config;
    std::int32_t result = VDSET_E_TIMEOUT;
    // The event loop watches the engine meanwhile; its death, or a failure, ends this wait by an
    // abort.
    while (result == VDSET_E_TIMEOUT) {
      result = vdset_set_get_configuration(set_, configuration_slice_ns, &config);
    }
    if (result != VDSET_OK) {
      fail_vdset(result, "cannot get the set's configuration", plan_.engine.set_name);
    }
    const std::lock_guard lock(mutex_);
    config_ = config;
    is_configured_ = true;
  });
}

void Conductor::start_devices() {
  has_started_devices_ = true;
  for (std::uint32_t i = 0; i < plan_.engine.devices_count; ++i)
    start_pair(i, false);
}

void Conductor::start_pair(std::uint32_t index, bool is_resumed) {
  if (!plan_.uses_workers) {
    if (plan_.uses_processes) {
      start_secondary(index, is_resumed, nullptr);
    } else {
      start_thread(index, Descriptor());
    }
    return;
  }
  // Each end lives in one process only, so that the other sees its end.
  SocketPair link = make_socket_pair();
  start_worker(index, is_resumed, link.second);
  link.second.reset();
  if (plan_.uses_processes) {
    start_secondary(index, is_resumed, &link.first);
  } else {
    start_thread(index, std::move(link.first));
  }
}

namespace {

/// A file that its dead writer had hardly begun is begun anew.
bool can_resume(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) == 0 && status.st_size >= device_header_bytes) return true;
  ::unlink(path.c_str());
  return false;
}

ChildSpec device_spec(const ConductorPlan& plan, std::uint32_t index, bool is_resumed) {
  ChildSpec spec;
  TapeOptions tape = plan.tapes[index];
  tape.is_resumed = is_resumed;
  tape.put(spec.arguments);
  spec.arguments.set("set", plan.engine.set_name).set("device", index);
  spec.arguments.set("hands_over", plan.hands_over ? 1 : 0);
  spec.device_index = static_cast<int>(index);
  return spec;
}

}  // namespace

void Conductor::start_worker(std::uint32_t index, bool is_resumed, const Descriptor& link) {
  ChildSpec spec = device_spec(plan_, index, is_resumed && can_resume(plan_.tapes[index].path));
  spec.command = "__worker";
  spec.role = "worker";
  spec.link_descriptor = link.number();
  children_.push_back(start_child(std::move(spec)));
}

void Conductor::start_secondary(std::uint32_t index, bool is_resumed, const Descriptor* link) {
  // With a worker the file is the worker's, and "resumed" only means that the device is opened
  // again.
  const bool resumes = is_resumed && (link != nullptr || can_resume(plan_.tapes[index].path));
  ChildSpec spec = device_spec(plan_, index, resumes);
  spec.command = "__secondary";
  spec.role = "secondary";
  spec.arguments.set("has_worker", link != nullptr ? 1 : 0);
  spec.arguments.set("is_reopened", is_resumed ? 1 : 0);
  spec.link_descriptor = link != nullptr ? link->number() : -1;
  children_.push_back(start_child(std::move(spec)));
}

void Conductor::start_thread(std::uint32_t index, Descriptor link) {
  run_in_thread([this, index, link_number = link.release()] {
    const Descriptor owned_link(link_number);
    DeviceTask task;
    task.device_name = device_name(plan_.engine.set_name, index);
    task.tape = plan_.tapes[index];
    task.link_descriptor = link_number;
    task.expects_complete = plan_.is_backup;
    vdset_device* device = open_device(set_, task);
    const Counts counts = serve_device(set_, device, task);
    const std::lock_guard lock(mutex_);
    thread_counts_.payload_bytes += counts.payload_bytes;
    thread_counts_.stored_bytes += counts.stored_bytes;
    thread_counts_.commands += counts.commands;
    thread_counts_.handles += counts.handles;
    thread_counts_.copied_bytes += counts.copied_bytes;
  });
}

RunReport Conductor::make_report() {
  RunReport report;
  const auto elapsed = std::chrono::steady_clock::now() - started_at_;
  report.seconds = std::chrono::duration<double>(elapsed).count();
  report.writers_go_on = writers_go_on_;
  report.replaced_count = replaced_count_;
  report.config = config_;
  report.database_bytes = total_bytes_;
  report.processes.push_back(
      {"primary", -1, static_cast<long>(::getpid()), thread_counts_, measure_memory()});
  report.handles = thread_counts_.handles;
  report.stored_bytes = thread_counts_.stored_bytes;
  report.copied_bytes = thread_counts_.copied_bytes;
  for (const Child& child : children_) {
    if (!child.done) continue;  // Was replaced.
    const ControlMessage& done = *child.done;
    report.processes.push_back({child.spec.role, child.spec.device_index,
                                static_cast<long>(child.pid), done.counts, done.memory});
    report.copied_bytes += done.counts.copied_bytes;
    if (child.spec.role == "engine") {
      report.commands = done.counts.commands;
      continue;
    }
    report.handles += done.counts.handles;
    report.stored_bytes += done.counts.stored_bytes;
  }
  return report;
}

}  // namespace cli
