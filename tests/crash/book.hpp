// tests/crash/book.hpp: what the driver and the roles of one run share, outside the library: who
// is to die where, how far each came, and the books of every command.
#pragma once
#include <atomic>
#include <cstdint>

namespace vdset::crash {

using Cell = std::atomic<std::uint32_t>;

inline constexpr std::uint32_t device_count = 2;  // 0 is the primary's, 1 the secondaries'.
inline constexpr std::uint32_t commands_max = 6;
inline constexpr std::uint32_t held_max = 2;  // By one client at once.
inline constexpr std::uint32_t window = 4;    // Commands under way on a device.
inline constexpr std::uint32_t small_bytes = 4096;
inline constexpr std::uint32_t large_bytes = 8192;  // The class added in the middle.
inline constexpr std::uint32_t small_buffers = device_count * window;
inline constexpr std::uint32_t large_buffers = 2;
/// What the server fills every buffer with once all commands are final: who sees it in a page that
/// a dead process had pinned shares that page with the set.
inline constexpr unsigned char last_byte = 0xEE;
inline constexpr char set_name[] = "crash";
inline constexpr char second_name[] = "crash.1";

/// Successor and heir are secondaries for one that was killed, the rescuer is a second server.
enum class Who : std::uint32_t { server, primary, secondary, successor, heir, rescuer, count };
inline constexpr std::uint32_t who_count = static_cast<std::uint32_t>(Who::count);
inline constexpr const char* who_names[] = {"server",    "primary", "secondary",
                                            "successor", "heir",    "rescuer"};

/// Where a role is; what is killed is counted under it.
enum class Phase : std::uint32_t {
  start,
  create,
  open,  // The server's Open, the secondary's OpenInSecondary.
  configure,
  open_device,
  allocate,
  send,
  reap,  // The agent's wait and look.
  get,
  map,
  complete,
  free,
  extend,
  close_device,
  abort,
  close,
  watch,     // The library thread: hellos, grants, pools.
  recovery,  // The library thread, once a participant is dying.
  count
};
inline constexpr std::uint32_t phase_count = static_cast<std::uint32_t>(Phase::count);
inline constexpr const char* phase_names[] = {
    "start",  "create",       "open",  "configure", "open device", "allocate",
    "send",   "reap",         "get",   "map",       "complete",    "free",
    "extend", "close device", "abort", "close",     "watch",       "recovery"};
static_assert(sizeof phase_names / sizeof *phase_names == phase_count);

/// How a role's part ended.
enum class End : std::uint32_t {
  none,
  closed,
  aborted,
  refused,
  left  // It closed the set in the middle, as its play says.
};

/// What is told to every role.
struct Plan {
  bool hand_over = false;
  Who aborter = Who::count;     // Count: nobody aborts.
  bool secondary_dies = false;  // At a fixed point: one command taken, one half completed.
  bool polling = false;         // Clients look again and again instead of sleeping.
  bool closes = false;          // The aborter does not abort: it closes with commands under way.
  bool hangs_up = false;        // Or closes its sockets under the library, and goes on looking.
  bool late_successor = false;  // It comes when the server has seen the dead one's row free again.
  bool pulled = false;          // The server asks for completions instead of being called.
  bool descriptors = false;     // All wait in poll(), on pollable descriptors; pulled, too.
  bool fallbacks = false;       // As on a kernel without any of the newer calls.
  bool read_only = false;       // Clients map the buffers read-only; every command is a Write.
};

struct CommandBook {
  Cell sent, callbacks, code, bytes;                 // The server's.
  Cell fetched, redelivered, completing, completed;  // The clients'.
};

struct RoleBook {
  Cell pid, phase, end, code;
  Cell killed_site, killed_phase;  // Written just before an access is not made.
  // At the end of a life, and when the first command was sent or waited for.
  std::atomic<std::uint64_t> accesses, at_work;
  Cell reason_role, reason_pid, reason_call;
  Cell fault_came;
  Cell complained;
  char complaint[400];
};

struct Book {
  Plan plan;
  int pin_fd;  // A pipe into which a dying secondary pins the pages of what it holds.
  Cell created, configured, left, rows_checked;
  Cell dying;      // Participants that are being killed.
  Cell available;  // Buffers that could be allocated when every command was final, plus one.
  CommandBook commands[device_count][commands_max];
  RoleBook roles[who_count];

  RoleBook& of(Who who) { return roles[static_cast<std::uint32_t>(who)]; }
};

/// What a role program is told on its command line: BOOK PROGRESS WHO HOW K DIRECTORY [FAULT].
enum class How : std::uint32_t {
  live,
  access,  // Killed at the K-th access of shared memory.
  stop,    // Stopped there by SIGSTOP, and goes on when the others can do no more.
  call,    // Killed at the entry of the K-th system call, by its tracer.
  hold,    // Held there by its tracer until the server (of a server: the primary) is killed.
  fault    // FAULT fails at its K-th use.
};
inline constexpr const char* how_names[] = {"live", "access", "stop", "call", "hold", "fault"};

}  // namespace vdset::crash
