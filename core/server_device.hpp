// core/server_device.hpp: one device as the server keeps it: the ring, and VDI's IO-ERROR protocol
// around it.
// Layer core: freestanding. Not thread-safe: under the device's process-local lock; callbacks run
// after it is released, from the
// Finished list that each step fills.
#pragma once
#include "core/server_ring.hpp"

namespace vdset::core {

enum class DevicePhase : std::uint8_t { active, io_error, closed };
enum class Sent : std::uint8_t { queued, held, queue_full, io_error, closed };

/// A command that is final: whose callback is due.
struct Finished {
  void* cookie;
  Completion result;
};

/// At most every line and one held ClearError end in one step.
inline constexpr std::uint32_t finished_max = queue_depth_max + 1;

struct FinishedList {
  std::uint32_t count = 0;
  // A held ClearError was posted, or commands were recalled: force the device's bell.
  bool ring_device = false;
  bool corrupt = false;  // A word that cannot be: poison the set.
  std::uint32_t corrupt_line = 0;
  Finished items[finished_max];

  void poison(std::uint32_t line) {
    corrupt = true;
    corrupt_line = line;
  }
  void add(void* cookie, const Completion& result) {
    Expects(count < finished_max);
    items[count++] = {cookie, result};
  }
};

/// What a sweep took back from a consumer that was in the middle of it.
struct TakenBack {
  std::uint32_t failed;
  std::uint32_t offered;  // Wait for the next opener.
};

template <class A>
class ServerDevice {
 public:
  ServerDevice() = default;
  ServerDevice(ServerRing<A> ring, ClientHeader& header) : ring_(ring), header_(&header) {}

  DevicePhase phase() const { return phase_; }
  const ServerRing<A>& ring() const { return ring_; }
  std::uint32_t outstanding_count() const {
    return ring_.outstanding_count() + (held_ != nullptr ? 1 : 0);
  }
  void close() { phase_ = DevicePhase::closed; }

  /// SendCommand. `cookie` comes back in Finished, exactly once, when queued or held is returned;
  /// never null.
  [[nodiscard]] Sent send(A& a, const Submission& command, void* cookie) {
    Expects(cookie != nullptr);
    if (phase_ == DevicePhase::closed) return Sent::closed;
    if (phase_ == DevicePhase::io_error) {
      if (command.opcode != opcode_clear_error || held_ != nullptr) return Sent::io_error;
      // Withheld until all that was fetched is completed (8.3 step 5).
      if (ring_.outstanding_count() > 0) {
        held_ = cookie;
        return Sent::held;
      }
      post_clear_error(a, cookie, opcode_opens_gate);
      return Sent::queued;
    }
    if (!ring_.can_post()) return Sent::queue_full;
    cookies_[ring_.post(a, command)] = cookie;
    return Sent::queued;
  }

  /// Collects every final command, oldest first; applies IO-ERROR. Bounded by the depth.
  void poll(A& a, FinishedList& out) {
    ring_.for_each_outstanding([&](std::uint32_t line) {
      if (collect(a, line, out)) enter_io_error(a, out);
      return true;
    });
    post_held(a, out);
  }

  /// Calls visit(opcode, handle) for each command that a consumer holds now.
  template <class Visit>
  void for_each_held(A& a, Visit visit) {
    for (std::uint32_t line = 0; line < ring_.depth(); ++line)
      if (ring_.is_outstanding(line) && ring_.is_held(a, line))
        visit(ring_.opcode(line), ring_.handle(line));
  }

  /// When the consumer is gone (dead, or left): what it finished counts; what it had fetched fails
  /// and brings the device into IO-ERROR, or is
  /// offered to the next opener (never while in IO-ERROR: only ClearError could be taken, which
  /// waits for all others).
  /// Continues on the fresh part C, whose gate says what the shadow says.
  TakenBack sweep(A& a, bool hand_over, const ClientLines& fresh, ClientHeader& fresh_header,
                  FinishedList& out) {
    poll(a, out);
    a.template store<Site::sweep_evict>(header_->evicted, 1);
    TakenBack taken{0, 0};
    bool failed = false;
    for (std::uint32_t i = 0; i < ring_.depth(); ++i) {
      const std::uint32_t line = (ring_.tail() + i) & (ring_.depth() - 1);
      if (!ring_.is_outstanding(line)) continue;
      switch (ring_.sweep(a, line, hand_over && phase_ == DevicePhase::active)) {
        case Swept::finished:  // Since poll it was decided; it may not have come to say so.
          failed |= conclude(ring_.opcode(line), line, ring_.take_results(a, line), out);
          break;
        case Swept::failed:
          out.add(cookies_[line], {code_operation_aborted, 0, 0});
          failed = true;
          ++taken.failed;
          break;
        case Swept::corrupt: out.poison(line); break;
        case Swept::queued:
          // In IO-ERROR nobody could fetch it. Only a consumer that took its own TAKEN back leaves
          // this behind.
          failed |= phase_ == DevicePhase::io_error && ring_.opcode(line) != opcode_opens_gate;
          break;
        case Swept::offered: ++taken.offered; break;
      }
    }
    ring_.adopt(a, fresh);
    header_ = &fresh_header;
    // In the fresh part: in the old one every line says FAILED.
    if (failed) enter_io_error(a, out);
    a.template store<Site::sweep_gate>(header_->gate,
                                       phase_ == DevicePhase::io_error ? gate_io_error : gate_open);
    // A closed device is never opened again: nobody is left to end what is under way.
    if (phase_ == DevicePhase::closed)
      abandon(out);
    else
      post_held(a, out);
    // What was offered before an error was found has been recalled, or abandoned.
    if (phase_ != DevicePhase::active) taken = {taken.failed + taken.offered, 0};
    return taken;
  }

  /// After an abort: every outstanding command is final with 995, whatever its client does. Touches
  /// no shared memory.
  void abandon(FinishedList& out) {
    for (std::uint32_t line = 0; line < ring_.depth(); ++line) {
      if (!ring_.is_outstanding(line)) continue;
      ring_.forget(line);
      out.add(cookies_[line], {code_operation_aborted, 0, 0});
    }
    if (held_ == nullptr) return;
    out.add(held_, {code_operation_aborted, 0, 0});
    held_ = nullptr;
  }

 private:
  void post_held(A& a, FinishedList& out) {
    if (held_ == nullptr || ring_.outstanding_count() > 0) return;
    // One that waited for another ClearError comes in ACTIVE: an ordinary command, behind which
    // others are sent.
    post_clear_error(a, held_,
                     phase_ == DevicePhase::active ? opcode_clear_error : opcode_opens_gate);
    held_ = nullptr;
    out.ring_device = true;
  }

  /// Only with nothing outstanding: the client holds no other command.
  void post_clear_error(A& a, void* cookie, std::uint32_t opcode) {
    Expects(ring_.outstanding_count() == 0);
    cookies_[ring_.post(a, {opcode, 0, 0, 0})] = cookie;
  }

  /// Takes note of one command if it is final. True: it ended with an error.
  bool collect(A& a, std::uint32_t line, FinishedList& out) {
    const std::uint32_t opcode = ring_.opcode(line);
    Completion result{};
    const Reaped reaped = ring_.reap(a, line, result);
    if (reaped == Reaped::corrupt) out.poison(line);
    return reaped == Reaped::done && conclude(opcode, line, result, out);
  }

  /// A command is final. True: it ended with an error.
  bool conclude(std::uint32_t opcode, std::uint32_t line, const Completion& result,
                FinishedList& out) {
    out.add(cookies_[line], result);
    if (result.code != code_success) return true;
    if (opcode == opcode_opens_gate && phase_ == DevicePhase::io_error)
      phase_ = DevicePhase::active;
    return false;
  }

  /// VDI 8.3: what is queued and was not fetched ends with 1117, unseen by the client; ClearError
  /// alone is left.
  void enter_io_error(A& a, FinishedList& out) {
    if (phase_ == DevicePhase::active) phase_ = DevicePhase::io_error;
    for (std::uint32_t i = 0; i < ring_.depth(); ++i) {
      const std::uint32_t line = (ring_.tail() + i) & (ring_.depth() - 1);
      if (!ring_.is_outstanding(line)) continue;
      const bool clear = command_code(ring_.opcode(line)) == opcode_clear_error;
      switch (ring_.recall(a, line)) {
        case Recalled::recalled:
          // A ClearError sent before the server knew of the error waits for the fetched ones, too.
          if (clear && held_ == nullptr)
            held_ = cookies_[line];
          else
            out.add(cookies_[line], {code_io_device, 0, 0});
          out.ring_device = true;
          break;
        case Recalled::corrupt: out.poison(line); break;
        case Recalled::delivered: break;
      }
    }
  }

  ServerRing<A> ring_;
  ClientHeader* header_ = nullptr;
  DevicePhase phase_ = DevicePhase::active;
  void* held_ = nullptr;  // A ClearError that waits for the fetched commands.
  void* cookies_[queue_depth_max] = {};
};

}  // namespace vdset::core
