// message.hpp: what a statement says: the server's numbers and severities, our words. Everything
// that a user can read comes from the functions here or is put together where it is known best.
#pragma once
#include <cstdint>
#include <string>

#include "lexer.hpp"

namespace sqlcmd {

struct Message {
  std::int32_t number = 0;
  std::int32_t severity = 0;  // Above 10: an error.
  std::string text;
  std::uint32_t line = 1;  // Of its batch.
  bool is_print = false;   // The script's own text, of as many lines as it likes.

  bool is_error() const { return severity > 10; }
};

namespace number {
inline constexpr std::int32_t syntax = 102, no_variable = 137, not_an_option = 155,
                              no_database = 911, is_restoring = 927, finished_badly = 3013,
                              finished = 3014, file_of_another = 1834, failed_for_the_log = 3041,
                              in_use = 3101, not_restoring = 3117, wrong_family_count = 3132,
                              recovered_already = 3153, database_in_the_way = 3159,
                              io_frozen = 3197, io_resumed = 3198, cannot_open_device = 3201,
                              write_failed = 3202, read_failed = 3203, aborted = 3204,
                              too_many_devices = 3205, no_device = 3207, unexpected_end = 3208,
                              percent = 3211, bad_value = 3217, doubled_family = 3227,
                              no_such_file = 3234, bad_family = 3241, not_our_format = 3242,
                              out_of_range = 3250, not_power_of_two = 3253, unrelated_family = 3258,
                              unusable_devices = 3261, is_valid = 3262, io_error = 3271,
                              not_a_snapshot = 3276, snapshot_one_device = 3277,
                              other_block_size = 3285, processed = 4035, device_failure = 18210;
// Said by this program alone: numbers that a server leaves to its users.
inline constexpr std::int32_t database_unusable = 50001, not_supported = 50002, bad_name = 50003,
                              no_directory = 50004, is_a_snapshot = 50005, internal = 50006;
}  // namespace number

inline constexpr std::int32_t severity_info = 0;
inline constexpr std::int32_t severity_note = 10;
inline constexpr std::int32_t severity_syntax = 15;
inline constexpr std::int32_t severity_error = 16;

/// An error of the usual severity.
inline Message error_message(std::int32_t number, std::string text, std::uint32_t line) {
  const bool is_syntax =
      number == number::syntax || number == number::not_an_option || number == number::no_variable;
  return {number, is_syntax ? severity_syntax : severity_error, std::move(text), line};
}

}  // namespace sqlcmd
