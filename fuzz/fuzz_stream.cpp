// fuzz/fuzz_stream.cpp: any bytes as the engine's stream (docs/stream.md, part 1), raw or with
// checksums made right so that the judging behind them is reached. Oracle: cut into pieces anywhere
// it says the same; payload lies inside of the database; what it accepts to the end is whole.
#include <algorithm>
#include <vector>
#include "bindings/cli/stream.hpp"
#include "fuzz/fuzz.hpp"

using namespace cli;
using vdset::fuzz::Input;

namespace {

vdset::fuzz::Goal whole_stream("a stream with payload that is accepted to its end");
vdset::fuzz::Goal cut_stream("a stream without a trailer");
vdset::fuzz::Goal late_damage("damage behind a block that is accepted");
vdset::fuzz::Goal raw_block("raw bytes with a block that is accepted");

struct Outcome {
  bool damaged = false;
  bool finished = false;
  bool ends = false;
  std::uint64_t payload_bytes = 0;
  std::uint64_t blocks = 0;
};

Outcome parse(const std::vector<std::uint8_t>& bytes, std::size_t piece) {
  Outcome out;
  BlockHeader header;
  BlockParser parser(
      0, 2, [&](const BlockHeader& h) { header = h; },
      [&](std::uint64_t offset, ByteSpan payload) {
        VDSET_HOLDS(offset <= header.database_bytes);
        VDSET_HOLDS(payload.size() <= header.database_bytes - offset);
        out.payload_bytes += payload.size();
      });
  try {
    for (std::size_t at = 0; at < bytes.size(); at += piece)
      parser.feed(ByteSpan(bytes.data() + at, std::min(piece, bytes.size() - at)));
  } catch (const Failure&) {
    out.damaged = true;
  }
  out.finished = parser.is_finished();
  out.blocks = parser.summary().blocks_count;
  try {
    parser.expect_end();
    out.ends = true;
  } catch (const Failure&) {
  }
  return out;
}

/// Blocks with sound checksums and fields that the input chooses, mostly near right ones.
std::vector<std::uint8_t> build(Input& in) {
  std::vector<std::uint8_t> out;
  BlockHeader h;
  h.device_count = 2;
  h.block_bytes = 512;
  h.page_bytes = 512;
  h.database_bytes = 512ull * in.byte();
  std::uint64_t payload = 0, offset = 0;
  while (in.left() > 0 && out.size() < 65536) {
    const bool last = in.below(8) == 0;
    h.kind = last ? BlockKind::trailer : BlockKind::data;
    h.payload_bytes = last ? 0 : in.byte() * 4u;
    const std::uint32_t needed = block_header_bytes + h.payload_bytes;
    h.stored_bytes = (needed + 511) / 512 * 512;
    payload += h.payload_bytes;
    h.set_payload_bytes = last ? payload : 0;
    h.database_offset = last ? 0 : offset;
    switch (in.below(16)) {  // One lie.
      case 0: h.sequence = in.word(); break;
      case 1: h.database_offset = in.word(); break;
      case 2: h.payload_bytes = in.word(); break;
      case 3: h.stored_bytes = in.word(); break;
      case 4: h.device_blocks = in.word(); break;
      case 5: h.database_bytes = in.word(); break;
      case 6: h.block_bytes = in.word(); break;
      case 7: h.page_bytes = in.word(); break;
      default: break;
    }
    const std::uint32_t stored = std::min<std::uint32_t>(h.stored_bytes, 8192);
    std::vector<std::uint8_t> body(stored > block_header_bytes ? stored - block_header_bytes : 0);
    Checksum sum;
    sum.add(body);
    h.checksum = sum.value();
    std::uint8_t head[block_header_bytes];
    encode_block_header(h, head);
    out.insert(out.end(), head, head + sizeof head);
    out.insert(out.end(), body.begin(), body.end());
    ++h.sequence;
    ++h.device_blocks;
    if (!last) offset = h.database_offset + h.payload_bytes;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const std::size_t piece = 1 + in.byte();
  std::vector<std::uint8_t> bytes;
  const bool built = in.flip();
  if (built)
    bytes = build(in);
  else
    bytes.assign(in.rest(), in.rest() + in.left());
  const Outcome whole = parse(bytes, bytes.size() + 1);
  const Outcome cut = parse(bytes, piece);
  VDSET_HOLDS(whole.damaged == cut.damaged && whole.finished == cut.finished);
  VDSET_HOLDS(whole.payload_bytes == cut.payload_bytes && whole.blocks == cut.blocks);
  VDSET_HOLDS(whole.ends == cut.ends);
  if (whole.ends && !whole.damaged) VDSET_HOLDS(whole.finished);
  if (whole.ends && !whole.damaged && whole.payload_bytes > 0) whole_stream.reach();
  if (!whole.ends && !whole.damaged && whole.blocks > 0) cut_stream.reach();
  if (whole.damaged && whole.blocks > 0) late_damage.reach();
  if (!built && whole.blocks > 0) raw_block.reach();
  return 0;
}
