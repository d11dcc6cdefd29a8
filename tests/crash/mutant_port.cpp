// tests/crash/mutant_ports.cpp: a mutant between the library's sources, put there by the linker
// (--wrap): a way by which a death is learned is missing.
#include <cstdint>

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names.
#if VDSET_MUTANT == 5
/// vdset::library::is_dead_after_hangup: who hangs up is taken for alive.
extern "C" bool __wrap__ZN5vdset7library20is_dead_after_hangupEi(int) {
  return false;
}
#else
#error "VDSET_MUTANT is 5"
#endif
// NOLINTEND(bugprone-reserved-identifier)
