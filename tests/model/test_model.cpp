// tests/model/test_model.cpp: every scenario within its bounds, every mutant, and every edge of
// core/atomics.hpp weakened: a named scenario must fail then. docs/memory-model.md is the ledger.
//
// VDSET_TEST_DEEP=N   one more preemption, two stale reads: N times 2.4 million executions of each
//                     scenario depth first (bounded, not exhaustive) and as many at random, in all
//                     10^8; a quarter as many beyond these bounds
// VDSET_TEST_BOUNDS=PSD  preemptions, stale ones and deaths, a digit each, instead of a scenario's
// VDSET_TEST_SEED=S   first seed of the random executions
// VDSET_TEST_CASE=T   only scenarios whose name contains T
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>
#include "tests/model/cases.hpp"

namespace vdset::model {
namespace {

constexpr std::uint64_t executions_at_random = 20'000;
constexpr std::uint64_t executions_in_deep = 2'400'000;  // Of each scenario, in each way.
constexpr std::uint64_t executions_to_kill_max = 300'000;

const Registry& registry() {
  static const Registry all = [] {
    Registry r;
    add_ring_cases(r);
    add_device_cases(r);
    add_death_cases(r);
    add_state_cases(r);
    return r;
  }();
  return all;
}

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

/// The scenarios to run; all, unless the environment names some.
std::vector<Case> chosen_cases() {
  const char* const part = std::getenv("VDSET_TEST_CASE");
  const char* const given = std::getenv("VDSET_TEST_BOUNDS");
  std::vector<Case> chosen;
  for (const Case& scenario : registry().cases)
    if (part == nullptr || std::strstr(scenario.name, part) != nullptr) chosen.push_back(scenario);
  if (given != nullptr && std::strlen(given) == 3)
    for (Case& scenario : chosen)
      scenario.bounds = {{given[0] - '0', given[1] - '0', given[2] - '0'}};
  return chosen;
}

void print(const char* name, const Plan& plan, const Report& r) {
  const Bounds& b = plan.bounds;
  std::printf("%-30s [%d %d %d] %10llu executions, %llu with a death, %s, %.1f s\n", name,
              b.preemptions, b.stale, b.deaths, static_cast<unsigned long long>(r.executions),
              static_cast<unsigned long long>(r.with_deaths),
              plan.seed != 0 ? "random"
              : r.exhaustive ? "exhaustive"
                             : "bounded",
              r.seconds);
  if (!r.failed) return;
  std::printf("%s", r.trace.c_str());
  if (plan.seed != 0)
    std::printf("  again: VDSET_TEST_CASE='%s' VDSET_TEST_SEED=%llu\n", name,
                static_cast<unsigned long long>(r.seed));
}

TEST_CASE("every scenario holds in every execution within its bounds, and all reach every site") {
  std::uint64_t sites = 0, executions = 0;
  const std::vector<Case> cases = chosen_cases();
  for (const Case& scenario : cases)
    for (const Bounds& bounds : scenario.bounds) {
      const Plan plan{bounds, {}, ~std::uint64_t{0}, 0};
      const Report report = scenario.run(plan);
      print(scenario.name, plan, report);
      CHECK_MESSAGE(!report.failed, scenario.name << ": " << report.why);
      CHECK(report.exhaustive);
      sites |= report.sites;
      executions += report.executions;
    }
  std::printf("%zu scenarios, %llu executions within the bounds\n", cases.size(),
              static_cast<unsigned long long>(executions));
  if (cases.size() < registry().cases.size()) return;
  for (const core::SiteRow& row : core::site_table) {
    // The alive words are the kernel's affair: the library thread and the process tests have them.
    if (row.site == Site::alive_read || row.site == Site::alive_store) continue;
    CHECK_MESSAGE((sites >> static_cast<std::uint32_t>(row.site) & 1) != 0, row.name);
  }
}

TEST_CASE("every scenario holds in random executions beyond its bounds") {
  const std::uint64_t seed = number_from("VDSET_TEST_SEED", 1);
  for (const Case& scenario : chosen_cases()) {
    const int deaths = scenario.bounds[0].deaths;
    const Plan plan{{6, scenario.stale_at_random, deaths}, {}, executions_at_random, seed};
    const Report report = scenario.run(plan);
    print(scenario.name, plan, report);
    CHECK_MESSAGE(!report.failed, scenario.name << ": " << report.why);
  }
}

TEST_CASE("deep: every scenario with wider bounds") {
  const std::uint64_t deep = number_from("VDSET_TEST_DEEP", 0);
  if (deep == 0) return;
  std::uint64_t executions = 0;
  for (const Case& scenario : chosen_cases()) {
    Bounds bounds = scenario.bounds.back();
    for (const Bounds& each : scenario.bounds)
      bounds = {std::max({bounds.preemptions, each.preemptions + 1, 2}),
                std::max({bounds.stale, each.stale, 2}), each.deaths};
    const Bounds loose{6, scenario.stale_at_random, bounds.deaths};
    const std::uint64_t seed = number_from("VDSET_TEST_SEED", 1) + executions_at_random;
    const std::uint64_t most = deep * executions_in_deep;
    // Depth first sees one corner of a tree that is too large; at random, all corners a little.
    // A death with one preemption and one stale read: all of it, also where that takes minutes.
    if (bounds.deaths > 0) {
      const Plan whole{{1, 1, 1}, {}, ~std::uint64_t{0}, 0};
      const Report report = scenario.run(whole);
      print(scenario.name, whole, report);
      CHECK_MESSAGE(!report.failed, scenario.name << ": " << report.why);
      CHECK(report.exhaustive);
      executions += report.executions;
    }
    const Plan plans[] = {
        {bounds, {}, most, 0}, {bounds, {}, most, seed}, {loose, {}, most / 4, seed}};
    for (const Plan& plan : plans) {
      const Report report = scenario.run(plan);
      print(scenario.name, plan, report);
      std::fflush(stdout);
      CHECK_MESSAGE(!report.failed, scenario.name << ": " << report.why);
      CHECK((report.exhaustive || report.executions == plan.executions_max));
      executions += report.executions;
    }
  }
  std::printf("deep: %llu executions beyond the bounds\n",
              static_cast<unsigned long long>(executions));
}

/// Runs with growing bounds until an execution fails.
Report kill(Report (*run)(const Plan&), int deaths, std::optional<Weakening> weakening) {
  Report report;
  std::uint64_t before = 0;
  for (const Bounds& bounds : {Bounds{0, 1, deaths}, {1, 1, deaths}, {2, 1, deaths}}) {
    report = run({bounds, weakening, executions_to_kill_max, 0});
    report.executions += before;
    before = report.executions;
    if (report.failed) break;
  }
  return report;
}

TEST_CASE("every mutant is caught") {
  for (const Mutant& mutant : registry().mutants) {
    const Report report = kill(mutant.run, mutant.deaths, {});
    std::printf("mutant %-30s %s after %llu executions: %s\n", mutant.name,
                report.failed ? "killed" : "SURVIVED",
                static_cast<unsigned long long>(report.executions), report.why.c_str());
    CHECK_MESSAGE(report.failed, mutant.name);
  }
}

/// One edge, one of its sites with the part of its order taken away that the edge needs.
struct Edge {
  Site site;
  Effects left;
  const char* label;      // As in the table of core/atomics.hpp.
  const char* killed_by;  // The scenario that must fail.
};
constexpr Effects not_sequential = acquires | releases;
constexpr Edge edges[] = {
    {Site::post_fence, nothing, "line_recheck", "rival completer"},
    {Site::post_sequence, acquires | sequential, "command_published", "ring, depth 1"},
    {Site::post_sequence, not_sequential, "sleep", "ring, depth 1"},
    {Site::reap_word, nothing, "command_finished", "ring, depth 1"},
    {Site::ready_word, not_sequential, "sleep", "ring, depth 1"},
    {Site::sweep_word, nothing, "command_decided", "zombie"},
    {Site::take_sequence, nothing, "command_published", "ring, depth 1"},
    {Site::take_cas, nothing, "command_taken", "rival closes the gate"},
    {Site::take_fence, nothing, "line_recheck", "rival completer"},
    {Site::ready_sequence, not_sequential, "sleep", "ring, depth 1"},
    {Site::claim_cas, nothing, "command_taken", "rival closes the gate"},
    {Site::complete_cas, nothing, "command_decided", "zombie"},
    {Site::complete_finished, acquires | sequential, "command_finished", "ring, depth 1"},
    {Site::complete_finished, not_sequential, "sleep", "ring, depth 1"},
    {Site::bell_check, not_sequential, "sleep", "ring, depth 1"},
    {Site::bell_force, nothing, "notice", "IO-ERROR"},
    {Site::bell_arm, not_sequential, "sleep", "ring, depth 1"},
    {Site::bell_arm, releases | sequential, "notice", "IO-ERROR"},
    {Site::bell_watch, nothing, "notice", "configuration"},
    {Site::slot_publish, nothing, "slot_published", "handles"},
    {Site::slot_resolve, nothing, "slot_published", "handles"},
    {Site::slot_take, nothing, "slot_owned", "buffer owners"},
    {Site::slot_release, nothing, "slot_owned", "buffer owners"},
    {Site::state_publish, nothing, "state_published", "configuration"},
    {Site::state_read, nothing, "state_published", "configuration"},
    {Site::pool_publish, nothing, "pool_published", "rows"},
    {Site::pool_read, nothing, "pool_published", "rows"},
    {Site::device_publish, nothing, "device_published", "closed"},
    {Site::device_read, nothing, "device_published", "closed"},
    {Site::participant_publish, nothing, "participant_published", "rows"},
    {Site::participant_read, nothing, "participant_published", "rows"},
    {Site::record_publish, nothing, "abort_recorded", "abort record"},
    {Site::record_read, nothing, "abort_recorded", "abort record"},
};

const Case* find_case(std::string_view name) {
  for (const Case& scenario : registry().cases)
    if (name == scenario.name) return &scenario;
  return nullptr;
}

TEST_CASE("every edge is needed: weakened alone, its scenario fails") {
  for (const Edge& edge : edges) {
    const Case* const scenario = find_case(edge.killed_by);
    REQUIRE_MESSAGE(scenario != nullptr, edge.killed_by);
    const Report report =
        kill(scenario->run, scenario->bounds[0].deaths, Weakening{edge.site, edge.left});
    const core::SiteRow& row = core::site_table[static_cast<std::size_t>(edge.site)];
    std::printf("edge %-22s %-20s %s by '%s' after %llu executions: %s\n", edge.label, row.name,
                report.failed ? "killed" : "SURVIVED", edge.killed_by,
                static_cast<unsigned long long>(report.executions), report.why.c_str());
    CHECK_MESSAGE(report.failed, row.name << " survives");
  }
}

/// The rows of docs/memory-model.md, which name edge, sites and case.
std::vector<std::string> ledger_rows() {
  std::ifstream file(VDSET_LEDGER);
  std::vector<std::string> rows;
  for (std::string line; std::getline(file, line);)
    if (line[0] == '|') rows.push_back(line);
  return rows;
}
bool has_row(const std::vector<std::string>& rows, const std::vector<std::string>& words) {
  for (const std::string& row : rows) {
    bool all = true;
    for (const std::string& word : words)
      all = all && row.find(word) != std::string::npos;
    if (all) return true;
  }
  return false;
}

TEST_CASE("the ledger has each edge with its sites and the case that kills it, and each case") {
  const std::vector<std::string> rows = ledger_rows();
  REQUIRE(rows.size() > 40);
  for (const Edge& edge : edges) {
    const std::string site = core::site_table[static_cast<std::size_t>(edge.site)].name;
    CHECK_MESSAGE(
        has_row(rows, {std::string("| `") + edge.label + "`", "`" + site + "`", edge.killed_by}),
        edge.label << ", " << site << ": killed by " << edge.killed_by);
  }
  for (const core::SiteRow& row : core::site_table)
    CHECK_MESSAGE(has_row(rows, {std::string("`") + row.name + "`"}), row.name);
  for (const Case& scenario : registry().cases)
    CHECK_MESSAGE(has_row(rows, {scenario.name}), std::string(scenario.name));
}

/// How many labels the table gives to a site, and how many of them are weakened above.
TEST_CASE("every edge of every site of the table is weakened") {
  for (const core::SiteRow& row : core::site_table) {
    std::size_t due = 0, weakened = 0;
    if (std::strcmp(row.edge, "-") != 0) {
      due = 1;
      for (const char* c = row.edge; *c != 0; ++c)
        due += *c == ',' ? 1 : 0;
    }
    for (const Edge& edge : edges) {
      if (edge.site != row.site) continue;
      ++weakened;
      CHECK_MESSAGE(std::strstr(row.edge, edge.label) != nullptr, row.name << ": " << edge.label);
      CHECK((effects_of(row.order) | edge.left) == effects_of(row.order));
      CHECK(edge.left != effects_of(row.order));
    }
    CHECK_MESSAGE(due == weakened, row.name << " has " << due << " edges");
    CHECK_MESSAGE((due == 0) == (row.order == core::Order::relaxed), row.name);
  }
}

}  // namespace
}  // namespace vdset::model
