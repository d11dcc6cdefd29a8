// tests/crash/mutant_port.cpp: a mutant between the library's sources, put there by the linker
// (--wrap).
#include <unistd.h>
#include "abi/port/port.hpp"

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names.
#if VDSET_MUTANT == 5
/// vdset::port::life_of: who hangs up is taken for alive.
extern "C" vdset::port::Life __wrap__ZN5vdset4port7life_ofEi(int) {
  return vdset::port::Life::alive;
}
#elif VDSET_MUTANT == 6
/// vdset::port::memory_renew: what a dead process had fetched keeps its pages.
extern "C" int __wrap__ZN5vdset4port12memory_renewEimm(int, unsigned long, unsigned long) {
  return 0;
}
#elif VDSET_MUTANT == 8
/// vdset::port::wake_word: the library thread wakes nobody.
extern "C" void __real__ZN5vdset4port9wake_wordERKNS_4core4WordE(const void* word);
extern "C" void __wrap__ZN5vdset4port9wake_wordERKNS_4core4WordE(const void* word) {
  if (gettid() == getpid()) __real__ZN5vdset4port9wake_wordERKNS_4core4WordE(word);
}
#else
#error "VDSET_MUTANT is 5, 6 or 8"
#endif
// NOLINTEND(bugprone-reserved-identifier)
