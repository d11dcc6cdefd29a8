/* bindings/go/glue.h: the calls of vdset.h on the data path. Results come back by value and
 * addresses of C's memory go as numbers, so that nothing escapes to Go's heap and cgo has no
 * pointer to check. */
#ifndef VDSET_GO_GLUE_H
#define VDSET_GO_GLUE_H

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <vdset.h>

struct go_command {
  int32_t code;
  const struct vdset_command* command;
};

struct go_completion {
  int32_t code;
  struct vdset_command* command;
};

struct go_address {
  int32_t code;
  void* address;
};

struct go_bytes {
  int32_t code;
  uint32_t bytes;
  void* address;
};

struct go_handle {
  int32_t code;
  uint32_t handle;
};

static inline struct go_command go_get_command(uintptr_t device) {
  struct go_command out = {0, NULL};
  out.code = vdset_device_get_command((vdset_device*)device, 0, &out.command);
  return out;
}

static inline int32_t go_complete_command(uintptr_t device, uintptr_t command, int32_t code,
                                          uint32_t bytes, int64_t position) {
  return vdset_device_complete_command((vdset_device*)device, (const struct vdset_command*)command,
                                       code, bytes, position);
}

static inline int32_t go_send_command(uintptr_t device, uintptr_t command) {
  return vdset_server_device_send_command((vdset_server_device*)device,
                                          (struct vdset_command*)command);
}

static inline struct go_completion go_next_completion(uintptr_t server) {
  struct go_completion out = {0, NULL};
  out.code = vdset_server_next_completion((vdset_server*)server, 0, &out.command);
  return out;
}

static inline struct go_handle go_set_get_handle(uintptr_t set, uintptr_t buffer) {
  struct go_handle out = {0, 0};
  out.code = vdset_set_get_buffer_handle((vdset_set*)set, (const void*)buffer, &out.handle);
  return out;
}

static inline struct go_bytes go_set_map_handle(uintptr_t set, uint32_t handle) {
  struct go_bytes out = {0, 0, NULL};
  struct vdset_buffer buffer = {sizeof buffer, 0, 0, 0};
  out.code = vdset_set_map_buffer_handle((vdset_set*)set, handle, &out.address);
  if (out.code == VDSET_OK)
    out.code = vdset_set_describe_buffer((vdset_set*)set, out.address, &buffer);
  out.bytes = buffer.data_bytes;
  return out;
}

static inline struct go_handle go_server_get_handle(uintptr_t server, uintptr_t buffer) {
  struct go_handle out = {0, 0};
  out.code =
      vdset_server_get_buffer_handle((vdset_server*)server, (const void*)buffer, &out.handle);
  return out;
}

static inline struct go_bytes go_server_map_handle(uintptr_t server, uint32_t handle) {
  struct go_bytes out = {0, 0, NULL};
  struct vdset_buffer buffer = {sizeof buffer, 0, 0, 0};
  out.code = vdset_server_map_buffer_handle((vdset_server*)server, handle, &out.address);
  if (out.code == VDSET_OK)
    out.code = vdset_server_describe_buffer((vdset_server*)server, out.address, &buffer);
  out.bytes = buffer.data_bytes;
  return out;
}

static inline struct go_address go_allocate_buffer(vdset_server* server, uint32_t size_bytes,
                                                   uint32_t alignment_bytes) {
  struct go_address out = {0, NULL};
  out.code = vdset_server_allocate_buffer(server, size_bytes, alignment_bytes, &out.address);
  return out;
}

/* An index in the place of a pointer. */
static inline void go_set_context(struct vdset_command* command, uintptr_t index) {
  command->context = (void*)index;
}

/* The log: a line becomes one packet of a socket, that a goroutine reads. C never calls Go, since
 * the library logs with its locks held. */
struct go_log {
  int socket;
  uint32_t lost; /* Lines that found no room since the last that did. */
};

struct go_log_head {
  uint32_t level;
  uint32_t lost;
};

static inline void go_log_line(uint32_t level, const char* text, void* context) {
  struct go_log* const log = (struct go_log*)context;
  struct go_log_head head = {level, log->lost};
  struct iovec parts[2] = {{&head, sizeof head}, {(void*)text, strlen(text)}};
  struct msghdr packet = {0};
  packet.msg_iov = parts;
  packet.msg_iovlen = 2;
  if (sendmsg(log->socket, &packet, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
    ++log->lost;
  else
    log->lost = 0;
}

static inline int32_t go_set_log(uint32_t level, struct go_log* log) {
  return vdset_library_set_log(level, log == NULL ? NULL : go_log_line, log);
}

#endif
