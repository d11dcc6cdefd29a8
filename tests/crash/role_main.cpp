// tests/crash/role_main.cpp: apart, so that the rest is one archive for the role and its mutants.
#include <unistd.h>
#include "tests/crash/role.hpp"

int main(int count, char** words) {
  _exit(vdset::crash::run_role(count, words));
}
