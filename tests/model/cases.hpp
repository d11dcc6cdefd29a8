// tests/model/cases.hpp: the list of scenarios, and of changed policies that a scenario must catch.
#pragma once
#include "tests/model/explorer.hpp"
#include <vector>

namespace vdset::model {

struct Case {
  const char* name;
  std::vector<Bounds> bounds;  // Of the default runs, each exhaustive within them.
  Report (*run)(const Plan& plan);
  int stale_at_random = 4;     // Of the random runs.
};

/// A scenario over a policy that does one thing wrong; it must fail.
struct Mutant {
  const char* name;
  Report (*run)(const Plan& plan);
  int deaths = 0;
};

struct Registry {
  std::vector<Case> cases;
  std::vector<Mutant> mutants;
};

void add_ring_cases(Registry& registry);    // cases_ring.cpp
void add_device_cases(Registry& registry);  // cases_device.cpp
void add_death_cases(Registry& registry);   // cases_death.cpp
void add_state_cases(Registry& registry);   // cases_state.cpp

}  // namespace vdset::model
