// page_sink.cpp: the VFS that sqlite3_backup writes to. SQLite needs from a destination: locks
// (nobody else is here), the file's size, and to read the first page back. Other pages are written
// once, when its cache spills them, and never read again.
#include "page_sink.hpp"

#include <fmt/core.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstring>

#include "failure.hpp"

namespace cli {

struct PageSink::State {
  sqlite3_vfs vfs = {};
  std::string vfs_name;
  std::uint32_t page_bytes = 0;
  Write write;
  std::vector<std::uint8_t> first_page;
  std::uint64_t size_bytes = 0;
  std::uint64_t written_bytes = 0;
  bool stopped = false;
};

namespace {

struct SinkFile {
  sqlite3_file base;  // First: SQLite sees this part only.
  PageSink::State* state;
};

PageSink::State& state_of(sqlite3_file* file) {
  return *reinterpret_cast<SinkFile*>(file)->state;
}

int sink_close(sqlite3_file*) {
  return SQLITE_OK;
}

int sink_read(sqlite3_file* file, void* out, int count_bytes, sqlite3_int64 offset) {
  PageSink::State& state = state_of(file);
  const auto first_bytes = static_cast<sqlite3_int64>(state.first_page.size());
  std::memset(out, 0, static_cast<std::size_t>(count_bytes));
  if (offset < first_bytes) {
    const auto got_bytes = std::min<sqlite3_int64>(count_bytes, first_bytes - offset);
    std::memcpy(out, state.first_page.data() + offset, static_cast<std::size_t>(got_bytes));
    return got_bytes == count_bytes ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
  }
  // A page that was passed on cannot come back.
  const bool is_beyond_end = static_cast<std::uint64_t>(offset) >= state.size_bytes;
  return is_beyond_end ? SQLITE_IOERR_SHORT_READ : SQLITE_IOERR_READ;
}

int sink_write(sqlite3_file* file, const void* bytes, int count_bytes, sqlite3_int64 offset) {
  PageSink::State& state = state_of(file);
  const ByteSpan page(static_cast<const std::uint8_t*>(bytes),
                      static_cast<std::size_t>(count_bytes));
  if (page.size() != state.page_bytes) return SQLITE_IOERR_WRITE;
  const auto at = static_cast<std::uint64_t>(offset);
  state.size_bytes = std::max(state.size_bytes, at + page.size());
  if (at == 0) {  // May come more than once: the last one counts.
    if (state.first_page.empty()) state.written_bytes += page.size();
    state.first_page.assign(page.begin(), page.end());
    return SQLITE_OK;
  }
  state.written_bytes += page.size();
  if (state.write(at, page)) return SQLITE_OK;
  state.stopped = true;
  return SQLITE_IOERR_WRITE;
}

int sink_truncate(sqlite3_file*, sqlite3_int64) {
  return SQLITE_OK;
}
int sink_sync(sqlite3_file*, int) {
  return SQLITE_OK;
}

int sink_file_size(sqlite3_file* file, sqlite3_int64* out) {
  *out = static_cast<sqlite3_int64>(state_of(file).size_bytes);
  return SQLITE_OK;
}

int sink_lock(sqlite3_file*, int) {
  return SQLITE_OK;
}
int sink_unlock(sqlite3_file*, int) {
  return SQLITE_OK;
}

int sink_check_reserved_lock(sqlite3_file*, int* out) {
  *out = 0;
  return SQLITE_OK;
}

int sink_file_control(sqlite3_file*, int, void*) {
  return SQLITE_NOTFOUND;
}
int sink_sector_size(sqlite3_file*) {
  return 4096;
}
int sink_device_characteristics(sqlite3_file*) {
  return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

const sqlite3_io_methods sink_methods = {1,
                                         sink_close,
                                         sink_read,
                                         sink_write,
                                         sink_truncate,
                                         sink_sync,
                                         sink_file_size,
                                         sink_lock,
                                         sink_unlock,
                                         sink_check_reserved_lock,
                                         sink_file_control,
                                         sink_sector_size,
                                         sink_device_characteristics,
                                         nullptr,
                                         nullptr,
                                         nullptr,
                                         nullptr,
                                         nullptr,
                                         nullptr};

int sink_open(sqlite3_vfs* vfs, const char*, sqlite3_file* file, int flags, int* out_flags) {
  if ((flags & SQLITE_OPEN_MAIN_DB) == 0)
    return SQLITE_CANTOPEN;  // No journal, no temporary files.
  auto* sink_file = reinterpret_cast<SinkFile*>(file);
  sink_file->base.pMethods = &sink_methods;
  sink_file->state = static_cast<PageSink::State*>(vfs->pAppData);
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int sink_delete(sqlite3_vfs*, const char*, int) {
  return SQLITE_OK;
}

int sink_access(sqlite3_vfs*, const char*, int, int* out) {
  *out = 0;
  return SQLITE_OK;
}

int sink_full_pathname(sqlite3_vfs*, const char* name, int out_bytes, char* out) {
  sqlite3_snprintf(out_bytes, out, "%s", name);
  return SQLITE_OK;
}

/// The rest of a VFS (time, randomness) is the system's.
sqlite3_vfs make_vfs(PageSink::State& state) {
  sqlite3_vfs vfs = *sqlite3_vfs_find(nullptr);
  vfs.iVersion = 1;
  vfs.pNext = nullptr;
  vfs.szOsFile = sizeof(SinkFile);
  vfs.zName = state.vfs_name.c_str();
  vfs.pAppData = &state;
  vfs.xOpen = sink_open;
  vfs.xDelete = sink_delete;
  vfs.xAccess = sink_access;
  vfs.xFullPathname = sink_full_pathname;
  return vfs;
}

}  // namespace

PageSink::PageSink() : state_(std::make_unique<State>()) {
  state_->vfs_name = fmt::format("vdset-sink-{}", static_cast<const void*>(state_.get()));
  sqlite3_initialize();
  state_->vfs = make_vfs(*state_);
  if (sqlite3_vfs_register(&state_->vfs, 0) != SQLITE_OK) {
    fail(ExitCode::internal, "cannot register with SQLite", state_->vfs_name, "this is a bug");
  }
}

PageSink::~PageSink() {
  sqlite3_vfs_unregister(&state_->vfs);
}

const char* PageSink::vfs_name() const {
  return state_->vfs_name.c_str();
}

void PageSink::expect_pages(std::uint32_t page_bytes, Write write) {
  state_->page_bytes = page_bytes;
  state_->write = std::move(write);
}

bool PageSink::was_stopped() const {
  return state_->stopped;
}

std::uint64_t PageSink::written_bytes() const {
  return state_->written_bytes;
}

ByteSpan PageSink::first_page(std::uint32_t schema_version) {
  constexpr std::size_t schema_version_offset = 40;
  std::uint8_t* at = state_->first_page.data() + schema_version_offset;
  for (int i = 0; i < 4; ++i)
    at[i] = static_cast<std::uint8_t>(schema_version >> (24 - 8 * i));
  return state_->first_page;
}

}  // namespace cli
