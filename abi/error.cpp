// abi/error.cpp: result names and the last error of a thread.
#include "abi/error.hpp"
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace vdset {
namespace {
constexpr unsigned last_error_bytes = 512;
thread_local char last_error[last_error_bytes];
}  // namespace

int32_t fail(int32_t code, const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(last_error, sizeof last_error, format, arguments);
  va_end(arguments);
  return code;
}

int32_t fail_system(int error, const char* what) {
  const bool memory = error == -ENOMEM || error == -ENOSPC || error == -EMFILE || error == -ENFILE;
  char words[128];
  const char* const text = strerror_r(-error, words, sizeof words);
  return fail(memory ? VDSET_E_MEMORY : VDSET_E_UNEXPECTED, "%s: %s", what, text);
}

int32_t fail_descriptors(const char* set) {
  return fail(VDSET_E_MEMORY, "set %s: %s", set, no_descriptor_free);
}

}  // namespace vdset

extern "C" {

uint32_t vdset_version(void) {
  return VDSET_VERSION_MAJOR << 16 | VDSET_VERSION_MINOR << 8 | VDSET_VERSION_PATCH;
}

const char* vdset_last_error(void) {
  return vdset::last_error;
}

const char* vdset_error_name(int32_t code) {
  switch (code) {
    case VDSET_OK: return "VDSET_OK";
    case VDSET_E_NOTOPEN: return "VDSET_E_NOTOPEN";
    case VDSET_E_TIMEOUT: return "VDSET_E_TIMEOUT";
    case VDSET_E_ABORT: return "VDSET_E_ABORT";
    case VDSET_E_SECURITY: return "VDSET_E_SECURITY";
    case VDSET_E_INVALID: return "VDSET_E_INVALID";
    case VDSET_E_INSTANCE_NAME: return "VDSET_E_INSTANCE_NAME";
    case VDSET_E_NOTSUPPORTED: return "VDSET_E_NOTSUPPORTED";
    case VDSET_E_MEMORY: return "VDSET_E_MEMORY";
    case VDSET_E_UNEXPECTED: return "VDSET_E_UNEXPECTED";
    case VDSET_E_PROTOCOL: return "VDSET_E_PROTOCOL";
    case VDSET_E_OPEN: return "VDSET_E_OPEN";
    case VDSET_E_CLOSE: return "VDSET_E_CLOSE";
    case VDSET_E_BUSY: return "VDSET_E_BUSY";
    case VDSET_E_QUEUE_FULL: return "VDSET_E_QUEUE_FULL";
    case VDSET_E_IO_ERROR: return "VDSET_E_IO_ERROR";
    case VDSET_E_INTERRUPTED: return "VDSET_E_INTERRUPTED";
    default: return "unknown";
  }
}

}  // extern "C"
