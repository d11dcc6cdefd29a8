// options.hpp: judging what the user gave: sizes, counts, names.
#pragma once
#include <cstdint>
#include <string>

#include "codec.hpp"
#include "commands.hpp"
#include "progress.hpp"

namespace cli {

/// "4096", "64K", "1M": bytes. Throws Failure (usage) naming the option.
std::uint32_t parse_size(const std::string& text, const char* option);

std::uint32_t parse_block_size(const std::string& text);
std::uint32_t parse_max_transfer_size(const std::string& text);
Codec parse_compression(const std::string& text);
bool parse_hands_over(const std::string& text);

void check_devices_count(std::uint32_t devices_count);
/// The given count or the default, judged: two per device at least, 4096 at most.
std::uint32_t choose_buffer_count(std::uint32_t given, std::uint32_t devices_count);

/// The given name, or one that nobody else has.
std::string choose_set_name(const std::string& given);

ProgressStyle choose_progress_style(const SetOptions& options);

}  // namespace cli
