// fuzz/fuzz_canary.cpp: a bug planted behind the magic of a region. That `./dev fuzz canary` finds
// it shows that the others could find theirs; its corpus holds nothing that does.
#include "core/layout.hpp"
#include "core/region.hpp"
#include "fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vdset::fuzz::Input in(data, size);
  static std::uint32_t table[vdset::core::queue_depth_min] = {};
  if (in.word() != vdset::core::magic_0) return 0;
  const std::uint32_t index = in.word();
  // The check that is not there: index against the table's size, but for a bound that is far off.
  if (index > 4096) return 0;
  volatile std::uint32_t* const at = table;
  at[index] = 1;
  return 0;
}
