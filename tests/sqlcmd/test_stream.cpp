// tests/sqlcmd/test_stream.cpp: the two additions that sqlcmd makes to the engine's stream, as the
// parser takes them: a description first, and the length of each next block.
#include "cli/stream.hpp"

#include <doctest/doctest.h>

#include "cli/failure.hpp"

using namespace cli;

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint32_t page_bytes = 4096;
constexpr std::uint64_t pages_count = 3;

BlockHeader head(BlockKind kind, std::uint32_t payload_bytes, std::uint32_t next_bytes) {
  BlockHeader header;
  header.kind = kind;
  header.device_index = 2;
  header.device_count = 5;
  header.database_bytes = pages_count * page_bytes;
  header.page_bytes = page_bytes;
  header.block_bytes = 512;
  header.payload_bytes = payload_bytes;
  header.next_bytes = next_bytes;
  return header;
}

Bytes block(BlockHeader header, std::uint8_t fill) {
  Bytes bytes(description_block_bytes);
  std::fill_n(bytes.begin() + block_header_bytes, header.payload_bytes, fill);
  bytes.resize(seal_block(header, bytes.data()));
  return bytes;
}

BlockHeader description() {
  return head(BlockKind::description, description_payload_bytes, 4608);
}

/// The n-th page of the database, and the blocks of this device before it.
BlockHeader data(std::uint64_t sequence, std::uint32_t next_bytes) {
  BlockHeader header = head(BlockKind::data, page_bytes, next_bytes);
  header.sequence = sequence;
  header.database_offset = sequence * page_bytes;
  header.device_blocks = sequence;
  return header;
}

BlockHeader trailer() {
  BlockHeader header = head(BlockKind::trailer, 0, 0);
  header.sequence = pages_count;
  header.device_blocks = pages_count;
  header.set_payload_bytes = header.database_bytes;
  return header;
}

std::vector<Bytes> whole_stream() {
  return {block(description(), 'd'), block(data(0, 4608), 'a'), block(data(1, 4608), 'b'),
          block(data(2, 512), 'c'), block(trailer(), 0)};
}

/// Feeds blocks; "" or what was found wrong.
std::string verdict(const std::vector<Bytes>& blocks) {
  BlockParser parser(
      BlockParser::any_device, 0, [](const BlockHeader&) {}, [](std::uint64_t, ByteSpan) {});
  try {
    for (const Bytes& bytes : blocks)
      parser.feed(bytes);
    parser.expect_end();
  } catch (const Failure& failure) {
    return failure.text();
  }
  return {};
}

void check_wrong(const std::vector<Bytes>& blocks, const std::string& wanted) {
  const std::string said = verdict(blocks);
  CHECK_MESSAGE(said.find(wanted) != std::string::npos, said);
}

}  // namespace

TEST_CASE("Reads of what is known reach every byte and never the next block") {
  for (const std::uint32_t read_bytes_max : {65536u, 4096u, 512u, 1u}) {
    CAPTURE(read_bytes_max);
    Bytes described;
    Bytes database(pages_count * page_bytes);
    BlockParser parser(
        BlockParser::any_device, 0,
        [](const BlockHeader& header) { CHECK(header.device_index == 2); },
        [&](std::uint64_t offset, ByteSpan bytes) {
          std::copy(bytes.begin(), bytes.end(),
                    database.begin() + static_cast<std::ptrdiff_t>(offset));
        },
        [&](ByteSpan bytes) { described.insert(described.end(), bytes.begin(), bytes.end()); });
    for (const Bytes& bytes : whole_stream()) {
      CHECK(parser.known_bytes() == bytes.size());
      for (std::size_t at = 0; at < bytes.size();) {
        // Within a header the rest of the block is not lost from sight.
        CHECK(parser.known_bytes() == bytes.size() - at);
        const std::size_t piece =
            std::min<std::size_t>({bytes.size() - at, parser.known_bytes(), read_bytes_max});
        parser.feed({bytes.data() + at, piece});
        at += piece;
      }
    }
    CHECK(parser.is_described());
    CHECK(parser.is_finished());
    CHECK(parser.known_bytes() == 0);
    CHECK(described == Bytes(description_payload_bytes, 'd'));
    CHECK(database[0] == 'a');
    CHECK(database[page_bytes] == 'b');
    CHECK(database.back() == 'c');
    CHECK(parser.summary().blocks_count == pages_count);
  }
}

TEST_CASE("a stream that names no lengths is known block by block only") {
  BlockParser parser(
      2, 5, [](const BlockHeader&) {}, [](std::uint64_t, ByteSpan) {});
  const Bytes first = block(data(0, 0), 'a');
  parser.feed(ByteSpan(first).first(block_header_bytes));
  CHECK(parser.known_bytes() == first.size() - block_header_bytes);
  parser.feed(ByteSpan(first).subspan(block_header_bytes));
  CHECK(parser.known_bytes() == 0);
  CHECK_FALSE(parser.is_described());
}

TEST_CASE("what cannot be is damage") {
  CHECK(verdict(whole_stream()) == "");
  std::vector<Bytes> blocks = whole_stream();
  blocks[2] = block(data(1, 512), 'b');
  check_wrong(blocks, "not the block that was announced");
  blocks = whole_stream();
  blocks.insert(blocks.begin() + 1, blocks[0]);
  check_wrong(blocks, "a description in the middle");
  blocks = whole_stream();
  blocks.pop_back();
  check_wrong(blocks, "ends before its trailer");
  BlockHeader header = trailer();
  header.next_bytes = 512;
  check_wrong({block(header, 0)}, "a trailer with a successor");
  header = description();
  header.payload_bytes = 100;
  check_wrong({block(header, 'd')}, "description length out of range");
  header = description();
  header.database_offset = page_bytes;
  check_wrong({block(header, 'd')}, "a description with data");
  header = data(0, 513);
  check_wrong({block(header, 'a')}, "next length out of range");
  header = data(0, transfer_bytes_max + 512);
  check_wrong({block(header, 'a')}, "next length out of range");
}

TEST_CASE("a stream that has not said whose it is has no number in its failure") {
  Bytes junk = block(description(), 'd');
  junk[0] ^= 1;
  CHECK(verdict({junk}).find("4294967295") == std::string::npos);
  check_wrong({junk}, "stream of a device, block 0");
}
