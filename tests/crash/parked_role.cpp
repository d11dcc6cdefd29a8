// tests/crash/parked_role.cpp: one of eight processes, all of whose threads wait: BOOK PROCESS
// DIRECTORY. Over the library whose accesses are counted, and which sleeps in slices of a minute: a
// wake that is lost is a hang.
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <vdset.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>
#include "abi/wait.hpp"
#include "tests/crash/parked.hpp"

namespace vdset::parked {
namespace {

Book* book = nullptr;

void complain(const char* what) {
  if (book->complaints.fetch_add(1) == 0)
    std::snprintf(book->complaint, sizeof book->complaint, "%s: %s", what, vdset_last_error());
}

template <class Wait>
void wait(std::uint32_t number, Kind kind, Wait call) {
  Waiter& waiter = book->waiter[number];
  waiter.kind = static_cast<std::uint32_t>(kind);
  waiter.thread = gettid();
  const std::int32_t code = call();
  waiter.code = code;
  waiter.returned_ns = now_ns();
}

std::int32_t poll_device(vdset_device* device) {
  int descriptor = -1;
  std::int32_t code = vdset_device_get_descriptor(device, &descriptor);
  while (code == VDSET_OK) {
    const vdset_command* command = nullptr;
    code = vdset_device_get_command(device, 0, &command);
    if (code != VDSET_E_TIMEOUT) return code;
    code = vdset_device_arm(device);
    pollfd at{descriptor, POLLIN, 0};
    if (code == VDSET_OK) poll(&at, 1, -1);
  }
  return code;
}

std::int32_t poll_set(vdset_set* set) {
  int descriptor = -1;
  std::int32_t code = vdset_set_get_descriptor(set, &descriptor);
  vdset_abort_reason reason{};
  reason.struct_bytes = sizeof reason;
  while (code == VDSET_OK && vdset_set_get_abort_reason(set, &reason) == VDSET_E_PROTOCOL) {
    code = vdset_set_arm(set);
    pollfd at{descriptor, POLLIN, 0};
    if (code == VDSET_OK) poll(&at, 1, -1);
  }
  return code == VDSET_OK ? VDSET_E_ABORT : code;
}

void name_of(std::uint32_t number, char (&name)[32]) {
  std::snprintf(name, sizeof name, number == 0 ? set_name : "parked.%u", number);
}

/// Until the driver says so; then, if it is this process's turn, the abort.
template <class Abort>
void await_the_end(std::uint32_t me, Abort abort) {
  while (book->go == 0 &&
         book->waiter[me == server ? waiters - 1 : (me - 1) * waiters_each].returned_ns == 0)
    usleep(500);
  if (book->aborter != me || book->go == 0) return;
  if (book->dies) {
    atomics.count_only(core::Site::bell_force);  // The first wake comes after the word.
    atomics.kill_at(atomics.count() + 1);
  }
  book->began_ns = now_ns();
  if (abort() != VDSET_OK) complain("abort");
}

void park(vdset_set* set, std::uint32_t me) {
  const std::uint32_t begin = (me - 1) * waiters_each;
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < devices_each; ++i) {
    char name[32];
    name_of((me - 1) * devices_each + i, name);
    vdset_device* device = nullptr;
    if (vdset_set_open_device(set, name, &device) != VDSET_OK) return complain("open device");
    threads.emplace_back([=] {
      if (i >= getters)
        return wait(begin + i, Kind::device_poll, [=] { return poll_device(device); });
      const vdset_command* command = nullptr;
      wait(begin + i, Kind::get_command,
           [&] { return vdset_device_get_command(device, VDSET_INFINITE, &command); });
    });
  }
  threads.emplace_back(
      [=] { wait(begin + devices_each, Kind::set_poll, [=] { return poll_set(set); }); });
  threads.emplace_back([=] {
    vdset_device* device = nullptr;
    wait(begin + devices_each + 1, Kind::open_device,
         [&] { return vdset_set_open_device(set, unnamed, &device); });
  });
  await_the_end(me, [=] { return vdset_set_signal_abort(set, 7, "enough"); });
  for (std::thread& thread : threads)
    thread.join();
}

void run_primary(const char* directory) {
  vdset_config config{};
  config.struct_bytes = sizeof config;
  config.device_count = named + 1;
  vdset_set_options options{};
  options.struct_bytes = sizeof options;
  options.directory = directory;
  vdset_set* set = nullptr;
  if (vdset_set_create(set_name, &config, &options, &set) != VDSET_OK) return complain("create");
  book->created = 1;
  vdset_config agreed{};
  agreed.struct_bytes = sizeof agreed;
  if (vdset_set_get_configuration(set, VDSET_INFINITE, &agreed) != VDSET_OK)
    complain("get configuration");
  else
    park(set, primary);
  vdset_set_close(set);
}

void run_secondary(const char* directory, std::uint32_t me) {
  vdset_join_options options{};
  options.struct_bytes = sizeof options;
  options.directory = directory;
  vdset_set* set = nullptr;
  if (vdset_set_open_in_secondary(set_name, &options, &set) != VDSET_OK) return complain("join");
  park(set, me);
  vdset_set_close(set);
}

void run_server(const char* directory) {
  vdset_join_options options{};
  options.struct_bytes = sizeof options;
  options.directory = directory;
  vdset_server* the_server = nullptr;
  if (vdset_server_open(set_name, &options, &the_server) != VDSET_OK) return complain("open");
  vdset_base_configuration base{};
  base.struct_bytes = sizeof base;
  base.features = VDSET_FEATURE_WRITE_MEDIA;
  base.block_bytes = 512;
  base.max_transfer_bytes = 65536;
  std::int32_t code = vdset_server_begin_configuration(the_server, &base);
  if (code == VDSET_OK) code = vdset_server_request_buffers(the_server, 4096, 0, 1);
  if (code == VDSET_OK) code = vdset_server_end_configuration(the_server);
  for (std::uint32_t i = 0; i < named && code == VDSET_OK; ++i) {
    char name[32];
    name_of(i, name);
    vdset_server_device* device = nullptr;
    code = vdset_server_open_device(the_server, name, &device);
  }
  if (code != VDSET_OK) return complain("configure");
  book->configured = 1;
  std::thread agent([=] {
    wait(waiters - 1, Kind::agent, [=] { return vdset_server_run_completion_agent(the_server); });
  });
  await_the_end(server, [=] { return vdset_server_signal_abort(the_server, 7, "enough"); });
  agent.join();
  vdset_server_close(the_server);
}

int run(int count, char** words) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (count < 4) return 2;
  void* const memory =
      mmap(nullptr, sizeof(Book), PROT_READ | PROT_WRITE, MAP_SHARED, std::atoi(words[1]), 0);
  if (memory == MAP_FAILED) return 3;
  book = static_cast<Book*>(memory);
  const auto me = static_cast<std::uint32_t>(std::atoi(words[2]));
  if (me == server)
    run_server(words[3]);
  else if (me == primary)
    run_primary(words[3]);
  else
    run_secondary(words[3], me);
  return 0;
}

}  // namespace
}  // namespace vdset::parked

int main(int count, char** words) {
  _exit(vdset::parked::run(count, words));
}
