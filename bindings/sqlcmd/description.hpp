// description.hpp: what a backup says about itself, in the first block of every device.
// Lines of key=value; %XX for bytes that would break a line. Whatever reads it gets hostile bytes.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sqlcmd {

inline constexpr std::size_t described_text_bytes_max = 512;

enum class BackupType : char { full = 'D', differential = 'I', log = 'L' };

struct Description {
  std::string database;
  std::string logical_file;
  std::string physical_file;
  BackupType type = BackupType::full;
  std::string name;
  std::string text;
  std::string media_name;
  std::string server;
  std::int64_t begun_at = 0;  // Seconds since 1970.
  std::uint32_t max_transfer_bytes = 0;
  bool is_copy_only = false;
  bool is_snapshot = false;
  bool has_checksum = false;
  bool is_compressed = false;  // Asked for; the stream itself is as it is.
};

/// Exactly cli::description_payload_bytes.
std::vector<std::uint8_t> encode_description(const Description& description);

/// False when these bytes are no description.
bool decode_description(std::span<const std::uint8_t> bytes, Description& out);

}  // namespace sqlcmd
