// tests/bench/peers_boost.cpp: Boost.Interprocess and Boost.Lockfree.
#include "pair.hpp"

#ifdef BENCH_BOOST
#include <unistd.h>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/lockfree/spsc_queue.hpp>
#endif

namespace bench {

constexpr const char* queue_name = "Boost.Interprocess message_queue";
constexpr const char* spsc_name = "Boost.Lockfree spsc_queue";

#ifdef BENCH_BOOST

namespace {

namespace ipc = boost::interprocess;

class LockfreeRing {
 public:
  bool try_put(const Item& item) { return queue_.push(item); }
  bool try_get(Item& item) { return queue_.pop(item); }

 private:
  boost::lockfree::spsc_queue<Item, boost::lockfree::capacity<ring_slots>> queue_;
};

class MessageQueuePair {
 public:
  static void prepare(const Ends& ends) {
    const std::string name = "vdset-bench-" + std::to_string(getpid());
    std::snprintf(static_cast<char*>(ends.area), ends_bytes, "%s", name.c_str());
    clean(ends);
    for (const char* const way : {"-there", "-back"})
      ipc::message_queue(ipc::create_only, (name + way).c_str(), slots, sizeof(Item));
  }
  static void clean(const Ends& ends) {
    for (const char* const way : {"-there", "-back"})
      ipc::message_queue::remove((static_cast<char*>(ends.area) + std::string(way)).c_str());
  }
  MessageQueuePair(const Ends& ends, bool requester)
      : out_(ipc::open_only, named(ends, requester ? "-there" : "-back").c_str()),
        in_(ipc::open_only, named(ends, requester ? "-back" : "-there").c_str()) {}
  void put(const Item& item) { out_.send(&item, sizeof item, 0); }
  void get(Item& item) {
    ipc::message_queue::size_type got = 0;
    unsigned priority = 0;
    in_.receive(&item, sizeof item, got, priority);
  }

 private:
  static constexpr std::size_t slots = 128;
  static std::string named(const Ends& ends, const char* way) {
    return static_cast<char*>(ends.area) + std::string(way);
  }
  ipc::message_queue out_;
  ipc::message_queue in_;
};

}  // namespace

void add_boost_peers(std::vector<Peer>& all) {
  all.push_back(make_peer<RingPair<LockfreeRing>>(spsc_name, Way::polls, deep));
  all.push_back(make_peer<MessageQueuePair>(queue_name, Way::sleeps, deep));
}

std::string boost_handle_times(int count, int calls, HandleTimes& out) {
  const std::string name = "vdset-bench-" + std::to_string(getpid());
  ipc::shared_memory_object::remove(name.c_str());
  {
    ipc::managed_shared_memory segment(ipc::create_only, name.c_str(),
                                       static_cast<std::size_t>(count) * 1024 + 65536);
    std::vector<void*> addresses(static_cast<std::size_t>(count));
    std::vector<ipc::managed_shared_memory::handle_t> handles(addresses.size());
    for (void*& address : addresses)
      address = segment.allocate(512);
    const int passes = calls / count;
    const double done = static_cast<double>(passes) * count;
    const auto timed = [&](auto step) {
      const double start = now_ns();
      for (int pass = 0; pass < passes; ++pass)
        for (std::size_t i = 0; i < addresses.size(); ++i)
          step(i);
      return (now_ns() - start) / done;
    };
    const auto get = [&](std::size_t i) {
      handles[i] = segment.get_handle_from_address(addresses[i]);
      keep(handles[i]);
    };
    const auto map = [&](std::size_t i) {
      void* address = segment.get_address_from_handle(handles[i]);
      keep(address);
    };
    out.get = timed(get);
    out.map = timed(map);
    out.both = timed([&](std::size_t i) {
      get(i);
      map(i);
    });
  }
  ipc::shared_memory_object::remove(name.c_str());
  return {};
}

std::string boost_segment_times(std::size_t bytes, double& create, double& open) {
  const std::string name = "vdset-bench-" + std::to_string(getpid());
  ipc::shared_memory_object::remove(name.c_str());
  double start = now_ns();
  {
    const ipc::managed_shared_memory made(ipc::create_only, name.c_str(), bytes);
    create = now_ns() - start;
    start = now_ns();
    const ipc::managed_shared_memory opened(ipc::open_only, name.c_str());
    open = now_ns() - start;
  }
  ipc::shared_memory_object::remove(name.c_str());
  return {};
}

#else

constexpr const char* package = "libboost-dev";

void add_boost_peers(std::vector<Peer>& all) {
  all.push_back(absent_peer(spsc_name, Way::polls, package));
  all.push_back(absent_peer(queue_name, Way::sleeps, package));
}

std::string boost_handle_times(int, int, HandleTimes&) {
  return absent_peer({}, Way::polls, package).absent;
}

std::string boost_segment_times(std::size_t, double&, double&) {
  return absent_peer({}, Way::polls, package).absent;
}

#endif

}  // namespace bench
