// tests/bench/peers_plain.cpp: what a Linux system has by itself, and a bare ring as the limit of
// any ring.
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include "pair.hpp"

namespace bench {

namespace {

/// The shortest thing that passes a command: one line each way, its number last. One at a time.
class Mailbox {
 public:
  bool try_put(const Item& item) {
    for (std::size_t i = 1; i < 8; ++i)
      words_[i - 1].store(item.words[i], std::memory_order_relaxed);
    number_.store(++mine_, std::memory_order_release);
    return true;
  }
  bool try_get(Item& item) {
    if (number_.load(std::memory_order_acquire) == seen_) return false;
    item.words[0] = ++seen_;
    for (std::size_t i = 1; i < 8; ++i)
      item.words[i] = words_[i - 1].load(std::memory_order_relaxed);
    return true;
  }

 private:
  alignas(64) std::atomic<std::uint64_t> number_{0};
  std::atomic<std::uint64_t> words_[7]{};
  alignas(64) std::uint64_t mine_ = 0;
  alignas(64) std::uint64_t seen_ = 0;
};

long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value) {
  return syscall(SYS_futex, &word, operation, value, nullptr, nullptr, 0);
}

/// The least that sleeps: a command line and a futex each way, no spinning.
class FutexPair {
 public:
  static void prepare(const Ends& ends) { new (ends.area) Line[2]; }
  static void clean(const Ends&) {}
  FutexPair(const Ends& ends, bool requester)
      : out_(static_cast<Line*>(ends.area)[requester ? 0 : 1].value),
        in_(static_cast<Line*>(ends.area)[requester ? 1 : 0].value),
        items_(reinterpret_cast<Item*>(static_cast<char*>(ends.area) + 4096)),
        mine_(requester ? 0 : 1) {}
  void put(const Item& item) {
    items_[mine_] = item;
    out_.store(++sent_, std::memory_order_release);
    futex(out_, FUTEX_WAKE, 1);
  }
  void get(Item& item) {
    ++got_;
    for (;;) {
      const std::uint32_t value = in_.load(std::memory_order_acquire);
      if (value == got_) break;
      futex(in_, FUTEX_WAIT, value);
    }
    item = items_[1 - mine_];
  }

 private:
  std::atomic<std::uint32_t>& out_;
  std::atomic<std::uint32_t>& in_;
  Item* items_;
  int mine_;
  std::uint32_t sent_ = 0;
  std::uint32_t got_ = 0;
};

/// Anything behind two descriptors that passes 64 bytes whole, or eventfd's eight.
template <class Kind>
class DescriptorPair {
 public:
  static void prepare(Ends& ends) { Kind::open(ends.descriptors); }
  static void clean(const Ends& ends) {
    for (const int descriptor : ends.descriptors)
      close(descriptor);
  }
  DescriptorPair(const Ends& ends, bool requester)
      : out_(ends.descriptors[requester ? 0 : 2]),
        in_(ends.descriptors[requester ? 3 : 1]),
        items_(static_cast<Item*>(ends.area)),
        mine_(requester ? 0 : 1) {}
  void put(const Item& item) {
    if (Kind::in_memory) items_[mine_] = item;
    const std::uint64_t one = 1;
    const void* const bytes = Kind::in_memory ? static_cast<const void*>(&one) : &item;
    const std::size_t size = Kind::in_memory ? sizeof one : sizeof item;
    if (write(out_, bytes, size) != static_cast<ssize_t>(size)) die("a short write");
  }
  void get(Item& item) {
    std::uint64_t count;
    void* const bytes = Kind::in_memory ? static_cast<void*>(&count) : &item;
    std::size_t missing = Kind::in_memory ? sizeof count : sizeof item;
    for (char* at = static_cast<char*>(bytes); missing > 0;) {
      const long got = must_call(read(in_, at, missing), "read");
      if (got == 0) die("the other half ended");
      at += got;
      missing -= static_cast<std::size_t>(got);
    }
    if (Kind::in_memory) item = items_[1 - mine_];
  }

 private:
  int out_;
  int in_;
  Item* items_;
  int mine_;
};

// Descriptors: what the requester writes, where the responder reads, and the same back.
struct Pipe {
  static constexpr bool in_memory = false;
  static void open(std::vector<int>& to) {
    for (int way = 0; way < 2; ++way) {
      int ends[2];
      must_call(pipe(ends), "pipe");
      to.insert(to.end(), {ends[1], ends[0]});
    }
  }
};

template <int type>
struct Socket {
  static constexpr bool in_memory = false;
  static void open(std::vector<int>& to) {
    int ends[2];
    must_call(socketpair(AF_UNIX, type, 0, ends), "socketpair");
    const long back = must_call(dup(ends[1]), "dup");
    const long home = must_call(dup(ends[0]), "dup");
    to = {ends[0], ends[1], static_cast<int>(back), static_cast<int>(home)};
  }
};

using Stream = Socket<SOCK_STREAM>;
using Packets = Socket<SOCK_SEQPACKET>;

struct Eventfd {
  static constexpr bool in_memory = true;
  static void open(std::vector<int>& to) {
    for (int way = 0; way < 2; ++way) {
      const int word = static_cast<int>(must_call(eventfd(0, 0), "eventfd"));
      to.insert(to.end(), {word, static_cast<int>(must_call(dup(word), "dup"))});
    }
  }
};

/// POSIX queues are descriptors on Linux, with calls of their own.
class QueuePair {
 public:
  /// A queue without a name, or -1: not every system has them.
  static int open() {
    const std::string name = "/vdset-bench-" + std::to_string(getpid());
    mq_attr attributes{};
    attributes.mq_maxmsg = 10;
    attributes.mq_msgsize = sizeof(Item);
    const int queue = mq_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600, &attributes);
    if (queue >= 0) mq_unlink(name.c_str());
    return queue;
  }
  static void prepare(Ends& ends) {
    for (int way = 0; way < 2; ++way) {
      const int queue = static_cast<int>(must_call(open(), "mq_open"));
      fcntl(queue, F_SETFD, 0);  // The C library closes them on exec.
      ends.descriptors.push_back(queue);
    }
  }
  static void clean(const Ends& ends) {
    for (const int descriptor : ends.descriptors)
      mq_close(descriptor);
  }
  QueuePair(const Ends& ends, bool requester)
      : out_(ends.descriptors[requester ? 0 : 1]), in_(ends.descriptors[requester ? 1 : 0]) {}
  void put(const Item& item) {
    must_call(mq_send(out_, reinterpret_cast<const char*>(&item), sizeof item, 0), "mq_send");
  }
  void get(Item& item) {
    must_call(mq_receive(in_, reinterpret_cast<char*>(&item), sizeof item, nullptr), "mq_receive");
  }

 private:
  mqd_t out_;
  mqd_t in_;
};

}  // namespace

void add_plain_peers(std::vector<Peer>& all) {
  constexpr int alone = 1;
  constexpr int few = 8;  // Linux's default limit of a POSIX queue is ten.
  all.push_back(make_peer<RingPair<Mailbox>>("bare mailbox", Way::polls, alone));
  all.push_back(make_peer<RingPair<LamportRing<ring_slots>>>("bare ring pair", Way::polls, deep));
  all.push_back(make_peer<FutexPair>("bare futex", Way::sleeps, alone));
  all.push_back(make_peer<DescriptorPair<Eventfd>>("eventfd", Way::sleeps, alone));
  all.push_back(make_peer<DescriptorPair<Pipe>>("pipe", Way::sleeps, deep));
  all.push_back(make_peer<DescriptorPair<Stream>>("unix stream", Way::sleeps, deep));
  all.push_back(make_peer<DescriptorPair<Packets>>("unix seqpacket", Way::sleeps, few));
  all.push_back(make_peer<QueuePair>("POSIX mq", Way::sleeps, few));
  const int queue = QueuePair::open();
  if (queue < 0) all.back().absent = std::string("mq_open: ") + std::strerror(errno);
  if (queue >= 0) mq_close(queue);
}

}  // namespace bench
