// tests/process/role_work.cpp: whole pieces of work at full speed: a client that serves devices to
// their end, a server that keeps them busy, and a backup with every role in this one process.
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include "tests/process/role.hpp"

namespace role {
namespace {

/// What a piece of work did, and the first code that should not have been.
struct Tally {
  std::atomic<std::uint64_t> commands{0};
  std::atomic<std::uint64_t> sum{0};  // Of the positions: each command once.
  std::atomic<std::uint64_t> bad{0};  // Buffers with other bytes than expected.
  std::atomic<std::int32_t> code{VDSET_OK};
  std::string words;  // Of `code`; read after the threads have ended.

  void fail(std::int32_t failed) {
    std::int32_t none = VDSET_OK;
    if (code.compare_exchange_strong(none, failed)) words = vdset_last_error();
  }
  std::string answer() const {
    if (code.load() != VDSET_OK)
      return std::string("error ") + vdset_error_name(code.load()) + " " + words;
    return ok("commands=%llu sum=%llu bad=%llu", static_cast<unsigned long long>(commands.load()),
              static_cast<unsigned long long>(sum.load()),
              static_cast<unsigned long long>(bad.load()));
  }
};

/// Fetches and completes until the device is closed.
void serve(vdset_device* device, Tally& tally) {
  for (;;) {
    const vdset_command* command = nullptr;
    const std::int32_t got = vdset_device_get_command(device, VDSET_INFINITE, &command);
    if (got == VDSET_E_CLOSE) return;
    if (got != VDSET_OK) return tally.fail(got);
    const auto size = static_cast<std::size_t>(command->size);
    const auto seed = static_cast<std::uint64_t>(command->position);
    if (command->code == VDSET_COMMAND_WRITE && !is_filled(command->buffer, size, seed))
      ++tally.bad;
    if (command->code == VDSET_COMMAND_READ) fill(command->buffer, size, seed);
    ++tally.commands;
    tally.sum += seed;
    const std::int32_t done = vdset_device_complete_command(
        device, command, VDSET_SUCCESS, static_cast<std::uint32_t>(command->size), 0);
    if (done != VDSET_OK) return tally.fail(done);
  }
}

void serve_named(vdset_set* set, const std::string& name, Tally& tally) {
  vdset_device* device = find(objects.devices, name);
  if (device == nullptr) {
    const std::int32_t code = vdset_set_open_device(set, name.c_str(), &device);
    if (code != VDSET_OK) return tally.fail(code);
  }
  serve(device, tally);
}

/// consume devices=A,B set=: opens them where that is still to do; one thread each.
std::string consume(const Words& w) {
  vdset_set* const set = set_of(w);
  Tally tally;
  std::vector<std::thread> threads;
  for (const std::string& name : w.list("devices"))
    threads.emplace_back([=, &tally] { serve_named(set, name, tally); });
  for (std::thread& thread : threads)
    thread.join();
  {
    // Another set may have devices of these names.
    const std::lock_guard guard(objects.lock);
    for (const std::string& name : w.list("devices"))
      objects.devices.erase(name);
  }
  return tally.answer();
}

/// One command of a producer: its callback wakes the thread that sent it.
struct Turn {
  vdset_command command{};
  std::mutex lock;
  std::condition_variable changed;
  bool done = true;
};

void end_turn(vdset_command*, void* context) {
  Turn& turn = *static_cast<Turn*>(context);
  const std::lock_guard guard(turn.lock);
  turn.done = true;
  turn.changed.notify_one();
}

struct Job {
  vdset_server* server;
  std::uint32_t code;
  std::uint32_t size;
  std::uint64_t count;
};

/// Waits for the last command of this turn, and looks at what came of it.
void settle(Turn& turn, const Job& job, Tally& tally) {
  std::unique_lock guard(turn.lock);
  turn.changed.wait(guard, [&] { return turn.done; });
  const vdset_command& c = turn.command;
  if (c.struct_bytes == 0) return;  // Not sent yet.
  if (c.completion_code != 0) return tally.fail(VDSET_E_ABORT);
  if (c.bytes_transferred != static_cast<std::int32_t>(job.size)) ++tally.bad;
  if (c.code == VDSET_COMMAND_READ &&
      !is_filled(c.buffer, job.size, static_cast<std::uint64_t>(c.position)))
    ++tally.bad;
}

/// Sends `count` commands from this thread, two under way at once; positions from `first` on.
void feed(const Job& job, vdset_server_device* device, std::uint64_t first, Tally& tally) {
  Turn turns[2];
  for (Turn& turn : turns) {
    void* buffer = nullptr;
    const std::int32_t code = vdset_server_allocate_buffer(job.server, job.size, 0, &buffer);
    if (code != VDSET_OK) return tally.fail(code);
    turn.command.buffer = buffer;
  }
  for (std::uint64_t i = 0; i < job.count && tally.code.load() == VDSET_OK; ++i) {
    Turn& turn = turns[i % 2];
    settle(turn, job, tally);
    void* const buffer = turn.command.buffer;
    turn.command = {};
    turn.command.struct_bytes = sizeof turn.command;
    turn.command.code = job.code;
    turn.command.size = static_cast<std::int32_t>(job.size);
    turn.command.position = static_cast<std::int64_t>(first + i);
    turn.command.buffer = buffer;
    turn.command.completion = end_turn;
    turn.command.context = &turn;
    if (job.code == VDSET_COMMAND_WRITE) fill(buffer, job.size, first + i);
    turn.done = false;
    const std::int32_t code = vdset_server_device_send_command(device, &turn.command);
    if (code != VDSET_OK) {
      tally.fail(code);
      break;  // The callback has been; the other turn may still be under way.
    }
    ++tally.commands;
    tally.sum += first + i;
  }
  for (Turn& turn : turns) {
    settle(turn, job, tally);
    const std::int32_t code = vdset_server_free_buffer(job.server, turn.command.buffer, job.size);
    if (code != VDSET_OK) tally.fail(code);
  }
}

/// All threads of one device; then the device is closed, unless the job says otherwise.
void feed_device(const Job& job, vdset_server_device* device, std::uint64_t first,
                 std::uint64_t threads, bool close, Tally& tally) {
  std::vector<std::thread> feeders;
  for (std::uint64_t t = 0; t < threads; ++t)
    feeders.emplace_back([&, t] { feed(job, device, first + t * job.count, tally); });
  for (std::thread& feeder : feeders)
    feeder.join();
  if (!close || tally.code.load() != VDSET_OK) return;
  const std::int32_t code = vdset_server_device_close(device);
  if (code != VDSET_OK) tally.fail(code);
}

/// produce devices=A,B count= size= threads= code= server= close=1: the agent must run elsewhere.
std::string produce(const Words& w) {
  Job job{server_of(w), static_cast<std::uint32_t>(w.option_number("code", VDSET_COMMAND_WRITE)),
          static_cast<std::uint32_t>(w.option_number("size", 4096)),
          static_cast<std::uint64_t>(w.option_number("count", 10))};
  const auto each = static_cast<std::uint64_t>(w.option_number("threads", 1));
  const bool close = w.option_number("close", 1) != 0;
  Tally tally;
  std::vector<std::thread> threads;
  std::uint64_t first = static_cast<std::uint64_t>(w.option_number("first", 1));
  for (const std::string& name : w.list("devices")) {
    vdset_server_device* const device = find(objects.server_devices, name);
    threads.emplace_back(
        [=, &job, &tally] { feed_device(job, device, first, each, close, tally); });
    first += each * job.count;
  }
  for (std::thread& thread : threads)
    thread.join();
  return tally.answer();
}

/// Commands of one flooding thread; each is sent again once it was called back.
struct Flood {
  static constexpr std::size_t commands_count = 32;
  vdset_command commands[commands_count] = {};
  std::atomic<bool> under_way[commands_count] = {};
  std::atomic<std::uint64_t> called{0};  // Not counting those that a failed send owes.
  std::uint64_t taken = 0;
};
thread_local bool in_flood_send = false;

void note_called(vdset_command* command, void* context) {
  Flood& flood = *static_cast<Flood*>(context);
  if (!in_flood_send) ++flood.called;
  flood.under_way[command - flood.commands].store(false);
}

/// Sends without waiting for anything, until the set refuses; the code it refused with.
std::int32_t flood_device(vdset_server_device* device, Flood& flood) {
  for (std::size_t i = 0;; i = (i + 1) % Flood::commands_count) {
    if (flood.under_way[i].load()) continue;
    flood.under_way[i].store(true);
    vdset_command& command = flood.commands[i];
    command = {};
    command.struct_bytes = sizeof command;
    command.code = VDSET_COMMAND_FLUSH;
    command.completion = note_called;
    command.context = &flood;
    in_flood_send = true;
    const std::int32_t code = vdset_server_device_send_command(device, &command);
    in_flood_send = false;
    if (code == VDSET_OK) ++flood.taken;
    if (code == VDSET_E_QUEUE_FULL) std::this_thread::yield();
    if (code != VDSET_OK && code != VDSET_E_QUEUE_FULL) return code;
  }
}

/// flood devices=A,B threads=: sends until the set refuses; then every command that was taken must
/// be called back.
std::string flood(const Words& w) {
  const auto each = static_cast<std::size_t>(w.option_number("threads", 4));
  const std::vector<std::string> names = w.list("devices");
  auto* const floods = new Flood[names.size() * each];  // Kept: a late callback is a failed test.
  std::atomic<std::int32_t> code{VDSET_OK};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < names.size() * each; ++i)
    threads.emplace_back([&, i] {
      code.store(flood_device(find(objects.server_devices, names[i / each]), floods[i]));
    });
  for (std::thread& thread : threads)
    thread.join();
  std::uint64_t taken = 0, called = 0;
  for (int tries = 0; tries < 4000; ++tries) {
    taken = called = 0;
    for (std::size_t i = 0; i < threads.size(); ++i) {
      taken += floods[i].taken;
      called += floods[i].called.load();
    }
    if (taken == called) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return ok("refusal=%s taken=%llu called=%llu", vdset_error_name(code.load()),
            static_cast<unsigned long long>(taken), static_cast<unsigned long long>(called));
}

/// rounds N NAME device= keep=: joins and leaves a set N times; with a device, opens it each time.
std::string rounds(const Words& w) {
  const std::string device_name = w.option("device");
  for (std::int64_t i = 0; i < w.number(0); ++i) {
    vdset_set* set = nullptr;
    std::int32_t code = vdset_set_open_in_secondary(w.word(1).c_str(), nullptr, &set);
    vdset_device* device = nullptr;
    if (code == VDSET_OK && !device_name.empty())
      code = vdset_set_open_device(set, device_name.c_str(), &device);
    if (code != VDSET_OK) {
      const std::string why = refused(code) + " (round " + std::to_string(i) + ")";
      if (set != nullptr) vdset_set_close(set);
      return why;
    }
    code = vdset_set_close(set);
    if (code != (device_name.empty() ? VDSET_OK : VDSET_E_OPEN)) return refused(code);
  }
  return ok();
}

/// All roles of a backup in this process. The first failing call ends it.
class WholeBackup {
 public:
  explicit WholeBackup(const std::string& name) : name_(name) {}
  ~WholeBackup() {
    for (vdset_set* helper : helpers_)
      if (helper != nullptr) vdset_set_close(helper);
    if (server_ != nullptr) vdset_server_close(server_);
    if (agent_.joinable()) agent_.join();
    if (primary_ != nullptr) vdset_set_close(primary_);
  }

  std::int32_t run() {
    std::int32_t code = configure_alone(name_, devices_count, 65536, 8, primary_, server_);
    for (unsigned i = 0; code == VDSET_OK && i < devices_count; ++i) {
      device_names_[i] = i == 0 ? name_ : name_ + "." + std::to_string(i);
      code = vdset_server_open_device(server_, device_names_[i].c_str(), &devices_[i]);
    }
    for (vdset_set*& helper : helpers_)
      if (code == VDSET_OK) code = vdset_set_open_in_secondary(name_.c_str(), nullptr, &helper);
    if (code != VDSET_OK) return code;
    agent_ = std::thread([this] { vdset_server_run_completion_agent(server_); });
    work();
    return tally_.bad.load() == 0 ? tally_.code.load() : VDSET_E_UNEXPECTED;
  }

 private:
  static constexpr unsigned devices_count = 4;

  /// Two devices for the primary, one for each helper.
  void work() {
    const Job job{server_, VDSET_COMMAND_WRITE, 65536, 8};
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < devices_count; ++i) {
      vdset_set* const set = i < 2 ? primary_ : helpers_[i - 2];
      threads.emplace_back([this, set, i] {
        vdset_device* device = nullptr;
        const std::int32_t code = vdset_set_open_device(set, device_names_[i].c_str(), &device);
        if (code != VDSET_OK) return tally_.fail(code);
        serve(device, tally_);
      });
      threads.emplace_back([this, &job, i] { feed_device(job, devices_[i], 1, 1, true, tally_); });
    }
    for (std::thread& thread : threads)
      thread.join();
  }

  std::string name_;
  Tally tally_;
  vdset_set* primary_ = nullptr;
  vdset_set* helpers_[2] = {};
  vdset_server* server_ = nullptr;
  vdset_server_device* devices_[devices_count] = {};
  std::string device_names_[devices_count];
  std::thread agent_;
};

/// backups N NAME
std::string backups(const Words& w) {
  for (std::int64_t i = 0; i < w.number(0); ++i) {
    const std::int32_t code = back_up_alone(w.word(1));
    if (code != VDSET_OK) return refused(code) + " (round " + std::to_string(i) + ")";
  }
  return ok();
}

/// Commands that send their successors: all but the first come from within callbacks.
struct Chain {
  vdset_server* server;
  vdset_server_device* device;
  std::uint32_t size;
  std::uint64_t left;
  Tally tally;
  vdset_command command{};
  std::mutex lock;
  std::condition_variable changed;
  bool over = false;

  void end() {
    const std::lock_guard guard(lock);
    over = true;
    changed.notify_one();
  }
};

void send_link(Chain& chain);

/// Frees, and sends the next or closes the device: all from the agent's thread.
void follow(vdset_command* command, void* context) {
  Chain& chain = *static_cast<Chain*>(context);
  if (command->completion_code != 0) chain.tally.fail(VDSET_E_ABORT);
  std::int32_t code = vdset_server_free_buffer(chain.server, command->buffer, chain.size);
  if (code == VDSET_OK && chain.left == 0) code = vdset_server_device_close(chain.device);
  if (code != VDSET_OK) chain.tally.fail(code);
  if (chain.left == 0 || chain.tally.code.load() != VDSET_OK) return chain.end();
  send_link(chain);
}

void send_link(Chain& chain) {
  void* buffer = nullptr;
  std::int32_t code = vdset_server_allocate_buffer(chain.server, chain.size, 0, &buffer);
  const std::uint64_t position = chain.left--;
  chain.command = {};
  chain.command.struct_bytes = sizeof chain.command;
  chain.command.code = VDSET_COMMAND_WRITE;
  chain.command.size = static_cast<std::int32_t>(chain.size);
  chain.command.position = static_cast<std::int64_t>(position);
  chain.command.buffer = buffer;
  chain.command.completion = follow;
  chain.command.context = &chain;
  if (code == VDSET_OK) {
    fill(buffer, chain.size, position);
    ++chain.tally.commands;
    chain.tally.sum += position;
    code = vdset_server_device_send_command(chain.device, &chain.command);
  }
  if (code == VDSET_OK) return;
  chain.tally.fail(code);
  chain.end();
}

/// chain COUNT SIZE server= device=
std::string run_chain(const Words& w) {
  Chain chain{};
  chain.server = server_of(w);
  chain.device = server_device_of(w);
  chain.size = static_cast<std::uint32_t>(w.number(1));
  chain.left = static_cast<std::uint64_t>(w.number(0));
  send_link(chain);
  std::unique_lock guard(chain.lock);
  chain.changed.wait(guard, [&] { return chain.over; });
  return chain.tally.answer();
}

/// join-often N NAME: joins a set N times; the sets stay.
std::string join_often(const Words& w) {
  const std::string name = w.word(1);
  for (std::int64_t i = 0; i < w.number(0); ++i) {
    vdset_set* set = nullptr;
    const std::int32_t code = vdset_set_open_in_secondary(name.c_str(), nullptr, &set);
    if (code != VDSET_OK) return refused(code);
  }
  return ok();
}

/// crowd NAME: joins a set until it is refused; closes one, joins once more, closes all.
std::string crowd(const Words& w) {
  std::vector<vdset_set*> joined;
  const std::string name = w.word(0);
  std::int32_t code = VDSET_OK;
  while (code == VDSET_OK && joined.size() < 1000) {
    vdset_set* set = nullptr;
    code = vdset_set_open_in_secondary(name.c_str(), nullptr, &set);
    if (code == VDSET_OK) joined.push_back(set);
  }
  const std::string most = std::to_string(joined.size());
  const std::string words = vdset_error_name(code);
  vdset_set_close(joined.back());
  joined.pop_back();
  vdset_set* last = nullptr;
  // The server learns of the close a moment later.
  for (code = VDSET_E_OPEN; code == VDSET_E_OPEN;)
    code = vdset_set_open_in_secondary(name.c_str(), nullptr, &last);
  if (code == VDSET_OK) joined.push_back(last);
  for (vdset_set* set : joined)
    vdset_set_close(set);
  return ok("most=%s refusal=%s again=%s", most.c_str(), words.c_str(), vdset_error_name(code));
}

/// names N NAME: creates and closes a set N times; counts how often the name was another's.
std::string names(const Words& w) {
  vdset_config config{};
  config.struct_bytes = sizeof config;
  config.device_count = 1;
  unsigned made = 0, taken = 0;
  for (std::int64_t i = 0; i < w.number(0); ++i) {
    vdset_set* set = nullptr;
    const std::int32_t code = vdset_set_create(w.word(1).c_str(), &config, nullptr, &set);
    taken += code == VDSET_E_PROTOCOL ? 1 : 0;
    made += code == VDSET_OK ? 1 : 0;
    if (code != VDSET_OK && code != VDSET_E_PROTOCOL) return refused(code);
    if (code == VDSET_OK && vdset_set_close(set) != VDSET_OK) return mistake("close");
  }
  return ok("made=%u taken=%u", made, taken);
}

/// opens N NAME: opens and closes a server of that name N times, while its primary comes and goes.
std::string opens(const Words& w) {
  unsigned opened = 0, refusals = 0;
  for (std::int64_t i = 0; i < w.number(0); ++i) {
    vdset_server* server = nullptr;
    const std::int32_t code = vdset_server_open(w.word(1).c_str(), nullptr, &server);
    const bool expected =
        code == VDSET_E_INVALID || code == VDSET_E_PROTOCOL || code == VDSET_E_ABORT;
    if (code != VDSET_OK && !expected) return refused(code);
    opened += code == VDSET_OK ? 1 : 0;
    refusals += code == VDSET_OK ? 0 : 1;
    if (code == VDSET_OK && vdset_server_close(server) != VDSET_OK) return mistake("close");
  }
  return ok("opened=%u refused=%u", opened, refusals);
}

}  // namespace

std::int32_t configure_alone(const std::string& name, unsigned devices, std::uint32_t size,
                             std::uint32_t buffers, vdset_set*& primary, vdset_server*& server) {
  vdset_config config{};
  config.struct_bytes = sizeof config;
  config.device_count = devices;
  vdset_base_configuration base{};
  base.struct_bytes = sizeof base;
  base.features = VDSET_FEATURE_WRITE_MEDIA;
  base.block_bytes = 512;
  base.max_transfer_bytes = 65536;
  std::int32_t code = vdset_set_create(name.c_str(), &config, nullptr, &primary);
  if (code == VDSET_OK) code = vdset_server_open(name.c_str(), nullptr, &server);
  if (code == VDSET_OK) code = vdset_server_begin_configuration(server, &base);
  if (code == VDSET_OK) code = vdset_server_request_buffers(server, size, 0, buffers);
  if (code == VDSET_OK) code = vdset_server_end_configuration(server);
  if (code == VDSET_OK) code = vdset_set_get_configuration(primary, VDSET_INFINITE, &config);
  return code;
}

std::int32_t back_up_alone(const std::string& name) {
  return WholeBackup(name).run();
}

void add_work_verbs(Verbs& verbs) {
  verbs.insert({{"consume", consume},
                {"produce", produce},
                {"flood", flood},
                {"rounds", rounds},
                {"backups", backups},
                {"chain", run_chain},
                {"join-often", join_often},
                {"crowd", crowd},
                {"names", names},
                {"opens", opens}});
}

}  // namespace role
