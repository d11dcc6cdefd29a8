// core/handle.hpp: the 32-bit buffer handle {salt 6, generation <= 20, slot index 4..12}. Layer
// core: freestanding.
#pragma once
#include <cstdint>
#include <gsl/assert>
#include "core/words.hpp"

namespace vdset::core {

/// Encodes and splits handles of one set. A value; both fields are judged where the set is
/// attached.
class HandleCodec {
 public:
  constexpr HandleCodec() = default;
  constexpr HandleCodec(std::uint32_t salt, std::uint32_t index_bits)
      : salt_(salt),
        index_bits_(index_bits),
        index_mask_((1u << index_bits) - 1),
        generation_mask_(kept_generations(index_bits)),
        judged_mask_((salt_unit - 1) & ~((1u << index_bits) - 1)) {
    Expects(salt >= 1 && salt <= salt_max);
    Expects(index_bits >= index_bits_min && index_bits <= index_bits_max);
  }

  constexpr std::uint32_t encode(std::uint32_t slot, std::uint32_t generation) const {
    return salt_ << (32 - salt_bits) | (generation & generation_mask_) << index_bits_ | slot;
  }
  constexpr bool has_salt(std::uint32_t handle) const {
    return handle >> (32 - salt_bits) == salt_;
  }
  constexpr std::uint32_t slot(std::uint32_t handle) const { return handle & index_mask_; }
  /// Whether the handle carries exactly this slot generation, of at most generation_bits (unused
  /// bits must be 0). Its salt is judged by has_salt.
  constexpr bool has_generation(std::uint32_t handle, std::uint32_t generation) const {
    return ((handle ^ generation << index_bits_) & judged_mask_) == 0;
  }
  constexpr std::uint32_t index_bits() const { return index_bits_; }

  /// Index bits for `slots` buffers: as few as they need.
  static constexpr std::uint32_t bits_for(std::uint32_t slots) {
    std::uint32_t bits = index_bits_min;
    while (bits < index_bits_max && (1u << bits) < slots)
      ++bits;
    return bits;
  }

 private:
  static constexpr std::uint32_t salt_unit = 1u << (32 - salt_bits);

  static constexpr std::uint32_t kept_generations(std::uint32_t index_bits) {
    const std::uint32_t room = 32 - salt_bits - index_bits;
    return (1u << (room < generation_bits ? room : generation_bits)) - 1;
  }

  std::uint32_t salt_ = 0;
  std::uint32_t index_bits_ = 0;
  std::uint32_t index_mask_ = 0;
  std::uint32_t generation_mask_ = 0;
  std::uint32_t judged_mask_ = 0;  // All but salt and index.
};

static_assert(HandleCodec(62, 4).encode(15, generation_mask) != 0);
static_assert(HandleCodec(1, 12).has_generation(HandleCodec(1, 12).encode(7, 0x12345), 0x12345));
static_assert(!HandleCodec(1, 12).has_generation(HandleCodec(1, 12).encode(7, 1), 2));

}  // namespace vdset::core
