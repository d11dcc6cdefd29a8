/* kill_at_naming.c: preloaded into vdset: kills it just before the Nth step of putting a backup in
 * place, N from the environment's KILL_AT. A step is a rename, or the removal of a device file or
 * of the marker. */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void count_step(void) {
  static int steps;
  const char* at = getenv("KILL_AT");
  steps += 1;
  if (at != NULL && steps == atoi(at)) kill(getpid(), SIGKILL);
}

int rename(const char* from, const char* to) {
  int (*next)(const char*, const char*);
  *(void**)&next = dlsym(RTLD_NEXT, "rename");
  count_step();
  return next(from, to);
}

int unlink(const char* path) {
  const char* slash = strrchr(path, '/');
  const char* name = slash != NULL ? slash + 1 : path;
  int (*next)(const char*);
  *(void**)&next = dlsym(RTLD_NEXT, "unlink");
  if (strncmp(name, "device-", 7) == 0 || strncmp(name, ".commit-", 8) == 0) count_step();
  return next(path);
}
