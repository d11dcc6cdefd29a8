// tests/hostile/test_peers.cpp
// Goal: a server survives any primary and any secondary: false welcomes are refused, nobody who
// floods, passes descriptors or breaks the listener holds it up, and the others go on.
// Method: a real server in this process against peers written by hand.
#include <linux/falloc.h>
#include <sys/mman.h>
#include <memory>
#include "tests/hostile/impostor.hpp"
#include "tests/support/faults.hpp"

using namespace vdset;
using namespace vdset::hostile;

namespace {

/// What vdset_server_open says of a primary that answers so.
std::int32_t open_against(const Message& welcome, int descriptor = -1) {
  const Scratch place;
  Primary primary(place, "set");
  primary.answer(welcome, descriptor >= 0 ? descriptor : primary.held.listener);
  vdset_join_options options{};
  options.struct_bytes = sizeof options;
  options.directory = place.path();
  vdset_server* server = nullptr;
  const std::int32_t result = vdset_server_open("set", &options, &server);
  if (result == VDSET_OK) vdset_server_close(server);
  return result;
}

/// A real set of two devices in this process, configured, with an agent.
struct Set {
  unit::Deadline deadline{60};
  Scratch place;
  vdset_set* set = nullptr;
  vdset_server* server = nullptr;
  std::thread agent;

  explicit Set(std::uint32_t read_only = 0) {
    vdset_config config{};
    config.struct_bytes = sizeof config;
    config.device_count = 2;
    vdset_set_options options{};
    options.struct_bytes = sizeof options;
    options.directory = place.path();
    options.data_read_only = read_only;
    REQUIRE(vdset_set_create("set", &config, &options, &set) == VDSET_OK);
    vdset_join_options join{};
    join.struct_bytes = sizeof join;
    join.directory = place.path();
    REQUIRE(vdset_server_open("set", &join, &server) == VDSET_OK);
    vdset_base_configuration base{sizeof base, VDSET_FEATURE_WRITE_MEDIA, 512, 0, 65536};
    REQUIRE(vdset_server_begin_configuration(server, &base) == VDSET_OK);
    REQUIRE(vdset_server_request_buffers(server, 65536, 0, 4) == VDSET_OK);
    REQUIRE(vdset_server_end_configuration(server) == VDSET_OK);
    vdset_server_device* device = nullptr;
    REQUIRE(vdset_server_open_device(server, "set", &device) == VDSET_OK);
    REQUIRE(vdset_server_open_device(server, "set.1", &device) == VDSET_OK);
    agent = std::thread([this] { vdset_server_run_completion_agent(server); });
  }
  ~Set() {
    vdset_set_signal_abort(set, 0, "the end");
    agent.join();
    vdset_server_close(server);
    vdset_set_close(set);
  }
  /// Whether an honest secondary can still join and open a device.
  bool serves(const char* device_name) const {
    vdset_join_options join{};
    join.struct_bytes = sizeof join;
    join.directory = place.path();
    vdset_set* secondary = nullptr;
    if (vdset_set_open_in_secondary("set", &join, &secondary) != VDSET_OK) return false;
    vdset_device* device = nullptr;
    const bool opened = vdset_set_open_device(secondary, device_name, &device) == VDSET_OK;
    vdset_set_close(secondary);
    return opened;
  }
};

/// A secondary that was let in.
struct Secondary : Caller {
  Message welcome;
  Descriptors parts;

  explicit Secondary(const Set& set) {
    hello(set.place, "set", core::Role::secondary);
    REQUIRE(receive(welcome, parts) == 0);
    REQUIRE(welcome.kind == MessageKind::welcome_secondary);
  }
  /// Whether the server has let go of it, within 10 s. What it still had to say is read.
  bool is_let_go() const {
    Message message;
    for (;;) {
      if (port::wait_readable(socket, port::deadline_after(10'000'000'000)) != 1) return false;
      Descriptors descriptors;
      if (receive_message(socket, message, descriptors) == -EPIPE) return true;
    }
  }
};

Message question(MessageKind kind, std::uint32_t a = 0) {
  Message message;
  message.kind = kind;
  message.a = a;
  return message;
}

}  // namespace

TEST_CASE("a welcome of which no geometry can be made is UNEXPECTED") {
  const unit::Deadline deadline(60);
  REQUIRE(open_against(Primary::sound_welcome()) == VDSET_OK);
  const std::function<void(Message&)> lies[] = {
      [](Message& m) { m.terms.queue_depth = 0; },
      [](Message& m) { m.terms.queue_depth = 7; },
      [](Message& m) { m.terms.queue_depth = 256; },
      [](Message& m) { m.terms.queue_depth = 0x80000000u; },
      [](Message& m) { m.terms.options = 8; },
      [](Message& m) { m.terms.options = ~0u; },
      [](Message& m) {
        m.terms.options = core::option_data_read_only;
        m.terms.wish.prefix_zone_bytes = 512;
      },
      [](Message& m) { m.terms.wish.device_count = 0; },
      [](Message& m) { m.terms.wish.device_count = 65; },
      [](Message& m) { m.terms.wish.features = ~0u; },
      [](Message& m) { m.terms.wish.prefix_zone_bytes = ~0u; },
      [](Message& m) { m.terms.wish.alignment_bytes = ~0u; },
  };
  for (const auto& lie : lies) {
    Message welcome = Primary::sound_welcome();
    lie(welcome);
    CHECK(open_against(welcome) == VDSET_E_UNEXPECTED);
  }
}

TEST_CASE("a listener that is none is refused before anything is done with it") {
  const unit::Deadline deadline(60);
  int pipe_ends[2], pair[2];
  REQUIRE(pipe2(pipe_ends, O_CLOEXEC) == 0);
  REQUIRE(port::socket_make_pair(pair) == 0);
  const int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int internet = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int file = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd : {pipe_ends[0], pair[0], stream, internet, file})
    CHECK(open_against(Primary::sound_welcome(), fd) == VDSET_E_UNEXPECTED);
  for (int fd : {pipe_ends[0], pipe_ends[1], pair[0], pair[1], stream, internet, file})
    close(fd);
}

TEST_CASE("a listener that its primary shuts down does not keep the library thread busy") {
  const unit::Deadline deadline(60);
  const Scratch place;
  Primary primary(place, "set");
  primary.answer(Primary::sound_welcome(), primary.held.listener);
  vdset_join_options options{};
  options.struct_bytes = sizeof options;
  options.directory = place.path();
  vdset_server* server = nullptr;
  REQUIRE(vdset_server_open("set", &options, &server) == VDSET_OK);
  faults::reset();
  REQUIRE(shutdown(primary.held.listener, SHUT_RDWR) == 0);
  while (faults::uses(port::Call::accept) == 0)
    sched_yield();
  poll(nullptr, 0, 500);
  CHECK(faults::uses(port::Call::accept) <= 8);  // One in 100 ms.
  vdset_server_close(server);
}

TEST_CASE("who asks and does not read is let go, and the others are served") {
  const Set set;
  const Secondary hostile(set);
  for (int i = 0; i < 64; ++i)
    if (send_message(hostile.socket, question(MessageKind::map_pool)) != 0) break;
  CHECK(hostile.is_let_go());
  CHECK(set.serves("set.1"));
}

TEST_CASE("who says what is no question is let go, and the others are served") {
  const Set set;
  const std::size_t descriptors = unit::descriptor_count();
  for (MessageKind kind :
       {MessageKind::hello, MessageKind::welcome_server, MessageKind::welcome_secondary,
        MessageKind::refused, MessageKind::parts, MessageKind::grant, MessageKind::pool,
        static_cast<MessageKind>(0), static_cast<MessageKind>(~0u)}) {
    const Secondary hostile(set);
    CHECK(send_message(hostile.socket, question(kind)) == 0);
    CHECK(hostile.is_let_go());
  }
  const Secondary cut(set);
  CHECK(send(cut.socket, "x", 1, MSG_NOSIGNAL) == 1);
  CHECK(cut.is_let_go());
  CHECK(set.serves("set.1"));
  CHECK(unit::descriptor_count() <= descriptors + 64);
}

TEST_CASE(
    "questions about pools, names and numbers that do not exist are answered with a refusal") {
  const Set set;
  const Secondary hostile(set);
  for (std::uint32_t pool : {1u, 8u, 0x80000000u, ~0u}) {
    REQUIRE(send_message(hostile.socket, question(MessageKind::map_pool, pool)) == 0);
    Message answer;
    Descriptors descriptors;
    REQUIRE(hostile.receive(answer, descriptors) == 0);
    CHECK(answer.result == VDSET_E_INVALID);
  }
  for (std::uint32_t bytes : {0u, 1u, 255u, 256u}) {
    Message asks = question(MessageKind::open_device);
    asks.text_bytes = bytes;
    std::memset(asks.text, '\\', sizeof asks.text);
    REQUIRE(send_message(hostile.socket, asks) == 0);
    Message answer;
    Descriptors descriptors;
    REQUIRE(hostile.receive(answer, descriptors) == 0);
    CHECK(answer.result == VDSET_E_INVALID);
  }
}

TEST_CASE("nobody's descriptors come in: the kernel refuses them, or they are not received") {
  for (bool old_kernel : {false, true}) {
    const Set set;
    const Secondary hostile(set);
    if (old_kernel) port::refuse_descriptors(hostile.socket, false);
    const std::size_t before = unit::descriptor_count();
    int flood[port::descriptors_max];
    for (int& fd : flood)
      fd = hostile.socket;
    const int sent = send_message(hostile.socket, question(MessageKind::map_pool), flood);
    if (sent == 0) CHECK(hostile.is_let_go());
    CHECK(unit::descriptor_count() <= before);
    CHECK(set.serves("set.1"));
  }
}

TEST_CASE("an abort word with a call that does not exist ends the set with an unknown call") {
  const Set set;
  Secondary hostile(set);
  port::Mapping wake;
  REQUIRE(port::memory_map(hostile.parts.at[1], 8192, true, wake) == 0);
  auto& words = *reinterpret_cast<core::WakeWords*>(wake.base);
  CHECK(core::request_abort(atomics, words, 99, 200));
  words.agent.event.value += core::event_step;
  port::wake_word(words.agent.event);
  vdset_abort_reason reason{};
  reason.struct_bytes = sizeof reason;
  while (vdset_server_get_abort_reason(set.server, &reason) != VDSET_OK)
    sched_yield();
  CHECK(reason.call == VDSET_CALL_NONE);
  port::memory_unmap(wake);
}

TEST_CASE("buffers of a read-only set cannot be written by whoever is given them, in any way") {
  const Set set(1);
  const Secondary hostile(set);
  REQUIRE(send_message(hostile.socket, question(MessageKind::map_pool)) == 0);
  Message answer;
  Descriptors pool;
  REQUIRE(hostile.receive(answer, pool) == 0);
  REQUIRE(answer.result == VDSET_OK);
  const std::string again = "/proc/self/fd/" + std::to_string(pool.at[0]);
  const int opened = open(again.c_str(), O_RDWR | O_CLOEXEC);
  for (int fd : {pool.at[0], opened}) {
    if (fd < 0) continue;  // Could not even be opened a second time.
    CHECK(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    void* const at = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
    REQUIRE(at != MAP_FAILED);
    CHECK(mprotect(at, 4096, PROT_READ | PROT_WRITE) != 0);
    CHECK(madvise(at, 4096, MADV_REMOVE) != 0);
    CHECK(pwrite(fd, "x", 1, 0) < 0);
    CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) != 0);
    CHECK(ftruncate(fd, 0) != 0);
    CHECK(ftruncate(fd, 1 << 30) != 0);
    munmap(at, 4096);
  }
  if (opened >= 0) close(opened);
}

TEST_CASE("a read-only set is for backup: a restore is NOTSUPPORTED") {
  const unit::Deadline deadline(60);
  const Scratch place;
  Message welcome = Primary::sound_welcome();
  welcome.terms.options = core::option_data_read_only;
  Primary primary(place, "set");
  primary.answer(welcome, primary.held.listener);
  vdset_join_options options{};
  options.struct_bytes = sizeof options;
  options.directory = place.path();
  vdset_server* server = nullptr;
  REQUIRE(vdset_server_open("set", &options, &server) == VDSET_OK);
  vdset_base_configuration base{sizeof base, VDSET_FEATURE_READ_MEDIA, 512, 0, 65536};
  CHECK(vdset_server_begin_configuration(server, &base) == VDSET_E_NOTSUPPORTED);
  vdset_server_close(server);
}
