// device_file.hpp: the agent's file, one per device (docs/stream.md, part 2). The agent is the
// storage device of this pair of programs: it keeps what it is given, byte for byte, and knows
// nothing of databases. Chunks are chained by their checksums, so that order and loss are seen here
// already.
#pragma once
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "bytes.hpp"
#include "codec.hpp"
#include "descriptor.hpp"

namespace cli {

inline constexpr std::uint32_t device_file_version = 1;
inline constexpr std::uint32_t device_header_bytes = 512;
inline constexpr std::uint32_t chunk_header_bytes = 48;
inline constexpr std::uint32_t set_name_bytes_max = 255;
/// Commands a device may have in flight; so many chunks at the end of a file may be redelivered.
inline constexpr std::uint32_t redelivered_chunks_max = 128;

struct DeviceFileHeader {
  Uuid backup;
  std::uint32_t device_index = 0;
  std::uint32_t device_count = 0;
  Codec codec = Codec::none;
  std::uint32_t block_bytes = 0;
  std::uint32_t chunk_bytes_max = 0;  // No chunk's raw length is larger.
  std::uint64_t created_unix_ns = 0;
  std::string set_name;
};

/// Reads and judges the header of `path`; throws Failure (damaged, or bad input when it is no such
/// file).
DeviceFileHeader read_device_header(int descriptor, const std::string& path, std::uint64_t& chain);

/// The name of a device's file in a backup directory.
std::string device_file_name(std::uint32_t device_index);

/// Writes one device's file. Single-threaded. A failed call leaves the file unfinished for good.
class DeviceFileWriter {
 public:
  /// A new file, which must not exist yet.
  static DeviceFileWriter create(const std::string& path, const DeviceFileHeader& header);
  /// The unfinished file of a process that died: cuts off what it had not written in full.
  static DeviceFileWriter resume(const std::string& path);

  /// After resume, with the first redelivered command's bytes: cuts off the chunk that holds them,
  /// and all later ones, because their commands come again.
  void drop_redelivered(ByteSpan raw);

  void append(ByteSpan raw);
  /// All chunks so far survive a power cut.
  void sync();
  /// Trailer and sync; nothing may follow.
  void finish();

  std::uint64_t chunks_count() const { return chunks_count_; }
  std::uint64_t raw_bytes() const { return raw_bytes_; }
  std::uint64_t stored_bytes() const { return stored_bytes_; }

 private:
  /// Where a chunk of a resumed file begins, and what came before it.
  struct Mark {
    std::uint64_t offset;
    std::uint64_t chain_before;
    std::uint64_t raw_checksum;
    std::uint32_t raw_bytes;
    std::uint32_t stored_bytes;
  };

  DeviceFileWriter() = default;
  void scan_chunks(std::uint64_t file_bytes);
  void cut_at(std::uint64_t offset);

  std::string path_;
  Descriptor file_;
  DeviceFileHeader header_;
  std::uint64_t offset_ = 0;
  std::uint64_t chain_ = 0;
  std::uint64_t chunks_count_ = 0;
  std::uint64_t raw_bytes_ = 0;
  std::uint64_t stored_bytes_ = 0;
  std::deque<Mark> tail_;
  std::optional<Compressor> compressor_;
  std::vector<std::uint8_t> compressed_;
};

/// Gives back one device's bytes in pieces of any size. Single-threaded.
class DeviceFileReader {
 public:
  explicit DeviceFileReader(const std::string& path);

  /// Fills `out`; fewer bytes only at the end, once the trailer has been checked. Throws Failure on
  /// damage; `out` may then hold bytes of the damaged chunk. Whole chunks are read or decompressed
  /// straight into `out`.
  std::size_t read(MutableByteSpan out);

  const DeviceFileHeader& header() const { return header_; }
  std::uint64_t chunks_count() const { return chunks_count_; }
  std::uint64_t raw_bytes() const { return raw_bytes_; }
  std::uint64_t stored_bytes() const { return stored_bytes_; }
  /// Bytes that were decompressed elsewhere and copied into `out`, because it was too small.
  std::uint64_t copied_bytes() const { return copied_bytes_; }

 private:
  struct Chunk {
    Codec codec = Codec::none;
    std::uint32_t raw_bytes = 0;
    std::uint32_t stored_bytes = 0;
    std::uint64_t raw_checksum = 0;
    std::uint64_t stored_checksum = 0;
  };

  [[noreturn]] void fail_damaged(const std::string& what) const;
  void next_chunk();
  void read_trailer(ByteSpan frame);
  std::size_t read_stored(MutableByteSpan out);
  std::size_t read_compressed(MutableByteSpan out);
  void decompress_into(MutableByteSpan out);

  std::string path_;
  Descriptor file_;
  DeviceFileHeader header_;
  std::uint64_t offset_ = 0;
  std::uint64_t chain_ = 0;
  std::uint64_t chunks_count_ = 0;
  std::uint64_t raw_bytes_ = 0;
  std::uint64_t stored_bytes_ = 0;
  std::uint64_t copied_bytes_ = 0;
  bool ended_ = false;
  bool in_chunk_ = false;
  Chunk chunk_;
  std::uint32_t chunk_taken_bytes_ = 0;  // Raw bytes of the chunk that were given out.
  Checksum checksum_;
  std::optional<Decompressor> decompressor_;
  std::vector<std::uint8_t> stored_;  // A compressed chunk as read.
  std::vector<std::uint8_t> carry_;   // A decompressed chunk that did not fit into `out`.
};

}  // namespace cli
