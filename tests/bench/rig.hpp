// tests/bench/rig.hpp: a set whose server is this process and whose client is a child.
#pragma once
#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>
#include "bench.hpp"
#include "vdset.h"

namespace bench {

/// The least that hands buffers over in order.
struct Counters {
  Line handed;
  Line taken;
};

struct RigPlan {
  int devices = 1;
  int queue_depth = 16;
  int buffers = 1;
  std::uint32_t buffer_bytes = 512;
  bool client_polls = false;  // Asks again and again instead of waiting inside the call.
  bool client_reads = false;  // Adds up every word of a buffer before it completes the command.
  bool thread_each = false;   // A thread of the client for each device, as is VDI's custom.
  Placement placement;
  // Of a memory file with Counters: a command with a position is then a call to take so many
  // buffers by these alone, the first being the command's.
  int counters = -1;
};

/// Ready for commands when constructed; the normal end when destroyed.
class Rig {
 public:
  explicit Rig(const RigPlan& plan);
  ~Rig();
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  vdset_server* server() const { return server_; }
  Child& client() { return *child_; }
  int devices() const { return static_cast<int>(devices_.size()); }
  /// The next free command, on the device that it belongs to: buffer i is of device i % devices.
  void send() {
    vdset_command* const command = free_.back();
    free_.pop_back();
    must(vdset_server_device_send_command(
             static_cast<vdset_server_device*>(command->context), command),
         "send_command");
  }
  /// The command of the first buffer, with this position. None may be under way.
  void send_first(std::int64_t position) {
    commands_.front().position = position;
    std::iter_swap(std::find(free_.begin(), free_.end(), &commands_.front()), free_.end() - 1);
    send();
  }
  void receive() {
    vdset_command* done = nullptr;
    if (polls_) {
      std::int32_t result;  // No pause: a look is a call, and as long as one.
      while ((result = vdset_server_next_completion(server_, 0, &done)) == VDSET_E_TIMEOUT) {}
      must(result, "next_completion");
    } else {
      must(vdset_server_next_completion(server_, VDSET_INFINITE, &done), "next_completion");
    }
    if (done->completion_code != VDSET_SUCCESS) die("a command failed");
    done->position = 0;
    free_.push_back(done);
  }

 private:
  void configure(const RigPlan& plan);

  bool polls_;
  std::string name_;
  std::unique_ptr<Child> child_;
  vdset_server* server_ = nullptr;
  std::vector<vdset_server_device*> devices_;
  std::deque<vdset_command> commands_;
  std::vector<vdset_command*> free_;
  std::unique_ptr<Hot> hot_;
};

/// A set whose client has a thread asleep in GetCommand for each device, and whose server waits for
/// completions.
class WaitingSet {
 public:
  explicit WaitingSet(int devices);
  Child& client() { return child_; }
  /// Aborts the set; when the first and the last of the client's threads knew, on now_ns()'s clock.
  std::pair<double, double> end();

 private:
  std::string name_;
  Child child_;
  vdset_server* server_ = nullptr;
  std::thread agent_;
};

/// A name that no other set has.
std::string fresh_name();
/// The name of a set's i-th device; the set's own for the first.
std::string device_name(const std::string& set, int i);
/// A queue that never says FULL to so many commands, whatever the order in which they end.
int queue_depth_for(int under_way);
vdset_config wish_for(int devices);
/// Opens the set and takes it through its configuration.
vdset_server* open_server(const std::string& name, std::uint32_t buffer_bytes, int buffers);

/// The sum of all words: how a consumer reads every byte.
std::uint64_t sum_of(const void* bytes, std::size_t size);

}  // namespace bench
