// tests/bench/ops.cpp: the operations whose instructions are counted, each in a function of its own
// by whose name callgrind finds it. One thread plays both roles, so that nothing sleeps or wakes.
// usage: ops [CALLS]. Prints the compiler it was built with; instructions.py runs it.
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <string>
#include "vdset.h"

#define COUNTED extern "C" __attribute__((noipa))

namespace {

void must(std::int32_t result, const char* what) {
  if (result == VDSET_OK) return;
  std::fprintf(stderr, "ops: %s: %s %s\n", what, vdset_error_name(result), vdset_last_error());
  std::exit(1);
}
void must_say(std::int32_t result, std::int32_t expected, const char* what) {
  if (result == expected) return;
  std::fprintf(stderr, "ops: %s: %s\n", what, vdset_error_name(result));
  std::exit(1);
}

vdset_set* set = nullptr;
vdset_device* device = nullptr;
vdset_server* server = nullptr;
vdset_server_device* served = nullptr;
vdset_command write_command{};
const vdset_command* fetched = nullptr;
vdset_command* done = nullptr;
std::uint32_t handle = 0;
void* address = nullptr;

}  // namespace

COUNTED std::int32_t op_send_command() {
  return vdset_server_device_send_command(served, &write_command);
}
COUNTED std::int32_t op_get_command() {
  return vdset_device_get_command(device, 0, &fetched);
}
COUNTED std::int32_t op_get_command_empty() {
  return vdset_device_get_command(device, 0, &fetched);
}
COUNTED std::int32_t op_complete_command() {
  return vdset_device_complete_command(device, fetched, VDSET_SUCCESS, 512, 0);
}
COUNTED std::int32_t op_next_completion() {
  return vdset_server_next_completion(server, 0, &done);
}
COUNTED std::int32_t op_next_completion_empty() {
  return vdset_server_next_completion(server, 0, &done);
}
COUNTED std::int32_t op_get_buffer_handle() {
  return vdset_set_get_buffer_handle(set, fetched->buffer, &handle);
}
COUNTED std::int32_t op_get_buffer_handle_refused() {
  return vdset_set_get_buffer_handle(set, static_cast<char*>(fetched->buffer) + 64, &handle);
}
COUNTED std::int32_t op_map_buffer_handle() {
  return vdset_set_map_buffer_handle(set, handle, &address);
}
COUNTED std::int32_t op_map_buffer_handle_refused() {
  return vdset_set_map_buffer_handle(set, handle ^ 0x80000000u, &address);
}
COUNTED std::int32_t op_server_get_buffer_handle() {
  return vdset_server_get_buffer_handle(server, write_command.buffer, &handle);
}
COUNTED std::int32_t op_server_map_buffer_handle() {
  return vdset_server_map_buffer_handle(server, handle, &address);
}

namespace {

void set_up() {
  const std::string name = "ops-" + std::to_string(getpid());
  vdset_config wish{};
  wish.struct_bytes = sizeof wish;
  wish.device_count = 1;
  vdset_base_configuration base{};
  base.struct_bytes = sizeof base;
  base.features = VDSET_FEATURE_WRITE_MEDIA;
  base.block_bytes = 512;
  base.max_transfer_bytes = 65536;
  must(vdset_set_create(name.c_str(), &wish, nullptr, &set), "create");
  must(vdset_server_open(name.c_str(), nullptr, &server), "server open");
  must(vdset_server_begin_configuration(server, &base), "begin");
  must(vdset_server_request_buffers(server, 512, 0, 16), "request");
  must(vdset_server_end_configuration(server), "end");
  must(vdset_set_get_configuration(set, VDSET_INFINITE, &wish), "configuration");
  must(vdset_server_open_device(server, name.c_str(), &served), "server open device");
  must(vdset_set_open_device(set, name.c_str(), &device), "open device");
  write_command.struct_bytes = sizeof write_command;
  write_command.code = VDSET_COMMAND_WRITE;
  write_command.size = 512;
  must(vdset_server_allocate_buffer(server, 512, 0, &write_command.buffer), "allocate");
}

void one_command() {
  must_say(op_get_command_empty(), VDSET_E_TIMEOUT, "get_command of nothing");
  must(op_send_command(), "send");
  must_say(op_next_completion_empty(), VDSET_E_TIMEOUT, "next_completion of nothing");
  must(op_get_command(), "get_command");
  must(op_get_buffer_handle(), "get handle");
  must_say(op_get_buffer_handle_refused(), VDSET_E_INVALID, "get handle of no buffer");
  must(op_map_buffer_handle(), "map handle");
  must_say(op_map_buffer_handle_refused(), VDSET_E_INVALID, "map forged handle");
  must(op_server_get_buffer_handle(), "server get handle");
  must(op_server_map_buffer_handle(), "server map handle");
  must(op_complete_command(), "complete");
  must(op_next_completion(), "next_completion");
}

}  // namespace

int main(int argc, char** argv) {
  const int calls = argc > 1 ? std::atoi(argv[1]) : 1000;
  set_up();
  for (int i = 0; i < calls; ++i)
    one_command();
  must(vdset_server_device_close(served), "device close");
  must_say(op_get_command(), VDSET_E_CLOSE, "get_command after the end");
  must(vdset_set_close(set), "close");
  must(vdset_server_close(server), "server close");
#if defined(__x86_64__)
  std::puts("g++ " __VERSION__ ", x86_64");
#elif defined(__aarch64__)
  std::puts("g++ " __VERSION__ ", aarch64");
#else
  std::puts("g++ " __VERSION__ ", another machine");
#endif
}
