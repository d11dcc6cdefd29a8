// tests/bench/times.cpp: what is done once per set: create, configure, attach; and how long after
// an abort the last waiter knows.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <thread>
#include "pair.hpp"
#include "rig.hpp"

namespace bench {

namespace {

void report(const char* row, int x, double value_ns, int repetition) {
  Sample sample;
  sample.bench = "times";
  sample.row = row;
  sample.x = x;
  sample.unit = "us";
  sample.value = value_ns / 1e3;
  sample.repetition = repetition;
  emit(sample);
}

/// The life of a set of one device and 16 buffers of 64 KiB, in order, and a helper that joins.
void measure_life(int repetition) {
  const std::string name = fresh_name();
  constexpr int buffers = 16;
  double before = now_ns();
  const auto step = [&](const char* row) {
    const double after = now_ns();
    report(row, 1, after - before, repetition);
    before = now_ns();
  };
  vdset_config wish = wish_for(1);
  vdset_set* set = nullptr;
  must(vdset_set_create(name.c_str(), &wish, nullptr, &set), "set_create");
  step("Create");
  vdset_server* const server = open_server(name, 65536, buffers);
  step("server: Open to EndConfiguration, 1 MiB");
  must(vdset_set_get_configuration(set, VDSET_INFINITE, &wish), "get_configuration");
  step("GetConfiguration");
  vdset_server_device* served = nullptr;
  vdset_device* device = nullptr;
  must(vdset_server_open_device(server, name.c_str(), &served), "server_open_device");
  must(vdset_set_open_device(set, name.c_str(), &device), "open_device");
  step("OpenDevice, both sides");
  Child helper({"joiner", name});
  report("OpenInSecondary, another process", 1, std::stod(helper.line()), repetition);
  helper.finish();
  before = now_ns();
  must(vdset_server_device_close(served), "server_device_close");
  const vdset_command* command = nullptr;
  if (vdset_device_get_command(device, VDSET_INFINITE, &command) != VDSET_E_CLOSE)
    die("no end of the device");
  must(vdset_set_close(set), "set_close");
  must(vdset_server_close(server), "server_close");
  step("the normal end, both sides");
}

void measure_segment(int repetition) {
  double create = 0, open = 0;
  const std::string absent = boost_segment_times(1 << 20, create, open);
  constexpr const char* created = "Boost.Interprocess: create a segment, 1 MiB";
  if (!absent.empty()) {
    if (repetition == 0) emit_absent("times", created, absent);
    return;
  }
  report(created, 1, create, repetition);
  report("Boost.Interprocess: open a segment", 1, open, repetition);
}

void measure_abort(int devices, int repetition) {
  WaitingSet set(devices);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // Until all sleep.
  const double start = now_ns();
  const auto [first, last] = set.end();
  report("abort to the first wake", devices, first - start, repetition);
  report("abort to the last wake", devices, last - start, repetition);
}

/// The limit of it: so many threads on one futex, woken by one call.
void measure_bare_wake(int threads, int repetition) {
  std::atomic<std::uint32_t> word{0};
  std::vector<double> woken(static_cast<std::size_t>(threads));
  double start;
  {
    std::vector<std::jthread> waiting;
    for (double& at : woken)
      waiting.emplace_back([&word, &at] {
        while (word.load() == 0)
          syscall(SYS_futex, &word, FUTEX_WAIT, 0, nullptr, nullptr, 0);
        at = now_ns();
      });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    start = now_ns();
    word.store(1);
    syscall(SYS_futex, &word, FUTEX_WAKE, threads, nullptr, nullptr, 0);
  }
  report("bare futex: one call to the last wake", threads, quantile(woken, 1) - start, repetition);
}

}  // namespace

int joiner(const std::vector<std::string>& words) {
  vdset_set* set = nullptr;
  const double start = now_ns();
  must(vdset_set_open_in_secondary(words.at(1).c_str(), nullptr, &set), "open_in_secondary");
  say(std::to_string(now_ns() - start));
  must(vdset_set_close(set), "set_close");
  return 0;
}

void bench_times(Size size) {
  for (int repetition = 0; repetition < scaled(size, 30, 2); ++repetition) {
    measure_life(repetition);
    measure_segment(repetition);
  }
  for (int repetition = 0; repetition < scaled(size, 20, 1); ++repetition)
    for (const int devices : {1, 64}) {
      measure_abort(devices, repetition);
      measure_bare_wake(devices, repetition);
    }
}

}  // namespace bench
