// tests/conformance/context.cpp: see suite.hpp.
#include <fnmatch.h>
#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include "suite.hpp"

namespace conformance {

int deep_fold() {
  const char* const text = std::getenv("VDSET_TEST_DEEP");
  const int fold = text != nullptr ? std::atoi(text) : 1;
  return fold > 0 ? fold : 1;
}

std::string code_text(int code) {
  if (code == cannot) return "a call that cannot be made";
  if (code >= 0) return std::to_string(code);
  const char* const name = vdset_error_name(code);
  char number[32];
  std::snprintf(number, sizeof number, " (0x%08x)", static_cast<unsigned>(code));
  return std::string(name) + number;
}

void Context::tell(char kind, const std::string& text) {
  std::string line = kind + text;
  for (char& c : line)
    if (c == '\n') c = ' ';
  line += '\n';
  // One write: threads of a scenario may tell at once.
  if (write(report_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) _exit(3);
}

bool Context::check(bool good, const std::string& what, Place place) {
  checks_.fetch_add(1);
  if (good) return true;
  const char* const slash = std::strrchr(place.file_name(), '/');
  tell('F', std::string(slash != nullptr ? slash + 1 : place.file_name()) + ":" +
                std::to_string(place.line()) + ": " + what);
  return false;
}

bool Context::equal(int64_t actual, int64_t expected, const std::string& what, Place place) {
  return check(actual == expected,
               what + ": " + std::to_string(actual) + ", not " + std::to_string(expected), place);
}

bool matches(const char* pattern, const std::string& text) {
  return fnmatch(pattern, text.c_str(), FNM_EXTMATCH) == 0;
}

bool Context::differs(int actual, const std::string& what) {
  const auto& all = differences();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Difference& d = all[i];
    if (d.code != actual || !matches(d.face, face.name()) || !matches(d.scenario, scenario_) ||
        !matches(d.what, what))
      continue;
    checks_.fetch_add(1);
    tell('D', std::to_string(i));
    const std::lock_guard guard(lock_);
    if (d.cell != nullptr) not_shown_.push_back(d.cell);
    return true;
  }
  return false;
}

bool Context::code(int actual, int expected, const std::string& what, Place place) {
  if (actual != expected && differs(actual, what)) return true;
  return check(actual == expected, what + ": " + code_text(actual) + ", not " + code_text(expected),
               place);
}

void Context::need(int actual, int expected, const std::string& what, Place place) {
  if (!code(actual, expected, what, place)) throw Stop();
}

void Context::cover(const std::string& section, const std::string& item) {
  const std::string cell = section + " " + item;
  const std::lock_guard guard(lock_);
  const bool shown = std::none_of(not_shown_.begin(), not_shown_.end(),
                                  [&](const char* pattern) { return matches(pattern, cell); });
  tell(shown ? 'C' : 'L', section + "\t" + item);
}

std::string Context::fresh_name() {
  return "conformance-" + std::to_string(getpid()) + "-" + std::to_string(names_.fetch_add(1));
}

}  // namespace conformance
