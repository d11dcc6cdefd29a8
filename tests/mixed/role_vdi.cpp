// tests/mixed/role_vdi.cpp: the role program in C++, over vdi.h and vdi_server.h (README.md).
#include <unistd.h>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iostream>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>
#include "vdi_server.h"

namespace {

const uint32_t block = 512;
const uint32_t transfer = 65536;
const unsigned window = 4;
const time_t patience_s = 20;

[[noreturn]] void fail(const std::string& why) {
  std::cerr << "cpp: " << why << std::endl;
  std::_Exit(1);
}
void must(int result, const char* what, int due = 0) {
  if (result == due) return;
  char text[64];
  std::snprintf(text, sizeof text, ": 0x%08X", static_cast<unsigned>(result));
  fail(what + std::string(text));
}

uint32_t size_of(uint32_t k, uint32_t device) {
  return block * (1 + (k * 5 + device) % 128);
}
uint8_t byte_of(uint32_t k, uint32_t device, uint32_t i) {
  return static_cast<uint8_t>(k * 31 + i * 7 + i / 256 + device * 101);
}
void fill(uint8_t* to, uint32_t k, uint32_t device) {
  for (uint32_t i = 0; i < size_of(k, device); ++i)
    to[i] = byte_of(k, device, i);
}
void check(const uint8_t* from, uint32_t k, uint32_t device) {
  for (uint32_t i = 0; i < size_of(k, device); ++i)
    if (from[i] != byte_of(k, device, i))
      fail("device " + std::to_string(device) + ", command " + std::to_string(k) + ": byte " +
           std::to_string(i) + " is wrong");
}
/// What a client does with a buffer of a Read or Write.
void work(int code, uint8_t* buffer, uint32_t k, uint32_t device) {
  if (code == VDC_Read)
    fill(buffer, k, device);
  else
    check(buffer, k, device);
}
int code_of(uint32_t k, uint32_t rounds) {
  return k < rounds ? VDC_Write : VDC_Read;
}
std::string device_name(const std::string& set, uint32_t device) {
  return device == 0 ? set : set + "-1";
}

// ---- Server

/// A command, and which one of its device it is.
struct Sent {
  VDS_Command command;
  uint32_t k;
};

/// What the completion agent's thread hands over.
class Finished {
 public:
  void put(Sent* sent) {
    const std::lock_guard<std::mutex> guard(lock_);
    list_.push_back(sent);
    changed_.notify_one();
  }
  Sent* take() {
    std::unique_lock<std::mutex> guard(lock_);
    if (!changed_.wait_for(guard, std::chrono::seconds(patience_s), [&] { return !list_.empty(); }))
      fail("no completion");
    Sent* const sent = list_.front();
    list_.pop_front();
    return sent;
  }

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  std::deque<Sent*> list_;
};
Finished finished;

void completed(VDS_Command* command) {
  finished.put(reinterpret_cast<Sent*>(command->completionContext));
}

void send(ServerVirtualDevice* to, Sent& sent, uint32_t k, uint32_t device, uint32_t rounds) {
  sent.k = k;
  sent.command.commandCode = code_of(k, rounds);
  sent.command.size = static_cast<int32_t>(size_of(k, device));
  sent.command.completionRoutine = completed;
  sent.command.completionContext = reinterpret_cast<uint8_t*>(&sent);
  if (sent.command.commandCode == VDC_Write)
    fill(sent.command.buffer, k, device);
  else
    std::memset(sent.command.buffer, 0, size_of(k, device));
  must(to->SendCommand(&sent.command), "SendCommand");
}

void serve_device(ServerVirtualDevice* to, uint32_t device, uint32_t rounds,
                  std::vector<Sent>& commands) {
  uint32_t sent = 0;
  for (; sent < window && sent < 2 * rounds; ++sent)
    send(to, commands[sent], sent, device, rounds);
  for (uint32_t done = 0; done < 2 * rounds; ++done) {
    Sent& back = *finished.take();
    must(back.command.completionCode, "completion code");
    must(back.command.bytesTransferred, "bytes transferred", back.command.size);
    check(back.command.buffer, back.k, device);
    if (sent < 2 * rounds) send(to, back, sent++, device, rounds);
  }
  must(to->CloseDevice(), "CloseDevice");
}

uint32_t serve(const std::string& name, uint32_t rounds) {
  ServerVirtualDeviceSet set;
  VDConfig wish;
  must(set.Open(NULL, name.c_str()), "Open");
  must(set.GetConfiguration(&wish), "GetConfiguration");
  if (wish.deviceCount != 2 || wish.features != 0) fail("the wish is not two pipes");
  must(set.BeginConfiguration(VDF_WriteMedia | VDF_ReadMedia, block, 0, transfer, 10000),
       "BeginConfiguration");
  must(set.RequestBuffers(transfer, 0, window), "RequestBuffers");
  must(set.EndConfiguration(), "EndConfiguration");
  ServerVirtualDevice* devices[2];
  for (uint32_t d = 0; d < 2; ++d)
    must(set.OpenDevice(device_name(name, d).c_str(), &devices[d]), "OpenDevice");
  int agent_result = -1;
  std::thread agent([&] { agent_result = set.ExecuteCompletionAgent(); });
  std::vector<Sent> commands(window);
  for (Sent& sent : commands) {
    std::memset(&sent.command, 0, sizeof sent.command);
    must(set.AllocateBuffer(&sent.command.buffer, transfer, 0), "AllocateBuffer");
  }
  for (uint32_t d = 0; d < 2; ++d)
    serve_device(devices[d], d, rounds, commands);
  agent.join();
  must(agent_result, "ExecuteCompletionAgent");
  must(set.Close(), "Close");
  return 4 * rounds;
}

// ---- Clients

/// The other client, line by line.
class Other {
 public:
  Other() : from_(fdopen(0, "r")), to_(fdopen(dup(0), "w")) {
    if (from_ == NULL || to_ == NULL) fail("no socket");
  }
  std::string hear() {
    char line[128];
    if (std::fgets(line, sizeof line, from_) == NULL) fail("the other client is gone");
    return line;
  }
  void say(const std::string& line) {
    if (std::fputs((line + "\n").c_str(), to_) < 0 || std::fflush(to_) != 0)
      fail("the other client is gone");
  }

 private:
  std::FILE* from_;
  std::FILE* to_;
};

uint32_t lead(ClientVirtualDeviceSet& set, ClientVirtualDevice* from, uint32_t device,
              uint32_t rounds, Other& other) {
  uint32_t k = 0, worked = 0;
  VDC_Command* command;
  int result;
  while ((result = from->GetCommand(patience_s, &command)) == 0) {
    if (k >= 2 * rounds) fail("a command too many");
    must(command->commandCode, "command code", code_of(k, rounds));
    must(command->size, "size", static_cast<int>(size_of(k, device)));
    if (k % 2 == 0) {
      work(command->commandCode, command->buffer, k, device);
      ++worked;
    } else {
      unsigned int handle;
      must(set.GetBufferHandle(command->buffer, &handle), "GetBufferHandle");
      std::ostringstream line;
      line << "buffer " << handle << ' ' << device << ' ' << command->commandCode << ' ' << k << ' '
           << command->size;
      other.say(line.str());
      if (other.hear() != "done\n") fail("the answer is not done");
    }
    const unsigned long bytes = static_cast<unsigned long>(command->size);
    must(from->CompleteCommand(command, 0, bytes, 0), "CompleteCommand");
    ++k;
  }
  must(result, "GetCommand", VD_E_CLOSE);
  must(static_cast<int>(k), "commands", static_cast<int>(2 * rounds));
  other.say("end");
  return worked;
}

uint32_t follow(ClientVirtualDeviceSet& set, Other& other) {
  for (uint32_t worked = 0;; ++worked) {
    const std::string line = other.hear();
    if (line == "end\n") return worked;
    std::istringstream in(line);
    std::string verb;
    uint32_t handle, device, k, size;
    int code;
    if (!(in >> verb >> handle >> device >> code >> k >> size) || verb != "buffer" ||
        size != size_of(k, device))
      fail("told " + line);
    uint8_t* buffer;
    must(set.MapBufferHandle(static_cast<int>(handle ^ 0x80000000u), &buffer), "a forged handle",
         VD_E_INVALID);
    must(set.MapBufferHandle(static_cast<int>(handle), &buffer), "MapBufferHandle");
    work(code, buffer, k, device);
    other.say("done");
  }
}

uint32_t be_client(const std::string& name, uint32_t device, uint32_t rounds) {
  Other other;
  ClientVirtualDeviceSet set;
  VDConfig config;
  std::memset(&config, 0, sizeof config);
  config.deviceCount = 2;
  std::string set_name = name;  // The interface wants text that it could write to.
  std::string mine = device_name(name, device);
  if (device == 0) {
    must(set.Create(&set_name[0], &config), "Create");
    std::cout << "ready" << std::endl;
  } else {
    if (other.hear() != "go\n") fail("not told to go");
    must(set.OpenInSecondary(&set_name[0]), "OpenInSecondary");
  }
  must(set.GetConfiguration(patience_s * 1000, &config), "GetConfiguration");
  ClientVirtualDevice* opened;
  must(set.OpenDevice(&mine[0], &opened), "OpenDevice");
  uint32_t worked;
  if (device == 0) {
    other.say("go");
    worked = lead(set, opened, device, rounds, other);
    worked += follow(set, other);
  } else {
    worked = follow(set, other);
    worked += lead(set, opened, device, rounds, other);
  }
  must(set.Close(), "Close");
  return worked;
}

}  // namespace

int main(int count, char** arguments) {
  const int rounds = count == 4 ? std::atoi(arguments[3]) : 0;
  if (rounds <= 0) fail("usage: role_vdi server|primary|secondary SET ROUNDS");
  const std::string role = arguments[1];
  const uint32_t worked = role == "server" ? serve(arguments[2], static_cast<uint32_t>(rounds))
                                           : be_client(arguments[2], role == "primary" ? 0 : 1,
                                                       static_cast<uint32_t>(rounds));
  std::cout << "ok " << worked << std::endl;
  return 0;
}
