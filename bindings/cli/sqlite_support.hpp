// sqlite_support.hpp: a SQLite connection that closes itself, and SQLite's errors in our words.
#pragma once
#include <sqlite3.h>

#include <cstdint>
#include <string>

namespace cli {

/// Throws Failure for a result code of SQLite.
[[noreturn]] void fail_sqlite(int result, const std::string& doing, const std::string& path);

class SqliteConnection {
 public:
  SqliteConnection() = default;
  ~SqliteConnection() { sqlite3_close_v2(connection_); }
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  /// `vfs` may be NULL. Throws Failure, like all calls here.
  void open(const std::string& path, int flags, const char* vfs);
  void execute(const char* sql);
  std::int64_t query_number(const char* sql);
  /// The first column of the first row; "" without a row.
  std::string query_text(const char* sql);
  [[noreturn]] void fail_now(const std::string& doing);
  sqlite3* get() const { return connection_; }

 private:
  sqlite3* connection_ = nullptr;
  std::string path_;
};

}  // namespace cli
