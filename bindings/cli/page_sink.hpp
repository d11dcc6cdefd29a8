// page_sink.hpp: the destination of sqlite3_backup: a VFS with one file that passes pages on.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "bytes.hpp"

namespace cli {

class PageSink {
 public:
  using Write = std::function<bool(std::uint64_t offset, ByteSpan)>;

  /// Registers a VFS with SQLite; the destructor takes it away: close connections first.
  PageSink();
  ~PageSink();
  PageSink(const PageSink&) = delete;
  PageSink& operator=(const PageSink&) = delete;

  const char* vfs_name() const;
  void expect_pages(std::uint32_t page_bytes, Write write);

  /// `write` said false.
  bool was_stopped() const;
  /// Bytes of all pages, the first included.
  std::uint64_t written_bytes() const;
  /// The first page, which is kept back: SQLite stamps it when the copy is complete. The stamp on
  /// the schema version is undone, because that number belongs to the database.
  ByteSpan first_page(std::uint32_t schema_version);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace cli
