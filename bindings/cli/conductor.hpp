// conductor.hpp: the parent of a backup or restore: primary client of the set, parent of the
// engine, of the secondaries and of the workers. It starts them, watches them, blames the right
// one, and never hangs.
#pragma once
#include <vdset.h>

#include <chrono>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent.hpp"
#include "child.hpp"
#include "engine_set.hpp"
#include "events.hpp"
#include "progress.hpp"

namespace cli {

struct ConductorPlan {
  bool is_backup = false;
  EngineOptions engine;
  std::string engine_command;
  Arguments engine_extra;          // What only this kind of engine needs.
  std::vector<TapeOptions> tapes;  // One per device.
  bool uses_processes = false;     // One secondary per device; else a thread of this process.
  bool uses_workers = false;       // One worker per device.
  bool hands_over = false;         // A killed secondary or worker is replaced.
  std::function<void()> clean_up;  // Removes what was made; for an end without return.
};

/// One process of the finished run.
struct ProcessReport {
  std::string role;
  int device_index = -1;
  long pid = 0;
  Counts counts;
  MemoryUse memory;
};

struct RunReport {
  double seconds = 0.0;
  std::uint64_t database_bytes = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t commands = 0;
  std::uint64_t handles = 0;
  std::uint64_t copied_bytes = 0;  // By all processes.
  bool writers_go_on = false;
  std::uint32_t replaced_count = 0;
  vdset_config config = {};
  std::vector<ProcessReport> processes;
};

class Conductor {
 public:
  /// All three outlive it. `signals` is older than any thread, and stays when files are renamed.
  Conductor(const ConductorPlan& plan, const SignalGate& signals, ProgressDisplay& display);
  ~Conductor();
  Conductor(const Conductor&) = delete;
  Conductor& operator=(const Conductor&) = delete;

  /// Throws the Failure that began it all.
  RunReport run();

 private:
  // Starting.
  void create_set();
  void start_engine();
  void start_waiting_for_configuration();
  void start_devices();
  void start_worker(std::uint32_t index, bool is_resumed, const Descriptor& link);
  void start_secondary(std::uint32_t index, bool is_resumed, const Descriptor* link);
  void start_pair(std::uint32_t index, bool is_resumed);
  void start_thread(std::uint32_t index, Descriptor link);
  void run_in_thread(const std::function<void()>& body);
  // Watching.
  void watch_until_over();
  void watch_once(int timeout_ms);
  void read_messages(Child& child);
  void take_message(Child& child, const ControlMessage& message);
  void take_end(Child& child);
  void judge_pair(std::uint32_t index);
  bool is_over();
  bool has_failed();
  // Ending.
  void record(const Failure& failure);
  void abort_set(const Failure& failure);
  void wind_down();
  Failure worst_failure();
  RunReport make_report();

  const ConductorPlan& plan_;
  const SignalGate& signals_;
  ProgressDisplay& display_;
  Bell bell_;
  vdset_set* set_ = nullptr;
  std::deque<Child> children_;               // Stable addresses.
  std::vector<std::uint32_t> replacements_;  // Per device, how often its pair was replaced.
  std::uint64_t total_bytes_ = 0;
  bool writers_go_on_ = false;
  std::uint32_t replaced_count_ = 0;
  std::chrono::steady_clock::time_point started_at_;
  // Shared with the threads of this process.
  std::mutex mutex_;
  std::vector<Failure> failures_;
  std::vector<std::thread> threads_;
  std::uint32_t threads_running_ = 0;
  bool is_configured_ = false;
  bool has_started_devices_ = false;
  vdset_config config_ = {};
  Counts thread_counts_;
};

}  // namespace cli
