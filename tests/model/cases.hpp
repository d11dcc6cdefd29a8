// tests/model/cases.hpp: the list of scenarios, and of changed policies that a scenario must catch.
#pragma once
#include "tests/model/explorer.hpp"
#include <vector>

namespace vdset::model {

struct Case {
  const char* name;
  Bounds bounds;  // Of the default run, which is exhaustive within them.
  Report (*run)(const Plan& plan);
};

/// The same scenario over a policy that does one thing wrong.
struct Mutant {
  const char* name;
  const char* caught_by;  // The case it is run in.
  Bounds bounds;
  Report (*run)(const Plan& plan);
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
