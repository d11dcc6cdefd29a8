// tests/unit/test_server_ring.cpp
// Goal: the server's ring decides from its private shadow; whatever a peer left in a command word
// only selects among the outcomes that the shadow allows, in bounded steps, inside its memory.
// Method: plain memory, words set by hand (half-finished, foreign, of other laps, impossible), the
// outcome due computed here from docs/format.md; a policy that acts for the peer between two
// accesses.
#include "core/server_ring.hpp"
#include "tests/unit/support.hpp"

using namespace vdset;
using namespace vdset::core;
using namespace vdset::unit;

namespace {

constexpr std::uint32_t depth = 8;
constexpr Submission read_64k{opcode_read, 77, 65536, 0};

std::uint32_t state_of(std::uint32_t word) {
  return word & 15;
}
std::uint32_t lap_of(std::uint32_t word) {
  return word >> 12;
}

/// Puts a command into line 0 in lap `lap`; every earlier one was finished by a client.
struct AtLap {
  DeviceMemory<depth> m;
  Ring ring = m.ring();
  std::uint32_t lap;

  explicit AtLap(std::uint32_t to) : lap(to) {
    Completion out{};
    for (std::uint32_t n = 0; n < (to - 1) * depth; ++n) {
      const std::uint32_t line = ring.post(m.a, command_of(n));
      m.finish(line, 2, n / depth + 1);
      REQUIRE(ring.reap(m.a, line, out) == Reaped::done);
    }
    REQUIRE(ring.post(m.a, read_64k) == 0);
  }
};

}  // namespace

TEST_CASE("a posted command lies in its line as the document says, the rest of the line zero") {
  DeviceMemory<depth> m;
  Ring ring = m.ring();
  for (std::uint32_t n = 0; n < depth; ++n) {
    CHECK(ring.post(m.a, command_of(n)) == n);
    const auto* const raw = reinterpret_cast<const std::uint32_t*>(&m.submissions[n]);
    const std::uint32_t due[16] = {1, 2, 0x1000 + n, 0x2000 + n, n + 7, n + 1};
    CHECK(std::memcmp(raw, due, sizeof due) == 0);
    CHECK(ring.is_outstanding(n));
    CHECK(ring.opcode(n) == 2);
    CHECK(ring.handle(n) == 0x1000 + n);
    CHECK(m.word(n) == 0);
  }
  CHECK(ring.outstanding_count() == depth);
  CHECK(ring.tail() == depth);
  CHECK(m.sound());
}

TEST_CASE("the sequence is stored last") {
  DeviceMemory<depth> m;
  Ring ring = m.ring();
  std::vector<Site> sites;
  m.a.before = [&sites](Site site) { sites.push_back(site); };
  ring.post(m.a, command_of(0));
  CHECK(sites.back() == Site::post_sequence);
  CHECK(sites.size() == 6);
}

TEST_CASE("a line is refilled only when its own last command is final, whatever the others are") {
  DeviceMemory<depth> m;
  Ring ring = m.ring();
  Completion out{};
  for (std::uint32_t n = 0; n < depth; ++n)
    ring.post(m.a, command_of(n));
  CHECK_FALSE(ring.can_post());
  for (std::uint32_t n = 1; n < depth; ++n) {
    m.finish(n, 2, 1);
    CHECK(ring.reap(m.a, n, out) == Reaped::done);
    CHECK_FALSE(ring.can_post());
  }
  m.finish(0, 2, 1);
  CHECK_FALSE(ring.can_post());  // DONE in shared memory is nothing until it is reaped.
  CHECK(ring.reap(m.a, 0, out) == Reaped::done);
  CHECK(ring.can_post());
  CHECK(ring.post(m.a, command_of(depth)) == 0);
  CHECK(m.submissions[0].sequence.value == 2);
}

TEST_CASE("only this lap in the line is final; the lap before is pending; all else is told") {
  for (std::uint32_t lap : {1u, 2u, 5u})
    for (std::uint32_t finished : {lap, (lap - 1) & lap_mask, (lap + 1) & lap_mask,
                                   (lap - 2) & lap_mask, lap | 1u << 20, lap | 1u << 31, ~0u})
      for (std::uint32_t word : {command_word(taken, 2, lap), command_word(done, 2, lap), ~0u}) {
        AtLap at(lap);
        at.m.word(0) = word;  // Nobody looks at it while nobody is gone.
        at.m.finished(0) = finished;
        Completion out{};
        const bool due = finished == lap;
        const bool pending = finished == ((lap - 1) & lap_mask);
        CAPTURE(lap);
        CAPTURE(finished);
        CHECK(at.ring.any_final(at.m.a) == !pending);
        CHECK(at.ring.reap(at.m.a, 0, out) == (due       ? Reaped::done
                                               : pending ? Reaped::pending
                                                         : Reaped::corrupt));
        CHECK(at.ring.is_outstanding(0) == !due);
        CHECK(at.m.word(0) == word);
        CHECK(at.m.finished(0) == finished);
        CHECK(at.m.sound());
      }
}

TEST_CASE("results are clamped to what was asked, from the shadow, not from the line") {
  struct Row {
    std::uint32_t opcode, size, claimed, due;
  };
  const Row rows[] = {{opcode_read, 65536, 65536, 65536},
                      {opcode_read, 65536, 65537, 65536},
                      {opcode_read, 65536, ~0u, 65536},
                      {opcode_write, 512, 0, 0},
                      {opcode_write, 512, 1u << 31, 512},
                      {opcode_clear_error, 0, 7, 0},
                      {6, ~0u, 7, 0},
                      {19, 4096, 4096, 0}};
  for (const Row& row : rows) {
    DeviceMemory<depth> m;
    Ring ring = m.ring();
    ring.post(m.a, {row.opcode, 0, row.size, 5});
    m.submissions[0].size.value = ~0u;  // Nobody but the server can; even so.
    m.submissions[0].opcode.value = opcode_read;
    m.client.lines.completions[0] = {{1}, {1117}, {row.claimed}, {9}, {0x80000001u}, {}};
    Completion out{};
    REQUIRE(ring.reap(m.a, 0, out) == Reaped::done);
    CHECK(out.code == 1117);
    CHECK(out.bytes == row.due);
    CHECK(out.position == 0x8000000100000009ull);
  }
}

TEST_CASE("a completion counts once") {
  DeviceMemory<depth> m;
  Ring ring = m.ring();
  ring.post(m.a, read_64k);
  m.finish(0, 2, 1);
  Completion out{};
  REQUIRE(ring.reap(m.a, 0, out) == Reaped::done);
  CHECK_FALSE(ring.is_outstanding(0));
  CHECK(ring.outstanding_count() == 0);
  CHECK_FALSE(ring.any_final(m.a));
  for (std::uint32_t n = 1; n <= depth; ++n) {
    ring.post(m.a, read_64k);
    if (n == depth) break;
    m.finish(n, 2, 1);
    REQUIRE(ring.reap(m.a, n, out) == Reaped::done);
  }
  CHECK(ring.reap(m.a, 0, out) == Reaped::pending);  // What it says is of the last lap.
}

// ---- Recall -----------------------------------------------------------------------------------

TEST_CASE("recall: every word that can be or cannot be has its outcome") {
  for (std::uint32_t lap : {1u, 2u, 5u})
    for (std::uint32_t word : hostile_words(lap)) {
      AtLap at(lap);
      at.m.word(0) = word;
      const bool this_lap = lap_of(word) == lap;
      const bool offer = this_lap && state_of(word) == offered;
      const bool last_lap = ((lap - lap_of(word)) & lap_mask) == 1;
      const Recalled due = offer || last_lap ? Recalled::recalled
                           : this_lap        ? Recalled::delivered
                                             : Recalled::corrupt;
      CAPTURE(word);
      CHECK(at.ring.recall(at.m.a, 0) == due);
      CHECK(at.ring.is_outstanding(0) == (due != Recalled::recalled));
      CHECK(at.m.word(0) == (due == Recalled::recalled ? command_word(failed, 0, lap) : word));
      CHECK(at.m.finished(0) == (due == Recalled::recalled ? lap : lap - 1));
      CHECK(at.m.sound());
    }
}

TEST_CASE("recall loses to a client that takes the command a moment before") {
  AtLap at(3);
  at.m.word(0) = command_word(done, 2, 2);
  at.m.a.before = [&at](Site site) {
    if (site == Site::recall_cas) at.m.word(0) = command_word(taken, 2, 3);
  };
  CHECK(at.ring.recall(at.m.a, 0) == Recalled::delivered);
  CHECK(at.ring.is_outstanding(0));
  CHECK(at.m.word(0) == command_word(taken, 2, 3));
}

TEST_CASE("a scribbler that changes the word before each exchange ends in corrupt, soon") {
  AtLap at(3);
  std::uint32_t turn = 0;
  at.m.word(0) = command_word(idle, 0, 2);
  at.m.a.before = [&](Site site) {
    if (site == Site::recall_cas) at.m.word(0) = command_word(idle, ++turn & 255, 2);
  };
  const std::uint64_t before = at.m.a.accesses;
  CHECK(at.ring.recall(at.m.a, 0) == Recalled::corrupt);
  CHECK(at.ring.is_outstanding(0));
  CHECK(at.m.a.accesses - before < 20);
}

// ---- Sweep ------------------------------------------------------------------------------------

TEST_CASE("sweep: takes back what is not finished, whoever is named; refuses what cannot be") {
  for (bool hand_over : {false, true})
    for (std::uint32_t lap : {1u, 2u, 5u})
      for (std::uint32_t word : hostile_words(lap)) {
        AtLap at(lap);
        at.m.word(0) = word;
        const bool held =
            lap_of(word) == lap && (state_of(word) == taken || state_of(word) == completing);
        const bool queued =
            lap_of(word) == ((lap - 1) & lap_mask) ||
            (lap_of(word) == lap && (state_of(word) == failed || state_of(word) == offered));
        const bool finished = lap_of(word) == lap && state_of(word) == done;
        const Swept due = queued      ? Swept::queued
                          : finished  ? Swept::finished
                          : !held     ? Swept::corrupt
                          : hand_over ? Swept::offered
                                      : Swept::failed;
        CAPTURE(word);
        CHECK(at.ring.is_held(at.m.a, 0) == held);
        CHECK(at.ring.sweep(at.m.a, 0, hand_over) == due);
        CHECK(at.ring.is_outstanding(0) == (due != Swept::failed));
        const std::uint32_t left = held || queued ? command_word(failed, 0, lap) : word;
        CHECK(at.m.word(0) == left);
        CHECK(at.m.sound());
      }
}

TEST_CASE("sweeping twice is sweeping once") {
  AtLap at(2);
  at.m.word(0) = command_word(completing, 9, 2);
  CHECK(at.ring.sweep(at.m.a, 0, true) == Swept::offered);
  CHECK(at.ring.sweep(at.m.a, 0, true) == Swept::queued);
  CHECK(at.ring.sweep(at.m.a, 0, false) == Swept::queued);
  CHECK(at.ring.outstanding_count() == 1);
  at.ring.adopt(at.m.a, at.m.fresh.lines);
  CHECK(at.m.fresh_word(0) == command_word(offered, 0, 2));
}

TEST_CASE("a sweep that meets a late step of the consumer goes by what it finds then") {
  AtLap at(2);
  at.m.word(0) = command_word(taken, 9, 2);
  at.m.a.before = [&at](Site site) {
    if (site == Site::sweep_cas) at.m.word(0) = command_word(done, 9, 2);
  };
  CHECK(at.ring.sweep(at.m.a, 0, false) == Swept::finished);
  CHECK(at.ring.is_outstanding(0));
  at.m.a.before = nullptr;
  // It did not come to say so: its results are taken all the same.
  at.m.client.lines.completions[0].code.value = 42;
  Completion out{};
  CHECK(at.ring.reap(at.m.a, 0, out) == Reaped::pending);
  CHECK(at.ring.take_results(at.m.a, 0).code == 42);
  CHECK_FALSE(at.ring.is_outstanding(0));
}

TEST_CASE("a scribbler that changes the word before each exchange of a sweep ends in corrupt") {
  AtLap at(3);
  std::uint32_t turn = 0;
  at.m.word(0) = command_word(taken, 0, 3);
  at.m.a.before = [&](Site site) {
    if (site == Site::sweep_cas) at.m.word(0) = command_word(taken, ++turn & 255, 3);
  };
  const std::uint64_t before = at.m.a.accesses;
  CHECK(at.ring.sweep(at.m.a, 0, false) == Swept::corrupt);
  CHECK(at.ring.is_outstanding(0));
  CHECK(at.m.a.accesses - before < 20);
}

// ---- A new consumer ---------------------------------------------------------------------------

TEST_CASE("a new consumer starts at the tail when nothing is outstanding") {
  for (std::uint32_t lap : {1u, 4u}) {
    AtLap at(lap);
    CHECK(at.ring.first_outstanding() == (lap - 1) * depth);
    at.ring.forget(0);
    CHECK(at.ring.first_outstanding() == (lap - 1) * depth + 1);
    CHECK(at.ring.first_outstanding() == at.ring.tail());
  }
}

TEST_CASE("a new consumer starts at the oldest outstanding command, over the end of the queue") {
  DeviceMemory<depth> m;
  Ring ring = m.ring();
  Random random(seed());
  CAPTURE(seed());
  std::vector<std::uint32_t> open;  // Positions, oldest first.
  std::uint32_t n = 0;
  Completion out{};
  for (int step = 0; step < 20000; ++step) {
    if (random() % 2 != 0 && ring.can_post()) {
      ring.post(m.a, command_of(n));
      open.push_back(n++);
    } else if (!open.empty()) {
      const std::size_t i = random() % open.size();
      const std::uint32_t line = open[i] % depth;
      m.finish(line, 3, (open[i] / depth + 1) & lap_mask);
      REQUIRE(ring.reap(m.a, line, out) == Reaped::done);
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
    }
    REQUIRE(ring.first_outstanding() == (open.empty() ? n : open.front()));
    REQUIRE(ring.outstanding_count() == open.size());
    REQUIRE(ring.tail() == n);
  }
}

TEST_CASE("a fresh part C is written from the shadow: final, queued and offered lines") {
  AtLap at(3);  // Line 0 outstanding in lap 3, the others final in lap 2.
  for (std::uint32_t n = 1; n < 4; ++n)
    at.ring.post(at.m.a, command_of(n));
  at.m.word(1) = command_word(taken, 5, 3);
  CHECK(at.ring.sweep(at.m.a, 1, true) == Swept::offered);
  at.m.word(2) = command_word(done, 5, 2);
  at.m.word(3) = 0xffffffff;
  at.ring.forget(3);
  at.ring.adopt(at.m.a, at.m.fresh.lines);
  const auto is_final = [](std::uint32_t word, std::uint32_t lap) {
    return lap_of(word) == lap &&
           (state_of(word) == idle || state_of(word) == done || state_of(word) == failed);
  };
  for (std::uint32_t line = 0; line < depth; ++line)
    CHECK(at.m.fresh_finished(line) == (line == 3 ? 3u : 2u));
  CHECK(is_final(at.m.fresh_word(0), 2));
  CHECK(at.m.fresh_word(1) == command_word(offered, 0, 3));
  CHECK(is_final(at.m.fresh_word(2), 2));
  CHECK(is_final(at.m.fresh_word(3), 3));
  for (std::uint32_t line = 4; line < depth; ++line)
    CHECK(is_final(at.m.fresh_word(line), 2));
  CHECK(at.m.sound());
}

TEST_CASE("after the move nothing that is stored into the old part C is seen") {
  AtLap at(2);
  at.ring.adopt(at.m.a, at.m.fresh.lines);
  at.m.finish(0, 2, 2);
  Completion out{};
  CHECK(at.ring.reap(at.m.a, 0, out) == Reaped::pending);
  CHECK_FALSE(at.ring.any_final(at.m.a));
  CHECK(at.ring.recall(at.m.a, 0) == Recalled::recalled);
  CHECK(at.m.fresh_word(0) == command_word(failed, 0, 2));
}

TEST_CASE("a ring that was never used moves to a fresh part C of idle lines") {
  DeviceMemory<depth> m;
  Ring ring = m.ring();
  ring.adopt(m.a, m.fresh.lines);
  for (std::uint32_t line = 0; line < depth; ++line)
    CHECK((m.fresh_word(line) & ~0xff0u) == 0);
  ring.post(m.a, read_64k);
  CHECK(ring.recall(m.a, 0) == Recalled::recalled);
}

// ---- Wrap -------------------------------------------------------------------------------------

TEST_CASE("laps wrap at 2^20: posting, reaping, recalling and sweeping go on") {
  DeviceMemory<1> m;
  ServerRing<RealAtomics> ring(m.submissions, m.client.lines);
  RealAtomics a;
  Completion out{};
  bool right = true;
  const std::uint32_t wrap = 1u << 20;
  for (std::uint32_t n = 0; n < wrap + 10; ++n) {
    const std::uint32_t lap = (n + 1) & lap_mask;
    right = right && ring.can_post() && ring.post(a, command_of(n)) == 0 &&
            m.submissions[0].sequence.value == lap;
    if (n % 3 == 0) {
      right = right && ring.recall(a, 0) == Recalled::recalled;
    } else if (n % 3 == 1) {
      m.word(0) = command_word(taken, 4, lap);
      right = right && ring.sweep(a, 0, false) == Swept::failed;
      ring.adopt(a, m.client.lines);
    } else {
      m.finish(0, 4, lap);
      right = right && ring.reap(a, 0, out) == Reaped::done;
    }
    if (n + 4 > wrap) ring.adopt(a, m.client.lines);
  }
  CHECK(right);
  CHECK(ring.outstanding_count() == 0);
}

TEST_CASE("whatever a scribbler does to every line, no call runs long, stops or goes outside") {
  Random random(seed());
  CAPTURE(seed());
  DeviceMemory<depth> m;
  Ring ring = m.ring();
  Completion out{};
  for (int step = 0; step < 50000; ++step) {
    if (ring.can_post()) ring.post(m.a, read_64k);
    const std::uint32_t line = random() % depth;
    const auto words = hostile_words(m.submissions[line].sequence.value);
    for (std::uint32_t i = 0; i < depth; ++i) {
      m.finished(i) = random() % 8 == 0 ? random() : m.submissions[i].sequence.value - random() % 3;
      m.word(i) = random() % 8 == 0 ? random() : words[random() % words.size()];
    }
    const std::uint64_t before = m.a.accesses;
    if (ring.is_outstanding(line)) {
      const std::uint32_t call = random() % 4;
      if (call == 0) static_cast<void>(ring.reap(m.a, line, out));
      if (call == 1) static_cast<void>(ring.recall(m.a, line));
      if (call == 2) static_cast<void>(ring.sweep(m.a, line, random() % 2 != 0));
      if (call == 3) static_cast<void>(ring.is_held(m.a, line));
    }
    static_cast<void>(ring.any_final(m.a));
    if (step % 64 == 0) ring.adopt(m.a, m.client.lines);
    REQUIRE(m.a.accesses - before < 100);
    REQUIRE(ring.outstanding_count() <= depth);
  }
  CHECK(m.sound());
}
