// abi/error.hpp: how a call fails: a VDI code, and words for people in the calling thread.
#pragma once
#include "abi/include/vdset.h"

namespace vdset {

/// Sets vdset_last_error and returns `code`. The words say what, where, and what to do.
[[gnu::format(printf, 2, 3)]] int32_t fail(int32_t code, const char* format, ...);

/// The code for a refusal of the system: out of memory, or unexpected. `error` is -errno.
int32_t fail_system(int error, const char* what);

}  // namespace vdset
