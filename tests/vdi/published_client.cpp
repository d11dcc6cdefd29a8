// A client of one virtual device, in the way that the published Linux interface shows: a set named
// by a UUID, the server started through popen, GetConfiguration 10000, GetCommand 90. Nothing here
// knows which library it is linked to.
// usage: published_client B|R FILE COMMAND   (the set's name is appended to COMMAND)
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <uuid/uuid.h>
#include "vdi.h"
#include "vdierror.h"

static int transfer(ClientVirtualDevice* device, VDC_Command* command, FILE* file, int* bytes) {
  size_t size = (size_t)command->size;
  size_t done;
  switch (command->commandCode) {
    case VDC_Read:
      done = fread(command->buffer, 1, size, file);
      *bytes = (int)done;
      return done == size ? ERROR_SUCCESS : ERROR_HANDLE_EOF;
    case VDC_Write:
      done = fwrite(command->buffer, 1, size, file);
      *bytes = (int)done;
      return done == size ? ERROR_SUCCESS : ERROR_DISK_FULL;
    case VDC_Flush: return fflush(file) == 0 ? ERROR_SUCCESS : ERROR_DISK_FULL;
    case VDC_ClearError: return ERROR_SUCCESS;
    default: return device != NULL ? ERROR_NOT_SUPPORTED : ERROR_SUCCESS;
  }
}

static int perform(ClientVirtualDevice* device, FILE* file) {
  VDC_Command* command;
  int result;
  while ((result = device->GetCommand(90, &command)) == 0) {
    int bytes = 0;
    int code = transfer(device, command, file, &bytes);
    result = device->CompleteCommand(command, code, bytes, 0);
    if (result != 0) {
      printf("CompleteCommand: %x\n", result);
      return 1;
    }
  }
  if (result != VD_E_CLOSE) {
    printf("GetCommand: %x\n", result);
    return 1;
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  bool backup = strcmp(argv[1], "B") == 0;
  umask(0);
  uuid_t id;
  char name[37];
  uuid_generate(id);
  uuid_unparse_lower(id, name);
  FILE* file = fopen(argv[2], backup ? "wb" : "rb");
  if (file == NULL) return 2;

  ClientVirtualDeviceSet* set = new ClientVirtualDeviceSet();
  ClientVirtualDevice* device = NULL;
  VDConfig config;
  memset(&config, 0, sizeof(config));
  config.deviceCount = 1;
  config.features = VDF_LikePipe;
  int result = set->Create(name, &config);
  if (result != 0) {
    printf("Create: %x\n", result);
    return 3;
  }
  char command[2048];
  snprintf(command, sizeof(command), "%s %s", argv[3], name);
  FILE* server = popen(command, "r");
  if (server == NULL) return 4;
  int failed = 0;
  if ((result = set->GetConfiguration(10000, &config)) != 0) {
    printf("GetConfiguration: %x\n", result);
    failed = 5;
  } else if ((result = set->OpenDevice(name, &device)) != 0) {
    printf("OpenDevice: %x\n", result);
    failed = 6;
  } else {
    printf("%u device, %u bytes at most\n", config.deviceCount, config.maxTransferSize);
    failed = perform(device, file);
  }
  if (failed) set->SignalAbort();
  char line[256];
  while (fgets(line, sizeof(line), server) != NULL)
    printf("%s", line);
  if (pclose(server) != 0 && failed == 0) failed = 7;
  if ((result = set->Close()) != 0) {
    printf("Close: %x\n", result);
    if (failed == 0) failed = 8;
  }
  delete set;
  if (fclose(file) != 0 && failed == 0) failed = 9;
  return failed;
}
