// fuzz/fuzz_attach.cpp: arbitrary bytes as a part S. Oracle: what is judged sound has the size, the
// limits and the offsets of docs/format.md; all that a client then reads stays inside, and what it
// accepts of it (configuration, pools) keeps the promises that addresses are computed from.
// No judgement loads a word of it twice: what is used must be what was judged.
// Input: a byte of choice, a filler, then the bytes of the part from its start.
#include <algorithm>
#include <new>
#include <vector>
#include "core/configuration.hpp"
#include "core/set_state.hpp"
#include "core/slot_table.hpp"
#include "fuzz/fuzz.hpp"

using namespace vdset::core;
using vdset::fuzz::Input;

namespace {

vdset::fuzz::Goal sound_part("a part that is judged sound");
vdset::fuzz::Goal sound_pool("a pool that is judged sound");

/// Loads each word once, or ends the program: between two loads a peer would have changed it.
struct Once {
  std::vector<const Word*> seen;

  template <Site site>
  std::uint32_t load(const Word& word) {
    VDSET_HOLDS(std::find(seen.begin(), seen.end(), &word) == seen.end());
    seen.push_back(&word);
    return RealAtomics::load<site>(word);
  }
};

/// Heap memory of exactly the part's size: a sanitizer sees every byte beyond.
struct Part {
  std::size_t bytes;
  std::byte* base;

  Part(std::size_t size, std::uint8_t filler)
      : bytes(size),
        base(static_cast<std::byte*>(::operator new (size + 1, std::align_val_t{64}))) {
    std::memset(base, filler, size);
  }
  ~Part() { ::operator delete (base, std::align_val_t{64}); }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
};

/// The size that a header asks for, if it is one that could be sound: else the input decides.
std::size_t size_of(const std::uint8_t* header, std::size_t given) {
  if (given < 56) return given;
  std::uint32_t words[14];
  std::memcpy(words, header, sizeof words);
  const Geometry g{words[10], words[11], words[9], words[12], words[13], {}};
  return is_geometry_sound(g) ? g.s_bytes() : given;
}

void read_pools(RealAtomics& a, const ServerPartView& view, const Geometry& g,
                const Configuration& agreed, std::uint32_t index_bits) {
  const std::uint32_t count = a.load<Site::pool_read>(view.header->pool_count);
  PoolMap map;
  for (std::uint32_t i = 0; i < count && i < pools_max; ++i) {
    Once pool_once;
    const PoolPlan plan = read_pool(pool_once, view.header->pools[i]);
    if (!is_pool_sound(plan, map.slot_total(), agreed.prefix_zone_bytes, g.page_bytes)) return;
    sound_pool.reach();
    // Every buffer lies inside of its pool, aligned, its prefix zone too.
    const std::uint64_t stride = std::uint64_t{plan.stride_lines} * line_bytes;
    VDSET_HOLDS(plan.data_offset >= agreed.prefix_zone_bytes);
    VDSET_HOLDS(plan.data_offset % plan.alignment == 0 && stride % plan.alignment == 0);
    VDSET_HOLDS(stride % g.page_bytes == 0);
    VDSET_HOLDS(std::uint64_t{plan.data_offset} + plan.data_bytes <= stride);
    VDSET_HOLDS(stride * plan.slot_count <= plan.bytes());
    VDSET_HOLDS(plan.first_slot + plan.slot_count <= slots_max);
    // The addresses are never touched here.
    auto* const base = reinterpret_cast<std::byte*>(std::uintptr_t{1} << (36 + i));
    map.add(plan, base);
    for (std::uint32_t k : {plan.first_slot, plan.first_slot + plan.slot_count - 1}) {
      std::byte* const data = map.data(k);
      VDSET_HOLDS(data >= base && data + plan.data_bytes <= base + plan.bytes());
      VDSET_HOLDS(map.slot_at(data) == k && map.slot_at(data + 1) == no_slot);
    }
  }
  const SlotTable<RealAtomics> slots(view.slots, HandleCodec(g.salt, index_bits),
                                     (g.options & option_lease) != 0);
  for (std::uint32_t i = 0; i < 64; ++i) {
    const Resolved found = slots.resolve(a, g.salt << 26 | i * 0x01010101u >> 6, map.slot_total());
    VDSET_HOLDS(found.refusal != Refusal::none || found.slot < map.slot_total());
  }
}

void read_all(RealAtomics& a, const Part& part, const Geometry& g) {
  const ServerPartView view =
      server_part_view(gsl::span<const std::byte>(part.base, part.bytes), g);
  static_cast<void>(read_state(a, *view.header));
  AbortRecord record;
  Once abort_once;
  if (read_abort(abort_once, *view.header, record))
    VDSET_HOLDS(record.text_bytes <= sizeof record.text);
  for (std::uint32_t i = 0; i < participants_max; ++i) {
    VDSET_HOLDS(static_cast<std::uint32_t>(read_participant(a, view.participants[i]).role) <= 3);
    static_cast<void>(a.load<Site::alive_read>(view.alive[i].alive));
  }
  for (std::uint32_t d = 0; d < g.device_count; ++d) {
    static_cast<void>(a.load<Site::device_read>(view.rows[d].device));
    for (const SubmissionLine& line : view.ring(d))
      static_cast<void>(a.load<Site::take_sequence>(line.sequence));
  }
  Configuration agreed;
  std::uint32_t index_bits = 0;
  Once configuration_once;
  if (!read_configuration(configuration_once, *view.header, agreed, index_bits)) return;
  if (!is_configuration_sound(agreed, g)) return;
  VDSET_HOLDS(agreed.device_count == g.device_count && agreed.block_bytes >= 512);
  VDSET_HOLDS(agreed.max_transfer_bytes % agreed.block_bytes == 0);
  read_pools(a, view, g, agreed, index_bits);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const std::uint8_t choice = in.byte();
  const std::uint8_t filler = in.byte();
  // As large as the header asks for, or some lines larger; or as large as the input is.
  const bool as_asked = (choice & 1) != 0;
  const std::size_t bytes =
      as_asked ? size_of(in.rest(), in.left()) + line_bytes * (choice >> 1) : in.left();
  Part part(bytes, filler);
  in.copy(part.base, bytes);
  RealAtomics a;
  Geometry g{};
  const gsl::span<const std::byte> span(part.base, part.bytes);
  Once once;
  if (judge_header(once, span, g) != Verdict::sound) return 0;
  VDSET_HOLDS(is_geometry_sound(g) && g.s_bytes() == part.bytes);
  VDSET_HOLDS(g.alive_offset() % alive_bytes == 0 && g.alive_offset() >= g.lines_offset());
  sound_part.reach();
  Geometry again{};
  VDSET_HOLDS(judge_header(a, span, again) == Verdict::sound);
  VDSET_HOLDS(std::memcmp(&g, &again, sizeof g) == 0);
  read_all(a, part, g);
  return 0;
}
