// tests/crash/test_soak.cpp: random participants of a live set are killed, thousands of times, most
// of them while they hold fetched commands; then the books are checked: no command lost or doubled,
// no buffer, descriptor or name left.
//
//   test_soak ROLE
// VDSET_TEST_DEEP=N   10,000 kills instead of a few hundred
// VDSET_TEST_SEED=S   of the random choices
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include "tests/crash/soak_life.hpp"

namespace vdset::soak {
namespace {

constexpr unsigned kills_each_life = 50;
constexpr std::uint32_t linger_us = 300;

class Soak {
 public:
  Soak(const char* program, std::uint64_t seed)
      : ground_(program), book_(ground_.book()), random_(seed) {}

  /// One set, from Create to its end: by itself, or because its primary or server is killed.
  void live(unsigned kills) {
    Life life(ground_);
    // Each ending with each policy, in turn.
    const auto ending = static_cast<Ending>(sum.lives % endings);
    const bool hand_over = sum.lives++ / endings % 2 != 0;
    life.begin(hand_over);
    // A life ends early when its commands would fill the book.
    for (unsigned i = 0; i < kills && !life.is_wrong() && book_.next_id < ids_at_ease; ++i)
      kill_somebody(life, hand_over);
    if (ending != by_itself && !life.is_wrong()) kill_head(life, ending);
    for (LaneBook& lane : book_.lane)
      lane.linger_us = 0;
    book_.stop = 1;
    life.reap_all();
    life.check(ending, sum);
  }

  /// Everybody at once: while the set begins, or in full work.
  void kill_everybody() {
    Life life(ground_);
    const auto when = static_cast<unsigned>(random_() % 3);
    if (when == 0) {
      life.start(Life::primary);
      usleep(static_cast<useconds_t>(random_() % 3000));
      life.start(Life::server);
    } else {
      life.begin(sum.all_killed % 2 != 0);
    }
    if (when == 2)
      life.until("serve", [&] { return book_.lane[1].served != 0 && book_.lane[2].served != 0; });
    usleep(static_cast<useconds_t>(random_() % 3000));
    life.kill_all();
    life.reap_all();
    life.check_all_killed(sum);
  }

  std::string leaks() const { return ground_.leaks(); }

  Sum sum;

 private:
  void kill_somebody(Life& life, bool hand_over) {
    const auto choice = static_cast<unsigned>(random_() % 9);
    const Life::Place place = choice == 0 ? Life::worker : choice < 5 ? Life::first : Life::second;
    const std::uint32_t lane = place == Life::first ? 1 : place == Life::second ? 2 : 0;
    // Three of four secondaries while they are at work on what they hold, the others at any moment.
    const bool aimed = place != Life::worker && random_() % 4 != 0;
    if (aimed)
      aim(life, lane);
    else
      usleep(static_cast<useconds_t>(random_() % 4000));
    ++sum.kills;
    (place == Life::worker ? sum.workers : sum.secondaries) += 1;
    book_.lane[lane].failed_at_ns = 0;
    const std::uint64_t at = life.kill_one(place);
    life.reap(place);
    if (place != Life::worker) {
      sum.aimed += aimed ? 1 : 0;
      sum.holders += book_.lane[lane].held != 0 ? 1 : 0;
      book_.lane[lane].served = 0;
      book_.lane[lane].held = 0;
      book_.lane[lane].linger_us = 0;
    }
    life.start(place);
    if (place == Life::worker) return;
    // Some successors may be killed anywhere, the others are left to begin.
    if (random_() % 4 != 0) life.until("serve", [&] { return book_.lane[lane].served != 0; });
    const std::uint64_t failed = book_.lane[lane].failed_at_ns;
    if (!hand_over && failed > at) sum.sweep_us.push_back(static_cast<double>(failed - at) / 1e3);
  }

  /// Lets the consumer of a lane linger over each command, and comes back when it holds one; the
  /// kill that follows meets it before, between or in the CompleteCommands of what it holds.
  void aim(Life& life, std::uint32_t lane) {
    book_.lane[lane].linger_us = linger_us;
    life.until("hold", [&] { return book_.lane[lane].held != 0; });
    usleep(static_cast<useconds_t>(random_() % linger_us));
  }

  /// The primary or the server, mostly while the clients have commands in hand.
  void kill_head(Life& life, Ending ending) {
    const Life::Place place = ending == primary_killed ? Life::primary : Life::server;
    // Whose last consumer was killed just now: somebody must be there to hear of the end.
    life.until("serve", [&] { return book_.lane[1].served != 0 && book_.lane[2].served != 0; });
    const std::uint32_t lane = place == Life::primary ? 0 : 1;
    if (sum.lives % 4 != 0) {
      aim(life, lane);
      life.until("hold", [&] { return book_.lane[lane].held != 0; });  // Still, or again.
    }
    ++sum.kills;
    (place == Life::primary ? sum.primaries : sum.servers) += 1;
    bool held = false;
    for (const LaneBook& each : book_.lane)
      held |= each.held != 0;
    sum.held_by_last += held ? 1 : 0;
    const std::uint64_t at = life.kill_one(place);
    if (life.until("abort", [&] { return book_.abort_seen_ns != 0; }))
      sum.abort_us.push_back(static_cast<double>(book_.abort_seen_ns - at) / 1e3);
  }

  Ground ground_;
  Book& book_;
  std::mt19937_64 random_;
};

using Long = unsigned long long;

void print_times(std::vector<double>& us) {
  std::sort(us.begin(), us.end());
  if (us.empty()) return;
  std::printf(" p50 %.2f ms, p99 %.2f ms (%zu)", us[us.size() / 2] / 1e3,
              us[us.size() * 99 / 100] / 1e3, us.size());
}

void print(Sum& sum, double seconds, std::uint64_t seed) {
  std::printf(
      "%u kills in %.0f s, seed %llu: %u secondaries, %u workers, %u primaries, %u servers;"
      " %u lives\n",
      sum.kills, seconds, static_cast<Long>(seed), sum.secondaries, sum.workers, sum.primaries,
      sum.servers, sum.lives);
  std::printf(
      "of the secondaries %u were aimed at, %u held commands when they were killed; of the "
      "primaries and servers %u with commands in a client's hand\n",
      sum.aimed, sum.holders, sum.held_by_last);
  std::printf(
      "%llu commands: %llu done (%llu handed over), %llu failed with 995, %llu unseen with "
      "1117; %llu lost, %llu doubled\n",
      static_cast<Long>(sum.commands), static_cast<Long>(sum.well),
      static_cast<Long>(sum.handed_over), static_cast<Long>(sum.failed),
      static_cast<Long>(sum.recalled), static_cast<Long>(sum.lost), static_cast<Long>(sum.doubled));
  for (unsigned i = 0; i < endings; ++i)
    std::printf(
        "ended %-15s %4u lives, %9llu commands judged whole, %llu only for at most once "
        "(their server died before their end); %u clients heard of an abort\n",
        ending_names[i], sum.judged[i].lives, static_cast<Long>(sum.judged[i].judged),
        static_cast<Long>(sum.judged[i].unjudged), sum.judged[i].heard_abort);
  std::printf("all processes killed at once: %u times, %u of them left something\n", sum.all_killed,
              sum.left_something);
  std::printf("in full work: sweep of a secondary");
  print_times(sum.sweep_us);
  std::printf("; abort by a death");
  print_times(sum.abort_us);
  std::printf("\n");
}

/// A soak that looked away shows nothing.
void require(Sum& sum, bool holds, const char* what) {
  ++(holds ? sum.passed : sum.wrong);
  if (!holds) std::printf("FAIL %s\n", what);
}

void judge(Sum& sum, const std::string& leaks) {
  for (const Judged& of_kind : sum.judged) {
    require(sum, of_kind.lives > 0, "a kind of end did not come");
    require(sum, of_kind.judged > 100 * of_kind.unjudged, "less than 99 % were judged whole");
    require(sum, of_kind.judged > 1000 * of_kind.lives / 2, "hardly a command was judged");
  }
  require(sum, sum.holders * 2 > sum.secondaries, "less than half of the killed held commands");
  require(sum, sum.held_by_last * 4 > sum.primaries + sum.servers,
          "primaries and servers were killed with nothing under way");
  require(sum, sum.failed > 0 && sum.handed_over > 0, "no command was failed, or none handed over");
  // Who survives each life looks for leaks: the clients and the server that were not killed.
  require(sum, sum.looked_for_leaks >= std::uint64_t{sum.lives} * 3, "few looked for leaks");
  if (!leaks.empty()) std::printf("left: %s\n", leaks.c_str());
  require(sum, leaks.empty(), "something is left at the end");
}

int run(const char* program) {
  const char* const deep = std::getenv("VDSET_TEST_DEEP");
  const char* const given = std::getenv("VDSET_TEST_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  const bool is_deep = deep != nullptr && std::atoi(deep) != 0;
  const unsigned kills = is_deep ? 10'000u * static_cast<unsigned>(std::atoi(deep)) : 400u;
  Soak soak(program, seed);
  Sum& sum = soak.sum;
  const std::uint64_t begin = now_ns();
  while (sum.kills < kills && sum.wrong < 5)
    soak.live(kills_each_life - 1);
  for (unsigned i = 0; i < kills / 10 + (is_deep ? 0 : 60) && sum.wrong < 5; ++i)
    soak.kill_everybody();
  print(sum, static_cast<double>(now_ns() - begin) / 1e9, seed);
  judge(sum, soak.leaks());
  std::printf("%u passed, %u failed\n", sum.passed, sum.wrong);
  return sum.wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace vdset::soak

int main(int count, char** words) {
  return count < 2 ? 2 : vdset::soak::run(words[1]);
}
