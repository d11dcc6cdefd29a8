// sqlite_support.cpp: opening, asking, and what to do about each of SQLite's errors.
#include "sqlite_support.hpp"

#include <fmt/core.h>

#include "failure.hpp"

namespace cli {

void fail_sqlite(int result, const std::string& doing, const std::string& path) {
  const std::string what = fmt::format("{} ({})", doing, sqlite3_errstr(result));
  switch (result & 0xFF) {
    case SQLITE_NOTADB:
      fail(ExitCode::bad_input, "not a SQLite database", path,
           "give the path of a database file (an encrypted one cannot be read)");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      fail(ExitCode::in_use, what, path,
           "wait for the other process's transaction, then run it again");
    case SQLITE_CORRUPT:
      fail(ExitCode::damaged, what, path, "check it with PRAGMA integrity_check");
    case SQLITE_FULL:
      fail(ExitCode::storage, what, path, "free some space or choose another place");
    case SQLITE_IOERR: fail(ExitCode::storage, what, path, "check the disk and the kernel log");
    case SQLITE_NOMEM: fail(ExitCode::no_memory, what, path, "free some memory, then run it again");
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      fail(ExitCode::bad_input, what, path, "check the permissions of the file and its directory");
    default: fail(ExitCode::internal, what, path, "this is a bug or a very unusual database");
  }
}

void SqliteConnection::open(const std::string& path, int flags, const char* vfs) {
  path_ = path;
  const int result = sqlite3_open_v2(path.c_str(), &connection_, flags, vfs);
  if (result != SQLITE_OK) fail_sqlite(result, "cannot open the database", path);
  sqlite3_extended_result_codes(connection_, 1);
}

void SqliteConnection::execute(const char* sql) {
  const int result = sqlite3_exec(connection_, sql, nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) fail_sqlite(result, "cannot read the database", path_);
}

std::string SqliteConnection::query_text(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  int result = sqlite3_prepare_v2(connection_, sql, -1, &statement, nullptr);
  std::string text;
  if (result == SQLITE_OK) result = sqlite3_step(statement);
  if (result == SQLITE_ROW) {
    const auto* column = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
    if (column != nullptr) text = column;
  }
  sqlite3_finalize(statement);
  if (result != SQLITE_ROW && result != SQLITE_DONE) {
    fail_sqlite(result, "cannot read the database", path_);
  }
  return text;
}

std::int64_t SqliteConnection::query_number(const char* sql) {
  const std::string text = query_text(sql);
  return text.empty() ? 0 : std::stoll(text);
}

void SqliteConnection::fail_now(const std::string& doing) {
  fail_sqlite(sqlite3_extended_errcode(connection_), doing, path_);
}

}  // namespace cli
