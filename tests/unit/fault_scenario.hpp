// tests/unit/fault_scenario.hpp: one whole life of a set, all roles as threads of one process,
// while a system call fails. Every step that fails must fail with a code and words; whatever
// failed, nothing may be left when everything is closed.
#pragma once
#include <cstdarg>
#include <cstdint>
#include <cstdio>

namespace vdset::unit {

/// What a run is told and what it says, in memory shared with the driver.
struct Report {
  bool retry = false;     // A step that fails is tried again, and must then succeed or say ABORT.
  bool harmless = false;  // The library copes: no step may fail.
  // Out of descriptors in the calling process itself: each failure must be MEMORY, or ABORT.
  bool is_exhaustion = false;
  char directory[64] = {};

  bool finished = false;        // The command went all the way.
  std::uint32_t failed_steps = 0;
  std::uint32_t complaints = 0;
  char steps[900] = {};  // The steps that failed, for people.
  char words[900] = {};  // What was wrong.

  [[gnu::format(printf, 2, 3)]] void complain(const char* format, ...) {
    std::va_list arguments;
    va_start(arguments, format);
    append(words, format, arguments);
    va_end(arguments);
    __atomic_fetch_add(&complaints, 1, __ATOMIC_RELAXED);
  }
  [[gnu::format(printf, 2, 3)]] void note(const char* format, ...) {
    std::va_list arguments;
    va_start(arguments, format);
    append(steps, format, arguments);
    va_end(arguments);
    __atomic_fetch_add(&failed_steps, 1, __ATOMIC_RELAXED);
  }

 private:
  void append(char (&to)[900], const char* format, std::va_list arguments);
};

/// Runs the life with whatever is armed in tests/support/faults.hpp; `with_secondary` adds a third
/// role and a second device. Returns when everything is closed and every thread is gone.
void run_life(Report& report, bool with_secondary);
/// With nothing armed: the name can be used again, and the directory is empty afterwards.
void check_name_is_free(Report& report);

}  // namespace vdset::unit
