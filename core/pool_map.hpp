// core/pool_map.hpp: one process's private table of buffer pools: slot index <-> address. Layer
// core: freestanding.
// Rows come from the server's plan or from S, judged before they are added; addresses are this
// process's own.
#pragma once
#include <cstddef>
#include <cstdint>
#include <gsl/assert>
#include "core/config.hpp"

namespace vdset::core {

/// Geometry of one pool, as in docs/format.md "Pool row".
struct PoolPlan {
  std::uint32_t first_slot;
  std::uint32_t slot_count;
  std::uint32_t stride_lines;
  std::uint32_t data_offset;
  std::uint32_t data_bytes;
  std::uint32_t alignment;
  std::uint32_t pool_lines;

  constexpr std::uint64_t bytes() const { return std::uint64_t{pool_lines} * line_bytes; }
};

constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

/// The one formula for pools: prefix zone, then data at its alignment, strides of whole pages.
constexpr PoolPlan plan_pool(std::uint32_t first_slot, std::uint32_t slot_count,
                             std::uint32_t data_bytes, std::uint32_t alignment,
                             std::uint32_t prefix_bytes, std::uint32_t page_bytes) {
  const std::uint64_t data_offset =
      align_up(prefix_bytes, alignment > line_bytes ? alignment : line_bytes);
  const std::uint64_t stride =
      align_up(data_offset + data_bytes, alignment > page_bytes ? alignment : page_bytes);
  return {first_slot,
          slot_count,
          static_cast<std::uint32_t>(stride / line_bytes),
          static_cast<std::uint32_t>(data_offset),
          data_bytes,
          alignment,
          static_cast<std::uint32_t>(stride / line_bytes * slot_count)};
}
static_assert((std::uint64_t{slots_max} *
               align_up(2ull * prefix_bytes_max + 2 * alignment_max, 65536)) /
                      line_bytes <
                  (1ull << 32),
              "the largest pool fits 32 bits of lines");

/// Whether a row read from S can be what an honest server publishes after `slots_before` slots.
constexpr bool is_pool_sound(const PoolPlan& p, std::uint32_t slots_before,
                             std::uint32_t prefix_bytes, std::uint32_t page_bytes) {
  if (p.first_slot != slots_before || p.slot_count == 0 || p.slot_count > slots_max - slots_before)
    return false;
  if (p.data_bytes == 0 || p.data_bytes > transfer_bytes_max || prefix_bytes > prefix_bytes_max)
    return false;
  if (p.alignment == 0 || p.alignment > alignment_max || (p.alignment & (p.alignment - 1)) != 0)
    return false;
  const PoolPlan due =
      plan_pool(p.first_slot, p.slot_count, p.data_bytes, p.alignment, prefix_bytes, page_bytes);
  return due.stride_lines == p.stride_lines && due.data_offset == p.data_offset &&
         due.pool_lines == p.pool_lines;
}

inline constexpr std::uint32_t no_slot = ~0u;

/// Up to pools_max mapped pools. add() by one thread; lookups by any after it (the owner publishes
/// the count).
class PoolMap {
 public:
  std::uint32_t count() const { return count_; }
  std::uint32_t slot_total() const { return slot_total_; }
  const PoolPlan& plan(std::uint32_t pool) const { return entries_[pool].plan; }
  std::byte* base(std::uint32_t pool) const { return entries_[pool].base; }

  void add(const PoolPlan& plan, std::byte* base) {
    Expects(count_ < pools_max && plan.first_slot == slot_total_);
    entries_[count_] = {plan, static_cast<std::size_t>(plan.stride_lines) * line_bytes, base,
                        base + plan.data_offset};
    slot_total_ += plan.slot_count;
    ++count_;
  }

  std::uint32_t pool_of(std::uint32_t slot) const {
    std::uint32_t pool = 0;
    while (pool + 1 < count_ && slot >= entries_[pool + 1].plan.first_slot)
      ++pool;
    return pool;
  }

  /// Data start of a slot below slot_total().
  std::byte* data(std::uint32_t slot) const {
    const Entry& e = entries_[pool_of(slot)];
    return e.first_data + (slot - e.plan.first_slot) * e.stride_bytes;
  }

  /// The slot whose data starts exactly at `address`, or no_slot (foreign, interior and prefix
  /// addresses).
  std::uint32_t slot_at(const void* address) const {
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    for (std::uint32_t i = 0; i < count_; ++i) {
      const Entry& e = entries_[i];
      const std::uintptr_t offset = at - reinterpret_cast<std::uintptr_t>(e.base);
      if (offset >= e.plan.bytes()) continue;
      const std::uintptr_t inner = offset - e.plan.data_offset;
      if (offset < e.plan.data_offset || inner % line_bytes != 0) return no_slot;
      const auto lines = static_cast<std::uint32_t>(inner / line_bytes);
      return lines % e.plan.stride_lines == 0 ? e.plan.first_slot + lines / e.plan.stride_lines
                                              : no_slot;
    }
    return no_slot;
  }

  /// Whether the address lies in any pool.
  bool contains(const void* address) const {
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    for (std::uint32_t i = 0; i < count_; ++i)
      if (at - reinterpret_cast<std::uintptr_t>(entries_[i].base) < entries_[i].plan.bytes())
        return true;
    return false;
  }

 private:
  struct Entry {
    PoolPlan plan;
    std::size_t stride_bytes;
    std::byte* base;
    std::byte* first_data;  // Of its first slot.
  };
  std::uint32_t count_ = 0;
  std::uint32_t slot_total_ = 0;
  Entry entries_[pools_max] = {};
};

}  // namespace vdset::core
