// abi/error.hpp: how a call fails: a VDI code, and words for people in the calling thread.
#pragma once
#include "abi/include/vdset.h"

namespace vdset {

/// Sets vdset_last_error and returns `code`. The words say what, where, and what to do.
[[gnu::format(printf, 2, 3)]] int32_t fail(int32_t code, const char* format, ...);

/// The code for a refusal of the system: out of memory, or unexpected. `error` is -errno.
int32_t fail_system(int error, const char* what);

/// MEMORY: descriptors that a peer passed did not fit into this process.
int32_t fail_descriptors(const char* set);
inline constexpr char no_descriptor_free[] =
    "no descriptor is free in this process for what its peer passes; close some, or raise the "
    "limit of open files (ulimit -n)";

}  // namespace vdset
