// tests/unit/test_server_device.cpp
// Goal: one device as the server keeps it: VDI's IO-ERROR protocol (vdi-semantics 8.3) step by
// step, sweep, abandon, close; every accepted command ends exactly once.
// Method: a real client ring on the other side of plain memory, and half-finished states by hand.
#include <map>
#include "core/server_device.hpp"
#include "tests/unit/support.hpp"

using namespace vdset;
using namespace vdset::core;
using namespace vdset::unit;

namespace {

constexpr std::uint32_t depth = 8;
constexpr Submission clear_error{opcode_clear_error, 0, 0, 0};

/// Both sides of a device; the cookie of command n is its place in `cookies`.
struct Rig {
  DeviceMemory<depth> m;
  Device device = m.device();
  Consumer client = m.consumer();
  char cookies[64] = {};
  std::vector<Taken> held;
  std::map<std::uint32_t, std::vector<std::uint32_t>> codes;  // What each command ended with.
  FinishedList last;

  void* cookie(std::uint32_t n) { return &cookies[n]; }
  Sent send(std::uint32_t n) { return device.send(m.a, command_of(n), cookie(n)); }
  Sent send_clear_error(std::uint32_t n) { return device.send(m.a, clear_error, cookie(n)); }
  /// Fetches one; its number in the order of fetching, or depth.
  bool fetch() {
    Taken out{};
    if (client.take(m.a, out) != Take::got) return false;
    held.push_back(out);
    return true;
  }
  void complete(std::size_t i, std::uint32_t code) {
    const Taken t = held[i];
    held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
    REQUIRE(client.complete(m.a, t.line, t.lap, t.command.opcode, {code, 0, 0}) == Completed::done);
  }
  void book() {
    for (std::uint32_t i = 0; i < last.count; ++i) {
      const auto n = static_cast<char*>(last.items[i].cookie) - cookies;
      codes[static_cast<std::uint32_t>(n)].push_back(last.items[i].result.code);
    }
  }
  void poll() {
    last = {};
    device.poll(m.a, last);
    book();
  }
  void sweep(bool hand_over) {
    last = {};
    device.sweep(m.a, hand_over, m.fresh.lines, m.fresh.header, last);
    book();
    held.clear();
  }
  void abandon() {
    last = {};
    device.abandon(last);
    book();
  }
  bool ended(std::uint32_t n, std::uint32_t code) {
    return codes[n].size() == 1 && codes[n][0] == code;
  }
  bool is_open(std::uint32_t n) { return codes[n].empty(); }
};

}  // namespace

TEST_CASE("commands are queued until the ring is full, and again once the oldest is final") {
  Rig r;
  for (std::uint32_t n = 0; n < depth; ++n)
    CHECK(r.send(n) == Sent::queued);
  CHECK(r.send(depth) == Sent::queue_full);
  REQUIRE(r.fetch());
  r.complete(0, 0);
  CHECK(r.send(depth) == Sent::queue_full);
  r.poll();
  CHECK(r.ended(0, 0));
  CHECK(r.send(depth) == Sent::queued);
  CHECK(r.device.outstanding_count() == depth);
}

TEST_CASE("completions are handed out oldest first, whatever their order was") {
  Rig r;
  for (std::uint32_t n = 0; n < 3; ++n)
    r.send(n);
  while (r.fetch()) {
  }
  for (std::size_t i : {2u, 1u, 0u})
    r.complete(i, 0);
  r.poll();
  REQUIRE(r.last.count == 3);
  for (std::uint32_t n = 0; n < 3; ++n)
    CHECK(r.last.items[n].cookie == r.cookie(n));
  CHECK_FALSE(r.last.ring_device);
  CHECK(r.device.phase() == DevicePhase::active);
}

// ---- vdi-semantics 8.3 ------------------------------------------------------------------------

TEST_CASE("8.3: the IO-ERROR protocol from the error to the next command, step by step") {
  Rig r;
  for (std::uint32_t n = 0; n < 5; ++n)
    REQUIRE(r.send(n) == Sent::queued);
  REQUIRE(r.fetch());
  REQUIRE(r.fetch());
  REQUIRE(r.fetch());
  r.complete(1, 112);      // 1: command 1 fails; 0 and 2 are with the client, 3 and 4 are queued.
  CHECK_FALSE(r.fetch());  // Before the server knows, the client gets nothing more.
  r.poll();
  CHECK(r.device.phase() == DevicePhase::io_error);
  CHECK(r.ended(1, 112));
  CHECK(r.ended(3, 1117));  // 2: queued and not fetched: 1117, unseen by the client.
  CHECK(r.ended(4, 1117));
  CHECK(r.last.ring_device);
  CHECK(r.is_open(0));  // 3: what was fetched must still be completed by the client.
  CHECK(r.is_open(2));
  CHECK(r.send(5) == Sent::io_error);  // 4: only ClearError is taken.
  CHECK(r.send_clear_error(6) == Sent::held);
  CHECK(r.device.outstanding_count() == 3);
  CHECK_FALSE(r.fetch());  // 5: not delivered before all others are completed.
  r.complete(0, 0);
  r.poll();
  CHECK_FALSE(r.fetch());
  r.complete(0, 995);
  CHECK_FALSE(r.fetch());
  r.poll();
  CHECK(r.last.ring_device);
  CHECK(r.ended(0, 0));
  CHECK(r.ended(2, 995));
  REQUIRE(r.fetch());
  CHECK(r.held[0].command.opcode == opcode_opens_gate);
  CHECK(r.send(7) == Sent::io_error);
  r.complete(0, 0);  // 6: its success makes the device active.
  r.poll();
  CHECK(r.ended(6, 0));
  CHECK(r.device.phase() == DevicePhase::active);
  CHECK(r.send(8) == Sent::queued);
  REQUIRE(r.fetch());
  CHECK(is_command(r.held[0].command, 8));
}

TEST_CASE("without anything fetched ClearError is queued at once") {
  Rig r;
  r.send(0);
  REQUIRE(r.fetch());
  r.complete(0, 29);
  r.poll();
  CHECK(r.send_clear_error(1) == Sent::queued);
  CHECK(r.fetch());
}

TEST_CASE("one ClearError at a time: a second one waits for the first, a third is refused") {
  Rig r;
  r.send(0);
  REQUIRE(r.fetch());
  r.complete(0, 29);
  r.poll();
  CHECK(r.send_clear_error(1) == Sent::queued);
  CHECK(r.send_clear_error(2) == Sent::held);
  CHECK(r.send_clear_error(3) == Sent::io_error);
  for (std::uint32_t n : {1u, 2u}) {
    REQUIRE(r.fetch());
    r.complete(0, 0);
    r.poll();
    CHECK(r.ended(n, 0));
    CHECK(r.device.phase() == DevicePhase::active);
  }
  CHECK(r.device.outstanding_count() == 0);
}

TEST_CASE("a ClearError that fails leaves the device in IO-ERROR, and another may be sent") {
  Rig r;
  r.send(0);
  REQUIRE(r.fetch());
  r.complete(0, 29);
  r.poll();
  REQUIRE(r.send_clear_error(1) == Sent::queued);
  REQUIRE(r.fetch());
  r.complete(0, 50);
  r.poll();
  CHECK(r.ended(1, 50));
  CHECK(r.device.phase() == DevicePhase::io_error);
  CHECK(r.send(2) == Sent::io_error);
  REQUIRE(r.send_clear_error(3) == Sent::queued);
  REQUIRE(r.fetch());
  r.complete(0, 0);
  r.poll();
  CHECK(r.device.phase() == DevicePhase::active);
  CHECK(r.m.client.header.gate.value == gate_open);
}

TEST_CASE("a ClearError of an active device is a command like any other") {
  Rig r;
  REQUIRE(r.send_clear_error(0) == Sent::queued);
  REQUIRE(r.send(1) == Sent::queued);
  REQUIRE(r.fetch());
  r.complete(0, 0);
  r.poll();
  CHECK(r.ended(0, 0));
  CHECK(r.fetch());
}

TEST_CASE("several errors in one poll are one IO-ERROR") {
  Rig r;
  for (std::uint32_t n = 0; n < 4; ++n)
    r.send(n);
  for (int i = 0; i < 3; ++i)
    REQUIRE(r.fetch());
  for (int i = 0; i < 3; ++i)
    r.complete(0, 30);
  r.poll();
  for (std::uint32_t n = 0; n < 3; ++n)
    CHECK(r.ended(n, 30));
  CHECK(r.ended(3, 1117));
  CHECK(r.send_clear_error(5) == Sent::queued);
}

TEST_CASE("an error with all other commands delivered: nothing is recalled, they stay") {
  Rig r;
  r.send(0);
  r.send(1);
  REQUIRE(r.fetch());
  REQUIRE(r.fetch());
  r.complete(0, 30);
  r.poll();
  CHECK(r.is_open(1));
  CHECK(r.device.phase() == DevicePhase::io_error);
  CHECK_FALSE(r.last.ring_device);
}

TEST_CASE("8.3 step 5 also for a ClearError that was sent before the server knew of the error") {
  Rig r;
  r.send(0);
  r.send(1);
  REQUIRE(r.fetch());
  REQUIRE(r.fetch());
  r.complete(0, 30);
  REQUIRE(r.send_clear_error(2) == Sent::queued);  // The agent has not looked yet.
  CHECK_FALSE(r.fetch());                          // Command 1 is with the client still.
  r.poll();
  CHECK_FALSE(r.fetch());
  r.complete(0, 0);
  r.poll();
  REQUIRE(r.fetch());
  CHECK(r.held[0].command.opcode == opcode_opens_gate);
  r.complete(0, 0);
  r.poll();
  CHECK(r.ended(2, 0));
  CHECK(r.device.phase() == DevicePhase::active);
}

TEST_CASE("8.3: a ClearError that waited for another one is sent in ACTIVE, and clears nothing") {
  Rig r;
  r.send(0);
  REQUIRE(r.fetch());
  r.complete(0, 30);
  r.poll();
  REQUIRE(r.send_clear_error(1) == Sent::queued);
  REQUIRE(r.send_clear_error(2) == Sent::held);
  REQUIRE(r.fetch());
  r.complete(0, 0);
  r.poll();
  REQUIRE(r.device.phase() == DevicePhase::active);
  for (std::uint32_t n : {3u, 4u})
    REQUIRE(r.send(n) == Sent::queued);
  REQUIRE(r.fetch());
  REQUIRE(r.fetch());
  CHECK(r.held[0].command.opcode == opcode_clear_error);
  r.complete(1, 30);
  r.complete(0, 0);
  CHECK_FALSE(r.fetch());  // Command 4, ahead of the recall.
  r.poll();
  CHECK(r.device.phase() == DevicePhase::io_error);
  CHECK(r.ended(2, 0));
  CHECK(r.ended(4, code_io_device));
}

TEST_CASE("a ClearError that was fetched before an error clears nothing of it") {
  for (const bool polled : {false, true}) {
    Rig r;
    REQUIRE(r.send_clear_error(0) == Sent::queued);
    r.send(1);
    r.send(2);
    REQUIRE(r.fetch());
    REQUIRE(r.fetch());
    r.complete(1, 30);
    if (polled) r.poll();
    r.complete(0, 0);
    CHECK_FALSE(r.fetch());
    r.poll();
    CHECK(r.ended(0, 0));
    CHECK(r.ended(1, 30));
    CHECK(r.ended(2, 1117));
    CHECK(r.device.phase() == DevicePhase::io_error);
    CHECK(r.m.client.header.gate.value == gate_io_error);
    CHECK(r.send_clear_error(3) == Sent::queued);
    REQUIRE(r.fetch());
    r.complete(0, 0);
    r.poll();
    CHECK(r.device.phase() == DevicePhase::active);
  }
}

// ---- Sweep ------------------------------------------------------------------------------------

TEST_CASE("death: what is finished counts, fetched fails with 995, queued with 1117, IO-ERROR") {
  Rig r;
  for (std::uint32_t n = 0; n < 5; ++n)
    r.send(n);
  for (int i = 0; i < 3; ++i)
    REQUIRE(r.fetch());
  r.complete(0, 0);
  r.m.word(1) = command_word(completing, 2, 1);  // It died with half the results written.
  r.m.client.lines.completions[1].code.value = 0xdead;
  r.sweep(false);
  CHECK(r.ended(0, 0));
  CHECK(r.ended(1, 995));
  CHECK(r.ended(2, 995));
  CHECK(r.ended(3, 1117));
  CHECK(r.ended(4, 1117));
  CHECK(r.device.phase() == DevicePhase::io_error);
  CHECK(r.m.fresh.header.gate.value == gate_io_error);
  CHECK(r.device.outstanding_count() == 0);
  CHECK_FALSE(r.last.corrupt);
  CHECK(r.send_clear_error(6) == Sent::queued);
  Consumer next = r.m.fresh_consumer(3, 5);
  Taken out{};
  REQUIRE(next.take(r.m.a, out) == Take::got);
  CHECK(out.command.opcode == opcode_opens_gate);
}

TEST_CASE("hand-over: what a dead consumer had fetched is offered to the next, and nothing fails") {
  Rig r;
  for (std::uint32_t n = 0; n < 4; ++n)
    r.send(n);
  for (int i = 0; i < 3; ++i)
    REQUIRE(r.fetch());
  r.complete(1, 0);
  r.m.word(2) = command_word(completing, 2, 1);
  r.sweep(true);
  CHECK(r.last.count == 1);
  CHECK(r.ended(1, 0));
  CHECK(r.device.phase() == DevicePhase::active);
  CHECK(r.m.fresh.header.gate.value == gate_open);
  Consumer next = r.m.fresh_consumer(3, r.device.ring().first_outstanding());
  Taken out{};
  for (std::uint32_t n : {0u, 2u, 3u}) {
    REQUIRE(next.take(r.m.a, out) == Take::got);
    CHECK(is_command(out.command, n));
    CHECK(out.redelivered == (n != 3));
  }
}

TEST_CASE("offered again: the second consumer dies too, before and after it took the offer") {
  Rig r;
  r.send(0);
  r.send(1);
  REQUIRE(r.fetch());
  REQUIRE(r.fetch());
  r.sweep(true);
  Consumer second = r.m.fresh_consumer(3, 0);
  Taken out{};
  REQUIRE(second.take(r.m.a, out) == Take::got);
  FinishedList list;
  ClientMemory<depth> third;
  r.m.a.allow(&third, sizeof third);
  r.device.sweep(r.m.a, true, third.lines, third.header, list);
  CHECK(list.count == 0);
  Consumer last{r.m.submissions, third.lines, third.header, 4, 0};
  for (std::uint32_t n : {0u, 1u}) {
    REQUIRE(last.take(r.m.a, out) == Take::got);
    CHECK(is_command(out.command, n));
    CHECK(out.redelivered);
  }
}

TEST_CASE("an error that the dead one reported comes first: the rest fails, nothing is offered") {
  Rig r;
  for (std::uint32_t n = 0; n < 3; ++n)
    r.send(n);
  REQUIRE(r.fetch());
  REQUIRE(r.fetch());
  r.complete(0, 112);
  r.sweep(true);
  CHECK(r.ended(0, 112));
  CHECK(r.ended(1, 995));
  CHECK(r.ended(2, 1117));
  CHECK(r.device.phase() == DevicePhase::io_error);
  CHECK(r.m.fresh.header.gate.value == gate_io_error);
}

TEST_CASE("death during IO-ERROR: the held ClearError is posted for the next consumer") {
  for (bool hand_over : {false, true}) {
    Rig r;
    r.send(0);
    r.send(1);
    REQUIRE(r.fetch());
    REQUIRE(r.fetch());
    r.complete(0, 30);
    r.poll();
    REQUIRE(r.send_clear_error(2) == Sent::held);
    r.sweep(hand_over);
    CHECK(r.ended(1, 995));
    CHECK(r.is_open(2));
    CHECK(r.last.ring_device);
    CHECK(r.device.phase() == DevicePhase::io_error);
    Consumer next = r.m.fresh_consumer(3, r.device.ring().first_outstanding());
    Taken out{};
    REQUIRE(next.take(r.m.a, out) == Take::got);
    CHECK(out.command.opcode == opcode_opens_gate);
    REQUIRE(next.complete(r.m.a, out.line, out.lap, opcode_opens_gate, {}) == Completed::done);
    r.poll();
    CHECK(r.ended(2, 0));
    CHECK(r.device.phase() == DevicePhase::active);
  }
}

TEST_CASE("death with a fetched ClearError: it fails, and the device stays in IO-ERROR") {
  for (bool hand_over : {false, true}) {
    Rig r;
    r.send(0);
    REQUIRE(r.fetch());
    r.complete(0, 30);
    r.poll();
    REQUIRE(r.send_clear_error(1) == Sent::queued);
    REQUIRE(r.fetch());
    r.m.client.header.gate.value = gate_open;  // It was about to complete it.
    r.m.word(1) = command_word(completing, 2, 1);
    r.sweep(hand_over);
    CHECK(r.ended(1, 995));
    CHECK(r.device.phase() == DevicePhase::io_error);
    CHECK(r.m.fresh.header.gate.value == gate_io_error);
    CHECK(r.send(2) == Sent::io_error);
    CHECK(r.send_clear_error(3) == Sent::queued);
  }
}

TEST_CASE("death with a queued ClearError: it stays queued for the next consumer") {
  Rig r;
  r.send(0);
  REQUIRE(r.fetch());
  r.complete(0, 30);
  r.poll();
  REQUIRE(r.send_clear_error(1) == Sent::queued);
  r.sweep(false);
  CHECK(r.is_open(1));
  Consumer next = r.m.fresh_consumer(3, r.device.ring().first_outstanding());
  Taken out{};
  REQUIRE(next.take(r.m.a, out) == Take::got);
  CHECK(out.command.opcode == opcode_opens_gate);
}

TEST_CASE("death of a consumer that held nothing: what is queued waits for the next, no error") {
  for (bool hand_over : {false, true}) {
    Rig r;
    for (std::uint32_t n = 0; n < 3; ++n)
      r.send(n);
    REQUIRE(r.fetch());
    r.complete(0, 0);
    r.sweep(hand_over);
    CHECK(r.last.count == 1);
    CHECK(r.ended(0, 0));
    CHECK(r.device.phase() == DevicePhase::active);
    CHECK(r.m.fresh.header.gate.value == gate_open);
    Consumer next = r.m.fresh_consumer(3, r.device.ring().first_outstanding());
    Taken out{};
    for (std::uint32_t n : {1u, 2u}) {
      REQUIRE(next.take(r.m.a, out) == Take::got);
      CHECK(is_command(out.command, n));
      CHECK_FALSE(out.redelivered);
    }
  }
}

TEST_CASE("the dead one's gate is not believed: the fresh part says what the server knows") {
  Rig r;
  r.send(0);
  r.m.client.header.gate.value = ~0u;
  r.sweep(false);
  CHECK(r.m.fresh.header.gate.value == gate_open);
  CHECK(r.is_open(0));
}

TEST_CASE(
    "a consumer that took its own TAKEN back in IO-ERROR leaves nothing that stays for ever") {
  for (bool hand_over : {false, true}) {
    Rig r;
    CHECK(r.send(0) == Sent::queued);
    CHECK(r.send(1) == Sent::queued);
    REQUIRE(r.fetch());
    REQUIRE(r.fetch());
    r.complete(1, 29);
    r.poll();
    CHECK(r.ended(1, 29));
    CHECK(r.send_clear_error(2) == Sent::held);
    r.m.word(0) = 0;  // As if it had never been fetched.
    r.sweep(hand_over);
    CHECK(r.ended(0, code_io_device));
    // The next one gets what it is due.
    Consumer next = r.m.fresh_consumer(3, r.device.ring().first_outstanding());
    Taken out{};
    REQUIRE(next.take(r.m.a, out) == Take::got);
    CHECK(out.command.opcode == opcode_opens_gate);
  }
}

TEST_CASE("a ClearError fetched before the error and taken back passes the gate all the same") {
  for (bool hand_over : {false, true}) {
    Rig r;
    REQUIRE(r.send_clear_error(0) == Sent::queued);
    REQUIRE(r.send(1) == Sent::queued);
    REQUIRE(r.fetch());
    REQUIRE(r.fetch());
    r.complete(1, 29);
    r.poll();
    r.m.word(0) = 0;  // As if it had never been fetched.
    r.sweep(hand_over);
    CHECK(r.is_open(0));
    Consumer next = r.m.fresh_consumer(3, r.device.ring().first_outstanding());
    Taken out{};
    REQUIRE(next.take(r.m.a, out) == Take::got);
    CHECK(out.command.opcode == opcode_opens_gate);
  }
}

TEST_CASE("sweeping twice is sweeping once") {
  Rig r;
  r.send(0);
  r.send(1);
  REQUIRE(r.fetch());
  r.sweep(false);
  CHECK(r.last.count == 2);
  FinishedList again;
  ClientMemory<depth> third;
  r.m.a.allow(&third, sizeof third);
  r.device.sweep(r.m.a, false, third.lines, third.header, again);
  CHECK(again.count == 0);
  CHECK(third.header.gate.value == gate_io_error);
}

TEST_CASE("sweeping leaves a queued ClearError in its place, however often") {
  Rig r;
  r.send(0);
  REQUIRE(r.fetch());
  r.complete(0, 30);
  r.poll();
  REQUIRE(r.send_clear_error(1) == Sent::queued);
  const std::uint32_t place = r.device.ring().first_outstanding();
  r.sweep(false);
  CHECK(r.device.ring().first_outstanding() == place);
  CHECK(r.device.ring().tail() == place + 1);
  CHECK(r.device.outstanding_count() == 1);
}

TEST_CASE("a command that its leaving consumer finishes during the sweep is not done twice") {
  Rig r;
  r.send(0);
  REQUIRE(r.fetch());
  // The process let go of its socket but lives: its thread completes between two steps of the
  // sweep.
  r.m.a.before = [&r](Site site) {
    if (site == Site::sweep_word && r.m.word(0) == command_word(taken, 2, 1))
      r.m.word(0) = command_word(done, 2, 1);
  };
  r.sweep(false);
  r.m.a.before = nullptr;
  r.poll();
  Consumer next = r.m.fresh_consumer(3, r.device.ring().first_outstanding());
  Taken out{};
  const bool finished = !r.is_open(0);
  const bool redelivered = next.take(r.m.a, out) == Take::got && !out.redelivered;
  CHECK(finished);
  CHECK_FALSE(redelivered);
}

TEST_CASE("after the sweep the old consumer fetches nothing more: the queue is the next one's") {
  Rig r;
  for (std::uint32_t n = 0; n < 3; ++n)
    r.send(n);
  REQUIRE(r.fetch());
  r.complete(0, 0);
  r.sweep(false);  // It let go of its socket but lives, and still has the old part C mapped.
  CHECK_FALSE(r.fetch());
  r.send(3);
  CHECK_FALSE(r.fetch());
  Consumer next = r.m.fresh_consumer(3, r.device.ring().first_outstanding());
  Taken out{};
  for (std::uint32_t n : {1u, 2u, 3u}) {
    REQUIRE(next.take(r.m.a, out) == Take::got);
    CHECK(is_command(out.command, n));
  }
}

TEST_CASE("a word that cannot be is not quietly made good by a sweep") {
  for (std::uint32_t state : {6u, 9u, 15u}) {
    Rig r;
    r.send(0);
    REQUIRE(r.fetch());
    r.m.word(0) = command_word(state, 2, 1);
    r.sweep(false);
    CAPTURE(state);
    const bool told = r.last.corrupt || r.ended(0, 995);
    CHECK(told);
  }
}

// ---- Abandon, close, corruption ----------------------------------------------------------------

TEST_CASE("abandon ends everything with 995, the held ClearError too, and reads nothing shared") {
  Rig r;
  for (std::uint32_t n = 0; n < depth; ++n)
    r.send(n);
  REQUIRE(r.fetch());
  REQUIRE(r.fetch());
  r.complete(1, 30);
  r.poll();
  REQUIRE(r.send_clear_error(20) == Sent::held);
  const std::uint64_t before = r.m.a.accesses;
  r.abandon();
  CHECK(r.m.a.accesses == before);
  CHECK(r.ended(0, 995));
  CHECK(r.ended(1, 30));
  CHECK(r.ended(20, 995));
  CHECK(r.device.outstanding_count() == 0);
  r.abandon();
  CHECK(r.last.count == 0);
}

TEST_CASE("a full ring and a held ClearError fit one list, at the greatest depth") {
  DeviceMemory<128> m;
  Device device = m.device();
  ClientRing<Watched> client = m.consumer();
  static char cookies[129];
  Taken out{};
  for (std::uint32_t n = 0; n < 128; ++n)
    REQUIRE(device.send(m.a, command_of(n), &cookies[n]) == Sent::queued);
  for (std::uint32_t n = 0; n < 128; ++n)
    REQUIRE(client.take(m.a, out) == Take::got);
  REQUIRE(client.complete(m.a, 127, 1, opcode_write, {30, 0, 0}) == Completed::done);
  FinishedList list;
  device.poll(m.a, list);
  REQUIRE(device.send(m.a, clear_error, &cookies[128]) == Sent::held);
  device.abandon(list);
  CHECK(list.count == 129);
  CHECK(m.sound());
}

TEST_CASE("a closed device takes nothing more, and what is under way still ends") {
  Rig r;
  r.send(0);
  r.send(1);
  REQUIRE(r.fetch());
  r.device.close();
  CHECK(r.send(2) == Sent::closed);
  CHECK(r.send_clear_error(3) == Sent::closed);
  r.complete(0, 0);
  REQUIRE(r.fetch());
  r.complete(0, 30);
  r.poll();
  CHECK(r.ended(0, 0));
  CHECK(r.ended(1, 30));
  CHECK(r.device.phase() == DevicePhase::closed);
  CHECK(r.device.outstanding_count() == 0);
}

TEST_CASE("an error after the close: what is queued ends with 1117, the device stays closed") {
  Rig r;
  for (std::uint32_t n = 0; n < 3; ++n)
    r.send(n);
  r.device.close();
  REQUIRE(r.fetch());
  r.complete(0, 30);
  r.poll();
  CHECK(r.ended(0, 30));
  CHECK(r.ended(1, 1117));
  CHECK(r.ended(2, 1117));
  CHECK(r.device.phase() == DevicePhase::closed);
}

TEST_CASE("a word of an impossible lap poisons: it is reported, nothing ends, nothing loops") {
  Rig r;
  r.send(0);
  r.send(1);
  REQUIRE(r.fetch());
  r.m.word(1) = command_word(idle, 2, 77);
  r.complete(0, 30);
  r.poll();
  CHECK(r.last.corrupt);
  CHECK(r.ended(0, 30));
  CHECK(r.is_open(1));
  r.abandon();
  CHECK(r.ended(1, 995));
}

TEST_CASE("what is held now is told by opcode and handle") {
  Rig r;
  for (std::uint32_t n = 0; n < 4; ++n)
    r.send(n);
  for (int i = 0; i < 3; ++i)
    REQUIRE(r.fetch());
  r.complete(1, 0);
  r.m.word(2) = command_word(completing, 2, 1);
  std::vector<std::uint32_t> handles;
  r.device.for_each_held(r.m.a, [&](std::uint32_t opcode, std::uint32_t handle) {
    CHECK(opcode == opcode_write);
    handles.push_back(handle);
  });
  CHECK(handles == std::vector<std::uint32_t>{0x1000, 0x1002});
}

TEST_CASE("at random, with errors, deaths, hand-over: every accepted command ends exactly once") {
  Random random(seed());
  CAPTURE(seed());
  for (int round = 0; round < 2000; ++round) {
    DeviceMemory<depth> m;
    Device device = m.device();
    Consumer client = m.consumer();
    std::vector<char> ends(400);
    std::vector<Taken> held;
    FinishedList list;
    bool on_fresh = false;
    std::uint32_t sent = 0, finished = 0;
    const bool hand_over = random() % 2 != 0;
    for (int step = 0; step < 200; ++step) {
      list = {};
      Taken out{};
      switch (random() % 6) {
        case 0:
        case 1: {
          const bool clear = random() % 4 == 0;
          const Sent s = device.send(m.a, clear ? clear_error : command_of(sent), &ends[sent]);
          sent += s == Sent::queued || s == Sent::held ? 1 : 0;
          break;
        }
        case 2:
          if (client.take(m.a, out) == Take::got) held.push_back(out);
          break;
        case 3:
          if (held.empty()) break;
          out = held[random() % held.size()];
          static_cast<void>(client.complete(m.a, out.line, out.lap, out.command.opcode,
                                            {random() % 8 == 0 ? 30u : 0u, 0, 0}));
          break;
        case 4: device.poll(m.a, list); break;
        default:
          if (random() % 8 != 0) break;
          held.clear();
          auto& to = on_fresh ? m.client : m.fresh;
          device.sweep(m.a, hand_over, to.lines, to.header, list);
          on_fresh = !on_fresh;
          client = {m.submissions, to.lines, to.header, 2 + random() % 200,
                    device.ring().first_outstanding()};
      }
      for (std::uint32_t i = 0; i < list.count; ++i, ++finished)
        ++*static_cast<char*>(list.items[i].cookie);
      REQUIRE_FALSE(list.corrupt);
      REQUIRE(sent - finished == device.outstanding_count());
    }
    list = {};
    device.abandon(list);
    for (std::uint32_t i = 0; i < list.count; ++i)
      ++*static_cast<char*>(list.items[i].cookie);
    for (std::uint32_t n = 0; n < sent; ++n)
      REQUIRE(ends[n] == 1);
  }
}
