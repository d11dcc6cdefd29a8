// tests/crash/test_crash.cpp: the crash sweep. A role of a whole life is killed by SIGKILL at its
// k-th access of shared memory, at its k-th system call, or stopped and continued there, for every
// k until it lives through; a system call fails at its k-th use. The others must come to their
// ends, the books must be right, the name must serve again, nothing may be left.
//
//   test_crash PROGRAMS [mutants]
// VDSET_TEST_DEEP=1   every k of every sweep; else a stride where one is given below
// VDSET_TEST_SEED=S   where strides begin
// VDSET_TEST_CASE=T   only sweeps whose title contains T
// VDSET_TEST_LOG=1    with the library's log of each role
// VDSET_TEST_CRASH=T  one run alone, as a failure prints it: PLAY:ROLE:HOW:K[:CALL ERRNO EVER]
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>
#include "core/atomics.hpp"
#include "tests/crash/runner.hpp"

namespace vdset::crash {
namespace {

constexpr std::uint32_t sweeps_max = 512;
constexpr std::uint32_t ends_due = 3;  // Clean runs beyond the last place: it varies a little.
constexpr std::uint32_t ends_due_of_site = 12;  // Whether it is reached varies much.
// A sweep gives up after so many clean runs. Lives that an abort ends at any place have many before
// the last of them.
constexpr std::uint32_t ends_max = 512;
constexpr std::uint32_t ends_max_of_site = 64;
constexpr std::uint32_t others_max = 64;
constexpr std::uint32_t failures_max = 5;
constexpr int workers = 3;

/// One chain of runs: the same place, further and further on.
struct Sweep {
  std::uint32_t play;
  Who victim;
  How how;
  std::uint32_t stride;       // Without deep, until the first command; 0: deep only.
  std::uint32_t work_stride;  // From then on.
  std::string fault;          // As in Spec.
  bool of_site() const { return how != How::fault && !fault.empty(); }
};

/// What the workers share about a sweep.
struct Tally {
  std::atomic<std::uint64_t> next{0}, last{0}, accesses{0}, at_work{0};
  Cell runs, reached, failed;
  Cell clean_count, others;  // Runs that the victim lived through; that it was not in.
  std::atomic<std::uint64_t> clean[ends_max];  // Their places.
  Cell phases[phase_count];
  std::atomic<std::uint64_t> sites{0};
  std::atomic<std::uint32_t> longest_ms{0};
  void add_clean(std::uint64_t k) {
    const std::uint32_t at = clean_count++;
    if (at < ends_max) clean[at] = k;
  }
  /// Clean runs with every place before them tried: the end of the sweep.
  std::uint32_t ends() const {
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < std::min(clean_count.load(), ends_max); ++i)
      count += clean[i] > last ? 1 : 0;
    return count;
  }
  bool has_ended(const Sweep& sweep) const {
    if (sweep.of_site() && reached == 0) return false;  // On a busy machine it takes more lives.
    return ends() >= (sweep.of_site() ? ends_due_of_site : ends_due);
  }
  bool is_over(const Sweep& sweep) const {
    return has_ended(sweep) || failed >= failures_max || others >= others_max ||
           clean_count >= (sweep.of_site() ? ends_max_of_site : ends_max);
  }
  /// The next place to try, for any worker.
  std::uint64_t take(const Sweep& sweep, std::uint32_t stride, std::uint32_t work_stride) {
    if (sweep.of_site()) return last + 1;
    std::uint64_t k = next;
    while (!next.compare_exchange_weak(k, k + (k < at_work ? stride : work_stride))) {
    }
    return k;
  }
};

bool is_deep() {
  const char* const given = std::getenv("VDSET_TEST_DEEP");
  return given != nullptr && std::atoi(given) != 0;
}
std::uint64_t seed() {
  const char* const given = std::getenv("VDSET_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
}

/// Index in plays().
enum : std::uint32_t {
  backup,
  handed,
  succession,
  succession_handed,
  abort_by_server,
  abort_by_primary,
  abort_by_secondary,
  polled,
  pulled,
  descriptors,
  descriptors_succession,
  old_kernel,
  old_kernel_succession,
  read_only,
  server_closes,
  secondary_hangs_up = server_closes + 3,
  late_successor
};

/// The calls that a life uses; test_faults has them all in one process, here each role alone and
/// the repair after a death with them.
struct Fault {
  const char* call;
  std::vector<Who> users;  // Only these make it; a sweep of another would have no place.
};
const std::vector<Fault>& faults() {
  constexpr Who server = Who::server, primary = Who::primary, successor = Who::successor;
  static const std::vector<Fault> all = {{"memfd_create 24", {server}},
                                         {"ftruncate 12", {server}},
                                         {"fallocate 28", {server}},
                                         {"mmap 12", {server, primary, successor}},
                                         {"seal 1", {server}},
                                         {"open 24", {server, primary, successor}},
                                         {"lock 37", {server, primary, successor}},
                                         {"socket 24", {server, primary, successor}},
                                         {"connect 111", {server, successor}},
                                         {"socketpair 24", {server}},
                                         {"sendmsg 105", {server, primary, successor}},
                                         {"recvmsg 12", {server, primary, successor}},
                                         {"peercred 22", {server, primary}},
                                         {"epoll_create 24", {server, primary}},
                                         {"epoll_ctl 12", {server, primary}},
                                         {"eventfd 24", {server, primary}},
                                         {"thread_create 11", {server, primary}},
                                         {"robust_list 38", {server, primary}},
                                         {"getrandom 5", {server}},
                                         {"futex_wait 4", {server, primary}}};
  return all;
}

/// The same lives lived in the library's other ways.
void add_other_ways(std::vector<Sweep>& sweeps) {
  const auto add = [&](std::uint32_t play, Who victim, How how, std::uint32_t stride,
                       std::uint32_t work_stride) {
    sweeps.push_back({play, victim, how, stride, work_stride, ""});
  };
  add(pulled, Who::server, How::access, 128, 8);
  add(pulled, Who::server, How::call, 0, 1);
  for (const Who who : {Who::server, Who::primary, Who::secondary}) {
    const bool server = who == Who::server;
    add(descriptors, who, How::access, server ? 128 : 32, server ? 8 : 4);
    add(descriptors, who, How::call, 12, 12);
    add(descriptors, who, How::hold, 0, 1);
    add(old_kernel, who, How::access, server ? 128 : 32, server ? 16 : 8);
    add(old_kernel, who, How::call, 16, 16);
    add(read_only, who == Who::secondary ? Who::successor : who, How::access, server ? 128 : 32,
        12);
    for (std::uint32_t i = 0; i < 3; ++i) {
      add(server_closes + i, who, How::access, server ? 128 : 32, server ? 8 : 4);
      add(server_closes + i, who, How::call, 0, 1);
    }
  }
  add(late_successor, Who::server, How::access, 256, 16);
  add(secondary_hangs_up, Who::server, How::access, 256, 16);
  add(secondary_hangs_up, Who::successor, How::access, 16, 8);
  for (const std::uint32_t play : {descriptors_succession, old_kernel_succession}) {
    add(play, Who::server, How::access, 128, 12);
    add(play, Who::successor, How::access, 16, 4);
    add(play, Who::server, How::call, 0, 1);
    add(play, Who::successor, How::call, 0, 1);
  }
}

std::vector<Sweep> all_sweeps() {
  constexpr Who three[] = {Who::server, Who::primary, Who::secondary};
  std::vector<Sweep> sweeps;
  const auto add = [&](std::uint32_t play, Who victim, How how, std::uint32_t stride,
                       std::uint32_t work_stride) {
    sweeps.push_back({play, victim, how, stride, work_stride, ""});
  };
  add(backup, Who::server, How::access, 16, 1);
  add(backup, Who::primary, How::access, 2, 1);
  add(backup, Who::secondary, How::access, 2, 1);
  add(handed, Who::secondary, How::access, 16, 1);
  for (const std::uint32_t play : {succession, succession_handed}) {
    add(play, Who::successor, How::access, 8, 1);
    add(play, Who::server, How::access, 64, 1);
    add(play, Who::primary, How::access, 16, 4);
  }
  for (std::uint32_t i = 0; i < 3; ++i)
    for (const Who who : three)
      add(abort_by_server + i, who, How::access, who == three[i] ? 64 : 0, 4);
  for (const Who who : three)
    add(backup, who, How::call, 2, 2);
  for (const std::uint32_t play : {succession, succession_handed}) {
    add(play, Who::successor, How::call, 4, 4);
    add(play, Who::server, How::call, 4, 4);
  }
  for (std::uint32_t i = 0; i < 3; ++i)
    add(abort_by_server + i, three[i], How::call, 0, 1);
  for (const Who who : three)
    add(backup, who, How::hold, 3, 3);
  add(backup, Who::server, How::stop, 64, 12);
  add(polled, Who::server, How::stop, 64, 4);
  // What a stride may miss: the repair, and the words of an abort.
  for (const char* site : {"recall_word", "recall_cas", "recall_finished", "sweep_evict",
                           "sweep_word", "sweep_cas", "sweep_gate"})
    sweeps.push_back({succession, Who::server, How::access, 1, 1, site});
  // What was decided and not said, under each policy.
  for (const std::uint32_t play : {backup, handed})
    sweeps.push_back({play, Who::secondary, How::access, 1, 1, "complete_finished"});
  for (const char* site : {"record_publish", "abort_request"})
    sweeps.push_back({abort_by_server, Who::server, How::access, 1, 1, site});
  sweeps.push_back({abort_by_server, Who::primary, How::access, 1, 1, "record_read"});
  sweeps.push_back({abort_by_secondary, Who::server, How::access, 1, 1, "participant_read"});
  // Between the last device's CLOSED and the set's end, among others.
  sweeps.push_back({polled, Who::server, How::stop, 1, 1, "state_publish"});
  add(backup, Who::primary, How::stop, 12, 12);
  add(backup, Who::secondary, How::stop, 12, 12);
  add(succession_handed, Who::server, How::stop, 0, 1);
  add(succession_handed, Who::successor, How::stop, 0, 1);
  sweeps.push_back({succession, Who::primary, How::fault, 1, 1, "mmap 12 0"});
  // What cannot be repaired is not handed over.
  for (const char* call : {"memfd_create 24 0", "fallocate 28 0", "fallocate 28 1", "mmap 12 0"})
    sweeps.push_back({succession_handed, Who::server, How::fault, 1, 1, call});
  for (const Fault& fault : faults())
    for (const char* ever : {" 0", " 1"})
      for (const Who who : fault.users) {
        const bool often = who == Who::server && ever[1] == '0';
        sweeps.push_back(
            {succession, who, How::fault, often ? 1u : 0u, 1, std::string(fault.call) + ever});
      }
  add_other_ways(sweeps);
  return sweeps;
}

std::string title(const Sweep& sweep) {
  return std::string(plays()[sweep.play].name) + ", " +
         who_names[static_cast<std::uint32_t>(sweep.victim)] + ", " +
         how_names[static_cast<std::uint32_t>(sweep.how)] +
         (sweep.fault.empty() ? "" : " " + sweep.fault);
}

void add_up(Tally& tally, const Outcome& outcome) {
  ++tally.runs;
  const auto ms = static_cast<std::uint32_t>(outcome.seconds * 1000);
  if (ms > tally.longest_ms) tally.longest_ms = ms;
  if (!outcome.reached) return;
  ++tally.reached;
  ++tally.phases[outcome.phase % phase_count];
  if (outcome.site < 64) tally.sites |= std::uint64_t{1} << outcome.site;
}

/// One worker's share of a sweep.
void work_on(Runner& runner, const Sweep& sweep, Tally& tally) {
  const std::uint32_t stride = is_deep() ? 1 : sweep.stride;
  while (!tally.is_over(sweep)) {
    const std::uint64_t k = tally.take(sweep, stride, is_deep() ? 1 : sweep.work_stride);
    const Spec spec{sweep.play, sweep.victim, sweep.how, k, "", sweep.fault};
    const Outcome outcome = runner.run(spec);
    add_up(tally, outcome);
    if (outcome.reached) {
      std::uint64_t last = tally.last;
      while (k > last && !tally.last.compare_exchange_weak(last, k)) {
      }
    } else if (outcome.lived) {
      tally.add_clean(k);
    } else {
      ++tally.others;
    }
    // The shortest life that was seen.
    if (outcome.accesses != 0 && outcome.accesses < tally.accesses)
      tally.accesses = outcome.accesses;
    if (outcome.wrong.empty()) continue;
    ++tally.failed;
    std::printf("FAIL VDSET_TEST_CRASH='%s' (%s, phase %s, site %u): %s\n", spec.text().c_str(),
                title(sweep).c_str(), phase_names[outcome.phase % phase_count], outcome.site,
                outcome.wrong.c_str());
    std::fflush(stdout);
  }
}

void print(const Sweep& sweep, const Tally& tally) {
  std::printf("%-44s %5u points, %5u runs, longest %4u ms, %u failed:", title(sweep).c_str(),
              tally.reached.load(), tally.runs.load(), tally.longest_ms.load(),
              tally.failed.load());
  for (std::uint32_t p = 0; p < phase_count; ++p)
    if (tally.phases[p] > 0 && sweep.how != How::fault)
      std::printf(" %s %u", phase_names[p], tally.phases[p].load());
  std::printf("\n");
}

/// A sweep without a place shows nothing, and one that has not come to runs that its victim lived
/// through, or ended long before its victim's end, did not sweep.
bool is_whole(const Sweep& sweep, const Tally& tally) {
  if (tally.reached == 0 || !tally.has_ended(sweep)) return false;
  if (!sweep.fault.empty()) return true;
  constexpr std::uint64_t calls_min = 40;
  if (plays()[sweep.play].plan.aborter != Who::count)  // How much is done before varies.
    return tally.last >= (sweep.how == How::call ? calls_min : tally.at_work.load());
  const bool by_call = sweep.how == How::call || sweep.how == How::hold;
  const std::uint64_t all = by_call ? calls_min : tally.accesses.load();
  return all > 0 && tally.last * 10 >= all * 7;
}

class Sum {
 public:
  void add(bool good) { ++(good ? passed : failed); }
  unsigned passed = 0, failed = 0;
};

void judge_sites(const std::vector<Sweep>& sweeps, const Tally* tallies, Sum& sum) {
  std::uint64_t sites = 0;
  for (std::size_t i = 0; i < sweeps.size(); ++i)
    if (sweeps[i].how == How::access) sites |= tallies[i].sites;
  std::string missing;
  for (const core::SiteRow& row : core::site_table)
    if ((sites >> static_cast<std::uint32_t>(row.site) & 1) == 0)
      missing += std::string(" ") + row.name;
  std::printf("sites at which nobody was killed:%s\n", missing.empty() ? " none" : missing.c_str());
  sum.add(missing.empty());
}

/// A life without an end of this kind tells where the work begins.
void prepare(const std::string& programs, const Sweep& sweep, Tally& tally) {
  Runner runner(programs);
  const Outcome outcome = runner.run({sweep.play, sweep.victim, How::live, 0, "", ""});
  add_up(tally, outcome);
  tally.accesses = outcome.accesses;
  tally.at_work = outcome.at_work;
  tally.next = 1 + (is_deep() || sweep.how == How::fault ? 0 : seed() % sweep.stride);
  const Plan& plan = plays()[sweep.play].plan;
  const auto left = static_cast<std::uint32_t>(End::left);
  const bool has_left = !(plan.closes || plan.hangs_up) ||
                        runner.book().roles[static_cast<int>(plan.aborter)].end == left;
  if (outcome.wrong.empty() && has_left) return;
  ++tally.failed;
  std::printf("FAIL %s, nobody killed: %s\n", title(sweep).c_str(),
              has_left ? outcome.wrong.c_str() : "nobody closed");
}

int sweep_all(const std::string& programs) {
  std::vector<Sweep> sweeps = all_sweeps();
  const char* const part = std::getenv("VDSET_TEST_CASE");
  const auto is_left_out = [part](const Sweep& s) {
    const bool other = part != nullptr && title(s).find(part) == std::string::npos;
    return other || (s.stride == 0 && !is_deep());
  };
  sweeps.erase(std::remove_if(sweeps.begin(), sweeps.end(), is_left_out), sweeps.end());
  if (sweeps.size() > sweeps_max) return 1;
  auto* const tallies =
      static_cast<Tally*>(mmap(nullptr, sizeof(Tally) * sweeps_max, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  for (std::size_t i = 0; i < sweeps.size(); ++i)
    prepare(programs, sweeps[i], *new (&tallies[i]) Tally);
  std::fflush(stdout);
  for (int w = 0; w < workers; ++w)
    if (fork() == 0) {
      Runner runner(programs);
      for (std::size_t i = 0; i < sweeps.size(); ++i)
        work_on(runner, sweeps[i], tallies[i]);
      runner.~Runner();
      std::fflush(stdout);
      _exit(0);
    }
  Sum sum;
  for (int status = 0; wait(&status) > 0;)
    sum.add(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  std::uint32_t points = 0, runs = 0, failed = 0;
  for (std::size_t i = 0; i < sweeps.size(); ++i) {
    print(sweeps[i], tallies[i]);
    points += tallies[i].reached;
    runs += tallies[i].runs;
    failed += tallies[i].failed;
    sum.add(tallies[i].failed == 0);
    if (is_whole(sweeps[i], tallies[i])) continue;
    std::printf("FAIL %s: ended at %llu of %llu, %u places, %u clean runs behind the last\n",
                title(sweeps[i]).c_str(), static_cast<unsigned long long>(tallies[i].last),
                static_cast<unsigned long long>(tallies[i].accesses), tallies[i].reached.load(),
                tallies[i].ends());
    sum.add(false);
  }
  if (part == nullptr) judge_sites(sweeps, tallies, sum);
  std::printf("%zu sweeps, seed %llu: %u crash points, %u runs, %u of them failed\n", sweeps.size(),
              static_cast<unsigned long long>(seed()), points, runs, failed);
  std::printf("%u passed, %u failed\n", sum.passed, sum.failed);
  return sum.failed == 0 ? 0 : 1;
}

/// PLAY:ROLE:HOW:K[:FAULT]
Spec parse(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(':', at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  parts.resize(5);
  Spec spec{static_cast<std::uint32_t>(std::atoi(parts[0].c_str())),
            Who::count,
            How::live,
            std::strtoull(parts[3].c_str(), nullptr, 10),
            "",
            parts[4]};
  for (std::uint32_t i = 0; i < who_count; ++i)
    if (parts[1] == who_names[i]) spec.victim = static_cast<Who>(i);
  for (std::uint32_t i = 0; i < sizeof how_names / sizeof *how_names; ++i)
    if (parts[2] == how_names[i]) spec.how = static_cast<How>(i);
  return spec;
}

int replay(const std::string& programs, const char* text) {
  const char* const program = std::getenv("VDSET_TEST_CRASH_PROGRAM");
  Spec spec = parse(text);
  if (spec.victim == Who::count || spec.play >= plays().size()) return 2;
  if (program != nullptr) spec.program = program;
  Runner runner(programs);
  const Outcome outcome = runner.run(spec);
  std::printf("%s: %s, phase %s, site %u, %llu accesses, %.3f s: %s\n", text,
              outcome.reached ? "reached" : "not reached", phase_names[outcome.phase % phase_count],
              outcome.site, static_cast<unsigned long long>(outcome.accesses), outcome.seconds,
              outcome.wrong.empty() ? "fine" : outcome.wrong.c_str());
  std::printf("%d passed, %d failed\n", outcome.wrong.empty(), !outcome.wrong.empty());
  return outcome.wrong.empty() ? 0 : 1;
}

/// A role program with one recovery step removed, a run in which it must be noticed, and by what.
struct Mutant {
  const char* program;
  const char* what;
  std::uint32_t play;
  Who victim;
  How how;
  const char* site;                       // Of the access; nullptr: only the play kills.
  const char* expected;                   // The judge must say this ...
  std::vector<const char*> besides = {};  // ... may say these, and nothing else.
};
const std::vector<const char*> hanging = {"hangs in phase", "came to no end", "sent", "not true",
                                          "nodes are left"};
const Mutant mutants[] = {
    {"crash_mutant_1", "nothing is taken back", succession, Who::server, How::live, nullptr,
     "is delivered again as new"},
    {"crash_mutant_2", "offered without a flag", succession_handed, Who::server, How::live, nullptr,
     "is delivered again as new"},
    {"crash_mutant_3", "queued is passed over", succession, Who::server, How::live, nullptr,
     "server hangs in phase reap", hanging},
    {"crash_mutant_4",
     "an abort ends nothing",
     backup,
     Who::primary,
     How::access,
     "take_cas",
     "sent 1 times and ended 0 times",
     {"sent", "command"}},
    {"crash_mutant_5",
     "a hang-up is no death",
     succession_handed,
     Who::server,
     How::live,
     nullptr,
     "ended with 995 though none need fail",  // What it had fetched is not handed over.
     {"though none need fail"}},
    {"crash_mutant_6", "lost buffers keep their pages", succession, Who::server, How::live, nullptr,
     "still has the pages that a dead process had pinned"},
    {"crash_mutant_7",
     "nobody is evicted",
     secondary_hangs_up,
     Who::server,
     How::live,
     nullptr,
     "one who was taken for gone is given a command",
     // It goes on beside its successor.
     {"is delivered again as new", "is delivered after its end", "has other bytes than sent",
      "the handle of command"}},
    {"crash_mutant_8", "the agent hears of no death", succession, Who::server, How::live, nullptr,
     "server hangs in phase reap", hanging},
    {"crash_mutant_9", "a row is never free", late_successor, Who::server, How::live, nullptr,
     "the row of a dead participant is not free"},
    {"crash_mutant_10", "what was decided is offered again", handed, Who::secondary, How::access,
     "complete_finished", "is delivered again as new"},
};

/// What was said besides what a mutant must cause; empty: nothing.
std::string unexpected(const Mutant& mutant, const std::string& found) {
  std::string other;
  for (std::size_t at = 0; at < found.size();) {
    const std::size_t end = std::min(found.find("; ", at), found.size());
    const std::string part = found.substr(at, end - at);
    bool known = part.find(mutant.expected) != std::string::npos;
    for (const char* words : mutant.besides)
      known = known || part.find(words) != std::string::npos;
    if (!known) other += part + "; ";
    at = end + 2;
  }
  return other;
}

int hunt_mutants(const std::string& programs) {
  Sum sum;
  Runner runner(programs);
  for (const Mutant& mutant : mutants) {
    const std::string site = mutant.site != nullptr ? mutant.site : "";
    // Which commands are under way at a death varies a little.
    std::string found;
    unsigned runs = 0;
    for (; found.empty() && runs < 20; ++runs) {
      const Spec spec{mutant.play, mutant.victim, mutant.how, 1 + runs, mutant.program, site};
      found = runner.run(spec).wrong;
    }
    // The same with the step in its place, else it was not the missing step that was found.
    const Spec whole{mutant.play, mutant.victim, mutant.how, runs, "crash_role", site};
    const std::string control = runner.run(whole).wrong;
    const std::string other = unexpected(mutant, found);
    const bool caught = found.find(mutant.expected) != std::string::npos && other.empty();
    std::printf("mutant, %-30s %s after %u runs: %.150s\n", mutant.what,
                caught ? "caught" : "NOT CAUGHT by what it must be", runs, found.c_str());
    if (!other.empty()) std::printf("  but this was not expected: %.300s\n", other.c_str());
    if (!control.empty()) std::printf("  but so is the whole program: %.150s\n", control.c_str());
    sum.add(caught && control.empty());
  }
  std::printf("%u passed, %u failed\n", sum.passed, sum.failed);
  return sum.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace vdset::crash

int main(int count, char** words) {
  using namespace vdset::crash;
  if (count < 2) return 2;
  const char* const one = std::getenv("VDSET_TEST_CRASH");
  if (one != nullptr) return replay(words[1], one);
  if (count > 2 && std::strcmp(words[2], "mutants") == 0) return hunt_mutants(words[1]);
  return sweep_all(words[1]);
}
