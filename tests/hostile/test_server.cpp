// tests/hostile/test_server.cpp
// Goal: a client survives any server: whatever parts, words and answers it is given, its calls end
// with a VDI code, and what cannot be poisons the set.
// Method: a real primary in this process against a server written by hand, one lie at a time.
#include <sys/mman.h>
#include "tests/hostile/impostor.hpp"
#include "tests/support/faults.hpp"
#include "tests/support/options.hpp"

using namespace vdset;
using namespace vdset::hostile;

namespace {

constexpr std::int64_t soon_ns = 5'000'000'000;

/// A real primary and a false server that has met it.
struct Rig {
  unit::Deadline deadline{60};
  Scratch place;
  vdset_set* set = nullptr;
  std::unique_ptr<Server> server;

  explicit Rig(std::uint32_t read_only = 0) {
    const auto config = support::wish_for(1);
    auto options = support::meeting_in<vdset_set_options>(place.path());
    options.data_read_only = read_only;
    REQUIRE(vdset_set_create("set", &config, &options, &set) == VDSET_OK);
    server = std::make_unique<Server>(place, "set");
  }
  ~Rig() {
    if (set != nullptr) vdset_set_close(set);
    server.reset();
  }
  std::int32_t configuration() const {
    vdset_config out{};
    out.struct_bytes = sizeof out;
    return vdset_set_get_configuration(set, soon_ns, &out);
  }
  std::uint32_t reason() const {
    vdset_abort_reason out{};
    out.struct_bytes = sizeof out;
    REQUIRE(vdset_set_get_abort_reason(set, &out) == VDSET_OK);
    return out.call;
  }
  /// The set is over, for what the server did.
  void is_poisoned(std::int32_t result) const {
    CHECK(result == VDSET_E_ABORT);
    if (result == VDSET_E_ABORT) CHECK(reason() == VDSET_CALL_POISONED);
  }
  /// Up to a device that the primary can open.
  void activate(const std::function<void(const Message&, Message&, int&)>& change = {}) {
    server->seal_all();
    REQUIRE(server->send_parts() == 0);
    server->add_pool();
    server->name_device();
    server->configure(sound_configuration());
    server->answer(change);
  }
  vdset_device* open() const {
    vdset_device* device = nullptr;
    const std::int32_t result = vdset_set_open_device(set, "set", &device);
    CHECK_MESSAGE(result == VDSET_OK, vdset_last_error());
    return device;
  }
  std::int32_t fetch(vdset_device* device, std::int64_t timeout_ns = soon_ns) const {
    const vdset_command* command = nullptr;
    return vdset_device_get_command(device, timeout_ns, &command);
  }
};

/// Answers a primary's question about its own configuration until it is over.
std::int32_t after_parts(Rig& rig, std::uint32_t me = core::primary_index) {
  REQUIRE(rig.server->send_parts(me) == 0);
  return rig.configuration();
}

}  // namespace

TEST_CASE(
    "an honest script of the false server works: the lies below are what makes the rest fail") {
  Rig rig;
  rig.activate();
  CHECK(rig.configuration() == VDSET_OK);
  vdset_device* const device = rig.open();
  rig.server->post(core::opcode_write, 0, 0);
  rig.server->store(rig.server->part().slots[0],
                    core::SlotWord{core::SlotState::lent, 1, 0}.pack());
  rig.server->post(core::opcode_write, rig.server->handle(), 65536);
  CHECK(rig.fetch(device) == VDSET_OK);
  CHECK(rig.fetch(device, 0) == VDSET_E_TIMEOUT);
}

TEST_CASE("parts that are not sealed, cut, too large, of another kind or swapped are refused") {
  const std::function<void(Server&)> lies[] = {
      [](Server& s) { s.w.seal(), s.c.seal(); },
      [](Server& s) { s.s.seal(), s.c.seal(); },
      [](Server& s) {
        REQUIRE(ftruncate(s.s.descriptor, 8192) == 0);
        s.seal_all();
      },
      [](Server& s) {
        REQUIRE(ftruncate(s.s.descriptor, 0) == 0);
        s.seal_all();
      },
      [](Server& s) {
        REQUIRE(ftruncate(s.w.descriptor, 4096) == 0);
        s.seal_all();
      },
      [](Server& s) {
        REQUIRE(ftruncate(s.s.descriptor, std::int64_t{1} << 40) == 0);
        s.seal_all();
      },
      [](Server& s) {
        s.seal_all();
        std::swap(s.s.descriptor, s.w.descriptor);
      },
      [](Server& s) {
        s.seal_all();
        std::swap(s.w.descriptor, s.c.descriptor);
      },
      [](Server& s) {
        s.seal_all();
        close(s.s.descriptor);
        s.s.descriptor = open("/dev/zero", O_RDWR | O_CLOEXEC);
      },
      [](Server& s) {
        s.seal_all();
        close(s.w.descriptor);
        s.w.descriptor = open("/dev/zero", O_RDWR | O_CLOEXEC);
      },
  };
  for (const auto& lie : lies) {
    Rig rig;
    lie(*rig.server);
    rig.is_poisoned(after_parts(rig));
    CHECK(unit::mapping_count("/dev/zero") == 0);
  }
}

TEST_CASE("a header of another set, size, order or place is refused") {
  const std::function<void(Server&)> lies[] = {
      [](Server& s) { s.store(s.header().magic[0], 1); },
      [](Server& s) { s.store(s.header().byte_order, 0x04030201); },
      [](Server& s) { s.store(s.header().layout_version, 0x00030000); },
      [](Server& s) { s.store(s.header().device_count, 2); },
      [](Server& s) { s.store(s.header().device_count, ~0u); },
      [](Server& s) { s.store(s.header().queue_depth, 128); },
      [](Server& s) { s.store(s.header().queue_depth, 0); },
      [](Server& s) { s.store(s.header().page_bytes, 1u << 31); },
      [](Server& s) { s.store(s.header().options, 4); },
      [](Server& s) { s.store(s.header().options, 0x80000000u); },
      [](Server& s) { s.store(s.header().salt, 63); },
      [](Server& s) { s.store(s.header().alive_offset, 0xfffffff0u); },
      [](Server& s) { s.store(s.header().lines_offset, 64); },
      [](Server& s) { s.store(s.header().s_bytes, 4096); },
  };
  for (const auto& lie : lies) {
    Rig rig;
    lie(*rig.server);
    rig.server->seal_all();
    rig.is_poisoned(after_parts(rig));
  }
}

TEST_CASE("a primary is participant 1 and nobody else") {
  for (std::uint32_t me : {0u, 2u, 254u, 255u, 0x10000001u, ~0u}) {
    Rig rig;
    rig.server->seal_all();
    rig.is_poisoned(after_parts(rig, me));
  }
}

TEST_CASE("a configuration that cannot be poisons the set") {
  const std::function<void(core::Configuration&)> lies[] = {
      [](auto& c) { c.device_count = 2; },        [](auto& c) { c.prefix_zone_bytes = ~0u; },
      [](auto& c) { c.alignment_bytes = 0; },     [](auto& c) { c.alignment_bytes = 1u << 31; },
      [](auto& c) { c.alignment_bytes = 256; },   [](auto& c) { c.block_bytes = 0; },
      [](auto& c) { c.block_bytes = 513; },       [](auto& c) { c.block_bytes = 1u << 17; },
      [](auto& c) { c.max_transfer_bytes = 0; },  [](auto& c) { c.max_transfer_bytes = 65537; },
      [](auto& c) { c.max_transfer_bytes = ~0u; }};
  for (const auto& lie : lies) {
    Rig rig;
    rig.server->seal_all();
    REQUIRE(rig.server->send_parts() == 0);
    core::Configuration agreed = sound_configuration();
    lie(agreed);
    rig.server->configure(agreed);
    rig.is_poisoned(rig.configuration());
  }
  for (std::uint32_t bits : {0u, 3u, 13u, 32u, ~0u}) {
    Rig rig;
    rig.server->seal_all();
    REQUIRE(rig.server->send_parts() == 0);
    rig.server->configure(sound_configuration(), bits);
    rig.is_poisoned(rig.configuration());
  }
}

TEST_CASE("a set state that does not exist poisons the set") {
  for (std::uint32_t state : {6u, 77u, 0x80000000u, ~0u}) {
    Rig rig;
    rig.server->seal_all();
    REQUIRE(rig.server->send_parts() == 0);
    rig.server->configure(sound_configuration(), 4, static_cast<core::SetState>(state));
    rig.is_poisoned(rig.configuration());
  }
}

TEST_CASE("pool rows and counts that cannot be poison the set") {
  const std::function<void(core::ServerHeader&, Server&)> lies[] = {
      [](auto& h, auto& s) { s.store(h.pool_count, 9); },
      [](auto& h, auto& s) { s.store(h.pool_count, ~0u); },
      [](auto& h, auto& s) { s.store(h.pools[0].slot_count, 0); },
      [](auto& h, auto& s) { s.store(h.pools[0].slot_count, ~0u); },
      [](auto& h, auto& s) { s.store(h.pools[0].first_slot, 1); },
      [](auto& h, auto& s) { s.store(h.pools[0].stride_lines, 1); },
      [](auto& h, auto& s) { s.store(h.pools[0].data_offset, 64); },
      [](auto& h, auto& s) { s.store(h.pools[0].data_bytes, ~0u); },
      [](auto& h, auto& s) { s.store(h.pools[0].alignment, 0); },
      [](auto& h, auto& s) { s.store(h.pools[0].pool_lines, 1); },
      [](auto& h, auto& s) {  // More slots than a handle can name.
        core::write_pool(atomics, h.pools[0],
                         core::plan_pool(0, 17, 65536, 512, 0, s.g.page_bytes));
      }};
  for (const auto& lie : lies) {
    Rig rig;
    rig.server->seal_all();
    REQUIRE(rig.server->send_parts() == 0);
    rig.server->add_pool();
    lie(rig.server->header(), *rig.server);
    rig.server->configure(sound_configuration());
    rig.server->answer();
    rig.is_poisoned(rig.configuration());
  }
}

TEST_CASE("a pool that is not sealed, of another size or no memory is refused") {
  for (int lie = 0; lie < 3; ++lie) {
    Rig rig;
    int other = lie == 0   ? port::memory_create(rig.server->g.page_bytes)
                : lie == 1 ? port::memory_create(4 * 65536)
                           : open("/dev/zero", O_RDWR | O_CLOEXEC);
    if (lie == 0) REQUIRE(port::memory_seal(other, port::Seal::fixed_size) == 0);
    rig.activate([&](const Message& question, Message&, int& descriptor) {
      if (question.kind == MessageKind::map_pool) descriptor = other;
    });
    CHECK(rig.configuration() == VDSET_E_MEMORY);
    rig.server->stop();
    port::close_descriptor(other);
  }
}

TEST_CASE("answers that nobody asked for, of the wrong kind, or that cannot be, poison the set") {
  const std::function<void(Message&, int&)> lies[] = {
      [](Message& m, int&) { ++m.request; },
      [](Message& m, int& fd) { m.kind = MessageKind::leave, fd = -1; },
      [](Message& m, int& fd) { m.kind = static_cast<MessageKind>(99), fd = -1; },
      [](Message& m, int&) { m.text_bytes = 257; },
      [](Message& m, int&) { m.mark = 0; },
      [](Message&, int& fd) { fd = -1; },
      [](Message& m, int&) { m.result = 5; }};
  for (const auto& lie : lies) {
    Rig rig;
    rig.activate([&](const Message& question, Message& reply, int& descriptor) {
      if (question.kind == MessageKind::open_device) lie(reply, descriptor);
    });
    REQUIRE(rig.configuration() == VDSET_OK);
    vdset_device* device = nullptr;
    rig.is_poisoned(vdset_set_open_device(rig.set, "set", &device));
    CHECK(device == nullptr);
  }
}

TEST_CASE("losses that cannot be are cut to what can, and numbers only grow") {
  Rig rig;
  rig.activate();
  REQUIRE(rig.configuration() == VDSET_OK);
  const auto say = [&rig](std::uint32_t number, std::uint32_t most, const char* name) {
    Message message;
    message.kind = MessageKind::loss;
    message.request = number;
    message.result = static_cast<std::int32_t>(most);
    message.a = message.b = message.c = message.d = most;
    message.set_text(name, std::strlen(name));
    REQUIRE(send_message(rig.server->socket, message) == 0);
  };
  const auto ask = [&rig](std::uint32_t number, vdset_loss& out) {
    out.struct_bytes = sizeof out;
    return vdset_set_get_loss(rig.set, number, &out);
  };
  vdset_loss loss{};
  CHECK(ask(0, loss) == VDSET_E_PROTOCOL);
  say(0, 1, "set");  // No number at all.
  CHECK(ask(0, loss) == VDSET_E_PROTOCOL);
  say(7, ~0u, "a\\b");
  say(7, 1, "set");
  say(6, 1, "set");
  REQUIRE(ask(0, loss) == VDSET_OK);
  CHECK(loss.number == 7);
  CHECK(loss.count == 7);
  CHECK(loss.call == VDSET_CALL_LEFT);
  CHECK(loss.devices == VDSET_DEVICES_MAX);
  CHECK(loss.commands == 64 * 128);
  CHECK(loss.handed_over == loss.commands);
  CHECK(loss.device[0] == 0);
  CHECK(ask(6, loss) == VDSET_E_INVALID);
  CHECK(ask(8, loss) == VDSET_E_INVALID);
  say(~0u, 0, "set");
  say(5, 3, "set");
  REQUIRE(ask(~0u, loss) == VDSET_OK);
  CHECK(std::string(loss.device) == "set");
  CHECK(ask(7, loss) == VDSET_E_INVALID);  // Far behind the latest.
}

TEST_CASE("a refusal with a code that is none of ours is UNEXPECTED") {
  for (std::int32_t code : {1, 0x7fffffff, INT32_MIN, -1}) {
    Rig rig;
    rig.activate([&](const Message& question, Message& reply, int& descriptor) {
      if (question.kind != MessageKind::open_device) return;
      reply.result = code;
      descriptor = -1;
    });
    REQUIRE(rig.configuration() == VDSET_OK);
    vdset_device* device = nullptr;
    CHECK(vdset_set_open_device(rig.set, "set", &device) == VDSET_E_UNEXPECTED);
  }
}

TEST_CASE("a device that is granted twice, or does not exist, or whose part is wrong") {
  {
    Rig rig;
    rig.activate();
    rig.open();
    vdset_device* again = nullptr;
    rig.is_poisoned(vdset_set_open_device(rig.set, "other", &again));
  }
  for (int lie = 0; lie < 3; ++lie) {
    Rig rig;
    rig.activate([&](const Message& question, Message& reply, int& descriptor) {
      if (question.kind != MessageKind::open_device) return;
      if (lie == 0) reply.a = 1;
      if (lie == 1) reply.a = ~0u;
      if (lie == 2) descriptor = rig.server->w.descriptor;
    });
    vdset_device* device = nullptr;
    CHECK(vdset_set_open_device(rig.set, "set", &device) < 0);
    CHECK(rig.configuration() == VDSET_E_ABORT);
  }
}

TEST_CASE("a command that names a buffer that cannot be poisons the set") {
  struct Lie {
    std::uint32_t opcode, handle, size;
  };
  const std::uint32_t good = core::HandleCodec(7, 4).encode(0, 0);
  const Lie lies[] = {
      {core::opcode_write, 0, 512},        {core::opcode_write, ~0u, 512},
      {core::opcode_write, good + 4, 512}, {core::opcode_write, good ^ 1u << 26, 512},
      {core::opcode_read, good, 65537},    {core::opcode_read, good, 0x80000000u},
      {core::opcode_read, good + 15, 1},   {VDSET_COMMAND_SKIP_BLOCKS, good, 65537},
      {VDSET_COMMAND_FLUSH, good, ~0u},
      // Bits above the code: a Read without a buffer, or behind the back of a read-only set.
      {1u << 24 | core::opcode_read, 0, 512},
      {core::opcode_passes_gate | core::opcode_write, good, 512},
      {1u << 31 | core::opcode_opens_gate, 0, 0}};
  for (const Lie& lie : lies) {
    Rig rig;
    rig.activate();
    vdset_device* const device = rig.open();
    rig.server->post(lie.opcode, lie.handle, lie.size);
    rig.is_poisoned(rig.fetch(device));
  }
}

TEST_CASE("a Read is refused where the client cannot write into the buffers") {
  Rig rig(1);
  rig.activate();
  vdset_device* const device = rig.open();
  rig.server->post(core::opcode_read, rig.server->handle(), 512);
  rig.is_poisoned(rig.fetch(device));
}

TEST_CASE("a ring whose laps run away ends, also while the server keeps moving it") {
  Rig rig;
  rig.activate();
  vdset_device* const device = rig.open();
  std::atomic<bool> over{false};
  std::thread mover([&] {
    for (std::uint32_t lap = 1000; !over; lap += 64)
      for (core::SubmissionLine& line : rig.server->part().ring(0))
        rig.server->store(line.sequence, lap & core::generation_mask);
  });
  rig.is_poisoned(rig.fetch(device, -1));
  over = true;
  mover.join();
}

TEST_CASE("a server that ends without enlisting an alive word or closing its devices is noticed") {
  for (core::SetState state : {core::SetState::active, core::SetState::terminated}) {
    for (bool marked : {false, true}) {
      Rig rig;
      rig.activate();
      vdset_device* const device = rig.open();
      rig.server->store(rig.server->header().set_state, static_cast<std::uint32_t>(state));
      if (marked)
        rig.server->store(rig.server->part().alive[core::primary_index].alive, port::owner_died);
      rig.server->stop();
      CHECK(rig.fetch(device, -1) == VDSET_E_ABORT);
    }
  }
}

TEST_CASE("an answer that comes after its deadline is used by the next call, not asked for again") {
  Rig rig;
  rig.server->seal_all();
  REQUIRE(rig.server->send_parts() == 0);
  rig.server->name_device();
  rig.server->configure(sound_configuration());
  std::atomic<int> asked{0};
  std::atomic<bool> slow{true};
  rig.server->answer([&](const Message& question, Message&, int&) {
    if (question.kind != MessageKind::map_pool) return;
    ++asked;
    while (slow)
      poll(nullptr, 0, 1);
  });
  vdset_device* const device = rig.open();
  rig.server->add_pool();
  rig.server->post(core::opcode_write, rig.server->handle(), 512);
  for (int i = 0; i < 3; ++i)
    CHECK(rig.fetch(device, 0) == VDSET_E_TIMEOUT);
  slow = false;
  CHECK(rig.fetch(device) == VDSET_OK);
  CHECK(asked == 1);
}

TEST_CASE("a storm of wakes for nothing is slept through") {
  Rig rig;
  rig.activate();
  vdset_device* const device = rig.open();
  std::atomic<bool> over{false};
  std::thread storm([&] {
    while (!over)
      rig.server->ring();
  });
  const std::uint32_t before = faults::uses(port::Call::futex_wait);
  CHECK(rig.fetch(device, 400'000'000) == VDSET_E_TIMEOUT);
  const std::uint32_t sleeps = faults::uses(port::Call::futex_wait) - before;
  over = true;
  storm.join();
  // 64 at once, then at most two a millisecond: the sleep that the storm ends, and the nap.
  CHECK(sleeps >= 64);
  CHECK(sleeps <= 64 + 2 * 400 + 16);
}
