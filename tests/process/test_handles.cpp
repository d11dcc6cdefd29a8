// tests/process/test_handles.cpp: buffer handles across processes: who may use them, how long, and
// what is refused. Growth of the buffer area.
#include <doctest/doctest.h>
#include <set>
#include <sstream>
#include <string>
#include <vector>
#include "tests/support/process.hpp"

using namespace process;

namespace {

/// A server, a primary that opened the only device, and a helper that only maps handles.
struct Trio {
  explicit Trio(const Plan& plan, const std::string& set = "h")
      : server(stage.add("server")),
        primary(stage.add("primary")),
        helper(stage.add("helper")),
        name(set) {
    configure(server, primary, set, plan);
    helper.ok("join " + set);
    activate(server, set, plan.devices);
    primary.ok("open " + set);
  }

  /// Allocates, fills and sends a Write; returns the server's address.
  std::string lend(unsigned size = 4096, std::uint64_t seed = 1) {
    const std::string buffer = server.ok("allocate " + std::to_string(size) + " 0").at("buffer");
    server.ok("fill " + buffer + " " + std::to_string(size) + " " + std::to_string(seed));
    server.ok("send 2 " + std::to_string(size) + " device=" + name + " buffer=" + buffer);
    return buffer;
  }
  void complete(const Answer& got) {
    primary.ok("complete " + got.at("id") + " 0 4096");
    CHECK(server.ok("completion").number("code") == 0);
  }
  /// In every process.
  void refuse(std::uint64_t handle) {
    CAPTURE(handle);
    primary.refuse("map " + std::to_string(handle), "VDSET_E_INVALID");
    helper.refuse("map " + std::to_string(handle), "VDSET_E_INVALID");
    server.refuse("server-map " + std::to_string(handle), "VDSET_E_INVALID");
  }
  void accept(const std::string& handle, std::uint64_t seed) {
    const std::string tail = " 4096 " + std::to_string(seed);
    for (Role* role : {&primary, &helper}) {
      const std::string here = role->ok("map " + handle).at("buffer");
      CHECK(role->ok("check " + here + tail).number("equal") == 1);
    }
    server.ok("server-map " + handle);
  }

  Stage stage;
  Role& server;
  Role& primary;
  Role& helper;
  std::string name;
};

}  // namespace

TEST_CASE("one buffer lies at another address in each process, and all see the same bytes" *
          doctest::test_suite("essential")) {
  Trio trio({});
  const std::string at_server = trio.lend(4096, 11);
  const Answer got = trio.primary.ok("get -1");
  const std::string& at_primary = got.at("buffer");
  const std::string at_helper = trio.helper.ok("map " + got.at("handle")).at("buffer");
  CHECK(at_server != at_primary);
  CHECK(at_server != at_helper);
  CHECK(at_primary != at_helper);
  CHECK(trio.primary.ok("check " + at_primary + " 4096 11").number("equal") == 1);
  CHECK(trio.helper.ok("check " + at_helper + " 4096 11").number("equal") == 1);
  // The same handle, asked for in each process.
  CHECK(trio.primary.ok("handle " + at_primary).at("handle") == got.at("handle"));
  CHECK(trio.helper.ok("handle " + at_helper).at("handle") == got.at("handle"));
  CHECK(trio.server.ok("server-handle " + at_server).at("handle") == got.at("handle"));
  CHECK(trio.server.ok("server-map " + got.at("handle")).at("buffer") == at_server);
  // A helper encrypts in place; the server has the result after completion.
  trio.helper.ok("fill " + at_helper + " 4096 12");
  CHECK(trio.primary.ok("check " + at_primary + " 4096 12").number("equal") == 1);
  trio.complete(got);
  CHECK(trio.server.ok("check " + at_server + " 4096 12").number("equal") == 1);
}

TEST_CASE("a buffer is described alike in each process, and nothing else is a buffer") {
  Plan plan;
  plan.create = "prefix=24";
  plan.requests = {"65536 0 2", "1024 0 1"};
  Trio trio(plan);
  std::set<std::string> numbers;
  for (const unsigned size : {65536u, 65536u, 1024u}) {
    const std::string at_server = trio.lend(size == 1024 ? 1024 : 4096, 1);
    const Answer got = trio.primary.ok("get -1");
    const Answer here = trio.primary.ok("describe " + got.at("buffer"));
    CHECK(here.number("data") == size);
    CHECK(here.number("prefix") == 24);
    CHECK(here.number("read_only") == 0);
    numbers.insert(here.at("number"));
    const std::string at_helper = trio.helper.ok("map " + got.at("handle")).at("buffer");
    CHECK(trio.helper.ok("describe " + at_helper).at("number") == here.at("number"));
    CHECK(trio.server.ok("server-describe " + at_server).at("number") == here.at("number"));
    const std::string inside = std::to_string(std::stoull(got.at("buffer"), nullptr, 0) + 64);
    trio.primary.refuse("describe " + inside, "VDSET_E_INVALID");
    trio.primary.refuse("describe 4096", "VDSET_E_INVALID");
    trio.server.refuse("server-describe 4096", "VDSET_E_INVALID");
  }
  CHECK(numbers.size() == 3);
}

TEST_CASE(
    "a leased handle is good from send to completion, in every process, and not a call longer") {
  Trio trio({});
  const std::string allocated = trio.server.ok("allocate 4096 0").at("buffer");
  trio.server.refuse("server-handle " + allocated, "VDSET_E_INVALID");  // Not lent.
  trio.server.ok("free " + allocated + " 4096");
  for (std::uint64_t round = 1; round < 20; ++round) {
    const std::string buffer = trio.lend(4096, round);
    const Answer got = trio.primary.ok("get -1");
    trio.accept(got.at("handle"), round);
    trio.complete(got);
    trio.refuse(got.number("handle"));
    trio.primary.refuse("handle " + got.at("buffer"), "VDSET_E_INVALID");
    // Sent again without a free between: another lease, another handle.
    trio.server.ok("send 2 4096 device=h buffer=" + buffer);
    const Answer again = trio.primary.ok("get -1");
    CHECK(again.number("handle") != got.number("handle"));
    trio.refuse(got.number("handle"));
    trio.complete(again);
    trio.refuse(again.number("handle"));
    trio.server.ok("free " + buffer + " 4096");
    trio.refuse(again.number("handle"));
  }
}

TEST_CASE("a handle with the lifetime of its buffer is good until the buffer is freed") {
  Plan plan;
  plan.create = "lifetime=1";
  plan.requests = {"4096 0 1"};
  Trio trio(plan);
  for (std::uint64_t round = 1; round < 20; ++round) {
    const std::string buffer = trio.lend(4096, round);
    const Answer got = trio.primary.ok("get -1");
    trio.accept(got.at("handle"), round);
    trio.complete(got);
    trio.accept(got.at("handle"), round);  // Still allocated.
    CHECK(trio.server.ok("server-handle " + buffer).at("handle") == got.at("handle"));
    trio.server.ok("free " + buffer + " 4096");
    trio.refuse(got.number("handle"));
    // The only buffer there is: the same memory under a new handle.
    const std::string same = trio.server.ok("allocate 4096 0").at("buffer");
    CHECK(same == buffer);
    trio.refuse(got.number("handle"));
    CHECK(trio.server.ok("server-handle " + same).at("handle") != got.at("handle"));
    trio.server.ok("free " + same + " 4096");
  }
}

TEST_CASE("a handle of another set is refused") {
  Plan plan;
  plan.create = "lifetime=1";
  Trio trio(plan);
  const std::string own = trio.server.ok("allocate 4096 0").at("buffer");
  const std::uint64_t handle = trio.server.ok("server-handle " + own).number("handle");
  Role& server = trio.stage.add("other-server");
  Role& primary = trio.stage.add("other-primary");
  std::uint64_t other = handle;
  // Salts are random: until they differ.
  for (int tries = 0; tries < 100 && other >> 26 == handle >> 26; ++tries) {
    if (tries > 0) bury(server, primary);
    configure(server, primary, "other", plan);
    const std::string buffer = server.ok("allocate 4096 0").at("buffer");
    other = server.ok("server-handle " + buffer).number("handle");
  }
  const bool salts_differ = other >> 26 != handle >> 26;
  REQUIRE(salts_differ);
  trio.refuse(other);
  primary.refuse("map " + std::to_string(handle), "VDSET_E_INVALID");
  server.refuse("server-map " + std::to_string(handle), "VDSET_E_INVALID");
  CHECK(primary.ok("map " + std::to_string(other)).ok());
  const Answer why = trio.primary.ok("explain " + std::to_string(other));
  CHECK(why.at("result") == "VDSET_E_INVALID");
  CHECK(why.at("text").find("another set") != std::string::npos);
  CHECK(trio.primary.ok("explain " + std::to_string(handle)).at("result") == "VDSET_OK");
}

TEST_CASE("of all values of a small space only the handles that are lent are accepted") {
  Plan plan;
  plan.open = "buffers_max=16";  // Four index bits.
  plan.requests = {"4096 0 5"};
  Trio trio(plan);
  std::vector<std::uint64_t> lent;
  for (int i = 0; i < 3; ++i) {
    trio.lend();
    lent.push_back(trio.primary.ok("get -1").number("handle"));
  }
  const std::uint64_t salt = lent[0] >> 26;
  const std::uint64_t space = 1u << 26, part = space / 8;
  const std::vector<Role*> all{&trio.primary, &trio.helper, &trio.server};
  // Every value with the salt of the set, in each process; in parts, for the watchdog's sake.
  std::set<std::string> found;
  for (std::uint64_t first = salt << 26; first < (salt + 1) << 26; first += part) {
    const std::string verb = "try-handles " + std::to_string(first) + " " + std::to_string(part);
    for (Role* role : all)
      role->start("try", verb + (role == &trio.server ? " 1 server=server" : " 1"));
    std::uint64_t here = 0;
    for (const std::uint64_t handle : lent)
      here += handle >= first && handle < first + part;
    for (Role* role : all) {
      const Answer tried = role->wait_ok("try");
      CHECK(tried.number("accepted") == here);
      CHECK(tried.number("invalid") == part - here);
      if (here > 0) found.insert(tried.at("which"));
    }
  }
  // The same ones in every process, and each of them lent.
  std::string joined;
  for (const std::string& which : found)
    joined += which + ",";
  for (const std::uint64_t handle : lent)
    CHECK(joined.find(std::to_string(handle)) != std::string::npos);
  // Every 509th of the other salts: the salt alone refuses.
  const std::string next = std::to_string((salt + 1) << 26 & 0xffffffffu);
  const std::uint64_t rest = (std::uint64_t{1} << 32) / 509 - space / 509 - 2;
  const std::string others = "try-handles " + next + " " + std::to_string(rest) + " 509";
  CHECK(trio.primary.ok(others).number("invalid") == rest);
  // Once completed, neither they nor every seventh of all values.
  for (int i = 1; i <= 3; ++i) {
    trio.primary.ok("complete " + std::to_string(i) + " 0 4096");
    trio.server.ok("completion");
  }
  const std::string seventh = std::to_string(salt << 26) + " " + std::to_string(space / 7) + " 7";
  CHECK(trio.helper.ok("try-handles " + seventh).number("invalid") == space / 7);
  for (const std::uint64_t handle : lent)
    trio.refuse(handle);
}

TEST_CASE("a million random values of a large space are refused, but for the live ones") {
  Plan plan;
  plan.create = "lifetime=1";
  plan.open = "buffers_max=4096";
  plan.requests = {"512 0 1024"};
  Trio trio(plan);
  std::set<std::string> live;
  std::string like;
  for (int i = 0; i < 24; ++i) {
    const std::string buffer = trio.server.ok("allocate 512 0").at("buffer");
    like = trio.server.ok("server-handle " + buffer).at("handle");
    live.insert(like);
  }
  for (Role* role : {&trio.primary, &trio.helper}) {
    const Answer tried =
        role->ok("try-random 1000000 " + std::to_string(role->pid()) + " like=" + like);
    CHECK(tried.number("other") == 0);
    const std::uint64_t counted = tried.number("accepted") + tried.number("invalid");
    CHECK(counted == 1000000);
    // A hit by chance is a handle that is live.
    std::istringstream which(tried.at("which"));
    for (std::string hit; std::getline(which, hit, ',');)
      CHECK(live.count(hit) == 1);
  }
  for (const std::string& handle : live)
    CHECK(trio.helper.ok("map " + handle).ok());
}

TEST_CASE("GetBufferHandle takes the data start and no other address") {
  Plan plan;
  plan.create = "prefix=1024";
  plan.requests = {"65536 0 3"};
  Trio trio(plan);
  const std::string at_server = trio.lend(4096);
  const Answer got = trio.primary.ok("get -1");
  const auto look = [](Role& role, const std::string& verb, std::uint64_t data) {
    CHECK(role.ok(verb + " " + std::to_string(data)).ok());
    for (const std::int64_t offset : {1, 4, 63, 64, 512, 1024, 4096, 65535, 65536, 1 << 20, -1, -4,
                                      -64, -512, -1024, -4096, -(1 << 24)}) {
      CAPTURE(offset);
      role.refuse(verb + " " + std::to_string(data + static_cast<std::uint64_t>(offset)),
                  "VDSET_E_INVALID");
    }
    const Answer others = role.ok("strangers");
    for (const char* where : {"stack", "heap", "global", "code"})
      role.refuse(verb + " " + others.at(where), "VDSET_E_INVALID");
    role.refuse(verb + " 0", "VDSET_E_INVALID");
    role.refuse(verb + " -1", "VDSET_E_INVALID");
  };
  look(trio.primary, "handle", got.number("buffer"));
  look(trio.helper, "handle", trio.helper.ok("map " + got.at("handle")).number("buffer"));
  look(trio.server, "server-handle", std::stoull(at_server, nullptr, 0));
  CHECK(trio.server.ok("shared " + at_server).number("shared") == 1);
  CHECK(trio.server.ok("shared " + trio.server.ok("strangers").at("heap")).number("shared") == 0);
  // A buffer of the same set that is not lent.
  const std::string idle = trio.server.ok("allocate 4096 0").at("buffer");
  trio.server.refuse("server-handle " + idle, "VDSET_E_INVALID");
}

TEST_CASE("handles before the configuration are PROTOCOL, after close NOTOPEN") {
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  primary.ok("create x lifetime=1");
  primary.refuse("map 1", "VDSET_E_PROTOCOL");
  primary.refuse("handle 4096", "VDSET_E_PROTOCOL");
  server.ok("server-open x");
  server.refuse("server-map 1", "VDSET_E_PROTOCOL");
  server.ok("begin");
  server.refuse("allocate 512 0", "VDSET_E_PROTOCOL");
  server.ok("request 512 0 1");
  server.ok("end");
  primary.ok("configuration -1");
  const std::string buffer = server.ok("allocate 512 0").at("buffer");
  const std::string handle = server.ok("server-handle " + buffer).at("handle");
  primary.ok("map " + handle);
  // After an abort buffers stay mapped, and handles good, until this side closes (VDI 2.1).
  server.ok("server-abort 0");
  primary.ok("map " + handle);
  server.ok("server-close");
  primary.ok("map " + handle);
  primary.ok("close");
  primary.refuse("map " + handle, "VDSET_E_NOTOPEN");
  server.refuse("server-map " + handle, "VDSET_E_NOTOPEN");
}

TEST_CASE("pools added after EndConfiguration reach primary, secondary and helper, up to eight" *
          doctest::test_suite("essential")) {
  Plan plan;
  plan.devices = 2;
  plan.open = "buffers_max=64";
  plan.requests = {"4096 0 2"};
  Trio trio(plan);
  Role& secondary = trio.stage.add("secondary");
  secondary.ok("join h");
  secondary.ok("open h.1");
  for (unsigned pool = 2; pool <= 8; ++pool) {
    CAPTURE(pool);
    const unsigned size = 4096 * pool;
    const std::string text = std::to_string(size);
    trio.server.refuse("allocate " + text + " 0", "VDSET_E_INVALID");
    CHECK(trio.server.ok("query " + text + " 0").number("count") == 0);
    trio.server.ok("request " + text + " 0 2");
    CHECK(trio.server.ok("query " + text + " 0").number("count") == 2);
    for (Role* client : {&trio.primary, &secondary}) {
      const std::string device = client == &secondary ? "h.1" : "h";
      const std::string buffer = trio.server.ok("allocate " + text + " 0").at("buffer");
      trio.server.ok("fill " + buffer + " " + text + " " + text);
      trio.server.ok("send 2 " + text + " device=" + device + " buffer=" + buffer);
      const Answer got = client->ok("get -1");
      CHECK(client->ok("check " + got.at("buffer") + " " + text + " " + text).number("equal") == 1);
      const std::string here = trio.helper.ok("map " + got.at("handle")).at("buffer");
      CHECK(trio.helper.ok("check " + here + " " + text + " " + text).number("equal") == 1);
      client->ok("complete " + got.at("id") + " 0 " + text);
      CHECK(trio.server.ok("completion").number("bytes") == size);
    }
  }
  trio.server.refuse("request 65536 0 1", "VDSET_E_MEMORY");
  trio.lend();
  trio.complete(trio.primary.ok("get -1"));
}

TEST_CASE("growth stops at buffers_max, and a set without growth keeps twice its buffers") {
  Plan plan;
  plan.requests = {"4096 0 10"};  // 32 indexes: the next power of two from 20.
  Trio trio(plan);
  trio.server.ok("request 8192 0 22");
  trio.server.refuse("request 12288 0 1", "VDSET_E_MEMORY");
  trio.server.ok("request 12288 0 0");
  trio.lend();
  trio.complete(trio.primary.ok("get -1"));
}

/// A pool comes that the primary has no room for: `limit` takes the room, `lift` gives it back.
static void expect_queued_without(const std::string& limit, const std::string& lift) {
  Plan plan;
  plan.begin = "features=0x10000 block=512 transfer=4194304";
  Trio trio(plan);
  trio.primary.ok(limit);
  trio.server.ok("request 4194304 0 2");
  const std::string buffer = trio.server.ok("allocate 4194304 0").at("buffer");
  trio.server.ok("fill " + buffer + " 4194304 6");
  trio.server.ok("send 2 4194304 buffer=" + buffer);
  trio.primary.refuse("get -1", "VDSET_E_MEMORY");
  trio.primary.refuse("get 0", "VDSET_E_MEMORY");
  trio.primary.ok(lift);
  const Answer got = trio.primary.ok("get -1");
  CHECK(trio.primary.ok("check " + got.at("buffer") + " 4194304 6").number("equal") == 1);
  trio.complete(got);
}

TEST_CASE("a pool that a client cannot map is MEMORY, and its command stays queued") {
  expect_queued_without("limit-memory 1000000", "limit-memory -1");
}

TEST_CASE("a pool whose descriptor a client cannot take is MEMORY, and its command stays queued") {
  expect_queued_without("limit-files 0", "limit-files -1");
}

TEST_CASE("a poll returns although a pool was added and the server stands still") {
  Trio trio({});
  trio.server.ok("request 8192 0 2");
  trio.server.ok("send 2 8192 buffer=" + trio.server.ok("allocate 8192 0").at("buffer"));
  trio.server.stop();
  trio.primary.start("poll", "get 1000000");
  const Answer answer = trio.primary.wait("poll");
  CHECK(answer.error == "VDSET_E_TIMEOUT");
  trio.server.proceed();
  CHECK(trio.primary.ok("get -1").number("size") == 8192);
}
