// tests/process/test_buffers.cpp: where buffers lie: prefix zones, alignments, block sizes, and
// what a client may write.
#include <doctest/doctest.h>
#include <csignal>
#include <string>
#include <vector>
#include "tests/support/process.hpp"

using namespace process;

namespace {

std::string text(std::uint64_t number) {
  return std::to_string(number);
}

/// Lends `count` buffers of `size` on the only device, filled with their number, and has the client
/// write all prefix zones before anybody looks at the data again.
void write_prefixes(Role& server, Role& primary, Role& helper, std::uint64_t prefix,
                    std::uint64_t size, unsigned count) {
  std::vector<std::string> buffers;
  std::vector<Answer> fetched;
  for (unsigned i = 1; i <= count; ++i) {
    buffers.push_back(server.ok("allocate " + text(size) + " 0").at("buffer"));
    server.ok("fill " + buffers.back() + " " + text(size) + " " + text(i));
    server.ok("send 2 " + text(size) + " buffer=" + buffers.back());
    fetched.push_back(primary.ok("get -1"));
  }
  for (unsigned i = 0; i < count; ++i)
    primary.ok("fill " + text(fetched[i].number("buffer") - prefix) + " " + text(prefix) + " " +
               text(1000 + i));
  for (unsigned i = 0; i < count; ++i) {
    const std::uint64_t here = helper.ok("map " + fetched[i].at("handle")).number("buffer");
    CHECK(helper.ok("check " + text(here) + " " + text(size) + " " + text(i + 1)).number("equal") ==
          1);
    CHECK(helper.ok("check " + text(here - prefix) + " " + text(prefix) + " " + text(1000 + i))
              .number("equal") == 1);
    primary.ok("complete " + fetched[i].at("id") + " 0 " + text(size));
    server.ok("completion");
    CHECK(server.ok("check " + buffers[i] + " " + text(size) + " " + text(i + 1)).number("equal") ==
          1);
    server.ok("free " + buffers[i] + " " + text(size));
  }
}

}  // namespace

TEST_CASE("a client fills the prefix zone of every buffer and the server's data stays whole") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  Role& helper = stage.add("helper");
  for (const std::uint64_t prefix : {8u, 512u, 4096u, 100000u, 4194304u}) {
    CAPTURE(prefix);
    Plan plan;
    plan.create = "prefix=" + text(prefix);
    plan.requests = {"65536 0 2", "4096 0 2"};
    configure(server, primary, "prefix", plan);
    helper.ok("join prefix");
    CHECK(primary.ok("configuration 0").number("prefix") == prefix);
    activate(server, "prefix", 1);
    primary.ok("open prefix");
    write_prefixes(server, primary, helper, prefix, 65536, 2);
    write_prefixes(server, primary, helper, prefix, 4096, 3);
    finish(server, primary, "prefix", 1);
    helper.call("close");
  }
  primary.refuse("create prefix prefix=4194305", "VDSET_E_NOTSUPPORTED");
}

TEST_CASE("data starts at a multiple of the alignment in every process, from 512 to 65536") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  Role& secondary = stage.add("secondary");
  for (std::uint64_t alignment = 512; alignment <= 65536; alignment *= 2) {
    CAPTURE(alignment);
    Plan plan;
    plan.create = "prefix=24";
    plan.begin = "block=512 transfer=65536 features=0x10000 alignment=" + text(alignment);
    plan.requests = {"4096 0 3", "8192 65536 2"};
    configure(server, primary, "aligned", plan);
    CHECK(primary.ok("configuration 0").number("alignment") == alignment);
    secondary.ok("join aligned");
    activate(server, "aligned", 1);
    primary.ok("open aligned");
    const auto look = [&](const std::string& size, std::uint64_t stricter, std::uint64_t expected) {
      const Answer mine = server.ok("allocate " + size + " " + text(stricter));
      CHECK(mine.number("buffer") % expected == 0);
      server.ok("send 2 " + size + " buffer=" + mine.at("buffer"));
      const Answer got = primary.ok("get -1");
      CHECK(got.number("buffer") % expected == 0);
      CHECK(secondary.ok("map " + got.at("handle")).number("buffer") % expected == 0);
    };
    for (int i = 0; i < 3; ++i)
      look("4096", 0, alignment);
    look("8192", 65536, 65536);
    look("4096", 65536, 65536);  // Stricter than its class: one of the stricter class.
    secondary.call("close");
    bury(server, primary);
  }
}

TEST_CASE("the client's alignment and the server's are both met") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  Plan plan;
  plan.create = "alignment=16384";
  plan.begin = "block=1024 transfer=65536 features=0x10000 alignment=2048";
  configure(server, primary, "x", plan);
  CHECK(primary.ok("configuration 0").number("alignment") == 16384);
  CHECK(server.ok("allocate 1024 0").number("buffer") % 16384 == 0);
  bury(server, primary);
}

TEST_CASE("transfers are multiples of the block size and fit their buffer") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  for (std::uint64_t block = 512; block <= 65536; block *= 2) {
    CAPTURE(block);
    Plan plan;
    plan.begin = "transfer=131072 features=0x10000 block=" + text(block);
    plan.requests = {"131072 0 2", "65536 0 1"};
    configure(server, primary, "blocks", plan);
    CHECK(primary.ok("configuration 0").number("block") == block);
    activate(server, "blocks", 1);
    primary.ok("open blocks");
    const std::string buffer = server.ok("allocate 131072 0").at("buffer");
    const std::string small = server.ok("allocate 65536 0").at("buffer");
    for (const std::int64_t size :
         {std::int64_t{0}, std::int64_t{-512}, static_cast<std::int64_t>(block) - 1,
          static_cast<std::int64_t>(block) + 1, std::int64_t{131073}, std::int64_t{196608}})
      server.refuse("send 2 " + std::to_string(size) + " buffer=" + buffer, "VDSET_E_INVALID");
    server.refuse("send 2 131072 buffer=" + small, "VDSET_E_INVALID");
    server.refuse("send 2 " + text(block), "VDSET_E_INVALID");
    server.refuse(
        "send 2 " + text(block) + " buffer=" + text(std::stoull(buffer, nullptr, 0) + 512),
        "VDSET_E_INVALID");
    for (const std::uint64_t size : {block, std::uint64_t{131072}}) {
      server.ok("send 2 " + text(size) + " buffer=" + buffer);
      // A buffer that is under way can be neither freed nor sent again.
      server.refuse("free " + buffer + " 131072", "VDSET_E_INVALID");
      server.refuse("send 2 " + text(size) + " buffer=" + buffer, "VDSET_E_INVALID");
      const Answer got = primary.ok("get -1");
      CHECK(got.number("size") == size);
      primary.ok("complete " + got.at("id") + " 0 999999999");
      CHECK(server.ok("completion").number("bytes") == size);  // Clamped.
    }
    server.ok("free " + buffer + " 131072");
    server.refuse("free " + buffer + " 131072", "VDSET_E_INVALID");
    finish(server, primary, "blocks", 1);
  }
}

TEST_CASE("numbers that VDI does not allow are refused at Create and BeginConfiguration") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  for (const char* bad : {"devices=0", "devices=65", "features=0x10", "features=0x10000",
                          "alignment=65537", "features=0x174"})
    primary.refuse(std::string("create x ") + bad, "VDSET_E_NOTSUPPORTED");
  for (const char* bad :
       {"depth=12", "depth=4", "depth=256", "read_only=2", "lifetime=2", "read_only=1 prefix=8"})
    primary.refuse(std::string("create x ") + bad, "VDSET_E_INVALID");
  for (const char* good : {"features=0x173", "features=0x200", "features=0x201", "features=0x81",
                           "features=0x2400", "devices=64"}) {
    primary.ok(std::string("create x ") + good);
    primary.ok("close");
  }
  primary.ok("create x");
  server.ok("server-open x");
  for (const char* bad : {"features=0", "features=0x50000", "features=0x10001", "block=256",
                          "block=131072", "block=1000", "alignment=256", "alignment=131072",
                          "alignment=3072", "transfer=0", "transfer=1000", "transfer=4259840"})
    server.refuse(std::string("begin ") + bad, "VDSET_E_INVALID");
  server.refuse("request 512 0 1", "VDSET_E_PROTOCOL");
  server.refuse("end", "VDSET_E_PROTOCOL");
  server.refuse("name x", "VDSET_E_PROTOCOL");
  server.ok("begin");
  server.refuse("begin", "VDSET_E_PROTOCOL");
  server.refuse("name x", "VDSET_E_PROTOCOL");
  server.refuse("run-agent", "VDSET_E_PROTOCOL");
  for (const char* bad : {"0 0 1", "4194305 0 1", "512 131072 1", "512 3 1"})
    server.refuse(std::string("request ") + bad, "VDSET_E_INVALID");
  server.refuse("request 512 0 4097", "VDSET_E_MEMORY");
  bury(server, primary);
}

TEST_CASE("with data_read_only a client that writes to a buffer dies, and only it") {
  for (const bool in_secondary : {false, true}) {
    CAPTURE(in_secondary);
    Stage stage;
    Role& server = stage.add("server");
    Role& primary = stage.add("primary");
    Role& secondary = stage.add("secondary");
    Plan plan;
    plan.devices = 2;
    plan.create = "read_only=1";
    configure(server, primary, "ro", plan);
    secondary.ok("join ro");
    activate(server, "ro", 2);
    Role& writer = in_secondary ? secondary : primary;
    writer.ok("open ro");
    const std::string buffer = server.ok("allocate 4096 0").at("buffer");
    server.ok("fill " + buffer + " 4096 5");
    server.ok("send 2 4096 device=ro buffer=" + buffer);
    const Answer got = writer.ok("get -1");
    CHECK(writer.ok("check " + got.at("buffer") + " 4096 5").number("equal") == 1);
    CHECK(writer.ok("describe " + got.at("buffer")).number("read_only") == 1);
    CHECK(server.ok("server-describe " + buffer).number("read_only") == 0);
    writer.start("write", "fill " + got.at("buffer") + " 4096 6");
    writer.expect_death(SIGSEGV);
    CHECK(server.ok("check " + buffer + " 4096 5").number("equal") == 1);
    if (in_secondary) {
      CHECK(server.ok("completion").number("code") == 995);
      primary.ok("configuration 0");
    } else {
      server.wait_refused("agent", "VDSET_E_ABORT");
    }
  }
}
