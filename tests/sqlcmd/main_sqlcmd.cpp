// tests/sqlcmd/main_sqlcmd.cpp: the main function of both programs here.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
