// abi/memory.cpp: the one allocator of this library; see memory.hpp.
#include "abi/memory.hpp"
#include <atomic>
#include <cstring>
#include "abi/error.hpp"
#include "abi/set.hpp"
#ifdef VDSET_MIMALLOC
#include <mimalloc.h>
#else
#include <cstdlib>
#endif

namespace vdset {
namespace {

#ifdef VDSET_MIMALLOC
void* allocate_own(void*, std::size_t bytes) {
  return mi_malloc(bytes);
}
void release_own(void*, void* memory) {
  mi_free(memory);
}
#else
void* allocate_own(void*, std::size_t bytes) {
  return std::malloc(bytes);
}
void release_own(void*, void* memory) {
  std::free(memory);
}
#endif

constexpr vdset_allocator own{sizeof(vdset_allocator), 0, nullptr, allocate_own, release_own};

// Constant once something was allocated: memory goes back to where it came from.
vdset_allocator current = own;
std::atomic<bool> in_use{false};

}  // namespace

void* allocate(std::size_t bytes) {
  in_use.store(true, std::memory_order_relaxed);
  void* const memory = current.allocate(current.context, bytes);
  if (memory != nullptr) std::memset(memory, 0, bytes);
  return memory;
}

void release(void* memory) {
  if (memory != nullptr) current.release(current.context, memory);
}

}  // namespace vdset

using namespace vdset;

extern "C" int32_t vdset_library_set_allocator(const vdset_allocator* given) {
  vdset_allocator allocator = own;
  const std::int32_t result =
      given != nullptr ? read_options(given, "vdset_allocator", allocator) : VDSET_OK;
  if (result != VDSET_OK) return result;
  if (allocator.allocate == nullptr || allocator.release == nullptr)
    return fail(VDSET_E_INVALID, "vdset_allocator: both allocate and release are needed");
  if (in_use.load(std::memory_order_relaxed))
    return fail(VDSET_E_PROTOCOL,
                "allocator: the library has memory already; set it before any other call");
  current = allocator;
  return VDSET_OK;
}
