/* tests/abi/old_backup.c: a program of version 0.1: compiled against that version's header, linked
 * against its symbols, run with today's library. A backup with both roles, every call of 0.1. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vdset.h>

enum { BLOCK = 65536, BLOCKS = 32 };
static char database[BLOCKS * BLOCK], backup[sizeof database];
static int failures;

#define EXPECT(condition) \
  ((condition) ? (void)0 : (void)(++failures, printf("%d: %s: %s\n", __LINE__, #condition, \
                                                     vdset_last_error())))

static unsigned called_back;
static void final(struct vdset_command *command, void *context) {
  ++called_back;
  *(int32_t *)context = command->completion_code;
}

static void *engine(void *name) {
  struct vdset_base_configuration base = {sizeof base, VDSET_FEATURE_WRITE_MEDIA, 512, 0, BLOCK};
  struct vdset_config config = {sizeof config};
  struct vdset_command write = {sizeof write}, flush = {sizeof flush}, *done;
  vdset_server *server;
  vdset_server_device *device;
  void *same;
  uint32_t count, handle;
  EXPECT(vdset_server_open(name, NULL, &server) == VDSET_OK);
  EXPECT(vdset_server_get_configuration(server, &config) == VDSET_OK && config.device_count == 1);
  EXPECT(vdset_server_begin_configuration(server, &base) == VDSET_OK);
  EXPECT(vdset_server_request_buffers(server, BLOCK, 0, 2) == VDSET_OK);
  EXPECT(vdset_server_end_configuration(server) == VDSET_OK);
  EXPECT(vdset_server_query_available_buffers(server, BLOCK, 0, &count) == VDSET_OK && count == 2);
  EXPECT(vdset_server_open_device(server, name, &device) == VDSET_OK);
  EXPECT(vdset_server_allocate_buffer(server, BLOCK, 0, &write.buffer) == VDSET_OK);
  EXPECT(vdset_server_is_shared_buffer(server, write.buffer) == 1);
  write.code = VDSET_COMMAND_WRITE;
  write.size = BLOCK;
  for (size_t at = 0; at < sizeof database; at += BLOCK) {
    memcpy(write.buffer, database + at, BLOCK);
    EXPECT(vdset_server_device_send_command(device, &write) == VDSET_OK);
    EXPECT(vdset_server_next_completion(server, VDSET_INFINITE, &done) == VDSET_OK);
    EXPECT(done == &write && done->bytes_transferred == BLOCK);
  }
  /* In a lease set a buffer that is not lent has no handle; 0 is never one. */
  EXPECT(vdset_server_get_buffer_handle(server, write.buffer, &handle) == VDSET_E_INVALID);
  EXPECT(vdset_server_map_buffer_handle(server, 0, &same) == VDSET_E_INVALID);
  EXPECT(vdset_server_free_buffer(server, write.buffer, BLOCK) == VDSET_OK);
  int32_t code = -1;
  flush.code = VDSET_COMMAND_FLUSH;
  flush.completion = final;
  flush.context = &code;
  EXPECT(vdset_server_device_send_command(device, &flush) == VDSET_OK);
  EXPECT(vdset_server_device_close(device) == VDSET_OK);
  EXPECT(vdset_server_run_completion_agent(server) == VDSET_OK);
  EXPECT(called_back == 1 && code == VDSET_SUCCESS);
  EXPECT(vdset_server_device_outstanding(device, &count) == VDSET_OK && count == 0);
  EXPECT(vdset_server_close(server) == VDSET_OK);
  return NULL;
}

static void handles(vdset_set *set, const struct vdset_command *command) {
  uint32_t handle = 0;
  void *same = NULL;
  char why[100];
  EXPECT(vdset_set_get_buffer_handle(set, command->buffer, &handle) == VDSET_OK);
  EXPECT(handle == command->buffer_handle && handle != 0);
  EXPECT(vdset_set_map_buffer_handle(set, handle, &same) == VDSET_OK && same == command->buffer);
  EXPECT(vdset_set_explain_handle(set, handle, why, sizeof why) == VDSET_OK);
}

static void backup_once(const char *name) {
  struct vdset_config wish = {.struct_bytes = sizeof wish, .device_count = 1}, agreed = wish;
  struct vdset_set_options options = {.struct_bytes = sizeof options, .queue_depth = 8};
  const struct vdset_command *command;
  vdset_set *set;
  vdset_device *device;
  pthread_t thread;
  size_t at = 0;
  EXPECT(vdset_set_create(name, &wish, &options, &set) == VDSET_OK);
  if (pthread_create(&thread, NULL, engine, (void *)name) != 0) exit(1);
  EXPECT(vdset_set_get_configuration(set, VDSET_INFINITE, &agreed) == VDSET_OK);
  EXPECT(agreed.block_bytes == 512 && agreed.max_transfer_bytes == BLOCK);
  EXPECT(vdset_set_open_device(set, name, &device) == VDSET_OK);
  EXPECT(vdset_device_interrupt(device) == VDSET_OK);
  int32_t result = vdset_device_get_command(device, VDSET_INFINITE, &command);
  while (result == VDSET_OK || result == VDSET_E_INTERRUPTED) {
    if (result == VDSET_OK && command->code == VDSET_COMMAND_WRITE) {
      handles(set, command);
      memcpy(backup + at, command->buffer, (size_t)command->size);
      at += (size_t)command->size;
    }
    if (result == VDSET_OK)
      EXPECT(vdset_device_complete_command(device, command, VDSET_SUCCESS, (uint32_t)command->size,
                                           0) == VDSET_OK);
    result = vdset_device_get_command(device, VDSET_INFINITE, &command);
  }
  EXPECT(result == VDSET_E_CLOSE);
  pthread_join(thread, NULL);
  EXPECT(vdset_set_close(set) == VDSET_OK);
  EXPECT(at == sizeof database && memcmp(backup, database, sizeof backup) == 0);
}

/* Ends by abort, seen by a secondary too. */
static void abort_once(const char *name) {
  struct vdset_config wish = {.struct_bytes = sizeof wish, .device_count = 1};
  struct vdset_base_configuration base = {sizeof base, VDSET_FEATURE_READ_MEDIA, 512, 0, BLOCK};
  struct vdset_join_options options = {.struct_bytes = sizeof options};
  struct vdset_abort_reason reason = {.struct_bytes = sizeof reason};
  vdset_set *set, *second;
  vdset_server *server;
  EXPECT(vdset_set_create(name, &wish, NULL, &set) == VDSET_OK);
  EXPECT(vdset_server_open(name, &options, &server) == VDSET_OK);
  EXPECT(vdset_server_begin_configuration(server, &base) == VDSET_OK);
  EXPECT(vdset_server_request_buffers(server, BLOCK, 0, 1) == VDSET_OK);
  EXPECT(vdset_server_end_configuration(server) == VDSET_OK);
  EXPECT(vdset_set_open_in_secondary(name, &options, &second) == VDSET_OK);
  EXPECT(vdset_set_signal_abort(set, 7, "no more tape") == VDSET_OK);
  EXPECT(vdset_server_get_abort_reason(server, &reason) == VDSET_OK && reason.code == 7);
  EXPECT(strcmp(reason.text, "no more tape") == 0);
  EXPECT(vdset_set_get_abort_reason(second, &reason) == VDSET_OK);
  EXPECT(vdset_server_signal_abort(server, 8, NULL) == VDSET_OK);
  EXPECT(vdset_set_close(second) == VDSET_OK);
  EXPECT(vdset_set_close(set) == VDSET_OK);
  EXPECT(vdset_server_close(server) == VDSET_OK);
}

int main(void) {
  for (size_t i = 0; i < sizeof database; ++i) database[i] = (char)(i * 7 >> 3);
  EXPECT(vdset_version() >= 0x000100);
  EXPECT(strcmp(vdset_error_name(VDSET_E_QUEUE_FULL), "VDSET_E_QUEUE_FULL") == 0);
  backup_once("old-backup");
  abort_once("old-abort");
  if (failures == 0) puts("as before");
  return failures != 0;
}
