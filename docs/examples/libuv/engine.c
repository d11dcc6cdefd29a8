/* engine.c: the server's side in a libuv loop. One uv_poll_t tells of all completions.
 *
 *   engine SET DEVICES UNDER_WAY COMMANDS
 *   engine SET DEVICES UNDER_WAY SECONDSs
 *
 * cc engine.c $(pkg-config --cflags --libs vdset libuv) -o engine
 *
 * Sends UNDER_WAY Writes on each device, and another for each that is done, until so many were
 * sent in all, or so long; then a Flush on each. An agent must have created the set. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <vdset.h>

enum { BLOCK = 4096, UNDER_WAY_MAX = 8 };

struct device {
  vdset_server_device* device;
  uint64_t sent;
  unsigned under_way;
};

struct order {
  struct vdset_command command;
  struct device* device;
  uint64_t sent_ns;
};

static vdset_server* server;
static uv_poll_t server_poll;
static struct device devices[VDSET_DEVICES_MAX];
static struct order orders[VDSET_DEVICES_MAX * UNDER_WAY_MAX];
static uint64_t sent, done, slowest_ns;
static uint64_t sent_max = UINT64_MAX, end_ns = UINT64_MAX;

static void must(int failed, const char* what) {
  if (!failed) return;
  fprintf(stderr, "engine: %s: %s\n", what, vdset_last_error());
  exit(1);
}

static void must_uv(int code, const char* what) {
  if (code == 0) return;
  fprintf(stderr, "engine: %s: %s\n", what, uv_strerror(code));
  exit(1);
}

static int wants_more(void) {
  return sent < sent_max && uv_hrtime() < end_ns;
}

static void send_order(struct order* order) {
  ++order->device->under_way;
  order->sent_ns = uv_hrtime();
  must(vdset_server_device_send_command(order->device->device, &order->command), "send_command");
}

/* Sends the next number of the device, in the first and the last bytes of the buffer. */
static void send_next(struct order* order) {
  const uint64_t number = ++order->device->sent;
  char* data = order->command.buffer;
  ++sent;
  memcpy(data, &number, sizeof number);
  memcpy(data + BLOCK - sizeof number, &number, sizeof number);
  send_order(order);
}

/* The last command of a device: what was written is to be made durable. */
static void send_flush(struct order* order) {
  order->command.code = VDSET_COMMAND_FLUSH;
  order->command.size = 0;
  order->command.buffer = NULL;
  send_order(order);
}

static void finish(struct order* order) {
  const uint64_t took_ns = uv_hrtime() - order->sent_ns;
  const struct vdset_command* command = &order->command;
  if (command->completion_code != VDSET_SUCCESS || command->bytes_transferred != command->size) {
    fprintf(stderr, "engine: command %u ended with code %d after %d bytes\n", command->code,
            command->completion_code, command->bytes_transferred);
    exit(1);
  }
  if (took_ns > slowest_ns) slowest_ns = took_ns;
  --order->device->under_way;
}

static void go_on(struct order* order) {
  if (order->command.code == VDSET_COMMAND_FLUSH) {
    must(vdset_server_device_close(order->device->device), "close device");
    return;
  }
  ++done;
  if (wants_more())
    send_next(order);
  else if (order->device->under_way == 0)
    send_flush(order);
}

/* Takes what is done; then arms, which makes the descriptor readable when there is more. */
static void on_server(uv_poll_t* poll, int status, int events) {
  struct vdset_command* command;
  int32_t code;
  (void)status, (void)events; /* next_completion knows better. */
  while ((code = vdset_server_next_completion(server, 0, &command)) == VDSET_OK) {
    finish(command->context);
    go_on(command->context);
  }
  if (code == VDSET_E_TIMEOUT) {
    must(vdset_server_arm(server), "arm");
  } else {
    must(code != VDSET_E_CLOSE, "next_completion"); /* All devices are closed: the end. */
    uv_close((uv_handle_t*)poll, NULL);
  }
}

static void configure(const char* set_name, unsigned device_count, unsigned order_count) {
  const struct vdset_base_configuration base = {.struct_bytes = sizeof base,
                                                .features = VDSET_FEATURE_WRITE_MEDIA,
                                                .block_bytes = BLOCK,
                                                .max_transfer_bytes = 65536};
  char name[VDSET_NAME_TEXT_BYTES];
  must(vdset_server_open(set_name, NULL, &server), "open");
  must(vdset_server_begin_configuration(server, &base), "begin_configuration");
  must(vdset_server_request_buffers(server, BLOCK, 0, order_count), "request_buffers");
  must(vdset_server_end_configuration(server), "end_configuration");
  for (unsigned i = 0; i < device_count; ++i) {
    snprintf(name, sizeof name, i == 0 ? "%s" : "%s.%u", set_name, i);
    must(vdset_server_open_device(server, name, &devices[i].device), "open_device");
  }
  for (unsigned i = 0; i < order_count; ++i) {
    orders[i].device = &devices[i % device_count];
    orders[i].command = (struct vdset_command){.struct_bytes = sizeof orders[i].command,
                                               .code = VDSET_COMMAND_WRITE,
                                               .size = BLOCK,
                                               .context = &orders[i]};
    must(vdset_server_allocate_buffer(server, BLOCK, 0, &orders[i].command.buffer), "allocate");
  }
}

int main(int count, char** words) {
  const unsigned device_count = count == 5 ? (unsigned)atoi(words[2]) : 0;
  const unsigned under_way = count == 5 ? (unsigned)atoi(words[3]) : 0;
  char* unit = "";
  const uint64_t amount = count == 5 ? strtoull(words[4], &unit, 10) : 0;
  int descriptor;
  if (device_count < 1 || device_count > VDSET_DEVICES_MAX || under_way < 1 ||
      under_way > UNDER_WAY_MAX || amount == 0)
    return fprintf(stderr, "usage: engine SET DEVICES UNDER_WAY COMMANDS|SECONDSs\n"), 2;
  configure(words[1], device_count, device_count * under_way);
  if (*unit == 's')
    end_ns = uv_hrtime() + amount * 1000000000;
  else
    sent_max = amount;
  must(vdset_server_get_descriptor(server, &descriptor), "get_descriptor");
  must_uv(uv_poll_init(uv_default_loop(), &server_poll, descriptor), "uv_poll_init");
  must_uv(uv_poll_start(&server_poll, UV_READABLE, on_server), "uv_poll_start");
  for (unsigned i = 0; i < device_count * under_way; ++i)
    send_next(&orders[i]);
  on_server(&server_poll, 0, UV_READABLE);   /* Arms it for the first time. */
  uv_run(uv_default_loop(), UV_RUN_DEFAULT); /* Until all handles are closed. */
  must_uv(uv_loop_close(uv_default_loop()), "uv_loop_close");
  must(vdset_server_close(server), "close");
  printf("engine: %" PRIu64 " commands, the slowest took %" PRIu64 " ms\n", done,
         slowest_ns / 1000000);
  return sent != done;
}
