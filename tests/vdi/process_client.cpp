// A client of several devices, one secondary process for each. The secondaries fetch and complete;
// the primary touches the bytes, through buffer handles that they pass on.
// usage: process_client DEVICES FILE_PREFIX COMMAND   (the set's name is appended to COMMAND)
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <string>
#include <vector>
#include "vdi.h"
#include "vdierror.h"

// What a secondary asks of the primary for a Read or Write, and the answer.
struct Request {
  int32_t command;
  int32_t size;
  uint32_t handle;
};
struct Answer {
  int32_t code;
  int32_t bytes;
};

static int secondary(char* set_name, char* device_name) {
  const int primary = 3;
  ClientVirtualDeviceSet set;
  ClientVirtualDevice* device;
  VDConfig config;
  if (set.OpenInSecondary(set_name) != 0) return 11;
  if (set.OpenDevice(device_name, &device) != 0) return 12;
  if (set.GetConfiguration(10000, &config) != 0) return 13;
  VDC_Command* command;
  int result;
  while ((result = device->GetCommand(90, &command)) == 0) {
    Answer answer = {ERROR_SUCCESS, 0};
    if (command->commandCode == VDC_Read || command->commandCode == VDC_Write) {
      Request request = {command->commandCode, command->size, 0};
      if (set.GetBufferHandle(command->buffer, &request.handle) != 0) return 14;
      if (write(primary, &request, sizeof(request)) != sizeof(request)) return 15;
      if (read(primary, &answer, sizeof(answer)) != sizeof(answer)) return 16;
    }
    if (device->CompleteCommand(command, answer.code, answer.bytes, 0) != 0) return 17;
  }
  if (result != VD_E_CLOSE) return 18;
  return set.Close() == 0 ? 0 : 19;
}

static Answer serve(ClientVirtualDeviceSet& set, const Request& request, FILE* file) {
  Answer answer = {ERROR_OPERATION_ABORTED, 0};
  uint8_t* buffer;
  if (set.MapBufferHandle((int)request.handle, &buffer) != 0) return answer;
  size_t size = (size_t)request.size;
  size_t done =
      request.command == VDC_Read ? fread(buffer, 1, size, file) : fwrite(buffer, 1, size, file);
  answer.bytes = (int32_t)done;
  answer.code = done == size                  ? ERROR_SUCCESS
                : request.command == VDC_Read ? ERROR_HANDLE_EOF
                                              : ERROR_DISK_FULL;
  return answer;
}

static pid_t start(const char* self, char* set_name, const std::string& device_name, int& mine) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return -1;
  pid_t child = fork();
  if (child == 0) {
    dup2(pair[1], 3);
    execl(self, self, "--secondary", set_name, device_name.c_str(), (char*)NULL);
    _exit(127);
  }
  close(pair[1]);
  mine = pair[0];
  return child;
}

/// Until every secondary has ended. Nobody but the primary watches them: one that ends badly, or is
/// killed, makes it abort. Returns how many did.
static size_t serve_all(ClientVirtualDeviceSet& set, std::vector<pollfd>& sockets,
                        const std::vector<FILE*>& files, const std::vector<pid_t>& children) {
  size_t open = sockets.size();
  size_t failed = 0;
  while (open > 0 && poll(sockets.data(), sockets.size(), -1) > 0) {
    for (size_t i = 0; i < sockets.size(); ++i) {
      if (sockets[i].revents == 0) continue;
      Request request;
      if (read(sockets[i].fd, &request, sizeof(request)) != sizeof(request)) {
        sockets[i].fd = -1;  // poll passes over it.
        --open;
        int status = 0;
        waitpid(children[i], &status, 0);
        if (status == 0) continue;
        printf("secondary %d: %x\n", (int)i, status);
        set.SignalAbort();
        ++failed;
        continue;
      }
      Answer answer = serve(set, request, files[i]);
      if (write(sockets[i].fd, &answer, sizeof(answer)) != sizeof(answer)) set.SignalAbort();
    }
  }
  return failed;
}

int main(int argc, char** argv) {
  if (argc == 4 && strcmp(argv[1], "--secondary") == 0) return secondary(argv[2], argv[3]);
  if (argc != 4) return 2;
  size_t devices = (size_t)atoi(argv[1]);
  char name[64];
  snprintf(name, sizeof(name), "processes of %d", (int)getpid());
  ClientVirtualDeviceSet set;
  VDConfig config;
  memset(&config, 0, sizeof(config));
  config.deviceCount = (uint32_t)devices;
  if (set.Create(name, &config) != 0) return 3;
  FILE* server = popen((std::string(argv[3]) + " '" + name + "'").c_str(), "r");
  if (server == NULL || set.GetConfiguration(15000, &config) != 0) return 4;
  std::vector<pollfd> sockets(devices);
  std::vector<FILE*> files(devices);
  std::vector<pid_t> children(devices);
  for (size_t i = 0; i < devices; ++i) {
    char suffix[16];
    snprintf(suffix, sizeof(suffix), "%d", (int)i);
    files[i] = fopen((std::string(argv[2]) + suffix).c_str(),
                     config.features & VDF_WriteMedia ? "wbe" : "rbe");
    sockets[i].events = POLLIN;
    children[i] =
        start("/proc/self/exe", name, i == 0 ? name : std::string(name) + suffix, sockets[i].fd);
    if (files[i] == NULL || children[i] < 0) return 5;
  }
  int failed = serve_all(set, sockets, files, children) == 0 ? 0 : 6;
  for (size_t i = 0; i < devices; ++i)
    fclose(files[i]);
  char line[256];
  while (fgets(line, sizeof(line), server) != NULL)
    printf("%s", line);
  if (pclose(server) != 0) failed = 7;
  if (set.Close() != 0) failed = 8;
  return failed;
}
