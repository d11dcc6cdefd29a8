// engine_set.hpp: the server role that backup and restore share: opening and configuring the set,
// its devices, its buffers, the completion agent's thread, and the one place where a failure stops
// everything.
#pragma once
#include <vdset.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "arguments.hpp"
#include "bytes.hpp"
#include "failure.hpp"

namespace cli {

/// Commands in flight per device; below the set's queue depth, so that the ring is never full.
inline constexpr std::uint32_t in_flight_max = 8;

/// The name of a device: the first has the set's.
std::string device_name(const std::string& set_name, std::uint32_t device_index);

/// One command and, for Read and Write, the buffer it travels with.
struct Slot {
  vdset_command command = {};
  std::uint8_t* buffer = nullptr;
  std::uint32_t device_index = 0;
  bool is_done = false;  // For the owner of the slot, under its own lock.
};

struct EngineOptions {
  std::string set_name;
  std::vector<std::string> device_names;  // Empty: device_name().
  Uuid backup;
  std::uint32_t devices_count = 0;
  std::uint32_t block_bytes = 0;
  std::uint32_t max_transfer_bytes = 0;
  std::uint32_t buffers_count = 0;
  /// When memory is short, so many buffers will do. 0: none but all.
  std::uint32_t buffers_min = 0;
  /// Opened already, and closed by whoever opened it. NULL: opened here, by set_name.
  vdset_server* server = nullptr;
  /// After a bad answer the devices are closed, and what is under way ends first; else the set is
  /// aborted.
  bool closes_in_order = false;
  bool offers_complete = true;  // False: no Complete, even to a client that asks for it.
  /// Called for every command that did not succeed. Must not throw.
  std::function<void(const Slot&)> on_bad_answer;

  /// Across processes: what is common to `vdset backup` and `vdset restore`.
  static EngineOptions from(const Arguments& arguments);
  void put(Arguments& arguments) const;
};

class EngineSet {
 public:
  /// Called when a command is final: in the completion agent's thread, or in the sender's when
  /// sending failed. Must not throw.
  using OnCompletion = std::function<void(Slot&)>;
  /// Called once when something failed, to wake every waiter. Must not throw.
  using OnStop = std::function<void()>;

  /// Opens, configures, opens all devices. `media_feature`: WRITE_MEDIA or READ_MEDIA. Throws
  /// Failure.
  EngineSet(const EngineOptions& options, std::uint32_t media_feature);
  ~EngineSet();
  EngineSet(const EngineSet&) = delete;
  EngineSet& operator=(const EngineSet&) = delete;

  /// Starts the completion agent. The hooks must outlive finish().
  void start(OnCompletion on_completion, OnStop on_stop);

  const EngineOptions& options() const { return options_; }
  bool sends_complete() const { return sends_complete_; }
  /// The client's, as it asked for them.
  std::uint32_t features() const { return features_; }
  /// One per buffer.
  std::vector<Slot>& slots() { return slots_; }

  /// Sends `slot`'s command. False when the set is stopped; the completion hook is called in any
  /// case. `position`: where a Read or Write stands in its device; disk-like clients are told.
  bool send(Slot& slot, std::uint32_t device_index, std::uint32_t code, std::uint32_t size_bytes,
            std::uint64_t position = 0);
  void close_device(std::uint32_t device_index);

  /// Records the first (and best explained) failure and aborts the set. Any thread.
  void stop(const Failure& failure);
  /// Records it and winds up as the options say. Any thread, the completion hook included.
  void stop_after_answer(const Slot& slot, const Failure& failure);
  bool is_stopped() const { return stopped_.load(); }

  /// Waits for the completion agent. Throws the failure, if there was one. All threads that send
  /// must have ended.
  void finish();

  std::uint64_t commands_count() const { return commands_count_.load(); }

 private:
  static void complete(vdset_command* command, void* context);
  void configure(std::uint32_t media_feature);
  void get_buffers();
  void make_slots();
  void open_devices();
  bool record(const Failure& failure);
  std::string name_of(std::uint32_t device_index) const;
  void run_agent();

  EngineOptions options_;
  vdset_server* server_ = nullptr;
  std::vector<vdset_server_device*> devices_;
  std::vector<Slot> slots_;
  std::uint32_t features_ = 0;
  bool sends_complete_ = false;
  OnCompletion on_completion_;
  OnStop on_stop_;
  std::thread agent_;
  std::mutex failure_mutex_;
  std::optional<Failure> failure_;
  std::atomic<bool> stopped_{false};
  std::atomic<std::uint64_t> commands_count_{0};
};

/// Runs `body` in a thread's place: an exception stops the set.
template <typename Body>
void run_guarded(EngineSet& set, Body body) {
  try {
    body();
  } catch (const Failure& failure) {
    set.stop(failure);
  } catch (const std::exception& error) {
    set.stop(Failure(ExitCode::internal, std::string("unexpected: engine; ") + error.what()));
  }
}

}  // namespace cli
