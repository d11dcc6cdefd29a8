// tests/process/role_checks.cpp: verbs that look: at memory, at all handles of a space, at what
// this process uses, and at what a forked child may do.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include "tests/process/role.hpp"

namespace role {
namespace {

bool is_forked = false;

std::uint64_t wide(const Words& w, std::size_t i) {
  return static_cast<std::uint64_t>(w.number(i));
}

/// fill ADDRESS BYTES SEED
std::string fill_memory(const Words& w) {
  fill(address_of(w.word(0)), wide(w, 1), wide(w, 2));
  return ok();
}
/// check ADDRESS BYTES SEED
std::string check_memory(const Words& w) {
  return ok("equal=%d", is_filled(address_of(w.word(0)), wide(w, 1), wide(w, 2)) ? 1 : 0);
}

std::string asleep(const Words& w) {
  return ok("asleep=%d", is_lane_asleep(w.word(0)));
}

std::string who(const Words&) {
  return ok("pid=%d uid=%d bits=%zu", getpid(), static_cast<int>(geteuid()), 8 * sizeof(void*));
}

/// Addresses of this process that are not a buffer's.
std::string strangers(const Words&) {
  static char global[64];
  int local = 0;
  static void* const heap = std::malloc(64);
  return ok("stack=%p heap=%p global=%p code=%p", static_cast<void*>(&local), heap,
            static_cast<void*>(global), reinterpret_cast<void*>(&fill_memory));
}

std::size_t count_entries(const char* folder) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder))
    ++count;
  return count;
}

/// Descriptors, threads, mappings of memory files, and KiB of addresses and of pages of this
/// process. The number of other mappings says little: neighbours merge.
std::string usage(const Words&) {
  std::size_t files = 0;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    files += line.find("/memfd:") != std::string::npos ? 1 : 0;
  long long addresses = 0, pages = 0;
  std::ifstream("/proc/self/statm") >> addresses >> pages;
  const long long page_kib = sysconf(_SC_PAGESIZE) / 1024;
  return ok("descriptors=%zu threads=%zu files=%zu addresses=%lld resident=%lld",
            count_entries("/proc/self/fd") - 1, count_entries("/proc/self/task"), files,
            addresses * page_kib, pages * page_kib);
}

// ---- Handles ------------------------------------------------------------------------------------

/// What happened to a row of handles that were tried.
struct Tried {
  std::uint64_t accepted = 0;
  std::uint64_t invalid = 0;
  std::uint64_t other = 0;
  std::set<std::uint32_t> which;  // Accepted, the first few.

  void count(std::int32_t code, std::uint32_t handle) {
    if (code == VDSET_E_INVALID) {
      ++invalid;
    } else if (code == VDSET_OK) {
      ++accepted;
      if (which.size() < 64) which.insert(handle);
    } else {
      ++other;
    }
  }
  std::string answer() const {
    std::string list;
    for (const std::uint32_t handle : which) {
      if (!list.empty()) list += ',';
      list += std::to_string(handle);
    }
    return ok("accepted=%llu invalid=%llu other=%llu which=%s",
              static_cast<unsigned long long>(accepted), static_cast<unsigned long long>(invalid),
              static_cast<unsigned long long>(other), list.c_str());
  }
};

/// try-handles FIRST COUNT STEP set= | server=: every STEP-th value from FIRST on, wrapping.
std::string try_handles(const Words& w) {
  vdset_set* const set = set_of(w);
  vdset_server* const server = w.option("server").empty() ? nullptr : server_of(w);
  Tried tried;
  auto handle = static_cast<std::uint32_t>(w.number(0));
  const std::uint64_t count = wide(w, 1);
  const auto step = static_cast<std::uint32_t>(w.number(2, 1));
  for (std::uint64_t i = 0; i < count; ++i, handle += step) {
    void* out = nullptr;
    tried.count(server != nullptr ? vdset_server_map_buffer_handle(server, handle, &out)
                                  : vdset_set_map_buffer_handle(set, handle, &out),
                handle);
  }
  return tried.answer();
}

/// try-random COUNT SEED like=HANDLE: half of them with the salt of that handle.
std::string try_random(const Words& w) {
  vdset_set* const set = set_of(w);
  std::mt19937 random(static_cast<std::uint32_t>(w.number(1)));
  const auto like = static_cast<std::uint32_t>(w.option_number("like"));
  Tried tried;
  for (std::uint64_t i = 0; i < wide(w, 0); ++i) {
    auto handle = static_cast<std::uint32_t>(random());
    if (i % 2 == 0) handle = (handle & 0x3ffffffu) | (like & 0xfc000000u);
    void* out = nullptr;
    tried.count(vdset_set_map_buffer_handle(set, handle, &out), handle);
  }
  return tried.answer();
}

// ---- Fork ---------------------------------------------------------------------------------------

/// Counts calls of a forked child and those that were answered NOTOPEN.
struct Calls {
  unsigned made = 0;
  unsigned not_open = 0;
  void operator()(std::int32_t code) {
    ++made;
    not_open += code == VDSET_E_NOTOPEN ? 1 : 0;
  }
};

void call_client(vdset_set* set, vdset_device* device, const vdset_command* command, Calls& calls) {
  vdset_config config{};
  config.struct_bytes = sizeof config;
  vdset_abort_reason reason{};
  reason.struct_bytes = sizeof reason;
  vdset_device* opened = nullptr;
  std::uint32_t handle = 0;
  void* mapped = nullptr;
  char text[64];
  calls(vdset_set_get_configuration(set, 0, &config));
  calls(vdset_set_open_device(set, "x", &opened));
  calls(vdset_set_get_buffer_handle(set, &handle, &handle));
  calls(vdset_set_map_buffer_handle(set, 1, &mapped));
  calls(vdset_set_explain_handle(set, 1, text, sizeof text));
  calls(vdset_set_signal_abort(set, 1, "from a child"));
  calls(vdset_set_get_abort_reason(set, &reason));
  vdset_loss loss{};
  loss.struct_bytes = sizeof loss;
  calls(vdset_set_get_loss(set, 0, &loss));
  if (device != nullptr) {
    calls(vdset_device_get_command(device, 0, &command));
    calls(vdset_device_complete_command(device, command, 0, 0, 0));
    calls(vdset_device_interrupt(device));
  }
  calls(vdset_set_close(set));
}

void call_server(vdset_server* server, vdset_server_device* device, Calls& calls) {
  vdset_config config{};
  config.struct_bytes = sizeof config;
  vdset_base_configuration base{};
  base.struct_bytes = sizeof base;
  vdset_abort_reason reason{};
  reason.struct_bytes = sizeof reason;
  std::uint32_t number = 0;
  void* buffer = nullptr;
  vdset_command command{};
  command.struct_bytes = sizeof command;
  vdset_command* finished = nullptr;
  calls(vdset_server_get_configuration(server, &config));
  calls(vdset_server_begin_configuration(server, &base));
  calls(vdset_server_request_buffers(server, 512, 0, 1));
  calls(vdset_server_query_available_buffers(server, 512, 0, &number));
  calls(vdset_server_end_configuration(server));
  calls(vdset_server_run_completion_agent(server));
  calls(vdset_server_next_completion(server, 0, &finished));
  calls(vdset_server_allocate_buffer(server, 512, 0, &buffer));
  calls(vdset_server_free_buffer(server, &number, 512));
  calls(vdset_server_get_buffer_handle(server, &number, &number));
  calls(vdset_server_map_buffer_handle(server, 1, &buffer));
  calls(vdset_server_signal_abort(server, 1, "from a child"));
  calls(vdset_server_get_abort_reason(server, &reason));
  vdset_loss loss{};
  loss.struct_bytes = sizeof loss;
  calls(vdset_server_get_loss(server, 0, &loss));
  if (device != nullptr) {
    command.code = VDSET_COMMAND_FLUSH;
    calls(vdset_server_device_send_command(device, &command));
    calls(vdset_server_device_outstanding(device, &number));
    calls(vdset_server_device_close(device));
  }
  calls(vdset_server_close(server));
}

/// fork-child own=NAME exit=: forks; the child calls everything on what its parent had opened.
std::string fork_child(const Words& w) {
  vdset_set* const set = set_of(w);
  vdset_server* const server = server_of(w);
  vdset_device* const device = device_of(w);
  vdset_server_device* const server_device = server_device_of(w);
  const std::string own = w.option("own");
  const bool plain_exit = w.option_number("exit") != 0;
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return mistake("no pipe");
  const pid_t child = fork();
  if (child == 0) {
    Calls calls;
    vdset_command stale{};
    if (set != nullptr) call_client(set, device, &stale, calls);
    if (server != nullptr) call_server(server, server_device, calls);
    // What a child may do: a set of its own, here with all its roles.
    const std::int32_t backup = own.empty() ? VDSET_OK : back_up_alone(own);
    const unsigned words[3] = {calls.made, calls.not_open, backup == VDSET_OK ? 1u : 0u};
    if (write(pipe_ends[1], words, sizeof words) != sizeof words) _exit(9);
    is_forked = true;
    if (plain_exit) std::exit(0);
    _exit(0);
  }
  close(pipe_ends[1]);
  unsigned words[3] = {};
  const bool told = read(pipe_ends[0], words, sizeof words) == sizeof words;
  close(pipe_ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return ok("told=%d calls=%u notopen=%u own=%u status=%d", told ? 1 : 0, words[0], words[1],
            words[2], status);
}

// ---- What happens to the process behind the library's back --------------------------------------

/// limit-memory BYTES: the address space may grow by so much and no more; -1 lifts it.
std::string limit_memory(const Words& w) {
  long long pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
  if (w.number(0) >= 0)
    limit.rlim_cur = static_cast<rlim_t>(pages * sysconf(_SC_PAGESIZE) + w.number(0));
  return setrlimit(RLIMIT_AS, &limit) == 0 ? ok() : mistake("setrlimit");
}

/// limit-files COUNT: so many more descriptors can be had; -1 lifts it.
std::string limit_files(const Words& w) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  const int next = dup(0);  // The lowest free number.
  close(next);
  if (w.number(0) >= 0) limit.rlim_cur = static_cast<rlim_t>(next + w.number(0));
  return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? ok() : mistake("setrlimit");
}

/// close-descriptors [tcp]: as daemons do that close all they do not know, and then open sockets of
/// their own.
std::string close_descriptors(const Words& w) {
  if (close_range(3, ~0u, 0) != 0) return mistake("close_range");
  for (int i = 0; i < 64 && w.word(0) == "tcp"; ++i)
    if (socket(AF_INET, SOCK_STREAM, 0) < 0) return mistake("socket");
  return ok();
}

/// keep-sockets: a child that no fork handler sees holds every descriptor of this process, and
/// outlives it.
std::string keep_sockets(const Words&) {
  const long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0)
    for (;;)
      pause();
  return child > 0 ? ok("pid=%ld", child) : mistake("clone");
}

/// exec: this program again, in the same process; the new image gives the answer.
std::string exec_again(const Words&) {
  setenv("VDSET_ROLE_EXEC", "1", 1);
  char name[] = "again";
  char* const arguments[] = {name, name, nullptr};
  execv("/proc/self/exe", arguments);
  return mistake("execv");
}

}  // namespace

void add_check_verbs(Verbs& verbs) {
  verbs.insert({{"fill", fill_memory},
                {"check", check_memory},
                {"asleep", asleep},
                {"who", who},
                {"strangers", strangers},
                {"usage", usage},
                {"try-handles", try_handles},
                {"try-random", try_random},
                {"fork-child", fork_child},
                {"limit-memory", limit_memory},
                {"limit-files", limit_files},
                {"close-descriptors", close_descriptors},
                {"keep-sockets", keep_sockets},
                {"exec", exec_again}});
}

}  // namespace role

/// A leak checker asks. In a forked child the other threads' stacks hold what nothing else does.
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() {
  return role::is_forked ? 1 : 0;
}
