// tests/bench/planted.cpp: a regression of one operation, linked around it (-Wl,--wrap): the gate
// must refuse it. A dozen instructions more, as a check too many would cost.
#include "vdset.h"

extern "C" int32_t __real_vdset_set_map_buffer_handle(vdset_set*, uint32_t, void**);
extern "C" int32_t __wrap_vdset_set_map_buffer_handle(vdset_set* set, uint32_t handle,
                                                           void** out) {
  for (int check = 0; check < 4; ++check)
    asm volatile("" : "+r"(check));
  return __real_vdset_set_map_buffer_handle(set, handle, out);
}
