// snapshot.hpp: one consistent copy of a SQLite database, streamed through SQLite's own interfaces.
//
// A read transaction fixes the snapshot; sqlite3_backup copies its pages to a destination whose VFS
// keeps nothing and passes each page on. (Debian's SQLite has no sqlite_dbpage.) In WAL mode others
// go on writing meanwhile; with a rollback journal they wait, because the transaction holds the
// SHARED lock.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "bytes.hpp"

namespace cli {

class Snapshot {
 public:
  /// Opens the database and fixes the snapshot. Throws Failure.
  explicit Snapshot(const std::string& path);
  ~Snapshot();
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  std::uint64_t database_bytes() const;
  std::uint32_t page_bytes() const;
  /// True in WAL mode: writers go on. False: they wait for the end of the snapshot.
  bool writers_go_on() const;

  /// Passes every page on, each exactly once, mostly in ascending order, the first page last.
  /// `write` returns false to stop; then stream returns false. Throws Failure.
  bool stream(const std::function<bool(std::uint64_t offset, ByteSpan)>& write);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cli
