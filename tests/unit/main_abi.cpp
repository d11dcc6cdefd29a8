// tests/unit/main_abi.cpp: the main function of the abi's unit tests.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
