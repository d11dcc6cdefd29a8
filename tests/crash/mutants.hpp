// tests/crash/mutants.hpp: recovery with one step removed, compiled into a role program of its own
// (VDSET_MUTANT says which), to show that the sweep would notice. Forced into the server's sources
// behind the counting policy; never part of the library.
#pragma once
#include "core/server_device.hpp"
#include "tests/model/counting.hpp"

namespace vdset::core {

using CountingRing = ServerRing<model::CountingAtomics>;

#if VDSET_MUTANT == 1
/// Nothing is taken back from the dead.
template <>
inline Swept CountingRing::sweep(model::CountingAtomics&, std::uint32_t, bool) {
  return Swept::queued;
}
#elif VDSET_MUTANT == 2
/// The next consumer is not told that a command had been fetched.
template <>
inline void CountingRing::adopt(model::CountingAtomics& a, const ClientLines& fresh) {
  for (std::uint32_t line = 0; line < depth_; ++line) {
    const std::uint32_t lap = is_outstanding(line) ? before(shadow_[line].lap) : shadow_[line].lap;
    const CommandWord word{CommandState::idle, nobody, lap};
    a.template store<Site::fields_write>(fresh.commands[line].command, word.pack());
    a.template store<Site::fields_write>(fresh.completions[line].finished, lap);
  }
  completions_ = fresh.completions;
  commands_ = fresh.commands;
}
#elif VDSET_MUTANT == 3
/// The next consumer starts behind what is queued.
template <>
inline std::uint32_t CountingRing::first_outstanding() const {
  return tail_;
}
#elif VDSET_MUTANT == 4
/// After an abort nobody ends what was under way.
template <>
inline void ServerDevice<model::CountingAtomics>::abandon(FinishedList&) {}
#elif VDSET_MUTANT >= 7 && VDSET_MUTANT <= 10
// By the policy, below.
#else
#error "VDSET_MUTANT is none of these"
#endif

}  // namespace vdset::core

namespace vdset::model {

#if VDSET_MUTANT == 7
/// Who hung up, and lives, is not told.
template <>
inline void CountingAtomics::store<Site::sweep_evict>(Word&, std::uint32_t) {}
#elif VDSET_MUTANT == 8
/// What the library thread does changes no bell; its wakes go astray in mutant_port.cpp.
template <>
inline std::uint32_t CountingAtomics::fetch_add<Site::bell_force>(Word& word, std::uint32_t value) {
  if (gettid() != getpid()) return 0;
  return core::RealAtomics::fetch_add<Site::bell_force>(word, value);
}
#elif VDSET_MUTANT == 9
/// The row of one that has died stays its own.
template <>
inline void CountingAtomics::store<Site::participant_publish>(Word& word, std::uint32_t value) {
  if (core::ParticipantWord::unpack(value).state == core::ParticipantState::free) return;
  core::RealAtomics::store<Site::participant_publish>(word, value);
}
#elif VDSET_MUTANT == 10
/// What was decided and not said counts as queued: DONE is made a word that the sweep takes for it.
template <>
inline std::uint32_t CountingAtomics::load<Site::sweep_word>(const Word& word) {
  const std::uint32_t found = core::RealAtomics::load<Site::sweep_word>(word);
  const auto command = core::CommandWord::unpack(found);
  if (command.state != core::CommandState::done) return found;
  const core::CommandWord queued{core::CommandState::failed, core::server_index,
                                 command.generation};
  core::RealAtomics::store<Site::sweep_cas>(const_cast<Word&>(word), queued.pack());
  return queued.pack();
}
#endif

}  // namespace vdset::model
