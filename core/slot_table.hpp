// core/slot_table.hpp: resolving buffer handles against the slot words in S. Layer core:
// freestanding.
// One load, no loop, a few nanoseconds, refusals as cheap as hits. Edge slot_published.
#pragma once
#include <gsl/span>
#include "core/handle.hpp"
#include "core/layout.hpp"
#include "core/pool_map.hpp"

namespace vdset::core {

enum class Refusal : std::uint8_t {
  none,
  no_handle,
  foreign_set,
  out_of_range,
  stale,
  not_lent,
  not_a_data_start
};

struct Resolved {
  Refusal refusal;
  std::uint32_t slot;
};

/// Read side, in every process. A value: spans and the codec are private copies.
template <class A>
class SlotTable {
 public:
  SlotTable() = default;
  SlotTable(gsl::span<const Word> words, HandleCodec codec, bool lease)
      : words_(words), codec_(codec), lease_(lease) {
    Expects(words.size() == slots_max);
  }

  /// Handle to slot. `slot_total`: buffers of the pools mapped in this process.
  [[nodiscard]] Resolved resolve(A& a, std::uint32_t handle, std::uint32_t slot_total) const {
    if (!codec_.has_salt(handle))
      return {handle == 0 ? Refusal::no_handle : Refusal::foreign_set, 0};
    const std::uint32_t slot = codec_.slot(handle);
    if (slot >= slot_total) return {Refusal::out_of_range, 0};
    // The mask repeats the bound for a processor that runs ahead of the compare.
    // Edge slot_published: the buffer's contents at the time of the handle are visible.
    const auto word =
        SlotWord::unpack(a.template load<Site::slot_resolve>(words_[slot & (slots_max - 1)]));
    if (!codec_.has_generation(handle, word.generation)) return {Refusal::stale, 0};
    return {is_usable(word.state) ? Refusal::none : Refusal::not_lent, slot};
  }

  /// Slot to handle, if the buffer may have one now; else 0.
  [[nodiscard]] std::uint32_t handle_of(A& a, std::uint32_t slot) const {
    Expects(slot < slots_max);
    const auto word = SlotWord::unpack(a.template load<Site::slot_resolve>(words_[slot]));
    return is_usable(word.state) ? codec_.encode(slot, word.generation) : 0;
  }

 private:
  bool is_usable(SlotState state) const {
    return state == SlotState::lent || (state == SlotState::live && !lease_);
  }

  gsl::span<const Word> words_;
  HandleCodec codec_;
  bool lease_ = true;
};

}  // namespace vdset::core
