// tests/crash/soak_role.cpp: a role of the soak, over the library as it is installed: BOOK KIND
// LANE DIRECTORY MIB. MIB of memory are touched first, so that the process takes time to be torn
// down.
#include <dirent.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <vdset.h>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include "tests/crash/soak.hpp"

namespace vdset::soak {
namespace {

Book* book = nullptr;
const char* directory = nullptr;

[[gnu::format(printf, 1, 2)]] void complain(const char* format, ...) {
  char text[sizeof Book::complaint];
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (book->complaints.fetch_add(1) == 0) std::memcpy(book->complaint, text, sizeof text);
}

void note_abort() {
  std::uint64_t none = 0;
  book->abort_seen_ns.compare_exchange_strong(none, now_ns());
}

unsigned descriptor_count() {
  unsigned count = 0;
  DIR* const dir = opendir("/proc/self/fd");
  while (dir != nullptr && readdir(dir) != nullptr)
    ++count;
  if (dir != nullptr) closedir(dir);
  return count;
}
unsigned mapped_parts() {
  unsigned count = 0;
  char line[512];
  std::FILE* const maps = std::fopen("/proc/self/maps", "re");
  while (maps != nullptr && std::fgets(line, sizeof line, maps) != nullptr)
    count += std::strstr(line, "memfd:vdset") != nullptr ? 1 : 0;
  if (maps != nullptr) std::fclose(maps);
  return count;
}

void mark(void* buffer, std::uint64_t id, std::uint64_t by) {
  auto* const words = static_cast<std::uint64_t*>(buffer);
  words[0] = id * 4 + by;
  words[command_bytes / 8 - 1] = ~(id * 4 + by);
}
bool is_marked(const void* buffer, std::uint64_t id, std::uint64_t by) {
  const auto* const words = static_cast<const std::uint64_t*>(buffer);
  return words[0] == id * 4 + by && words[command_bytes / 8 - 1] == ~(id * 4 + by);
}
constexpr std::uint64_t by_server = 1, by_client = 2;

// ---- The server: as many commands as there is time for, each once

struct Lane;
struct Order {
  Lane* lane;
  std::uint32_t id;
  void* buffer;
  vdset_command command;
};
struct Lane {
  std::uint32_t number;
  vdset_server_device* device;
  std::uint32_t under_way;
  bool failed, clearing, closed;
  Order orders[window];
  Order clear;
};

class Engine {
 public:
  explicit Engine(vdset_server* server) : server_(server) { self_ = this; }

  std::int32_t prepare() {
    vdset_base_configuration base{};
    base.struct_bytes = sizeof base;
    base.features = VDSET_FEATURE_WRITE_MEDIA;
    base.block_bytes = 512;
    base.max_transfer_bytes = 65536;
    std::int32_t code = vdset_server_begin_configuration(server_, &base);
    if (code == VDSET_OK)
      code = vdset_server_request_buffers(server_, command_bytes, 0, lanes * window);
    if (code == VDSET_OK) code = vdset_server_end_configuration(server_);
    for (std::uint32_t i = 0; i < lanes && code == VDSET_OK; ++i) {
      lanes_[i].number = i;
      code = vdset_server_open_device(server_, device_names[i], &lanes_[i].device);
    }
    return code;
  }

  std::int32_t work() {
    for (Lane& lane : lanes_)
      for (Order& order : lane.orders) {
        order.lane = &lane;
        if (vdset_server_allocate_buffer(server_, command_bytes, 0, &order.buffer) != VDSET_OK)
          complain("allocate: %s", vdset_last_error());
        send(order);
      }
    return vdset_server_run_completion_agent(server_);
  }

 private:
  void send(Order& order) {
    if (book->stop != 0 || over_ || order.lane->failed) return;
    order.id = book->next_id++;
    if (order.id >= ids_max) {
      book->next_id = ids_max;
      return;
    }
    if (order.id > ids_at_ease) usleep(20);
    const bool write = order.id % 2 == 0;
    if (write) mark(order.buffer, order.id, by_server);
    book->entries[order.id].sent = 1;
    order.command = {};
    order.command.code = write ? VDSET_COMMAND_WRITE : VDSET_COMMAND_READ;
    order.command.size = command_bytes;
    order.command.position = order.id;
    order.command.buffer = order.buffer;
    post(order);
  }

  /// For the driver, should nothing happen.
  void tell(const Lane& lane) {
    book->lane[lane.number].under_way = lane.under_way;
    book->lane[lane.number].in_error = lane.clearing ? 2 : lane.failed ? 1 : 0;
  }

  void post(Order& order) {
    order.command.struct_bytes = sizeof order.command;
    order.command.completion = completed;
    order.command.context = &order;
    ++order.lane->under_way;
    tell(*order.lane);
    sending_ = true;
    const std::int32_t code = vdset_server_device_send_command(order.lane->device, &order.command);
    sending_ = false;
    if (code != VDSET_OK && code != VDSET_E_IO_ERROR && code != VDSET_E_ABORT)
      complain("send: %s", vdset_last_error());
    if (code == VDSET_E_ABORT) over_ = true;
  }

  static void completed(vdset_command* command, void* context) {
    self_->complete(*static_cast<Order*>(context), *command);
  }

  void complete(Order& order, const vdset_command& command) {
    Lane& lane = *order.lane;
    const bool in_send = sending_;
    --lane.under_way;
    if (&order == &lane.clear) {
      lane.clearing = false;
      lane.failed = command.completion_code != VDSET_SUCCESS;
    } else {
      account(order, command);
      lane.failed |= command.completion_code != VDSET_SUCCESS;
    }
    tell(lane);
    if (!in_send) go_on(lane, order);
  }

  void account(Order& order, const vdset_command& command) {
    Entry& entry = book->entries[order.id];
    entry.code = static_cast<std::uint16_t>(command.completion_code);
    if (entry.callbacks.fetch_add(1) != 0) complain("command %u ended twice", order.id);
    ++book->ended;
    if (command.completion_code == VDSET_ERROR_OPERATION_ABORTED &&
        book->lane[order.lane->number].failed_at_ns == 0)
      book->lane[order.lane->number].failed_at_ns = now_ns();
    if (command.completion_code == VDSET_SUCCESS && order.id % 2 != 0 &&
        !is_marked(order.buffer, order.id, by_client))
      complain("command %u did not bring what was read", order.id);
  }

  void go_on(Lane& lane, Order& order) {
    if (lane.failed && !lane.clearing && !over_) {
      lane.clearing = true;
      lane.clear.lane = &lane;
      lane.clear.command = {};
      lane.clear.command.code = VDSET_COMMAND_CLEAR_ERROR;
      post(lane.clear);
    } else if (&order == &lane.clear) {
      if (!lane.failed)
        for (Order& each : lane.orders)
          send(each);
    } else {
      send(order);
    }
    if (lane.under_way == 0 && (book->stop != 0 || book->next_id == ids_max)) close_all();
  }

  /// The primary's device last: then the primary may close.
  void close_all() {
    for (const Lane& lane : lanes_)
      if (lane.under_way != 0 || over_) return;
    std::uint32_t freed = 0;
    for (std::uint32_t i = lanes; i-- > 0;) {
      for (const Order& order : lanes_[i].orders)
        freed += vdset_server_free_buffer(server_, order.buffer, command_bytes) == VDSET_OK;
      if (i == 0) {
        std::uint32_t available = 0;
        vdset_server_query_available_buffers(server_, command_bytes, 0, &available);
        book->buffers_left = lanes * window - available + (lanes * window - freed);
      }
      vdset_server_device_close(lanes_[i].device);
    }
  }

  static Engine* self_;
  vdset_server* server_;
  Lane lanes_[lanes] = {};
  bool sending_ = false, over_ = false;
};
Engine* Engine::self_ = nullptr;

void run_server() {
  vdset_join_options options{};
  options.struct_bytes = sizeof options;
  options.directory = directory;
  vdset_server* server = nullptr;
  std::int32_t code = vdset_server_open(set_name, &options, &server);
  if (code != VDSET_OK) return complain("server: %s", vdset_last_error());
  Engine engine(server);
  code = engine.prepare();
  book->configured = 1;
  if (code == VDSET_OK) code = engine.work();
  if (code == VDSET_E_ABORT) note_abort();
  if (code != VDSET_OK && code != VDSET_E_ABORT) complain("agent: %s", vdset_last_error());
  vdset_server_close(server);
  book->server_result = code == VDSET_OK ? server_closed : server_aborted;
}

// ---- Clients

void take(const vdset_command& command, std::uint32_t lane) {
  if (command.code == VDSET_COMMAND_CLEAR_ERROR) return;
  ++book->lane[lane].held;
  if (command.position >= ids_max) return complain("a command that cannot be is delivered");
  const auto id = static_cast<std::uint32_t>(command.position);
  Entry& entry = book->entries[id];
  const bool again = (command.flags & VDSET_COMMAND_REDELIVERED) != 0;
  entry.redelivered = static_cast<std::uint8_t>(entry.redelivered + (again ? 1 : 0));
  if (entry.sent == 0) complain("command %u of lane %u was never sent", id, lane);
  if (entry.fetched.fetch_add(1) != 0 && !again)
    complain("command %u of lane %u is delivered twice", id, lane);
  if (entry.completed != 0) complain("command %u is delivered after its end", id);
  if (id % 2 == 0 && !is_marked(command.buffer, id, by_server))
    complain("command %u does not hold what was sent", id);
}

std::int32_t complete(vdset_device* device, std::uint32_t lane, const vdset_command& command) {
  const bool clear = command.code == VDSET_COMMAND_CLEAR_ERROR;
  const auto id = static_cast<std::uint32_t>(command.position);
  if (!clear && id % 2 != 0) mark(command.buffer, id, by_client);
  if (!clear) ++book->entries[id].completing;
  const std::int32_t code =
      vdset_device_complete_command(device, &command, VDSET_SUCCESS, clear ? 0 : command_bytes, 0);
  if (code == VDSET_OK && !clear) ++book->entries[id].completed;
  if (!clear) --book->lane[lane].held;
  if (code == VDSET_OK) ++book->lane[lane].served;
  return code;
}

/// As if there were much to do with what is held; the driver kills in the meantime.
void linger(std::uint32_t lane) {
  const std::uint64_t until = now_ns() + std::uint64_t{book->lane[lane].linger_us} * 1000;
  while (now_ns() < until && book->lane[lane].linger_us != 0)
    usleep(20);
}

/// Fetches a few, completes them; CLOSE or ABORT.
std::int32_t serve(vdset_device* device, std::uint32_t lane) {
  constexpr std::uint32_t held_max = 3;
  const vdset_command* held[held_max];
  for (std::uint32_t count = 0;;) {
    std::int32_t code =
        vdset_device_get_command(device, count > 0 ? 0 : VDSET_INFINITE, &held[count]);
    if (code == VDSET_OK) {
      take(*held[count++], lane);
      if (book->lane[lane].linger_us != 0) linger(lane);
    }
    if (code != VDSET_OK && code != VDSET_E_TIMEOUT) return code;
    if (code == VDSET_OK && count < held_max) continue;
    // Not with a ClearError alone: its end is none of a command that counts.
    const bool counts = held[count - 1]->code != VDSET_COMMAND_CLEAR_ERROR;
    while (book->hold != 0 && lane != 0 && counts) {
      ++book->lane[lane].served;
      usleep(1000);
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      if ((code = complete(device, lane, *held[i])) < 0) return code;
      if (book->lane[lane].linger_us != 0 && i + 1 < count) linger(lane);
    }
    count = 0;
  }
}

void finish(vdset_set* set, std::int32_t code) {
  if (code == VDSET_E_ABORT) note_abort();
  if (code == VDSET_E_CLOSE) ++book->heard_close;
  if (code == VDSET_E_ABORT) ++book->heard_abort;
  if (code != VDSET_E_CLOSE && code != VDSET_E_ABORT)
    complain("a client ends with %s", vdset_last_error());
  vdset_set_close(set);
}

void serve_lane(vdset_set* set, std::uint32_t lane) {
  vdset_device* device = nullptr;
  std::int32_t code;
  // Until the end of its last consumer is known.
  while ((code = vdset_set_open_device(set, device_names[lane], &device)) == VDSET_E_PROTOCOL ||
         code == VDSET_E_OPEN) {
    if (book->stop != 0 && book->server_result != 0) break;
    usleep(50);
  }
  if (code == VDSET_OK) code = serve(device, lane);
  if (code == VDSET_E_OPEN || code == VDSET_E_PROTOCOL) code = VDSET_E_CLOSE;  // The end has come.
  finish(set, code);
}

void run_primary() {
  vdset_config config{};
  config.struct_bytes = sizeof config;
  config.device_count = lanes;
  vdset_set_options options{};
  options.struct_bytes = sizeof options;
  options.on_secondary_death =
      book->hand_over != 0 ? VDSET_DEATH_HANDS_OVER : VDSET_DEATH_FAILS_COMMANDS;
  options.directory = directory;
  vdset_set* set = nullptr;
  if (vdset_set_create(set_name, &config, &options, &set) != VDSET_OK)
    return complain("create: %s", vdset_last_error());
  book->created = 1;
  vdset_config agreed{};
  agreed.struct_bytes = sizeof agreed;
  const std::int32_t code = vdset_set_get_configuration(set, VDSET_INFINITE, &agreed);
  if (code != VDSET_OK) return finish(set, code);
  serve_lane(set, 0);
}

/// A secondary has a lane; a worker only joins, and waits to be killed or for the end.
void run_secondary(std::uint32_t lane, bool worker) {
  vdset_join_options options{};
  options.struct_bytes = sizeof options;
  options.directory = directory;
  vdset_set* set = nullptr;
  const std::int32_t code = vdset_set_open_in_secondary(set_name, &options, &set);
  if (code != VDSET_OK) {
    if (book->stop == 0 && book->ending == 0) complain("not let in: %s", vdset_last_error());
    return;
  }
  if (!worker) return serve_lane(set, lane);
  vdset_abort_reason reason{};
  reason.struct_bytes = sizeof reason;
  while (book->stop == 0 && vdset_set_get_abort_reason(set, &reason) == VDSET_E_PROTOCOL)
    usleep(1000);
  vdset_set_close(set);
}

void grow(std::size_t mib) {
  if (mib == 0) return;
  void* const memory = mmap(nullptr, mib << 20, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) complain("no %zu MiB", mib);
}

int run(int count, char** words) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (count < 6) return 2;
  void* const memory =
      mmap(nullptr, sizeof(Book), PROT_READ | PROT_WRITE, MAP_SHARED, std::atoi(words[1]), 0);
  if (memory == MAP_FAILED) return 3;
  book = static_cast<Book*>(memory);
  directory = words[4];
  grow(static_cast<std::size_t>(std::atoi(words[5])));
  const unsigned descriptors = descriptor_count();
  const auto lane = static_cast<std::uint32_t>(std::atoi(words[3]));
  switch (static_cast<Kind>(std::atoi(words[2]))) {
    case Kind::server: run_server(); break;
    case Kind::primary: run_primary(); break;
    case Kind::secondary: run_secondary(lane, false); break;
    case Kind::worker: run_secondary(lane, true); break;
    case Kind::idle:  // No library: a process of that size, to be killed.
      book->is_idle = 1;
      for (;;)
        pause();
  }
  const unsigned left = descriptor_count() - descriptors, parts = mapped_parts();
  if (left != 0) complain("%u descriptors are left in process %d", left, getpid());
  if (parts != 0) complain("%u parts are left mapped in process %d", parts, getpid());
  ++book->looked_for_leaks;
  return 0;
}

}  // namespace
}  // namespace vdset::soak

int main(int count, char** words) {
  _exit(vdset::soak::run(count, words));
}
