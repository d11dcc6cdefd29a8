/* tests/mixed/role.c: the role program in C, over vdset.h (README.md). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vdset.h>

enum { BLOCK = 512, TRANSFER = 65536, WINDOW = 4 };
static const int64_t patience_ns = 20000000000;

static void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}
static void must(int32_t result, const char* what) {
  if (result != VDSET_OK) fail("c: %s: %s: %s", what, vdset_error_name(result), vdset_last_error());
}

static uint32_t size_of(uint32_t k, uint32_t device) {
  return BLOCK * (1 + (k * 5 + device) % 128);
}
static unsigned char byte_of(uint32_t k, uint32_t device, uint32_t i) {
  return (unsigned char)(k * 31 + i * 7 + i / 256 + device * 101);
}
static void fill(void* to, uint32_t k, uint32_t device) {
  for (uint32_t i = 0; i < size_of(k, device); ++i)
    ((unsigned char*)to)[i] = byte_of(k, device, i);
}
static void check(const void* from, uint32_t k, uint32_t device) {
  for (uint32_t i = 0; i < size_of(k, device); ++i)
    if (((const unsigned char*)from)[i] != byte_of(k, device, i))
      fail("c: device %u, command %u: byte %u is wrong", device, k, i);
}
/* What a client does with a buffer of a Read or Write. */
static void work(uint32_t code, void* buffer, uint32_t k, uint32_t device) {
  if (code == VDSET_COMMAND_READ)
    fill(buffer, k, device);
  else
    check(buffer, k, device);
}
static uint32_t code_of(uint32_t k, uint32_t rounds) {
  return k < rounds ? VDSET_COMMAND_WRITE : VDSET_COMMAND_READ;
}
static void device_name(char* out, size_t room, const char* set, uint32_t device) {
  snprintf(out, room, device == 0 ? "%s" : "%s-1", set);
}

/* ---- Server */

static void send(vdset_server_device* to, struct vdset_command* command, uint32_t k,
                 uint32_t device, uint32_t rounds) {
  command->code = code_of(k, rounds);
  command->size = (int32_t)size_of(k, device);
  command->context = (void*)(uintptr_t)k;
  if (command->code == VDSET_COMMAND_WRITE)
    fill(command->buffer, k, device);
  else
    memset(command->buffer, 0, size_of(k, device));
  must(vdset_server_device_send_command(to, command), "send");
}

static void serve_device(vdset_server* server, vdset_server_device* to, uint32_t device,
                         uint32_t rounds, struct vdset_command* commands) {
  uint32_t sent = 0, done = 0;
  while (sent < WINDOW && sent < 2 * rounds) {
    send(to, &commands[sent], sent, device, rounds);
    ++sent;
  }
  for (; done < 2 * rounds; ++done) {
    struct vdset_command* command;
    must(vdset_server_next_completion(server, patience_ns, &command), "completion");
    const uint32_t k = (uint32_t)(uintptr_t)command->context;
    if (command->completion_code != 0 || command->bytes_transferred != command->size)
      fail("c: device %u, command %u: completed with %d, %d bytes", device, k,
           command->completion_code, command->bytes_transferred);
    check(command->buffer, k, device);
    if (sent < 2 * rounds) {
      send(to, command, sent, device, rounds);
      ++sent;
    }
  }
  must(vdset_server_device_close(to), "close device");
}

static uint32_t serve(const char* set, uint32_t rounds) {
  struct vdset_base_configuration base = {
      sizeof base, VDSET_FEATURE_WRITE_MEDIA | VDSET_FEATURE_READ_MEDIA, BLOCK, 0, TRANSFER};
  struct vdset_config wish = {.struct_bytes = sizeof wish};
  struct vdset_command commands[WINDOW], *none;
  vdset_server_device* devices[2];
  vdset_server* server;
  char name[256];
  must(vdset_server_open(set, NULL, &server), "open");
  must(vdset_server_get_configuration(server, &wish), "configuration");
  if (wish.device_count != 2 || wish.features != 0) fail("c: the wish is not two pipes");
  must(vdset_server_begin_configuration(server, &base), "begin");
  must(vdset_server_request_buffers(server, TRANSFER, 0, WINDOW), "request");
  must(vdset_server_end_configuration(server), "end");
  for (uint32_t d = 0; d < 2; ++d) {
    device_name(name, sizeof name, set, d);
    must(vdset_server_open_device(server, name, &devices[d]), "open device");
  }
  memset(commands, 0, sizeof commands);
  for (int i = 0; i < WINDOW; ++i) {
    commands[i].struct_bytes = sizeof commands[i];
    must(vdset_server_allocate_buffer(server, TRANSFER, 0, &commands[i].buffer), "allocate");
  }
  for (uint32_t d = 0; d < 2; ++d)
    serve_device(server, devices[d], d, rounds, commands);
  const int32_t end = vdset_server_next_completion(server, patience_ns, &none);
  if (end != VDSET_E_CLOSE) fail("c: the end is %s", vdset_error_name(end));
  must(vdset_server_close(server), "close");
  return 4 * rounds;
}

/* ---- Clients */

static FILE *from_other, *to_other;

static void hear(char* line, int room) {
  if (fgets(line, room, from_other) == NULL) fail("c: the other client is gone");
}
static void say(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(to_other, format, arguments);
  va_end(arguments);
  if (fflush(to_other) != 0) fail("c: the other client is gone");
}

static uint32_t lead(vdset_set* set, vdset_device* from, uint32_t device, uint32_t rounds) {
  const struct vdset_command* command;
  uint32_t k = 0, worked = 0, handle;
  int32_t result;
  char line[64];
  while ((result = vdset_device_get_command(from, patience_ns, &command)) == VDSET_OK) {
    if (k >= 2 * rounds || command->code != code_of(k, rounds) ||
        command->size != (int32_t)size_of(k, device))
      fail("c: device %u, command %u: code %u, size %d", device, k, command->code, command->size);
    if (k % 2 == 0) {
      work(command->code, command->buffer, k, device);
      ++worked;
    } else {
      must(vdset_set_get_buffer_handle(set, command->buffer, &handle), "get handle");
      say("buffer %u %u %u %u %d\n", handle, device, command->code, k, command->size);
      hear(line, sizeof line);
      if (strcmp(line, "done\n") != 0) fail("c: the answer is %s", line);
    }
    must(vdset_device_complete_command(from, command, 0, (uint32_t)command->size, 0), "complete");
    ++k;
  }
  if (result != VDSET_E_CLOSE || k != 2 * rounds)
    fail("c: device %u: %u commands, then %s", device, k, vdset_error_name(result));
  say("end\n");
  return worked;
}

static uint32_t follow(vdset_set* set) {
  uint32_t worked = 0, handle, device, code, k, size;
  char line[128];
  void* buffer;
  for (;;) {
    hear(line, sizeof line);
    if (strcmp(line, "end\n") == 0) return worked;
    if (sscanf(line, "buffer %u %u %u %u %u", &handle, &device, &code, &k, &size) != 5)
      fail("c: told %s", line);
    if (size != size_of(k, device)) fail("c: device %u, command %u: size %u", device, k, size);
    if (vdset_set_map_buffer_handle(set, handle ^ 0x80000000u, &buffer) != VDSET_E_INVALID)
      fail("c: a forged handle is not refused");
    must(vdset_set_map_buffer_handle(set, handle, &buffer), "map handle");
    work(code, buffer, k, device);
    ++worked;
    say("done\n");
  }
}

static uint32_t be_client(const char* set_name, uint32_t device, uint32_t rounds) {
  struct vdset_config wish = {.struct_bytes = sizeof wish, .device_count = 2}, agreed = wish;
  vdset_set* set;
  vdset_device* mine;
  char name[256], line[64];
  uint32_t worked;
  from_other = fdopen(0, "r");
  to_other = fdopen(dup(0), "w");
  if (from_other == NULL || to_other == NULL) fail("c: no socket");
  if (device == 0) {
    must(vdset_set_create(set_name, &wish, NULL, &set), "create");
    puts("ready");
    fflush(stdout);
  } else {
    hear(line, sizeof line);
    if (strcmp(line, "go\n") != 0) fail("c: told %s", line);
    must(vdset_set_open_in_secondary(set_name, NULL, &set), "join");
  }
  must(vdset_set_get_configuration(set, patience_ns, &agreed), "configuration");
  device_name(name, sizeof name, set_name, device);
  must(vdset_set_open_device(set, name, &mine), "open device");
  if (device == 0) {
    say("go\n");
    worked = lead(set, mine, device, rounds);
    worked += follow(set);
  } else {
    worked = follow(set);
    worked += lead(set, mine, device, rounds);
  }
  must(vdset_set_close(set), "close");
  return worked;
}

int main(int count, char** arguments) {
  const uint32_t rounds = count == 4 ? (uint32_t)atoi(arguments[3]) : 0;
  uint32_t worked;
  if (rounds == 0) fail("usage: %s server|primary|secondary SET ROUNDS", arguments[0]);
  if (strcmp(arguments[1], "server") == 0)
    worked = serve(arguments[2], rounds);
  else
    worked = be_client(arguments[2], strcmp(arguments[1], "primary") == 0 ? 0 : 1, rounds);
  printf("ok %u\n", worked);
  return 0;
}
