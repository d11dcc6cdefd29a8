// tests/support/faults.hpp: system calls that fail on request, for programs over vdset_faults_dep.
// A plan says: call X fails with errno E on its N-th use, once or from then on. Every use is
// counted. Compile with -DVDSET_FAULTS. Any thread.
#pragma once
#include <cstdint>
#include "abi/port/posix/sys.hpp"

namespace vdset::faults {

struct Plan {
  port::Call call;
  int error;
  std::uint32_t nth;  // From 1; uses since the last reset.
  bool for_ever;
};

/// One plan for each call; plans of different calls go together.
void arm(const Plan& plan);
void disarm();
/// Runs `action` just before each use of the call: what a peer does between two steps.
void act(port::Call call, void (*action)(void*), void* context);
/// Uses of every call since then are counted from 0; whether anything failed is forgotten.
void reset();

std::uint32_t uses(port::Call call);
/// How often a plan for this call made it fail.
std::uint32_t failures(port::Call call);
bool anything_failed();
const char* name_of(port::Call call);

}  // namespace vdset::faults
