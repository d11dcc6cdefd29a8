// tests/bench/bench_descriptors.cpp: a command round trip whose sides both sleep: in get_command
// and next_completion, and in epoll on their descriptors; beside it two threads that wake each
// other with an eventfd each, the least that an event loop can cost, and with a futex each. All on
// one processor, where nobody's spinning can help. Medians of paired repetitions.
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>
#include "vdset.h"

namespace {

constexpr int repetitions = 21;
constexpr int rounds = 2000;
constexpr std::uint32_t block = 4096;

void must(std::int32_t result, const char* what) {
  if (result == VDSET_OK) return;
  std::fprintf(stderr, "bench_descriptors: %s: %s\n", what, vdset_last_error());
  std::exit(1);
}

double microseconds_for(void (*run)(void*), void* context) {
  const auto start = std::chrono::steady_clock::now();
  run(context);
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
  return took.count() / rounds;
}

double median(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  return samples[samples.size() / 2];
}

/// One descriptor in one epoll.
class Loop {
 public:
  explicit Loop(int descriptor) : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
  }
  ~Loop() { close(epoll_); }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  void wait() const {
    epoll_event event;
    while (epoll_wait(epoll_, &event, 1, -1) < 1) {
    }
  }

 private:
  int epoll_;
};

void eventfd_ping_pong(void*) {
  const int there = eventfd(0, EFD_NONBLOCK), back = eventfd(0, EFD_NONBLOCK);
  const auto side = [](int wait_on, int wake, bool first) {
    const Loop loop(wait_on);
    std::uint64_t one = 1, count;
    for (int i = 0; i < rounds; ++i) {
      if (first && write(wake, &one, sizeof one) < 0) std::exit(1);
      while (read(wait_on, &count, sizeof count) < 0)
        loop.wait();
      if (!first && write(wake, &one, sizeof one) < 0) std::exit(1);
    }
  };
  std::thread other([&] { side(there, back, false); });
  side(back, there, true);
  other.join();
  close(there);
  close(back);
}

void futex_ping_pong(void*) {
  std::atomic<std::uint32_t> words[2]{0, 0};
  const auto call = [](std::atomic<std::uint32_t>& word, int what, std::uint32_t value) {
    syscall(SYS_futex, &word, what, value, nullptr, nullptr, 0);
  };
  const auto side = [&](int me, bool first) {
    for (std::uint32_t i = 0; i < rounds; ++i) {
      const auto wake = [&] {
        words[1 - me].store(i + 1);
        call(words[1 - me], FUTEX_WAKE_PRIVATE, 1);
      };
      if (first) wake();
      while (words[me].load() == i)
        call(words[me], FUTEX_WAIT_PRIVATE, i);
      if (!first) wake();
    }
  };
  std::thread other([&] { side(1, false); });
  side(0, true);
  other.join();
}

struct Set {
  vdset_set* set = nullptr;
  vdset_device* device = nullptr;
  vdset_server* server = nullptr;
  vdset_server_device* server_device = nullptr;
  vdset_command command{};
  int client = -1, engine = -1;

  /// Without descriptors there is no bridge, which would wake with the sleepers.
  explicit Set(bool with_descriptors) {
    vdset_config wish{};
    wish.struct_bytes = sizeof wish;
    wish.device_count = 1;
    vdset_base_configuration base{};
    base.struct_bytes = sizeof base;
    base.features = VDSET_FEATURE_WRITE_MEDIA;
    base.block_bytes = block;
    base.max_transfer_bytes = 65536;
    must(vdset_set_create("bench", &wish, nullptr, &set), "create");
    must(vdset_server_open("bench", nullptr, &server), "open");
    must(vdset_server_begin_configuration(server, &base), "begin");
    must(vdset_server_request_buffers(server, block, 0, 1), "request");
    must(vdset_server_end_configuration(server), "end");
    must(vdset_server_open_device(server, "bench", &server_device), "name");
    must(vdset_set_get_configuration(set, VDSET_INFINITE, &wish), "configuration");
    must(vdset_set_open_device(set, "bench", &device), "device");
    command.struct_bytes = sizeof command;
    command.code = VDSET_COMMAND_WRITE;
    command.size = block;
    must(vdset_server_allocate_buffer(server, block, 0, &command.buffer), "allocate");
    if (!with_descriptors) return;
    must(vdset_device_get_descriptor(device, &client), "descriptor");
    must(vdset_server_get_descriptor(server, &engine), "descriptor");
  }
  ~Set() {
    vdset_server_close(server);
    vdset_set_close(set);
  }
};

void complete(Set& at, const vdset_command* command) {
  must(vdset_device_complete_command(at.device, command, VDSET_SUCCESS, block, 0), "complete");
}

void by_threads(void* context) {
  Set& at = *static_cast<Set*>(context);
  std::thread client([&] {
    for (int i = 0; i < rounds; ++i) {
      const vdset_command* command;
      must(vdset_device_get_command(at.device, VDSET_INFINITE, &command), "get");
      complete(at, command);
    }
  });
  for (int i = 0; i < rounds; ++i) {
    vdset_command* done;
    must(vdset_server_device_send_command(at.server_device, &at.command), "send");
    must(vdset_server_next_completion(at.server, VDSET_INFINITE, &done), "next");
  }
  client.join();
}

void by_loops(void* context) {
  Set& at = *static_cast<Set*>(context);
  std::thread client([&] {
    const Loop loop(at.client);
    for (int i = 0; i < rounds; ++i) {
      const vdset_command* command;
      while (vdset_device_get_command(at.device, 0, &command) == VDSET_E_TIMEOUT) {
        must(vdset_device_arm(at.device), "arm");
        loop.wait();
      }
      complete(at, command);
    }
  });
  const Loop loop(at.engine);
  for (int i = 0; i < rounds; ++i) {
    vdset_command* done;
    must(vdset_server_device_send_command(at.server_device, &at.command), "send");
    while (vdset_server_next_completion(at.server, 0, &done) == VDSET_E_TIMEOUT) {
      must(vdset_server_arm(at.server), "arm");
      loop.wait();
    }
  }
  client.join();
}

}  // namespace

int main() {
  char directory[] = "/tmp/vdset-bench-XXXXXX";
  if (mkdtemp(directory) == nullptr) return 1;
  setenv("VDSET_RUNTIME_DIR", directory, 1);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  if (sched_setaffinity(0, sizeof one, &one) != 0) return 1;
  std::vector<double> limit, futexes, threads, loops, ratios, to_futex;
  for (int i = 0; i < repetitions; ++i) {
    limit.push_back(microseconds_for(eventfd_ping_pong, nullptr));
    futexes.push_back(microseconds_for(futex_ping_pong, nullptr));
    {
      Set set(false);
      threads.push_back(microseconds_for(by_threads, &set));
    }
    Set set(true);
    loops.push_back(microseconds_for(by_loops, &set));
    ratios.push_back(loops.back() / threads.back());
    to_futex.push_back(loops.back() / futexes.back());
  }
  rmdir(directory);
  std::printf("eventfd ping-pong in epoll   %8.1f us a round trip\n", median(limit));
  std::printf("futex ping-pong              %8.1f us a round trip\n", median(futexes));
  std::printf("command, both in a call      %8.1f us, %.2f times\n", median(threads),
              median(threads) / median(limit));
  std::printf("command, both in epoll       %8.1f us, %.2f times\n", median(loops),
              median(loops) / median(limit));
  std::printf("in epoll against in a call   %8.2f times (required: at most 1.3)\n", median(ratios));
  std::printf("in epoll against bare futex  %8.2f times\n", median(to_futex));
  return 0;
}
