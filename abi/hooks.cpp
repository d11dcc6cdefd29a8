// abi/hooks.cpp: the log, and what is supported at run time. The allocator's hook is in memory.cpp.
#include "abi/hooks.hpp"
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include "abi/error.hpp"
#include "abi/port/port.hpp"

namespace vdset {
namespace {

struct Log {
  port::Mutex lock;
  vdset_log call = nullptr;  // With the context, under the lock.
  void* context = nullptr;
  std::atomic<std::uint32_t> level{VDSET_LOG_OFF};
};
Log log;

constexpr unsigned line_bytes = 512;

}  // namespace

void say(std::uint32_t level, const char* format, ...) {
  if (level > log.level.load(std::memory_order_relaxed)) return;
  char line[line_bytes];
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  const port::Locked guard(log.lock);
  if (log.call != nullptr) log.call(level, line, log.context);
}

void lock_log() {
  port::mutex_lock(log.lock);
}

void unlock_log() {
  port::mutex_unlock(log.lock);
}

}  // namespace vdset

using namespace vdset;

extern "C" {

int32_t vdset_library_set_log(uint32_t level, vdset_log call, void* context) {
  if (level > VDSET_LOG_DEBUG)
    return fail(VDSET_E_INVALID, "level %u: VDSET_LOG_OFF to VDSET_LOG_DEBUG", level);
  if (level != VDSET_LOG_OFF && call == nullptr) return fail(VDSET_E_INVALID, "call: NULL");
  const port::Locked guard(log.lock);
  log.level.store(level, std::memory_order_relaxed);
  log.call = level == VDSET_LOG_OFF ? nullptr : call;
  log.context = context;
  return VDSET_OK;
}

int32_t vdset_supports(uint32_t what) {
  switch (what) {
    case VDSET_SUPPORT_DESCRIPTORS:
    case VDSET_SUPPORT_ALLOCATOR:
    case VDSET_SUPPORT_LOG: return 1;
    case VDSET_SUPPORT_WAIT_MANY: return port::has_wait_many() ? 1 : 0;
    case VDSET_SUPPORT_PEER_PIDFD: return port::has_peer_pidfd() ? 1 : 0;
    case VDSET_SUPPORT_SEAL_WRITERS: return port::has_seal_writers() ? 1 : 0;
    default: return 0;
  }
}

}  // extern "C"
