// tests/unit/test_pool_map.cpp
// Goal: addresses and slots of a process belong together exactly as docs/format.md, "Parts D",
// says, and a pool row that an honest server would not write is refused.
// Method: every address of small pools is classified by a formula written here.
#include "core/pool_map.hpp"
#include <memory>
#include "tests/unit/support.hpp"

using namespace vdset;
using namespace vdset::core;

namespace {

/// Memory for a pool, with room around it that belongs to nobody.
struct Area {
  PoolPlan plan;
  std::vector<std::byte> memory;
  static constexpr std::size_t margin = 4096;

  explicit Area(const PoolPlan& p)
      : plan(p), memory(static_cast<std::size_t>(p.bytes()) + 2 * margin) {}
  std::byte* base() { return memory.data() + margin; }
};

}  // namespace

TEST_CASE("a plan has its data aligned behind the prefix zone, in strides of whole pages") {
  for (std::uint32_t page : {4096u, 16384u, 65536u})
    for (std::uint32_t alignment = 1; alignment <= 65536; alignment *= 2)
      for (std::uint32_t prefix : {0u, 1u, 63u, 64u, 65u, 4096u, 5000u, 4194304u})
        for (std::uint32_t data : {1u, 512u, 4096u, 65536u, 65537u, 4194304u}) {
          const PoolPlan p = plan_pool(0, 3, data, alignment, prefix, page);
          const std::uint64_t stride = std::uint64_t{p.stride_lines} * 64;
          CAPTURE(alignment);
          CAPTURE(prefix);
          CHECK(p.data_offset >= prefix);
          CHECK(p.data_offset - prefix < (alignment > 64 ? alignment : 64));
          CHECK(p.data_offset % alignment == 0);
          CHECK(stride % page == 0);
          CHECK(stride % alignment == 0);
          CHECK(p.data_offset + std::uint64_t{data} <= stride);
          CHECK(p.bytes() == 3 * stride);
          CHECK(is_pool_sound(p, 0, prefix, page));
        }
}

TEST_CASE("the largest pool there can be still fits its fields") {
  const PoolPlan p = plan_pool(0, 4096, 4194304, 65536, 4194304, 65536);
  CHECK(p.bytes() == 4096ull * 8388608);
  CHECK(is_pool_sound(p, 0, 4194304, 65536));
}

TEST_CASE("of all addresses of a pool, and around it, only data starts have a slot") {
  for (std::uint32_t prefix : {0u, 100u, 4096u}) {
    Area area(plan_pool(0, 5, 3000, 256, prefix, 4096));
    PoolMap map;
    map.add(area.plan, area.base());
    const std::size_t stride = std::size_t{area.plan.stride_lines} * 64;
    bool right = true;
    for (std::size_t i = 0; i < area.memory.size(); ++i) {
      const bool inside = i >= Area::margin && i - Area::margin < area.plan.bytes();
      const std::size_t offset = i - Area::margin;
      const bool start = inside && offset % stride == area.plan.data_offset;
      const std::uint32_t due = start ? static_cast<std::uint32_t>(offset / stride) : no_slot;
      right = right && map.slot_at(area.memory.data() + i) == due &&
              map.contains(area.memory.data() + i) == inside;
    }
    CHECK(right);
    for (std::uint32_t slot = 0; slot < 5; ++slot) {
      CHECK(map.data(slot) == area.base() + stride * slot + area.plan.data_offset);
      CHECK(map.slot_at(map.data(slot)) == slot);
    }
  }
}

TEST_CASE("null, the end of memory and a map without pools have no slot") {
  PoolMap map;
  CHECK(map.slot_at(nullptr) == no_slot);
  CHECK_FALSE(map.contains(nullptr));
  Area area(plan_pool(0, 1, 512, 512, 0, 4096));
  map.add(area.plan, area.base());
  CHECK(map.slot_at(nullptr) == no_slot);
  CHECK(map.slot_at(reinterpret_cast<void*>(~std::uintptr_t{0})) == no_slot);
  CHECK_FALSE(map.contains(reinterpret_cast<void*>(~std::uintptr_t{0})));
}

TEST_CASE("eight pools of different shapes are told apart, whatever the order of their addresses") {
  for (bool ascending : {true, false}) {
    std::vector<std::unique_ptr<Area>> areas;
    std::uint32_t slots = 0;
    for (std::uint32_t i = 0; i < 8; ++i) {
      const std::uint32_t bytes = 1024 * (ascending ? i + 1 : 8 - i);
      areas.push_back(std::make_unique<Area>(
          plan_pool(slots, i + 1, bytes, 512u << i % 4, 77 * i, 4096)));
      slots += i + 1;
    }
    PoolMap map;
    for (auto& area : areas)
      map.add(area->plan, area->base());
    CHECK(map.count() == 8);
    CHECK(map.slot_total() == 36);
    std::uint32_t slot = 0;
    for (std::uint32_t pool = 0; pool < 8; ++pool)
      for (std::uint32_t i = 0; i <= pool; ++i, ++slot) {
        CHECK(map.pool_of(slot) == pool);
        CHECK(map.base(pool) == areas[pool]->base());
        CHECK(map.plan(pool).first_slot == slot - i);
        const std::size_t stride = std::size_t{areas[pool]->plan.stride_lines} * 64;
        CHECK(map.data(slot) == areas[pool]->base() + stride * i + areas[pool]->plan.data_offset);
        CHECK(map.slot_at(map.data(slot)) == slot);
        CHECK(map.slot_at(map.data(slot) + 1) == no_slot);
        CHECK(map.slot_at(map.data(slot) - 1) == no_slot);
        CHECK(map.slot_at(map.data(slot) + 64) == no_slot);
      }
  }
}

namespace {

constexpr std::uint32_t PoolPlan::*const plan_fields[] = {
    &PoolPlan::first_slot, &PoolPlan::slot_count, &PoolPlan::stride_lines, &PoolPlan::data_offset,
    &PoolPlan::data_bytes, &PoolPlan::alignment,  &PoolPlan::pool_lines};

/// docs/format.md, "Pool row", on its own: what any honest row satisfies.
bool is_within_document(const PoolPlan& p, std::uint32_t before, std::uint32_t prefix,
                        std::uint32_t page) {
  const std::uint64_t stride = std::uint64_t{p.stride_lines} * 64;
  const bool power = p.alignment != 0 && (p.alignment & (p.alignment - 1)) == 0;
  if (p.first_slot != before || p.slot_count < 1) return false;
  if (p.slot_count + std::uint64_t{before} > 4096 || !power || p.alignment > 65536) return false;
  if (stride % page != 0 || stride % p.alignment != 0) return false;
  if (p.data_offset < prefix || p.data_offset % p.alignment != 0) return false;
  if (p.data_bytes < 1 || p.data_bytes > 4194304) return false;
  return p.data_offset + std::uint64_t{p.data_bytes} <= stride &&
         p.pool_lines * std::uint64_t{64} == p.slot_count * stride;
}

}  // namespace

TEST_CASE("a row that was accepted is within the document's ranges, however it was spoiled") {
  bool right = true;
  std::uint32_t refused = 0;
  for (std::uint32_t prefix : {0u, 4000u})
    for (std::uint32_t before : {0u, 16u, 4090u}) {
      const PoolPlan honest = plan_pool(before, 6, 65536, 4096, prefix, 4096);
      CHECK(is_pool_sound(honest, before, prefix, 4096));
      for (auto field : plan_fields)
        for (std::uint32_t bit = 0; bit < 32; ++bit) {
          PoolPlan p = honest;
          p.*field ^= 1u << bit;
          const bool sound = is_pool_sound(p, before, prefix, 4096);
          right = right && (!sound || is_within_document(p, before, prefix, 4096));
          refused += sound ? 0 : 1;
        }
    }
  CHECK(right);
  CHECK(refused > 6 * 7 * 24);
}

TEST_CASE("each field of a row is refused at zero, at its limit plus one, and at all ones") {
  const PoolPlan honest = plan_pool(16, 6, 65536, 4096, 64, 4096);
  const auto sound = [&honest](auto field, std::uint32_t value) {
    PoolPlan p = honest;
    p.*field = value;
    return is_pool_sound(p, 16, 64, 4096);
  };
  for (auto field : plan_fields) {
    CHECK_FALSE(sound(field, 0));
    CHECK_FALSE(sound(field, ~0u));
    CHECK_FALSE(sound(field, honest.*field + 1));
  }
  CHECK_FALSE(sound(&PoolPlan::first_slot, 15));
  CHECK_FALSE(sound(&PoolPlan::slot_count, 4081));
  CHECK_FALSE(sound(&PoolPlan::data_bytes, 4194305));
  CHECK_FALSE(sound(&PoolPlan::alignment, 131072));
  CHECK_FALSE(sound(&PoolPlan::alignment, 4097));
}

TEST_CASE("a row is refused in the wrong place: another first slot, prefix zone or page") {
  const PoolPlan p = plan_pool(16, 6, 65536, 4096, 64, 4096);
  CHECK(is_pool_sound(p, 16, 64, 4096));
  CHECK_FALSE(is_pool_sound(p, 0, 64, 4096));
  CHECK_FALSE(is_pool_sound(p, 22, 64, 4096));
  CHECK_FALSE(is_pool_sound(p, 16, 8192, 4096));
  CHECK_FALSE(is_pool_sound(p, 16, 4194305, 4096));
  CHECK_FALSE(is_pool_sound(p, 16, 64, 65536));
}

TEST_CASE("all slots that there are may be in one pool, and none more") {
  PoolPlan p = plan_pool(0, 4096, 512, 512, 0, 4096);
  CHECK(is_pool_sound(p, 0, 0, 4096));
  p = plan_pool(0, 4097, 512, 512, 0, 4096);
  CHECK_FALSE(is_pool_sound(p, 0, 0, 4096));
  p = plan_pool(4095, 1, 512, 512, 0, 4096);
  CHECK(is_pool_sound(p, 4095, 0, 4096));
  p = plan_pool(4096, 1, 512, 512, 0, 4096);
  CHECK_FALSE(is_pool_sound(p, 4096, 0, 4096));
}
