// tests/crash/soak.hpp: what the soak's driver and its roles share: the books of a set's life.
#pragma once
#include <atomic>
#include <cstdint>
#include <ctime>

namespace vdset::soak {

inline constexpr std::uint32_t lanes = 3;  // Device 0 is the primary's, the others secondaries'.
inline constexpr std::uint32_t window = 8;
inline constexpr std::uint32_t command_bytes = 4096;
inline constexpr std::uint32_t ids_max = 1u << 24;
/// From here on the server takes its time: a driver that waits hears its watchdog, and the book is
/// not full before that.
inline constexpr std::uint32_t ids_at_ease = ids_max / 4;
inline constexpr char set_name[] = "soak";
inline constexpr const char* device_names[lanes] = {"soak", "soak.1", "soak.2"};

enum class Kind : std::uint32_t { server, primary, secondary, worker, idle };

/// One command; its id is its position.
struct Entry {
  std::atomic<std::uint8_t> sent, callbacks, fetched, redelivered, completing, completed;
  std::atomic<std::uint16_t> code;
};

struct LaneBook {
  std::atomic<std::uint32_t> served;        // Commands completed by the present consumer.
  std::atomic<std::uint32_t> held;          // Fetched by it and not yet completed.
  std::atomic<std::uint32_t> linger_us;     // It keeps what it holds that long.
  std::atomic<std::uint32_t> under_way;     // Commands sent and not called back: the server's word.
  std::atomic<std::uint32_t> in_error;      // Likewise: 1 waits for ClearError, 2 has sent it.
  std::atomic<std::uint64_t> failed_at_ns;  // When a command of a dead one was called back; 0 not.
};

struct Book {
  std::uint32_t hand_over;
  std::atomic<std::uint32_t> stop;    // The server finishes what is under way.
  std::atomic<std::uint32_t> hold;    // Secondaries keep what they fetch.
  std::atomic<std::uint32_t> ending;  // The primary or the server is being killed.
  std::atomic<std::uint32_t> created, configured, is_idle;
  std::atomic<std::uint32_t> heard_close, heard_abort;  // Clients that came to this end.
  std::atomic<std::uint32_t> next_id, ended;
  std::atomic<std::uint32_t> server_result, buffers_left;
  std::atomic<std::uint32_t> looked_for_leaks;  // Processes that did at their end, and said so.
  std::atomic<std::uint64_t> abort_seen_ns;     // By the first that sees it.
  std::atomic<std::uint32_t> complaints;
  char complaint[400];
  LaneBook lane[lanes];
  Entry entries[ids_max];
};

inline constexpr std::uint32_t server_closed = 1, server_aborted = 2;

inline std::uint64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(t.tv_nsec);
}

}  // namespace vdset::soak
