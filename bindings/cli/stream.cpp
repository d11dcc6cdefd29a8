// stream.cpp: encoding and checking of the engine's stream.
#include "stream.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

namespace cli {

namespace {

constexpr char block_magic[8] = {'V', 'D', 'S', 'E', 'T', 'B', 'L', 'K'};

namespace offset {  // Of the fields of a block header, in bytes.
constexpr int magic = 0, version = 8, kind = 12, backup = 16, device_index = 32, device_count = 36,
              sequence = 40, database_offset = 48, payload_bytes = 56, stored_bytes = 60,
              database_bytes = 64, page_bytes = 72, block_bytes = 76, device_blocks = 80,
              set_payload_bytes = 88, checksum = 96, next_bytes = 104, header_checksum = 120;
}  // namespace offset

const char* judge_geometry(const BlockHeader& h) {
  if (h.device_count < 1 || h.device_count > devices_count_max) return "device count out of range";
  if (h.device_index >= h.device_count) return "device index out of range";
  if (!is_power_of_two(h.block_bytes) || h.block_bytes < block_bytes_min ||
      h.block_bytes > block_bytes_max) {
    return "block size out of range";
  }
  if (h.stored_bytes < block_header_bytes || h.stored_bytes > transfer_bytes_max ||
      h.stored_bytes % h.block_bytes != 0) {
    return "stored length out of range";
  }
  if (h.payload_bytes > h.stored_bytes - block_header_bytes) return "payload longer than its block";
  if (h.stored_bytes - block_header_bytes - h.payload_bytes >= h.block_bytes)
    return "padding too long";
  if (h.next_bytes > transfer_bytes_max || h.next_bytes % h.block_bytes != 0) {
    return "next length out of range";
  }
  return nullptr;
}

const char* judge_contents(const BlockHeader& h) {
  if (h.kind == BlockKind::trailer) {
    if (h.payload_bytes != 0 || h.database_offset != 0) return "a trailer with payload";
    if (h.next_bytes != 0) return "a trailer with a successor";
  } else if (h.kind == BlockKind::description) {
    if (h.stored_bytes != description_block_bytes) return "description length out of range";
    if (h.database_offset != 0 || h.set_payload_bytes != 0) return "a description with data";
  } else {
    if (h.payload_bytes == 0) return "a data block without payload";
    if (h.set_payload_bytes != 0) return "a data block with totals";
  }
  if (h.database_bytes == 0) {
    return h.kind == BlockKind::data ? "payload of an empty database" : nullptr;
  }
  if (!is_power_of_two(h.page_bytes) || h.page_bytes < page_bytes_min ||
      h.page_bytes > page_bytes_max) {
    return "page size out of range";
  }
  if (h.database_bytes % h.page_bytes != 0) return "database size is not whole pages";
  if (h.database_bytes > static_cast<std::uint64_t>(INT64_MAX)) return "database size out of range";
  if (h.kind == BlockKind::description) return nullptr;
  if (h.database_offset > h.database_bytes ||
      h.payload_bytes > h.database_bytes - h.database_offset) {
    return "payload beyond the end of the database";
  }
  return nullptr;
}

std::uint64_t sequence_hash(std::uint64_t sequence) {
  std::uint8_t bytes[8];
  put_u64(bytes, sequence);
  return checksum_of(bytes);
}

}  // namespace

void encode_block_header(const BlockHeader& h, std::span<std::uint8_t, block_header_bytes> out) {
  std::uint8_t* at = out.data();
  std::memset(at, 0, block_header_bytes);
  std::memcpy(at + offset::magic, block_magic, sizeof block_magic);
  put_u32(at + offset::version, stream_version);
  put_u32(at + offset::kind, static_cast<std::uint32_t>(h.kind));
  std::memcpy(at + offset::backup, h.backup.bytes.data(), h.backup.bytes.size());
  put_u32(at + offset::device_index, h.device_index);
  put_u32(at + offset::device_count, h.device_count);
  put_u64(at + offset::sequence, h.sequence);
  put_u64(at + offset::database_offset, h.database_offset);
  put_u32(at + offset::payload_bytes, h.payload_bytes);
  put_u32(at + offset::stored_bytes, h.stored_bytes);
  put_u64(at + offset::database_bytes, h.database_bytes);
  put_u32(at + offset::page_bytes, h.page_bytes);
  put_u32(at + offset::block_bytes, h.block_bytes);
  put_u64(at + offset::device_blocks, h.device_blocks);
  put_u64(at + offset::set_payload_bytes, h.set_payload_bytes);
  put_u64(at + offset::checksum, h.checksum);
  put_u32(at + offset::next_bytes, h.next_bytes);
  put_u64(at + offset::header_checksum, checksum_of({at, offset::header_checksum}));
}

std::uint32_t seal_block(BlockHeader& header, std::uint8_t* buffer) {
  const std::uint64_t used_bytes = block_header_bytes + header.payload_bytes;
  header.stored_bytes = static_cast<std::uint32_t>(round_up(used_bytes, header.block_bytes));
  std::memset(buffer + used_bytes, 0, header.stored_bytes - used_bytes);
  header.checksum =
      checksum_of({buffer + block_header_bytes, header.stored_bytes - block_header_bytes});
  encode_block_header(header,
                      std::span<std::uint8_t, block_header_bytes>(buffer, block_header_bytes));
  return header.stored_bytes;
}

std::string decode_block_header(std::span<const std::uint8_t, block_header_bytes> bytes,
                                BlockHeader& out) {
  const std::uint8_t* at = bytes.data();
  if (std::memcmp(at + offset::magic, block_magic, sizeof block_magic) != 0) return "no block here";
  if (get_u64(at + offset::header_checksum) != checksum_of({at, offset::header_checksum})) {
    return "header checksum differs";
  }
  const std::uint32_t version = get_u32(at + offset::version);
  if (version != stream_version) {
    return fmt::format("stream version {}, this vdset reads {}", version, stream_version);
  }
  const std::uint32_t kind = get_u32(at + offset::kind);
  if (kind < 1 || kind > 3) return "unknown block kind";
  BlockHeader h;
  h.kind = static_cast<BlockKind>(kind);
  std::memcpy(h.backup.bytes.data(), at + offset::backup, h.backup.bytes.size());
  h.device_index = get_u32(at + offset::device_index);
  h.device_count = get_u32(at + offset::device_count);
  h.sequence = get_u64(at + offset::sequence);
  h.database_offset = get_u64(at + offset::database_offset);
  h.payload_bytes = get_u32(at + offset::payload_bytes);
  h.stored_bytes = get_u32(at + offset::stored_bytes);
  h.database_bytes = get_u64(at + offset::database_bytes);
  h.page_bytes = get_u32(at + offset::page_bytes);
  h.block_bytes = get_u32(at + offset::block_bytes);
  h.device_blocks = get_u64(at + offset::device_blocks);
  h.set_payload_bytes = get_u64(at + offset::set_payload_bytes);
  h.checksum = get_u64(at + offset::checksum);
  h.next_bytes = get_u32(at + offset::next_bytes);
  if (const char* wrong = judge_geometry(h)) return wrong;
  if (const char* wrong = judge_contents(h)) return wrong;
  out = h;
  return {};
}

BlockParser::BlockParser(std::uint32_t device_index, std::uint32_t device_count,
                         HeaderSink on_header, PayloadSink on_payload,
                         DescriptionSink on_description)
    : device_index_(device_index),
      device_count_(device_count),
      on_header_(std::move(on_header)),
      on_payload_(std::move(on_payload)),
      on_description_(std::move(on_description)) {}

void BlockParser::fail_damaged(const std::string& what) const {
  const std::string device = device_index_ == any_device
                                 ? "stream of a device"
                                 : fmt::format("stream of device {}", device_index_);
  fail(ExitCode::damaged, what, fmt::format("{}, block {}", device, summary_.blocks_count),
       "use another copy of this backup");
}

void BlockParser::feed(ByteSpan bytes) {
  while (!bytes.empty()) {
    if (finished_) fail_damaged("bytes after the trailer");
    bytes = in_body_ ? take_body(bytes) : take_header(bytes);
  }
}

ByteSpan BlockParser::take_header(ByteSpan bytes) {
  const std::size_t want_bytes = block_header_bytes - head_filled_bytes_;
  const std::size_t taken_bytes = std::min(bytes.size(), want_bytes);
  std::memcpy(head_ + head_filled_bytes_, bytes.data(), taken_bytes);
  head_filled_bytes_ += static_cast<std::uint32_t>(taken_bytes);
  if (head_filled_bytes_ == block_header_bytes) begin_block();
  return bytes.subspan(taken_bytes);
}

void BlockParser::begin_block() {
  BlockHeader header;
  const std::string wrong = decode_block_header(head_, header);
  if (!wrong.empty()) fail_damaged(wrong);
  if (device_index_ == any_device) {
    device_index_ = header.device_index;
    device_count_ = header.device_count;
  }
  judge_order(header);
  if (!has_first_) first_ = header;
  has_first_ = true;
  block_ = header;
  head_filled_bytes_ = 0;
  body_taken_bytes_ = 0;
  in_body_ = true;
  checksum_.reset();
  on_header_(block_);
}

void BlockParser::judge_order(const BlockHeader& header) const {
  if (header.device_index != device_index_ || header.device_count != device_count_) {
    fail_damaged(fmt::format("this is device {} of {}, not {} of {}", header.device_index,
                             header.device_count, device_index_, device_count_));
  }
  if (header.device_blocks != summary_.blocks_count) fail_damaged("a block is missing or doubled");
  if (header.kind == BlockKind::data && header.sequence < sequence_next_min_) {
    fail_damaged("sequence numbers run backwards");
  }
  if (!has_first_) return;
  if (header.kind == BlockKind::description) fail_damaged("a description in the middle");
  if (block_.next_bytes != 0 && header.stored_bytes != block_.next_bytes) {
    fail_damaged("not the block that was announced");
  }
  if (header.backup != first_.backup) fail_damaged("a block of another backup");
  if (header.database_bytes != first_.database_bytes || header.page_bytes != first_.page_bytes) {
    fail_damaged("the database's size changes");
  }
}

ByteSpan BlockParser::take_body(ByteSpan bytes) {
  const std::uint32_t body_bytes = block_.stored_bytes - block_header_bytes;
  const std::size_t taken_bytes =
      std::min<std::size_t>(bytes.size(), body_bytes - body_taken_bytes_);
  checksum_.add(bytes.first(taken_bytes));
  if (body_taken_bytes_ < block_.payload_bytes) {
    const ByteSpan payload =
        bytes.first(std::min<std::size_t>(taken_bytes, block_.payload_bytes - body_taken_bytes_));
    if (block_.kind != BlockKind::description) {
      on_payload_(block_.database_offset + body_taken_bytes_, payload);
    } else if (on_description_) {
      on_description_(payload);
    }
  }
  body_taken_bytes_ += static_cast<std::uint32_t>(taken_bytes);
  if (body_taken_bytes_ == body_bytes) end_block();
  return bytes.subspan(taken_bytes);
}

void BlockParser::end_block() {
  if (checksum_.value() != block_.checksum) fail_damaged("block checksum differs");
  in_body_ = false;
  if (block_.kind == BlockKind::trailer) {
    summary_.trailer = block_;
    finished_ = true;
    return;
  }
  if (block_.kind == BlockKind::description) {
    described_ = true;
    return;
  }
  summary_.blocks_count += 1;
  summary_.payload_bytes += block_.payload_bytes;
  summary_.sequence_fingerprint += sequence_hash(block_.sequence);
  sequence_next_min_ = block_.sequence + 1;
}

std::uint32_t BlockParser::known_bytes() const {
  if (finished_) return 0;
  if (in_body_) return block_.stored_bytes - block_header_bytes - body_taken_bytes_;
  const std::uint32_t block_bytes = has_first_ ? block_.next_bytes : description_block_bytes;
  return block_bytes - std::min(block_bytes, head_filled_bytes_);
}

void BlockParser::expect_end() const {
  if (!finished_) fail_damaged("the stream ends before its trailer");
}

void judge_set(std::span<const DeviceSummary> devices) {
  const auto damaged = [](const std::string& what) {
    fail(ExitCode::damaged, what, "the devices together", "put the files of one backup together");
  };
  if (devices.empty()) damaged("no device");
  const BlockHeader& expected = devices.front().trailer;
  std::uint64_t blocks_count = 0;
  std::uint64_t payload_bytes = 0;
  std::uint64_t fingerprint = 0;
  for (const DeviceSummary& device : devices) {
    const BlockHeader& trailer = device.trailer;
    if (trailer.backup != expected.backup) damaged("devices of different backups");
    if (trailer.sequence != expected.sequence || trailer.device_count != expected.device_count ||
        trailer.set_payload_bytes != expected.set_payload_bytes ||
        trailer.database_bytes != expected.database_bytes ||
        trailer.page_bytes != expected.page_bytes) {
      damaged("the devices' totals disagree");
    }
    blocks_count += device.blocks_count;
    payload_bytes += device.payload_bytes;
    fingerprint += device.sequence_fingerprint;
  }
  if (devices.size() != expected.device_count) damaged("wrong number of devices");
  if (blocks_count != expected.sequence) damaged("blocks are missing");
  if (payload_bytes != expected.set_payload_bytes) damaged("payload is missing");
  // Numbers ascend within a device; the sum over all of them proves (2^-64) that none is twice.
  for (std::uint64_t sequence = 0; sequence < blocks_count; ++sequence) {
    fingerprint -= sequence_hash(sequence);
  }
  if (fingerprint != 0) damaged("sequence numbers are not 0, 1, 2 ... once each");
}

}  // namespace cli
