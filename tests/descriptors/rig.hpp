// tests/descriptors/rig.hpp: sets whose sides wait by descriptor: both roles in this process, or
// one of them in a child that is exec'ed from this very program.
#pragma once
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <cstdint>
#include <string>
#include <vector>
#include "abi/include/vdset.h"
#include "tests/unit/system.hpp"

namespace descriptors {

inline constexpr std::int64_t brief_ns = 10'000'000'000;

struct Shape {
  unsigned devices = 1;
  std::uint32_t server_timeout_ms = 0;
};

/// A fresh directory to meet in, for this process and its children.
class Meeting {
 public:
  Meeting() { setenv("VDSET_RUNTIME_DIR", scratch_.path(), 1); }

 private:
  vdset::unit::Scratch scratch_;
};

std::string device_name(unsigned i);

/// The server's side, and what it has sent.
class Engine {
 public:
  ~Engine() { close(); }
  void open(const Shape& shape);
  void name_devices(const Shape& shape);
  /// Sends a Write of its own buffer to device i, its number at the start; waits for nothing.
  std::int32_t send(unsigned i);
  void close();
  int descriptor();

  vdset_server* server = nullptr;
  std::vector<vdset_server_device*> devices;
  std::vector<vdset_command> commands;  // One for each device.
  std::uint64_t sent = 0;
};

/// The primary's or a secondary's side.
class Agent {
 public:
  ~Agent() { close(); }
  void create(const Shape& shape);
  void join();
  void open_devices(unsigned first, unsigned end);
  void open_devices_until(unsigned first, unsigned end);  // As soon as they can be had.
  std::int32_t close();
  int descriptor(unsigned i);
  int set_descriptor();

  vdset_set* set = nullptr;
  std::vector<vdset_device*> devices;
};

/// Both in this process, ready for commands.
struct Pair {
  explicit Pair(const Shape& shape = {});
  Meeting meeting;
  Agent agent;
  Engine engine;
};

bool is_readable(int descriptor);
/// Waits until it is, under the watchdog.
void await_readable(int descriptor);

/// This program again, in another role: `server`, `primary` or `secondary`, whose devices are named
/// by the shape. A word from it tells that it is ready; it then waits to be killed.
class Process {
 public:
  Process(const char* role, const Shape& shape);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  void await_word() const;
  void say() const;  // Lets it go on.
  void signal(int number) const;
  void kill();

 private:
  pid_t pid_ = -1;
  int from_ = -1;
  int to_ = -1;
};
/// main of such a process.
int play_role(int count, char** arguments);

/// Rounds of the random tests; under VDSET_TEST_DEEP=N 50 N times as many: 20,000 become a million.
unsigned rounds(unsigned normal);

}  // namespace descriptors
