// tests/unit/test_client_ring.cpp
// Goal: a client fetches every command once and in order, completes what it fetched and nothing
// else, starts where the grant says, and no state in shared memory makes a call loop or go outside.
// Method: plain memory, both parts set by hand; then together with the server's ring over laps and
// wraps.
#include "core/client_ring.hpp"
#include "tests/unit/support.hpp"

using namespace vdset;
using namespace vdset::core;
using namespace vdset::unit;

namespace {

constexpr std::uint32_t depth = 8;
constexpr std::uint32_t me = 2;

/// Writes command n into its line by hand, as the document says.
template <std::uint32_t d>
void submit(DeviceMemory<d>& m, std::uint32_t n, std::uint32_t opcode = opcode_write) {
  const Submission c = command_of(n);
  m.submissions[n % d] = {{(n / d + 1) & lap_mask},
                          {opcode},
                          {c.handle},
                          {c.size},
                          {static_cast<std::uint32_t>(c.position)},
                          {static_cast<std::uint32_t>(c.position >> 32)},
                          {}};
}

}  // namespace

TEST_CASE("an empty ring is empty, and not ready") {
  DeviceMemory<depth> m;
  Consumer client = m.consumer();
  Taken out{};
  CHECK_FALSE(client.ready(m.a));
  CHECK(client.take(m.a, out) == Take::empty);
}

TEST_CASE("commands are taken in order, whole, and each once") {
  DeviceMemory<depth> m;
  Consumer client = m.consumer();
  Taken out{};
  for (std::uint32_t n = 0; n < depth; ++n)
    submit(m, n);
  for (std::uint32_t n = 0; n < depth; ++n) {
    CHECK(client.ready(m.a));
    REQUIRE(client.take(m.a, out) == Take::got);
    CHECK(out.line == n);
    CHECK(out.lap == 1);
    CHECK_FALSE(out.redelivered);
    CHECK(is_command(out.command, n));
    CHECK(m.word(n) == command_word(taken, me, 1));
  }
  CHECK_FALSE(client.ready(m.a));
  CHECK(client.take(m.a, out) == Take::empty);
  CHECK(m.sound());
}

TEST_CASE("take: every word that can be or cannot be has its outcome") {
  for (std::uint32_t lap : {1u, 2u, 5u})
    for (std::uint32_t word : hostile_words(lap)) {
      DeviceMemory<depth> m;
      const std::uint32_t n = (lap - 1) * depth;
      submit(m, n);
      m.word(0) = word;
      Consumer client = m.consumer(me, n);
      Taken out{};
      const std::uint32_t ahead = ((word >> 12) - lap) & lap_mask;
      const bool offer = ahead == 0 && (word & 15) == offered;
      const bool past = ahead < 0x80000 && !offer;
      CAPTURE(word);
      CHECK(client.ready(m.a));
      CHECK(client.take(m.a, out) == (past ? Take::empty : Take::got));  // Line 1 is empty.
      CHECK(m.word(0) == (past ? word : command_word(taken, me, lap)));
      if (!past) CHECK(out.redelivered == offer);
      if (!past) CHECK(is_command(out.command, n));
      CHECK(m.sound());
    }
}

TEST_CASE("a command that was offered comes flagged as redelivered, one that was not does not") {
  DeviceMemory<depth> m;
  submit(m, 0);
  submit(m, 1);
  m.word(0) = command_word(offered, 0, 1);
  m.word(1) = command_word(offered, 0, 0);  // An offer of the last lap is no offer of this one.
  Consumer client = m.consumer();
  Taken out{};
  REQUIRE(client.take(m.a, out) == Take::got);
  CHECK(out.redelivered);
  REQUIRE(client.take(m.a, out) == Take::got);
  CHECK_FALSE(out.redelivered);
}

TEST_CASE("recalled and finished commands are skipped, not delivered") {
  DeviceMemory<depth> m;
  for (std::uint32_t n = 0; n < 5; ++n)
    submit(m, n);
  m.word(0) = command_word(failed, 0, 1);
  m.word(1) = command_word(done, me, 1);
  m.word(2) = command_word(taken, me, 1);
  m.word(3) = command_word(completing, me, 1);
  Consumer client = m.consumer();
  Taken out{};
  CHECK(client.ready(m.a));
  REQUIRE(client.take(m.a, out) == Take::got);
  CHECK(out.line == 4);
}

TEST_CASE("a sequence of an older lap is empty; of a newer one, the position is skipped") {
  for (std::uint32_t lap : {1u, 3u, 0xfffffu, 0u})
    for (std::int32_t ahead = -3; ahead <= 3; ++ahead) {
      DeviceMemory<depth> m;
      const std::uint32_t n = ((lap - 1) & lap_mask) * depth;
      submit(m, n);
      m.submissions[0].sequence.value = (lap + static_cast<std::uint32_t>(ahead)) & lap_mask;
      m.submissions[1].sequence.value = (lap - 1) & lap_mask;
      m.word(0) = command_word(done, me, (lap - 1) & lap_mask);
      Consumer client = m.consumer(me, n);
      Taken out{};
      CHECK(client.ready(m.a) == (ahead >= 0));
      CHECK(client.take(m.a, out) == (ahead == 0 ? Take::got : Take::empty));
    }
}

TEST_CASE("skipping is bounded by twice the depth and then says again, so that nobody sleeps") {
  DeviceMemory<depth> m;
  for (auto& line : m.submissions)
    line.sequence.value = 100;
  Consumer client = m.consumer();
  Taken out{};
  std::uint32_t again = 0;
  std::uint64_t before = m.a.accesses;
  while (client.take(m.a, out) == Take::again) {
    CHECK(m.a.accesses - before <= 2 * depth * 4);
    before = m.a.accesses;
    ++again;
    REQUIRE(again < 200);
    CHECK(client.ready(m.a));
    before = m.a.accesses;
  }
  CHECK(again == 99 / 2);
}

TEST_CASE("high bits of a sequence are not part of the lap") {
  DeviceMemory<depth> m;
  submit(m, 0);
  m.submissions[0].sequence.value |= 0xfff00000u;
  Consumer client = m.consumer();
  Taken out{};
  CHECK(client.ready(m.a));
  CHECK(client.take(m.a, out) == Take::got);
}

TEST_CASE("a pool that is not mapped here leaves the command queued until it is") {
  DeviceMemory<depth> m;
  Word pool_count{1};
  m.a.allow(&pool_count, sizeof pool_count);
  Consumer client = m.consumer();
  client.watch_pools(pool_count);
  client.know_pools(1);
  submit(m, 0);
  pool_count.value = 2;
  Taken out{};
  for (int i = 0; i < 3; ++i) {
    CHECK(client.ready(m.a));
    CHECK(client.take(m.a, out) == Take::need_pool);
    CHECK(m.word(0) == 0);
  }
  client.know_pools(2);
  CHECK(client.take(m.a, out) == Take::got);
  pool_count.value = ~0u;  // What cannot be is the caller's to judge; an empty ring stays empty.
  CHECK(client.take(m.a, out) == Take::empty);
  submit(m, 1);
  CHECK(client.take(m.a, out) == Take::need_pool);
}

TEST_CASE("a command that is taken between the look and the exchange is taken once") {
  DeviceMemory<depth> m;
  submit(m, 0);
  submit(m, 1);
  bool once = true;
  m.a.before = [&](Site site) {
    if (site == Site::take_cas && once) m.word(0) = command_word(failed, 0, 1);  // Recalled.
    if (site == Site::take_cas) once = false;
  };
  Consumer client = m.consumer();
  Taken out{};
  REQUIRE(client.take(m.a, out) == Take::got);
  CHECK(out.line == 1);
  CHECK(m.word(0) == command_word(failed, 0, 1));
}

TEST_CASE("declared dead while copying: the copy is thrown away") {
  DeviceMemory<depth> m;
  submit(m, 0);
  m.a.before = [&m](Site site) {
    if (site == Site::take_recheck) m.word(0) = command_word(failed, 0, 1);
  };
  Consumer client = m.consumer();
  Taken out{};
  CHECK(client.take(m.a, out) == Take::evicted);
}

// ---- The gate ---------------------------------------------------------------------------------

TEST_CASE("while the gate is closed only the ClearError that opens it is delivered") {
  for (std::uint32_t gate : {1u, 2u, ~0u}) {
    DeviceMemory<depth> m;
    Consumer client = m.consumer();
    Taken out{};
    submit(m, 0);
    m.client.header.gate.value = gate;
    CHECK_FALSE(client.ready(m.a));
    CHECK(client.take(m.a, out) == Take::empty);
    CHECK(m.word(0) == 0);
    m.word(0) = command_word(failed, 0, 1);  // The server recalls it, and a ClearError with it.
    submit(m, 1, opcode_clear_error);
    CHECK(client.take(m.a, out) == Take::empty);
    CHECK_FALSE(client.ready(m.a));
    m.word(1) = command_word(failed, 0, 1);  // All that was fetched is complete.
    submit(m, 2, opcode_opens_gate);
    CHECK(client.ready(m.a));
    REQUIRE(client.take(m.a, out) == Take::got);
    CHECK(out.command.opcode == opcode_opens_gate);
  }
}

TEST_CASE("an error closes the gate and ClearError opens it, both before DONE; others leave it") {
  struct Row {
    std::uint32_t before, opcode, code, due;
  };
  for (const Row& row :
       {Row{0, opcode_write, 0, 0}, Row{0, opcode_write, 112, 1}, Row{0, opcode_read, ~0u, 1},
        Row{1, opcode_write, 0, 1}, Row{1, opcode_write, 5, 1}, Row{1, opcode_opens_gate, 0, 0},
        Row{0, opcode_opens_gate, 0, 0}, Row{1, opcode_opens_gate, 50, 1},
        Row{0, opcode_opens_gate, 50, 1}, Row{1, opcode_clear_error, 0, 1},
        Row{0, opcode_clear_error, 0, 0}, Row{0, opcode_clear_error, 50, 1}}) {
    DeviceMemory<depth> m;
    Consumer client = m.consumer();
    m.client.header.gate.value = row.before;
    m.word(3) = command_word(taken, me, 1);
    std::uint32_t gate_at_done = 99;
    m.a.before = [&](Site site) {
      if (site == Site::complete_cas) gate_at_done = m.client.header.gate.value;
    };
    CHECK(client.complete(m.a, 3, 1, row.opcode, {row.code, 0, 0}) == Completed::done);
    CHECK(gate_at_done == row.due);
    CHECK(m.client.header.gate.value == row.due);
  }
}

// ---- Complete ---------------------------------------------------------------------------------

TEST_CASE("completing writes the results, DONE and the lap, and touches nobody else's line") {
  DeviceMemory<depth> m;
  Consumer client = m.consumer();
  m.word(5) = command_word(taken, me, 9);
  CHECK(client.complete(m.a, 5, 9, opcode_read, {0, 4096, 0x1122334455667788}) == Completed::done);
  const auto* const raw =
      reinterpret_cast<const std::uint32_t*>(&m.client.lines.completions[5]);
  const std::uint32_t due[16] = {9, 0, 4096, 0x55667788, 0x11223344};
  CHECK(std::memcmp(raw, due, sizeof due) == 0);
  CHECK(m.word(5) == command_word(done, me, 9));
  for (std::uint32_t line = 0; line < depth; ++line)
    if (line != 5) CHECK(m.word(line) == 0);
  CHECK(m.sound());
}

TEST_CASE("complete: only what is TAKEN in this lap can be completed, by whomever it was taken") {
  for (std::uint32_t lap : {1u, 2u, 0xfffffu})
    for (std::uint32_t word : hostile_words(lap)) {
      DeviceMemory<depth> m;
      Consumer client = m.consumer();
      m.word(0) = word;
      const bool due = (word & 15) == taken && word >> 12 == lap;
      CAPTURE(word);
      CHECK(client.complete(m.a, 0, lap, opcode_read, {7, 8, 9}) ==
            (due ? Completed::done : Completed::not_active));
      CHECK(m.word(0) == (due ? command_word(done, me, lap) : word));
      CHECK(m.client.lines.completions[0].code.value == (due ? 7u : 0u));
      CHECK(m.client.header.gate.value == (due ? 1u : 0u));
    }
}

TEST_CASE("completing twice is refused, also by a rival who comes between look and exchange") {
  DeviceMemory<depth> m;
  Consumer client = m.consumer();
  m.word(0) = command_word(taken, me, 1);
  CHECK(client.complete(m.a, 0, 1, opcode_read, {0, 0, 0}) == Completed::done);
  CHECK(client.complete(m.a, 0, 1, opcode_read, {5, 0, 0}) == Completed::not_active);
  m.word(1) = command_word(taken, me, 1);
  m.a.before = [&m](Site site) {
    if (site == Site::claim_cas) m.word(1) = command_word(completing, me, 1);
  };
  CHECK(client.complete(m.a, 1, 1, opcode_read, {5, 0, 0}) == Completed::not_active);
  CHECK(m.client.lines.completions[1].code.value == 0);
  CHECK(m.client.header.gate.value == 0);
}

TEST_CASE("swept while completing: the client is told that it was taken for gone") {
  for (std::uint32_t state : {failed, offered}) {
    DeviceMemory<depth> m;
    Consumer client = m.consumer();
    m.word(0) = command_word(taken, me, 1);
    m.a.before = [&](Site site) {
      if (site == Site::complete_cas) m.word(0) = command_word(state, 0, 1);
    };
    CHECK(client.complete(m.a, 0, 1, opcode_read, {0, 0, 0}) == Completed::evicted);
    CHECK(m.word(0) == command_word(state, 0, 1));
  }
}

// ---- Sleeping ---------------------------------------------------------------------------------

TEST_CASE("ready is true exactly when take would get, skip or ask for a pool") {
  Random random(seed());
  CAPTURE(seed());
  for (int i = 0; i < 20000; ++i) {
    DeviceMemory<depth> m;
    const std::uint32_t n = random() % 40;
    const auto words = hostile_words(n / depth + 1);
    for (std::uint32_t line = 0; line < depth; ++line) {
      const std::uint32_t opcodes[] = {opcode_read, opcode_clear_error, opcode_opens_gate};
      submit(m, n + line, opcodes[random() % 3]);
      m.submissions[line].sequence.value = n / depth + random() % 4;
      m.word(line) = words[random() % words.size()];
    }
    m.client.header.gate.value = random() % 2;
    Consumer client = m.consumer(me, n);
    const bool ready = client.ready(m.a);
    const std::uint64_t before = m.a.accesses;
    Taken out{};
    bool moved = false;
    m.a.before = [&](Site site) { moved = moved || site == Site::take_cas; };
    const std::uint32_t sequence = m.submissions[n % depth].sequence.value;
    const Take take = client.take(m.a, out);
    if (!ready) REQUIRE(take == Take::empty);
    if (!ready) REQUIRE(m.a.accesses - before <= 5);
    if (take == Take::got || take == Take::again) REQUIRE(ready);
    if (sequence < n / depth + 1) REQUIRE_FALSE(ready);
    REQUIRE(m.sound());
  }
}

TEST_CASE("whatever is in the lines, take and ready are bounded and stay inside") {
  Random random(seed());
  CAPTURE(seed());
  DeviceMemory<depth> m;
  Consumer client = m.consumer(254, 0xfffffff0u);
  Taken out{};
  for (int i = 0; i < 100000; ++i) {
    const std::uint32_t line = random() % depth;
    m.submissions[line].sequence.value = random();
    m.word(line) = random();
    m.client.header.gate.value = random() % 4;
    const std::uint64_t before = m.a.accesses;
    static_cast<void>(client.ready(m.a));
    if (client.take(m.a, out) == Take::got)
      static_cast<void>(client.complete(m.a, out.line, out.lap, out.command.opcode, {1, 2, 3}));
    REQUIRE(m.a.accesses - before < 2 * depth * 12 + 20);
    REQUIRE(out.line < depth);
  }
  CHECK(m.sound());
}

// ---- Starting positions, wraps, both sides -----------------------------------------------------

TEST_CASE("a client goes on when its 32-bit position and the laps wrap") {
  DeviceMemory<depth> m;
  const std::uint32_t start = 0u - 3 * depth;
  for (std::uint32_t line = 0; line < depth; ++line) {
    m.submissions[line].sequence.value = (start / depth) & lap_mask;
    m.word(line) = command_word(done, 1, (start / depth) & lap_mask);
  }
  Consumer client = m.consumer(me, start);
  Taken out{};
  for (std::uint32_t i = 0; i < 6 * depth; ++i) {
    const std::uint32_t n = start + i;
    CHECK(client.take(m.a, out) == Take::empty);
    submit(m, n);
    REQUIRE(client.take(m.a, out) == Take::got);
    CHECK(out.line == n % depth);
    CHECK(out.lap == ((n / depth + 1) & lap_mask));
    CHECK(client.complete(m.a, out.line, out.lap, opcode_write, {0, 1, 2}) == Completed::done);
  }
}

namespace {

/// Both sides over one memory, with completions out of order and new consumers now and then.
template <std::uint32_t d>
struct Pair {
  DeviceMemory<d> m;
  RealAtomics a;
  ServerRing<RealAtomics> server{m.submissions, m.client.lines};
  ClientRing<RealAtomics> client{m.submissions, m.client.lines, m.client.header, me, 0};
  std::vector<Taken> held;
  std::uint32_t posted = 0, fetched = 0, reaped = 0;
  bool right = true;

  void post() {
    if (server.can_post()) server.post(a, command_of(posted++));
  }
  void take() {
    Taken out{};
    if (client.take(a, out) != Take::got) return;
    right = right && is_command(out.command, fetched) && !out.redelivered;
    ++fetched;
    held.push_back(out);
  }
  void complete(std::size_t i) {
    const Taken t = held[i];
    held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
    right = right && client.complete(a, t.line, t.lap, opcode_write,
                                     {0, t.command.size, t.command.position}) == Completed::done;
  }
  void reap() {
    Completion out{};
    for (std::uint32_t line = 0; line < d; ++line)
      if (server.is_outstanding(line) && server.reap(a, line, out) == Reaped::done) ++reaped;
  }
  /// A process that attaches with nothing fetched: from the grant alone.
  void replace_client(std::uint32_t index) {
    client = {m.submissions, m.client.lines, m.client.header, index, server.first_outstanding()};
  }
};

}  // namespace

TEST_CASE("both sides: a million commands in order, completed out of order, each reaped once") {
  Pair<depth> p;
  Random random(seed());
  CAPTURE(seed());
  while (p.reaped < 1'000'000 && p.right) {
    for (std::uint32_t i = random() % depth; i > 0; --i)
      p.post();
    for (std::uint32_t i = random() % depth; i > 0; --i)
      p.take();
    for (std::uint32_t i = random() % depth; i > 0 && !p.held.empty(); --i)
      p.complete(random() % p.held.size());
    p.reap();
    if (p.held.empty() && random() % 4 == 0) p.replace_client(2 + random() % 250);
  }
  CHECK(p.right);
  CHECK(p.fetched == p.posted - (p.server.outstanding_count() - p.held.size()));
}

TEST_CASE("both sides go on, and a new consumer starts right, when the laps wrap at 2^20") {
  Pair<1> p;
  for (std::uint32_t n = 0; n < (1u << 20) + 100 && p.right; ++n) {
    if (n % 0x10000 == 0 || n + 8 > 1u << 20) p.replace_client(2 + n % 250);
    p.post();
    if (n % 0x10000 == 1) p.replace_client(2 + n % 250);
    p.take();
    p.right = p.right && p.held.size() == 1;
    if (p.right) p.complete(0);
    p.reap();
  }
  CHECK(p.right);
  CHECK(p.reaped == (1u << 20) + 100);
}

TEST_CASE("after 8.4 million commands a new consumer gets the next one, not silence") {
  Pair<depth> p;
  for (std::uint32_t n = 0; n < (depth << 20) + 3; ++n) {
    p.post();
    p.take();
    if (p.held.empty()) break;
    p.complete(0);
    Completion out{};
    p.reaped += p.server.reap(p.a, n % depth, out) == Reaped::done ? 1 : 0;
  }
  CHECK(p.reaped == (depth << 20) + 3);
  p.replace_client(77);
  p.post();
  p.take();
  CHECK(p.held.size() == 1);
  CHECK(p.right);
}

TEST_CASE("a new consumer after a wrap of the queue skips what was completed out of order") {
  Pair<depth> p;
  for (std::uint32_t i = 0; i < depth; ++i) {
    p.post();
    p.take();
  }
  for (std::size_t i : {0u, 0u, 0u, 2u, 2u})  // Finishes 0, 1, 2, then 5 and 6; 3, 4 and 7 stay.
    p.complete(i);
  p.reap();
  for (int i = 0; i < 5; ++i)
    p.post();  // 8, 9, 10; line 3 is still in use.
  CHECK(p.posted == 11);
  p.server.sweep(p.a, 3, true) == Swept::offered ? void() : void(p.right = false);
  p.server.sweep(p.a, 4, true) == Swept::offered ? void() : void(p.right = false);
  p.server.sweep(p.a, 7, true) == Swept::offered ? void() : void(p.right = false);
  CHECK(p.server.first_outstanding() == 3);
  p.server.adopt(p.a, p.m.fresh.lines);
  ClientRing<RealAtomics> next{p.m.submissions, p.m.fresh.lines, p.m.fresh.header, 9, 3};
  Taken out{};
  for (std::uint32_t n : {3u, 4u, 7u, 8u, 9u, 10u}) {
    REQUIRE(next.take(p.a, out) == Take::got);
    CHECK(is_command(out.command, n));
    CHECK(out.redelivered == (n < 8));
  }
  CHECK(next.take(p.a, out) == Take::empty);
  CHECK(p.right);
}
