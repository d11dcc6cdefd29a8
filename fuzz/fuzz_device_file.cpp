// fuzz/fuzz_device_file.cpp: any bytes as a device file (docs/stream.md, part 2), raw or with a
// chain made right, so that the judging behind it is reached. Oracle: what was built without a lie
// is given back byte for byte, and what was built with one is refused; in pieces of any size a file
// says the same; going on with a file of a writer that died, twice equals once.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <vector>
#include "bindings/cli/device_file.hpp"
#include "bindings/cli/device_frame.hpp"
#include "bindings/cli/failure.hpp"
#include "fuzz/fuzz.hpp"

using namespace cli;
using vdset::fuzz::Input;

namespace {

using Bytes = std::vector<std::uint8_t>;

vdset::fuzz::Goal given_back("a file of several chunks that is given back");
vdset::fuzz::Goal compressed("a compressed chunk");
vdset::fuzz::Goal lie_refused("a file that is refused for a lie behind its header");
vdset::fuzz::Goal raw_header("raw bytes whose header is accepted");
vdset::fuzz::Goal went_on("a file without a trailer that is gone on with");
vdset::fuzz::Goal cut_off("a file that loses its damaged end when it is gone on with");

struct File {
  Bytes bytes;
  Bytes raw;  // What its chunks hold.
  std::uint32_t chunks = 0;
  bool lies = false;  // Something in it cannot be.
};

/// Puts a field; a lie is one that changes it.
void put(File& file, std::size_t at, std::uint32_t value, Input& in, bool lies) {
  const std::uint32_t lie = lies ? in.word() : value;
  file.lies = file.lies || lie != value;
  put_u32(file.bytes.data() + at, lie);
}

void build_header(File& file, Input& in) {
  const std::uint32_t lie = in.below(32);
  file.bytes.assign(device_header_bytes, 0);
  std::copy_n("VDSETDEV", 8, file.bytes.begin());
  put(file, 8, 1, in, lie == 1);
  put(file, 12, 512, in, lie == 2);
  const std::uint32_t count = 1 + in.below(64);
  put_u32(file.bytes.data() + 32, in.below(count));
  put_u32(file.bytes.data() + 36, count);
  if (lie == 3) {
    put_u32(file.bytes.data() + 36, 65 + in.word() % 1000000);
    file.lies = true;
  }
  put_u32(file.bytes.data() + 40, in.below(2));
  put_u32(file.bytes.data() + 44, 512u << in.below(8));
  if (lie == 4) {
    put_u32(file.bytes.data() + 44, 513 + 2 * in.word() % 65536);
    file.lies = true;
  }
  // A chunk is at most so long; a lie may be a number that is right.
  put_u32(file.bytes.data() + 48, lie == 5 ? 4194305 + in.byte() : 65536u << in.below(7));
  file.lies = file.lies || lie == 5;
  const std::uint32_t name = in.byte();
  put_u32(file.bytes.data() + 64, lie == 6 ? 256 + name : name);
  file.lies = file.lies || lie == 6;
  put_u64(file.bytes.data() + 504, checksum_of(ByteSpan(file.bytes).first(504)));
  if (lie == 7) {
    file.bytes[504] ^= 1;
    file.lies = true;
  }
}

Bytes content(Input& in) {
  Bytes raw(1 + in.below(4) * 700u + in.byte());
  const std::uint8_t step = in.below(2) == 0 ? 0 : in.byte();
  std::uint8_t value = in.byte();
  for (std::uint8_t& byte : raw)
    byte = value = static_cast<std::uint8_t>(value * 5 + step);
  return raw;
}

/// A chunk or the trailer, with at most one lie; the chain goes on.
void add(File& file, std::uint64_t& chain, ChunkFrame frame, Bytes stored, std::uint32_t lie) {
  const ChunkFrame honest = frame;
  switch (lie) {
    case 1: frame.ordinal += 1; break;
    case 2: frame.raw_bytes = 0; break;
    case 3: frame.raw_bytes = 4194305; break;
    case 4: frame.stored_bytes += 1; break;
    case 5: frame.stored_checksum ^= 1; break;
    case 6: frame.raw_total_bytes += 1; break;
    case 7: frame.stored_total_bytes -= 1; break;
    case 8: chain ^= 1; break;
    case 9:
      if (!stored.empty()) stored.back() ^= 1;
      break;
    case 10: frame.codec = frame.codec == Codec::none ? Codec::zstd : Codec::none; break;
    case 11: frame.raw_checksum ^= 1; break;
    default: break;
  }
  const bool is_told =
      lie == 8 || (lie == 9 && !stored.empty()) || frame.ordinal != honest.ordinal ||
      (frame.is_trailer ? lie == 6 || lie == 7 : (lie >= 2 && lie <= 5) || lie == 10 || lie == 11);
  file.lies = file.lies || is_told;
  std::uint8_t head[chunk_header_bytes];
  chain = encode_chunk_frame(frame, chain, head);
  file.bytes.insert(file.bytes.end(), head, head + sizeof head);
  file.bytes.insert(file.bytes.end(), stored.begin(), stored.end());
}

File build(Input& in) {
  File file;
  build_header(file, in);
  std::uint64_t chain = get_u64(file.bytes.data() + 504);
  Compressor compressor;
  ChunkFrame end;
  end.is_trailer = true;
  file.chunks = in.below(8);
  for (std::uint32_t i = 0; i < file.chunks; ++i) {
    const Bytes raw = content(in);
    ChunkFrame frame;
    Bytes stored(raw.size());
    const std::size_t small =
        in.flip() ? compressor.compress(raw, MutableByteSpan(stored).first(raw.size() - 1)) : 0;
    frame.codec = small > 0 ? Codec::zstd : Codec::none;
    if (small > 0) compressed.reach();
    if (small > 0)
      stored.resize(small);
    else
      stored = raw;
    frame.raw_bytes = static_cast<std::uint32_t>(raw.size());
    frame.stored_bytes = static_cast<std::uint32_t>(stored.size());
    frame.ordinal = i;
    frame.raw_checksum = checksum_of(raw);
    frame.stored_checksum = checksum_of(stored);
    add(file, chain, frame, stored, in.below(64));
    file.raw.insert(file.raw.end(), raw.begin(), raw.end());
    end.raw_total_bytes += raw.size();
    end.stored_total_bytes += stored.size();
  }
  end.ordinal = file.chunks;
  if (in.below(8) == 0)
    file.lies = true;  // No trailer.
  else
    add(file, chain, end, {}, in.below(64));
  if (in.below(16) == 0) {
    file.bytes.push_back(in.byte());
    file.lies = true;
  }
  return file;
}

/// The bytes as a file, under a name that can be opened.
class Memory {
 public:
  explicit Memory(ByteSpan bytes) : descriptor_(memfd_create("device", MFD_CLOEXEC)) {
    const auto size = static_cast<ssize_t>(bytes.size());
    VDSET_HOLDS(write(descriptor_, bytes.data(), bytes.size()) == size);
  }
  ~Memory() { close(descriptor_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }
  off_t bytes() const {
    struct stat status = {};
    VDSET_HOLDS(fstat(descriptor_, &status) == 0);
    return status.st_size;
  }

 private:
  int descriptor_;
};

struct Outcome {
  bool damaged = false;
  Bytes raw;  // Up to the last whole piece.
};

Outcome read_all(const Memory& memory, std::size_t piece) {
  Outcome out;
  try {
    DeviceFileReader reader(memory.path());
    Bytes part(piece);
    for (std::size_t got = piece; got == piece;) {
      got = reader.read(part);
      VDSET_HOLDS(got <= piece);
      out.raw.insert(out.raw.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(got));
    }
    VDSET_HOLDS(reader.raw_bytes() == out.raw.size());
    VDSET_HOLDS(reader.header().device_index < reader.header().device_count);
  } catch (const Failure&) {
    out.damaged = true;
  }
  return out;
}

struct Resumed {
  bool refused = false;
  std::uint64_t chunks = 0, raw = 0, stored = 0;
  off_t bytes = 0;
  bool operator==(const Resumed&) const = default;
};

Resumed resume(const Memory& memory) {
  Resumed out;
  try {
    const DeviceFileWriter writer = DeviceFileWriter::resume(memory.path());
    out = {false, writer.chunks_count(), writer.raw_bytes(), writer.stored_bytes(), 0};
    out.bytes = memory.bytes();
    VDSET_HOLDS(static_cast<std::uint64_t>(out.bytes) ==
                device_header_bytes + out.chunks * chunk_header_bytes + out.stored);
  } catch (const Failure&) {
    out.refused = true;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const std::size_t piece = 1 + in.byte() * 16u;
  File file;
  const bool built = in.flip();
  if (built)
    file = build(in);
  else
    file.bytes.assign(in.rest(), in.rest() + in.left());
  const Memory memory(file.bytes);
  const Outcome whole = read_all(memory, file.bytes.size() + 65536);
  const Outcome cut = read_all(memory, piece);
  VDSET_HOLDS(whole.damaged == cut.damaged);
  if (!whole.damaged) VDSET_HOLDS(whole.raw == cut.raw);
  if (built) VDSET_HOLDS(whole.damaged == file.lies);
  if (built && !file.lies) VDSET_HOLDS(whole.raw == file.raw);
  const off_t before = memory.bytes();
  const Resumed once = resume(memory);
  VDSET_HOLDS(once.refused || once.bytes <= before);
  VDSET_HOLDS(resume(memory) == once);
  if (built && !file.lies && file.chunks > 1) given_back.reach();
  if (built && whole.damaged && !cut.raw.empty()) lie_refused.reach();
  if (!built && !once.refused) raw_header.reach();
  if (once.chunks > 0) went_on.reach();
  if (once.chunks > 0 && once.bytes < before) cut_off.reach();
  return 0;
}
