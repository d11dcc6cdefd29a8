// tests/crash/mutant_port.cpp: a mutant between the library's sources, put there by the linker
// (--wrap): a way by which a death is learned is missing.
#include "abi/port/port.hpp"

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names.
#if VDSET_MUTANT == 5
/// vdset::port::life_of: who hangs up is taken for alive.
extern "C" vdset::port::Life __wrap__ZN5vdset4port7life_ofEi(int) {
  return vdset::port::Life::alive;
}
#else
#error "VDSET_MUTANT is 5"
#endif
// NOLINTEND(bugprone-reserved-identifier)
