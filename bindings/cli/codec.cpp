// codec.cpp: zstd, level 1: a device should be limited by its disk, not by its compressor.
#include "codec.hpp"

#include <zstd.h>

#include <new>

namespace cli {

namespace {
constexpr int compression_level = 1;
// Frames of a chunk need no window larger than a chunk (4 MiB = 2^22).
constexpr int window_log_max = 22;
}  // namespace

const char* codec_name(Codec codec) {
  return codec == Codec::zstd ? "zstd" : "none";
}

Compressor::Compressor() : context_(ZSTD_createCCtx()) {
  if (context_ == nullptr) throw std::bad_alloc();
  auto* context = static_cast<ZSTD_CCtx*>(context_);
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, compression_level);
  // The chunk's own checksums cover raw and stored bytes: zstd's would be a third.
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 0);
}

Compressor::~Compressor() {
  ZSTD_freeCCtx(static_cast<ZSTD_CCtx*>(context_));
}

std::size_t Compressor::compress(ByteSpan raw, MutableByteSpan out) {
  const std::size_t result = ZSTD_compress2(static_cast<ZSTD_CCtx*>(context_), out.data(),
                                            out.size(), raw.data(), raw.size());
  return ZSTD_isError(result) ? 0 : result;
}

Decompressor::Decompressor() : context_(ZSTD_createDCtx()) {
  if (context_ == nullptr) throw std::bad_alloc();
  ZSTD_DCtx_setParameter(static_cast<ZSTD_DCtx*>(context_), ZSTD_d_windowLogMax, window_log_max);
}

Decompressor::~Decompressor() {
  ZSTD_freeDCtx(static_cast<ZSTD_DCtx*>(context_));
}

bool Decompressor::decompress(ByteSpan stored, MutableByteSpan out) {
  const std::size_t result = ZSTD_decompressDCtx(static_cast<ZSTD_DCtx*>(context_), out.data(),
                                                 out.size(), stored.data(), stored.size());
  return !ZSTD_isError(result) && result == out.size();
}

}  // namespace cli
