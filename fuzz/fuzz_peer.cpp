// fuzz/fuzz_peer.cpp: a peer that changes any word it can write between any two steps of ours, for
// each role. Oracle, server: every command is called back once, never with more bytes than asked;
// client: what is fetched is of this ring and never of one place twice. Both: each step touches its
// own memory only and ends after a bounded number of accesses.
#include "core/client_ring.hpp"
#include "core/doorbell.hpp"
#include "fuzz/device_rig.hpp"

using namespace vdset;
using namespace vdset::fuzz;
using core::Word;

namespace {

Goal called_back("a command of the server's that is called back");
Goal fetched("a command that a client fetches");
Goal completed("a command that a client completes");
Goal evicted("a command that is taken away from the client that has just fetched it");

void run_server(Input& in) {
  DeviceRig rig;
  rig.a.in = &in;
  while (in.left() > 0 && !rig.corrupt) {
    const std::uint32_t choice = in.below(8);
    const std::uint32_t size = std::uint32_t{in.byte()} * 512;
    if (choice < 4)
      rig.send(1 + in.below(4), size);
    else if (choice < 6)
      rig.poll();
    else if (choice == 6)
      rig.sweep(in.flip());
    else
      rig.ask(in.byte());
  }
  for (const DeviceRig::Sent& command : rig.sent)
    if (command.finished > 0) called_back.reach();
  rig.finish();
}

/// Lines that a hostile server writes, and a part C that it shares with the client.
struct ClientRig {
  Meddler a;
  core::SubmissionLine submissions[depth]{};
  ClientMemory c;
  Word pool_count[1]{};
  core::ClientRing<Meddler> ring{submissions, c.lines, c.header, 2, 0};

  explicit ClientRig(Input& in, std::uint32_t head) {
    a.in = &in;
    a.allow(submissions, true);
    a.allow(c, true);
    a.allow(pool_count, true);
    ring = {submissions, c.lines, c.header, 2, head};
    ring.watch_pools(pool_count[0]);
  }
  ClientRig(const ClientRig&) = delete;
  ClientRig& operator=(const ClientRig&) = delete;
};

void run_client(Input& in) {
  const std::uint32_t head = in.flip() ? in.word() : 0;
  ClientRig rig(in, head);
  core::Taken last{};
  bool any = false;
  while (in.left() > 0) {
    const std::uint64_t before = rig.a.accesses;
    const std::uint32_t choice = in.below(4);
    if (choice < 2) {
      core::Taken taken{};
      const core::Take got = rig.ring.take(rig.a, taken);
      VDSET_HOLDS(rig.a.accesses - before <= 2 * depth * 8 + 16);
      if (got == core::Take::need_pool) rig.ring.know_pools(rig.pool_count[0].value);
      if (got == core::Take::evicted && rig.c.header.evicted.value == 0) evicted.reach();
      if (got != core::Take::got) continue;
      fetched.reach();
      VDSET_HOLDS(taken.line < depth && taken.lap <= core::generation_mask);
      VDSET_HOLDS(!any || taken.line != last.line || taken.lap != last.lap);
      last = taken;
      any = true;
      rig.a.lap = taken.lap;
    } else if (choice == 2) {
      static_cast<void>(rig.ring.ready(rig.a));
      VDSET_HOLDS(rig.a.accesses - before <= 8);
    } else if (any) {
      const core::Completed ended = rig.ring.complete(
          rig.a, last.line, last.lap, last.command.opcode, {in.below(3), in.word(), in.word()});
      if (ended == core::Completed::done) completed.reach();
      VDSET_HOLDS(rig.a.accesses - before <= 9);
    }
  }
}

/// A waiter and a publisher on a bell that a third one writes.
void run_bell(Input& in) {
  Meddler a;
  Word bell[2]{};
  a.in = &in;
  a.allow(bell, true);
  while (in.left() > 0) {
    const std::uint64_t before = a.accesses;
    switch (in.below(4)) {
      case 0: static_cast<void>(core::ring_bell(a, bell[0])); break;
      case 1: core::force_bell(a, bell[0]); break;
      case 2:
        VDSET_HOLDS((core::arm_bell(a, bell[0]) & core::event_armed) != 0);
        core::disarm_bell(a, bell[0]);
        break;
      default: static_cast<void>(core::watch_bell(a, bell[0])); break;
    }
    VDSET_HOLDS(a.accesses - before <= 2);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  switch (in.below(8)) {
    case 0: run_bell(in); break;
    case 1:
    case 2:
    case 3: run_client(in); break;
    default: run_server(in); break;
  }
  return 0;
}
