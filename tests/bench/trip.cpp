// tests/bench/trip.cpp: one command there and its completion back, between two processes, for every
// peer: polling, sleeping, on one processor, under load. And streams of commands.
#include <algorithm>
#include "pair.hpp"

namespace bench {

namespace {

bool any_peer(const Peer&) {
  return true;
}
bool sleeps(const Peer& peer) {
  return peer.way == Way::sleeps;
}
bool polls(const Peer& peer) {
  return peer.way == Way::polls;
}
bool streams(const Peer& peer) {
  return peer.depth_max == deep;
}

using Wanted = bool (*)(const Peer&);

/// Says which of these peers this bench has no figure for, and why; where there is but one
/// processor and two are needed, all of them. Whether anything can be measured.
bool say_absent(const std::string& bench, Wanted wanted, bool needs_two) {
  const bool refused = needs_two && !processors().two();
  for (const Peer& peer : peers())
    if (wanted(peer) && (refused || !peer.absent.empty()))
      emit_absent(bench, peer.name, refused ? "needs two processors" : peer.absent);
  return !refused;
}

/// Calls measure(peer, repetition) for all of these peers, each repetition from another beginning,
/// so that none is always first.
template <class Measure>
void alternate(int repetitions, Wanted wanted, Measure measure) {
  std::vector<const Peer*> chosen;
  for (const Peer& peer : peers())
    if (wanted(peer) && peer.absent.empty()) chosen.push_back(&peer);
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    for (const Peer* const peer : chosen)
      measure(*peer, repetition);
    std::rotate(chosen.begin(), chosen.begin() + 1, chosen.end());
  }
}

void add_quantiles(Sample& sample, std::vector<double>& each) {
  constexpr std::size_t enough = 1000;  // For one in a thousand.
  sample.p50 = quantile(each, 0.5);
  sample.p99 = quantile(each, 0.99);
  if (each.size() >= enough) sample.p999 = quantile(each, 0.999);
}

/// The mean of `rounds` untimed trips, then the distribution of as many, timed one by one.
Sample trips(Session& session, int rounds, double pause_ns) {
  Sample sample;
  std::vector<double> each;
  each.reserve(static_cast<std::size_t>(rounds));
  Job job;
  job.rounds = rounds;
  job.pause_ns = pause_ns;
  if (pause_ns == 0) sample.value = session.run(job);
  job.each = &each;
  const double mean = session.run(job);
  if (pause_ns > 0) sample.value = mean;
  add_quantiles(sample, each);
  return sample;
}

void warm_up(Session& session, int rounds) {
  Job job;
  job.rounds = rounds;
  session.run(job);
}

}  // namespace

void bench_trip(Size size) {
  say_absent("waiting", sleeps, true);
  say_absent("sleeping", sleeps, true);
  if (!say_absent("trip", polls, true)) return;
  alternate(repetitions(size, 11), any_peer, [size](const Peer& peer, int repetition) {
    const double ping = ping_pong(apart());
    const auto session = peer.open(apart(), 1);
    warm_up(*session, scaled(size, polls(peer) ? 5000 : 500, 50));
    const auto report = [&](const char* bench, int rounds, double pause_ns) {
      Sample sample = trips(*session, rounds, pause_ns);
      sample.bench = bench;
      sample.row = peer.name;
      sample.ping = ping;
      sample.repetition = repetition;
      emit(sample);
    };
    if (polls(peer)) {
      report("trip", scaled(size, 40'000, 200), 0);
    } else {
      // Longer than any spinning: both halves are asleep when the command comes.
      constexpr double pause_ns = 300'000;
      report("waiting", scaled(size, 2000, 50), 0);
      constexpr int repetitions_max = 5;  // Most of it is pause.
      if (repetition < repetitions_max) report("sleeping", scaled(size, 1000, 20), pause_ns);
    }
  });
}

// ---- Both halves on one processor. ----

namespace {

const Peer& peer_named(const std::string& name) {
  for (const Peer& peer : peers())
    if (peer.name == name) return peer;
  die("no peer " + name);
}

/// Many starts of a pair, to see whether some are slow for good.
void count_slow_starts(const std::string& name, int starts, int trips_each) {
  constexpr double slow = 3;  // Times the median of all starts.
  std::vector<double> medians;
  for (int start = 0; start < starts; ++start) {
    const auto session = peer_named(name).open(together(), 1);
    warm_up(*session, trips_each);
    std::vector<double> each;
    Job job;
    job.rounds = trips_each;
    job.each = &each;
    session->run(job);
    medians.push_back(median(each));
  }
  const double usual = median(medians);
  const auto count = std::count_if(medians.begin(), medians.end(),
                                   [&](double each) { return each > slow * usual; });
  Sample sample;
  sample.bench = "starts";
  sample.row = name;
  sample.unit = "slow starts";
  sample.x = starts;
  sample.value = static_cast<double>(count);
  sample.p50 = usual;
  sample.p999 = *std::max_element(medians.begin(), medians.end());
  emit(sample);
}

/// The pair's speed beside as many endless loops as it has processors, as a share of half its speed
/// alone: 1 is fair.
void share_under_load(const Peer& peer, const Placement& placement, const char* bench,
                      double nanoseconds, int repetition) {
  const auto session = peer.open(placement, 1);
  Job job;
  job.nanoseconds = nanoseconds;
  job.look_every = 1;  // Each may take a time slice.
  session->run(job);
  const double alone = session->run(job);
  std::vector<std::unique_ptr<Child>> hogs;
  for (const int processor : {placement.requester, placement.responder})
    if (hogs.empty() || placement.requester != placement.responder) {
      hogs.push_back(std::make_unique<Child>(
          std::vector<std::string>{"hog", std::to_string(processor)}));
      hogs.back()->line();
    }
  job.nanoseconds = 2 * nanoseconds;
  const double loaded = session->run(job);
  Sample sample;
  sample.bench = bench;
  sample.row = peer.name;
  sample.unit = "of the fair share";
  sample.value = 2 * alone / loaded;
  sample.repetition = repetition;
  emit(sample);
}

}  // namespace

int hog(const std::vector<std::string>& words) {
  const Hot hot(std::stoi(words.at(1)), false);
  say("ready");
  for (std::uint32_t i = 0;; ++i)
    keep(i);
}

void bench_one_processor(Size size) {
  say_absent("one-processor", sleeps, false);
  alternate(repetitions(size, 7), sleeps, [size](const Peer& peer, int i) {
    const auto session = peer.open(together(), 1);
    warm_up(*session, scaled(size, 500, 20));
    Sample sample = trips(*session, scaled(size, 5000, 50), 0);
    sample.bench = "one-processor";
    sample.row = peer.name;
    sample.repetition = i;
    emit(sample);
  });
  for (const char* const name : {"vdset, waiting", "bare futex"})
    count_slow_starts(name, scaled(size, 1000, 5), 50);
  const Wanted judged = [](const Peer& peer) {
    return peer.name == "vdset, waiting" || peer.name == "bare futex" || peer.name == "pipe";
  };
  const double slice_ns = (size == Size::tiny ? 20 : size == Size::quick ? 60 : 200) * 1e6;
  alternate(repetitions(size, 3), judged, [&](const Peer& peer, int i) {
    share_under_load(peer, together(), "load, one processor", slice_ns, i);
  });
  if (!say_absent("load, two processors", judged, true)) return;
  const Placement ordinary{processors().first, processors().second, false};
  alternate(repetitions(size, 3), judged, [&](const Peer& peer, int i) {
    share_under_load(peer, ordinary, "load, two processors", slice_ns, i);
  });
}

// ---- A stream: so many commands under way at a time. ----

void bench_stream(Size size) {
  if (!say_absent("stream", streams, true)) return;
  alternate(repetitions(size, 7), streams, [size](const Peer& peer, int repetition) {
    const double ping = ping_pong(apart());
    const auto session = peer.open(apart(), deep);
    warm_up(*session, scaled(size, 5000, 50));
    for (int depth = 1; depth <= deep; depth *= 2) {
      Sample sample;
      sample.bench = "stream";
      sample.row = peer.name;
      sample.x = depth;
      Job job;
      job.nanoseconds = scaled(size, 20, 1) * 1e6;
      job.depth = depth;
      sample.value = session->run(job);
      sample.ping = ping;
      sample.repetition = repetition;
      emit(sample);
    }
  });
}

}  // namespace bench
