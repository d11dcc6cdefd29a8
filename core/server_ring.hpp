// core/server_ring.hpp: the server's side of one device's command ring. Layer core: freestanding.
// Not thread-safe: one process-local lock per device around it. Decides from its private shadow; a
// shared word can only select among outcomes that the shadow allows (invariant I9). Edges
// command_published, command_decided, command_finished, line_recheck, sleep.
#pragma once
#include <gsl/assert>
#include <gsl/span>
#include "core/atomics.hpp"
#include "core/command.hpp"
#include "core/layout.hpp"
#include "core/words.hpp"

namespace vdset::core {

enum class Reaped : std::uint8_t { pending, done, corrupt };
enum class Recalled : std::uint8_t { recalled, delivered, corrupt };
enum class Swept : std::uint8_t { queued, finished, failed, offered, corrupt };

template <class A>
class ServerRing {
 public:
  ServerRing() = default;
  ServerRing(gsl::span<SubmissionLine> submissions, const ClientLines& lines)
      : submissions_(submissions),
        completions_(lines.completions),
        commands_(lines.commands),
        depth_(static_cast<std::uint32_t>(submissions.size())) {
    Expects(depth_ >= 1 && depth_ <= queue_depth_max && (depth_ & (depth_ - 1)) == 0);
    Expects(completions_.size() == submissions.size() && commands_.size() == submissions.size());
  }

  std::uint32_t depth() const { return depth_; }
  std::uint32_t tail() const { return tail_; }
  std::uint32_t outstanding_count() const { return outstanding_count_; }
  bool can_post() const { return !is_outstanding(tail_ & (depth_ - 1)); }
  bool is_outstanding(std::uint32_t line) const {
    return (outstanding_[line / 32] >> (line % 32) & 1u) != 0;
  }
  std::uint32_t opcode(std::uint32_t line) const { return shadow_[line].opcode; }
  std::uint32_t handle(std::uint32_t line) const { return shadow_[line].handle; }

  /// The oldest position whose command is not final, or the tail: where a new consumer starts
  /// (decision 2.6).
  std::uint32_t first_outstanding() const { return oldest_; }

  /// Puts a command into the next line and returns the line. Wait-free. The caller then rings the
  /// device's bell.
  std::uint32_t post(A& a, const Submission& command) {
    Expects(can_post());
    const RingPosition at = ring_position(tail_, depth_);
    SubmissionLine& line = submissions_[at.line];
    shadow_[at.line] = {at.lap, command.opcode, command.handle, command.size, false};
    outstanding_[at.line / 32] |= 1u << (at.line % 32);
    ++outstanding_count_;
    ++tail_;
    // Edge line_recheck: whoever reads a field stored below also sees that the line's last command
    // was taken from it
    // (take_recheck). Weaker: a fenced consumer accepts a mixture of two commands.
    a.template fence<Site::post_fence>();
    a.template store<Site::post_fields>(line.opcode, command.opcode);
    a.template store<Site::post_fields>(line.handle, command.handle);
    a.template store<Site::post_fields>(line.size, command.size);
    a.template store<Site::post_fields>(line.position_low,
                                        static_cast<std::uint32_t>(command.position));
    a.template store<Site::post_fields>(line.position_high,
                                        static_cast<std::uint32_t>(command.position >> 32));
    // Edge command_published: the fields and the buffer are visible with the lap. Edge sleep:
    // before the bell is looked at.
    // Death before this store: the command was never sent, and the set aborts with its server.
    a.template store<Site::post_sequence>(line.sequence, at.lap);
    return at.line;
  }

  /// Looks whether an outstanding command is final; if so forgets it and fills `out`: a callback is
  /// due.
  [[nodiscard]] Reaped reap(A& a, std::uint32_t line, Completion& out) {
    Expects(is_outstanding(line));
    // Edge command_finished: results and buffer contents are visible with the lap.
    const std::uint32_t finished = a.template load<Site::reap_word>(completions_[line].finished);
    if (finished == shadow_[line].lap) {
      out = take_results(a, line);
      return Reaped::done;
    }
    return is_before(finished, shadow_[line]) ? Reaped::pending : Reaped::corrupt;
  }

  /// The results of a command that is final, of which it is forgotten. Once (invariant I4): its bit
  /// in the private mask is cleared here and nowhere else but in forget().
  [[nodiscard]] Completion take_results(A& a, std::uint32_t line) {
    const CompletionLine& from = completions_[line];
    const std::uint32_t code = a.template load<Site::reap_results>(from.code);
    const std::uint32_t bytes = a.template load<Site::reap_results>(from.bytes);
    const std::uint32_t low = a.template load<Site::reap_results>(from.position_low);
    const std::uint32_t high = a.template load<Site::reap_results>(from.position_high);
    const Shadow& asked = shadow_[line];
    const std::uint32_t limit = moves_data(asked.opcode) ? asked.size : 0;
    Completion out{code, 0, static_cast<std::uint64_t>(high) << 32 | low};
    out.bytes = bytes <= limit ? bytes : limit;
    forget(line);
    return out;
  }

  /// Calls visit(line) for each outstanding command, oldest first, until one answers false;
  /// commands may end meanwhile. Bounded by the depth.
  template <class Visit>
  void for_each_outstanding(Visit visit) const {
    for (std::uint32_t position = oldest_; position != tail_; ++position) {
      const std::uint32_t line = position & (depth_ - 1);
      if (is_outstanding(line) && !visit(line)) return;
    }
  }

  /// The agent's re-check before it sleeps: whether any outstanding command is final, or its line
  /// says what cannot be. Bounded by the depth.
  [[nodiscard]] bool any_final(A& a) const {
    bool found = false;
    for_each_outstanding([&](std::uint32_t line) {
      // Edge sleep: after arm_bell; pairs with complete_finished.
      const std::uint32_t finished = a.template load<Site::ready_word>(completions_[line].finished);
      found = !is_before(finished, shadow_[line]);
      return !found;
    });
    return found;
  }

  /// Takes back a command that no client has fetched, atomically against GetCommand; forgets it
  /// when recalled.
  [[nodiscard]] Recalled recall(A& a, std::uint32_t line) {
    Expects(is_outstanding(line));
    const std::uint32_t lap = shadow_[line].lap;
    std::uint32_t found = a.template load<Site::recall_word>(commands_[line].command);
    for (std::uint32_t tries = 0; tries < cas_tries_max; ++tries) {
      const auto word = CommandWord::unpack(found);
      const bool offered = word.generation == lap && word.state == CommandState::offered;
      if (word.generation == lap && !offered) return Recalled::delivered;
      if (!offered && generation_distance(lap, word.generation) != 1) return Recalled::corrupt;
      const CommandWord failed{CommandState::failed, server_index, lap};
      if (a.template compare_exchange<Site::recall_cas>(commands_[line].command, found,
                                                        failed.pack())) {
        // No client completes this lap: the line is the server's own until the next one.
        a.template store<Site::recall_finished>(completions_[line].finished, lap);
        forget(line);
        return Recalled::recalled;
      }
    }
    // An honest consumer moves the word once; only a scribbler gets here.
    return Recalled::corrupt;
  }

  /// Whether a consumer has fetched this outstanding command and not finished it.
  [[nodiscard]] bool is_held(A& a, std::uint32_t line) const {
    const auto word =
        CommandWord::unpack(a.template load<Site::sweep_word>(commands_[line].command));
    return word.generation == shadow_[line].lap &&
           (word.state == CommandState::taken || word.state == CommandState::completing);
  }

  /// Takes one outstanding command from a consumer that is gone, by one exchange, so that the
  /// consumer, should it live (it left), can from here on neither fetch nor finish it. Finished
  /// ones are left to reap; fetched and not finished, it fails (and is forgotten) or will be
  /// offered to the next opener; not fetched, it stays queued for the next one. Idempotent. Who is
  /// named in the word does not matter: only that consumer had the part C.
  [[nodiscard]] Swept sweep(A& a, std::uint32_t line, bool hand_over) {
    Expects(is_outstanding(line));
    Shadow& asked = shadow_[line];
    for (std::uint32_t tries = 0; tries < cas_tries_max; ++tries) {
      // Edge command_decided: the results are visible with DONE.
      std::uint32_t found = a.template load<Site::sweep_word>(commands_[line].command);
      const auto word = CommandWord::unpack(found);
      const bool posted = generation_distance(asked.lap, word.generation) == 1;
      if (!posted && word.generation != asked.lap) return Swept::corrupt;
      if (!posted && word.state == CommandState::done) return Swept::finished;
      const bool held =
          !posted && (word.state == CommandState::taken || word.state == CommandState::completing);
      // FAILED: swept before. OFFERED: the consumer that is gone did not fetch it.
      const bool queued =
          posted || word.state == CommandState::failed || word.state == CommandState::offered;
      if (!held && !queued) return Swept::corrupt;
      const CommandWord taken_back{CommandState::failed, server_index, asked.lap};
      if (!a.template compare_exchange<Site::sweep_cas>(commands_[line].command, found,
                                                        taken_back.pack()))
        continue;
      if (queued) return Swept::queued;
      asked.offered = hand_over;
      if (!hand_over) forget(line);
      return hand_over ? Swept::offered : Swept::failed;
    }
    return Swept::corrupt;
  }

  /// Moves to a fresh part C, written from the shadow: nothing that the last consumer (or whom it
  /// lent its mapping) stores from here on can reach a later one. Call after sweep, before the next
  /// grant.
  void adopt(A& a, const ClientLines& fresh) {
    Expects(fresh.completions.size() == completions_.size());
    Expects(fresh.commands.size() == commands_.size());
    for (std::uint32_t line = 0; line < depth_; ++line) {
      const Shadow& asked = shadow_[line];
      CommandWord word{CommandState::idle, nobody, asked.lap};
      if (is_outstanding(line))
        word = asked.offered ? CommandWord{CommandState::offered, server_index, asked.lap}
                             : CommandWord{CommandState::idle, nobody, asked.lap - 1};
      const std::uint32_t finished = is_outstanding(line) ? before(asked.lap) : asked.lap;
      a.template store<Site::fields_write>(fresh.commands[line].command, word.pack());
      a.template store<Site::fields_write>(fresh.completions[line].finished, finished);
    }
    completions_ = fresh.completions;
    commands_ = fresh.commands;
  }

  /// Drops a command from the shadow without looking at shared memory: after an abort, when nothing
  /// is reused.
  void forget(std::uint32_t line) {
    Expects(is_outstanding(line));
    outstanding_[line / 32] &= ~(1u << (line % 32));
    --outstanding_count_;
    while (oldest_ != tail_ && !is_outstanding(oldest_ & (depth_ - 1)))
      ++oldest_;
  }

 private:
  static constexpr std::uint32_t cas_tries_max = 8;
  struct Shadow {
    std::uint32_t lap;
    std::uint32_t opcode;
    std::uint32_t handle;
    std::uint32_t size;
    bool offered;  // A consumer that is gone had it; the next one is told.
  };

  static std::uint32_t before(std::uint32_t lap) { return (lap - 1) & generation_mask; }
  /// Whether the line says that its last command but this one was the last to end.
  static bool is_before(std::uint32_t finished, const Shadow& asked) {
    return finished == before(asked.lap);
  }

  gsl::span<SubmissionLine> submissions_;
  gsl::span<CompletionLine> completions_;
  gsl::span<CommandLine> commands_;
  std::uint32_t depth_ = 0;
  std::uint32_t tail_ = 0;
  std::uint32_t oldest_ = 0;  // What is before it is not outstanding.
  std::uint32_t outstanding_count_ = 0;
  std::uint32_t outstanding_[queue_depth_max / 32] = {};
  Shadow shadow_[queue_depth_max] = {};
};

}  // namespace vdset::core
