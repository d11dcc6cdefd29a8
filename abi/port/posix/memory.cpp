// abi/port/posix/memory.cpp: sealed memory files, mappings between guard pages, what the system can
// spare.
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include "abi/port/port.hpp"
#include "abi/port/posix/sys.hpp"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace vdset::port {
namespace {

// core::alignment_max: data starts are aligned in every process.
constexpr std::size_t base_alignment = 65536;
constexpr int size_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

int create_file() {
  constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  // Linux 6.3 wants to be told that the memory is never to be executed; older ones refuse the flag.
  const int fault = next_fault(Call::noexec_seal);
  if (fault == 0) {
    const int fd =
        sys(Call::memfd_create, [] { return memfd_create("vdset", flags | MFD_NOEXEC_SEAL); });
    if (fd >= 0 || errno != EINVAL) return fd;
  }
  return sys(Call::memfd_create, [] { return memfd_create("vdset", flags); });
}

/// A number from a one-line file such as memory.max; max when absent or not a number.
std::uint64_t read_number(const char* path) {
  char text[64] = {};
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return UINT64_MAX;
  const ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  if (got <= 0 || text[0] < '0' || text[0] > '9') return UINT64_MAX;
  return std::strtoull(text, nullptr, 10);
}

std::uint64_t cgroup_room() {
  const std::uint64_t limit = read_number("/sys/fs/cgroup/memory.max");
  const std::uint64_t used = read_number("/sys/fs/cgroup/memory.current");
  if (limit == UINT64_MAX || used == UINT64_MAX) return UINT64_MAX;
  return limit > used ? limit - used : 0;
}

std::uint64_t available_kib() {
  std::FILE* file = std::fopen("/proc/meminfo", "re");
  if (file == nullptr) return UINT64_MAX;
  char line[128];
  unsigned long long kib = 0;
  bool found = false;
  while (!found && std::fgets(line, sizeof line, file) != nullptr)
    found = std::sscanf(line, "MemAvailable: %llu", &kib) == 1;
  std::fclose(file);
  return found ? kib : UINT64_MAX;
}

}  // namespace

std::uint32_t page_bytes() {
  static const auto bytes = static_cast<std::uint32_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

int memory_create(std::uint64_t bytes) {
  int fd = create_file();
  if (fd < 0) return -errno;
  int failed = sys(Call::ftruncate, [&] { return ftruncate(fd, static_cast<off_t>(bytes)); });
  // Every page now: later there would be nobody to tell but a SIGBUS.
  while (failed == 0) {
    failed = sys(Call::fallocate, [&] { return fallocate(fd, 0, 0, static_cast<off_t>(bytes)); });
    if (failed == 0) return fd;
    if (errno == EINTR) failed = 0;
  }
  const int error = -errno;
  close_descriptor(fd);
  return error;
}

int memory_seal(int descriptor, Seal seal) {
  if (seal == Seal::fixed_size_and_writers && next_fault(Call::future_write_seal) == 0) {
    const int done = sys(Call::seal, [&] {
      return fcntl(descriptor, F_ADD_SEALS, size_seals | F_SEAL_FUTURE_WRITE);
    });
    if (done == 0 || errno != EINVAL) return result_of(done);
  }
  return result_of(sys(Call::seal, [&] { return fcntl(descriptor, F_ADD_SEALS, size_seals); }));
}

bool has_seal_writers() {
  int descriptor = create_file();
  const bool sealed = descriptor >= 0 && next_fault(Call::future_write_seal) == 0 &&
                      fcntl(descriptor, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0;
  close_descriptor(descriptor);
  return sealed;
}

bool memory_is_read_only(int descriptor) {
  const int seals = fcntl(descriptor, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_FUTURE_WRITE) != 0;
}

std::int64_t memory_size(int descriptor) {
  // Seals first: a size that is read before them can be cut before they are set, and what is no
  // memory file answers here without its file system, which may be a peer's own, being asked.
  const int seals = sys(Call::get_seals, [&] { return fcntl(descriptor, F_GET_SEALS); });
  if (seals < 0 || (seals & size_seals) != size_seals) return -EPERM;
  struct stat st;
  struct statfs fs;
  if (fstat(descriptor, &st) != 0 || fstatfs(descriptor, &fs) != 0) return -errno;
  // Huge pages can run out after the size was promised.
  return S_ISREG(st.st_mode) && fs.f_type == TMPFS_MAGIC ? std::int64_t{st.st_size} : -EPERM;
}

int memory_judge(int descriptor, std::uint64_t bytes, Seal seal) {
  const std::int64_t size = memory_size(descriptor);
  if (size < 0) return static_cast<int>(size);
  // The writers' seal is not demanded: it protects the server, and the server's kernel may not have
  // it.
  static_cast<void>(seal);
  return static_cast<std::uint64_t>(size) == bytes ? 0 : -EINVAL;
}

int memory_map(int descriptor, std::uint64_t bytes, bool writable, Mapping& out) {
  const std::size_t guard = page_bytes();
  if (bytes == 0 || bytes > SIZE_MAX / 2) return -ENOMEM;
  const auto size = static_cast<std::size_t>(bytes);
  const std::size_t reserve = size + base_alignment + 2 * guard;
  void* const area = sys(Call::mmap, [&] {
    return mmap(nullptr, reserve, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  });
  if (area == MAP_FAILED) return -errno;
  const auto start = reinterpret_cast<std::uintptr_t>(area);
  const std::uintptr_t base =
      (start + guard + base_alignment - 1) / base_alignment * base_alignment;
  void* const at = sys(Call::mmap, [&] {
    return mmap(reinterpret_cast<void*>(base), size, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                MAP_SHARED | MAP_FIXED, descriptor, 0);
  });
  if (at == MAP_FAILED) {
    const int error = -errno;
    munmap(area, reserve);
    return error;
  }
  // Give back what lies outside the two guard pages.
  const std::uintptr_t low = base - guard;
  const std::uintptr_t high = (base + size + guard - 1) / guard * guard + guard;
  if (low > start) munmap(area, low - start);
  if (start + reserve > high) munmap(reinterpret_cast<void*>(high), start + reserve - high);
  madvise(at, size, MADV_DONTFORK);
  out = {reinterpret_cast<std::byte*>(base), size};
  return 0;
}

int memory_write(int descriptor, std::uint64_t offset, gsl::span<const std::byte> from) {
  for (std::size_t done = 0; done < from.size();) {
    const ssize_t got = sys(Call::pwrite, [&] {
      return pwrite(descriptor, from.data() + done, from.size() - done,
                    static_cast<off_t>(offset + done));
    });
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -errno;
    if (got == 0) return -ENOSPC;
    done += static_cast<std::size_t>(got);
  }
  return 0;
}

void memory_unmap(Mapping& mapping) {
  if (mapping.base == nullptr) return;
  const std::size_t guard = page_bytes();
  const std::size_t size = (mapping.bytes + guard - 1) / guard * guard;
  munmap(mapping.base - guard, size + 2 * guard);
  mapping = {};
}

/// Takes the pages away. 0 or -errno; -EBUSY: some are there.
static int punch(int descriptor, off_t at, off_t size) {
  const int punched = sys(Call::fallocate, [&] {
    return fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, size);
  });
  if (punched != 0) return -errno;
  // Part of a large page that somebody has pinned is only cleared: whoever has it pinned would see
  // what comes there next.
  const off_t data = lseek(descriptor, at, SEEK_DATA);
  if (data < 0) return errno == ENXIO ? 0 : -errno;
  return data < at + size ? -EBUSY : 0;
}

int memory_renew(int descriptor, std::uint64_t offset, std::uint64_t bytes) {
  constexpr int tries = 3;
  const auto at = static_cast<off_t>(offset);
  const auto size = static_cast<off_t>(bytes);
  int error = punch(descriptor, at, size);
  // The kernel itself holds pages for a moment; and who looks there brings one back.
  for (int i = 1; i < tries && error == -EBUSY; ++i) {
    pause_briefly();
    error = punch(descriptor, at, size);
  }
  if (error != 0) return error;
  return result_of(sys(Call::fallocate, [&] { return fallocate(descriptor, 0, at, size); }));
}

std::uint64_t memory_available() {
  const std::uint64_t kib = available_kib();
  const std::uint64_t half = kib == UINT64_MAX ? UINT64_MAX : kib * 512;
  const std::uint64_t room = cgroup_room();
  return half < room ? half : room;
}

bool has_descriptors(unsigned count) {
  if (count == 0) return true;
  int one = signal_create();  // Any will do.
  const bool more = one >= 0 && has_descriptors(count - 1);
  close_descriptor(one);
  return more;
}

void close_descriptor(int& descriptor) {
  if (descriptor >= 0) close(descriptor);
  descriptor = -1;
}

}  // namespace vdset::port
