// A client of several devices, one thread for each, all sharing the set. The direction comes from
// the configuration.
// usage: threaded_client DEVICES FILE_PREFIX COMMAND   (the set's name is appended to COMMAND)
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <string>
#include <vector>
#include "vdi.h"
#include "vdierror.h"

struct Work {
  ClientVirtualDeviceSet* set;
  std::string device_name;
  std::string file_name;
  int result;
};

static int complete(Work* work, ClientVirtualDevice* device, VDC_Command* command, FILE* file) {
  int code = ERROR_SUCCESS;
  unsigned long bytes = 0;
  switch (command->commandCode) {
    case VDC_Read:
      bytes = fread(command->buffer, 1, command->size, file);
      if (bytes != (unsigned long)command->size) code = ERROR_HANDLE_EOF;
      break;
    case VDC_Write:
      bytes = fwrite(command->buffer, 1, command->size, file);
      if (bytes != (unsigned long)command->size) code = ERROR_DISK_FULL;
      break;
    case VDC_Flush: fflush(file); break;
    case VDC_ClearError: break;
    default: code = ERROR_NOT_SUPPORTED;
  }
  int result = device->CompleteCommand(command, code, bytes, 0);
  if (result != 0) work->set->SignalAbort();
  return result;
}

static void* run(void* given) {
  Work* work = static_cast<Work*>(given);
  ClientVirtualDevice* device;
  VDConfig config;
  work->result = work->set->GetConfiguration(15000, &config);
  if (work->result != 0) return NULL;
  work->result = work->set->OpenDevice(const_cast<char*>(work->device_name.c_str()), &device);
  if (work->result != 0) return NULL;
  FILE* file = fopen(work->file_name.c_str(), config.features & VDF_WriteMedia ? "wb" : "rb");
  if (file == NULL) {
    work->set->SignalAbort();
    work->result = 1;
    return NULL;
  }
  VDC_Command* command;
  while ((work->result = device->GetCommand(-1, &command)) == 0)
    if (complete(work, device, command, file) != 0) break;
  if (work->result == VD_E_CLOSE) work->result = 0;
  fclose(file);
  return NULL;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  int devices = atoi(argv[1]);
  char name[64];
  snprintf(name, sizeof(name), "{THREADS-%d}", (int)getpid());
  ClientVirtualDeviceSet set;
  VDConfig config;
  memset(&config, 0, sizeof(config));
  config.deviceCount = devices;
  if (set.Create(name, &config) != 0) return 3;
  std::string command = std::string(argv[3]) + " '" + name + "'";
  FILE* server = popen(command.c_str(), "r");
  if (server == NULL) return 4;
  std::vector<Work> work(devices);
  std::vector<pthread_t> threads(devices);
  for (int i = 0; i < devices; ++i) {
    char suffix[16];
    snprintf(suffix, sizeof(suffix), "%d", i);
    work[i].set = &set;
    work[i].device_name = i == 0 ? std::string(name) : std::string(name) + suffix;
    work[i].file_name = std::string(argv[2]) + suffix;
    pthread_create(&threads[i], NULL, run, &work[i]);
  }
  int failed = 0;
  for (int i = 0; i < devices; ++i) {
    pthread_join(threads[i], NULL);
    if (work[i].result != 0) {
      printf("device %d: %x\n", i, work[i].result);
      failed = 5;
    }
  }
  char line[256];
  while (fgets(line, sizeof(line), server) != NULL)
    printf("%s", line);
  if (pclose(server) != 0) failed = 6;
  if (set.Close() != 0) failed = 7;
  return failed;
}
