// tests/abi/old_client.cpp: a program of version 0.1 of libsqlvdi.so: compiled against its headers,
// linked against its symbols, run with today's library. A backup with both roles, then an abort.
#include <pthread.h>
#include <cstdio>
#include <cstring>
#include "vdi.h"
#include "vdi_server.h"
#include "vdierror.h"

static const unsigned block = 65536, blocks = 16;
static int failures;
#define EXPECT(condition) \
  ((condition) ? (void)0 : (void)(++failures, std::printf("%d: %s\n", __LINE__, #condition)))

static char name[] = "old-client";
static uint8_t backup[blocks * block];

static unsigned finished;
static ServerVirtualDevice* device_of_engine;
static uint8_t value_of(unsigned i) {
  return static_cast<uint8_t>(i * 11 + 3);
}
static void next(VDS_Command* command) {
  EXPECT(command->completionCode == ERROR_SUCCESS);
  EXPECT(command->bytesTransferred == static_cast<int32_t>(block));
  ++finished;
  if (finished == blocks) {
    EXPECT(device_of_engine->CloseDevice() == 0);
    return;
  }
  std::memset(command->buffer, value_of(finished), block);
  EXPECT(device_of_engine->SendCommand(command) == 0);
}

static void* engine(void*) {
  ServerVirtualDeviceSet set;
  VDConfig config;
  uint32_t count = 0;
  VDS_Command command;
  std::memset(&command, 0, sizeof command);
  EXPECT(set.Open(NULL, name) == 0);
  EXPECT(set.GetConfiguration(&config) == 0 && config.deviceCount == 1);
  EXPECT(set.BeginConfiguration(config.features | VDF_WriteMedia, 4096, 0, block, 1000) == 0);
  EXPECT(set.RequestBuffers(block, 0, 2) == 0);
  EXPECT(set.EndConfiguration() == 0);
  EXPECT(set.QueryAvailableBuffers(block, 0, &count) == 0 && count == 2);
  EXPECT(set.OpenDevice(name, &device_of_engine) == 0);
  EXPECT(set.AllocateBuffer(&command.buffer, block, 0) == 0);
  EXPECT(set.IsSharedBuffer(command.buffer) == 1);
  std::memset(command.buffer, value_of(0), block);
  command.commandCode = VDC_Write;
  command.size = block;
  command.completionRoutine = next;
  EXPECT(device_of_engine->SendCommand(&command) == 0);
  EXPECT(set.ExecuteCompletionAgent() == 0);
  EXPECT(finished == blocks);
  EXPECT(set.Close() == 0);
  return NULL;
}

static void backup_once() {
  ClientVirtualDeviceSet set;
  ClientVirtualDevice* device = NULL;
  VDC_Command* command = NULL;
  VDConfig config;
  std::memset(&config, 0, sizeof config);
  config.deviceCount = 1;
  pthread_t thread;
  EXPECT(set.Create(name, &config) == 0);
  pthread_create(&thread, NULL, engine, NULL);
  EXPECT(set.GetConfiguration(-1, &config) == 0);
  EXPECT(config.blockSize == 4096);
  EXPECT(set.OpenDevice(name, &device) == 0);
  unsigned at = 0;
  int result;
  while ((result = device->GetCommand(-1, &command)) == 0) {
    uint32_t handle = 0;
    uint8_t* same = NULL;
    EXPECT(set.GetBufferHandle(command->buffer, &handle) == 0);
    EXPECT(set.MapBufferHandle(static_cast<int>(handle), &same) == 0 && same == command->buffer);
    std::memcpy(backup + at, command->buffer, static_cast<size_t>(command->size));
    at += static_cast<unsigned>(command->size);
    EXPECT(device->CompleteCommand(command, ERROR_SUCCESS,
                                   static_cast<unsigned long>(command->size), 0) == 0);
  }
  EXPECT(result == VD_E_CLOSE);
  pthread_join(thread, NULL);
  EXPECT(set.Close() == 0);
  EXPECT(at == sizeof backup);
  for (unsigned i = 0; i < at; ++i)
    if (backup[i] != value_of(i / block)) {
      EXPECT(!"the backup is identical");
      return;
    }
}

static void abort_once() {
  ClientVirtualDeviceSet set;
  ServerVirtualDeviceSet server;
  VDConfig config;
  VDAbortReason reason;
  std::memset(&config, 0, sizeof config);
  config.deviceCount = 1;
  EXPECT(set.Create(name, &config) == 0);
  EXPECT(VDServerOpenLimited(&server, name, 0) == 0);
  EXPECT(VDServerAbort(&server, 9, "no more tape") == 0);
  EXPECT(set.GetConfiguration(-1, &config) == VD_E_ABORT);
  EXPECT(VDClientAbortReason(&set, &reason) == 0);
  EXPECT(reason.code == 9 && std::strcmp(reason.text, "no more tape") == 0);
  EXPECT(set.SignalAbort() == 0);
  EXPECT(set.Close() == 0);
  server.Close();
}

int main() {
  backup_once();
  abort_once();
  if (failures == 0) std::puts("as before");
  return failures != 0;
}
