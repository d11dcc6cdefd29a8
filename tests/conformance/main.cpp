// Goal: all faces of the library do what the VDI semantics say, cell by cell. Method: each
// scenario in a process of its own, once through each face; what it covers is held against the
// catalog of what must be covered; a gap is a failure. What a face does otherwise is listed with
// its reason (differences.cpp), and a difference that is not met is a failure too.
// usage: test_conformance [--deep] [--face c|pull|vdi|NAME=LIBRARY]... [--only PART_OF_A_NAME]
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <future>
#include <map>
#include <set>
#include <thread>
#include "suite.hpp"

extern char** environ;

namespace conformance {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int report_descriptor = 3;
std::chrono::seconds watchdog(60);  // For each scenario; machines may be busy.
constexpr unsigned side_by_side = 6;  // They wait more than they work.

struct Outcome {
  int checks = 0;
  std::vector<std::string> words;
  std::vector<std::string> failures;
  std::set<std::string> covered;
  std::set<std::string> not_shown;  // What the face's language rules out.
  std::set<std::size_t> differences;
};

/// What a scenario's process writes, and how it ends; a hang ends with the watchdog.
class Run {
 public:
  Run(int index, const std::string& face) : report_{-1, -1} {
    if (pipe2(report_, O_CLOEXEC) != 0) return;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, report_[1], report_descriptor);
    const std::string number = std::to_string(index);
    const char* const words[] = {"test_conformance", "--scenario", number.c_str(), face.c_str(),
                                 nullptr};
    if (posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, const_cast<char**>(words),
                    environ) != 0)
      pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
    close(report_[1]);
  }
  Outcome wait() {
    Outcome outcome;
    if (pid_ < 0) {
      outcome.failures.push_back("cannot start the scenario's process");
      return outcome;
    }
    const bool in_time = read_all(outcome);
    if (!in_time) {
      outcome.failures.push_back("ended by the watchdog");
      kill(pid_, SIGKILL);
    }
    close(report_[0]);
    int status = 0;
    waitpid(pid_, &status, 0);
    if (in_time && status != 0)
      outcome.failures.push_back("its process ended with status " + std::to_string(status));
    return outcome;
  }

 private:
  bool read_all(Outcome& outcome) {
    const auto end = Clock::now() + watchdog;
    std::string text;
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
      pollfd ready = {report_[0], POLLIN, 0};
      if (left.count() <= 0 || poll(&ready, 1, static_cast<int>(left.count())) == 0) return false;
      char bytes[4096];
      const ssize_t got = read(report_[0], bytes, sizeof bytes);
      if (got <= 0) return true;
      text.append(bytes, static_cast<std::size_t>(got));
      for (std::size_t stop; (stop = text.find('\n')) != std::string::npos;) {
        take(outcome, text.substr(0, stop));
        text.erase(0, stop + 1);
      }
    }
  }
  static void take(Outcome& outcome, const std::string& line) {
    if (line[0] == 'F') outcome.failures.push_back(line.substr(1));
    if (line[0] == 'M') outcome.words.push_back(line.substr(1));
    if (line[0] == 'C') outcome.covered.insert(line.substr(1));
    if (line[0] == 'L') outcome.not_shown.insert(line.substr(1));
    if (line[0] == 'D') outcome.differences.insert(std::strtoul(line.c_str() + 1, nullptr, 10));
    if (line[0] == 'N') outcome.checks = std::atoi(line.c_str() + 1);
  }

  int report_[2];
  pid_t pid_ = -1;
};

int run_scenario(int index, const std::string& face_name) {
  fcntl(report_descriptor, F_SETFD, FD_CLOEXEC);
  const auto face = make_face(face_name);
  const Scenario& scenario = all_scenarios().at(static_cast<std::size_t>(index));
  Context context(*face, scenario.name, report_descriptor);
  try {
    scenario.run(context);
  } catch (const Stop&) {
    // Its check has told why.
  }
  context.tell('N', std::to_string(context.checks()));
  return 0;
}

/// "8.1" before "10".
struct BySection {
  bool operator()(const std::string& a, const std::string& b) const {
    const double numbers[] = {std::atof(a.c_str()), std::atof(b.c_str())};
    return numbers[0] != numbers[1] ? numbers[0] < numbers[1] : a < b;
  }
};

/// One line of the table at the end.
struct Section {
  int scenarios = 0, checks = 0, items = 0;
  std::map<std::string, int> covered;  // By face.
};

class Suite {
 public:
  Suite(std::vector<std::string> faces, std::string only)
      : faces_(std::move(faces)), only_(std::move(only)) {}

  void run() {
    for (const Item& item : catalog()) {
      known_.insert(item.section + "\t" + item.text);
      ++sections_[item.section].items;
    }
    std::vector<Job> jobs;
    for (const std::string& face : faces_) {
      for (std::size_t i = 0; i < all_scenarios().size(); ++i)
        if (only_.empty() || std::strstr(all_scenarios()[i].name, only_.c_str()) != nullptr)
          jobs.push_back({static_cast<int>(i), face, {}});
    }
    std::atomic<std::size_t> next = 0;
    std::vector<std::jthread> workers;
    for (unsigned n = 0; n < side_by_side; ++n)
      workers.emplace_back([&] {
        for (std::size_t i; (i = next.fetch_add(1)) < jobs.size();)
          jobs[i].outcome.set_value(Run(jobs[i].index, jobs[i].face).wait());
      });
    for (Job& job : jobs)
      judge(job.index, job.face, job.outcome.get_future().get());
    if (only_.empty()) find_gaps();
  }
  /// Prints the table and the sum. The exit code.
  int sum_up() {
    print_table();
    std::printf("%d passed, %d failed\n", passed_, failed_);
    return failed_ == 0 && passed_ > 0 ? 0 : 1;
  }
  void check(bool good, const std::string& what) {
    if (good)
      ++passed_;
    else
      fail(what);
  }

 private:
  void fail(const std::string& what) {
    ++failed_;
    std::printf("FAILED: %s\n", what.c_str());
    std::fflush(stdout);
  }

  struct Job {
    int index;
    std::string face;
    std::promise<Outcome> outcome;
  };

  void judge(int index, const std::string& face, const Outcome& outcome) {
    const Scenario& scenario = all_scenarios()[static_cast<std::size_t>(index)];
    Section& section = sections_[scenario.section];
    if (face == faces_.front()) ++section.scenarios;
    section.checks += outcome.checks;
    not_shown_[face].insert(outcome.not_shown.begin(), outcome.not_shown.end());
    met_[face].insert(outcome.differences.begin(), outcome.differences.end());
    for (const std::string& item : outcome.covered) {
      if (known_.count(item) == 0)
        fail(std::string(scenario.name) + ": covers what is not in the catalog: " + item);
      if (covered_[face].insert(item).second)
        ++sections_[item.substr(0, item.find('\t'))].covered[face];
    }
    const std::string title = std::string(scenario.name) + " [" + name_of(face) + "]";
    for (const std::string& words : outcome.words)
      std::printf("%s: %s\n", title.c_str(), words.c_str());
    for (const std::string& failure : outcome.failures)
      std::printf("  %s: %s\n", title.c_str(), failure.c_str());
    if (!outcome.failures.empty())
      fail(title + ", section " + scenario.section);
    else if (outcome.checks == 0)
      fail(title + " checked nothing");
    else
      ++passed_;
  }

  void find_gaps() {
    for (const std::string& face : faces_) {
      const std::set<std::string> gaps = gaps_of(face, known_);
      passed_ += static_cast<int>(known_.size() - gaps.size());
      gaps_ += static_cast<int>(gaps.size());
      for (const std::string& item : gaps) {
        std::string text = item;
        text.replace(text.find('\t'), 1, ": ");
        fail("gap [" + name_of(face) + "]: no scenario shows " + text);
      }
      for (const std::string& item : not_shown_[face])
        check(covered_[face].count(item) == 0, face + ": shown, though it cannot be: " + item);
      // A cell that nobody shows is seen: one more than there is.
      std::set<std::string> more = known_;
      more.insert("0\tplanted");
      check(gaps_of(face, more).count("0\tplanted") == 1, "a planted gap is not seen");
    }
    for (const std::string& face : faces_)
      find_unmet(face);
  }
  /// What is listed as different must have been met.
  void find_unmet(const std::string& face) {
    std::vector<Difference> listed = differences();
    for (const std::string& what : unmet(face, listed))
      fail("a difference that nobody met [" + name_of(face) + "]: " + what);
    listed.push_back({"*", "planted", "nothing", cannot, nullptr, ""});
    check(unmet(face, listed).count("planted: nothing") == 1,
          "a planted difference that nobody met is not seen");
  }
  std::set<std::string> unmet(const std::string& face, const std::vector<Difference>& listed) {
    std::set<std::string> out;
    for (std::size_t i = 0; i < listed.size(); ++i)
      if (matches(listed[i].face, name_of(face)) && met_[face].count(i) == 0)
        out.insert(std::string(listed[i].scenario) + ": " + listed[i].what);
    return out;
  }
  std::set<std::string> gaps_of(const std::string& face, const std::set<std::string>& asked) {
    std::set<std::string> gaps;
    for (const std::string& item : asked)
      if (covered_[face].count(item) + not_shown_[face].count(item) == 0) gaps.insert(item);
    return gaps;
  }

  void print_table() {
    std::printf("%-10s %9s %8s %8s", "section", "scenarios", "checks", "cells");
    for (const std::string& face : faces_)
      std::printf(" %7s", name_of(face).c_str());
    std::printf("\n");
    Section sum;
    for (auto& [name, section] : sections_) {
      print_row(name, section);
      sum.scenarios += section.scenarios;
      sum.checks += section.checks;
      sum.items += section.items;
      for (const std::string& face : faces_)
        sum.covered[face] += section.covered[face];
    }
    print_row("all", sum);
    for (const std::string& face : faces_)
      print_reasons(face);
    std::printf("gaps: %d\n", gaps_);
  }
  /// What a language rules out, and why.
  void print_reasons(const std::string& face) {
    if (not_shown_[face].empty()) return;
    std::printf("%s: %zu cells that its language rules out:\n", name_of(face).c_str(),
                not_shown_[face].size());
    std::map<std::string, std::vector<std::string>> cells;  // By reason.
    for (std::string item : not_shown_[face]) {
      item.replace(item.find('\t'), 1, " ");
      for (const Difference& d : differences())
        if (d.cell != nullptr && matches(d.face, name_of(face)) && matches(d.cell, item)) {
          cells[d.reason].push_back(item);
          break;
        }
    }
    for (const auto& [reason, items] : cells) {
      std::printf("  %s\n   ", reason.c_str());
      for (const std::string& item : items)
        std::printf(" %s;", item.c_str());
      std::printf("\n");
    }
  }
  static std::string name_of(const std::string& face) { return face.substr(0, face.find('=')); }
  void print_row(const std::string& name, Section& section) {
    std::printf("%-10s %9d %8d %8d", name.c_str(), section.scenarios, section.checks,
                section.items);
    for (const std::string& face : faces_)
      std::printf(" %7d", section.covered[face]);
    std::printf("\n");
  }

  std::vector<std::string> faces_;
  std::string only_;
  std::set<std::string> known_;
  std::map<std::string, std::set<std::string>> covered_, not_shown_;  // By face.
  std::map<std::string, std::set<std::size_t>> met_;  // By face: numbers of differences.
  std::map<std::string, Section, BySection> sections_;
  int passed_ = 0, failed_ = 0, gaps_ = 0;
};

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    names.insert(entry.path().filename().string());
  return names;
}

/// Runs all; afterwards nothing may lie in shared memory, nor where sets meet. What killed
/// primaries left there is for the next Create to remove.
int run_all(const std::vector<std::string>& faces, const std::string& only) {
  char folder[] = "/tmp/vdset-conformance-XXXXXX";
  if (mkdtemp(folder) == nullptr) return 2;
  setenv("VDSET_RUNTIME_DIR", folder, 1);
  setenv("VDSET_VDI_GETCOMMAND_UNIT", "ms", 1);
  const std::set<std::string> before = names_in("/dev/shm");
  Suite suite(faces, only);
  suite.run();
  const auto client = make_face("c")->client();
  VDConfig wish = {};
  wish.deviceCount = 1;
  client->create("the last", wish);
  client->close();
  for (const std::string& name : names_in(folder))
    suite.check(false, "left behind where sets meet: " + name);
  suite.check(names_in("/dev/shm") == before, "something was left in shared memory");
  std::error_code error;
  fs::remove_all(folder, error);
  return suite.sum_up();
}

}  // namespace
}  // namespace conformance

int main(int argc, char** argv) {
  using namespace conformance;
  if (argc == 4 && std::string(argv[1]) == "--scenario")
    return run_scenario(std::atoi(argv[2]), argv[3]);
  if (argc == 3 && std::string(argv[1]) == "--peer") return run_peer(argv[2]);
  std::vector<std::string> faces;
  std::string only;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--deep") {
      setenv(deep_variable, "1", 1);
      watchdog *= 30 * deep_fold();
    } else if (i + 1 < argc) {
      if (word == "--face") faces.push_back(argv[i + 1]);
      if (word == "--only") only = argv[i + 1];
      ++i;
    }
  }
  if (faces.empty()) faces = {"c", "pull", "vdi"};
  return run_all(faces, only);
}
