// tests/conformance/scenarios.cpp: the one list of scenarios.
#include "suite.hpp"

namespace conformance {

const std::vector<Scenario>& all_scenarios() {
  static const std::vector<Scenario> list = [] {
    std::vector<Scenario> all;
    for (auto* part : {client_matrix_scenarios, server_matrix_scenarios, configuration_scenarios,
                       waiting_scenarios, opening_scenarios, command_scenarios, buffer_scenarios,
                       error_scenarios, abort_scenarios, death_scenarios, closing_scenarios,
                       timeout_scenarios, snapshot_scenarios, media_scenarios, quirk_scenarios,
                       round_scenarios}) {
      const std::vector<Scenario> some = part();
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }();
  return list;
}

}  // namespace conformance
