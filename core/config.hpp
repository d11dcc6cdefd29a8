// core/config.hpp: every limit, with its unit and reason. Layer core: freestanding.
#pragma once
#include <cstdint>

namespace vdset::core {

// Coherence unit; lines never have two writers.
inline constexpr std::uint32_t line_bytes = 64;
inline constexpr std::uint32_t devices_max = 64;  // VDI's limit.
// VDI's depth of 4, ClearError, and room for order.
inline constexpr std::uint32_t queue_depth_min = 8;
inline constexpr std::uint32_t queue_depth_max = 128;  // One outstanding bit each, four words.
inline constexpr std::uint32_t queue_depth_default = 16;
inline constexpr std::uint32_t participants_max = 255;  // Indices 0..254; 255 is nobody.
inline constexpr std::uint32_t nobody = 255;
inline constexpr std::uint32_t server_index = 0;
inline constexpr std::uint32_t primary_index = 1;
inline constexpr std::uint32_t first_secondary_index = 2;
// Data segments, so descriptors per process.
inline constexpr std::uint32_t pools_max = 8;
// Buffers per set; 12 index bits of a handle.
inline constexpr std::uint32_t slots_max = 4096;
inline constexpr std::uint32_t index_bits_min = 4;
inline constexpr std::uint32_t index_bits_max = 12;
inline constexpr std::uint32_t salt_bits = 6;
// 0 and 63 unused: no handle is 0 or ~0.
inline constexpr std::uint32_t salt_max = 62;
// Laps, slot generations and epochs in a word.
inline constexpr std::uint32_t generation_bits = 20;
inline constexpr std::uint32_t name_bytes_max = 255;
inline constexpr std::uint32_t reason_text_bytes_max = 128;
inline constexpr std::uint32_t prefix_bytes_max = 4u << 20;
inline constexpr std::uint32_t transfer_bytes_max = 4u << 20;
// VDI: max transfer is a multiple of it.
inline constexpr std::uint32_t transfer_unit_bytes = 65536;
inline constexpr std::uint32_t alignment_max = 65536;
inline constexpr std::uint32_t block_bytes_min = 512;
inline constexpr std::uint32_t block_bytes_max = 65536;
inline constexpr std::uint32_t page_bytes_min = 4096;
inline constexpr std::uint32_t page_bytes_limit = 65536;

static_assert(slots_max == 1u << index_bits_max);
static_assert(salt_bits + index_bits_min + generation_bits <= 32,
              "a handle holds salt, generation, index");
static_assert(queue_depth_max % 32 == 0 && devices_max <= queue_depth_max);
static_assert(alignment_max <= page_bytes_limit, "pool bases are aligned to page_bytes_limit");

}  // namespace vdset::core
