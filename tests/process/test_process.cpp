// tests/process/test_process.cpp: the driver of the process tests; the cases are in the files
// beside it. Goal: the whole library between processes that share nothing but what it passes.
// Method: programs exec'ed one by one do what the driver's lines say (role.hpp); every step has a
// watchdog.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <csignal>

int main(int count, char** arguments) {
  signal(SIGPIPE, SIG_IGN);  // A role that died is told by its answers.
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  doctest::Context context(count, arguments);
  return context.run();
}
