// tests/unit/test_error.cpp
// Goal: every code has VDI's number and its name; words are per thread, and cut rather than
// spilled.
// Method: the numbers in hexadecimal, copied from the comments of vdset.h and VDI's vdierror.h.
#include "abi/error.hpp"
#include <cerrno>
#include <thread>
#include "tests/unit/system.hpp"

using namespace vdset;

namespace {

struct Row {
  std::uint32_t number;
  std::int32_t code;
  const char* name;
};
const Row rows[] = {
    {0, VDSET_OK, "VDSET_OK"},
    {0x80770002, VDSET_E_NOTOPEN, "VDSET_E_NOTOPEN"},
    {0x80770003, VDSET_E_TIMEOUT, "VDSET_E_TIMEOUT"},
    {0x80770004, VDSET_E_ABORT, "VDSET_E_ABORT"},
    {0x80770005, VDSET_E_SECURITY, "VDSET_E_SECURITY"},
    {0x80770006, VDSET_E_INVALID, "VDSET_E_INVALID"},
    {0x80770007, VDSET_E_INSTANCE_NAME, "VDSET_E_INSTANCE_NAME"},
    {0x80770009, VDSET_E_NOTSUPPORTED, "VDSET_E_NOTSUPPORTED"},
    {0x8077000a, VDSET_E_MEMORY, "VDSET_E_MEMORY"},
    {0x8077000b, VDSET_E_UNEXPECTED, "VDSET_E_UNEXPECTED"},
    {0x8077000c, VDSET_E_PROTOCOL, "VDSET_E_PROTOCOL"},
    {0x8077000d, VDSET_E_OPEN, "VDSET_E_OPEN"},
    {0x8077000e, VDSET_E_CLOSE, "VDSET_E_CLOSE"},
    {0x8077000f, VDSET_E_BUSY, "VDSET_E_BUSY"},
    {0x80770010, VDSET_E_QUEUE_FULL, "VDSET_E_QUEUE_FULL"},
    {0x80770011, VDSET_E_IO_ERROR, "VDSET_E_IO_ERROR"},
    {0x80770012, VDSET_E_INTERRUPTED, "VDSET_E_INTERRUPTED"},
};

}  // namespace

TEST_CASE("every code has its number and its name") {
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(static_cast<std::uint32_t>(row.code) == row.number);
    CHECK(std::string(vdset_error_name(row.code)) == row.name);
  }
}

TEST_CASE("any other number is unknown, and never null") {
  for (std::int32_t code : {1, -1, 995, INT32_MIN, INT32_MAX, VDSET_E_INTERRUPTED + 1,
                            static_cast<std::int32_t>(0x80770008)})
    CHECK(std::string(vdset_error_name(code)) == "unknown");
}

TEST_CASE("the last error belongs to its thread and stays until the next failure") {
  CHECK(fail(VDSET_E_INVALID, "number %d of %s", 7, "nine") == VDSET_E_INVALID);
  CHECK(std::string(vdset_last_error()) == "number 7 of nine");
  std::string before, after;
  std::thread([&] {
    before = vdset_last_error();
    fail(VDSET_E_ABORT, "another");
    after = vdset_last_error();
  }).join();
  CHECK(before.empty());
  CHECK(after == "another");
  CHECK(std::string(vdset_last_error()) == "number 7 of nine");
}

TEST_CASE("long words are cut and terminated") {
  const std::string words(5000, 'w');
  fail(VDSET_E_INVALID, "%s", words.c_str());
  const std::string kept = vdset_last_error();
  CHECK(kept.size() > 100);
  CHECK(kept.size() < 1000);
  CHECK(kept == words.substr(0, kept.size()));
}

TEST_CASE("what the system refuses is memory when it is out of something, else unexpected") {
  for (int error : {ENOMEM, ENOSPC, EMFILE, ENFILE})
    CHECK(fail_system(-error, "it") == VDSET_E_MEMORY);
  for (int error : {EPERM, EINVAL, EACCES, EPROTO, ENOSYS})
    CHECK(fail_system(-error, "it") == VDSET_E_UNEXPECTED);
  fail_system(-EACCES, "cannot do it");
  CHECK(std::string(vdset_last_error()).find("cannot do it: Permission denied") == 0);
}

TEST_CASE("the version is the header's") {
  CHECK(vdset_version() ==
        (VDSET_VERSION_MAJOR << 16 | VDSET_VERSION_MINOR << 8 | VDSET_VERSION_PATCH));
}
