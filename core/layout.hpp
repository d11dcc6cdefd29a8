// core/layout.hpp: the structs that cross a process boundary; docs/format.md in C++. Layer core:
// freestanding.
// 32-bit fields only, no padding, every offset asserted. Fields never move; new ones take bytes
// from `reserved`.
#pragma once
#include <cstddef>
#include <cstdint>
#include <gsl/span>
#include <type_traits>
#include "core/atomics.hpp"
#include "core/config.hpp"

namespace vdset::core {

inline constexpr std::uint32_t magic_0 = 0x65736476u;  // "vdse" on a little-endian machine.
inline constexpr std::uint32_t magic_1 = 0x53000074u;  // "t", 0, 0, "S".
inline constexpr std::uint32_t layout_version = 0x00020000u;
inline constexpr std::uint32_t byte_order_mark = 0x01020304u;

inline constexpr std::uint32_t option_lease = 1u;
inline constexpr std::uint32_t option_hand_over = 2u;
inline constexpr std::uint32_t option_data_read_only = 4u;
inline constexpr std::uint32_t options_known = 7u;

/// VDI's VDConfig, in its order. Used in shared memory and in messages.
struct Configuration {
  std::uint32_t device_count;
  std::uint32_t features;
  std::uint32_t prefix_zone_bytes;
  std::uint32_t alignment_bytes;
  std::uint32_t soft_file_mark_block_bytes;
  std::uint32_t eom_warning_bytes;
  std::uint32_t server_timeout_ms;
  std::uint32_t block_bytes;
  std::uint32_t max_io_depth;
  std::uint32_t max_transfer_bytes;
  std::uint32_t buffer_area_bytes;
};
inline constexpr std::uint32_t configuration_fields = 11;
static_assert(sizeof(Configuration) == 4 * configuration_fields);

struct PoolRow {
  Word first_slot;    // +0
  Word slot_count;    // +4
  Word stride_lines;  // +8
  Word data_offset;   // +12
  Word data_bytes;    // +16
  Word alignment;     // +20
  Word pool_lines;    // +24
  Word reserved[9];
};
static_assert(sizeof(PoolRow) == 64 && offsetof(PoolRow, pool_lines) == 24);

/// First page of S. The server alone writes it.
struct ServerHeader {
  Word magic[2];        // +0
  Word layout_version;  // +8
  Word byte_order;      // +12
  Word uuid[4];         // +16
  Word s_bytes;         // +32
  Word page_bytes;      // +36
  Word device_count;    // +40
  Word queue_depth;     // +44
  Word options;         // +48
  Word salt;            // +52
  Word rows_offset;     // +56
  Word lines_offset;    // +60
  Word alive_offset;    // +64
  Word reserved_0[47];
  Word set_state;  // +256, a line of its own
  Word reserved_1[15];
  Word configuration[configuration_fields];  // +320, valid from INITIALIZING
  Word index_bits;                           // +364
  Word reserved_2[4];
  Word pool_count;  // +384, a line of its own
  Word reserved_3[15];
  Word abort_record;      // +448
  Word abort_role;        // +452
  Word abort_pid;         // +456
  Word abort_call;        // +460
  Word abort_code;        // +464
  Word abort_text_bytes;  // +468
  Word reserved_4[10];
  Word abort_text[reason_text_bytes_max / 4];  // +512
  PoolRow pools[pools_max];                    // +640
  Word reserved_5[736];
};
static_assert(sizeof(ServerHeader) == 4096);
static_assert(offsetof(ServerHeader, s_bytes) == 32 && offsetof(ServerHeader, salt) == 52);
static_assert(offsetof(ServerHeader, set_state) == 256 &&
              offsetof(ServerHeader, configuration) == 320);
static_assert(offsetof(ServerHeader, index_bits) == 364 &&
              offsetof(ServerHeader, pool_count) == 384);
static_assert(offsetof(ServerHeader, abort_record) == 448 &&
              offsetof(ServerHeader, abort_text) == 512);
static_assert(offsetof(ServerHeader, pools) == 640);

struct ParticipantRow {
  Word participant;  // +0
  Word pid;          // +4
  Word reserved[2];
};
static_assert(sizeof(ParticipantRow) == 16);

struct DeviceRow {
  Word device;      // +0
  Word name_bytes;  // +4
  Word reserved_0[14];
  Word name[64];  // +64
  Word reserved_1[48];
};
static_assert(sizeof(DeviceRow) == 512 && offsetof(DeviceRow, name) == 64);

/// Server to client: one command. Stable from the sequence store until the command is final.
struct SubmissionLine {
  Word sequence;       // +0
  Word opcode;         // +4
  Word handle;         // +8
  Word size;           // +12
  Word position_low;   // +16
  Word position_high;  // +20
  Word reserved[10];
};
static_assert(sizeof(SubmissionLine) == line_bytes &&
              offsetof(SubmissionLine, position_high) == 20);

/// Client to server: what came of a command. The line that the server looks at while it waits.
struct CompletionLine {
  Word finished;       // +0: the lap of the last command that is final
  Word code;           // +4
  Word bytes;          // +8
  Word position_low;   // +12
  Word position_high;  // +16
  Word reserved[11];
};
static_assert(sizeof(CompletionLine) == line_bytes &&
              offsetof(CompletionLine, position_high) == 16);

/// Who has the command. The server touches it only to take a command back.
struct CommandLine {
  Word command;  // +0
  Word reserved[15];
};
static_assert(sizeof(CommandLine) == line_bytes);

/// The lines of a part C, two for each place of the ring.
struct ClientLines {
  gsl::span<CompletionLine> completions;
  gsl::span<CommandLine> commands;
};

struct AliveWord {
  Word alive;  // +0: thread id | FUTEX_WAITERS, set to FUTEX_OWNER_DIED by the kernel.
  Word reserved[3];
};
static_assert(sizeof(AliveWord) == 16);

/// First line of a part C.
struct ClientHeader {
  Word gate;     // +0: gate_open or gate_io_error.
  Word evicted;  // +4: not 0: the server has taken the device back; this part leads nowhere.
  Word reserved[14];
};
static_assert(sizeof(ClientHeader) == line_bytes);

struct EventLine {
  Word event;  // +0
  Word reserved[15];
};
static_assert(sizeof(EventLine) == line_bytes);

/// Part W.
struct WakeWords {
  EventLine abort;          // +0: the abort request, not an event
  EventLine agent;          // +64
  EventLine set;            // +128
  AliveWord primary_alive;  // +192
  Word reserved[204];
  EventLine devices[devices_max];  // +0x400
};
static_assert(offsetof(WakeWords, agent) == 64 && offsetof(WakeWords, primary_alive) == 192);
static_assert(offsetof(WakeWords, devices) == 0x400 && sizeof(WakeWords) <= 0x2000);

static_assert(std::has_unique_object_representations_v<ServerHeader> &&
                  std::has_unique_object_representations_v<DeviceRow> &&
                  std::has_unique_object_representations_v<SubmissionLine> &&
                  std::has_unique_object_representations_v<CompletionLine> &&
                  std::has_unique_object_representations_v<WakeWords>,
              "no padding in shared memory");

inline constexpr std::uint32_t participants_offset = 0x1000;
inline constexpr std::uint32_t slots_offset = 0x2000;
inline constexpr std::uint32_t rows_offset = 0x6000;
inline constexpr std::uint32_t alive_bytes = 0x10000;  // Maps alone whatever the page size.
inline constexpr std::uint32_t wake_bytes = 0x2000;
static_assert(slots_offset + slots_max * 4 == rows_offset);

}  // namespace vdset::core
