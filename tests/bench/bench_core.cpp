// tests/bench/bench_core.cpp: command round trips between two processes and handle translation,
// each beside the machine's own limit measured in the same second: a two-process, two-line
// ping-pong. Medians of paired repetitions; ratios are what counts (docs/testing.md).
#include "vdset.h"
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr int repetitions = 9;
constexpr int rounds = 50000;
constexpr std::uint32_t buffer_bytes = 65536;

double now_ns() {
  const auto t = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(t).count());
}

double median(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  return samples[samples.size() / 2];
}

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "bench_core: %s: %s\n", what, vdset_last_error());
  std::exit(1);
}
void must(std::int32_t result, const char* what) {
  if (result != VDSET_OK) die(what);
}

struct alignas(64) Line {
  std::atomic<std::uint32_t> value{0};
  char pad[60];
};

/// The limit: one line there, one line back, between two processes.
double ping_pong_ns() {
  void* const area =
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) die("mmap");
  auto* const lines = static_cast<Line*>(area);
  const pid_t peer = fork();
  if (peer == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (std::uint32_t i = 1; i <= rounds; ++i) {
      while (lines[0].value.load(std::memory_order_acquire) != i) {}
      lines[1].value.store(i, std::memory_order_release);
    }
    _exit(0);
  }
  const double start = now_ns();
  for (std::uint32_t i = 1; i <= rounds; ++i) {
    lines[0].value.store(i, std::memory_order_release);
    while (lines[1].value.load(std::memory_order_acquire) != i) {}
  }
  const double each = (now_ns() - start) / rounds;
  waitpid(peer, nullptr, 0);
  munmap(area, 4096);
  return each;
}

/// The client process: completes whatever comes, until CLOSE.
int run_client(const char* name) {
  vdset_config wish{};
  wish.struct_bytes = sizeof wish;
  wish.device_count = 1;
  vdset_config agreed = wish;
  vdset_set* set = nullptr;
  vdset_device* device = nullptr;
  must(vdset_set_create(name, &wish, nullptr, &set), "create");
  std::printf("ready\n");
  std::fflush(stdout);
  must(vdset_set_get_configuration(set, VDSET_INFINITE, &agreed), "configuration");
  must(vdset_set_open_device(set, name, &device), "open device");
  const vdset_command* command = nullptr;
  while (vdset_device_get_command(device, VDSET_INFINITE, &command) == VDSET_OK)
    must(vdset_device_complete_command(device, command, 0,
                                       static_cast<std::uint32_t>(command->size), 0),
         "complete");
  return vdset_set_close(set) == VDSET_OK ? 0 : 1;
}

struct Server {
  vdset_server* server = nullptr;
  vdset_server_device* device = nullptr;
  vdset_command write{};
};

Server open_server(const char* name, std::uint32_t buffers) {
  Server s;
  vdset_base_configuration base{};
  base.struct_bytes = sizeof base;
  base.features = VDSET_FEATURE_WRITE_MEDIA;
  base.block_bytes = 512;
  base.max_transfer_bytes = buffer_bytes;
  must(vdset_server_open(name, nullptr, &s.server), "server open");
  must(vdset_server_begin_configuration(s.server, &base), "begin");
  must(vdset_server_request_buffers(s.server, 512, 0, buffers), "request");
  must(vdset_server_end_configuration(s.server), "end");
  must(vdset_server_open_device(s.server, name, &s.device), "server open device");
  s.write.struct_bytes = sizeof s.write;
  s.write.code = VDSET_COMMAND_WRITE;
  s.write.size = 512;
  must(vdset_server_allocate_buffer(s.server, 512, 0, &s.write.buffer), "allocate");
  return s;
}

double round_trip_ns(Server& s) {
  vdset_command* done = nullptr;
  const double start = now_ns();
  for (int i = 0; i < rounds; ++i) {
    must(vdset_server_device_send_command(s.device, &s.write), "send");
    must(vdset_server_next_completion(s.server, VDSET_INFINITE, &done), "completion");
  }
  return (now_ns() - start) / rounds;
}

struct HandleTimes {
  double get_ns, map_ns, refuse_ns;
};

HandleTimes handle_times(Server& s, const std::vector<void*>& buffers) {
  std::vector<std::uint32_t> handles(buffers.size());
  const int passes = static_cast<int>(4'000'000 / buffers.size());
  void* address = nullptr;
  double start = now_ns();
  for (int pass = 0; pass < passes; ++pass)
    for (std::size_t i = 0; i < buffers.size(); ++i)
      must(vdset_server_get_buffer_handle(s.server, buffers[i], &handles[i]), "get handle");
  const double calls = static_cast<double>(passes) * static_cast<double>(buffers.size());
  const double get = (now_ns() - start) / calls;
  start = now_ns();
  for (int pass = 0; pass < passes; ++pass)
    for (const std::uint32_t handle : handles)
      must(vdset_server_map_buffer_handle(s.server, handle, &address), "map handle");
  const double map = (now_ns() - start) / calls;
  start = now_ns();
  for (int pass = 0; pass < passes; ++pass)
    for (const std::uint32_t handle : handles)
      if (vdset_server_map_buffer_handle(s.server, handle ^ 0x80000000u, &address) == VDSET_OK)
        die("a foreign handle was accepted");
  return {get, map, (now_ns() - start) / calls};
}

/// Buffer-lifetime set of `count` buffers in this process alone: handles of allocated buffers.
void bench_handles(std::uint32_t count) {
  vdset_config wish{};
  wish.struct_bytes = sizeof wish;
  wish.device_count = 1;
  vdset_set_options options{};
  options.struct_bytes = sizeof options;
  options.handle_lifetime = VDSET_HANDLES_BUFFER;
  const std::string name = "bench-handles-" + std::to_string(getpid());
  vdset_set* set = nullptr;
  must(vdset_set_create(name.c_str(), &wish, &options, &set), "create");
  Server s = open_server(name.c_str(), count);
  std::vector<void*> buffers{s.write.buffer};
  while (buffers.size() < count) {
    buffers.push_back(nullptr);
    must(vdset_server_allocate_buffer(s.server, 512, 0, &buffers.back()), "allocate");
  }
  std::vector<double> get, map, refuse;
  for (int i = 0; i < repetitions; ++i) {
    const HandleTimes t = handle_times(s, buffers);
    get.push_back(t.get_ns);
    map.push_back(t.map_ns);
    refuse.push_back(t.refuse_ns);
  }
  std::printf("handles, %4u buffers live: get %.1f ns, map %.1f ns, refusal %.1f ns\n", count,
              median(get), median(map), median(refuse));
  vdset_server_close(s.server);
  vdset_set_close(set);
}

pid_t start_client(const std::string& name) {
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) die("pipe");
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(pipe_ends[1], 1);
    execl("/proc/self/exe", "bench_core", "--client", name.c_str(), nullptr);
    _exit(127);
  }
  close(pipe_ends[1]);
  char text[8];
  if (read(pipe_ends[0], text, sizeof text) <= 0) die("the client process did not start");
  close(pipe_ends[0]);
  return child;
}

void bench_round_trip() {
  const std::string name = "bench-" + std::to_string(getpid());
  const pid_t client = start_client(name);
  Server s = open_server(name.c_str(), 1);
  round_trip_ns(s);
  std::vector<double> ratios, trips, pings;
  for (int i = 0; i < repetitions; ++i) {
    const double ping = ping_pong_ns();
    const double trip = round_trip_ns(s);
    pings.push_back(ping);
    trips.push_back(trip);
    ratios.push_back(trip / ping);
  }
  std::printf("ping-pong, two lines:        %8.0f ns per round trip\n", median(pings));
  std::printf("command round trip:          %8.0f ns, %.2f x the ping-pong of the same second\n",
              median(trips), median(ratios));
  must(vdset_server_device_close(s.device), "device close");
  must(vdset_server_close(s.server), "server close");
  waitpid(client, nullptr, 0);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--client") == 0) return run_client(argv[2]);
  bench_round_trip();
  for (const std::uint32_t count : {1u, 64u, 4096u}) bench_handles(count);
}
