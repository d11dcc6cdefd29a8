// request.cpp: ranges and contradictions.
#include "request.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace sqlcmd {

namespace {

constexpr std::int64_t block_bytes_min = 512;
constexpr std::int64_t block_bytes_max = 65536;
constexpr std::int64_t transfer_bytes_unit = 65536;
constexpr std::int64_t transfer_bytes_max = 4194304;
constexpr std::int64_t buffers_count_max = 4096;
constexpr std::size_t devices_count_max = 64;
constexpr std::uint32_t stats_default_percent = 10;
constexpr std::size_t name_chars_max = 128;
constexpr std::size_t description_chars_max = 255;

/// Bytes that begin a character of UTF-8.
std::size_t count_characters(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

class Resolver {
 public:
  Resolver(const Statement& statement, const Variables& variables, Request& out)
      : statement_(statement), variables_(variables), out_(out) {}

  std::optional<Message> run() {
    out_.verb = statement_.verb;
    out_.line = statement_.at.line;
    if (out_.is_backup() || out_.is_restore()) out_.database = text_of(statement_.database);
    for (const Value& device : statement_.devices)
      out_.devices.push_back(text_of(device));
    for (const Option& option : statement_.options)
      take(option);
    judge_devices();
    judge_contradictions();
    return wrong_;
  }

 private:
  void fail(std::int32_t number, std::string text) {
    if (!wrong_) wrong_ = error_message(number, std::move(text), statement_.at.line);
  }

  std::string text_of(const Value& value) {
    std::optional<std::string> text;
    const std::optional<Message> wrong = evaluate(value, variables_, text);
    if (wrong && !wrong_) wrong_ = wrong;
    return text.value_or("");
  }

  /// A number from `least` to `most`; says 3250 and returns `least` when it is not.
  std::int64_t number_of(const Option& option, std::int64_t least, std::int64_t most) {
    const std::string text = option.value ? text_of(*option.value) : "";
    const char* end = text.data() + text.size();
    std::int64_t number = 0;
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    const bool is_beyond = error == std::errc::result_out_of_range;
    if (!is_beyond && (error != std::errc() || stopped != end)) {
      fail(number::bad_value,
           fmt::format("'{}' is no value for {}: a whole number is.", text, option.spec->name));
      return least;
    }
    if (is_beyond || number < least || number > most) {
      fail(number::out_of_range, fmt::format("{} = {} is out of range: it goes from {} to {}.",
                                             option.spec->name, text, least, most));
      return least;
    }
    return number;
  }

  std::string limited_text(const Option& option, std::size_t most) {
    std::string text = text_of(*option.value);
    if (count_characters(text) > most) {
      fail(number::bad_value,
           fmt::format("The value of {} is longer than {} characters.", option.spec->name, most));
    }
    return text;
  }

  void take(const Option& option) {
    switch (option.spec->id) {
      case OptionId::ignored: return;
      case OptionId::refused:
        fail(number::not_supported,
             fmt::format("{} cannot be honoured here, and is not passed over in silence.",
                         option.spec->name));
        return;
      case OptionId::block_size: return take_block_size(option);
      case OptionId::max_transfer_size: return take_transfer_size(option);
      case OptionId::buffer_count:
        out_.buffers_count = static_cast<std::uint32_t>(number_of(option, 1, buffers_count_max));
        return;
      case OptionId::stats:
        out_.stats_percent = option.value ? static_cast<std::uint32_t>(number_of(option, 1, 100))
                                          : stats_default_percent;
        return;
      case OptionId::name: out_.name = limited_text(option, name_chars_max); return;
      case OptionId::media_name: out_.media_name = limited_text(option, name_chars_max); return;
      case OptionId::description:
        out_.description = limited_text(option, description_chars_max);
        return;
      case OptionId::copy_only: out_.is_copy_only = true; return;
      case OptionId::differential: out_.is_differential = true; return;
      case OptionId::compression: out_.is_compressed = true; return;
      case OptionId::checksum: out_.has_checksum = true; return;
      case OptionId::snapshot: out_.is_snapshot = true; return;
      case OptionId::file: return take_file(option);
      case OptionId::move: return take_move(option);
      case OptionId::replace: out_.replaces = true; return;
      case OptionId::recovery: has_recovery_ = true; return;
      case OptionId::no_recovery:
      case OptionId::standby: return take_no_recovery(option);
      case OptionId::stop_at:
        fail(number::not_supported,
             fmt::format("{} cannot be honoured: a backup made here holds one moment only.",
                         option.spec->name));
        return;
    }
  }

  void take_block_size(const Option& option) {
    const std::int64_t bytes = number_of(option, block_bytes_min, block_bytes_max);
    if ((bytes & (bytes - 1)) != 0) {
      fail(number::not_power_of_two, fmt::format("BLOCKSIZE = {} is not a power of two.", bytes));
    }
    out_.block_bytes = static_cast<std::uint32_t>(bytes);
    out_.has_block_bytes = true;
  }

  void take_transfer_size(const Option& option) {
    const std::int64_t bytes = number_of(option, transfer_bytes_unit, transfer_bytes_max);
    if (bytes % transfer_bytes_unit != 0) {
      fail(number::bad_value, fmt::format("MAXTRANSFERSIZE = {} is not a multiple of {}.", bytes,
                                          transfer_bytes_unit));
    }
    out_.max_transfer_bytes = static_cast<std::uint32_t>(bytes);
  }

  void take_file(const Option& option) {
    if (number_of(option, 1, 32767) != 1) {
      fail(number::not_supported,
           "FILE: virtual devices carry one backup set, so only FILE = 1 is there.");
    }
  }

  void take_move(const Option& option) {
    Move move = {text_of(*option.value), text_of(*option.second)};
    if (!move.path.starts_with("/")) {
      fail(number::bad_value,
           fmt::format("MOVE '{}': '{}' is not an absolute path.", move.logical_file, move.path));
    }
    out_.moves.push_back(std::move(move));
  }

  void take_no_recovery(const Option& option) {
    if (out_.is_backup()) {
      fail(number::not_supported,
           fmt::format("{}: a backup here does not take its database out of use.",
                       option.spec->name));
    }
    out_.recovers = false;
  }

  void judge_devices() {
    if (out_.devices.size() > devices_count_max) {
      fail(number::too_many_devices, fmt::format("{} devices are too many: {} is the most.",
                                                 out_.devices.size(), devices_count_max));
    }
    std::vector<std::string> sorted = out_.devices;
    std::sort(sorted.begin(), sorted.end());
    const auto doubled = std::adjacent_find(sorted.begin(), sorted.end());
    if (doubled != sorted.end()) {
      fail(number::bad_name, fmt::format("The device '{}' is named twice.", *doubled));
    }
    for (const std::string& device : out_.devices) {
      const bool is_good = !device.empty() && device.size() <= 255 &&
                           device.find_first_of(std::string_view("\\\0", 2)) == std::string::npos;
      if (!is_good) {
        fail(number::bad_name,
             fmt::format("'{}' cannot be a device's name: 1 to 255 bytes, no backslash.", device));
      }
    }
    const bool only_recovers = out_.is_restore() && out_.recovers;
    if (out_.devices.empty() && !only_recovers) {
      fail(number::no_device, fmt::format("{} names no device.", verb_name(out_.verb)));
    }
  }

  void judge_contradictions() {
    if (has_recovery_ && !out_.recovers) {
      fail(number::bad_value, "RECOVERY goes with neither NORECOVERY nor STANDBY.");
    }
    if (!out_.is_snapshot) return;
    if (out_.devices.size() != 1) {
      fail(number::snapshot_one_device,
           fmt::format("SNAPSHOT needs exactly one virtual device, not {}.", out_.devices.size()));
    }
    if (out_.is_differential || out_.verb == Verb::backup_log || out_.verb == Verb::restore_log) {
      fail(number::not_supported, "SNAPSHOT is for whole databases: no DIFFERENTIAL, no LOG.");
    }
  }

  const Statement& statement_;
  const Variables& variables_;
  Request& out_;
  bool has_recovery_ = false;
  std::optional<Message> wrong_;
};

}  // namespace

std::uint32_t Request::buffers_wanted() const {
  const auto devices_count = static_cast<std::uint32_t>(devices.size());
  // The server's formula, with four commands a device and a database of one volume.
  const std::uint32_t wanted = buffers_count > 0 ? buffers_count : devices_count * 5 + 2;
  // Each device has one under way and one that waits for its successor; one is being filled.
  return std::max(wanted, devices_count * 2 + 1);
}

std::optional<Message> resolve(const Statement& statement, const Variables& variables,
                               Request& out) {
  return Resolver(statement, variables, out).run();
}

std::optional<Message> evaluate(const Value& value, const Variables& variables,
                                std::optional<std::string>& out) {
  if (value.kind == ValueKind::null) {
    out.reset();
    return {};
  }
  if (value.kind != ValueKind::variable) {
    out = value.text;
    return {};
  }
  const auto found = variables.find(upper_case(value.text));
  if (found == variables.end()) {
    return error_message(number::no_variable,
                         fmt::format("The variable {} is not declared (line {}, column {}).",
                                     value.text, value.at.line, value.at.column),
                         value.at.line);
  }
  out = found->second;
  return {};
}

}  // namespace sqlcmd
