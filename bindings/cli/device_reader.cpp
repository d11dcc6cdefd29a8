// device_reader.cpp: reading a device file back, in pieces of any size.
#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "device_file.hpp"
#include "device_frame.hpp"
#include "failure.hpp"

namespace cli {

DeviceFileReader::DeviceFileReader(const std::string& path)
    : path_(path), file_(open_file(path, O_RDONLY, "cannot open the device file")) {
  header_ = read_device_header(file_.number(), path_, chain_);
  offset_ = device_header_bytes;
}

void DeviceFileReader::fail_damaged(const std::string& what) const {
  fail(ExitCode::damaged, fmt::format("{} (chunk {}, at byte {})", what, chunks_count_, offset_),
       path_, "use another copy of this backup");
}

std::size_t DeviceFileReader::read(MutableByteSpan out) {
  std::size_t filled_bytes = 0;
  while (filled_bytes < out.size() && !ended_) {
    if (!in_chunk_) {
      next_chunk();
      continue;
    }
    const MutableByteSpan rest = out.subspan(filled_bytes);
    filled_bytes += chunk_.codec == Codec::none ? read_stored(rest) : read_compressed(rest);
    if (chunk_taken_bytes_ == chunk_.raw_bytes) {
      in_chunk_ = false;
      offset_ += chunk_.stored_bytes;
      chunks_count_ += 1;
      raw_bytes_ += chunk_.raw_bytes;
      stored_bytes_ += chunk_.stored_bytes;
    }
  }
  return filled_bytes;
}

void DeviceFileReader::next_chunk() {
  std::uint8_t bytes[chunk_header_bytes];
  if (read_fully_at(file_.number(), bytes, offset_, path_) != chunk_header_bytes) {
    fail_damaged("the device file is cut off");
  }
  const std::optional<ChunkFrame> frame = decode_chunk_frame(bytes, chain_);
  if (!frame) fail_damaged("chunk header damaged or out of order");
  chain_ = frame->chain;
  if (frame->ordinal != chunks_count_) fail_damaged("a chunk is missing or doubled");
  offset_ += chunk_header_bytes;
  if (frame->is_trailer) {
    if (frame->raw_total_bytes != raw_bytes_ || frame->stored_total_bytes != stored_bytes_) {
      fail_damaged("the trailer's totals differ");
    }
    std::uint8_t beyond[1];
    if (read_fully_at(file_.number(), beyond, offset_, path_) != 0) {
      fail_damaged("bytes after the trailer");
    }
    ended_ = true;
    return;
  }
  chunk_ = {frame->codec, frame->raw_bytes, frame->stored_bytes, frame->raw_checksum,
            frame->stored_checksum};
  const bool is_stored = chunk_.codec == Codec::none;
  if (chunk_.raw_bytes == 0 || chunk_.raw_bytes > header_.chunk_bytes_max ||
      chunk_.stored_bytes == 0 || chunk_.stored_bytes > chunk_.raw_bytes ||
      (is_stored && chunk_.stored_bytes != chunk_.raw_bytes)) {
    fail_damaged("chunk length out of range");
  }
  if (is_stored && chunk_.raw_checksum != chunk_.stored_checksum) {
    fail_damaged("two checksums of the same bytes differ");
  }
  chunk_taken_bytes_ = 0;
  checksum_.reset();
  in_chunk_ = true;
}

std::size_t DeviceFileReader::read_stored(MutableByteSpan out) {
  const std::size_t want_bytes =
      std::min<std::size_t>(out.size(), chunk_.raw_bytes - chunk_taken_bytes_);
  const MutableByteSpan piece = out.first(want_bytes);
  if (read_fully_at(file_.number(), piece, offset_ + chunk_taken_bytes_, path_) != want_bytes) {
    fail_damaged("the device file is cut off");
  }
  checksum_.add(piece);
  chunk_taken_bytes_ += static_cast<std::uint32_t>(want_bytes);
  if (chunk_taken_bytes_ == chunk_.raw_bytes && checksum_.value() != chunk_.stored_checksum) {
    fail_damaged("chunk checksum differs");
  }
  return want_bytes;
}

std::size_t DeviceFileReader::read_compressed(MutableByteSpan out) {
  if (chunk_taken_bytes_ == 0) {
    if (out.size() >= chunk_.raw_bytes) {
      decompress_into(out.first(chunk_.raw_bytes));
      chunk_taken_bytes_ = chunk_.raw_bytes;
      return chunk_.raw_bytes;
    }
    if (carry_.size() < chunk_.raw_bytes) carry_.resize(header_.chunk_bytes_max);
    decompress_into({carry_.data(), chunk_.raw_bytes});
  }
  const std::size_t want_bytes =
      std::min<std::size_t>(out.size(), chunk_.raw_bytes - chunk_taken_bytes_);
  std::memcpy(out.data(), carry_.data() + chunk_taken_bytes_, want_bytes);
  copied_bytes_ += want_bytes;
  chunk_taken_bytes_ += static_cast<std::uint32_t>(want_bytes);
  return want_bytes;
}

void DeviceFileReader::decompress_into(MutableByteSpan out) {
  if (stored_.size() < chunk_.stored_bytes) stored_.resize(header_.chunk_bytes_max);
  const MutableByteSpan stored(stored_.data(), chunk_.stored_bytes);
  if (read_fully_at(file_.number(), stored, offset_, path_) != stored.size()) {
    fail_damaged("the device file is cut off");
  }
  if (checksum_of(stored) != chunk_.stored_checksum) fail_damaged("chunk checksum differs");
  if (!decompressor_) decompressor_.emplace();
  if (!decompressor_->decompress(stored, out) || checksum_of(out) != chunk_.raw_checksum) {
    fail_damaged("chunk does not decompress to what was stored");
  }
}

}  // namespace cli
