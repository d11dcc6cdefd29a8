// codec.hpp: compression of one chunk at a time, with contexts whose memory is bounded.
#pragma once
#include <cstdint>
#include <memory>

#include "bytes.hpp"

namespace cli {

enum class Codec : std::uint32_t { none = 0, zstd = 1 };

const char* codec_name(Codec codec);

class Compressor {
 public:
  Compressor();
  ~Compressor();
  /// Bytes written to `out`, or 0 when it does not fit: then the chunk is stored as it is.
  std::size_t compress(ByteSpan raw, MutableByteSpan out);

 private:
  void* context_;
};

class Decompressor {
 public:
  Decompressor();
  ~Decompressor();
  /// True when `stored` was one whole frame of exactly out.size() bytes.
  bool decompress(ByteSpan stored, MutableByteSpan out);

 private:
  void* context_;
};

}  // namespace cli
