// tests/crash/parked.hpp: what test_parked and its roles share: 64 waiters of five kinds in eight
// processes.
#pragma once
#include <atomic>
#include <cstdint>
#include <ctime>

namespace vdset::parked {

inline constexpr std::uint32_t clients = 7;  // The primary and six secondaries.
inline constexpr std::uint32_t processes = clients + 1;
inline constexpr std::uint32_t server = 0, primary = 1;
inline constexpr std::uint32_t getters = 4, pollers = 3;  // Of one client, each on its own device.
inline constexpr std::uint32_t devices_each = getters + pollers;
inline constexpr std::uint32_t named = clients * devices_each;
inline constexpr std::uint32_t waiters_each = devices_each + 2;  // The set's two.
inline constexpr std::uint32_t waiters = clients * waiters_each + 1;
static_assert(waiters == 64);
inline constexpr char set_name[] = "parked";
inline constexpr char unnamed[] = "late";  // A device that the server never names.

enum class Kind : std::uint32_t { get_command, device_poll, set_poll, open_device, agent, count };
inline constexpr const char* kind_names[] = {"GetCommand", "device descriptor", "set descriptor",
                                             "OpenDevice", "agent"};

struct Waiter {
  std::atomic<std::uint32_t> kind;
  std::atomic<std::int32_t> thread, code;  // The thread is told just before its call.
  std::atomic<std::uint64_t> returned_ns;
};

struct Book {
  std::atomic<std::uint32_t> created, configured, joined;
  std::uint32_t aborter;  // processes: nobody.
  bool dies;              // Right after it has stored the word, before it wakes anybody.
  std::atomic<std::uint32_t> go, complaints;
  std::atomic<std::uint64_t> began_ns;
  char complaint[300];
  Waiter waiter[waiters];  // Of process 0 the last, of client c from (c - 1) * waiters_each.
};

inline std::uint64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(t.tv_nsec);
}

}  // namespace vdset::parked
