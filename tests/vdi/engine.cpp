// tests/vdi/engine.cpp: a database engine of the simplest kind, for the clients beside it: its
// database is one file. Written against vdi_server.h alone.
// usage: engine backup|restore DEVICES FILE SET_NAME
// The stream: 512 bytes on the first device hold the file's length; then chunk k of the file goes
// to device k modulo DEVICES.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>
#include "vdi_server.h"

namespace {

const uint32_t block = 512;
const uint32_t chunk = 1048576;
const int window = 3;  // Commands under way on a device.

struct Engine {
  ServerVirtualDeviceSet set;
  std::vector<ServerVirtualDevice*> devices;
  bool backup;
  int file;
  int64_t length;
  std::mutex lock;
  std::condition_variable done;
  bool failed;
};
Engine engine;

void must(int result, const char* what) {
  if (result == 0) return;
  VDAbortReason reason;
  std::fprintf(stderr, "engine: %s: 0x%08X\n", what, static_cast<unsigned>(result));
  if (VDServerAbortReason(&engine.set, &reason) == 0)
    std::fprintf(stderr, "engine: process %u: %s\n", reason.processId, reason.text);
  std::_Exit(1);
}

/// One buffer and the command that it goes with.
struct Slot {
  VDS_Command command;
  uint8_t* buffer;
  int64_t offset;  // In the file; -1: nothing is under way.
  int32_t bytes;
  bool pending;
};

void completed(VDS_Command* command) {
  Slot* slot = reinterpret_cast<Slot*>(command->completionContext);
  std::lock_guard<std::mutex> guard(engine.lock);
  slot->pending = false;
  if (command->completionCode != 0) engine.failed = true;
  engine.done.notify_all();
}

void send(ServerVirtualDevice* device, Slot& slot, int code, int32_t size) {
  std::memset(&slot.command, 0, sizeof slot.command);
  slot.command.commandCode = code;
  slot.command.size = size;
  slot.command.buffer = slot.buffer;
  slot.command.completionRoutine = completed;
  slot.command.completionContext = reinterpret_cast<uint8_t*>(&slot);
  slot.pending = true;
  must(device->SendCommand(&slot.command), "SendCommand");
}

void wait_for(Slot& slot) {
  std::unique_lock<std::mutex> guard(engine.lock);
  engine.done.wait(guard, [&] { return !slot.pending; });
}

/// What a restore read goes into the file.
void settle(Slot& slot) {
  wait_for(slot);
  if (slot.offset < 0 || engine.backup || engine.failed) return;
  if (slot.command.bytesTransferred != slot.command.size ||
      pwrite(engine.file, slot.buffer, static_cast<size_t>(slot.bytes), slot.offset) != slot.bytes)
    engine.failed = true;
}

void run_single(ServerVirtualDevice* device, Slot& slot, int code, int32_t size) {
  send(device, slot, code, size);
  wait_for(slot);
}

void header(Slot& slot) {
  std::memset(slot.buffer, 0, block);
  std::memcpy(slot.buffer, &engine.length, sizeof engine.length);
  run_single(engine.devices[0], slot, engine.backup ? VDC_Write : VDC_Read, block);
  std::memcpy(&engine.length, slot.buffer, sizeof engine.length);
}

void serve(size_t d) {
  ServerVirtualDevice* device = engine.devices[d];
  Slot slots[window];
  for (Slot& slot : slots) {
    slot.offset = -1;
    slot.pending = false;
    must(engine.set.AllocateBuffer(&slot.buffer, chunk, 0), "AllocateBuffer");
  }
  const int64_t stride = static_cast<int64_t>(chunk) * static_cast<int64_t>(engine.devices.size());
  size_t turn = 0;
  for (int64_t at = static_cast<int64_t>(chunk) * static_cast<int64_t>(d);
       at < engine.length && !engine.failed; at += stride) {
    Slot& slot = slots[turn++ % window];
    settle(slot);
    const int64_t left = engine.length - at;
    slot.offset = at;
    slot.bytes = static_cast<int32_t>(left < chunk ? left : chunk);
    std::memset(slot.buffer, 0, chunk);
    if (engine.backup &&
        pread(engine.file, slot.buffer, static_cast<size_t>(slot.bytes), at) != slot.bytes)
      must(VD_E_UNEXPECTED, "read");
    const int32_t size = (slot.bytes + static_cast<int32_t>(block) - 1) / 512 * 512;
    send(device, slot, engine.backup ? VDC_Write : VDC_Read, size);
  }
  for (size_t i = 0; i < window; ++i)
    settle(slots[(turn + i) % window]);
  slots[0].offset = -1;
  if (engine.backup && !engine.failed) run_single(device, slots[0], VDC_Flush, 0);
  must(device->CloseDevice(), "CloseDevice");
}

void configure(const char* name, uint32_t count) {
  VDConfig config;
  must(engine.set.Open(NULL, name), "Open");
  must(engine.set.GetConfiguration(&config), "GetConfiguration");
  if (config.deviceCount != count) must(VD_E_NOTSUPPORTED, "deviceCount");
  must(engine.set.BeginConfiguration(
           config.features | (engine.backup ? VDF_WriteMedia : VDF_ReadMedia), block, 0, chunk,
           10000),
       "BeginConfiguration");
  must(engine.set.RequestBuffers(chunk, 0, window * count), "RequestBuffers");
  must(engine.set.RequestBuffers(block, 0, 1), "RequestBuffers");
  must(engine.set.EndConfiguration(), "EndConfiguration");
  for (uint32_t i = 0; i < count; ++i) {
    ServerVirtualDevice* device;
    const std::string device_name =
        i == 0 ? std::string(name) : std::string(name) + std::to_string(i);
    must(engine.set.OpenDevice(device_name.c_str(), &device), "OpenDevice");
    engine.devices.push_back(device);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  engine.backup = std::strcmp(argv[1], "backup") == 0;
  engine.failed = false;
  engine.file = open(argv[3], engine.backup ? O_RDONLY : O_RDWR | O_CREAT | O_TRUNC, 0600);
  struct stat st;
  if (engine.file < 0 || fstat(engine.file, &st) != 0) return 2;
  engine.length = st.st_size;
  configure(argv[4], static_cast<uint32_t>(std::atoi(argv[2])));
  int agent_result = 0;
  std::thread agent([&] { agent_result = engine.set.ExecuteCompletionAgent(); });
  Slot first;
  must(engine.set.AllocateBuffer(&first.buffer, block, 0), "AllocateBuffer");
  header(first);
  std::vector<std::thread> servers;
  for (size_t d = 0; d < engine.devices.size(); ++d)
    servers.emplace_back(serve, d);
  for (std::thread& thread : servers)
    thread.join();
  agent.join();
  must(agent_result, "ExecuteCompletionAgent");
  must(engine.set.Close(), "Close");
  if (engine.failed) return 1;
  std::printf("engine: %lld bytes\n", static_cast<long long>(engine.length));
  return 0;
}
