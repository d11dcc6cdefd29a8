// tests/model/mutants.hpp: atomics policies that do one thing wrong, to show that the scenarios
// would notice. Each stands for a mistake in the code that uses it.
#pragma once
#include "core/command.hpp"
#include "tests/model/explorer.hpp"

namespace vdset::model {

/// Stores of one site that are kept back, and done after another access.
template <Site late, std::uint32_t room>
class Delayed {
 public:
  void keep(Word& word, std::uint32_t value) { kept_[count_++] = {&word, value}; }
  void flush() {
    for (std::uint32_t i = 0; i < count_; ++i)
      ExplorerAtomics::store<late>(*kept_[i].word, kept_[i].value);
    count_ = 0;
  }

 private:
  struct Store {
    Word* word;
    std::uint32_t value;
  };
  Store kept_[room]{};
  std::uint32_t count_ = 0;
};

/// Stores of site `late` come after the store or exchange of site `early`.
template <Site late, Site early, std::uint32_t room>
struct SwappedAtomics : ExplorerAtomics {
  Delayed<late, room> delayed;

  template <Site site>
  void store(Word& word, std::uint32_t value) {
    if constexpr (site == late) return delayed.keep(word, value);
    ExplorerAtomics::store<site>(word, value);
    if constexpr (site == early) delayed.flush();
  }
  template <Site site>
  bool compare_exchange(Word& word, std::uint32_t& expected, std::uint32_t desired) {
    const bool done = ExplorerAtomics::compare_exchange<site>(word, expected, desired);
    if constexpr (site == early) delayed.flush();
    return done;
  }
};
using GateAfterDone = SwappedAtomics<Site::complete_gate, Site::complete_finished, 1>;
using ResultsAfterDone = SwappedAtomics<Site::complete_results, Site::complete_finished, 4>;
using FieldsAfterSequence = SwappedAtomics<Site::post_fields, Site::post_sequence, 5>;
using ConfigurationAfterState = SwappedAtomics<Site::fields_write, Site::state_publish, 12>;

/// The consumer arms and sleeps without looking at the ring again.
struct SleepWithoutLook : ExplorerAtomics {
  template <Site site>
  static std::uint32_t load(const Word& word) {
    if constexpr (site == Site::ready_sequence) return 0;
    return ExplorerAtomics::load<site>(word);
  }
};

/// Any ClearError passes the closed gate.
struct GateForAnyClearError : ExplorerAtomics {
  template <Site site>
  static std::uint32_t load(const Word& word) {
    const std::uint32_t value = ExplorerAtomics::load<site>(word);
    if constexpr (site == Site::take_peek)
      if (value == core::opcode_clear_error) return core::opcode_opens_gate;
    return value;
  }
};

/// The copy of a command is not checked again.
struct TakeWithoutRecheck : ExplorerAtomics {
  std::uint32_t mine = 0;

  template <Site site>
  std::uint32_t load(const Word& word) {
    if constexpr (site == Site::take_recheck) return mine;
    return ExplorerAtomics::load<site>(word);
  }
  template <Site site>
  bool compare_exchange(Word& word, std::uint32_t& expected, std::uint32_t desired) {
    if constexpr (site == Site::take_cas) mine = desired;
    return ExplorerAtomics::compare_exchange<site>(word, expected, desired);
  }
};

/// A consumer that lost its device does not notice.
struct TakeThoughEvicted : ExplorerAtomics {
  template <Site site>
  static std::uint32_t load(const Word& word) {
    if constexpr (site == Site::take_evicted) return 0;
    return ExplorerAtomics::load<site>(word);
  }
};

/// Results are written without the claim COMPLETING.
struct CompleteWithoutClaim : ExplorerAtomics {
  std::uint32_t taken = 0;

  template <Site site>
  bool compare_exchange(Word& word, std::uint32_t& expected, std::uint32_t desired) {
    if constexpr (site == Site::claim_cas) {
      taken = expected;
      return true;
    }
    if constexpr (site == Site::complete_cas)
      return ExplorerAtomics::compare_exchange<site>(word, taken, desired);
    return ExplorerAtomics::compare_exchange<site>(word, expected, desired);
  }
};

/// An exchange that stores whatever it finds.
template <Site blind>
struct BlindExchange : ExplorerAtomics {
  template <Site site>
  static bool compare_exchange(Word& word, std::uint32_t& expected, std::uint32_t desired) {
    if constexpr (site == blind) {
      ExplorerAtomics::store<site>(word, desired);
      return true;
    }
    return ExplorerAtomics::compare_exchange<site>(word, expected, desired);
  }
};

/// A publisher wakes, and does not change the bell's value.
struct WakeWithoutBump : ExplorerAtomics {
  template <Site site>
  static std::uint32_t fetch_add(Word& word, std::uint32_t value) {
    return ExplorerAtomics::fetch_add<site>(word, site == Site::bell_bump ? 0 : value);
  }
};

/// A rare event rings only a bell that is armed, as a submission does.
struct ForceOnlyArmed : ExplorerAtomics {
  template <Site site>
  static std::uint32_t fetch_add(Word& word, std::uint32_t value) {
    if constexpr (site == Site::bell_force)
      if ((ExplorerAtomics::load<Site::bell_check>(word) & 1u) == 0) return 0;
    return ExplorerAtomics::fetch_add<site>(word, value);
  }
};

/// A fresh part C offers a command as if nobody had had it.
struct OfferedWithoutFlag : ExplorerAtomics {
  template <Site site>
  static void store(Word& word, std::uint32_t value) {
    if constexpr (site == Site::fields_write) {
      const auto command = core::CommandWord::unpack(value);
      if (command.state == core::CommandState::offered)
        value = core::CommandWord{core::CommandState::idle, core::nobody, command.generation - 1}
                    .pack();
    }
    ExplorerAtomics::store<site>(word, value);
  }
};

/// What was decided and not said counts as queued.
struct DecidedIsQueued : ExplorerAtomics {
  std::uint32_t found = 0;

  template <Site site>
  std::uint32_t load(const Word& word) {
    const std::uint32_t value = ExplorerAtomics::load<site>(word);
    if constexpr (site == Site::sweep_word) {
      found = value;
      const auto command = core::CommandWord::unpack(value);
      if (command.state == core::CommandState::done)
        return core::CommandWord{core::CommandState::failed, core::server_index, command.generation}
            .pack();
    }
    return value;
  }
  template <Site site>
  bool compare_exchange(Word& word, std::uint32_t& expected, std::uint32_t desired) {
    if constexpr (site == Site::sweep_cas) expected = found;
    return ExplorerAtomics::compare_exchange<site>(word, expected, desired);
  }
};

/// Nothing is taken back from one that is gone.
struct NothingIsTakenBack : ExplorerAtomics {
  template <Site site>
  static bool compare_exchange(Word& word, std::uint32_t& expected, std::uint32_t desired) {
    if constexpr (site == Site::sweep_cas) return true;
    return ExplorerAtomics::compare_exchange<site>(word, expected, desired);
  }
};

}  // namespace vdset::model
