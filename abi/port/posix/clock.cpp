// abi/port/posix/clock.cpp: time, processors, randomness, environment.
#include <sched.h>
#include <sys/random.h>
#include <unistd.h>
#include <cstdlib>
#include <ctime>
#include "abi/port/port.hpp"
#include "abi/port/posix/sys.hpp"

namespace vdset::port {

std::int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

std::int64_t deadline_after(std::int64_t timeout_ns) {
  if (timeout_ns < 0) return never;
  const std::int64_t now = now_ns();
  return timeout_ns >= never - now ? never : now + timeout_ns;
}

unsigned processor_count() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<unsigned>(CPU_COUNT(&set));
}

int random_bytes(gsl::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const auto got =
        sys(Call::getrandom, [&] { return getrandom(out.data() + done, out.size() - done, 0); });
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -errno;
    done += static_cast<std::size_t>(got);
  }
  return 0;
}

const char* environment(const char* name) {
  return secure_getenv(name);
}

}  // namespace vdset::port
