// fuzz/fuzz_handles.cpp: any 32 bits as a handle, any pointer as a buffer, over any slot words.
// Oracle: a decoder written from docs/format.md alone, and a search through all buffers.
#include <vector>
#include "core/pool_map.hpp"
#include "core/slot_table.hpp"
#include "fuzz/fuzz.hpp"

using namespace vdset::core;
using vdset::fuzz::Input;

namespace {

vdset::fuzz::Goal good_handle("a handle that is good");
vdset::fuzz::Goal good_pointer("a pointer that is a buffer's");

struct World {
  std::uint32_t salt, bits;
  bool lease;
  std::vector<Word> words = std::vector<Word>(slots_max);
  PoolMap map;
};

/// "Handles" in docs/format.md, bit by bit.
bool is_good(const World& w, std::uint32_t handle) {
  if (handle == 0 || handle >> 26 != w.salt) return false;
  const std::uint32_t index = handle & ((1u << w.bits) - 1);
  if (index >= w.map.slot_total()) return false;
  const std::uint32_t word = w.words[index].value;
  const std::uint32_t state = word & 15u;
  if (state != 2 && !(state == 1 && !w.lease)) return false;
  const std::uint32_t room = 26 - w.bits;
  const std::uint32_t kept = (word >> 12) & ((1u << (room < 20 ? room : 20)) - 1);
  return ((handle & 0x3ffffffu) >> w.bits) == kept;
}

void judge_pointers(const World& w, Input& in) {
  for (int i = 0; i < 8; ++i) {
    const std::uint32_t pool = in.below(pools_max);
    if (pool >= w.map.count()) continue;
    const PoolPlan& plan = w.map.plan(pool);
    std::uint64_t offset = in.word();
    if (in.flip())  // Near a data start.
      offset = std::uint64_t{plan.stride_lines} * line_bytes * (offset % plan.slot_count) +
               plan.data_offset + in.byte() - 2;
    const auto* const at = reinterpret_cast<const std::byte*>(
        reinterpret_cast<std::uintptr_t>(w.map.base(pool)) + offset);
    std::uint32_t due = no_slot;
    for (std::uint32_t k = 0; k < w.map.slot_total(); ++k)
      if (w.map.data(k) == at) due = k;
    VDSET_HOLDS(w.map.slot_at(at) == due);
    if (due == no_slot) continue;
    good_pointer.reach();
    VDSET_HOLDS(w.map.contains(at));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  World w;
  w.salt = 1 + in.below(salt_max);
  w.bits = index_bits_min + in.below(index_bits_max - index_bits_min + 1);
  w.lease = in.flip();
  const std::uint32_t pools = in.below(4);
  for (std::uint32_t i = 0; i < pools; ++i) {
    const std::uint32_t count = 1 + in.below(16);
    if (w.map.slot_total() + count > 1u << w.bits) break;
    // One by one: the order of arguments is each compiler's own.
    const std::uint32_t data = 512u << in.below(8);
    const std::uint32_t alignment = 512u << in.below(8);
    const std::uint32_t prefix = in.below(3) * 700;
    const PoolPlan plan = plan_pool(w.map.slot_total(), count, data, alignment, prefix, 4096);
    // Addresses that are never touched, wide apart.
    w.map.add(plan, reinterpret_cast<std::byte*>(std::uintptr_t{1} << (36 + i)));
  }
  RealAtomics a;
  const HandleCodec codec(w.salt, w.bits);
  const SlotTable<RealAtomics> slots(w.words, codec, w.lease);
  judge_pointers(w, in);
  while (in.left() > 0) {
    const std::uint32_t index = in.below(64);
    w.words[index].value = in.word();
    // An arbitrary handle, or one that is right but for a few bits.
    std::uint32_t handle = in.word();
    if (in.flip()) handle = codec.encode(index, w.words[index].value >> 12) ^ (handle & in.word());
    const Resolved found = slots.resolve(a, handle, w.map.slot_total());
    VDSET_HOLDS((found.refusal == Refusal::none) == is_good(w, handle));
    if (found.refusal == Refusal::none) {
      good_handle.reach();
      VDSET_HOLDS(found.slot < w.map.slot_total());
      VDSET_HOLDS(slots.handle_of(a, found.slot) == handle);
      VDSET_HOLDS(w.map.slot_at(w.map.data(found.slot)) == found.slot);
    }
  }
  return 0;
}
