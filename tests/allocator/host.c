/* A host program that links with libvdset.so (or loads it) and answers one question about
 * allocators. Exit code 0: the host keeps its own, the library has mimalloc. Also built as C++. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __cplusplus
#include <new>
#endif
#include <vdset.h>

typedef int32_t (*create_call)(const char *, const struct vdset_config *,
                               const struct vdset_set_options *, vdset_set **);
typedef int32_t (*close_call)(vdset_set *);
typedef bool (*heap_question)(const void *);

static create_call create_set;
static close_call close_set;

static int find_library(const char *path) {
#ifdef BY_DLOPEN
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    printf("dlopen: %s\n", dlerror());
    return 1;
  }
  *(void **)&create_set = dlsym(library, "vdset_set_create");
  *(void **)&close_set = dlsym(library, "vdset_set_close");
#else
  (void)path;
  create_set = vdset_set_create;
  close_set = vdset_set_close;
#endif
  return create_set == NULL || close_set == NULL;
}

/* Does this address belong to the library whose file name begins so? */
static bool lives_in(const void *address, const char *wanted) {
  Dl_info found;
  if (address == NULL || dladdr(address, &found) == 0 || found.dli_fname == NULL) return false;
  const char *slash = strrchr(found.dli_fname, '/');
  const char *name = slash != NULL ? slash + 1 : found.dli_fname;
  if (strncmp(name, wanted, strlen(wanted)) == 0) return true;
  printf("found in %s, not in %s\n", found.dli_fname, wanted);
  return false;
}

static int note_mimalloc(struct dl_phdr_info *info, size_t bytes, void *context) {
  (void)bytes;
  if (strstr(info->dlpi_name, "/libmimalloc") == NULL) return 0;
  snprintf((char *)context, 4096, "%s", info->dlpi_name);
  return 1;
}

/* mimalloc's own word on whether it owns an address; NULL when it is not loaded. */
static heap_question mimalloc_owns(void) {
  char path[4096];
  heap_question question = NULL;
  if (dl_iterate_phdr(note_mimalloc, path) == 0) {
    printf("mimalloc is not loaded\n");
    return NULL;
  }
  void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
  if (library != NULL) *(void **)&question = dlsym(library, "mi_is_in_heap_region");
  return question;
}

static vdset_set *make_set(void) {
  struct vdset_config wish;
  vdset_set *set = NULL;
  memset(&wish, 0, sizeof wish);
  wish.struct_bytes = sizeof wish;
  wish.device_count = 1;
  if (create_set("allocator", &wish, NULL, &set) == VDSET_OK) return set;
  printf("no set was created\n");
  return NULL;
}

static bool symbols_are_libc(void) {
  static const char *const names[] = {"malloc", "calloc", "realloc", "free", "posix_memalign",
                                      "aligned_alloc", "malloc_usable_size"};
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    if (!lives_in(dlsym(RTLD_DEFAULT, names[i]), "libc.so")) return false;
  }
  return lives_in((const void *)(uintptr_t)&malloc, "libc.so") &&
         lives_in((const void *)(uintptr_t)&free, "libc.so");
}

/* A C program has no operator new; which one the library uses is its own business. */
static bool new_is_not_mimalloc(heap_question owns) {
#ifdef __cplusplus
  void *block = ::operator new(64);
  bool good = !owns(block) && lives_in(dlsym(RTLD_DEFAULT, "_Znwm"), "libstdc++.so");
  ::operator delete(block);
  return good;
#else
  return owns != NULL;
#endif
}

static bool blocks_are_not_mimalloc(heap_question owns) {
  for (size_t bytes = 1; bytes <= (size_t)1 << 24; bytes *= 2) {
    void *block = malloc(bytes);
    bool good = block != NULL && !owns(block);
    block = realloc(block, bytes * 3);
    good = good && block != NULL && !owns(block);
    free(block);
    if (!good) return false;
  }
  return true;
}

static bool objects_are_mimalloc(heap_question owns) {
  vdset_set *set = make_set();
  bool good = set != NULL && owns(set);
  return set != NULL && close_set(set) == VDSET_OK && good;
}

static bool answer(const char *question) {
  heap_question owns = mimalloc_owns();
  if (owns == NULL) return false;
  if (strcmp(question, "symbols") == 0) return symbols_are_libc();
  if (strcmp(question, "new") == 0) return new_is_not_mimalloc(owns);
  if (strcmp(question, "objects") == 0) return objects_are_mimalloc(owns);
  if (strcmp(question, "blocks") == 0) {
    vdset_set *set = make_set(); /* With the library at work, not only loaded. */
    bool good = set != NULL && blocks_are_not_mimalloc(owns) && symbols_are_libc();
    return set != NULL && close_set(set) == VDSET_OK && good;
  }
  printf("no such question: %s\n", question);
  return false;
}

int main(int count, char **words) {
  if (count != 3 || find_library(words[1]) != 0) return 2;
  return answer(words[2]) ? 0 : 1;
}
