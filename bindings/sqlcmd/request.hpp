// request.hpp: a BACKUP or RESTORE statement with its variables filled in and its numbers checked.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tsql.hpp"

namespace sqlcmd {

/// Names in upper case, with their @. A value without text is NULL.
using Variables = std::map<std::string, std::optional<std::string>>;

inline constexpr std::uint32_t block_bytes_default = 512;
inline constexpr std::uint32_t transfer_bytes_default = 65536;

struct Move {
  std::string logical_file;
  std::string path;
};

struct Request {
  Verb verb = Verb::backup_database;
  std::uint32_t line = 1;
  std::string database;
  std::vector<std::string> devices;
  std::uint32_t block_bytes = block_bytes_default;
  bool has_block_bytes = false;
  std::uint32_t max_transfer_bytes = transfer_bytes_default;
  std::uint32_t buffers_count = 0;  // 0: not said.
  std::uint32_t stats_percent = 0;  // 0: no percentages.
  std::string name;
  std::string description;
  std::string media_name;
  bool is_copy_only = false;
  bool is_differential = false;
  bool is_compressed = false;
  bool has_checksum = false;
  bool is_snapshot = false;
  bool replaces = false;
  bool recovers = true;  // False: NORECOVERY or STANDBY.
  std::vector<Move> moves;

  bool is_backup() const { return verb == Verb::backup_database || verb == Verb::backup_log; }
  bool is_restore() const { return verb == Verb::restore_database || verb == Verb::restore_log; }
  /// The buffers to ask for: what was said, and never less than the stream needs.
  std::uint32_t buffers_wanted() const;
};

/// Fills `out`; a message when the statement cannot be carried out as it is.
std::optional<Message> resolve(const Statement& statement, const Variables& variables,
                               Request& out);

/// The value as text; a message when a variable is unknown.
std::optional<Message> evaluate(const Value& value, const Variables& variables,
                                std::optional<std::string>& out);

}  // namespace sqlcmd
