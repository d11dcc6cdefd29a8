// tests/unit/test_quarantine.cpp
// Goal: what the engine put into a buffer of a dead process is there after its renewal, or the set
// ends: zeros never pass for it.
// Method: both roles in one thread; the renewal's system calls fail on request.
#include <cstring>
#include "abi/server.hpp"
#include "tests/support/faults.hpp"
#include "tests/unit/both_sides.hpp"

using namespace vdset;
using namespace vdset::unit;

namespace {

/// A device whose client has fetched a Write, as it stands when that client is dead.
struct Fetched : BothSides {
  Fetched() {
    REQUIRE(vdset_server_allocate_buffer(server, transfer_bytes, 0, &write.buffer) == VDSET_OK);
    std::memset(write.buffer, 0x5a, transfer_bytes);
    REQUIRE(vdset_server_device_send_command(server_device, &write) == VDSET_OK);
    const vdset_command* fetched = nullptr;
    REQUIRE(vdset_device_get_command(device, VDSET_INFINITE, &fetched) == VDSET_OK);
    faults::reset();
  }
  ~Fetched() { faults::disarm(); }

  bool renew() {
    const port::Locked guard(server_device->lock);
    return renew_buffers(*server, *server_device);
  }
  bool holds_it() const {
    unsigned char due[transfer_bytes];
    std::memset(due, 0x5a, sizeof due);
    return std::memcmp(write.buffer, due, sizeof due) == 0;
  }
  bool aborted() const { return server->aborted.load(); }
};

}  // namespace

TEST_CASE("a renewed buffer of a Write holds what it held") {
  Fetched it;
  CHECK(it.renew());
  CHECK(it.holds_it());
  CHECK_FALSE(it.aborted());
}

TEST_CASE("a buffer whose pages could not be renewed holds what it held, and the set goes on") {
  for (const std::uint32_t use : {1u, 2u}) {  // Before it is cleared, and after.
    CAPTURE(use);
    Fetched it;
    faults::arm({port::Call::fallocate, ENOSPC, use, true});
    CHECK_FALSE(it.renew());
    CHECK(faults::failures(port::Call::fallocate) == 1);
    CHECK(it.holds_it());
    CHECK_FALSE(it.aborted());
  }
}

TEST_CASE("when what a buffer held cannot be kept the set ends") {
  Fetched it;
  faults::arm({port::Call::pwrite, ENOSPC, 1, true});
  CHECK_FALSE(it.renew());
  CHECK(it.aborted());
}
