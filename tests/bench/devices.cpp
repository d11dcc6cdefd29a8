// tests/bench/devices.cpp: one set, 1 to 64 devices: what they pass together, and what they cost
// while nothing happens.
#include <sys/resource.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <thread>
#include "crowd.hpp"
#include "pair.hpp"
#include "rig.hpp"

namespace bench {

namespace {

constexpr int device_counts[] = {1, 2, 4, 8, 16, 32, 64};
constexpr int depth = 4;           // Commands under way on each device, VDI's own number.
constexpr int bulk_buffers = 256;  // In all, from four devices on.
constexpr std::uint32_t bulk_bytes = 65536;

Sample sample_of(const char* bench, const char* row, const char* unit, int devices) {
  Sample sample;
  sample.bench = bench;
  sample.row = row;
  sample.unit = unit;
  sample.x = devices;
  return sample;
}

double millions(double ns) {
  return 1e3 / ns;
}
double gibibytes(double ns) {
  return bulk_bytes / (1024.0 * 1024.0 * 1024.0) / ns * 1e9;
}

/// One sample with every buffer under way; value() of ns per command.
template <class Exchange, class Value>
void measure(Exchange& exchange, int buffers, Sample sample, double nanoseconds, Value value) {
  Job job;
  job.nanoseconds = nanoseconds;
  job.depth = buffers;
  const auto run = [&] {
    return run_job(
        job, [&] { exchange.send(); }, [&] { exchange.receive(); });
  };
  run();
  sample.value = value(run());
  emit(sample);
}

/// What is the same in all samples of one repetition with so many devices.
struct Turn {
  int devices;
  int repetition;
  double nanoseconds;
  Sample sample(const char* row, const char* unit) const {
    Sample sample = sample_of("devices", row, unit, devices);
    sample.repetition = repetition;
    sample.ping = ping_pong(apart());
    return sample;
  }
  /// The same buffers in all, spread over the devices.
  int bulk_each() const { return std::min(VDSET_QUEUE_DEPTH_MAX / 2, bulk_buffers / devices); }
};

/// Commands per second of all devices together.
void measure_commands(const Turn& turn, const char* row, RigPlan plan) {
  plan.devices = turn.devices;
  plan.buffers = plan.devices * depth;
  const Sample sample = turn.sample(row, "M commands/s");
  Rig rig(plan);
  measure(rig, plan.buffers, sample, turn.nanoseconds, millions);
}

/// Every byte read.
void measure_bytes(const Turn& turn) {
  RigPlan plan;
  plan.devices = turn.devices;
  plan.thread_each = true;
  plan.buffers = turn.bulk_each() * turn.devices;
  plan.queue_depth = queue_depth_for(turn.bulk_each());
  plan.buffer_bytes = bulk_bytes;
  plan.client_reads = true;
  const Sample sample = turn.sample("64 KiB read, a thread each", "GiB/s");
  Rig rig(plan);
  measure(rig, plan.buffers, sample, turn.nanoseconds, gibibytes);
}

/// The same without vdset.
void measure_crowd(const Turn& turn) {
  const int commands = turn.devices * depth;
  const Sample small = turn.sample("bare rings and futexes, a thread each", "M commands/s");
  {
    Crowd crowd(turn.devices, commands, 0);
    measure(crowd, commands, small, turn.nanoseconds, millions);
  }
  const int buffers = turn.bulk_each() * turn.devices;
  const Sample large = turn.sample("64 KiB read, bare rings and futexes", "GiB/s");
  Crowd crowd(turn.devices, buffers, bulk_bytes);
  measure(crowd, buffers, large, turn.nanoseconds, gibibytes);
}

}  // namespace

void bench_devices(Size size) {
  const double nanoseconds = scaled(size, 60, 1) * 1e6;
  for (int repetition = 0; repetition < repetitions(size, 5); ++repetition)
    for (const int devices : device_counts) {
      if (size == Size::tiny && devices != 4 && devices != 64) continue;
      const Turn turn{devices, repetition, nanoseconds};
      RigPlan plan;
      plan.thread_each = true;
      measure_commands(turn, "commands, a thread each", plan);
      measure_bytes(turn);
      measure_crowd(turn);
      if (!processors().two()) continue;
      plan.thread_each = false;
      plan.client_polls = true;
      plan.placement = apart();
      measure_commands(turn, "commands, one polling thread", plan);
    }
  if (!processors().two())
    emit_absent("devices", "commands, one polling thread", "needs two processors");
}

// ---- Idle. ----

namespace {

struct Use {
  double cpu_ns = 0;
  double switches = 0;
};

Use use_of(int who) {
  rusage used{};
  must_call(getrusage(who, &used), "getrusage");
  const auto ns = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_usec) * 1e3;
  };
  return {ns(used.ru_utime) + ns(used.ru_stime), static_cast<double>(used.ru_nvcsw)};
}

}  // namespace

/// A client whose threads all wait for commands; says what it used, each time it is asked.
int waiters(const std::vector<std::string>& words) {
  const std::string& name = words.at(1);
  const int count = std::stoi(words.at(2));
  vdset_config wish = wish_for(count);
  vdset_set* set = nullptr;
  must(vdset_set_create(name.c_str(), &wish, nullptr, &set), "set_create");
  say("ready");
  must(vdset_set_get_configuration(set, VDSET_INFINITE, &wish), "get_configuration");
  std::vector<double> woken(static_cast<std::size_t>(count));
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < count; ++i) {
      vdset_device* device = nullptr;
      must(vdset_set_open_device(set, device_name(name, i).c_str(), &device), "open_device");
      threads.emplace_back([device, &at = woken[static_cast<std::size_t>(i)]] {
        const vdset_command* command = nullptr;
        if (vdset_device_get_command(device, VDSET_INFINITE, &command) == VDSET_OK)
          die("a command where none was sent");
        at = now_ns();
      });
    }
    say("ready");
    while (heard() == "use") {
      const Use used = use_of(RUSAGE_SELF);
      say(std::to_string(used.cpu_ns) + " " + std::to_string(used.switches));
    }
  }
  say(std::to_string(quantile(woken, 0)) + " " + std::to_string(quantile(woken, 1)));
  vdset_set_close(set);
  return 0;
}

WaitingSet::WaitingSet(int devices)
    : name_(fresh_name()), child_({"waiters", name_, std::to_string(devices)}) {
  child_.line();
  server_ = open_server(name_, 512, 1);
  for (int i = 0; i < devices; ++i) {
    vdset_server_device* device = nullptr;
    must(vdset_server_open_device(server_, device_name(name_, i).c_str(), &device),
         "server_open_device");
  }
  agent_ = std::thread([this] {
    vdset_command* done = nullptr;
    vdset_server_next_completion(server_, VDSET_INFINITE, &done);
  });
  child_.line();
}

std::pair<double, double> WaitingSet::end() {
  must(vdset_server_signal_abort(server_, 0, "measured"), "signal_abort");
  agent_.join();
  child_.tell("end");
  double first = 0, last = 0;
  if (std::sscanf(child_.line().c_str(), "%lf %lf", &first, &last) != 2) die("no times");
  child_.finish();
  vdset_server_close(server_);
  return {first, last};
}

void bench_idle(Size size) {
  constexpr int devices = 64;
  const double seconds = size == Size::full ? 10 : size == Size::quick ? 3 : 0.2;
  WaitingSet set(devices);
  const auto wait = [](double time) {
    std::this_thread::sleep_for(std::chrono::duration<double>(time));
  };
  const auto client_use = [&] {
    Use used;
    set.client().tell("use");
    if (std::sscanf(set.client().line().c_str(), "%lf %lf", &used.cpu_ns, &used.switches) != 2)
      die("no use");
    return used;
  };
  wait(std::min(seconds, 1.0));  // Until all sleep.
  const Use client_before = client_use();
  const Use server_before = use_of(RUSAGE_SELF);
  const double start = now_ns();
  wait(seconds);
  const double elapsed = now_ns() - start;
  const Use server_after = use_of(RUSAGE_SELF);
  const Use client_after = client_use();
  set.end();
  const auto report = [&](const char* row, const char* unit, double value) {
    Sample sample = sample_of("idle", row, unit, devices);
    sample.value = value;
    emit(sample);
  };
  report("client, processor time", "% of a core",
         100 * (client_after.cpu_ns - client_before.cpu_ns) / elapsed);
  report("server, processor time", "% of a core",
         100 * (server_after.cpu_ns - server_before.cpu_ns) / elapsed);
  report("client, wake-ups", "per second",
         (client_after.switches - client_before.switches) / elapsed * 1e9);
  report("server, wake-ups", "per second",
         (server_after.switches - server_before.switches) / elapsed * 1e9);
}

}  // namespace bench
