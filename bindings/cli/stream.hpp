// stream.hpp: the engine's stream, what passes through the devices (docs/stream.md, part 1). Blocks
// describe themselves, so that the split over devices need not be the same twice and no loss,
// doubling or truncation goes unnoticed. Bytes that a reader gets here are hostile until checked.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "bytes.hpp"
#include "failure.hpp"

namespace cli {

inline constexpr std::uint32_t stream_version = 1;
inline constexpr std::uint32_t block_header_bytes = 128;
inline constexpr std::uint32_t block_bytes_min = 512;
inline constexpr std::uint32_t block_bytes_max = 65536;
inline constexpr std::uint32_t transfer_bytes_max = 4194304;
inline constexpr std::uint32_t page_bytes_min = 512;
inline constexpr std::uint32_t page_bytes_max = 65536;
inline constexpr std::uint32_t devices_count_max = 64;
static_assert(block_header_bytes < block_bytes_min, "a trailer fits into the smallest block");
// Whole blocks of any size, and no longer than any set's largest transfer: the first Read of a
// device can ask for a description before anything is known of the stream.
inline constexpr std::uint32_t description_block_bytes = 65536;
inline constexpr std::uint32_t description_payload_bytes =
    description_block_bytes - block_header_bytes;

enum class BlockKind : std::uint32_t { data = 1, trailer = 2, description = 3 };

/// One block's head, decoded. docs/stream.md has the offsets.
struct BlockHeader {
  BlockKind kind = BlockKind::data;
  Uuid backup;
  std::uint32_t device_index = 0;
  std::uint32_t device_count = 0;
  std::uint64_t sequence = 0;         // Data: number in the set. Trailer: data blocks of the set.
  std::uint64_t database_offset = 0;  // Data: where the payload belongs. Trailer: 0.
  std::uint32_t payload_bytes = 0;
  std::uint32_t stored_bytes = 0;    // Header, payload and padding: a multiple of block_bytes.
  std::uint64_t database_bytes = 0;  // Size of the database file.
  std::uint32_t page_bytes = 0;      // 0 only for a database without pages.
  std::uint32_t block_bytes = 0;
  std::uint64_t device_blocks = 0;      // Data blocks of this device before this block.
  std::uint64_t set_payload_bytes = 0;  // Trailer: payload of all data blocks of the set.
  std::uint64_t checksum = 0;           // Of everything after the header, padding included.
  std::uint32_t next_bytes = 0;         // Length of the device's next block; 0: not said, or none.
};

void encode_block_header(const BlockHeader& header,
                         std::span<std::uint8_t, block_header_bytes> out);

/// Pads the block, sums it up and puts its header before it. Returns the whole length.
std::uint32_t seal_block(BlockHeader& header, std::uint8_t* buffer);

/// Empty when `bytes` is a header that can be believed, else what is wrong with it.
std::string decode_block_header(std::span<const std::uint8_t, block_header_bytes> bytes,
                                BlockHeader& out);

/// What one device's stream said, for judging the set as a whole.
struct DeviceSummary {
  BlockHeader trailer;
  std::uint64_t blocks_count = 0;
  std::uint64_t payload_bytes = 0;
  std::uint64_t sequence_fingerprint = 0;  // Sum of a hash of each sequence number.
};

/// Takes one device's bytes in pieces of any size and hands out payload. Holds no more than a
/// header. Payload is handed out before the checksum at its block's end is known to be right: the
/// sink must write where nobody looks until is_finished() and judge_set() have spoken.
class BlockParser {
 public:
  using HeaderSink = std::function<void(const BlockHeader&)>;
  using PayloadSink = std::function<void(std::uint64_t database_offset, ByteSpan)>;
  using DescriptionSink = std::function<void(ByteSpan)>;
  static constexpr std::uint32_t any_device = 0xFFFFFFFF;

  /// `device_index` any_device: whatever the first block says that it is, of however many.
  BlockParser(std::uint32_t device_index, std::uint32_t device_count, HeaderSink on_header,
              PayloadSink on_payload, DescriptionSink on_description = {});

  /// Throws Failure (damaged) at the first byte that proves damage.
  void feed(ByteSpan bytes);

  /// True when the trailer has been read and checked.
  bool is_finished() const { return finished_; }

  /// True when the description has been read and checked.
  bool is_described() const { return described_; }

  /// How many bytes come next for certain: the rest of the block, or the whole next one. 0 when the
  /// stream does not say, or is finished.
  std::uint32_t known_bytes() const;

  /// Throws when the stream may not end here.
  void expect_end() const;

  const DeviceSummary& summary() const { return summary_; }

 private:
  [[noreturn]] void fail_damaged(const std::string& what) const;
  ByteSpan take_header(ByteSpan bytes);
  ByteSpan take_body(ByteSpan bytes);
  void begin_block();
  void judge_order(const BlockHeader& header) const;
  void end_block();

  std::uint32_t device_index_;
  std::uint32_t device_count_;
  HeaderSink on_header_;
  PayloadSink on_payload_;
  DescriptionSink on_description_;
  std::uint8_t head_[block_header_bytes] = {};
  std::uint32_t head_filled_bytes_ = 0;
  BlockHeader block_;
  bool in_body_ = false;
  bool has_first_ = false;
  bool finished_ = false;
  bool described_ = false;
  std::uint32_t body_taken_bytes_ = 0;
  std::uint64_t sequence_next_min_ = 0;
  BlockHeader first_;
  Checksum checksum_;
  DeviceSummary summary_;
};

/// Throws Failure (damaged) unless the devices together are one whole backup: same identity, sizes
/// and totals, and sequence numbers that are 0, 1, 2 ... without gap or doubling.
void judge_set(std::span<const DeviceSummary> devices);

}  // namespace cli
