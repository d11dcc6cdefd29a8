// tests/bench/crowd.cpp: see crowd.hpp.
#include "crowd.hpp"
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <new>
#include <thread>
#include "pair.hpp"
#include "rig.hpp"

namespace bench {

namespace {

constexpr int lanes_max = 64;
constexpr std::size_t lane_slots = 128;  // No lane has more buffers.

/// Rung by a system call only when somebody sleeps behind it.
class Bell {
 public:
  void ring() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (asleep_.load(std::memory_order_relaxed) == 0) return;
    rung_.fetch_add(1, std::memory_order_relaxed);
    syscall(SYS_futex, &rung_, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }
  /// ready() may take what it finds: it is not asked again after it said yes.
  template <class Ready>
  void wait(Ready ready) {
    for (bool found = ready(); !found;) {
      const std::uint32_t value = rung_.load(std::memory_order_relaxed);
      asleep_.store(1, std::memory_order_relaxed);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      found = ready();
      if (!found) syscall(SYS_futex, &rung_, FUTEX_WAIT, value, nullptr, nullptr, 0);
      asleep_.store(0, std::memory_order_relaxed);
      if (!found) found = ready();
    }
  }

 private:
  alignas(64) std::atomic<std::uint32_t> asleep_{0};
  std::atomic<std::uint32_t> rung_{0};
};

struct Lane {
  Bell bell;
  LamportRing<lane_slots> there, back;
};

}  // namespace

struct Lanes {
  Bell home;
  Lane at[lanes_max];
};

namespace {

constexpr std::size_t buffers_at = (sizeof(Lanes) + 4095) / 4096 * 4096;

std::size_t area_bytes(int buffers, std::size_t bytes) {
  return buffers_at + static_cast<std::size_t>(buffers) * bytes;
}

void consume(Lanes& lanes, Lane& lane, std::size_t bytes) {
  for (;;) {
    Item item{};
    lane.bell.wait([&] { return lane.there.try_get(item); });
    if (item.words[7] == stop_word) return;
    if (bytes > 0) {
      const char* const area = reinterpret_cast<const char*>(&lanes);
      std::uint64_t sum = sum_of(area + buffers_at + item.words[0] * bytes, bytes);
      keep(sum);
    }
    while (!lane.back.try_put(item))
      relax();
    lanes.home.ring();
  }
}

}  // namespace

Crowd::Crowd(int lanes, int buffers, std::size_t bytes)
    : lane_count_(lanes),
      area_(area_bytes(buffers, bytes)),
      lanes_(*new (area_.data()) Lanes),
      child_(std::make_unique<Child>(std::vector<std::string>{
          "crowd", std::to_string(area_.descriptor()), std::to_string(lanes),
          std::to_string(buffers), std::to_string(bytes)})) {
  for (int i = buffers; i > 0; --i)
    free_.push_back(static_cast<std::uint64_t>(i - 1));
  child_->line();
}

Crowd::~Crowd() {
  Item last{};
  last.words[7] = stop_word;
  for (int i = 0; i < lane_count_; ++i) {
    while (!lanes_.at[i].there.try_put(last))
      relax();
    lanes_.at[i].bell.ring();
  }
  child_->finish();
}

void Crowd::send() {
  Item item{};
  item.words[0] = free_.back();
  free_.pop_back();
  Lane& lane = lanes_.at[item.words[0] % static_cast<std::uint64_t>(lane_count_)];
  while (!lane.there.try_put(item))
    relax();
  lane.bell.ring();
}

void Crowd::receive() {
  Item item{};
  lanes_.home.wait([&] {
    for (int looked = 0; looked < lane_count_; ++looked) {
      if (lanes_.at[next_].back.try_get(item)) return true;
      next_ = next_ + 1 == lane_count_ ? 0 : next_ + 1;
    }
    return false;
  });
  free_.push_back(item.words[0]);
}

int crowd_child(const std::vector<std::string>& words) {
  const int count = std::stoi(words.at(2));
  const std::size_t bytes = std::stoul(words.at(4));
  const Area area(std::stoi(words.at(1)), area_bytes(std::stoi(words.at(3)), bytes));
  auto& lanes = *static_cast<Lanes*>(area.data());
  std::vector<std::jthread> threads;
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&lanes, i, bytes] { consume(lanes, lanes.at[i], bytes); });
  say("ready");
  return 0;
}

}  // namespace bench
