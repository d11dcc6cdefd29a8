/* bindings/go/internal/cloop/cloop.h: the round trips of the benchmarks, in C. */
#ifndef VDSET_GO_CLOOP_H
#define VDSET_GO_CLOOP_H

#include <stdlib.h>
#include <vdset.h>

struct cloop_rig {
  vdset_set* set;
  vdset_device* device;
  vdset_server* server;
  vdset_server_device* engine;
  struct vdset_command* command; /* Not in the rig, which is Go's memory. */
  void* buffer;
};

static inline int32_t cloop_open(struct cloop_rig* rig, const char* name, const char* directory) {
  struct vdset_config config = {.struct_bytes = sizeof config, .device_count = 1};
  const struct vdset_set_options options = {.struct_bytes = sizeof options, .directory = directory};
  const struct vdset_join_options join = {.struct_bytes = sizeof join, .directory = directory};
  const struct vdset_base_configuration base = {sizeof base, VDSET_FEATURE_WRITE_MEDIA, 512, 0,
                                                65536};
  int32_t code;
  vdset_set* set = NULL;
  vdset_device* device = NULL;
  vdset_server* server = NULL;
  vdset_server_device* engine = NULL;
  void* buffer = NULL;
  if ((code = vdset_set_create(name, &config, &options, &set)) ||
      (code = vdset_server_open(name, &join, &server)) ||
      (code = vdset_server_begin_configuration(server, &base)) ||
      (code = vdset_server_request_buffers(server, 65536, 0, 1)) ||
      (code = vdset_server_end_configuration(server)) ||
      (code = vdset_set_get_configuration(set, VDSET_INFINITE, &config)) ||
      (code = vdset_server_open_device(server, name, &engine)) ||
      (code = vdset_set_open_device(set, name, &device)) ||
      (code = vdset_server_allocate_buffer(server, 65536, 0, &buffer)))
    return code;
  struct vdset_command* const command = (struct vdset_command*)calloc(1, sizeof *command);
  command->struct_bytes = sizeof *command;
  command->code = VDSET_COMMAND_WRITE;
  command->size = 65536;
  command->buffer = buffer;
  *rig = (struct cloop_rig){set, device, server, engine, command, buffer};
  return VDSET_OK;
}

static inline int cloop_commands(struct cloop_rig* rig, long n) {
  const struct vdset_command* fetched;
  struct vdset_command* done;
  for (long i = 0; i < n; ++i) {
    if (vdset_server_device_send_command(rig->engine, rig->command) ||
        vdset_device_get_command(rig->device, 0, &fetched) ||
        vdset_device_complete_command(rig->device, fetched, VDSET_SUCCESS, 65536, 0) ||
        vdset_server_next_completion(rig->server, 0, &done))
      return 0;
  }
  return 1;
}

static inline int cloop_handles(struct cloop_rig* rig, long n) {
  const struct vdset_command* fetched;
  struct vdset_command* done;
  int good = 1;
  if (vdset_server_device_send_command(rig->engine, rig->command) ||
      vdset_device_get_command(rig->device, 0, &fetched))
    return 0;
  for (long i = 0; i < n; ++i) {
    uint32_t handle;
    void* address;
    good &= vdset_set_get_buffer_handle(rig->set, fetched->buffer, &handle) == VDSET_OK &&
            vdset_set_map_buffer_handle(rig->set, handle, &address) == VDSET_OK &&
            address == fetched->buffer;
  }
  return good && !vdset_device_complete_command(rig->device, fetched, VDSET_SUCCESS, 65536, 0) &&
         !vdset_server_next_completion(rig->server, 0, &done);
}

/* As little as a call of C can be. */
static inline int32_t cloop_nothing(uintptr_t object, uint32_t number) {
  return object != 0 ? (int32_t)number : 0;
}

static inline void cloop_close(struct cloop_rig* rig) {
  vdset_set_close(rig->set);
  vdset_server_close(rig->server);
  free(rig->command);
}

#endif
