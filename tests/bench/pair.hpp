// tests/bench/pair.hpp: a peer is a pair of one-way channels, requests there and replies back.
// Here are the loops that measure any of them, compiled into each so that nothing is indirect.
#pragma once
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <vector>
#include "bench.hpp"

namespace bench {

/// A command of one cache line, as vdset's is.
struct Item {
  std::uint64_t words[8];
};
/// The last word of the last command.
inline constexpr std::uint64_t stop_word = ~std::uint64_t{0};
inline constexpr std::size_t ring_slots = 1024;
inline constexpr int deep = 64;

/// What one call of Session::run does: `rounds` commands, or as many as fit into `nanoseconds`,
/// looking at the clock after `look_every`; `depth` under way at a time; `pause_ns` before each
/// (depth 1 only). Where `each` is not null it gets every round trip's time.
struct Job {
  int rounds = 0;
  double nanoseconds = 0;
  int look_every = 16;
  int depth = 1;
  double pause_ns = 0;
  std::vector<double>* each = nullptr;
};

/// One pair of processes, ready to go. run() returns ns per command.
class Session {
 public:
  virtual ~Session() = default;
  virtual double run(const Job& job) = 0;
};

enum class Way { polls, sleeps };

struct Peer {
  std::string name;
  Way way = Way::polls;
  int depth_max = 1;   // Commands under way at a time.
  std::string absent;  // Not empty: why it cannot be measured here.
  std::function<std::unique_ptr<Session>(const Placement&, int depth)> open;
  std::function<int(const std::vector<std::string>&)> serve;
};
const std::vector<Peer>& peers();

/// Shared memory and descriptors that both halves of a peer have.
struct Ends {
  void* area = nullptr;
  std::vector<int> descriptors;
};
inline constexpr std::size_t ends_bytes = std::size_t{1} << 20;

// ---- The requester's loops, over anything with send() and receive(). ----

template <class Send, class Receive>
double run_job(const Job& job, Send send, Receive receive) {
  if (job.each != nullptr || job.pause_ns > 0) {
    double sum = 0;
    double before = now_ns();
    for (int i = 0; i < job.rounds; ++i) {
      if (job.pause_ns > 0) {
        const double until = before + job.pause_ns;
        while ((before = now_ns()) < until) relax();
      }
      send();
      receive();
      const double after = now_ns();
      if (job.each != nullptr) job.each->push_back(after - before);
      sum += after - before;
      before = after;
    }
    return sum / job.rounds;
  }
  const double start = now_ns();
  int done = 0;
  for (int i = 0; i < job.depth; ++i)
    send();
  // Depth commands are under way at every receive but the last ones.
  const double end = start + job.nanoseconds;
  while (job.nanoseconds > 0 ? done % job.look_every != 0 || now_ns() < end : done < job.rounds) {
    receive();
    send();
    ++done;
  }
  for (int i = 0; i < job.depth; ++i)
    receive();
  return (now_ns() - start) / (done + job.depth);
}

// ---- A pair of channels P: P(Ends&, bool requester), put(Item), get(Item&), finish(). ----

template <class P>
class PairSession : public Session {
 public:
  PairSession(const std::string& name, const Placement& placement)
      : area_(ends_bytes), ends_{area_.data(), {}} {
    P::prepare(ends_);
    std::vector<std::string> words{"peer", name, std::to_string(placement.responder),
                                   placement.real_time ? "1" : "0",
                                   std::to_string(area_.descriptor())};
    for (const int descriptor : ends_.descriptors)
      words.push_back(std::to_string(descriptor));
    child_ = std::make_unique<Child>(words);
    pair_ = std::make_unique<P>(ends_, true);
    child_->line();
    hot_ = std::make_unique<Hot>(placement.requester, placement.real_time);
    child_->tell("go");
  }
  ~PairSession() override {
    Item last{};
    last.words[7] = stop_word;
    pair_->put(last);
    pair_->get(last);
    hot_.reset();
    child_->finish();
    pair_.reset();
    P::clean(ends_);
  }
  double run(const Job& job) override {
    Item item{};
    P& pair = *pair_;
    return run_job(
        job,
        [&] {
          ++item.words[0];
          pair.put(item);
        },
        [&] { pair.get(reply_); });
  }

 private:
  Area area_;
  Ends ends_;
  std::unique_ptr<Child> child_;
  std::unique_ptr<P> pair_;
  std::unique_ptr<Hot> hot_;
  Item reply_{};
};

/// The responder: completes whatever comes, and ends after the stop word.
template <class P>
int serve_pair(const std::vector<std::string>& words) {
  Ends ends;
  const Area area(std::stoi(words.at(4)), ends_bytes);
  ends.area = area.data();
  for (std::size_t i = 5; i < words.size(); ++i)
    ends.descriptors.push_back(std::stoi(words[i]));
  P pair(ends, false);
  const Responder ready(words.at(2), words.at(3));
  Item item{};
  do {
    pair.get(item);
    item.words[1] = item.words[0];
    pair.put(item);
  } while (item.words[7] != stop_word);
  return 0;
}

template <class P>
Peer make_peer(const std::string& name, Way way, int depth_max) {
  Peer peer;
  peer.name = name;
  peer.way = way;
  peer.depth_max = depth_max;
  peer.open = [name](const Placement& placement, int) -> std::unique_ptr<Session> {
    return std::make_unique<PairSession<P>>(name, placement);
  };
  peer.serve = serve_pair<P>;
  return peer;
}

inline Peer absent_peer(const std::string& name, Way way, const std::string& package) {
  Peer peer;
  peer.name = name;
  peer.way = way;
  peer.depth_max = deep;
  peer.absent = package + " was not installed when this was built";
  return peer;
}

/// A bare single-producer ring of commands, each side with a copy of the other's index.
template <std::size_t slots>
class LamportRing {
 public:
  bool try_put(const Item& item) {
    const std::uint32_t head = head_.load(std::memory_order_relaxed);
    if (head - tail_seen_ == slots) {
      tail_seen_ = tail_.load(std::memory_order_acquire);
      if (head - tail_seen_ == slots) return false;
    }
    items_[head % slots] = item;
    head_.store(head + 1, std::memory_order_release);
    return true;
  }
  bool try_get(Item& item) {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail == head_seen_) {
      head_seen_ = head_.load(std::memory_order_acquire);
      if (tail == head_seen_) return false;
    }
    item = items_[tail % slots];
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

 private:
  alignas(64) std::atomic<std::uint32_t> head_{0};
  std::uint32_t tail_seen_ = 0;
  alignas(64) std::atomic<std::uint32_t> tail_{0};
  std::uint32_t head_seen_ = 0;
  alignas(64) Item items_[slots];
};

/// A peer that lives in shared memory alone: two rings, constructed by the requester.
template <class Ring>
class RingPair {
 public:
  static void prepare(const Ends& ends) {
    static_assert(2 * sizeof(Ring) <= ends_bytes);
    auto* const rings = static_cast<Ring*>(ends.area);
    new (&rings[0]) Ring;
    new (&rings[1]) Ring;
  }
  static void clean(const Ends&) {}
  RingPair(const Ends& ends, bool requester)
      : out_(static_cast<Ring*>(ends.area)[requester ? 0 : 1]),
        in_(static_cast<Ring*>(ends.area)[requester ? 1 : 0]) {}
  void put(const Item& item) {
    while (!out_.try_put(item)) relax();
  }
  void get(Item& item) {
    while (!in_.try_get(item)) relax();
  }

 private:
  Ring& out_;
  Ring& in_;
};

/// A ring that passes pointers: the command lies in a slot, its number plus one is what is passed,
/// for the two processes have different addresses.
template <class Pointers>
class SlotRing {
 public:
  bool try_put(const Item& item) {
    Item& slot = slots_[next_ % ring_slots];
    slot = item;
    if (!pointers_.try_put(reinterpret_cast<void*>(next_ % ring_slots + 1))) return false;
    ++next_;
    return true;
  }
  bool try_get(Item& item) {
    void* pointer = nullptr;
    if (!pointers_.try_get(&pointer)) return false;
    item = slots_[reinterpret_cast<std::uintptr_t>(pointer) - 1];
    return true;
  }

 private:
  alignas(64) Pointers pointers_;
  alignas(64) std::uintptr_t next_ = 0;  // The producer's alone.
  alignas(64) Item slots_[ring_slots];
};

// The peers, by where they come from.
void add_plain_peers(std::vector<Peer>& all);
void add_boost_peers(std::vector<Peer>& all);
void add_ck_peers(std::vector<Peer>& all);
void add_dpdk_peers(std::vector<Peer>& all);
void add_vdset_peers(std::vector<Peer>& all);

/// Boost's handle translation, or why there is none. ns per call: there, back, both.
struct HandleTimes {
  double get = -1, map = -1, both = -1;
};
std::string boost_handle_times(int count, int calls, HandleTimes& out);
/// Boost's creation and opening of a managed segment of this many bytes, ns.
std::string boost_segment_times(std::size_t bytes, double& create, double& open);

}  // namespace bench
