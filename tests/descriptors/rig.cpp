// tests/descriptors/rig.cpp: see rig.hpp.
#include "tests/descriptors/rig.hpp"
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>
#include "abi/set.hpp"

namespace descriptors {
namespace {

constexpr std::uint32_t block = 4096;

/// Works in a child, where there is no doctest, too.
void must(std::int32_t code, const char* what) {
  if (code != VDSET_OK) throw std::runtime_error(std::string(what) + ": " + vdset_last_error());
}
#define MUST(call) must(call, #call)

}  // namespace

std::string device_name(unsigned i) {
  return i == 0 ? "loop" : "loop." + std::to_string(i);
}

void Engine::open(const Shape& shape) {
  vdset_base_configuration base{};
  base.struct_bytes = sizeof base;
  base.features = VDSET_FEATURE_WRITE_MEDIA;
  base.block_bytes = block;
  base.max_transfer_bytes = 65536;
  MUST(vdset_server_open("loop", nullptr, &server));
  MUST(vdset_server_begin_configuration(server, &base));
  MUST(vdset_server_request_buffers(server, block, 0, shape.devices));
  MUST(vdset_server_end_configuration(server));
}

void Engine::name_devices(const Shape& shape) {
  commands.resize(shape.devices);
  for (unsigned i = 0; i < shape.devices; ++i) {
    devices.push_back(nullptr);
    MUST(vdset_server_open_device(server, device_name(i).c_str(), &devices.back()));
    vdset_command& command = commands[i];
    command = {};
    command.struct_bytes = sizeof command;
    command.code = VDSET_COMMAND_WRITE;
    command.size = block;
    MUST(vdset_server_allocate_buffer(server, block, 0, &command.buffer));
  }
}

std::int32_t Engine::send(unsigned i) {
  ++sent;
  std::memcpy(commands[i].buffer, &sent, sizeof sent);
  return vdset_server_device_send_command(devices[i], &commands[i]);
}

void Engine::close() {
  if (server != nullptr) vdset_server_close(server);
  server = nullptr;
}

int Engine::descriptor() {
  int out = -1;
  MUST(vdset_server_get_descriptor(server, &out));
  return out;
}

void Agent::create(const Shape& shape) {
  vdset_config wish{};
  wish.struct_bytes = sizeof wish;
  wish.device_count = shape.devices;
  wish.server_timeout_ms = shape.server_timeout_ms;
  MUST(vdset_set_create("loop", &wish, nullptr, &set));
}

void Agent::join() {
  MUST(vdset_set_open_in_secondary("loop", nullptr, &set));
}

void Agent::open_devices(unsigned first, unsigned end) {
  vdset_config agreed{};
  agreed.struct_bytes = sizeof agreed;
  MUST(vdset_set_get_configuration(set, brief_ns, &agreed));
  for (unsigned i = first; i < end; ++i) {
    devices.push_back(nullptr);
    MUST(vdset_set_open_device(set, device_name(i).c_str(), &devices.back()));
  }
}

void Agent::open_devices_until(unsigned first, unsigned end) {
  for (;;) {
    try {
      return open_devices(first, end);
    } catch (const std::exception&) {  // Its consumer before is not gone yet.
      devices.clear();
      std::this_thread::yield();
    }
  }
}

std::int32_t Agent::close() {
  vdset_set* const old = set;
  set = nullptr;
  return old != nullptr ? vdset_set_close(old) : VDSET_OK;
}

int Agent::descriptor(unsigned i) {
  int out = -1;
  MUST(vdset_device_get_descriptor(devices[i], &out));
  return out;
}

int Agent::set_descriptor() {
  int out = -1;
  MUST(vdset_set_get_descriptor(set, &out));
  return out;
}

Pair::Pair(const Shape& shape) {
  agent.create(shape);
  engine.open(shape);
  engine.name_devices(shape);
  agent.open_devices(0, shape.devices);
}

bool is_readable(int descriptor) {
  pollfd p{descriptor, POLLIN, 0};
  return poll(&p, 1, 0) == 1 && (p.revents & POLLIN) != 0;
}

void await_readable(int descriptor) {
  pollfd p{descriptor, POLLIN, 0};
  while (poll(&p, 1, -1) < 0) {
  }
  CHECK((p.revents & POLLIN) != 0);
}

// ---- Processes

Process::Process(const char* role, const Shape& shape) {
  int from[2], to[2];
  REQUIRE(pipe2(from, O_CLOEXEC) == 0);
  REQUIRE(pipe2(to, O_CLOEXEC) == 0);
  const std::string devices = std::to_string(shape.devices);
  const char* const arguments[] = {"role", "role", role, devices.c_str(), nullptr};
  pid_ = vfork();
  if (pid_ == 0) {
    dup2(to[0], 0);
    dup2(from[1], 1);
    execv("/proc/self/exe", const_cast<char* const*>(arguments));
    _exit(127);
  }
  ::close(from[1]);
  ::close(to[0]);
  from_ = from[0];
  to_ = to[1];
}

Process::~Process() {
  kill();
  ::close(from_);
  ::close(to_);
}

void Process::await_word() const {
  char byte = 0;
  REQUIRE(read(from_, &byte, 1) == 1);
}

void Process::say() const {
  const char byte = 1;
  REQUIRE(write(to_, &byte, 1) == 1);
}

void Process::signal(int number) const {
  REQUIRE(::kill(pid_, number) == 0);
  siginfo_t stopped{};  // Until all its threads stand still.
  if (number == SIGSTOP) REQUIRE(waitid(P_PID, static_cast<id_t>(pid_), &stopped, WSTOPPED) == 0);
}

void Process::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

namespace {

void word_to_parent() {
  const char byte = 1;
  if (write(1, &byte, 1) != 1) _exit(3);
}

/// Ends the process when the parent is gone.
void word_from_parent() {
  char byte;
  if (read(0, &byte, 1) != 1) _exit(3);
}

/// As an event loop; a word when the server has answered its WAKE.
void work(Agent& agent) {
  vdset_device* const device = agent.devices[0];
  pollfd p{agent.descriptor(0), POLLIN, 0};
  while (device->wake_end.is_pending())
    std::this_thread::yield();
  word_to_parent();
  for (;;) {
    const vdset_command* command = nullptr;
    const std::int32_t result = vdset_device_get_command(device, 0, &command);
    if (result == VDSET_E_TIMEOUT) {
      MUST(vdset_device_arm(device));
      poll(&p, 1, -1);
      continue;
    }
    MUST(result);
    MUST(vdset_device_complete_command(device, command, VDSET_SUCCESS, block, 0));
  }
}

[[noreturn]] void stay() {
  for (;;)
    word_from_parent();
}

}  // namespace

int play_role(int, char** arguments) {
  Shape shape;
  shape.devices = static_cast<unsigned>(std::atoi(arguments[3]));
  const std::string role = arguments[2];
  try {
    Engine engine;
    Agent agent;
    if (role == "server") {
      engine.open(shape);
      engine.name_devices(shape);
      word_to_parent();
    } else if (role == "primary") {
      agent.create(shape);
      word_to_parent();
      agent.open_devices(0, shape.devices);
      word_to_parent();
      word_from_parent();
      vdset_set_signal_abort(agent.set, 5, "asked to");
      word_to_parent();
    } else if (role == "secondary") {
      agent.join();
      agent.open_devices_until(1, 2);
      work(agent);
    } else {
      return 2;
    }
    stay();
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "%s: %s\n", role.c_str(), failure.what());
    return 1;
  }
}

unsigned rounds(unsigned normal) {
  const char* const deep = std::getenv("VDSET_TEST_DEEP");
  const int times = deep != nullptr ? std::atoi(deep) : 0;
  return times > 0 ? normal * 50 * static_cast<unsigned>(times) : normal;
}

}  // namespace descriptors
