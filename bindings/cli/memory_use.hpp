// memory_use.hpp: how much memory this process has used at its peak, split the way the promise is
// made: shared buffers apart, program and library files apart, the rest is ours.
#pragma once
#include <cstdint>

namespace cli {

struct MemoryUse {
  std::uint64_t peak_bytes = 0;          // VmHWM: everything resident at the highest point.
  std::uint64_t shared_bytes = 0;        // The set's memory (RssShmem).
  std::uint64_t library_bytes = 0;       // File pages of the program and its shared libraries.
  std::uint64_t private_peak_bytes = 0;  // The first less the other two.
};

/// Call while the set is still open: afterwards its pages are no longer counted as shared.
MemoryUse measure_memory();

}  // namespace cli
