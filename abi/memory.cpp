// abi/memory.cpp: the one allocator of this library; see memory.hpp.
#include "abi/memory.hpp"
#ifdef VDSET_MIMALLOC
#include <mimalloc.h>
#else
#include <cstdlib>
#endif

namespace vdset {

#ifdef VDSET_MIMALLOC
void* allocate(std::size_t bytes) {
  return mi_zalloc(bytes);
}
void release(void* memory) {
  mi_free(memory);
}
#else
void* allocate(std::size_t bytes) {
  return std::calloc(1, bytes);
}
void release(void* memory) {
  std::free(memory);
}
#endif

}  // namespace vdset
