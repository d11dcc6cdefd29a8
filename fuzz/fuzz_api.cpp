// fuzz/fuzz_api.cpp: any sequence of calls on one set, its server and its client, in one thread.
// Oracle: a model of a set that knows neither rings nor words: a deque of commands for each device,
// states of buffers, VDI's IO-ERROR rules. Every result, every order, every byte count is foretold.
#include <algorithm>
#include <deque>
#include <iterator>
#include <map>
#include <mutex>
#include <vector>
#include "abi/include/vdset.h"
#include "fuzz/place.hpp"

using namespace vdset;
using vdset::fuzz::Input;

namespace {

fuzz::Goal moved("data that is sent, fetched, completed and called back");
fuzz::Goal all_taken("a buffer that is asked for when all are taken");
fuzz::Goal passed_on("a buffer that is passed by handle");
fuzz::Goal full_ring("a command that finds its ring full");
fuzz::Goal recalled("a command that an error recalls");
fuzz::Goal held_back("a ClearError that waits outside of the ring");
fuzz::Goal cleared("a ClearError that ends IO-ERROR");
fuzz::Goal all_closed("the end of a set whose devices are all closed");

constexpr std::uint32_t buffers = 4, device_count = 2, queue = 8, buffer_bytes = 65536;
constexpr std::uint32_t clear_error = VDSET_COMMAND_CLEAR_ERROR;

bool moves_data(std::uint32_t code) {
  return code == VDSET_COMMAND_READ || code == VDSET_COMMAND_WRITE;
}

enum class At { queued, fetched, done, final };

struct Command {
  vdset_command call{};
  At at = At::queued;
  bool is_permitted =
      false;  // A ClearError sent in IO-ERROR: it alone passes the gate and opens it.
  bool* is_place_free = nullptr;  // Of its place in the ring; a ClearError may have two in turn.
  const vdset_command* copy = nullptr;  // The client's.
  std::int32_t code = 0, bytes = 0;     // What the callback must say.
};

/// The reference: one lock around it, as plain as it can be.
struct Model {
  std::mutex lock;
  struct Device {
    std::deque<Command*> ring;  // Sent and not final, in order; final ones leave from anywhere.
    std::deque<bool> places;    // All that were used, in order: whether each is free again.
    Command* held = nullptr;
    bool io_error = false;  // As the server knows.
    bool gate = false;      // As the client knows.
    bool closed = false, told = false;
  } devices[device_count];
  enum class Buffer { free, live, lent };
  std::map<void*, Buffer> slots;
  std::deque<Command*> pulled;
};

struct World {
  fuzz::Place place;
  vdset_set* set = nullptr;
  vdset_server* server = nullptr;
  vdset_server_device* sends[device_count] = {};
  vdset_device* fetches[device_count] = {};
  Model model;
  std::deque<Command> commands;  // Their addresses stay.

  World() {
    vdset_config config{};
    config.struct_bytes = sizeof config;
    config.device_count = device_count;
    vdset_set_options options{};
    options.struct_bytes = sizeof options;
    options.directory = place.path();
    options.queue_depth = queue;
    VDSET_HOLDS(vdset_set_create("m", &config, &options, &set) == VDSET_OK);
    vdset_join_options join{};
    join.struct_bytes = sizeof join;
    join.directory = place.path();
    VDSET_HOLDS(vdset_server_open("m", &join, &server) == VDSET_OK);
    const vdset_base_configuration base{sizeof base, VDSET_FEATURE_WRITE_MEDIA, 512, 0, 65536};
    VDSET_HOLDS(vdset_server_begin_configuration(server, &base) == VDSET_OK);
    VDSET_HOLDS(vdset_server_request_buffers(server, buffer_bytes, 0, buffers) == VDSET_OK);
    VDSET_HOLDS(vdset_server_end_configuration(server) == VDSET_OK);
    for (std::uint32_t i = 0; i < device_count; ++i) {
      VDSET_HOLDS(vdset_server_open_device(server, name(i), &sends[i]) == VDSET_OK);
      VDSET_HOLDS(vdset_set_open_device(set, name(i), &fetches[i]) == VDSET_OK);
    }
  }
  ~World() {
    vdset_set_signal_abort(set, 0, nullptr);
    vdset_set_close(set);  // With a goodbye, so that the server need not wait for its end.
    vdset_server_close(server);
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  static const char* name(std::uint32_t i) { return i == 0 ? "m" : "m.1"; }
  bool is_over() const { return model.devices[0].closed && model.devices[1].closed; }
  void* buffer(Input& in) const {
    if (model.slots.empty()) return nullptr;
    return std::next(model.slots.begin(), in.byte() % static_cast<int>(model.slots.size()))->first;
  }
};

// ---- Buffers

void allocate(World& w) {
  std::size_t taken = 0;
  for (const auto& [address, state] : w.model.slots)
    taken += state == Model::Buffer::free ? 0 : 1;
  void* address = nullptr;
  const std::int32_t result = vdset_server_allocate_buffer(w.server, 512, 0, &address);
  const bool full = taken == buffers;
  if (full && !w.is_over()) all_taken.reach();
  VDSET_HOLDS(result == (w.is_over() ? VDSET_E_PROTOCOL : full ? VDSET_E_MEMORY : VDSET_OK));
  if (result != VDSET_OK) return;
  const auto at = w.model.slots.find(address);
  VDSET_HOLDS(at == w.model.slots.end() || at->second == Model::Buffer::free);
  w.model.slots[address] = Model::Buffer::live;
  VDSET_HOLDS(w.model.slots.size() <= buffers);
}

void free_buffer(World& w, void* address) {
  if (address == nullptr) return;
  const bool live = w.model.slots[address] == Model::Buffer::live;
  const std::int32_t result = vdset_server_free_buffer(w.server, address, 512);
  VDSET_HOLDS(result == (live ? VDSET_OK : VDSET_E_INVALID));
  if (live) w.model.slots[address] = Model::Buffer::free;
}

void judge_handle(World& w, void* address) {
  if (address == nullptr) return;
  const bool lent = w.model.slots[address] == Model::Buffer::lent;
  std::uint32_t handle = 0;
  void* there = nullptr;
  const std::int32_t got = vdset_server_get_buffer_handle(w.server, address, &handle);
  VDSET_HOLDS(got == (lent ? VDSET_OK : VDSET_E_INVALID));
  if (!lent) return;
  VDSET_HOLDS(vdset_set_map_buffer_handle(w.set, handle, &there) == VDSET_OK);
  std::uint32_t back = 0;
  VDSET_HOLDS(vdset_set_get_buffer_handle(w.set, there, &back) == VDSET_OK && back == handle);
  passed_on.reach();
  VDSET_HOLDS(vdset_set_map_buffer_handle(w.set, handle ^ 1u << 20, &there) == VDSET_E_INVALID);
}

// ---- Questions

/// What describes a buffer in either process, a few bytes beside its start too.
void judge_description(World& w, std::byte* address, std::uint32_t beside) {
  if (address == nullptr) return;
  for (const bool at_server : {false, true}) {
    vdset_buffer out{};
    out.struct_bytes = sizeof out;
    void* at = address + beside;
    if (!at_server && beside == 0) {
      std::uint32_t handle = 0;  // The client has it at another address, while it may.
      if (vdset_server_get_buffer_handle(w.server, at, &handle) != VDSET_OK) continue;
      VDSET_HOLDS(vdset_set_map_buffer_handle(w.set, handle, &at) == VDSET_OK);
    }
    const std::int32_t result = at_server ? vdset_server_describe_buffer(w.server, at, &out)
                                          : vdset_set_describe_buffer(w.set, at, &out);
    VDSET_HOLDS(result == (beside == 0 ? VDSET_OK : VDSET_E_INVALID));
    if (beside != 0) continue;
    VDSET_HOLDS(out.number < buffers && out.data_bytes == buffer_bytes && out.read_only == 0);
  }
  VDSET_HOLDS(vdset_server_is_shared_buffer(w.server, address + beside) == 1);
}

/// Why a handle resolves or not: agrees with the map, and keeps to its room.
void judge_reason(World& w, std::uint32_t handle, std::uint32_t room) {
  char text[96];
  std::memset(text, 'x', sizeof text);
  void* there = nullptr;
  const std::int32_t mapped = vdset_set_map_buffer_handle(w.set, handle, &there);
  const std::int32_t result = vdset_set_explain_handle(w.set, handle, text, room);
  VDSET_HOLDS(result == (room == 0 ? VDSET_E_INVALID : mapped));
  if (room > 0) VDSET_HOLDS(std::memchr(text, 0, room) != nullptr);
  VDSET_HOLDS(text[room] == 'x');
  void* at_server = nullptr;
  VDSET_HOLDS(vdset_server_map_buffer_handle(w.server, handle, &at_server) == mapped);
}

void judge_counts(World& w, std::uint32_t device) {
  std::uint32_t left = 0, outstanding = 0;
  std::size_t taken = 0;
  for (const auto& [address, state] : w.model.slots)
    taken += state == Model::Buffer::free ? 0 : 1;
  const std::int32_t asked = vdset_server_query_available_buffers(w.server, 512, 0, &left);
  VDSET_HOLDS(asked == VDSET_OK || w.is_over());
  if (asked == VDSET_OK) VDSET_HOLDS(left == buffers - taken);
  VDSET_HOLDS(vdset_server_device_outstanding(w.sends[device], &outstanding) == VDSET_OK);
  VDSET_HOLDS(outstanding <= queue + 1);
}

// ---- The server's side of a device

/// Whether the place that the next command would take is free.
bool has_room(const Model::Device& d) {
  return d.places.size() < queue || d.places[d.places.size() - queue];
}

void post(Model::Device& d, Command& c) {
  c.at = At::queued;
  c.is_permitted = d.io_error;  // In which nothing but a ClearError is posted.
  d.ring.push_back(&c);
  d.places.push_back(false);
  c.is_place_free = &d.places.back();
}

std::int32_t foretell_send(World& w, Model::Device& d, const vdset_command& c) {
  if (c.code < 1 || c.code > 0xffff) return VDSET_E_INVALID;
  if (moves_data(c.code) &&
      (c.buffer == nullptr || c.size <= 0 || c.size > 65536 || c.size % 512 != 0))
    return VDSET_E_INVALID;
  if (c.buffer != nullptr && (c.size < 0 || c.size > 65536)) return VDSET_E_INVALID;
  if (c.buffer != nullptr && w.model.slots[c.buffer] != Model::Buffer::live) return VDSET_E_INVALID;
  if (d.closed) return VDSET_E_PROTOCOL;
  if (d.io_error && (c.code != clear_error || d.held != nullptr)) return VDSET_E_IO_ERROR;
  if (d.io_error && !d.ring.empty()) return VDSET_OK;  // Held.
  return has_room(d) ? VDSET_OK : VDSET_E_QUEUE_FULL;
}

void send(World& w, std::uint32_t device, Input& in) {
  Model::Device& d = w.model.devices[device];
  w.commands.emplace_back();
  Command& c = w.commands.back();
  c.call.struct_bytes = sizeof c.call;
  c.call.code = in.below(6);
  if (c.call.code != clear_error) {  // Which has neither.
    c.call.size = static_cast<std::int32_t>(in.below(200)) * 512 - 512;
    c.call.size += in.byte() == 0 ? 1 : 0;
    if (in.below(4) != 0) c.call.buffer = w.buffer(in);
  }
  const std::int32_t due = foretell_send(w, d, c.call);
  VDSET_HOLDS(vdset_server_device_send_command(w.sends[device], &c.call) == due);
  if (due == VDSET_E_QUEUE_FULL) full_ring.reach();
  if (due != VDSET_OK) return;
  if (c.call.buffer != nullptr) w.model.slots[c.call.buffer] = Model::Buffer::lent;
  if (d.io_error && !d.ring.empty())
    d.held = &c;
  else
    post(d, c);
}

void settle(World& w, Command& c) {
  c.at = At::final;
  *c.is_place_free = true;
  if (c.call.buffer != nullptr) w.model.slots[c.call.buffer] = Model::Buffer::live;
  w.model.pulled.push_back(&c);
}

/// VDI 8.3: what was not fetched ends with 1117.
void recall(World& w, Model::Device& d) {
  d.io_error = true;
  for (std::size_t i = 0; i < d.ring.size();) {
    Command& c = *d.ring[i];
    if (c.at != At::queued) {
      ++i;
      continue;
    }
    d.ring.erase(d.ring.begin() + static_cast<std::ptrdiff_t>(i));
    if (c.call.code == clear_error && d.held == nullptr) {
      *c.is_place_free = true;  // It waits outside of the ring.
      d.held = &c;
      held_back.reach();
      continue;
    }
    c.code = VDSET_ERROR_IO_DEVICE;
    c.bytes = 0;
    settle(w, c);
    recalled.reach();
  }
}

void poll_device(World& w, Model::Device& d) {
  for (std::size_t i = 0; i < d.ring.size();) {
    Command& c = *d.ring[i];
    if (c.at != At::done) {
      ++i;
      continue;
    }
    d.ring.erase(d.ring.begin() + static_cast<std::ptrdiff_t>(i));
    settle(w, c);
    if (c.code != 0)
      recall(w, d);
    else if (c.is_permitted && d.io_error) {
      d.io_error = false;
      cleared.reach();
    }
  }
  if (d.held == nullptr || !d.ring.empty()) return;
  Command& c = *d.held;
  d.held = nullptr;
  post(d, c);
}

void pull(World& w) {
  if (w.model.pulled.empty())
    for (Model::Device& d : w.model.devices)
      poll_device(w, d);
  vdset_command* out = nullptr;
  const std::int32_t result = vdset_server_next_completion(w.server, 0, &out);
  if (w.model.pulled.empty()) {
    bool pending = !w.is_over();
    for (const Model::Device& d : w.model.devices)
      pending = pending || !d.ring.empty() || d.held != nullptr;
    VDSET_HOLDS(result == (pending ? VDSET_E_TIMEOUT : VDSET_E_CLOSE));
    if (!pending) all_closed.reach();
    return;
  }
  const Command& due = *w.model.pulled.front();
  w.model.pulled.pop_front();
  VDSET_HOLDS(result == VDSET_OK && out == &due.call);
  VDSET_HOLDS(out->completion_code == due.code && out->bytes_transferred == due.bytes);
  if (due.code == 0 && due.bytes > 0) moved.reach();
}

void close_device(World& w, std::uint32_t device) {
  Model::Device& d = w.model.devices[device];
  const std::int32_t due = d.closed ? VDSET_E_CLOSE : VDSET_OK;
  VDSET_HOLDS(vdset_server_device_close(w.sends[device]) == due);
  d.closed = true;
}

// ---- The client's side

void fetch(World& w, std::uint32_t device) {
  Model::Device& d = w.model.devices[device];
  Command* next = nullptr;
  for (Command* c : d.ring)
    if (c->at == At::queued) {
      next = c;
      break;
    }
  if (d.gate && next != nullptr && !next->is_permitted) next = nullptr;
  const vdset_command* out = nullptr;
  const std::int32_t result = vdset_device_get_command(w.fetches[device], 0, &out);
  if (d.told || (next == nullptr && d.closed)) {
    VDSET_HOLDS(result == VDSET_E_CLOSE);
    d.told = true;
    return;
  }
  if (next == nullptr) {
    VDSET_HOLDS(result == VDSET_E_TIMEOUT);
    return;
  }
  VDSET_HOLDS(result == VDSET_OK && out->code == next->call.code && out->size == next->call.size);
  VDSET_HOLDS((out->buffer == nullptr) == (next->call.buffer == nullptr));
  if (out->buffer != nullptr) {
    // The same memory, at another address: what the server wrote is read here.
    auto* const mine = static_cast<unsigned char*>(next->call.buffer);
    mine[0] = static_cast<unsigned char>(mine[0] + 1);
    VDSET_HOLDS(*static_cast<unsigned char*>(out->buffer) == mine[0]);
  }
  next->at = At::fetched;
  next->copy = out;
}

void complete(World& w, std::uint32_t device, Input& in) {
  Model::Device& d = w.model.devices[device];
  std::vector<Command*> held;
  for (Command* c : d.ring)
    if (c->at == At::fetched) held.push_back(c);
  if (held.empty()) return;
  Command& c = *held[in.byte() % held.size()];
  const std::int32_t code = in.below(8) == 0 ? VDSET_ERROR_WRITE_FAULT : 0;
  const std::uint32_t bytes = in.flip() ? in.word() : static_cast<std::uint32_t>(c.call.size);
  VDSET_HOLDS(vdset_device_complete_command(w.fetches[device], c.copy, code, bytes, 0) == VDSET_OK);
  VDSET_HOLDS(vdset_device_complete_command(w.fetches[device], c.copy, code, bytes, 0) ==
              VDSET_E_INVALID);
  c.at = At::done;
  c.code = code;
  const auto most = static_cast<std::uint32_t>(c.call.size);
  c.bytes = static_cast<std::int32_t>(moves_data(c.call.code) ? std::min(bytes, most) : 0);
  if (code != 0)
    d.gate = true;
  else if (c.is_permitted)
    d.gate = false;
}

void step(World& w, Input& in) {
  const std::lock_guard guard(w.model.lock);
  const std::uint32_t choice = in.byte();
  const std::uint32_t device = choice >> 4 & 1u;
  switch (choice % 16) {
    case 0:
    case 1: return allocate(w);
    case 2: return free_buffer(w, w.buffer(in));
    case 3:
    case 4:
    case 5:
    case 6: return send(w, device, in);
    case 7:
    case 8:
    case 9: return fetch(w, device);
    case 10:
    case 11: return complete(w, device, in);
    case 12:
    case 13: return pull(w);
    case 14: return judge_handle(w, w.buffer(in));
    default: break;
  }
  switch (choice >> 4) {
    case 0:
    case 1: return judge_reason(w, in.word(), in.below(64));
    case 2:
    case 3: return judge_description(w, static_cast<std::byte*>(w.buffer(in)), in.below(4));
    case 4:
    case 5: return judge_counts(w, device);
    case 14:
    case 15: return close_device(w, device);
    default: return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  World w;
  for (int i = 0; i < 512 && in.left() > 0; ++i)
    step(w, in);
  return 0;
}
