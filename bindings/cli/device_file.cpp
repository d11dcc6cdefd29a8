// device_file.cpp: the header of a device file, and writing one.
#include "device_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "device_frame.hpp"
#include "failure.hpp"
#include "stream.hpp"

namespace cli {

namespace {

constexpr char file_magic[8] = {'V', 'D', 'S', 'E', 'T', 'D', 'E', 'V'};

namespace offset {  // Of the fields of the file header, in bytes.
constexpr int magic = 0, version = 8, header_bytes = 12, backup = 16, device_index = 32,
              device_count = 36, codec = 40, block_bytes = 44, chunk_bytes_max = 48,
              created_unix_ns = 56, set_name_bytes = 64, set_name = 72, checksum = 504;
}  // namespace offset
static_assert(offset::set_name + set_name_bytes_max <= offset::checksum);

void encode_file_header(const DeviceFileHeader& h, std::uint8_t* at) {
  std::memset(at, 0, device_header_bytes);
  std::memcpy(at + offset::magic, file_magic, sizeof file_magic);
  put_u32(at + offset::version, device_file_version);
  put_u32(at + offset::header_bytes, device_header_bytes);
  std::memcpy(at + offset::backup, h.backup.bytes.data(), h.backup.bytes.size());
  put_u32(at + offset::device_index, h.device_index);
  put_u32(at + offset::device_count, h.device_count);
  put_u32(at + offset::codec, static_cast<std::uint32_t>(h.codec));
  put_u32(at + offset::block_bytes, h.block_bytes);
  put_u32(at + offset::chunk_bytes_max, h.chunk_bytes_max);
  put_u64(at + offset::created_unix_ns, h.created_unix_ns);
  put_u32(at + offset::set_name_bytes, static_cast<std::uint32_t>(h.set_name.size()));
  std::memcpy(at + offset::set_name, h.set_name.data(), h.set_name.size());
  put_u64(at + offset::checksum, checksum_of({at, offset::checksum}));
}

const char* judge_file_header(const std::uint8_t* at, const DeviceFileHeader& h) {
  if (get_u32(at + offset::header_bytes) != device_header_bytes) return "header length differs";
  if (get_u32(at + offset::codec) > 1) return "unknown codec: this vdset knows none and zstd";
  if (h.device_count < 1 || h.device_count > devices_count_max) return "device count out of range";
  if (h.device_index >= h.device_count) return "device index out of range";
  if (!is_power_of_two(h.block_bytes) || h.block_bytes < block_bytes_min ||
      h.block_bytes > block_bytes_max) {
    return "block size out of range";
  }
  if (h.chunk_bytes_max == 0 || h.chunk_bytes_max > transfer_bytes_max)
    return "chunk size out of range";
  if (get_u32(at + offset::set_name_bytes) > set_name_bytes_max) return "set name too long";
  return nullptr;
}

}  // namespace

std::string device_file_name(std::uint32_t device_index) {
  return fmt::format("device-{}.vdset", device_index);
}

DeviceFileHeader read_device_header(int descriptor, const std::string& path, std::uint64_t& chain) {
  std::uint8_t head[device_header_bytes];
  const auto damaged = [&](const std::string& what) {
    fail(ExitCode::damaged, what, path, "use another copy of this backup");
  };
  const std::size_t got_bytes = read_fully_at(descriptor, head, 0, path);
  if (got_bytes >= sizeof file_magic && std::memcmp(head, file_magic, sizeof file_magic) != 0) {
    damaged("not a vdset device file, or its head is damaged");
  }
  if (got_bytes != device_header_bytes) damaged("the device file is cut off in its header");
  if (get_u64(head + offset::checksum) != checksum_of({head, offset::checksum})) {
    damaged("device file header checksum differs");
  }
  const std::uint32_t version = get_u32(head + offset::version);
  if (version != device_file_version) {
    fail(ExitCode::bad_input, fmt::format("device file version {}", version), path,
         fmt::format("this vdset reads version {}: use a newer one", device_file_version));
  }
  DeviceFileHeader h;
  std::memcpy(h.backup.bytes.data(), head + offset::backup, h.backup.bytes.size());
  h.device_index = get_u32(head + offset::device_index);
  h.device_count = get_u32(head + offset::device_count);
  h.block_bytes = get_u32(head + offset::block_bytes);
  h.chunk_bytes_max = get_u32(head + offset::chunk_bytes_max);
  h.created_unix_ns = get_u64(head + offset::created_unix_ns);
  if (const char* wrong = judge_file_header(head, h)) damaged(wrong);
  h.codec = static_cast<Codec>(get_u32(head + offset::codec));
  h.set_name.assign(reinterpret_cast<const char*>(head) + offset::set_name,
                    get_u32(head + offset::set_name_bytes));
  chain = get_u64(head + offset::checksum);
  return h;
}

DeviceFileWriter DeviceFileWriter::create(const std::string& path, const DeviceFileHeader& header) {
  DeviceFileWriter writer;
  writer.path_ = path;
  writer.header_ = header;
  writer.file_ = open_file(path, O_RDWR | O_CREAT | O_EXCL, "cannot make the device file");
  std::uint8_t head[device_header_bytes];
  encode_file_header(header, head);
  write_fully_at(writer.file_.number(), head, 0, path);
  writer.offset_ = device_header_bytes;
  writer.chain_ = get_u64(head + offset::checksum);
  return writer;
}

DeviceFileWriter DeviceFileWriter::resume(const std::string& path) {
  DeviceFileWriter writer;
  writer.path_ = path;
  writer.file_ = open_file(path, O_RDWR, "cannot open the device file again");
  struct stat status = {};
  if (::fstat(writer.file_.number(), &status) != 0) fail_errno(errno, "cannot look at", path);
  writer.header_ = read_device_header(writer.file_.number(), path, writer.chain_);
  writer.offset_ = device_header_bytes;
  writer.scan_chunks(static_cast<std::uint64_t>(status.st_size));
  writer.cut_at(writer.offset_);
  return writer;
}

void DeviceFileWriter::scan_chunks(std::uint64_t file_bytes) {
  // Stops at the first frame that is not whole or not of this chain: there the dead process
  // stopped. The last chunk's bytes may be missing from a whole frame only in a power cut: both
  // were written by one call, and the redelivered command writes them again anyway.
  std::uint8_t bytes[chunk_header_bytes];
  while (offset_ + chunk_header_bytes <= file_bytes) {
    if (read_fully_at(file_.number(), bytes, offset_, path_) != chunk_header_bytes) return;
    const std::optional<ChunkFrame> frame = decode_chunk_frame(bytes, chain_);
    if (!frame || frame->is_trailer || frame->ordinal != chunks_count_) return;
    if (frame->stored_bytes > file_bytes - offset_ - chunk_header_bytes) return;
    tail_.push_back({offset_, chain_, frame->raw_checksum, frame->raw_bytes, frame->stored_bytes});
    if (tail_.size() > redelivered_chunks_max) tail_.pop_front();
    offset_ += chunk_header_bytes + frame->stored_bytes;
    chain_ = frame->chain;
    chunks_count_ += 1;
    raw_bytes_ += frame->raw_bytes;
    stored_bytes_ += frame->stored_bytes;
  }
}

void DeviceFileWriter::cut_at(std::uint64_t offset) {
  if (::ftruncate(file_.number(), static_cast<off_t>(offset)) != 0) {
    fail_errno(errno, "cannot cut off the unfinished chunk", path_);
  }
}

void DeviceFileWriter::drop_redelivered(ByteSpan raw) {
  const std::uint64_t raw_checksum = checksum_of(raw);
  std::size_t index = tail_.size();
  for (std::size_t i = 0; i < tail_.size() && index == tail_.size(); ++i) {
    if (tail_[i].raw_checksum == raw_checksum && tail_[i].raw_bytes == raw.size()) index = i;
  }
  for (std::size_t i = tail_.size(); i > index; --i) {
    const Mark& mark = tail_[i - 1];
    offset_ = mark.offset;
    chain_ = mark.chain_before;
    chunks_count_ -= 1;
    raw_bytes_ -= mark.raw_bytes;
    stored_bytes_ -= mark.stored_bytes;
  }
  cut_at(offset_);
  tail_.clear();
}

void DeviceFileWriter::append(ByteSpan raw) {
  ChunkFrame frame;
  frame.codec = Codec::none;
  frame.ordinal = chunks_count_;
  frame.raw_bytes = static_cast<std::uint32_t>(raw.size());
  frame.raw_checksum = checksum_of(raw);
  ByteSpan stored = raw;
  if (header_.codec == Codec::zstd) {
    if (!compressor_) compressor_.emplace();
    // One byte less than the chunk: what does not get smaller is stored as it is.
    if (compressed_.size() < raw.size()) compressed_.resize(header_.chunk_bytes_max);
    const std::size_t stored_bytes =
        compressor_->compress(raw, MutableByteSpan(compressed_.data(), raw.size() - 1));
    if (stored_bytes > 0) {
      frame.codec = Codec::zstd;
      stored = ByteSpan(compressed_.data(), stored_bytes);
    }
  }
  frame.stored_bytes = static_cast<std::uint32_t>(stored.size());
  frame.stored_checksum = frame.codec == Codec::none ? frame.raw_checksum : checksum_of(stored);
  std::uint8_t bytes[chunk_header_bytes];
  const std::uint64_t chain = encode_chunk_frame(frame, chain_, bytes);
  write_frame_at(file_.number(), bytes, stored, offset_, path_);
  offset_ += chunk_header_bytes + stored.size();
  chain_ = chain;
  chunks_count_ += 1;
  raw_bytes_ += raw.size();
  stored_bytes_ += stored.size();
}

void DeviceFileWriter::sync() {
  if (::fdatasync(file_.number()) != 0) fail_errno(errno, "cannot make durable", path_);
}

void DeviceFileWriter::finish() {
  ChunkFrame frame;
  frame.is_trailer = true;
  frame.ordinal = chunks_count_;
  frame.raw_total_bytes = raw_bytes_;
  frame.stored_total_bytes = stored_bytes_;
  std::uint8_t bytes[chunk_header_bytes];
  chain_ = encode_chunk_frame(frame, chain_, bytes);
  write_frame_at(file_.number(), bytes, {}, offset_, path_);
  if (::fsync(file_.number()) != 0) fail_errno(errno, "cannot make durable", path_);
}

}  // namespace cli
