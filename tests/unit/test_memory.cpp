// tests/unit/test_memory.cpp
// Goal: parts are sealed, judged and mapped as docs/format.md says: nobody cuts, grows or, for part
// S, writes them; beside every mapping nobody's memory begins.
// Method: what a hostile client would try, tried; children that touch what must not be touched.
#include <cerrno>
#include "abi/pools.hpp"
#include "abi/port/port.hpp"
#include "tests/support/skip.hpp"
#include "tests/unit/system.hpp"

using namespace vdset;
using namespace vdset::unit;

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

namespace {

constexpr std::size_t part_bytes = 3 * 65536;

/// A part as the server makes it: mapped while writable, then sealed.
struct Part {
  int descriptor;
  port::Mapping mine;

  explicit Part(port::Seal seal, std::size_t bytes = part_bytes)
      : descriptor(port::memory_create(bytes)) {
    REQUIRE(descriptor >= 0);
    REQUIRE(port::memory_map(descriptor, bytes, true, mine) == 0);
    REQUIRE(port::memory_seal(descriptor, seal) == 0);
  }
  ~Part() {
    port::memory_unmap(mine);
    port::close_descriptor(descriptor);
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
};

/// What a client holds: a descriptor of its own, reopened for writing where the kernel lets it.
int reopened(int descriptor) {
  return open(("/proc/self/fd/" + std::to_string(descriptor)).c_str(), O_RDWR | O_CLOEXEC);
}

bool can_map_writable(int descriptor) {
  void* const at = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (at == MAP_FAILED) return false;
  munmap(at, 4096);
  return true;
}

/// The signal that a touch of this byte ends a process with.
int touching(const volatile std::byte* at, bool write) {
  Child child([at, write] {
    if (write)
      *const_cast<volatile std::byte*>(at) = std::byte{1};
    else
      static_cast<void>(*at);
    return 0;
  });
  return child.signal_of_death();
}

/// The same in a process that mapped it itself: a fork does not inherit parts.
int touching_own(int descriptor, bool writable, std::ptrdiff_t offset, bool write) {
  Child child([=] {
    port::Mapping own;
    if (port::memory_map(descriptor, part_bytes, writable, own) != 0) return 1;
    volatile std::byte* const at = own.base + offset;
    if (write)
      *at = std::byte{1};
    else
      static_cast<void>(*at);
    return 0;
  });
  return child.signal_of_death();
}

bool all_zero(const port::Mapping& m) {
  for (std::size_t i = 0; i < m.bytes; ++i)
    if (m.base[i] != std::byte{0}) return false;
  return true;
}

}  // namespace

TEST_CASE("a new part is exactly as large as asked, zero, and has all its pages") {
  for (std::uint64_t bytes : {4096u, 8192u, 65536u, 1048576u}) {
    int part = port::memory_create(bytes);
    REQUIRE(part >= 0);
    CHECK(port::memory_size(part) == -EPERM);  // It could still have another.
    REQUIRE(port::memory_seal(part, port::Seal::fixed_size) == 0);
    CHECK(port::memory_size(part) == static_cast<std::int64_t>(bytes));
    struct stat st {};
    REQUIRE(fstat(part, &st) == 0);
    CHECK(static_cast<std::uint64_t>(st.st_blocks) * 512 >= bytes);
    CHECK((fcntl(part, F_GETFD) & FD_CLOEXEC) != 0);
    port::Mapping m;
    REQUIRE(port::memory_map(part, bytes, false, m) == 0);
    CHECK(all_zero(m));
    port::memory_unmap(m);
    port::close_descriptor(part);
  }
}

TEST_CASE("part S: a client can neither map it writable, nor write, nor cut, nor grow it") {
  const Part s(port::Seal::fixed_size_and_writers);
  const int seals = fcntl(s.descriptor, F_GET_SEALS);
  CHECK((seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_FUTURE_WRITE)) ==
        (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_FUTURE_WRITE));
  const int again = reopened(s.descriptor);
  for (int fd : {s.descriptor, again}) {
    if (fd < 0) continue;
    CHECK_FALSE(can_map_writable(fd));
    CHECK(pwrite(fd, "x", 1, 0) < 0);
    CHECK(errno == EPERM);
    CHECK(ftruncate(fd, 4096) < 0);
    CHECK(ftruncate(fd, 2 * part_bytes) < 0);
    CHECK(fallocate(fd, 0, 0, 2 * part_bytes) < 0);
    CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) < 0);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0);
  }
  if (again >= 0) close(again);
  port::Mapping theirs;
  REQUIRE(port::memory_map(s.descriptor, part_bytes, false, theirs) == 0);
  CHECK(mprotect(theirs.base, 4096, PROT_READ | PROT_WRITE) < 0);
  CHECK(port::memory_map(s.descriptor, part_bytes, true, theirs) != 0);
  s.mine.base[5] = std::byte{42};  // The server still writes, and they see it.
  CHECK(theirs.base[5] == std::byte{42});
  port::memory_unmap(theirs);
  CHECK(touching_own(s.descriptor, false, 5, false) == 0);
  CHECK(touching_own(s.descriptor, false, 5, true) == SIGSEGV);
}

TEST_CASE("parts C, W and D: everybody writes, nobody cuts or grows") {
  const Part part(port::Seal::fixed_size);
  CHECK(can_map_writable(part.descriptor));
  CHECK(ftruncate(part.descriptor, 4096) < 0);
  CHECK(ftruncate(part.descriptor, 2 * part_bytes) < 0);
  CHECK(fallocate(part.descriptor, 0, 0, 2 * part_bytes) < 0);
  CHECK(fcntl(part.descriptor, F_ADD_SEALS, F_SEAL_WRITE) < 0);
  port::Mapping theirs;
  REQUIRE(port::memory_map(part.descriptor, part_bytes, true, theirs) == 0);
  CHECK(theirs.base != part.mine.base);
  theirs.base[part_bytes - 1] = std::byte{7};
  CHECK(part.mine.base[part_bytes - 1] == std::byte{7});
  port::memory_unmap(theirs);
}

TEST_CASE("a received part is judged: honest ones pass") {
  for (port::Seal seal : {port::Seal::fixed_size, port::Seal::fixed_size_and_writers}) {
    const Part part(seal);
    CHECK(port::memory_judge(part.descriptor, part_bytes, seal) == 0);
    CHECK(port::memory_judge(part.descriptor, part_bytes, port::Seal::fixed_size) == 0);
    for (std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{part_bytes - 1},
                                std::uint64_t{part_bytes + 1}, std::uint64_t{1} << 40})
      CHECK(port::memory_judge(part.descriptor, bytes, seal) == -EINVAL);
  }
}

TEST_CASE("a part without all of its seals is refused") {
  for (int seals : {0, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SHRINK | F_SEAL_GROW,
                    F_SEAL_SHRINK | F_SEAL_SEAL, F_SEAL_GROW | F_SEAL_SEAL, int{F_SEAL_SEAL}}) {
    int part = port::memory_create(part_bytes);
    REQUIRE(part >= 0);
    if (seals != 0) REQUIRE(fcntl(part, F_ADD_SEALS, seals) == 0);
    CAPTURE(seals);
    CHECK(port::memory_judge(part, part_bytes, port::Seal::fixed_size) == -EPERM);
    port::close_descriptor(part);
  }
}

TEST_CASE("what is no memory file is refused: files, named memory, pipes, sockets, nothing") {
  Scratch place;
  const std::string path = place / "file";
  int pipe_ends[2], sockets[2];
  REQUIRE(pipe2(pipe_ends, O_CLOEXEC) == 0);
  REQUIRE(port::socket_make_pair(sockets) == 0);
  const std::string name = "/vdset-unit-" + std::to_string(getpid());
  const int shared = shm_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600);
  shm_unlink(name.c_str());
  const int file = open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  const int directory = open(place.path(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int device = open("/dev/zero", O_RDWR | O_CLOEXEC);
  REQUIRE(ftruncate(file, part_bytes) == 0);
  if (shared >= 0) REQUIRE(ftruncate(shared, part_bytes) == 0);
  for (int fd : {file, shared, directory, device, pipe_ends[0], sockets[0], -1}) {
    CAPTURE(fd);
    CHECK(port::memory_judge(fd, part_bytes, port::Seal::fixed_size) < 0);
    CHECK(port::memory_judge(fd, 0, port::Seal::fixed_size) < 0);
  }
  for (int fd :
       {file, shared, directory, device, pipe_ends[0], pipe_ends[1], sockets[0], sockets[1]})
    if (fd >= 0) close(fd);
}

// ---- Mappings ---------------------------------------------------------------------------------

TEST_CASE("a mapping begins at 64 KiB, and before and after it nobody may touch anything") {
  const Part part(port::Seal::fixed_size);
  const auto guard = static_cast<std::ptrdiff_t>(port::page_bytes());
  const auto end = static_cast<std::ptrdiff_t>(part_bytes);
  CHECK(reinterpret_cast<std::uintptr_t>(part.mine.base) % 65536 == 0);
  CHECK(part.mine.bytes == part_bytes);
  for (bool write : {false, true}) {
    CHECK(touching_own(part.descriptor, true, 0, write) == 0);
    CHECK(touching_own(part.descriptor, true, end - 1, write) == 0);
    CHECK(touching_own(part.descriptor, true, -1, write) == SIGSEGV);
    CHECK(touching_own(part.descriptor, true, -guard, write) == SIGSEGV);
    CHECK(touching_own(part.descriptor, true, end, write) == SIGSEGV);
    CHECK(touching_own(part.descriptor, true, end + guard - 1, write) == SIGSEGV);
  }
}

TEST_CASE("a forked child has the parts no more") {
  const Part part(port::Seal::fixed_size);
  CHECK(touching(part.mine.base, false) == SIGSEGV);
  CHECK(touching(part.mine.base + part_bytes - 1, true) == SIGSEGV);
}

TEST_CASE("unmapping gives everything back, guards too, and twice is as good as once") {
  int part = port::memory_create(part_bytes);
  REQUIRE(part >= 0);
  const std::size_t before = mapping_count("---p"), parts = part_mapping_count();
  port::Mapping m[8];
  for (port::Mapping& one : m)
    REQUIRE(port::memory_map(part, part_bytes, true, one) == 0);
  CHECK(part_mapping_count() == parts + 8);
  for (port::Mapping& one : m) {
    port::memory_unmap(one);
    CHECK(one.base == nullptr);
    port::memory_unmap(one);
  }
  CHECK(mapping_count("---p") == before);
  CHECK(part_mapping_count() == parts);
  port::close_descriptor(part);
  CHECK(part == -1);
  port::close_descriptor(part);
}

TEST_CASE("nothing and too much cannot be mapped, and leave nothing behind") {
  const Part part(port::Seal::fixed_size);
  const std::size_t before = mapping_count("-");
  port::Mapping m;
  CHECK(port::memory_map(part.descriptor, 0, true, m) < 0);
  CHECK(port::memory_map(part.descriptor, ~std::uint64_t{0}, true, m) < 0);
  CHECK(port::memory_map(part.descriptor, std::uint64_t{1} << 62, true, m) < 0);
  CHECK(port::memory_map(-1, part_bytes, true, m) == -EBADF);
  CHECK(m.base == nullptr);
  CHECK(mapping_count("-") == before);
}

TEST_CASE("renewed pages are zero and new, the rest is kept, and every mapping sees it") {
  Part part(port::Seal::fixed_size);
  std::memset(part.mine.base, 0x5a, part_bytes);
  port::Mapping theirs;
  REQUIRE(port::memory_map(part.descriptor, part_bytes, false, theirs) == 0);
  REQUIRE(port::memory_renew(part.descriptor, 65536, 65536) == 0);
  bool right = true;
  for (std::size_t i = 0; i < part_bytes; ++i) {
    const std::byte due{i / 65536 == 1 ? std::uint8_t{0} : std::uint8_t{0x5a}};
    right = right && part.mine.base[i] == due && theirs.base[i] == due;
  }
  CHECK(right);
  struct stat st {};
  REQUIRE(fstat(part.descriptor, &st) == 0);
  CHECK(static_cast<std::size_t>(st.st_blocks) * 512 >= part_bytes);
  port::memory_unmap(theirs);
}

// ---- Large pages ------------------------------------------------------------------------------

namespace {

constexpr std::size_t large = std::size_t{2} << 20;

/// As any participant may: puts a part on large pages. False: this kernel makes none on demand.
bool enlarge(const Part& part) {
  constexpr int collapse = 25;  // MADV_COLLAPSE, from Linux 6.1 on.
  const std::size_t bytes = part.mine.bytes;
  std::memset(part.mine.base, 0x5a, bytes);
  void* const area = mmap(nullptr, bytes + large, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(area != MAP_FAILED);
  const auto start = reinterpret_cast<std::uintptr_t>(area);
  void* const at = reinterpret_cast<void*>((start + large - 1) / large * large);
  REQUIRE(mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, part.descriptor, 0) ==
          at);
  bool done = false;
  for (int tries = 0; tries < 10 && !done; ++tries)  // The kernel may hold a page for a moment.
    done = madvise(at, bytes, collapse) == 0;
  munmap(area, bytes + large);
  return done;
}

/// The kernel, too, may hold a page for a moment.
int renew_in_the_end(int descriptor, std::uint64_t offset) {
  int error = -EBUSY;
  for (int tries = 0; tries < 100 && error == -EBUSY; ++tries)
    error = port::memory_renew(descriptor, offset, 65536);
  return error;
}

/// One page, held as a kernel holds it that reads or writes for a process.
class Pin {
 public:
  explicit Pin(std::byte* page) {
    REQUIRE(pipe(ends_) == 0);
    const iovec io{page, 4096};
    REQUIRE(vmsplice(ends_[1], &io, 1, 0) == 4096);
  }
  ~Pin() {
    close(ends_[0]);
    close(ends_[1]);
  }
  /// The first byte of the page, as its holder sees it.
  std::byte look() const {
    std::byte page[4096];
    REQUIRE(read(ends_[0], page, sizeof page) == sizeof page);
    return page[0];
  }

 private:
  int ends_[2];
};

}  // namespace

TEST_CASE("who holds a page that is renewed goes on with the old one") {
  Part part(port::Seal::fixed_size, 65536);
  std::memset(part.mine.base, 0x5a, part.mine.bytes);
  const Pin pin(part.mine.base + 4096);
  REQUIRE(port::memory_renew(part.descriptor, 0, 65536) == 0);
  std::memset(part.mine.base, 1, part.mine.bytes);
  CHECK(pin.look() == std::byte{0x5a});
}

TEST_CASE("part of a large page is renewed, but not while somebody holds a page of it") {
  Part part(port::Seal::fixed_size, 2 * large);
  if (!enlarge(part)) return support::skip("no large pages on demand here");
  {
    const Pin pin(part.mine.base + 65536);
    CHECK(port::memory_renew(part.descriptor, 65536, 65536) == -EBUSY);
    CHECK(port::memory_renew(part.descriptor, 131072, 65536) == -EBUSY);
    CHECK(renew_in_the_end(part.descriptor, large) == 0);
  }
  CHECK(renew_in_the_end(part.descriptor, 65536) == 0);
  CHECK(part.mine.base[65536] == std::byte{0});
  CHECK(part.mine.base[0] == std::byte{0x5a});
}

TEST_CASE("the system has some memory to spare") {
  CHECK(port::memory_available() > 0);
  CHECK(port::page_bytes() >= 4096);
}

// ---- abi/pools.hpp ----------------------------------------------------------------------------

TEST_CASE("eight pools are mapped one after the other; closed, nothing of them is left") {
  const std::size_t descriptors = descriptor_count(), reserved = mapping_count("---p");
  Pools pools;
  std::uint32_t slots = 0;
  for (std::uint32_t i = 0; i < 8; ++i) {
    const core::PoolPlan plan = core::plan_pool(slots, 2, 4096 * (i + 1), 512, 0, 4096);
    const core::PoolMap& old = pools.map();
    int part = port::memory_create(plan.bytes());
    REQUIRE(part >= 0);
    REQUIRE(pools.add(plan, part, true, i % 2 == 0) == 0);
    slots += 2;
    CHECK(old.count() == i);  // A reader of the old version goes on with it.
    CHECK(pools.map().count() == i + 1);
    CHECK(pools.map().slot_total() == slots);
    CHECK(pools.descriptor(i) == (i % 2 == 0 ? part : -1));
    *pools.map().data(slots - 1) = std::byte{1};
  }
  CHECK(descriptor_count() == descriptors + 4);
  pools.close();
  CHECK(pools.map().count() == 0);
  CHECK(descriptor_count() == descriptors);
  CHECK(part_mapping_count() == 0);
  CHECK(mapping_count("---p") == reserved);
}

TEST_CASE("a pool that cannot be mapped leaves the table as it was, the descriptor to the caller") {
  const std::size_t descriptors = descriptor_count();
  Pools pools;
  const core::PoolPlan plan = core::plan_pool(0, 2, 4096, 512, 0, 4096);
  const Part s(port::Seal::fixed_size_and_writers);
  CHECK(pools.add(plan, s.descriptor, true, true) < 0);
  CHECK(pools.map().count() == 0);
  CHECK(pools.descriptor(0) == -1);
  CHECK(descriptor_count() == descriptors + 1);
  CHECK(port::memory_size(s.descriptor) == part_bytes);
  pools.close();
}
