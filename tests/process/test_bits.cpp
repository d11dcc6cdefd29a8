// tests/process/test_bits.cpp: a 32-bit role beside 64-bit ones. Built where there is a cross
// compiler, which the suite deep needs.
#include <doctest/doctest.h>
#include <unistd.h>
#include <filesystem>
#include <string>
#include "tests/support/process.hpp"

using namespace process;

namespace {

bool has_role32() {
  const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  if (std::filesystem::exists(folder / "role32")) return true;
  return false;
}

}  // namespace

TEST_CASE("32-bit and 64-bit processes share a set, whichever plays which role" *
          doctest::test_suite("deep") * doctest::skip()) {
  REQUIRE_MESSAGE(has_role32(), "install g++-i686-linux-gnu, as ./dev test --deep does");
  for (unsigned small = 0; small < 3; ++small) {
    CAPTURE(small);
    Stage stage;
    Role* roles[3];
    for (unsigned i = 0; i < 3; ++i)
      roles[i] = i == small ? &stage.add_from("small", "role32") : &stage.add("big");
    CHECK(roles[small]->ok("who").number("bits") == 32);
    Plan plan;
    plan.devices = 2;
    plan.create = "prefix=512 alignment=4096";
    plan.requests = {"65536 0 8"};
    configure(*roles[0], *roles[1], "bits", plan);
    roles[2]->ok("join bits");
    activate(*roles[0], "bits", 2);
    roles[1]->start("consume", "consume devices=bits");
    roles[2]->start("consume", "consume devices=bits.1");
    const Answer sent = roles[0]->ok("produce devices=bits,bits.1 count=100 size=65536");
    const Answer one = roles[1]->wait_ok("consume");
    const Answer two = roles[2]->wait_ok("consume");
    CHECK(one.number("sum") + two.number("sum") == sent.number("sum"));
    CHECK(one.number("bad") + two.number("bad") + sent.number("bad") == 0);
    roles[0]->wait_ok("agent");
    roles[2]->ok("close");
    roles[0]->ok("server-close");
    roles[1]->ok("close");
  }
}
