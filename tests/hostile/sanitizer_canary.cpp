// tests/hostile/sanitizer_canary.cpp
// Goal: a build under sanitizers, or a run under valgrind, that would see nothing is found out.
// Method: does one wrong thing on purpose; test_sanitized.py expects each to be told.
// usage: sanitizer_canary KIND. Exit code 0: nothing noticed.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include "abi/include/vdset.h"

namespace {

volatile std::uint32_t four = 4;
std::uint32_t* volatile kept = nullptr;

std::uint32_t* block() {
  auto* const words = static_cast<std::uint32_t*>(std::calloc(four, sizeof(std::uint32_t)));
  if (words == nullptr) std::exit(2);
  return words;
}

std::uint32_t read_behind() {
  kept = block();
  return kept[four];
}

std::uint32_t read_freed() {
  kept = block();
  std::free(kept);
  return kept[0];
}

/// The library believes the size that a caller says, and reads that much.
std::uint32_t library_reads_behind() {
  kept = block();
  *kept = sizeof(vdset_config);
  vdset_set_options options{};
  options.struct_bytes = sizeof options;
  vdset_set* set = nullptr;
  const void* const config = kept;
  vdset_set_create("canary", static_cast<const vdset_config*>(config), &options, &set);
  return 0;
}

std::uint32_t shift_too_far() {
  return 1u << (four * 8);
}

std::uint32_t lose_a_block() {
  kept = block();
  kept = nullptr;
  return 0;
}

std::uint32_t branch_on_nothing() {
  auto* const words = static_cast<std::uint32_t*>(std::malloc(four * sizeof(std::uint32_t)));
  if (words == nullptr) return 2;
  kept = words;
  const std::uint32_t said = kept[1] == 20051 ? 1 : 0;
  std::free(words);
  return said;
}

struct Kind {
  const char* name;
  std::uint32_t (*run)();
};
const Kind kinds[] = {{"behind", read_behind},
                      {"freed", read_freed},
                      {"library", library_reads_behind},
                      {"shift", shift_too_far},
                      {"leak", lose_a_block},
                      {"unset", branch_on_nothing},
                      {"nothing", [] { return std::uint32_t{0}; }}};

}  // namespace

int main(int count, char** words) {
  for (const Kind& kind : kinds) {
    if (count != 2 || std::strcmp(words[1], kind.name) != 0) continue;
    std::printf("%s: %u\n", kind.name, kind.run());
    return 0;
  }
  return 2;
}
