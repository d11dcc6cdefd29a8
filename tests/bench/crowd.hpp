// tests/bench/crowd.hpp: the least that serves many consumers with a thread each. What the system's
// scheduler leaves of this, nothing that hands commands to so many threads can exceed by much.
#pragma once
#include <memory>
#include <vector>
#include "bench.hpp"

namespace bench {

struct Lanes;

/// One producer here; in a child a consumer's thread for each lane. Like Rig for run_job.
class Crowd {
 public:
  /// Every consumer adds up so many bytes for each command; 0: it only looks at it.
  Crowd(int lanes, int buffers, std::size_t bytes);
  ~Crowd();
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  void send();
  void receive();

 private:
  int lane_count_;
  Area area_;
  Lanes& lanes_;
  std::unique_ptr<Child> child_;
  std::vector<std::uint64_t> free_;  // Buffers: i is of lane i % lanes.
  int next_ = 0;
};

int crowd_child(const std::vector<std::string>& arguments);

}  // namespace bench
