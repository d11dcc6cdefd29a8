// snapshot.cpp: the source connection and its read transaction; the copy is in page_sink.cpp.
#include "snapshot.hpp"

#include <fmt/core.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "failure.hpp"
#include "page_sink.hpp"
#include "sqlite_support.hpp"

namespace cli {

namespace {

constexpr int busy_timeout_ms = 10000;
// The page caches are what could grow. The source keeps SQLite's default, 2 MiB: a PRAGMA to change
// it would parse the schema, and memory for that grows with the database.
constexpr const char* sink_settings =
    "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-512;";
constexpr int pages_per_step = 1024;
constexpr std::size_t file_head_bytes = 100;
constexpr std::uint64_t lock_byte_offset = 0x40000000;  // SQLite keeps this page out of use.

void check_is_database(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) fail_errno(errno, "cannot open the database", path);
  if (!S_ISREG(status.st_mode)) {
    fail(ExitCode::bad_input, "not a regular file", path, "give the path of a database file");
  }
}

}  // namespace

struct Snapshot::State {
  std::string path;
  SqliteConnection source;
  std::uint32_t page_bytes = 0;
  std::uint64_t pages_count = 0;
  std::uint32_t schema_version = 0;
  bool is_wal = false;
  bool is_empty = false;  // A file of no bytes is a database without pages.
  // With a rollback journal: the first page as it is in the file, since SQLite's copy stamps its
  // own.
  std::vector<std::uint8_t> first_page;

  void open();
  void read_head();
  void count_pages();
  std::uint64_t expected_bytes() const;
};

void Snapshot::State::open() {
  check_is_database(path);
  source.open(path, SQLITE_OPEN_READWRITE, nullptr);
  sqlite3_busy_timeout(source.get(), busy_timeout_ms);
  source.execute("BEGIN");
  // The first read fixes the snapshot. These two do not parse the schema either.
  schema_version = static_cast<std::uint32_t>(source.query_number("PRAGMA schema_version"));
  page_bytes = static_cast<std::uint32_t>(source.query_number("PRAGMA page_size"));
  read_head();
}

void Snapshot::State::read_head() {
  sqlite3_file* file = nullptr;
  sqlite3_file_control(source.get(), "main", SQLITE_FCNTL_FILE_POINTER, &file);
  std::uint8_t head[file_head_bytes] = {};
  sqlite3_int64 file_bytes = 0;
  if (file == nullptr || file->pMethods->xFileSize(file, &file_bytes) != SQLITE_OK) {
    fail(ExitCode::internal, "SQLite shows no file", path, "this is a bug");
  }
  is_empty = file_bytes == 0;
  if (is_empty) return;
  if (file->pMethods->xRead(file, head, file_head_bytes, 0) != SQLITE_OK) {
    fail_errno(EIO, "cannot read the database's head", path);
  }
  constexpr int read_version_offset = 19;
  is_wal = head[read_version_offset] == 2;
  if (is_wal) return;
  // Nobody can write while the transaction holds its SHARED lock, so the file is the snapshot.
  first_page.resize(page_bytes);
  if (file->pMethods->xRead(file, first_page.data(), static_cast<int>(page_bytes), 0) !=
      SQLITE_OK) {
    fail_errno(EIO, "cannot read the database's first page", path);
  }
}

std::uint64_t Snapshot::State::expected_bytes() const {
  const std::uint64_t database_bytes = pages_count * page_bytes;
  return database_bytes > lock_byte_offset ? database_bytes - page_bytes : database_bytes;
}

void Snapshot::State::count_pages() {
  // PRAGMA page_count would parse the schema; an empty step of a copy does not.
  PageSink nowhere;
  SqliteConnection target;
  target.open("count", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nowhere.vfs_name());
  target.execute(sink_settings);
  sqlite3_backup* copy = sqlite3_backup_init(target.get(), "main", source.get(), "main");
  if (copy == nullptr) target.fail_now("cannot begin to copy");
  const int result = sqlite3_backup_step(copy, 0);
  pages_count = static_cast<std::uint64_t>(sqlite3_backup_pagecount(copy));
  sqlite3_backup_finish(copy);
  if (result != SQLITE_OK && result != SQLITE_DONE)
    fail_sqlite(result, "cannot begin to copy", path);
}

Snapshot::Snapshot(const std::string& path) : state_(std::make_unique<State>()) {
  state_->path = path;
  state_->open();
  if (!state_->is_empty) state_->count_pages();
}

Snapshot::~Snapshot() = default;

std::uint64_t Snapshot::database_bytes() const {
  return state_->pages_count * state_->page_bytes;
}

std::uint32_t Snapshot::page_bytes() const {
  return state_->pages_count == 0 ? 0 : state_->page_bytes;
}

bool Snapshot::writers_go_on() const {
  return state_->is_wal;
}

bool Snapshot::stream(const std::function<bool(std::uint64_t, ByteSpan)>& write) {
  State& state = *state_;
  if (state.is_empty) return true;  // SQLite would make a first page of its own.
  PageSink sink;
  sink.expect_pages(state.page_bytes, write);
  SqliteConnection target;
  target.open("copy", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, sink.vfs_name());
  target.execute(sink_settings);
  sqlite3_backup* copy = sqlite3_backup_init(target.get(), "main", state.source.get(), "main");
  if (copy == nullptr) target.fail_now("cannot begin to copy");
  int result = SQLITE_OK;
  while (result == SQLITE_OK)
    result = sqlite3_backup_step(copy, pages_per_step);
  sqlite3_backup_finish(copy);
  if (sink.was_stopped()) return false;
  if (result != SQLITE_DONE) fail_sqlite(result, "cannot read the database", state.path);
  const ByteSpan first_page =
      state.is_wal ? sink.first_page(state.schema_version) : ByteSpan(state.first_page);
  if (sink.written_bytes() != state.expected_bytes()) {
    fail(ExitCode::internal, "SQLite passed on a page twice or not at all", state.path,
         "this is a bug");
  }
  return write(0, first_page);
}

}  // namespace cli
