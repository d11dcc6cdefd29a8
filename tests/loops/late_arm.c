/* late_arm.c: preloaded to an agent, it makes the hundredth arm of a device two seconds late. From
 * the engine's side that is a wake that was lost, and found at the end of a slice: it must be seen.
 */
#include <dlfcn.h>
#include <time.h>
#include <vdset.h>

VDSET_API int32_t vdset_device_arm(vdset_device* device) {
  static int32_t (*real_arm)(vdset_device * device);
  static int arms;
  const struct timespec late = {2, 0};
  if (real_arm == NULL) *(void**)&real_arm = dlsym(RTLD_NEXT, "vdset_device_arm");
  if (++arms == 100) nanosleep(&late, NULL);
  return real_arm(device);
}
