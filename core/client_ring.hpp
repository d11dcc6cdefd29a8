// core/client_ring.hpp: a client's side of one device's command ring. Layer core: freestanding.
// take() is for one thread at a time; complete() for any. Edges command_published, command_taken,
// command_decided, command_finished, line_recheck, sleep.
#pragma once
#include <gsl/assert>
#include <gsl/span>
#include "core/atomics.hpp"
#include "core/command.hpp"
#include "core/layout.hpp"
#include "core/words.hpp"

namespace vdset::core {

enum class Take : std::uint8_t {
  empty,      // Nothing to fetch now.
  got,        // `out` is filled.
  again,      // Bound reached while skipping: call again before sleeping.
  evicted,    // The server declared this process gone while it copied: use nothing.
  need_pool,  // A pool was added that this process has not mapped: nothing was taken.
};
enum class Completed : std::uint8_t { done, not_active, evicted };

struct Taken {
  std::uint32_t line;
  std::uint32_t lap;
  bool redelivered;
  Submission command;
};

template <class A>
class ClientRing {
 public:
  ClientRing() = default;
  /// `head`: the first non-final position, from the server's grant. `me`: this process's
  /// participant index.
  ClientRing(gsl::span<const SubmissionLine> submissions, const ClientLines& lines,
             ClientHeader& header, std::uint32_t me, std::uint32_t head)
      : submissions_(submissions),
        completions_(lines.completions),
        commands_(lines.commands),
        header_(&header),
        depth_(static_cast<std::uint32_t>(submissions.size())),
        me_(me),
        head_(head) {
    Expects(depth_ >= 1 && depth_ <= queue_depth_max && (depth_ & (depth_ - 1)) == 0);
    Expects(completions_.size() == submissions.size());
    Expects(commands_.size() == submissions.size() && me < nobody);
  }

  /// Makes take() answer need_pool while `pool_count` (in S) is above the number given to
  /// know_pools: a pool is mapped
  /// before the take, so that a failure to map leaves the command queued.
  void watch_pools(const Word& pool_count) { pool_count_ = &pool_count; }
  void know_pools(std::uint32_t count) { pools_known_ = count; }

  /// GetCommand. Lock-free, bounded by twice the depth. Skips what was recalled or taken before.
  [[nodiscard]] Take take(A& a, Taken& out) {
    for (std::uint32_t tries = 0; tries < 2 * depth_; ++tries) {
      const RingPosition at = ring_position(head_, depth_);
      const SubmissionLine& line = submissions_[at.line];
      Word& word = commands_[at.line].command;
      // Edge command_published: fields and buffer of the lap are visible.
      const std::uint32_t sequence =
          a.template load<Site::take_sequence>(line.sequence) & generation_mask;
      // After take_sequence: a command posted since the eviction shows it.
      if (is_evicted(a)) return Take::evicted;
      if (generation_distance(sequence, at.lap) < 0) return Take::empty;
      std::uint32_t found = a.template load<Site::take_word>(word);
      if (sequence != at.lap || is_past(found, at.lap)) {
        ++head_;
        continue;
      }
      if (held_back(a, line)) return Take::empty;
      // After take_sequence, so that the pool of this command's buffer is seen.
      if (pool_count_ != nullptr && a.template load<Site::pool_read>(*pool_count_) > pools_known_)
        return Take::need_pool;
      const std::uint32_t mine = CommandWord{CommandState::taken, me_, at.lap}.pack();
      const bool redelivered = CommandWord::unpack(found).state == CommandState::offered &&
                               CommandWord::unpack(found).generation == at.lap;
      // Edge command_taken: a rival completer that sees TAKEN also sees what this process saw. The
      // linearization point of
      // GetCommand; death after it: the sweep fails or offers the command.
      if (!a.template compare_exchange<Site::take_cas>(word, found, mine)) continue;
      out = {at.line, at.lap, redelivered, read_fields(a, line)};
      ++head_;
      // Edge line_recheck: the copy is of this lap only if the word still is ours. Fails only for a
      // process that was declared dead.
      a.template fence<Site::take_fence>();
      return a.template load<Site::take_recheck>(word) == mine ? Take::got : Take::evicted;
    }
    return Take::again;
  }

  /// The consumer's re-check before it sleeps: whether take() would get or skip something.
  [[nodiscard]] bool ready(A& a) const {
    if (is_evicted(a)) return true;
    const RingPosition at = ring_position(head_, depth_);
    const SubmissionLine& line = submissions_[at.line];
    // Edge sleep: after arm_bell; pairs with post_sequence.
    const std::uint32_t sequence =
        a.template load<Site::ready_sequence>(line.sequence) & generation_mask;
    if (generation_distance(sequence, at.lap) < 0) return false;
    if (sequence != at.lap) return true;
    if (is_past(a.template load<Site::take_word>(commands_[at.line].command), at.lap)) return true;
    return !held_back(a, line);
  }

  /// CompleteCommand. Lock-free, no loop. `opcode` is the one take() gave. After done, the caller
  /// rings the agent's bell.
  [[nodiscard]] Completed complete(A& a, std::uint32_t line, std::uint32_t lap,
                                   std::uint32_t opcode, const Completion& result) {
    Word& command = commands_[line].command;
    std::uint32_t found = a.template load<Site::claim_word>(command);
    const auto word = CommandWord::unpack(found);
    if (word.generation != lap || word.state != CommandState::taken) return Completed::not_active;
    std::uint32_t mine = CommandWord{CommandState::completing, me_, lap}.pack();
    // Edge command_taken: see take_cas. Whoever loses here is told at once.
    if (!a.template compare_exchange<Site::claim_cas>(command, found, mine))
      return Completed::not_active;
    CompletionLine& to = completions_[line];
    a.template store<Site::complete_results>(to.code, result.code);
    a.template store<Site::complete_results>(to.bytes, result.bytes);
    a.template store<Site::complete_results>(to.position_low,
                                             static_cast<std::uint32_t>(result.position));
    a.template store<Site::complete_results>(to.position_high,
                                             static_cast<std::uint32_t>(result.position >> 32));
    // The gate moves before DONE, else GetCommand is handed the next queued command before the
    // server can recall it.
    if (result.code != code_success)
      a.template store<Site::complete_gate>(header_->gate, gate_io_error);
    else if (opcode == opcode_opens_gate)
      a.template store<Site::complete_gate>(header_->gate, gate_open);
    // Edge command_decided: a sweep that finds DONE finds the results. The linearization point of
    // CompleteCommand; death before it: half results that nobody reads; after it: the sweep reads
    // them.
    if (!a.template compare_exchange<Site::complete_cas>(
            command, mine, CommandWord{CommandState::done, me_, lap}.pack()))
      return Completed::evicted;
    // Edge command_finished: results and buffer are visible with the lap. Edge sleep: before the
    // agent's bell is looked at.
    a.template store<Site::complete_finished>(to.finished, lap);
    return Completed::done;
  }

 private:
  /// Whether the command of this lap was taken, recalled or finished: nothing to fetch at this
  /// position.
  static bool is_past(std::uint32_t found, std::uint32_t lap) {
    const auto word = CommandWord::unpack(found);
    const bool offered = word.generation == lap && word.state == CommandState::offered;
    return generation_distance(word.generation, lap) >= 0 && !offered;
  }

  /// Whether the server gave the device to somebody else: this process left, or was taken for dead.
  bool is_evicted(A& a) const { return a.template load<Site::take_evicted>(header_->evicted) != 0; }

  /// IO-ERROR: while the gate is closed only the ClearError that opens it is delivered; the rest is
  /// about to be recalled.
  bool held_back(A& a, const SubmissionLine& line) const {
    return a.template load<Site::take_gate>(header_->gate) != gate_open &&
           a.template load<Site::take_peek>(line.opcode) != opcode_opens_gate;
  }

  static Submission read_fields(A& a, const SubmissionLine& line) {
    const std::uint32_t opcode = a.template load<Site::take_fields>(line.opcode);
    const std::uint32_t handle = a.template load<Site::take_fields>(line.handle);
    const std::uint32_t size = a.template load<Site::take_fields>(line.size);
    const std::uint32_t low = a.template load<Site::take_fields>(line.position_low);
    const std::uint32_t high = a.template load<Site::take_fields>(line.position_high);
    return {opcode, handle, size, static_cast<std::uint64_t>(high) << 32 | low};
  }

  gsl::span<const SubmissionLine> submissions_;
  gsl::span<CompletionLine> completions_;
  gsl::span<CommandLine> commands_;
  ClientHeader* header_ = nullptr;
  const Word* pool_count_ = nullptr;
  std::uint32_t pools_known_ = 0;
  std::uint32_t depth_ = 0;
  std::uint32_t me_ = nobody;
  std::uint32_t head_ = 0;
};

}  // namespace vdset::core
