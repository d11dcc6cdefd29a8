// fuzz/fuzz_client.cpp: a server that says and writes what it likes, against a real primary client:
// parts with any words changed before and after they are passed, answers with any fields, commands
// of any content. Oracle: every call ends with a code of the header; the buffer of a delivered
// command is one of the set's, as large as it says, and can be touched; so is what a handle maps
// to.
#define DOCTEST_CONFIG_IMPLEMENT
#include "fuzz/fuzz.hpp"
#include "tests/hostile/impostor.hpp"
#include "tests/support/options.hpp"

using namespace vdset;
using namespace vdset::hostile;
using vdset::fuzz::Input;

namespace {

fuzz::Goal opened_anyway("a device that is opened over what was changed");
fuzz::Goal lent("a command with a buffer");
fuzz::Goal bare("a command without a buffer");
fuzz::Goal completed("a command that is completed");
fuzz::Goal by_handle("a buffer that is mapped by its handle");
fuzz::Goal refused_device("a device that is not opened");
fuzz::Goal poisoned("a set that is poisoned while its device is open");

constexpr std::int64_t moment_ns = 10'000'000;
constexpr std::uint32_t commands_max = 48;

/// The impostor's own steps succeed, or the harness is wrong.
struct Asserts {
  doctest::Context context;
  Asserts() {
    context.setAsDefaultForAssertsOutOfTestCases();
    context.setAssertHandler([](const doctest::AssertData& data) {
      if (data.m_failed) fuzz::broken(data.m_expr, data.m_file, data.m_line);
    });
  }
};

bool is_code(std::int32_t result) {
  return result == VDSET_OK || std::strcmp(vdset_error_name(result), "unknown") != 0;
}

std::uint32_t value_of(Input& in, std::uint32_t before) {
  switch (in.below(4)) {
    case 0: return in.word();
    case 1: return in.byte();
    case 2: return before ^ 1u << in.below(32);
    default: return before + in.byte() - 128;
  }
}

void change(const Part& part, std::uint64_t limit, Input& in) {
  const std::uint64_t words = std::min(part.map.bytes, limit) / 4;
  if (words == 0) return;
  const std::uint64_t at = (in.flip() ? in.byte() : in.word() & 0xffffu) % words;
  auto* const word = reinterpret_cast<std::uint32_t*>(part.map.base) + at;
  __atomic_store_n(word, value_of(in, __atomic_load_n(word, __ATOMIC_RELAXED)), __ATOMIC_RELAXED);
}

void change_some(Server& server, Input& in, std::uint32_t most) {
  for (std::uint32_t changes = in.below(most); changes > 0; --changes) {
    switch (in.below(4)) {
      case 0: change(server.w, 8192, in); break;
      case 1: change(server.c, core::line_bytes * (1 + 2 * server.g.queue_depth), in); break;
      default: change(server.s, server.s.map.bytes, in);
    }
  }
}

/// What is to be done to each answer, chosen ahead: answers are made in a thread of their own.
struct Spoiling {
  std::uint32_t fields[6];
  std::uint8_t which, swap;

  explicit Spoiling(Input& in) {
    which = in.flip() ? 0 : in.byte();
    swap = in.byte();
    for (std::uint32_t& field : fields)
      field = in.flip() ? in.word() : in.byte();
  }
  void spoil(const Server& server, Message& answer, int& descriptor) const {
    if ((which & 1) != 0) answer.a = fields[0];
    if ((which & 2) != 0) answer.b = fields[1];
    if ((which & 4) != 0) answer.c = fields[2];
    if ((which & 8) != 0) answer.kind = static_cast<MessageKind>(fields[3]);
    if ((which & 16) != 0) answer.result = static_cast<std::int32_t>(fields[4]);
    if ((which & 32) != 0) answer.text_bytes = fields[5];
    if ((which & 64) != 0) {
      const int others[] = {server.s.descriptor, server.w.descriptor, server.c.descriptor,
                            server.d.descriptor, -1};
      descriptor = others[swap % 5];
    }
    // "Not yet named" is waited for: ten seconds.
    if (answer.result == VDSET_E_BUSY) answer.result = VDSET_E_OPEN;
  }
};

void touch(const void* buffer, std::uint32_t bytes) {
  const auto* const at = static_cast<const volatile unsigned char*>(buffer);
  static_cast<void>(at[0]);
  static_cast<void>(at[bytes - 1]);
}

void judge_buffer(vdset_set* set, const void* buffer, std::uint32_t least) {
  vdset_buffer about{};
  about.struct_bytes = sizeof about;
  VDSET_HOLDS(vdset_set_describe_buffer(set, buffer, &about) == VDSET_OK);
  VDSET_HOLDS(about.data_bytes >= least && about.data_bytes <= VDSET_TRANSFER_BYTES_MAX);
  touch(buffer, about.data_bytes);
}

void fetch_and_complete(vdset_set* set, vdset_device* device, Input& in) {
  const vdset_command* command = nullptr;
  const std::int32_t result = vdset_device_get_command(device, 0, &command);
  VDSET_HOLDS(is_code(result) && (result == VDSET_OK) == (command != nullptr));
  if (result != VDSET_OK) return;
  if (command->buffer != nullptr) {
    VDSET_HOLDS(command->size >= 0);
    judge_buffer(set, command->buffer, static_cast<std::uint32_t>(command->size));
    lent.reach();
  } else {
    VDSET_HOLDS(!core::moves_data(command->code) && command->buffer_handle == 0);
    bare.reach();
  }
  if (!in.flip()) return;
  const std::int32_t ended = vdset_device_complete_command(device, command, 0, in.word(), 0);
  VDSET_HOLDS(is_code(ended));
  if (ended == VDSET_OK) completed.reach();
}

void live(Server& server, vdset_set* set, vdset_device* device, Input& in) {
  std::uint32_t lap = 1;
  for (std::uint32_t i = 0; i < commands_max && in.left() > 0; ++i) {
    switch (in.below(4)) {
      case 0: {
        const std::uint32_t handle = in.flip() ? server.handle() : value_of(in, server.handle());
        const std::uint32_t opcode = in.flip() ? in.below(16) : in.word();
        server.post(opcode, handle, in.flip() ? in.word() : in.byte() * 512u, lap);
        lap += in.below(3);
        break;
      }
      case 1: change_some(server, in, 4); break;
      case 2: {
        void* there = nullptr;
        const std::uint32_t handle = value_of(in, server.handle());
        const std::int32_t mapped = vdset_set_map_buffer_handle(set, handle, &there);
        VDSET_HOLDS(is_code(mapped));
        if (mapped != VDSET_OK) break;
        judge_buffer(set, there, 1);
        by_handle.reach();
        break;
      }
      default: fetch_and_complete(set, device, in);
    }
  }
}

std::uint32_t reason_of(vdset_set* set) {
  vdset_abort_reason reason{};
  reason.struct_bytes = sizeof reason;
  VDSET_HOLDS(is_code(vdset_set_get_abort_reason(set, &reason)));
  return reason.call;
}

void meet(Server& server, vdset_set* set, Input& in) {
  const Spoiling answers(in);
  change_some(server, in, 3);
  server.seal_all();
  if (server.send_parts(in.below(8) == 0 ? in.word() : core::primary_index) != 0) return;
  server.add_pool();
  server.name_device();
  core::Configuration agreed = sound_configuration();
  if (in.flip()) agreed.block_bytes = value_of(in, agreed.block_bytes);
  if (in.below(4) == 0) agreed.device_count = value_of(in, 1);
  server.configure(agreed, in.below(4) == 0 ? in.word() : 4);
  server.answer([&server, answers](const Message&, Message& answer, int& descriptor) {
    answers.spoil(server, answer, descriptor);
  });
  change_some(server, in, 3);
  vdset_config config{};
  config.struct_bytes = sizeof config;
  const std::int32_t configured = vdset_set_get_configuration(set, moment_ns, &config);
  VDSET_HOLDS(is_code(configured));
  vdset_device* device = nullptr;
  const std::int32_t opened = vdset_set_open_device(set, "set", &device);
  VDSET_HOLDS(is_code(opened) && (opened == VDSET_OK) == (device != nullptr));
  if (opened == VDSET_OK) {
    opened_anyway.reach();
    live(server, set, device, in);
    if (reason_of(set) == VDSET_CALL_POISONED) poisoned.reach();
  } else if (configured == VDSET_OK) {
    refused_device.reach();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Asserts asserts;
  Input in(data, size);
  const Scratch place;
  auto config = support::wish_for(1);
  auto options = support::meeting_in<vdset_set_options>(place.path());
  options.data_read_only = in.below(4) == 0 ? 1 : 0;
  options.handle_lifetime = in.below(2);
  vdset_set* set = nullptr;
  VDSET_HOLDS(vdset_set_create("set", &config, &options, &set) == VDSET_OK);
  {
    Server server(place, "set");
    meet(server, set, in);
    reason_of(set);
    VDSET_HOLDS(is_code(vdset_set_close(set)));
  }
  return 0;
}
