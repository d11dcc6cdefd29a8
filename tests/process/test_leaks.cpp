// tests/process/test_leaks.cpp: what a hundred backups leave behind: nothing.
// The C library keeps memory for threads that ended, and gives new threads heaps of their own, the
// more the more processors there are: the roles here run without either, so that their address
// space is exactly as large after each backup.
#include <doctest/doctest.h>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>
#include "tests/support/process.hpp"

using namespace process;

namespace {

std::vector<std::string> shared_memory_nodes() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm"))
    out.push_back(entry.path().filename().string());
  return out;
}

/// Roles that are started while it lives: one heap for all threads, no stacks kept.
class ExactMemory {
 public:
  ExactMemory() {
    setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=1:glibc.pthread.stack_cache_size=0", 1);
  }
  ~ExactMemory() { unsetenv("GLIBC_TUNABLES"); }
};

/// The address sanitizer's own memory comes and goes.
#ifdef __SANITIZE_ADDRESS__
constexpr bool counts_memory = false;
#else
constexpr bool counts_memory = true;
#endif

/// Pages of the program that are touched for the first time, and parts of the heap.
constexpr std::int64_t resident_slack_kib = 256;

void expect_same(const Answer& before, const Answer& after) {
  CHECK(after.number("descriptors") == before.number("descriptors"));
  CHECK(after.number("threads") == before.number("threads"));
  CHECK(after.number("files") == 0);
  if (!counts_memory) return;
  CHECK(after.number("addresses") == before.number("addresses"));
  CHECK(after.signed_number("resident") <= before.signed_number("resident") + resident_slack_kib);
}

/// One backup: two devices of the primary's, one for each secondary.
void back_up(Role& server, Role& primary, Role& one, Role& two) {
  Plan plan;
  plan.devices = 4;
  plan.requests = {"65536 0 8"};
  configure(server, primary, "leak", plan);
  one.ok("join leak");
  two.ok("join leak");
  activate(server, "leak", 4);
  primary.start("consume", "consume devices=leak,leak.1");
  one.start("consume", "consume devices=leak.2");
  two.start("consume", "consume devices=leak.3");
  server.ok("produce count=8 size=65536 devices=" + device_names("leak", 0, 4));
  for (Role* client : {&primary, &one, &two})
    CHECK(client->wait_ok("consume").number("bad") == 0);
  server.wait_ok("agent");
  for (Role* client : {&one, &two, &primary})
    client->ok("close");
  server.ok("server-close");
}

}  // namespace

TEST_CASE("100 backups between four processes leave nothing behind") {
  const std::vector<std::string> shm = shared_memory_nodes();
  const ExactMemory exact;
  Stage stage;
  std::vector<Role*> roles;
  for (const char* name : {"server", "primary", "one", "two"})
    roles.push_back(&stage.add(name));
  const auto round = [&] { back_up(*roles[0], *roles[1], *roles[2], *roles[3]); };
  for (int i = 0; i < 5; ++i)
    round();
  std::vector<Answer> before;
  for (Role* role : roles)
    before.push_back(role->ok("usage"));
  for (int i = 0; i < 100; ++i)
    round();
  for (std::size_t i = 0; i < roles.size(); ++i) {
    CAPTURE(roles[i]->name());
    expect_same(before[i], roles[i]->ok("usage"));
  }
  CHECK(shared_memory_nodes() == shm);
  CHECK(stage.nodes().empty());
}

TEST_CASE("100 backups with all roles in one process leave nothing behind") {
  const std::vector<std::string> shm = shared_memory_nodes();
  const ExactMemory exact;
  Stage stage;
  Role& all = stage.add("all");
  all.ok("backups 5 leak");
  const Answer before = all.ok("usage");
  for (int i = 0; i < 10; ++i)
    all.ok("backups 10 leak");
  expect_same(before, all.ok("usage"));
  CHECK(shared_memory_nodes() == shm);
  CHECK(stage.nodes().empty());
}

TEST_CASE("sets that are aborted, or whose processes are killed, leave nothing behind either") {
  const std::vector<std::string> shm = shared_memory_nodes();
  const ExactMemory exact;
  Stage stage;
  Role& server = stage.add("server");
  Role& primary = stage.add("primary");
  const auto round = [&](bool kill) {
    Plan plan;
    plan.devices = 2;
    configure(server, primary, "leak", plan);
    activate(server, "leak", 2);
    Role& secondary = stage.add("secondary");
    secondary.ok("join leak");
    secondary.ok("open leak.1");
    primary.ok("open leak");
    server.ok("send 2 4096 device=leak.1 buffer=" + server.ok("allocate 4096 0").at("buffer"));
    secondary.ok("get -1");
    if (kill) {
      secondary.kill();
      CHECK(server.ok("completion").number("code") == 995);
      server.ok("server-abort 0");
    } else {
      secondary.ok("abort 0");
      CHECK(server.ok("completion").number("code") == 995);
    }
    server.wait_refused("agent", "VDSET_E_ABORT");
    bury(server, primary);
    stage.drop_last();
  };
  for (int i = 0; i < 4; ++i)
    round(i % 2 == 0);
  const Answer server_before = server.ok("usage");
  const Answer primary_before = primary.ok("usage");
  for (int i = 0; i < 40; ++i)
    round(i % 2 == 0);
  expect_same(server_before, server.ok("usage"));
  expect_same(primary_before, primary.ok("usage"));
  CHECK(shared_memory_nodes() == shm);
  CHECK(stage.nodes().empty());
}
