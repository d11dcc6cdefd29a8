// abi/pools.hpp: the buffer pools that this process has mapped. Readers see a whole version of the
// table; pools are only added.
#pragma once
#include <atomic>
#include "abi/port/port.hpp"
#include "core/pool_map.hpp"

namespace vdset {

class Pools {
 public:
  const core::PoolMap& map() const { return *current_.load(std::memory_order_acquire); }

  /// Maps the next pool; one thread at a time. Keeps `descriptor` (for passing on) or closes it; on
  /// failure it stays
  /// the caller's. 0 or -errno.
  int add(const core::PoolPlan& plan, int descriptor, bool writable, bool keep_descriptor) {
    const std::uint32_t i = map().count();
    Expects(i < core::pools_max);
    const int error = port::memory_map(descriptor, plan.bytes(), writable, mappings_[i]);
    if (error != 0) return error;
    versions_[i + 1] = versions_[i];
    versions_[i + 1].add(plan, mappings_[i].base);
    if (keep_descriptor)
      descriptors_[i] = descriptor;
    else
      port::close_descriptor(descriptor);
    current_.store(&versions_[i + 1], std::memory_order_release);
    return 0;
  }

  /// Undoes the last add, before anybody was told of it; the descriptor is closed.
  void drop_last() {
    const std::uint32_t last = map().count() - 1;
    current_.store(&versions_[last], std::memory_order_release);
    port::memory_unmap(mappings_[last]);
    port::close_descriptor(descriptors_[last]);
  }

  int descriptor(std::uint32_t pool) const { return descriptors_[pool]; }

  void close() {
    current_.store(&versions_[0], std::memory_order_release);
    for (std::uint32_t i = 0; i < core::pools_max; ++i) {
      port::memory_unmap(mappings_[i]);
      port::close_descriptor(descriptors_[i]);
    }
  }
  /// In a forked child, where the mappings are not.
  void drop() {
    for (int& descriptor : descriptors_)
      port::close_descriptor(descriptor);
  }

 private:
  core::PoolMap versions_[core::pools_max + 1];
  std::atomic<const core::PoolMap*> current_{&versions_[0]};
  port::Mapping mappings_[core::pools_max];
  int descriptors_[core::pools_max] = {-1, -1, -1, -1, -1, -1, -1, -1};
};

}  // namespace vdset
