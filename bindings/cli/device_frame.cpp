// device_frame.cpp: encoding, decoding and writing of frames.
#include "device_frame.hpp"

#include <sys/uio.h>

#include <cerrno>
#include <cstring>

#include "descriptor.hpp"
#include "device_file.hpp"
#include "failure.hpp"

namespace cli {

namespace {

constexpr char chunk_magic[4] = {'V', 'D', 'C', 'H'};
constexpr char trailer_magic[4] = {'V', 'D', 'T', 'R'};

namespace offset {  // Of the fields of a frame, in bytes.
constexpr int magic = 0, codec = 4, raw_bytes = 8, stored_bytes = 12, ordinal = 16,
              raw_checksum = 24, stored_checksum = 32, chain = 40;
}  // namespace offset
static_assert(offset::chain + 8 == chunk_header_bytes);

std::uint64_t chain_of(const std::uint8_t* frame, std::uint64_t chain_before) {
  std::uint8_t covered[8 + offset::chain];
  put_u64(covered, chain_before);
  std::memcpy(covered + 8, frame, offset::chain);
  return checksum_of(covered);
}

}  // namespace

std::uint64_t encode_chunk_frame(const ChunkFrame& frame, std::uint64_t chain_before,
                                 std::uint8_t* out) {
  std::memcpy(out + offset::magic, frame.is_trailer ? trailer_magic : chunk_magic, 4);
  put_u32(out + offset::codec, static_cast<std::uint32_t>(frame.codec));
  put_u32(out + offset::raw_bytes, frame.raw_bytes);
  put_u32(out + offset::stored_bytes, frame.stored_bytes);
  put_u64(out + offset::ordinal, frame.ordinal);
  put_u64(out + offset::raw_checksum,
          frame.is_trailer ? frame.raw_total_bytes : frame.raw_checksum);
  put_u64(out + offset::stored_checksum,
          frame.is_trailer ? frame.stored_total_bytes : frame.stored_checksum);
  const std::uint64_t chain = chain_of(out, chain_before);
  put_u64(out + offset::chain, chain);
  return chain;
}

std::optional<ChunkFrame> decode_chunk_frame(const std::uint8_t* bytes,
                                             std::uint64_t chain_before) {
  ChunkFrame frame;
  frame.is_trailer = std::memcmp(bytes + offset::magic, trailer_magic, 4) == 0;
  if (!frame.is_trailer && std::memcmp(bytes + offset::magic, chunk_magic, 4) != 0) return {};
  frame.chain = get_u64(bytes + offset::chain);
  if (frame.chain != chain_of(bytes, chain_before)) return {};
  const std::uint32_t codec = get_u32(bytes + offset::codec);
  if (codec > 1) return {};
  frame.codec = static_cast<Codec>(codec);
  frame.raw_bytes = get_u32(bytes + offset::raw_bytes);
  frame.stored_bytes = get_u32(bytes + offset::stored_bytes);
  frame.ordinal = get_u64(bytes + offset::ordinal);
  const std::uint64_t raw_field = get_u64(bytes + offset::raw_checksum);
  const std::uint64_t stored_field = get_u64(bytes + offset::stored_checksum);
  (frame.is_trailer ? frame.raw_total_bytes : frame.raw_checksum) = raw_field;
  (frame.is_trailer ? frame.stored_total_bytes : frame.stored_checksum) = stored_field;
  return frame;
}

void write_frame_at(int descriptor, const std::uint8_t* frame, ByteSpan stored,
                    std::uint64_t offset, const std::string& path) {
  iovec parts[2] = {{const_cast<std::uint8_t*>(frame), chunk_header_bytes},
                    {const_cast<std::uint8_t*>(stored.data()), stored.size()}};
  ssize_t written = -1;
  do {
    written = ::pwritev(descriptor, parts, stored.empty() ? 1 : 2, static_cast<off_t>(offset));
  } while (written < 0 && errno == EINTR);
  if (written < 0) fail_errno(errno, "cannot write", path);
  // A short write: the rest goes the plain way, which says why if it cannot.
  std::size_t done_bytes = static_cast<std::size_t>(written);
  if (done_bytes < chunk_header_bytes) {
    write_fully_at(descriptor, {frame + done_bytes, chunk_header_bytes - done_bytes},
                   offset + done_bytes, path);
    done_bytes = chunk_header_bytes;
  }
  write_fully_at(descriptor, stored.subspan(done_bytes - chunk_header_bytes), offset + done_bytes,
                 path);
}

}  // namespace cli
