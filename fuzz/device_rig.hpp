// fuzz/device_rig.hpp: one device of a server over memory that a peer writes, with the books kept
// beside it: what was sent, how large, and how often it was called back.
#pragma once
#include <memory>
#include "core/server_device.hpp"
#include "fuzz/meddler.hpp"
#include "tests/support/lines.hpp"

namespace vdset::fuzz {

inline constexpr std::uint32_t depth = core::queue_depth_min;
inline constexpr std::uint32_t sent_max = 256;

struct ClientMemory {
  core::ClientHeader header{};
  support::Lines<depth> lines;
};

struct DeviceRig {
  struct Sent {
    std::uint32_t opcode, size;
    bool accepted;
    std::uint32_t finished;
  };
  Meddler a;
  core::SubmissionLine submissions[depth]{};
  ClientMemory parts[2];
  std::uint32_t part = 0;
  core::ServerDevice<Meddler> device;
  Sent sent[sent_max] = {};
  std::uint32_t sent_count = 0;
  bool corrupt = false;

  DeviceRig() : device(core::ServerRing<Meddler>(submissions, parts[0].lines), parts[0].header) {
    a.allow(submissions, false);
    a.allow(parts[0], true);
    a.allow(parts[1], true);  // A peer that is gone may have kept the old one.
  }
  DeviceRig(const DeviceRig&) = delete;
  DeviceRig& operator=(const DeviceRig&) = delete;

  void send(std::uint32_t opcode, std::uint32_t size) {
    if (sent_count == sent_max) return;
    Sent& command = sent[sent_count++];
    command = {opcode, size, false, 0};
    const std::uint64_t before = a.accesses;
    const core::Sent result = device.send(a, {opcode, 7, size, 1}, &command);
    command.accepted = result == core::Sent::queued || result == core::Sent::held;
    VDSET_HOLDS(a.accesses - before <= 16);
    a.lap = device.ring().tail() / depth + 1;
  }
  /// Enters what a step found; the same list may hold a command once, and so may all lists.
  void enter(const core::FinishedList& list) {
    VDSET_HOLDS(list.count <= core::finished_max);
    for (std::uint32_t i = 0; i < list.count; ++i) {
      auto* const command = static_cast<Sent*>(list.items[i].cookie);
      VDSET_HOLDS(command >= sent && command < sent + sent_count);
      VDSET_HOLDS(command->accepted && ++command->finished == 1);
      const std::uint32_t most = core::moves_data(command->opcode) ? command->size : 0;
      VDSET_HOLDS(list.items[i].result.bytes <= most);
    }
    corrupt = corrupt || list.corrupt;
  }
  void poll() {
    auto list = std::make_unique<core::FinishedList>();
    const std::uint64_t before = a.accesses;
    device.poll(a, *list);
    // At most every line, and for every one that failed a recall of every other.
    VDSET_HOLDS(a.accesses - before <= depth * (8 + depth * 10) + 16);
    enter(*list);
  }
  void sweep(bool hand_over) {
    auto list = std::make_unique<core::FinishedList>();
    ClientMemory& fresh = parts[part ^= 1];
    fresh = {};
    const std::uint64_t before = a.accesses;
    device.sweep(a, hand_over, fresh.lines, fresh.header, *list);
    VDSET_HOLDS(a.accesses - before <= 3 * depth * (16 + depth * 10) + 64);
    enter(*list);
  }
  /// What an agent asks before it sleeps, and a grant of what a consumer holds; or it closes.
  void ask(std::uint32_t choice) {
    const std::uint64_t before = a.accesses;
    std::uint32_t held = 0;
    switch (choice) {
      case 0: device.close(); break;
      case 1: static_cast<void>(device.ring().any_final(a)); break;
      case 2:
        device.for_each_held(a, [&](std::uint32_t opcode, std::uint32_t handle) {
          // A ClearError that was held is posted without a buffer.
          const bool clears = core::command_code(opcode) == core::opcode_clear_error;
          VDSET_HOLDS(handle == 7 || (clears && handle == 0));
          VDSET_HOLDS(++held <= depth);
        });
        break;
      default: return;
    }
    VDSET_HOLDS(a.accesses - before <= depth + 1);
  }
  /// As after an abort: everything that was accepted has been called back, once.
  void finish() {
    auto list = std::make_unique<core::FinishedList>();
    device.abandon(*list);
    enter(*list);
    VDSET_HOLDS(device.outstanding_count() == 0);
    for (std::uint32_t i = 0; i < sent_count; ++i)
      VDSET_HOLDS(sent[i].finished == (sent[i].accepted ? 1 : 0));
  }
};

}  // namespace vdset::fuzz
