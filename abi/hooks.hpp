// abi/hooks.hpp: what a host program may give to the library: a place for its words, an allocator.
#pragma once
#include <cstdint>
#include "abi/include/vdset.h"

namespace vdset {

/// Says something to whoever set a log; never on the data path. Any lock may be held.
[[gnu::format(printf, 2, 3)]] void say(std::uint32_t level, const char* format, ...);

/// Around fork, so that a child does not find the log locked by a thread that it has not.
void lock_log();
void unlock_log();

}  // namespace vdset
