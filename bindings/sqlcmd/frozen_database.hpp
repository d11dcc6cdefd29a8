// frozen_database.hpp: a SQLite database that nobody writes to, and whose one file holds all of it.
#pragma once
#include <cstdint>
#include <string>

#include "cli/sqlite_support.hpp"

namespace sqlcmd {

class FrozenDatabase {
 public:
  /// Opens; nothing is frozen yet. Throws cli::Failure, as all calls here.
  explicit FrozenDatabase(const std::string& path);

  /// Waits for other writers' transactions; with a write-ahead log, empties it into the file.
  void freeze();
  void thaw();

  std::uint64_t database_bytes();
  std::uint32_t page_bytes();

 private:
  bool has_log_bytes() const;

  std::string path_;
  cli::SqliteConnection connection_;
};

}  // namespace sqlcmd
