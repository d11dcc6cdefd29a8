// abi/port/posix/alive.cpp: the kernel's robust-futex list, used raw: when the library thread ends
// for whatever reason, the kernel
// sets FUTEX_OWNER_DIED in each enlisted word and wakes a sleeper, long before the process's memory
// is torn down.
//
// A robust list has one distance between every list node and its word. Words lie in shared memory
// (S, W), nodes must be private: so pages
// with words are mapped into one area, nodes live at the same place of a second area, and the
// distance of the areas is the distance.
// All calls under the library thread's lock.
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "abi/port/port.hpp"
#include "abi/port/posix/sys.hpp"

namespace vdset::port {
namespace {

constexpr int places_max = 256;
constexpr std::uint32_t words_max = 2000;  // The kernel walks at most 2048.

struct Table {
  std::byte* nodes = nullptr;  // Private memory.
  std::byte* words = nullptr;  // Aliases of shared pages.
  bool used[places_max] = {};
  std::uint32_t enlisted = 0;
  robust_list_head head{};
};
Table table;

std::size_t area_bytes() {
  return std::size_t{places_max} * page_bytes();
}

robust_list* node_at(int place, std::uint32_t byte) {
  return reinterpret_cast<robust_list*>(table.nodes + std::size_t(place) * page_bytes() + byte);
}

}  // namespace

int alive_start() {
  if (table.nodes == nullptr) {
    void* const area = sys(Call::mmap, [] {
      return mmap(nullptr, 2 * area_bytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                  -1, 0);
    });
    if (area == MAP_FAILED) return -errno;
    auto* const nodes = static_cast<std::byte*>(area);
    if (mprotect(nodes, area_bytes(), PROT_READ | PROT_WRITE) != 0) {
      const int error = -errno;
      munmap(area, 2 * area_bytes());
      return error;
    }
    madvise(area, 2 * area_bytes(), MADV_DONTFORK);
    table.nodes = nodes;
    table.words = nodes + area_bytes();
  }
  table.enlisted = 0;
  table.head.list.next = &table.head.list;
  table.head.futex_offset = static_cast<long>(table.words - table.nodes);
  table.head.list_op_pending = nullptr;
  const int error = result_of(sys(Call::robust_list, [] {
    return syscall(SYS_set_robust_list, &table.head, sizeof table.head);
  }));
  if (error != 0) alive_stop();
  return error;
}

void alive_stop() {
  syscall(SYS_set_robust_list, nullptr, sizeof table.head);
  if (table.nodes != nullptr) munmap(table.nodes, 2 * area_bytes());
  table = Table{};
}

void alive_forget() {
  table = Table{};
}

int alive_map(int descriptor, std::uint64_t offset) {
  int place = 0;
  while (place < places_max && table.used[place])
    ++place;
  if (place == places_max || table.words == nullptr) return -ENOSPC;
  void* const at = sys(Call::mmap, [&] {
    return mmap(table.words + std::size_t(place) * page_bytes(), page_bytes(),
                PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor,
                static_cast<off_t>(offset));
  });
  if (at == MAP_FAILED) return -errno;
  madvise(at, page_bytes(), MADV_DONTFORK);
  table.used[place] = true;
  return place;
}

void alive_unmap(int place) {
  if (place < 0 || !table.used[place]) return;
  void* const at = table.words + std::size_t(place) * page_bytes();
  mmap(at, page_bytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  madvise(at, page_bytes(), MADV_DONTFORK);
  table.used[place] = false;
}

int alive_enlist(int place, std::uint32_t byte) {
  if (place < 0 || table.enlisted == words_max) return -ENOSPC;
  robust_list* const node = node_at(place, byte);
  node->next = table.head.list.next;
  // One store: a kernel that walks the list now sees it with or without the node.
  __atomic_store_n(&table.head.list.next, node, __ATOMIC_RELEASE);
  ++table.enlisted;
  return 0;
}

void alive_delist(int place, std::uint32_t byte) {
  if (place < 0 || table.nodes == nullptr) return;
  robust_list* const node = node_at(place, byte);
  for (robust_list* at = &table.head.list; at->next != &table.head.list; at = at->next) {
    if (at->next != node) continue;
    __atomic_store_n(&at->next, node->next, __ATOMIC_RELEASE);
    --table.enlisted;
    return;
  }
}

}  // namespace vdset::port
