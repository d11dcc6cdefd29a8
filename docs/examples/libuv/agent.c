/* agent.c: a backup agent in a libuv loop. The set and each device is a uv_poll_t; no thread waits.
 *
 *   agent SET DEVICES
 *
 * cc agent.c $(pkg-config --cflags --libs vdset libuv) -o agent
 *
 * The devices are SET, SET.1, SET.2 ... The engine beside it (engine.c) numbers what it sends on
 * each; this agent sees that nothing is missing, twice there or torn. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <vdset.h>

struct device {
  vdset_device* device;
  uv_poll_t poll;
  uint64_t seen;
};

static const char* set_name;
static vdset_set* set;
static uv_poll_t set_poll;
static struct device devices[VDSET_DEVICES_MAX];
static unsigned device_count;

static void must(int failed, const char* what) {
  if (!failed) return;
  fprintf(stderr, "agent: %s: %s\n", what, vdset_last_error());
  exit(1);
}

static void must_uv(int code, const char* what) {
  if (code == 0) return;
  fprintf(stderr, "agent: %s: %s\n", what, uv_strerror(code));
  exit(1);
}

static void watch(uv_poll_t* poll, int descriptor, uv_poll_cb call) {
  must_uv(uv_poll_init(uv_default_loop(), poll, descriptor), "uv_poll_init");
  must_uv(uv_poll_start(poll, UV_READABLE, call), "uv_poll_start");
}

/* Here a real agent stores command->buffer. It may take its time: complete_command can also be
 * called later, from uv_fs_write's callback for example. */
static int32_t store(struct device* device, const struct vdset_command* command) {
  uint64_t first, last;
  if (command->size < (int32_t)sizeof last) return VDSET_ERROR_BAD_ENVIRONMENT;
  memcpy(&first, command->buffer, sizeof first);
  memcpy(&last, (char*)command->buffer + command->size - sizeof last, sizeof last);
  ++device->seen;
  return first == device->seen && last == device->seen ? VDSET_SUCCESS : VDSET_ERROR_WRITE_FAULT;
}

/* What a backup's server sends to any agent. A code other than success holds up the device. */
static int32_t work(struct device* device, const struct vdset_command* command) {
  switch (command->code) {
    case VDSET_COMMAND_WRITE: return store(device, command);
    case VDSET_COMMAND_FLUSH: return VDSET_SUCCESS; /* Make durable here what came before: fsync. */
    case VDSET_COMMAND_CLEAR_ERROR: return VDSET_SUCCESS; /* The server goes on after a failure. */
    default: return VDSET_ERROR_NOT_SUPPORTED;
  }
}

static void finish(struct device* device, const struct vdset_command* command) {
  const int32_t code = work(device, command);
  const uint32_t bytes = code == VDSET_SUCCESS ? (uint32_t)command->size : 0;
  must(vdset_device_complete_command(device->device, command, code, bytes, 0), "complete_command");
}

/* Takes what there is; then arms, which makes the descriptor readable when there is more. */
static void on_device(uv_poll_t* poll, int status, int events) {
  struct device* device = poll->data;
  const struct vdset_command* command;
  int32_t code;
  (void)status, (void)events; /* get_command knows better. */
  while ((code = vdset_device_get_command(device->device, 0, &command)) == VDSET_OK)
    finish(device, command);
  if (code == VDSET_E_TIMEOUT) {
    must(vdset_device_arm(device->device), "arm");
  } else {
    must(code != VDSET_E_CLOSE, "get_command");
    uv_close((uv_handle_t*)poll, NULL); /* Before the set and its descriptors end. */
  }
}

static void open_device(struct device* device, unsigned i) {
  char name[VDSET_NAME_TEXT_BYTES];
  int descriptor;
  snprintf(name, sizeof name, i == 0 ? "%s" : "%s.%u", set_name, i);
  must(vdset_set_open_device(set, name, &device->device), "open_device");
  must(vdset_device_get_descriptor(device->device, &descriptor), "get_descriptor");
  device->poll.data = device;
  watch(&device->poll, descriptor, on_device);
  on_device(&device->poll, 0, UV_READABLE); /* Arms it for the first time. */
}

/* Has a server come? */
static void on_set(uv_poll_t* poll, int status, int events) {
  struct vdset_config agreed = {.struct_bytes = sizeof agreed};
  const int32_t code = vdset_set_get_configuration(set, 0, &agreed);
  (void)status, (void)events;
  if (code == VDSET_E_TIMEOUT) {
    must(vdset_set_arm(set), "arm");
    return;
  }
  must(code, "get_configuration");
  uv_close((uv_handle_t*)poll, NULL);
  for (unsigned i = 0; i < device_count; ++i)
    open_device(&devices[i], i);
}

int main(int count, char** words) {
  struct vdset_config wish = {.struct_bytes = sizeof wish};
  uint64_t seen = 0;
  int descriptor;
  if (count != 3) return fprintf(stderr, "usage: agent SET DEVICES\n"), 2;
  set_name = words[1];
  wish.device_count = device_count = (unsigned)atoi(words[2]);
  must(vdset_set_create(set_name, &wish, NULL, &set), "create");
  must(vdset_set_get_descriptor(set, &descriptor), "get_descriptor");
  watch(&set_poll, descriptor, on_set);
  on_set(&set_poll, 0, UV_READABLE);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT); /* Until all handles are closed. */
  must_uv(uv_loop_close(uv_default_loop()), "uv_loop_close");
  must(vdset_set_close(set), "close");
  for (unsigned i = 0; i < device_count; ++i)
    seen += devices[i].seen;
  printf("agent: %" PRIu64 " commands\n", seen);
  return 0;
}
