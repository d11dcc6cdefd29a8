// frozen_database.cpp: BEGIN IMMEDIATE keeps writers out; the checkpoint before it leaves no log.
#include "frozen_database.hpp"

#include <sys/stat.h>

#include "cli/failure.hpp"

namespace sqlcmd {

namespace {

constexpr int busy_timeout_ms = 10000;
// Between the checkpoint and the lock another writer may come in; so often in a row is unlikely.
constexpr int attempts_max = 20;

}  // namespace

FrozenDatabase::FrozenDatabase(const std::string& path) : path_(path) {
  connection_.open(path, SQLITE_OPEN_READWRITE, nullptr);
  sqlite3_busy_timeout(connection_.get(), busy_timeout_ms);
  connection_.query_number("PRAGMA schema_version");  // Plays back a journal, finds no database.
}

bool FrozenDatabase::has_log_bytes() const {
  struct stat status = {};
  return ::stat((path_ + "-wal").c_str(), &status) == 0 && status.st_size > 0;
}

void FrozenDatabase::freeze() {
  for (int attempt = 0; attempt < attempts_max; ++attempt) {
    connection_.query_text("PRAGMA wal_checkpoint(TRUNCATE)");
    connection_.execute("BEGIN IMMEDIATE");
    if (!has_log_bytes()) return;
    connection_.execute("ROLLBACK");
  }
  cli::fail(cli::ExitCode::in_use, "cannot freeze the database", path_,
            "end the transactions that read from its write-ahead log");
}

void FrozenDatabase::thaw() {
  connection_.execute("ROLLBACK");
}

std::uint64_t FrozenDatabase::database_bytes() {
  return static_cast<std::uint64_t>(connection_.query_number("PRAGMA page_count")) * page_bytes();
}

std::uint32_t FrozenDatabase::page_bytes() {
  return static_cast<std::uint32_t>(connection_.query_number("PRAGMA page_size"));
}

}  // namespace sqlcmd
