// tests/unit/test_layout.cpp
// Goal: core/layout.hpp is docs/format.md.
// Method: the numbers below were copied from the document by hand, none from the header; beside
// them the members that the header gives those names. Sizes likewise, and the fixed places of part
// S.
#include "core/layout.hpp"
#include <cstddef>
#include "core/region.hpp"
#include "tests/unit/support.hpp"

using namespace vdset::core;

namespace {

struct Field {
  const char* name;
  std::size_t documented_offset;
  std::size_t documented_bytes;
  std::size_t offset;
  std::size_t bytes;
};

#define FIELD(documented_offset, documented_bytes, type, member) \
  { #type "::" #member, documented_offset, documented_bytes, offsetof(type, member), \
    sizeof(type::member) }

// docs/format.md, "Header, at 0" and "State, at 256".
const Field header_fields[] = {
    FIELD(0, 8, ServerHeader, magic),
    FIELD(8, 4, ServerHeader, layout_version),
    FIELD(12, 4, ServerHeader, byte_order),
    FIELD(16, 16, ServerHeader, uuid),
    FIELD(32, 4, ServerHeader, s_bytes),
    FIELD(36, 4, ServerHeader, page_bytes),
    FIELD(40, 4, ServerHeader, device_count),
    FIELD(44, 4, ServerHeader, queue_depth),
    FIELD(48, 4, ServerHeader, options),
    FIELD(52, 4, ServerHeader, salt),
    FIELD(56, 4, ServerHeader, rows_offset),
    FIELD(60, 4, ServerHeader, lines_offset),
    FIELD(64, 4, ServerHeader, alive_offset),
    FIELD(256, 4, ServerHeader, set_state),
    FIELD(320, 44, ServerHeader, configuration),
    FIELD(364, 4, ServerHeader, index_bits),
    FIELD(384, 4, ServerHeader, pool_count),
    FIELD(448, 4, ServerHeader, abort_record),
    FIELD(452, 4, ServerHeader, abort_role),
    FIELD(456, 4, ServerHeader, abort_pid),
    FIELD(460, 4, ServerHeader, abort_call),
    FIELD(464, 4, ServerHeader, abort_code),
    FIELD(468, 4, ServerHeader, abort_text_bytes),
    FIELD(512, 128, ServerHeader, abort_text),
    FIELD(640, 512, ServerHeader, pools),
};

// "Pool row", "Participant row", "Device row".
const Field row_fields[] = {
    FIELD(0, 4, PoolRow, first_slot),
    FIELD(4, 4, PoolRow, slot_count),
    FIELD(8, 4, PoolRow, stride_lines),
    FIELD(12, 4, PoolRow, data_offset),
    FIELD(16, 4, PoolRow, data_bytes),
    FIELD(20, 4, PoolRow, alignment),
    FIELD(24, 4, PoolRow, pool_lines),
    FIELD(0, 4, ParticipantRow, participant),
    FIELD(4, 4, ParticipantRow, pid),
    FIELD(0, 4, DeviceRow, device),
    FIELD(4, 4, DeviceRow, name_bytes),
    FIELD(64, 256, DeviceRow, name),
};

// "Submission line", "Part C", "Part W".
const Field line_fields[] = {
    FIELD(0, 4, SubmissionLine, sequence),
    FIELD(4, 4, SubmissionLine, opcode),
    FIELD(8, 4, SubmissionLine, handle),
    FIELD(12, 4, SubmissionLine, size),
    FIELD(16, 4, SubmissionLine, position_low),
    FIELD(20, 4, SubmissionLine, position_high),
    FIELD(0, 4, CommandLine, command),
    FIELD(0, 4, CompletionLine, finished),
    FIELD(4, 4, CompletionLine, code),
    FIELD(8, 4, CompletionLine, bytes),
    FIELD(12, 4, CompletionLine, position_low),
    FIELD(16, 4, CompletionLine, position_high),
    FIELD(0, 4, ClientHeader, gate),
    FIELD(0, 64, WakeWords, abort),
    FIELD(64, 64, WakeWords, agent),
    FIELD(128, 64, WakeWords, set),
    FIELD(192, 16, WakeWords, primary_alive),
    FIELD(0x400, 64 * 64, WakeWords, devices),
    FIELD(0, 4, EventLine, event),
    FIELD(0, 4, AliveWord, alive),
};

void check_fields(gsl::span<const Field> fields) {
  for (const Field& field : fields) {
    CAPTURE(field.name);
    CHECK(field.offset == field.documented_offset);
    CHECK(field.bytes == field.documented_bytes);
  }
}

}  // namespace

TEST_CASE("every field of the header lies where the document says") {
  check_fields(header_fields);
}

TEST_CASE("every field of the rows lies where the document says") {
  check_fields(row_fields);
}

TEST_CASE("every field of the lines and of part W lies where the document says") {
  check_fields(line_fields);
}

TEST_CASE("rows and lines have the documented sizes") {
  CHECK(sizeof(ServerHeader) == 0x1000);
  CHECK(sizeof(PoolRow) == 64);
  CHECK(sizeof(ParticipantRow) == 16);
  CHECK(sizeof(DeviceRow) == 512);
  CHECK(sizeof(SubmissionLine) == 64);
  CHECK(sizeof(CompletionLine) == 64);
  CHECK(sizeof(ClientHeader) == 64);
  CHECK(sizeof(AliveWord) == 16);
  CHECK(sizeof(EventLine) == 64);
  CHECK(sizeof(WakeWords) <= 0x2000);
  CHECK(alignof(ServerHeader) == 4);
  CHECK(alignof(CompletionLine) == 4);
}

TEST_CASE("the fixed places and constants are the document's") {
  CHECK(magic_0 == 0x65736476);
  CHECK(magic_1 == 0x53000074);
  CHECK(layout_version == 0x00020000);
  CHECK(byte_order_mark == 0x01020304);
  CHECK(participants_offset == 0x1000);
  CHECK(slots_offset == 0x2000);
  CHECK(rows_offset == 0x6000);
  CHECK(alive_bytes == 0x10000);
  CHECK(wake_bytes == 0x2000);
  CHECK(option_lease == 1);
  CHECK(option_hand_over == 2);
  CHECK(option_data_read_only == 4);
  CHECK(options_known == 7);
}

TEST_CASE("on this machine the magic reads vdset, 0, 0, S") {
  const Word magic[2] = {{magic_0}, {magic_1}};
  CHECK(std::memcmp(magic, "vdset\0\0S", 8) == 0);
}

TEST_CASE("the configuration has VDI's eleven numbers in VDI's order") {
  CHECK(configuration_fields == 11);
  CHECK(sizeof(Configuration) == 44);
  CHECK(offsetof(Configuration, device_count) == 0);
  CHECK(offsetof(Configuration, features) == 4);
  CHECK(offsetof(Configuration, prefix_zone_bytes) == 8);
  CHECK(offsetof(Configuration, alignment_bytes) == 12);
  CHECK(offsetof(Configuration, soft_file_mark_block_bytes) == 16);
  CHECK(offsetof(Configuration, eom_warning_bytes) == 20);
  CHECK(offsetof(Configuration, server_timeout_ms) == 24);
  CHECK(offsetof(Configuration, block_bytes) == 28);
  CHECK(offsetof(Configuration, max_io_depth) == 32);
  CHECK(offsetof(Configuration, max_transfer_bytes) == 36);
  CHECK(offsetof(Configuration, buffer_area_bytes) == 40);
}

TEST_CASE("the words with readers of their own stand on lines of their own") {
  CHECK(offsetof(ServerHeader, configuration) / 64 != offsetof(ServerHeader, set_state) / 64);
  CHECK(offsetof(ServerHeader, pool_count) / 64 != offsetof(ServerHeader, index_bits) / 64);
  CHECK(offsetof(ServerHeader, abort_record) / 64 != offsetof(ServerHeader, pool_count) / 64);
  CHECK(offsetof(WakeWords, agent) / 64 != offsetof(WakeWords, abort) / 64);
  CHECK(offsetof(WakeWords, set) / 64 != offsetof(WakeWords, agent) / 64);
  CHECK(offsetof(WakeWords, primary_alive) / 64 != offsetof(WakeWords, set) / 64);
}
