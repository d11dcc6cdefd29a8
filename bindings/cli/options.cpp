// options.cpp: the limits of sizes and counts, and how to say that one is passed.
#include "options.hpp"

#include <fmt/core.h>
#include <vdset.h>

#include <charconv>

#include "bytes.hpp"
#include "failure.hpp"
#include "stream.hpp"

namespace cli {

namespace {

constexpr std::uint32_t transfer_bytes_unit = 65536;
constexpr std::uint32_t set_name_bytes_limit = 240;  // Device names are the set's plus a number.

std::uint64_t unit_of(char suffix) {
  switch (suffix) {
    case 'k':
    case 'K': return 1024;
    case 'm':
    case 'M': return 1024 * 1024;
    default: return 0;
  }
}

}  // namespace

std::uint32_t parse_size(const std::string& text, const char* option) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, number);
  std::uint64_t unit = 1;
  if (error == std::errc() && rest + 1 == end) unit = unit_of(*rest++);
  if (error != std::errc() || rest != end || unit == 0 || number > UINT32_MAX / unit) {
    fail(ExitCode::usage, fmt::format("not a size: {}", text), option,
         "give bytes, or a number with K or M, such as 64K");
  }
  return static_cast<std::uint32_t>(number * unit);
}

std::uint32_t parse_block_size(const std::string& text) {
  const std::uint32_t bytes = parse_size(text, "--block-size");
  if (!is_power_of_two(bytes) || bytes < block_bytes_min || bytes > block_bytes_max) {
    fail(ExitCode::usage, fmt::format("block size {} is not a power of two from 512 to 64K", text),
         "--block-size", "give for example 4K");
  }
  return bytes;
}

std::uint32_t parse_max_transfer_size(const std::string& text) {
  const std::uint32_t bytes = parse_size(text, "--max-transfer-size");
  if (bytes == 0 || bytes % transfer_bytes_unit != 0 || bytes > transfer_bytes_max) {
    fail(ExitCode::usage, fmt::format("transfer size {} is not a multiple of 64K up to 4M", text),
         "--max-transfer-size", "give for example 1M");
  }
  return bytes;
}

Codec parse_compression(const std::string& text) {
  if (text == "none") return Codec::none;
  if (text == "zstd") return Codec::zstd;
  fail(ExitCode::usage, fmt::format("unknown compression: {}", text), "--compress",
       "give none or zstd");
}

bool parse_hands_over(const std::string& text) {
  if (text == "fail") return false;
  if (text == "hand-over") return true;
  fail(ExitCode::usage, fmt::format("unknown policy: {}", text), "--on-helper-death",
       "give fail or hand-over");
}

void check_devices_count(std::uint32_t devices_count) {
  if (devices_count >= 1 && devices_count <= devices_count_max) return;
  fail(ExitCode::usage, fmt::format("{} devices", devices_count), "--devices", "give 1 to 64");
}

std::uint32_t choose_buffer_count(std::uint32_t given, std::uint32_t devices_count) {
  // Four per device keep its helper busy; one each and two more let the engine fill meanwhile.
  if (given == 0) return devices_count * 4 + devices_count + 2;
  if (given >= devices_count * 2 && given <= VDSET_BUFFERS_MAX) return given;
  fail(ExitCode::usage, fmt::format("{} buffers for {} devices", given, devices_count),
       "--buffer-count",
       fmt::format("give {} (two per device) to {}", devices_count * 2, VDSET_BUFFERS_MAX));
}

std::string choose_set_name(const std::string& given) {
  if (given.empty()) return "vdset-" + uuid_text(random_uuid());
  if (given.size() <= set_name_bytes_limit && given.find('\\') == std::string::npos) return given;
  fail(ExitCode::usage, "not a name for a set", given,
       fmt::format("use up to {} bytes without backslash", set_name_bytes_limit));
}

ProgressStyle choose_progress_style(const SetOptions& options) {
  if (options.wants_json && options.wants_progress) return ProgressStyle::json_lines;
  if (options.wants_json || options.is_quiet) return ProgressStyle::silent;
  return ProgressStyle::automatic;
}

}  // namespace cli
