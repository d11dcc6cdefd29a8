// fuzz/fuzz_recovery.cpp: any part C as what a consumer left behind. Oracle: what cannot be is
// told, and nothing else; the sweep ends; swept twice equals swept once, byte for byte in the fresh
// part; each command is called back once; what stays outstanding can be fetched by the next
// consumer, in order, or waits as ClearError.
#include "core/client_ring.hpp"
#include "fuzz/device_rig.hpp"

using namespace vdset;
using namespace vdset::fuzz;

namespace {

Goal impossible("a line that cannot be");
Goal handed_on("a command that the next consumer fetches");

/// Commands, some finished by an honest consumer, so that laps differ from line to line.
void warm_up(DeviceRig& rig, Input& in) {
  core::ClientRing<Meddler> honest(rig.submissions, rig.parts[0].lines, rig.parts[0].header, 2, 0);
  const std::uint32_t steps = in.below(64);
  for (std::uint32_t i = 0; i < steps; ++i) {
    const std::uint32_t choice = in.below(4);
    core::Taken taken{};
    if (choice < 2) {
      const std::uint32_t opcode = 1 + in.below(4);  // Before the size, whatever the compiler.
      rig.send(opcode, 512 * in.below(9));
    }
    if (choice == 2) rig.poll();
    if (choice != 3 || honest.take(rig.a, taken) != core::Take::got) continue;
    const std::uint32_t code = in.byte() < 16 ? 29 : 0;
    if (in.flip())
      static_cast<void>(honest.complete(rig.a, taken.line, taken.lap, taken.command.opcode,
                                        {code, in.word(), 0}));
  }
}

void scribble(ClientMemory& part, Input& in) {
  const std::uint32_t writes = in.below(64);
  for (std::uint32_t i = 0; i < writes; ++i) {
    const Meddler::Range words = Meddler::range(part);
    const std::uint32_t at = in.byte();
    core::Word& word = words.words[(in.flip() ? at * 16 : at) % words.count];
    // A whole word, or one bit of it.
    word.value = in.flip() ? in.word() : word.value ^ 1u << in.below(32);
  }
}

/// What the lines of the outstanding commands say, judged from docs/format.md alone.
struct Judgement {
  bool impossible = false;  // The set must be poisoned.
  bool doubtful = false;    // It may be: an error found first may recall the command unseen.
};

Judgement judge(DeviceRig& rig) {
  Judgement out;
  const core::ServerRing<Meddler>& ring = rig.device.ring();
  const core::ClientLines lines = rig.parts[rig.part].lines;
  // A ClearError that waits, or is recalled to wait, may be posted before the sweep, into a line of
  // which nothing is known.
  out.doubtful = rig.device.outstanding_count() > ring.outstanding_count();
  for (std::uint32_t position = ring.tail() - depth; position != ring.tail(); ++position) {
    const std::uint32_t line = position % depth;
    if (!ring.is_outstanding(line)) continue;
    out.doubtful =
        out.doubtful || core::command_code(ring.opcode(line)) == core::opcode_clear_error;
    const std::uint32_t lap = (position / depth + 1) & 0xfffffu;
    const std::uint32_t before = (lap - 1) & 0xfffffu;
    const std::uint32_t finished = lines.completions[line].finished.value;
    const std::uint32_t state = lines.commands[line].command.value & 15u;
    const std::uint32_t of = lines.commands[line].command.value >> 12;
    const bool can_be = of == before || (of == lap && state >= 1 && state <= 5);
    const bool can_be_recalled = of == before || (of == lap && state == 5);
    const bool cannot_be = finished == before ? !can_be : finished != lap && !can_be_recalled;
    out.impossible = out.impossible || cannot_be;
    out.doubtful = out.doubtful || !can_be || (finished != before && finished != lap);
  }
  return out;
}

/// A part C as its next consumer sees it: how a line's last command ended is nobody's business any
/// more.
ClientMemory settled(const ClientMemory& part) {
  ClientMemory out = part;
  for (core::CommandLine& line : out.lines.commands) {
    const auto word = core::CommandWord::unpack(line.command.value);
    if (word.state == core::CommandState::failed)
      line.command.value =
          core::CommandWord{core::CommandState::idle, core::nobody, word.generation}.pack();
  }
  return out;
}

/// What the next consumer gets.
void consume(DeviceRig& rig) {
  const core::ServerRing<Meddler>& ring = rig.device.ring();
  ClientMemory& part = rig.parts[rig.part];
  core::ClientRing<Meddler> next(rig.submissions, part.lines, part.header, 3,
                                 ring.first_outstanding());
  const std::uint32_t due = ring.outstanding_count();
  std::uint32_t got = 0;
  for (core::Taken taken{}; got <= due; ++got) {
    if (next.take(rig.a, taken) != core::Take::got) break;
    static_cast<void>(next.complete(rig.a, taken.line, taken.lap, taken.command.opcode, {0, 0, 0}));
  }
  VDSET_HOLDS(got == due);
  if (got > 0) handed_on.reach();
  rig.poll();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  DeviceRig rig;
  rig.a.theirs_count = 0;
  const bool hand_over = in.flip();
  warm_up(rig, in);
  scribble(rig.parts[0], in);
  const Judgement due = judge(rig);
  if (due.impossible) impossible.reach();
  rig.sweep(hand_over);
  VDSET_HOLDS(rig.corrupt || !due.impossible);
  VDSET_HOLDS(due.doubtful || !rig.corrupt);
  const auto phase = rig.device.phase();
  const std::uint32_t outstanding = rig.device.outstanding_count();
  const std::uint32_t first = rig.device.ring().first_outstanding();
  std::uint32_t finished = 0;
  for (const DeviceRig::Sent& command : rig.sent)
    finished += command.finished;
  const ClientMemory once = settled(rig.parts[rig.part]);
  const core::SubmissionLine line = rig.submissions[rig.device.ring().tail() % depth];

  rig.sweep(hand_over);
  std::uint32_t again = 0;
  for (const DeviceRig::Sent& command : rig.sent)
    again += command.finished;
  // A word that cannot be ends the set: then nothing is left to compare, but the books.
  if (!rig.corrupt) {
    VDSET_HOLDS(finished == again && phase == rig.device.phase());
    VDSET_HOLDS(outstanding == rig.device.outstanding_count());
    VDSET_HOLDS(first == rig.device.ring().first_outstanding());
    const ClientMemory twice = settled(rig.parts[rig.part]);
    VDSET_HOLDS(std::memcmp(&once, &twice, sizeof once) == 0);
    VDSET_HOLDS(
        std::memcmp(&line, &rig.submissions[rig.device.ring().tail() % depth], sizeof line) == 0);
    consume(rig);
  }
  rig.finish();
  return 0;
}
