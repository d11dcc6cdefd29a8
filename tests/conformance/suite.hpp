// tests/conformance/suite.hpp: scenarios, what they check, and what of the specification they
// cover. Sections are those of the project's VDI semantics.
#pragma once
#include <mutex>
#include <source_location>
#include <string>
#include <vector>
#include "face.hpp"

namespace conformance {

/// Thrown when a scenario cannot go on.
struct Stop {};

/// "VD_E_ABORT" for -2139684860, "0" for 0.
std::string code_text(int code);

/// What a face does otherwise than the others, and must: differences.cpp.
struct Difference {
  const char* face;  // This, the next two and `cell` are patterns of the shell.
  const char* scenario;
  const char* what;
  int code;  // Instead of the expected one. `cannot`: the call cannot be made.
  const char* cell;      // "SECTION ITEM" that is therefore not shown, or null.
  const char* reason;
};
const std::vector<Difference>& differences();
bool matches(const char* pattern, const std::string& text);

/// One scenario's run through one face. Failures are told to the process that started this one.
class Context {
 public:
  using Place = std::source_location;

  Context(Face& given_face, const char* scenario, int report)
      : face(given_face), scenario_(scenario), report_(report) {}

  Face& face;

  bool check(bool good, const std::string& what, Place place = Place::current());
  bool equal(int64_t actual, int64_t expected, const std::string& what,
             Place place = Place::current());
  /// Codes: told by name. A face may differ, if the table of differences knows.
  bool code(int actual, int expected, const std::string& what, Place place = Place::current());
  /// As code(), and the scenario ends here if they differ.
  void need(int actual, int expected, const std::string& what, Place place = Place::current());
  /// The scenario has shown what the specification's `item` of `section` says (catalog.cpp).
  void cover(const std::string& section, const std::string& item);
  /// A set name that nobody else uses.
  std::string fresh_name();

  /// Words for whoever reads the suite's output.
  void say(const std::string& words) { tell('M', words); }

  void tell(char kind, const std::string& text);
  int checks() const { return checks_; }

 private:
  bool differs(int actual, const std::string& what);

  const char* scenario_;
  int report_;
  std::mutex lock_;
  std::vector<const char*> not_shown_;  // Cells, as patterns.
  std::atomic<int> checks_ = 0;
  std::atomic<int> names_ = 0;
};

struct Scenario {
  const char* name;
  const char* section;
  void (*run)(Context&);
};

/// What the specification asks to be shown.
struct Item {
  std::string section;
  std::string text;
};
std::vector<Item> catalog();

/// Every scenario of every file (scenarios.cpp).
const std::vector<Scenario>& all_scenarios();

std::vector<Scenario> client_matrix_scenarios();
std::vector<Scenario> server_matrix_scenarios();
std::vector<Scenario> configuration_scenarios();
std::vector<Scenario> waiting_scenarios();
std::vector<Scenario> opening_scenarios();
std::vector<Scenario> command_scenarios();
std::vector<Scenario> buffer_scenarios();
std::vector<Scenario> error_scenarios();
std::vector<Scenario> abort_scenarios();
std::vector<Scenario> death_scenarios();
std::vector<Scenario> closing_scenarios();
std::vector<Scenario> timeout_scenarios();
std::vector<Scenario> snapshot_scenarios();
std::vector<Scenario> media_scenarios();
std::vector<Scenario> quirk_scenarios();
std::vector<Scenario> round_scenarios();

/// Set in the environment when the long form of a scenario is asked for.
constexpr const char* deep_variable = "VDSET_CONFORMANCE_DEEP";
/// N of ./dev test --deep=N, at least 1.
int deep_fold();

/// The other side of peer.hpp: serves one process's calls until its socket ends.
int run_peer(const std::string& face_name);

}  // namespace conformance
