// tests/support/skip.hpp: a case that cannot run here says so in a line that .ci/sum_tests.py
// counts: it is not among the passed.
#pragma once
#include <doctest/doctest.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace support {

inline void skip(const char* why) {
  std::printf("skipped: %s: %s\n", doctest::getContextOptions()->currentTest->m_name, why);
  std::fflush(stdout);
}

/// For a case that needs root. Where CI=true it must not be left out: there it fails.
inline bool is_root(const char* why) {
  if (geteuid() == 0) return true;
  const char* const ci = std::getenv("CI");
  REQUIRE_MESSAGE((ci == nullptr || std::strcmp(ci, "true") != 0), why);
  skip(why);
  return false;
}

}  // namespace support
