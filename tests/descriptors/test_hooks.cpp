// tests/descriptors/test_hooks.cpp: Goal: the host program's allocator and log get all there is and
// nothing after their end. Method: the first calls of a process, counted.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <vdset.h>
#include <cstdlib>
#include <mutex>
#include <set>
#include <string>
#include <vector>
#include "tests/unit/system.hpp"

namespace {

struct Heap {
  std::mutex lock;
  std::set<void*> live;
  std::size_t given = 0;
  bool strange = false;  // A release of what was not allocated here.
  bool empty = false;    // Refuses.
};
Heap heap;

void* allocate(void* context, std::size_t bytes) {
  auto& of = *static_cast<Heap*>(context);
  const std::lock_guard guard(of.lock);
  if (of.empty) return nullptr;
  void* const memory = std::malloc(bytes);
  std::memset(memory, 0xa5, bytes);  // The library must clear it itself.
  of.live.insert(memory);
  ++of.given;
  return memory;
}

void release(void* context, void* memory) {
  auto& of = *static_cast<Heap*>(context);
  const std::lock_guard guard(of.lock);
  of.strange |= of.live.erase(memory) != 1;
  std::free(memory);
}

struct Lines {
  std::mutex lock;
  std::vector<std::pair<std::uint32_t, std::string>> all;
  bool has(const std::string& part) {
    const std::lock_guard guard(lock);
    for (const auto& line : all)
      if (line.second.find(part) != std::string::npos) return true;
    return false;
  }
};

void write_line(std::uint32_t level, const char* text, void* context) {
  auto& to = *static_cast<Lines*>(context);
  const std::lock_guard guard(to.lock);
  to.all.emplace_back(level, text);
}

/// Create, a server, an abort, closes.
void live_and_die() {
  vdset_config wish{};
  wish.struct_bytes = sizeof wish;
  wish.device_count = 1;
  vdset_set* set = nullptr;
  vdset_server* server = nullptr;
  int descriptor = -1;
  REQUIRE(vdset_set_create("hooks", &wish, nullptr, &set) == VDSET_OK);
  REQUIRE(vdset_set_get_descriptor(set, &descriptor) == VDSET_OK);
  REQUIRE(vdset_server_open("hooks", nullptr, &server) == VDSET_OK);
  REQUIRE(vdset_server_signal_abort(server, 3, "the disk is on fire") == VDSET_OK);
  CHECK(vdset_server_close(server) == VDSET_OK);
  CHECK(vdset_set_close(set) == VDSET_OK);
}

}  // namespace

TEST_CASE("hooks in the life of a process") {
  const vdset::unit::Deadline deadline(30);
  const vdset::unit::Scratch scratch;
  setenv("VDSET_RUNTIME_DIR", scratch.path(), 1);
  vdset_allocator mine{sizeof mine, 0, &heap, allocate, release};
  vdset_allocator half = mine;
  half.release = nullptr;
  CHECK(vdset_library_set_allocator(&half) == VDSET_E_INVALID);
  half = mine;
  half.struct_bytes = 0;
  CHECK(vdset_library_set_allocator(&half) == VDSET_E_INVALID);
  CHECK(vdset_library_set_allocator(nullptr) == VDSET_OK);
  CHECK(vdset_supports(VDSET_SUPPORT_ALLOCATOR) == 1);
  CHECK(vdset_library_set_allocator(&mine) == VDSET_OK);

  heap.empty = true;
  vdset_config wish{};
  wish.struct_bytes = sizeof wish;
  wish.device_count = 1;
  vdset_set* set = nullptr;
  CHECK(vdset_set_create("hooks", &wish, nullptr, &set) == VDSET_E_MEMORY);
  CHECK(set == nullptr);
  CHECK(heap.given == 0);
  heap.empty = false;
  CHECK(vdset_library_set_allocator(&mine) == VDSET_E_PROTOCOL);  // Too late: it was asked.

  live_and_die();
  CHECK(heap.given > 0);
  const std::size_t kept = heap.live.size();  // Objects are kept for reuse.
  for (int i = 0; i < 5; ++i)
    live_and_die();
  CHECK(heap.live.size() == kept);
  CHECK_FALSE(heap.strange);
}

TEST_CASE("the log says who came, what ended and why, and ends when told") {
  const vdset::unit::Deadline deadline(30);
  const vdset::unit::Scratch scratch;
  setenv("VDSET_RUNTIME_DIR", scratch.path(), 1);
  Lines lines;
  CHECK(vdset_library_set_log(VDSET_LOG_DEBUG + 1, write_line, &lines) == VDSET_E_INVALID);
  CHECK(vdset_library_set_log(VDSET_LOG_INFO, nullptr, &lines) == VDSET_E_INVALID);
  CHECK(vdset_library_set_log(VDSET_LOG_INFO, write_line, &lines) == VDSET_OK);
  live_and_die();
  CHECK(lines.has("set hooks: created"));
  CHECK(lines.has("the disk is on fire"));
  bool errors = false;
  for (const auto& line : lines.all) {
    CHECK(line.second.find('\n') == std::string::npos);
    CHECK(line.first <= VDSET_LOG_INFO);
    errors |= line.first == VDSET_LOG_ERROR;
  }
  CHECK(errors);

  CHECK(vdset_library_set_log(VDSET_LOG_ERROR, write_line, &lines) == VDSET_OK);
  lines.all.clear();
  live_and_die();
  CHECK_FALSE(lines.has("created"));
  CHECK(lines.has("the disk is on fire"));

  CHECK(vdset_library_set_log(VDSET_LOG_OFF, nullptr, nullptr) == VDSET_OK);
  lines.all.clear();
  live_and_die();
  CHECK(lines.all.empty());
}

TEST_CASE("the queries know what they know") {
  CHECK(vdset_supports(VDSET_SUPPORT_DESCRIPTORS) == 1);
  CHECK(vdset_supports(VDSET_SUPPORT_LOG) == 1);
  for (const std::uint32_t unknown : {0u, 4u, 15u, 19u, 0xffffffffu})
    CHECK(vdset_supports(unknown) == 0);
  for (const std::uint32_t kernel :
       {VDSET_SUPPORT_WAIT_MANY, VDSET_SUPPORT_PEER_PIDFD, VDSET_SUPPORT_SEAL_WRITERS}) {
    const std::int32_t has = vdset_supports(kernel);
    CHECK((has == 0 || has == 1));
    CHECK(vdset_supports(kernel) == has);
  }
}
