// device_frame.hpp: the frame before each chunk of a device file, and the trailer, which has the
// same size and magic of its own. `chain` covers the frame and, through the previous chain, all
// before it.
#pragma once
#include <optional>
#include <string>

#include "bytes.hpp"
#include "codec.hpp"

namespace cli {

struct ChunkFrame {
  bool is_trailer = false;
  Codec codec = Codec::none;
  std::uint32_t raw_bytes = 0;
  std::uint32_t stored_bytes = 0;
  std::uint64_t ordinal = 0;  // Trailer: how many chunks.
  std::uint64_t raw_checksum = 0;
  std::uint64_t stored_checksum = 0;
  std::uint64_t raw_total_bytes = 0;     // Trailer only, at the place of raw_checksum.
  std::uint64_t stored_total_bytes = 0;  // Trailer only, at the place of stored_checksum.
  std::uint64_t chain = 0;               // Set by decode.
};

/// Writes chunk_header_bytes bytes to `out` and returns the new chain.
std::uint64_t encode_chunk_frame(const ChunkFrame& frame, std::uint64_t chain_before,
                                 std::uint8_t* out);

/// Nothing when the bytes are not a frame that follows `chain_before`.
std::optional<ChunkFrame> decode_chunk_frame(const std::uint8_t* bytes, std::uint64_t chain_before);

/// Frame and chunk with one call when the system takes them so; throws Failure.
void write_frame_at(int descriptor, const std::uint8_t* frame, ByteSpan stored,
                    std::uint64_t offset, const std::string& path);

}  // namespace cli
