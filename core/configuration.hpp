// core/configuration.hpp: VDI's rules for configurations: pure functions. Layer core: freestanding.
// Source: vdi-semantics 3.1 to 3.3 (Microsoft's VDI 2005 specification).
#pragma once
#include "core/layout.hpp"
#include "core/region.hpp"

namespace vdset::core {

inline constexpr std::uint32_t feature_removable = 0x1;
inline constexpr std::uint32_t feature_discard = 0x80;
inline constexpr std::uint32_t feature_random_access = 0x200;
inline constexpr std::uint32_t feature_snapshot_prepare = 0x400;
inline constexpr std::uint32_t feature_request_complete = 0x2000;
inline constexpr std::uint32_t feature_write_media = 0x10000;
inline constexpr std::uint32_t feature_read_media = 0x20000;
inline constexpr std::uint32_t feature_complete_enabled = 0x40000;
inline constexpr std::uint32_t features_like_tape = 0x173;
// Whatever the real depth: VDI says so always.
inline constexpr std::uint32_t io_depth_reported = 4;

enum class ConfigurationFault : std::uint8_t {
  none,
  device_count,
  features,
  prefix,
  alignment,
  block,
  transfer,
  server_features
};

/// A client's wish. Fields 7 to 10 are the server's and ignored.
constexpr ConfigurationFault judge_wish(const Configuration& c) {
  if (c.device_count < 1 || c.device_count > devices_max) return ConfigurationFault::device_count;
  const std::uint32_t orthogonal =
      feature_discard | feature_snapshot_prepare | feature_request_complete;
  const std::uint32_t kind = c.features & ~orthogonal;
  const bool legal = kind == 0 || kind == feature_removable || kind == features_like_tape ||
                     kind == feature_random_access ||
                     kind == (feature_random_access | feature_removable);
  if (!legal) return ConfigurationFault::features;
  if (c.prefix_zone_bytes > prefix_bytes_max) return ConfigurationFault::prefix;
  if (c.alignment_bytes > alignment_max) return ConfigurationFault::alignment;
  return ConfigurationFault::none;
}

/// The server's answer to a wish: the numbers of BeginConfiguration.
constexpr ConfigurationFault judge_base(const Configuration& wish, std::uint32_t features,
                                        std::uint32_t block_bytes, std::uint32_t alignment_bytes,
                                        std::uint32_t max_transfer_bytes) {
  const std::uint32_t direction = features & (feature_write_media | feature_read_media);
  const bool complete = (features & feature_complete_enabled) != 0;
  if (direction == 0 || (complete && (wish.features & feature_request_complete) == 0))
    return ConfigurationFault::server_features;
  const std::uint32_t rest = features & ~(direction | feature_complete_enabled);
  if ((rest & ~wish.features) != 0) return ConfigurationFault::server_features;
  if (!is_power_of_two(block_bytes) || block_bytes < block_bytes_min ||
      block_bytes > block_bytes_max)
    return ConfigurationFault::block;
  const bool aligned =
      alignment_bytes == 0 || (is_power_of_two(alignment_bytes) && alignment_bytes >= block_bytes &&
                               alignment_bytes <= alignment_max);
  if (!aligned) return ConfigurationFault::alignment;
  if (max_transfer_bytes == 0 || max_transfer_bytes % transfer_unit_bytes != 0 ||
      max_transfer_bytes > transfer_bytes_max)
    return ConfigurationFault::transfer;
  return ConfigurationFault::none;
}

/// Buffers that clients cannot write into serve a backup without prefix zone only.
constexpr bool are_options_sound(std::uint32_t options, std::uint32_t prefix_zone_bytes,
                                 std::uint32_t features) {
  const bool writes = prefix_zone_bytes != 0 || (features & feature_read_media) != 0;
  return (options & ~options_known) == 0 && ((options & option_data_read_only) == 0 || !writes);
}

/// Whether what S says was agreed can be what an honest server publishes in a set of this geometry.
constexpr bool is_configuration_sound(const Configuration& c, const Geometry& g) {
  return c.device_count == g.device_count && c.prefix_zone_bytes <= prefix_bytes_max &&
         is_power_of_two(c.block_bytes) && c.block_bytes >= block_bytes_min &&
         c.block_bytes <= block_bytes_max && is_power_of_two(c.alignment_bytes) &&
         c.alignment_bytes >= c.block_bytes && c.alignment_bytes <= alignment_max &&
         c.max_transfer_bytes != 0 && c.max_transfer_bytes % transfer_unit_bytes == 0 &&
         c.max_transfer_bytes <= transfer_bytes_max &&
         are_options_sound(g.options, c.prefix_zone_bytes, c.features);
}

/// The alignment that both sides get: the server's, or the client's need rounded up if that is
/// stricter.
constexpr std::uint32_t agreed_alignment(std::uint32_t wished, std::uint32_t block_bytes,
                                         std::uint32_t alignment_bytes) {
  std::uint32_t alignment = alignment_bytes != 0 ? alignment_bytes : block_bytes;
  while (alignment < wished && alignment < alignment_max)
    alignment *= 2;
  return alignment;
}

}  // namespace vdset::core
