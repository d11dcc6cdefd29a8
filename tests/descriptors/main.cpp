// tests/descriptors/main.cpp: Goal: no lost wake for who waits in an event loop, no end that it is
// not told of, nothing left behind. Method: epoll and poll on real descriptors, both roles here or
// one in an exec'ed child.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <cstring>
#include "tests/descriptors/rig.hpp"

int main(int count, char** arguments) {
  if (count > 1 && std::strcmp(arguments[1], "role") == 0)
    return descriptors::play_role(count, arguments);
  doctest::Context context(count, arguments);
  return context.run();
}
