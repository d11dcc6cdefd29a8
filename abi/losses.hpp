// abi/losses.hpp: which secondaries were lost, as the server remembers it and the primary is told.
#pragma once
#include "abi/include/vdset.h"

namespace vdset {

/// The latest VDSET_LOSSES_KEPT; guarded by its owner's lock.
struct Losses {
  std::uint32_t count;
  vdset_loss latest[VDSET_LOSSES_KEPT];

  /// A new one (number 0) gets its number, and the place of the oldest; a known one is replaced; a
  /// later one, of which the server tells, is the latest.
  void keep(vdset_loss& loss) {
    loss.struct_bytes = sizeof loss;
    if (loss.number == 0) loss.number = count + 1;
    if (loss.number > count) count = loss.number;
    latest[(loss.number - 1) % VDSET_LOSSES_KEPT] = loss;
  }
  /// By number, 0 the latest; null when there is none, or it is not known any more.
  const vdset_loss* find(std::uint32_t number) const {
    if (number == 0) number = count;
    if (number == 0 || number > count || count - number >= VDSET_LOSSES_KEPT) return nullptr;
    const vdset_loss& loss = latest[(number - 1) % VDSET_LOSSES_KEPT];
    return loss.number == number ? &loss : nullptr;
  }
};

/// The answer of get_loss, OK or PROTOCOL or INVALID.
std::int32_t give_loss(const Losses& losses, const char* set_name, std::uint32_t number,
                       vdset_loss* out);

}  // namespace vdset
