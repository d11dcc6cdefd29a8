// tests/unit/test_region.cpp
// Goal: sizes and places are those of docs/format.md; a header is written as documented and judged
// word by word: a spoiled word is refused with the verdict that names it.
// Method: the document's formulas in 64 bits, written here; bytes at the document's offsets; every
// word and every bit of the header flipped in turn.
#include "core/region.hpp"
#include <array>
#include "tests/unit/support.hpp"

using namespace vdset;
using namespace vdset::core;

namespace {

RealAtomics a;

std::uint64_t up(std::uint64_t value, std::uint64_t to) {
  return (value + to - 1) / to * to;
}

/// docs/format.md, "Part S" and "Sizes".
struct Documented {
  std::uint64_t lines, alive, s, c, w;
  Documented(std::uint64_t devices, std::uint64_t depth, std::uint64_t page)
      : lines(up(0x6000 + 512 * devices, 4096)),
        alive(up(lines + 64 * devices * depth, 65536)),
        s(alive + 65536),
        c(up(64 + 128 * depth, page)),
        w(up(0x2000, page)) {}
};

constexpr Geometry honest{3, 16, 4096, 1, 17, {11, 22, 33, 44}};

/// A part S with an honest header, its bytes to be spoiled.
struct Part {
  std::vector<Word> words;
  explicit Part(const Geometry& g = honest) : words(g.s_bytes() / 4) {
    write_header(a, *reinterpret_cast<ServerHeader*>(words.data()), g);
  }
  std::uint32_t& at(std::size_t offset) { return words[offset / 4].value; }
  gsl::span<std::byte> bytes() {
    return {reinterpret_cast<std::byte*>(words.data()), words.size() * 4};
  }
  Verdict judge(Geometry& out) { return judge_header(a, bytes(), out); }
  Verdict judge() {
    Geometry out{};
    return judge(out);
  }
};

/// What the document demands of a header with these numbers in an S of `bytes` bytes.
Verdict due_verdict(Part& part) {
  const auto word = [&part](std::size_t offset) { return std::uint64_t{part.at(offset)}; };
  const auto power = [](std::uint64_t v) { return v != 0 && (v & (v - 1)) == 0; };
  const bool ranges = word(40) >= 1 && word(40) <= 64 && power(word(44)) && word(44) >= 8 &&
                      word(44) <= 128 && power(word(36)) && word(36) >= 4096 &&
                      word(36) <= 65536 && word(48) < 8 && word(52) >= 1 && word(52) <= 62;
  if (!ranges) return Verdict::out_of_range;
  const Documented due(word(40), word(44), word(36));
  const bool sizes = word(32) == part.bytes().size() && due.s == word(32) && word(56) == 0x6000 &&
                     due.lines == word(60) && due.alive == word(64);
  return sizes ? Verdict::sound : Verdict::sizes_disagree;
}

}  // namespace

TEST_CASE("sizes and offsets follow the document for every geometry") {
  bool right = true;
  for (std::uint32_t page = 4096; page <= 65536; page *= 2)
    for (std::uint32_t depth = 8; depth <= 128; depth *= 2)
      for (std::uint32_t devices = 1; devices <= 64; ++devices) {
        const Geometry g{devices, depth, page, 0, 1, {}};
        const Documented due(devices, depth, page);
        right = right && is_geometry_sound(g) && g.lines_offset() == due.lines &&
                g.alive_offset() == due.alive && g.s_bytes() == due.s && g.c_bytes() == due.c &&
                g.w_bytes() == due.w && due.alive % 65536 == 0;
      }
  CHECK(right);
}

TEST_CASE("a geometry outside of the document's ranges is unsound") {
  const auto sound = [](auto change) {
    Geometry g = honest;
    change(g);
    return is_geometry_sound(g);
  };
  CHECK(sound([](Geometry&) {}));
  for (std::uint32_t n : {0u, 65u, ~0u})
    CHECK_FALSE(sound([n](Geometry& g) { g.device_count = n; }));
  for (std::uint32_t n : {0u, 4u, 7u, 9u, 24u, 129u, 256u})
    CHECK_FALSE(sound([n](Geometry& g) { g.queue_depth = n; }));
  for (std::uint32_t n : {0u, 2048u, 4097u, 12288u, 131072u})
    CHECK_FALSE(sound([n](Geometry& g) { g.page_bytes = n; }));
  for (std::uint32_t n : {8u, 0x80000000u})
    CHECK_FALSE(sound([n](Geometry& g) { g.options = n; }));
  for (std::uint32_t n : {0u, 63u, 64u})
    CHECK_FALSE(sound([n](Geometry& g) { g.salt = n; }));
}

TEST_CASE("a header is written at the document's offsets, and the rest stays zero") {
  Part part;
  const Documented due(3, 16, 4096);
  const std::array<std::uint32_t, 17> golden = {0x65736476,
                                                0x53000074,
                                                0x00020000,
                                                0x01020304,
                                                11,
                                                22,
                                                33,
                                                44,
                                                static_cast<std::uint32_t>(due.s),
                                                4096,
                                                3,
                                                16,
                                                1,
                                                17,
                                                0x6000,
                                                static_cast<std::uint32_t>(due.lines),
                                                static_cast<std::uint32_t>(due.alive)};
  for (std::size_t i = 0; i < golden.size(); ++i) {
    CAPTURE(i);
    CHECK(part.words[i].value == golden[i]);
  }
  bool zero = true;
  for (std::size_t i = golden.size(); i < part.words.size(); ++i)
    zero = zero && part.words[i].value == 0;
  CHECK(zero);
}

TEST_CASE("an honest header is sound and read back whole") {
  for (std::uint32_t page : {4096u, 16384u, 65536u})
    for (std::uint32_t devices : {1u, 8u, 64u}) {
      const Geometry g{devices, 128, page, 7, 62, {1, 2, 3, 4}};
      Part part(g);
      Geometry out{};
      CHECK(part.judge(out) == Verdict::sound);
      CHECK(out.device_count == devices);
      CHECK(out.queue_depth == 128);
      CHECK(out.page_bytes == page);
      CHECK(out.options == 7);
      CHECK(out.salt == 62);
      CHECK(out.uuid[0] == 1);
      CHECK(out.uuid[3] == 4);
    }
}

TEST_CASE("magic, byte order and version: each spoiled bit has its own verdict") {
  for (std::uint32_t bit = 0; bit < 32; ++bit) {
    CAPTURE(bit);
    Part part;
    part.at(0) ^= 1u << bit;
    CHECK(part.judge() == Verdict::foreign_magic);
    part = Part();
    part.at(4) ^= 1u << bit;
    CHECK(part.judge() == Verdict::foreign_magic);
    part = Part();
    part.at(8) ^= 1u << bit;
    CHECK(part.judge() == (bit < 16 ? Verdict::sound : Verdict::foreign_version));
  }
}

TEST_CASE("a byte order word that is not this machine's is refused, whatever it holds") {
  Part part;
  part.at(12) = 0x04030201;
  CHECK(part.judge() == Verdict::foreign_byte_order);
  for (std::uint32_t value : {0u, 1u, 0xffffffffu, 0x01020305u, 0x02010403u}) {
    CAPTURE(value);
    part.at(12) = value;
    CHECK(part.judge() == Verdict::foreign_byte_order);
  }
}

TEST_CASE("a region of the other byte order is told from a foreign file") {
  Part part;
  for (std::size_t offset = 0; offset <= 64; offset += 4)
    part.at(offset) = __builtin_bswap32(part.at(offset));
  CHECK(part.judge() == Verdict::foreign_byte_order);
}

TEST_CASE("numbers: each spoiled bit is refused as the document's ranges and formulas say") {
  for (std::size_t offset : {32u, 36u, 40u, 44u, 48u, 52u, 56u, 60u, 64u})
    for (std::uint32_t bit = 0; bit < 32; ++bit) {
      Part part;
      part.at(offset) ^= 1u << bit;
      CAPTURE(offset);
      CAPTURE(bit);
      CHECK(part.judge() == due_verdict(part));
    }
}

TEST_CASE("zero and all ones are refused in every number of the header") {
  for (std::size_t offset : {32u, 36u, 40u, 44u, 52u, 56u, 60u, 64u})
    for (std::uint32_t value : {0u, ~0u}) {
      Part part;
      part.at(offset) = value;
      CAPTURE(offset);
      CHECK(part.judge() != Verdict::sound);
    }
}

TEST_CASE("the uuid is not judged, and reserved fields are ignored") {
  Part part;
  for (std::size_t offset = 16; offset < 32; offset += 4)
    part.at(offset) = ~part.at(offset);
  for (std::size_t offset = 68; offset < 256; offset += 4)
    part.at(offset) = 0xdeadbeef;
  Geometry out{};
  CHECK(part.judge(out) == Verdict::sound);
  CHECK(out.uuid[0] == ~11u);
}

TEST_CASE("a part that is cut or padded is refused, and a refusal writes nothing") {
  Part part;
  Geometry out{9, 9, 9, 9, 9, {}};
  const gsl::span<const std::byte> whole = part.bytes();
  for (std::size_t size : {std::size_t{0}, std::size_t{4}, std::size_t{4095}}) {
    CHECK(judge_header(a, whole.first(size), out) == Verdict::too_short);
  }
  for (std::size_t size : {std::size_t{4096}, whole.size() - 65536, whole.size() - 1})
    CHECK(judge_header(a, whole.first(size), out) == Verdict::sizes_disagree);
  std::vector<std::byte> padded(whole.begin(), whole.end());
  padded.resize(padded.size() + 4096);
  CHECK(judge_header(a, gsl::span<const std::byte>(padded), out) == Verdict::sizes_disagree);
  CHECK(out.device_count == 9);
}

TEST_CASE("judging loads every header word once") {
  Part part;
  unit::Watched watched;
  watched.allow(part.words.data(), 4096);
  Geometry out{};
  CHECK(judge_header(watched, part.bytes(), out) == Verdict::sound);
  CHECK(watched.outside == 0);
  CHECK(watched.accesses == 17);
}

TEST_CASE("the places of part S are the document's, for the server and for a reader") {
  Part part;
  const ServerPart s = server_part(part.bytes(), honest);
  const ServerPartView v = server_part_view(part.bytes(), honest);
  const auto* const base = reinterpret_cast<const std::byte*>(part.words.data());
  const auto offset = [base](const auto* at) {
    return static_cast<std::size_t>(reinterpret_cast<const std::byte*>(at) - base);
  };
  const Documented due(3, 16, 4096);
  CHECK(offset(s.header) == 0);
  CHECK(offset(&s.participants[1]) == 0x1000 + 16);
  CHECK(offset(&s.slots[7]) == 0x2000 + 4 * 7);
  CHECK(offset(&s.rows[2]) == 0x6000 + 512 * 2);
  CHECK(offset(&s.ring(2)[5]) == due.lines + 64 * (2 * 16 + 5));
  CHECK(offset(&s.alive[254]) == due.alive + 16 * 254);
  CHECK(offset(&v.ring(1)[15]) == due.lines + 64 * (16 + 15));
  CHECK(s.slots.size() == 4096);
  CHECK(s.participants.size() == 255);
  CHECK(s.rows.size() == 3);
  CHECK(s.ring(0).size() == 16);
  CHECK(v.alive.size() == 255);
}

TEST_CASE("part C is the gate, then the completion lines, then the command lines") {
  std::vector<std::byte> c(honest.c_bytes());
  const ClientPart part = client_part(c, honest);
  CHECK(reinterpret_cast<std::byte*>(part.header) == c.data());
  CHECK(reinterpret_cast<std::byte*>(&part.lines.completions[3]) == c.data() + 64 + 64 * 3);
  CHECK(part.lines.completions.size() == 16);
  CHECK(reinterpret_cast<std::byte*>(&part.lines.commands[3]) == c.data() + 64 + 64 * 16 + 64 * 3);
  CHECK(part.lines.commands.size() == 16);
}

TEST_CASE("a pool row is written at the document's offsets and read back") {
  std::array<std::uint32_t, 16> row{};
  const PoolPlan plan{1, 2, 3, 4, 5, 6, 7};
  write_pool(a, *reinterpret_cast<PoolRow*>(row.data()), plan);
  for (std::uint32_t i = 0; i < 16; ++i)
    CHECK(row[i] == (i < 7 ? i + 1 : 0));
  const PoolPlan back = read_pool(a, *reinterpret_cast<const PoolRow*>(row.data()));
  CHECK(back.first_slot == 1);
  CHECK(back.pool_lines == 7);
  CHECK(back.bytes() == 7 * 64);
}

TEST_CASE("text is bytes in words, zero-filled, for every length") {
  char long_text[128];
  for (int i = 0; i < 128; ++i)
    long_text[i] = static_cast<char>(i * 7 + 129);
  for (std::size_t bytes = 0; bytes <= 128; ++bytes) {
    Word words[32];
    for (Word& word : words)
      word.value = ~0u;
    write_text(a, words, gsl::span<const char>(long_text, bytes));
    const auto* const raw = reinterpret_cast<const char*>(words);
    bool right = std::memcmp(raw, long_text, bytes) == 0;
    for (std::size_t i = bytes; i < 128; ++i)
      right = right && raw[i] == 0;
    char back[128] = {};
    read_text(a, gsl::span<const Word>(words), gsl::span<char>(back, bytes));
    CAPTURE(bytes);
    CHECK(right);
    CHECK(std::memcmp(back, long_text, bytes) == 0);
  }
}
