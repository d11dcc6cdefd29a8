// tests/bench/rig.cpp: the server's setting up, and the client as a child.
#include "rig.hpp"
#include <unistd.h>
#include <algorithm>
#include <bit>
#include <optional>
#include <thread>
#include "pair.hpp"

namespace bench {

std::string fresh_name() {
  static int count = 0;
  return "bench-" + std::to_string(getpid()) + "-" + std::to_string(count++);
}

std::string device_name(const std::string& set, int i) {
  return i == 0 ? set : set + "-" + std::to_string(i);
}

int queue_depth_for(int under_way) {
  return std::clamp(2 * static_cast<int>(std::bit_ceil(static_cast<unsigned>(under_way))), 16,
                    VDSET_QUEUE_DEPTH_MAX);
}

vdset_config wish_for(int devices) {
  vdset_config wish{};
  wish.struct_bytes = sizeof wish;
  wish.device_count = static_cast<std::uint32_t>(devices);
  return wish;
}

vdset_server* open_server(const std::string& name, std::uint32_t buffer_bytes, int buffers) {
  vdset_server* server = nullptr;
  vdset_base_configuration base{};
  base.struct_bytes = sizeof base;
  base.features = VDSET_FEATURE_WRITE_MEDIA;
  base.block_bytes = 512;
  base.max_transfer_bytes = std::max(65536u, buffer_bytes);
  must(vdset_server_open(name.c_str(), nullptr, &server), "server_open");
  must(vdset_server_begin_configuration(server, &base), "begin_configuration");
  must(vdset_server_request_buffers(server, buffer_bytes, 0, static_cast<std::uint32_t>(buffers)),
       "request_buffers");
  must(vdset_server_end_configuration(server), "end_configuration");
  return server;
}

Rig::Rig(const RigPlan& plan) : polls_(plan.client_polls), name_(fresh_name()) {
  child_ = std::make_unique<Child>(std::vector<std::string>{
      "vdset", name_, std::to_string(plan.devices), std::to_string(plan.queue_depth),
      plan.client_polls ? "polls" : "waits", plan.client_reads ? "reads" : "looks",
      plan.thread_each ? "threads" : "thread", std::to_string(plan.placement.responder),
      plan.placement.real_time ? "1" : "0", std::to_string(plan.counters),
      std::to_string(plan.buffers)});
  child_->line();
  configure(plan);
  child_->line();
  hot_ = std::make_unique<Hot>(plan.placement.requester, plan.placement.real_time);
  child_->tell("go");
}

void Rig::configure(const RigPlan& plan) {
  server_ = open_server(name_, plan.buffer_bytes, plan.buffers);
  for (int i = 0; i < plan.devices; ++i) {
    devices_.push_back(nullptr);
    must(vdset_server_open_device(server_, device_name(name_, i).c_str(), &devices_.back()),
         "server_open_device");
  }
  for (int i = 0; i < plan.buffers; ++i) {
    vdset_command& command = commands_.emplace_back();
    command.struct_bytes = sizeof command;
    command.code = VDSET_COMMAND_WRITE;
    command.size = static_cast<std::int32_t>(plan.buffer_bytes);
    command.context = devices_[static_cast<std::size_t>(i % plan.devices)];
    must(vdset_server_allocate_buffer(server_, plan.buffer_bytes, 0, &command.buffer),
         "allocate_buffer");
  }
  for (auto command = commands_.rbegin(); command != commands_.rend(); ++command)
    free_.push_back(&*command);
  if (plan.counters < 0) return;
  for (std::size_t i = 0; i < commands_.size(); ++i)
    if (static_cast<char*>(commands_[i].buffer) !=
        static_cast<char*>(commands_[0].buffer) + i * plan.buffer_bytes)
      die("the buffers do not lie one behind the other");
}

Rig::~Rig() {
  hot_.reset();
  for (vdset_server_device* const device : devices_)
    must(vdset_server_device_close(device), "server_device_close");
  must(vdset_server_close(server_), "server_close");
  child_->finish();
}

/// The same instructions for all who read: inlined here and there it differs by a third.
[[gnu::noipa]] std::uint64_t sum_of(const void* bytes, std::size_t size) {
  using Words = std::uint64_t __attribute__((vector_size(32)));
  const auto* at = static_cast<const Words*>(__builtin_assume_aligned(bytes, 64));
  Words a{}, b{}, c{}, d{};
  for (const Words* const end = at + size / sizeof(Words); at < end; at += 4) {
    a += at[0];
    b += at[1];
    c += at[2];
    d += at[3];
  }
  a += b + c + d;
  return a[0] + a[1] + a[2] + a[3];
}

// ---- The client. ----

namespace {

struct Manners {
  bool polls;
  bool reads;
  Counters* counters;
  std::uint32_t buffers;
};

void read(const void* buffer, std::size_t bytes) {
  std::uint64_t sum = sum_of(buffer, bytes);
  keep(sum);
}

/// So many of the buffers that begin here, handed over by the counters.
void take_by_counters(const Manners& manners, const vdset_command& first) {
  const auto* const base = static_cast<const char*>(first.buffer);
  const auto bytes = static_cast<std::size_t>(first.size);
  for (std::uint32_t taken = 0; taken != static_cast<std::uint32_t>(first.position); ++taken) {
    while (manners.counters->handed.value.load(std::memory_order_acquire) == taken)
      relax();
    read(base + taken % manners.buffers * bytes, bytes);
    manners.counters->taken.value.store(taken + 1, std::memory_order_release);
  }
}

/// One look at a device, or one wait; false after its end.
bool serve_one(vdset_device* device, const Manners& manners) {
  const vdset_command* command = nullptr;
  const std::int32_t result =
      vdset_device_get_command(device, manners.polls ? 0 : VDSET_INFINITE, &command);
  if (result == VDSET_E_TIMEOUT) return true;
  if (result == VDSET_E_CLOSE) return false;
  must(result, "get_command");
  if (command->position > 0)
    take_by_counters(manners, *command);
  else if (manners.reads)
    read(command->buffer, static_cast<std::size_t>(command->size));
  must(vdset_device_complete_command(device, command, VDSET_SUCCESS,
                                     static_cast<std::uint32_t>(command->size), 0),
       "complete_command");
  return true;
}

void serve_all(std::vector<vdset_device*> devices, const Manners& manners) {
  while (!devices.empty())
    std::erase_if(devices, [&](vdset_device* device) { return !serve_one(device, manners); });
}

}  // namespace

int vdset_client(const std::vector<std::string>& words) {
  const std::string& name = words.at(1);
  const int count = std::stoi(words.at(2));
  vdset_config wish = wish_for(count);
  vdset_set_options options{};
  options.struct_bytes = sizeof options;
  options.queue_depth = static_cast<std::uint32_t>(std::stoi(words.at(3)));
  std::optional<Area> counters;
  if (words.at(9) != "-1") counters.emplace(std::stoi(words.at(9)), sizeof(Counters));
  const Manners manners{words.at(4) == "polls", words.at(5) == "reads",
                        counters ? static_cast<Counters*>(counters->data()) : nullptr,
                        static_cast<std::uint32_t>(std::stoul(words.at(10)))};
  vdset_set* set = nullptr;
  must(vdset_set_create(name.c_str(), &wish, &options, &set), "set_create");
  say("ready");
  must(vdset_set_get_configuration(set, VDSET_INFINITE, &wish), "get_configuration");
  std::vector<vdset_device*> devices(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i)
    must(vdset_set_open_device(set, device_name(name, i).c_str(),
                               &devices[static_cast<std::size_t>(i)]),
         "open_device");
  {
    const Responder ready(words.at(7), words.at(8));
    if (words.at(6) == "threads") {
      std::vector<std::jthread> threads;
      for (vdset_device* const device : devices)
        threads.emplace_back([device, &manners] { serve_all({device}, manners); });
    } else {
      serve_all(devices, manners);
    }
  }
  must(vdset_set_close(set), "set_close");
  return 0;
}

// ---- vdset as a peer of the others. ----

namespace {

class VdsetSession : public Session {
 public:
  VdsetSession(const Placement& placement, int depth, bool polls)
      : rig_({1, queue_depth_for(depth), depth, 512, polls, false, false, placement}) {}
  double run(const Job& job) override {
    return run_job(job, [&] { rig_.send(); }, [&] { rig_.receive(); });
  }

 private:
  Rig rig_;
};

}  // namespace

void add_vdset_peers(std::vector<Peer>& all) {
  for (const bool polls : {true, false}) {
    Peer peer;
    peer.name = polls ? "vdset, polling" : "vdset, waiting";
    peer.way = polls ? Way::polls : Way::sleeps;
    peer.depth_max = deep;
    peer.open = [polls](const Placement& placement, int depth) -> std::unique_ptr<Session> {
      return std::make_unique<VdsetSession>(placement, depth, polls);
    };
    all.push_back(peer);
  }
}

const std::vector<Peer>& peers() {
  static const std::vector<Peer> all = [] {
    std::vector<Peer> made;
    add_vdset_peers(made);
    add_plain_peers(made);
    add_boost_peers(made);
    add_ck_peers(made);
    add_dpdk_peers(made);
    return made;
  }();
  return all;
}

int peer_child(const std::vector<std::string>& words) {
  for (const Peer& peer : peers())
    if (peer.name == words.at(1)) return peer.serve(words);
  die("no peer " + words.at(1));
}

}  // namespace bench
