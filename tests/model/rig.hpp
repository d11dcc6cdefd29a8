// tests/model/rig.hpp: what the scenarios share: a device's memory, waiting as abi/wait.hpp does
// it, commands whose fields can be told apart, and the books of what came of each.
#pragma once
#include "core/client_ring.hpp"
#include "core/doorbell.hpp"
#include "core/server_device.hpp"
#include "core/set_state.hpp"
#include "tests/model/explorer.hpp"
#include "tests/support/lines.hpp"

namespace vdset::model {

using std::uint32_t;

inline void require(bool condition, const char* what) {
  Explorer::current().require(condition, what);
}

// ---- Memory -----------------------------------------------------------------------------------

/// A part C.
template <uint32_t depth>
struct ClientMemory {
  core::ClientHeader header{};
  support::Lines<depth> lines;
};

/// One device: its share of S and W, and a part C for each consumer it may have in turn.
template <uint32_t depth, uint32_t parts = 1>
struct DeviceMemory {
  core::DeviceRow row{};
  core::SubmissionLine lines[depth]{};
  core::WakeWords wake{};
  ClientMemory<depth> client[parts]{};

  Word& device_bell() { return wake.devices[0].event; }
  Word& agent_bell() { return wake.agent.event; }
  gsl::span<core::SubmissionLine> submissions() { return {lines, depth}; }
  core::ClientLines client_lines(uint32_t part = 0) { return client[part].lines; }

  void name_words() {
    Explorer& explorer = Explorer::current();
    if (!explorer.is_tracing()) return;
    explorer.name(row.device, "device");
    explorer.name(device_bell(), "device bell");
    explorer.name(agent_bell(), "agent bell");
    for (uint32_t i = 0; i < depth; ++i) {
      const int line = static_cast<int>(i);
      explorer.name(lines[i].sequence, "sequence", line);
      explorer.name(lines[i].opcode, "opcode", line);
      explorer.name(lines[i].handle, "handle", line);
      explorer.name(lines[i].size, "size", line);
      explorer.name(lines[i].position_low, "position low", line);
      explorer.name(lines[i].position_high, "position high", line);
      for (uint32_t p = 0; p < parts; ++p) name_completion(p, i);
    }
    for (uint32_t p = 0; p < parts; ++p)
      explorer.name(client[p].header.gate, "gate of part", static_cast<int>(p));
  }

 private:
  void name_completion(uint32_t part, uint32_t i) {
    static constexpr const char* labels[2][6] = {
        {"command", "code", "bytes", "result low", "result high", "finished"},
        {"2nd command", "2nd code", "2nd bytes", "2nd result low", "2nd result high",
         "2nd finished"}};
    const char* const* const label = labels[part == 0 ? 0 : 1];
    Explorer& explorer = Explorer::current();
    const core::CompletionLine& line = client[part].lines.completions[i];
    explorer.name(client[part].lines.commands[i].command, label[0], static_cast<int>(i));
    explorer.name(line.finished, label[5], static_cast<int>(i));
    explorer.name(line.code, label[1], static_cast<int>(i));
    explorer.name(line.bytes, label[2], static_cast<int>(i));
    explorer.name(line.position_low, label[3], static_cast<int>(i));
    explorer.name(line.position_high, label[4], static_cast<int>(i));
  }
};

// ---- Waiting ----------------------------------------------------------------------------------

/// After the condition was published with a seq_cst store.
template <class A>
void ring(A& a, Word& bell) {
  if (core::ring_bell(a, bell)) Explorer::current().futex_wake(bell);
}

template <class A>
void force(A& a, Word& bell) {
  core::force_bell(a, bell);
  Explorer::current().futex_wake(bell);
}

/// One round of abi's wait_on_bell, without slices: a wake that is lost is a deadlock.
template <class A, class Ready>
void sleep_unless(A& a, Word& bell, const Ready& ready) {
  const uint32_t value = core::arm_bell(a, bell);
  if (!ready()) Explorer::current().futex_wait(bell, value);
  core::disarm_bell(a, bell);
}

/// Who wakes by the word and sleeps on it.
struct Words {
  template <class A>
  void ring(A& a, Word& bell) {
    model::ring(a, bell);
  }
  template <class A, class Ready>
  void sleep_unless(A& a, Word& bell, const Ready& ready) {
    model::sleep_unless(a, bell, ready);
  }
};

/// What the kernel holds of one way of a wake connection. As a wake it orders nothing.
class Looks {
 public:
  /// abi's wake_waiter.
  template <class A>
  void ring(A& a, Word& bell) {
    const uint32_t armed = core::ring_bell(a, bell);
    if (armed != core::event_descriptor)
      return armed != 0 ? Explorer::current().futex_wake(bell) : void();
    step();
    unread_ = true;
    Explorer::current().note("sends a look");
  }
  /// abi's arm_pollable, and an event loop that knows nothing of the word.
  template <class A, class Ready>
  void sleep_unless(A& a, Word& bell, const Ready& ready) {
    step();
    unread_ = false;
    static_cast<void>(core::arm_bell(a, bell, core::event_descriptor));
    if (!ready()) Explorer::current().block_until([this] { return unread_; });
    core::disarm_bell(a, bell);
  }

 private:
  /// Others may run before a system call.
  static void step() { Explorer::current().block_until([] { return true; }); }
  bool unread_ = false;
};

/// GetCommand without an end: fetches or sleeps.
template <class A>
core::Take get_command(A& a, core::ClientRing<A>& from, Word& bell, core::Taken& out) {
  for (;;) {
    const core::Take take = from.take(a, out);
    if (take == core::Take::got || take == core::Take::evicted) return take;
    if (take == core::Take::empty) sleep_unless(a, bell, [&] { return from.ready(a); });
  }
}

template <class A>
bool is_closed(A& a, const core::DeviceRow& row) {
  const uint32_t word = a.template load<Site::device_read>(row.device);
  return core::DeviceWord::unpack(word).state == core::DeviceState::closed;
}

/// GetCommand until the device is closed: `empty` then. CLOSED is looked at before the ring is
/// looked at for the last time.
template <class A>
core::Take get_command_or_end(A& a, core::ClientRing<A>& from, const core::DeviceRow& row,
                              Word& bell, core::Taken& out) {
  for (;;) {
    const bool closed = is_closed(a, row);
    const core::Take take = from.take(a, out);
    if (take == core::Take::got || take == core::Take::evicted) return take;
    if (take == core::Take::again) continue;
    if (closed) return take;
    sleep_unless(a, bell, [&] { return from.ready(a) || is_closed(a, row); });
  }
}

template <class A>
void close_device(A& a, core::DeviceRow& row, Word& bell) {
  core::publish_device(a, row, {core::DeviceState::closed, core::nobody, 1});
  force(a, bell);
}

// ---- Commands ---------------------------------------------------------------------------------

/// Command number n: every field says n, each in its own way.
constexpr core::Submission command_of(uint32_t n) {
  return {core::opcode_write, 100 + n, 1000 + n, std::uint64_t{n + 1} << 32 | (n + 7)};
}
constexpr core::Submission clear_error{core::opcode_clear_error, 0, 0, 0};
constexpr core::Submission opens_gate{core::opcode_opens_gate, 0, 0, 0};

/// Either of them.
constexpr bool is_clear_error(const core::Submission& c) {
  return core::command_code(c.opcode) == core::opcode_clear_error;
}

/// Number of a fetched command; the execution fails when it is a mixture of two.
inline uint32_t number_of(const core::Submission& c) {
  const uint32_t n = c.handle - 100;
  const core::Submission due = command_of(n);
  require(c.opcode == due.opcode && c.size == due.size && c.position == due.position,
          "a mixture of two commands is accepted");
  return n;
}

/// The result of command n as completer `who` tells it.
constexpr core::Completion result_of(uint32_t n, uint32_t who, uint32_t code = 0) {
  return {code, n * 16 + who, std::uint64_t{n + 1} << 32 | (n * 16 + who)};
}
/// Who completed command n; fails when the result is of another one or mixed.
inline uint32_t completer_of(const core::Completion& result, uint32_t n) {
  const uint32_t who = result.bytes - n * 16;
  const core::Completion due = result_of(n, who, result.code);
  require(who >= 1 && who <= 15, "the result of another command");
  require(result.position == due.position, "a mixture of two results");
  return who;
}

}  // namespace vdset::model
