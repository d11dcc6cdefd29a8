// abi/losses.hpp: which secondaries were lost, as the server remembers it and the primary is told.
#pragma once
#include "abi/include/vdset.h"

namespace vdset {

/// The latest VDSET_LOSSES_KEPT; guarded by its owner's lock.
struct Losses {
  std::uint32_t count;
  vdset_loss latest[VDSET_LOSSES_KEPT];

  /// A new one gets a number, and the place of the oldest.
  void keep(vdset_loss& loss) {
    loss.struct_bytes = sizeof loss;
    if (loss.number == 0) loss.number = ++count;
    latest[(loss.number - 1) % VDSET_LOSSES_KEPT] = loss;
  }
  /// By number, 0 the latest; null when there is none, or it is forgotten.
  const vdset_loss* find(std::uint32_t number) const {
    if (number == 0) number = count;
    if (number == 0 || number > count || count - number >= VDSET_LOSSES_KEPT) return nullptr;
    return &latest[(number - 1) % VDSET_LOSSES_KEPT];
  }
};

/// The answer of get_loss, OK or PROTOCOL or INVALID.
std::int32_t give_loss(const Losses& losses, const char* set_name, std::uint32_t number,
                       vdset_loss* out);

}  // namespace vdset
