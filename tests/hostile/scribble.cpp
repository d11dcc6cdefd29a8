// tests/hostile/scribble.cpp
// Goal: a process that has a set's region mapped and writes garbage into it all the time hurts
// nobody: the others end, with success or a VDI code, within the time, killed by nothing but this
// test; no byte of another set reaches them; another set of the same server never notices.
// Method: rounds, each one lifetime of two sets: `bad`, whose region is written, and `good`, beside
// it in the same processes. Forked from this program: a server, a primary, a secondary, and the
// writer, which is a fourth process that joined as a secondary and opened a device, or (every third
// round) the server itself, so that the clients have a hostile server.
//
// usage: scribble seconds N | rounds N [seed]. Ends early after ten bad rounds.
#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include "abi/message.hpp"
#include "abi/names.hpp"
#include "abi/server.hpp"
#include "core/client_ring.hpp"
#include "tests/hostile/scribbler.hpp"

using namespace vdset;
using namespace vdset::hostile;

namespace {

constexpr std::uint32_t command_count = 48;
constexpr std::uint32_t commands_before = 2;  // Of each device of the bad set: the first write.
constexpr std::uint32_t buffer_bytes = 65536;
constexpr std::uint32_t buffer_count = 8;
constexpr unsigned watchdog_seconds = 120;  // Of a round that takes a tenth of one.
constexpr int lane_count = 4;               // A round waits more than it works.
constexpr int violation = 3;                // Exit code of a role that saw what must not be.

std::string place;

/// What came to pass in the round under way, from all of its processes.
struct Tally {
  std::atomic<std::uint32_t> writes;  // Of the scribbler, up to the end of the bad set.
  std::atomic<std::uint32_t> lived;   // Commands of the bad set called back after the first write.
};
Tally* tally = nullptr;

[[noreturn]] void violate(const char* what) {
  std::fprintf(stderr, "violation: %s\n", what);
  _exit(violation);
}

/// Words of a buffer say which set they are of; `good` and `bad` of one round differ.
constexpr std::uint32_t tag_of(const char* set, std::uint32_t round) {
  return (set[0] == 'g' ? 0x600d0000u : 0x5e700000u) | (round & 0xffffu);
}

struct Round {
  std::uint32_t number;
  std::uint64_t seed;
  Damage damage;
  bool server_writes;  // Else a fourth process.
};

/// In every other round the writer takes its time: what is written all over ends soon, and what
/// ends late has been through more. Once in a while it runs free there, too.
void pace(const Round& round) {
  if (round.number % 2 == 0 && tally->writes % 256 < 192) usleep(30);
}

/// Joins that come too early come again until the set is there, or a starved machine answers.
template <class Call>
std::int32_t patiently(Call call) {
  std::int32_t result = call();
  const auto is_early = [&] {
    return result == VDSET_E_INVALID || result == VDSET_E_PROTOCOL || result == VDSET_E_TIMEOUT;
  };
  for (int i = 0; i < 1000 && is_early(); ++i) {
    usleep(1000);
    result = call();
  }
  return result;
}

vdset_join_options join_options() {
  vdset_join_options join{};
  join.struct_bytes = sizeof join;
  join.directory = place.c_str();
  return join;
}

// ---- Clients

/// Takes and completes commands until there are no more. How many were taken with all of their
/// bytes right, or -1 after any failure of a call.
int consume(vdset_device* device, std::uint32_t tag, bool is_damaged) {
  int taken = 0;
  for (;;) {
    const vdset_command* command = nullptr;
    const std::int32_t result = vdset_device_get_command(device, VDSET_INFINITE, &command);
    if (result == VDSET_E_CLOSE) return taken;
    if (result != VDSET_OK) return -1;
    if (command->buffer != nullptr && command->size > 0) {
      const auto* const words = static_cast<const std::uint32_t*>(command->buffer);
      const auto count = static_cast<std::uint32_t>(command->size) / 4;
      for (std::uint32_t i = 0; i < count; i += 61) {
        const std::uint32_t word = __atomic_load_n(&words[i], __ATOMIC_RELAXED);
        const bool own = word == tag;
        // Zero: punched. Anything else would be another's.
        const bool written = is_damaged && (word == 0 || (word & 0xfff00000u) == scribble_tag);
        if (!own && !written) violate("a word of another set");
      }
    }
    const std::int32_t done = vdset_device_complete_command(
        device, command, 0, static_cast<std::uint32_t>(command->size), 0);
    if (done != VDSET_OK) return -1;
    ++taken;
  }
}

int consume_named(vdset_set* set, const char* name, std::uint32_t tag, bool is_damaged) {
  vdset_device* device = nullptr;
  if (vdset_set_open_device(set, name, &device) != VDSET_OK) return -1;
  return consume(device, tag, is_damaged);
}

vdset_set* create(const char* name, std::uint32_t devices) {
  vdset_config config{};
  config.struct_bytes = sizeof config;
  config.device_count = devices;
  vdset_set_options options{};
  options.struct_bytes = sizeof options;
  options.directory = place.c_str();
  vdset_set* set = nullptr;
  if (vdset_set_create(name, &config, &options, &set) != VDSET_OK) violate(vdset_last_error());
  return set;
}

int run_primary(const Round& round) {
  vdset_set* const good = create("good", 1);
  vdset_set* const bad = create("bad", 3);
  std::thread other([&] {
    vdset_config config{};
    config.struct_bytes = sizeof config;
    if (vdset_set_get_configuration(bad, VDSET_INFINITE, &config) == VDSET_OK)
      consume_named(bad, "bad", tag_of("bad", round.number), true);
  });
  vdset_config config{};
  config.struct_bytes = sizeof config;
  if (vdset_set_get_configuration(good, VDSET_INFINITE, &config) != VDSET_OK)
    violate("the good set was not configured");
  const int taken = consume_named(good, "good", tag_of("good", round.number), false);
  if (taken != static_cast<int>(command_count)) violate("the good set did not get its commands");
  other.join();
  vdset_set_close(bad);
  if (vdset_set_close(good) != VDSET_OK) violate("the good set did not close well");
  return 0;
}

int run_secondary(const Round& round) {
  const vdset_join_options join = join_options();
  vdset_set* set = nullptr;
  const auto enter = [&] { return vdset_set_open_in_secondary("bad", &join, &set); };
  if (patiently(enter) != VDSET_OK) return 0;
  consume_named(set, "bad.1", tag_of("bad", round.number), true);
  vdset_set_close(set);
  return 0;
}

// ---- The server

struct Stream {
  vdset_server* server = nullptr;
  vdset_server_device* device = nullptr;
  std::uint32_t tag = 0;
  bool is_damaged = false;
  std::atomic<std::uint32_t> called{0}, succeeded{0};
  vdset_command commands[command_count] = {};
  std::uint32_t calls[command_count] = {};

  static void on_done(vdset_command* command, void* context) {
    auto& stream = *static_cast<Stream*>(context);
    const auto i = command - stream.commands;
    if (i < 0 || i >= static_cast<std::ptrdiff_t>(command_count) || ++stream.calls[i] != 1)
      violate("a command was called back twice");
    if (command->bytes_transferred < 0 || command->bytes_transferred > command->size)
      violate("more bytes than were asked for");
    stream.succeeded += command->completion_code == 0 ? 1 : 0;
    if (stream.is_damaged && command->completion_code == 0 && tally->writes > 0) ++tally->lived;
    if (command->buffer != nullptr)
      vdset_server_free_buffer(stream.server, command->buffer, buffer_bytes);
    ++stream.called;
  }

  /// What is written must be alive: the set waits for the first write, far within the watchdog.
  static bool await_writes() {
    for (int i = 0; i < 400000 && tally->writes == 0; ++i)
      usleep(100);
    return tally->writes > 0;
  }

  /// Sends all commands as buffers come free; ends early when the set does, or `over`.
  void send_all(const std::atomic<bool>& over) {
    for (std::uint32_t i = 0; i < command_count && !over;) {
      if (i == commands_before && is_damaged && !await_writes()) violate("nobody wrote");
      void* buffer = nullptr;
      const std::int32_t got = vdset_server_allocate_buffer(server, buffer_bytes, 0, &buffer);
      if (got == VDSET_E_MEMORY) {
        usleep(50);
        continue;
      }
      if (got != VDSET_OK) return;
      for (std::uint32_t k = 0; k < buffer_bytes / 4; k += 61)
        static_cast<std::uint32_t*>(buffer)[k] = tag;
      vdset_command& command = commands[i];
      command.struct_bytes = sizeof command;
      command.code = VDSET_COMMAND_WRITE;
      command.size = static_cast<std::int32_t>(512 * (1 + i % 128));
      command.buffer = buffer;
      command.completion = on_done;
      command.context = this;
      if (vdset_server_device_send_command(device, &command) != VDSET_OK) return;
      ++i;
    }
    while (!over && called < command_count)
      usleep(50);
  }
};

vdset_server* open_server(const char* name) {
  const vdset_join_options join = join_options();
  vdset_server* server = nullptr;
  const auto open = [&] { return vdset_server_open(name, &join, &server); };
  if (patiently(open) != VDSET_OK) violate("the server could not open its set");
  return server;
}

/// Up to the end of the configuration; false when the set is over already.
bool configure(vdset_server* server) {
  const vdset_base_configuration base{sizeof base, VDSET_FEATURE_WRITE_MEDIA, 512, 0, 65536};
  return vdset_server_begin_configuration(server, &base) == VDSET_OK &&
         vdset_server_request_buffers(server, buffer_bytes, 0, buffer_count) == VDSET_OK &&
         vdset_server_end_configuration(server) == VDSET_OK;
}

/// The used bytes of a part C: gate, completion lines, command lines.
std::uint32_t part_bytes(std::uint32_t queue_depth) {
  return core::line_bytes * (1 + 2 * queue_depth);
}

/// What a server that is taken over can write: everything, its own mappings.
std::vector<Target> targets_of_server(vdset_server* server) {
  std::vector<Target> targets;
  targets.push_back({server->s.base, server->geometry.lines_offset(), -1, {0, 12}, false, {}});
  targets.push_back({server->s.base + server->geometry.lines_offset(),
                     server->geometry.device_count * server->geometry.queue_depth * 64,
                     -1,
                     {0, 12},
                     false,
                     {}});
  for (vdset_server_device* device : server->devices) {
    if (device == nullptr) continue;
    // A mapping of its own: the library's goes when the consumer does.
    const int descriptor = dup(device->c_descriptor);
    port::Mapping map;
    if (port::memory_map(descriptor, server->geometry.c_bytes(), true, map) == 0)
      targets.push_back(
          {map.base, part_bytes(server->geometry.queue_depth), descriptor, {0, 8}, false, {}});
  }
  return targets;
}

int run_server(const Round& round) {
  vdset_server* const good = open_server("good");
  vdset_server* const bad = open_server("bad");
  if (!configure(good)) violate("the good set could not be configured");
  std::atomic<bool> over{false};
  Stream streams[4];
  std::vector<std::thread> threads;
  std::thread agents[2];
  const char* const names[] = {"good", "bad", "bad.1", "bad.2"};
  const bool configured = configure(bad);
  for (std::uint32_t i = 0; i < 4; ++i) {
    Stream& stream = streams[i];
    stream.server = i == 0 ? good : bad;
    stream.tag = tag_of(names[i], round.number);
    stream.is_damaged = i > 0;
    if (i > 0 && !configured) continue;
    const std::int32_t opened = vdset_server_open_device(stream.server, names[i], &stream.device);
    if (opened != VDSET_OK && i == 0) violate("the good set's device could not be opened");
  }
  agents[0] = std::thread([&] { vdset_server_run_completion_agent(good); });
  agents[1] = std::thread([&] { vdset_server_run_completion_agent(bad); });
  std::thread writer;
  if (round.server_writes && configured)
    writer = std::thread([&] {
      Scribbler scribbler(targets_of_server(bad), round.damage, round.seed);
      for (; !over; ++tally->writes) {
        if (!scribbler.once()) violate("a part was cut");
        pace(round);
      }
    });
  const std::atomic<bool> never{false};
  for (Stream& stream : streams)
    if (stream.device != nullptr)
      threads.emplace_back([&] { stream.send_all(&stream == streams ? never : over); });
  // The good one takes its time; the bad one has as long, and a moment more, to get anywhere.
  threads[0].join();
  if (streams[0].succeeded != command_count) violate("a command of the good set failed");
  if (configured && !Stream::await_writes()) violate("nobody wrote");
  usleep(3000);
  over = true;
  for (std::size_t i = 1; i < threads.size(); ++i)
    threads[i].join();
  if (writer.joinable()) writer.join();
  vdset_server_device_close(streams[0].device);
  vdset_server_signal_abort(bad, 0, "the end of the round");
  agents[0].join();
  agents[1].join();
  vdset_server_close(bad);
  if (vdset_server_close(good) != VDSET_OK) violate("the good set's server did not close well");
  for (const Stream& stream : streams)
    for (std::uint32_t i = 0; i < command_count; ++i)
      if (stream.commands[i].context != nullptr && stream.calls[i] > 1) violate("called twice");
  return 0;
}

// ---- The writer

/// Says hello by hand, opens device bad.2, and has every part mapped that a secondary can have.
class Intruder {
 public:
  explicit Intruder(const Round& round) : round_(round) {}

  int run() {
    if (!join()) violate("the writer could not join");
    if (!get(MessageKind::map_pool, "")) violate("the writer got no pool");
    if (!get(MessageKind::open_device, "bad.2")) violate("the writer got no device");
    const std::uint32_t part = part_bytes(core::queue_depth_default);
    std::vector<Target> targets = {
        {map_[1].base, 8192, at_[1], {0, 0}, false, {}},
        {map_[2].base, static_cast<std::uint32_t>(map_[2].bytes), at_[2], {0, 0}, true, {}},
        {map_[3].base, part, at_[3], {0, 8}, false, {}},
        {map_[3].base, part, at_[3], {0, 8}, false, {}}};
    // The abort word and the primary's alive word end the set with the first write: now and then.
    if (round_.number % 4 != 0) targets[0].spared = {0, 192};
    Scribbler scribbler(targets, round_.damage, round_.seed);
    RealAtomicsRing ring(*this);
    for (std::uint32_t i = 0;; ++i) {
      if (!scribbler.once()) violate("a part was cut");
      ++tally->writes;
      pace(round_);
      if (i % 64 == 0) ring.serve();
      if (i % 1024 == 0) usleep(20);  // The others are to get somewhere on two processors, too.
    }
  }

 private:
  /// Its own device's commands, honestly now and then, so that the others' states move on.
  struct RealAtomicsRing {
    core::RealAtomics a;
    core::ClientRing<core::RealAtomics> ring;
    core::WakeWords& wake;

    explicit RealAtomicsRing(Intruder& of)
        : wake(*reinterpret_cast<core::WakeWords*>(of.map_[1].base)) {
      const core::ServerPartView view = core::server_part_view(of.map_[0].span(), of.geometry_);
      const core::ClientPart part = core::client_part(of.map_[3].span(), of.geometry_);
      ring = {view.ring(of.device_), part.lines, *part.header, of.me_, 0};
    }
    void serve() {
      core::Taken taken{};
      if (ring.take(a, taken) == core::Take::got)
        static_cast<void>(ring.complete(a, taken.line, taken.lap, taken.command.opcode,
                                        {0, taken.command.size, 0}));
      core::force_bell(a, wake.agent.event);
      port::wake_word(wake.agent.event);
    }
  };

  bool receive(Message& answer, Descriptors& got) {
    return port::wait_readable(socket_, port::deadline_after(60'000'000'000)) == 1 &&
           receive_message(socket_, answer, got) == 0;
  }
  bool map(std::size_t i, Descriptors& from, std::size_t which) {
    at_[i] = from.take(which);
    const std::int64_t bytes = port::memory_size(at_[i]);
    return bytes > 0 &&
           port::memory_map(at_[i], static_cast<std::uint64_t>(bytes), i != 0, map_[i]) == 0;
  }
  bool try_join() {
    Name name;
    judge_name("bad", "set", name);
    Found found = find_name(name, place.c_str(), port::deadline_after(0));
    if (found.result != VDSET_OK) return false;
    port::close_descriptor(found.directory.descriptor);
    socket_ = found.socket;
    Message hello, welcome;
    Descriptors parts;
    hello.kind = MessageKind::hello;
    hello.a = static_cast<std::uint32_t>(core::Role::secondary);
    hello.b = core::layout_version;
    hello.set_text(name.text, name.bytes);
    if (send_message(socket_, hello) == 0 && receive(welcome, parts) &&
        welcome.kind == MessageKind::welcome_secondary) {
      me_ = welcome.a;
      return map(0, parts, 0) && map(1, parts, 1) &&
             core::judge_header(atomics_, map_[0].span(), geometry_) == core::Verdict::sound;
    }
    port::close_descriptor(socket_);
    return false;
  }
  bool join() {
    for (int i = 0; i < 1000; ++i) {
      if (try_join()) return true;
      usleep(1000);
    }
    return false;
  }
  bool ask(MessageKind kind, const char* name) {
    Message question, answer;
    Descriptors got;
    question.kind = kind;
    question.request = ++asked_;
    question.set_text(name, std::strlen(name));
    if (send_message(socket_, question) != 0 || !receive(answer, got) || answer.result != 0 ||
        answer.request != asked_)
      return false;
    if (kind == MessageKind::open_device) device_ = answer.a;
    return map(kind == MessageKind::open_device ? 3 : 2, got, 0);
  }

  /// The server may not have opened the device yet.
  bool get(MessageKind kind, const char* name) {
    for (int i = 0; i < 5000; ++i) {
      if (ask(kind, name)) return true;
      usleep(1000);
    }
    return false;
  }

  const Round& round_;
  core::RealAtomics atomics_;
  core::Geometry geometry_{};
  int socket_ = -1;
  std::uint32_t me_ = 0, device_ = 0, asked_ = 0;
  int at_[4] = {-1, -1, -1, -1};
  port::Mapping map_[4];  // S, W, D, C.
};

// ---- Rounds

pid_t start(int (*run)(const Round&), const Round& round) {
  const pid_t child = fork();
  if (child != 0) return child;
  alarm(watchdog_seconds);
  _exit(run(round));
}

int run_intruder(const Round& round) {
  return Intruder(round).run();
}

int status_of(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) violate("a child that cannot be waited for");
  return status;
}

void tell(int status, const char* who, const Round& round) {
  std::fprintf(stderr, "round %u, seed %llu, %s, written by %s: the %s ended with %s %d\n",
               round.number, static_cast<unsigned long long>(round.seed),
               damage_names[static_cast<std::uint32_t>(round.damage)],
               round.server_writes ? "the server" : "a fourth process", who,
               WIFSIGNALED(status) ? "signal" : "code",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/// False: somebody was killed by a signal, hung, or saw what must not be.
bool is_fine(pid_t child, const char* who, const Round& round) {
  const int status = status_of(child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  tell(status, who, round);
  return false;
}

/// The writer goes on until this program kills it: any other end is a fault.
bool goes_on_to_its_end(pid_t writer, const Round& round) {
  siginfo_t ended{};
  const auto id = static_cast<id_t>(writer);
  const bool alive =
      waitid(P_PID, id, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == 0;
  kill(writer, SIGKILL);
  const int status = status_of(writer);
  if (alive && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return true;
  tell(status, "writer", round);
  return false;
}

/// How far the lanes are, in memory that all of them share.
struct Progress {
  std::atomic<std::uint32_t> begun, bad, done;
  std::atomic<std::uint32_t> written, lively;  // Rounds with writes; and with commands after one.
  std::atomic<std::uint64_t> writes, commands;
  Tally tallies[lane_count];

  void enter(const Tally& of) {
    written += of.writes > 0 ? 1 : 0;
    lively += of.lived > 0 ? 1 : 0;
    writes += of.writes;
    commands += of.lived;
  }
};

bool run_round(std::uint32_t number, std::uint64_t seed) {
  Dice dice(seed);
  Round round{number, seed, static_cast<Damage>(seed % static_cast<std::uint32_t>(Damage::count)),
              dice.below(3) == 0};
  const pid_t primary = start(run_primary, round);
  const pid_t server = start(run_server, round);
  const pid_t secondary = start(run_secondary, round);
  const pid_t intruder = round.server_writes ? -1 : start(run_intruder, round);
  bool fine = is_fine(server, "server", round);
  fine = is_fine(primary, "primary", round) && fine;
  fine = is_fine(secondary, "secondary", round) && fine;
  if (intruder > 0) fine = goes_on_to_its_end(intruder, round) && fine;
  return fine;
}

void remove_place() {
  if (DIR* const dir = opendir(place.c_str())) {
    while (const dirent* entry = readdir(dir))
      if (entry->d_name[0] != '.') unlink((place + "/" + entry->d_name).c_str());
    closedir(dir);
  }
  rmdir(place.c_str());
}

/// Rounds in one directory, one after the other, while `is_due` says so of the next one's number.
template <class IsDue>
[[noreturn]] void run_lane(Progress& progress, std::uint64_t seed, IsDue is_due) {
  char name[] = "/tmp/vdset-scribble-XXXXXX";
  prctl(PR_SET_PDEATHSIG, SIGTERM);  // Who ends the whole run ends its lanes.
  if (mkdtemp(name) == nullptr) _exit(2);
  place = name;
  for (std::uint32_t round = 0; is_due(round = progress.begun++);) {
    new (tally) Tally{};
    progress.bad += run_round(round, seed + round) ? 0 : 1;
    progress.enter(*tally);
    ++progress.done;
  }
  remove_place();
  _exit(0);
}

}  // namespace

int main(int count, char** words) {
  const std::string mode = count > 2 ? words[1] : "";
  if (mode != "seconds" && mode != "rounds") return 2;
  const long limit = std::strtol(words[2], nullptr, 10);
  const std::uint64_t seed = count > 3 ? std::strtoull(words[3], nullptr, 0) : 20051;
  void* const shared =
      mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 2;
  Progress& progress = *new (shared) Progress{};
  const std::int64_t end = port::deadline_after(limit * 1'000'000'000);
  const bool counted = mode == "rounds";
  const auto is_due = [&](std::uint32_t round) {
    if (progress.bad >= 10) return false;
    return counted ? round < static_cast<std::uint32_t>(limit) : port::now_ns() < end;
  };
  std::vector<pid_t> lanes;
  for (int i = 0; i < lane_count; ++i) {
    const pid_t lane = fork();
    tally = &progress.tallies[i];
    if (lane == 0) run_lane(progress, seed, is_due);
    lanes.push_back(lane);
  }
  bool all_lanes = true;
  for (pid_t lane : lanes) {
    const int status = status_of(lane);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    std::fprintf(stderr, "a lane ended with status %#x\n", static_cast<unsigned>(status));
    all_lanes = false;
  }
  const std::uint32_t bad = progress.bad;
  const std::uint32_t rounds = progress.done;
  std::printf(
      "%llu writes; rounds that were written: %u, that got commands through after that: %u"
      " (%llu of them)\n",
      static_cast<unsigned long long>(progress.writes.load()), progress.written.load(),
      progress.lively.load(), static_cast<unsigned long long>(progress.commands.load()));
  // Rounds that were due and not run failed, too.
  const std::uint32_t due = counted ? static_cast<std::uint32_t>(limit) : rounds;
  const std::uint32_t missed = due - rounds;
  std::printf("seed %llu\n%u passed, %u failed\n", static_cast<unsigned long long>(seed),
              rounds - bad, bad + missed);
  return all_lanes && bad + missed == 0 && rounds > 0 && progress.lively > 0 ? 0 : 1;
}
