// restore_target.cpp: is the old database idle, and the exchange.
#include "restore_target.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <vector>

#include "bytes.hpp"
#include "failure.hpp"
#include "sqlite_support.hpp"

namespace cli {

namespace {

constexpr const char* temporary_suffix = ".tmp";

/// An exclusive lock in SQLite's own way, taken without reading or changing the file. Connections
/// in WAL mode hold a shared lock as long as they live, others while they are in a transaction.
class ExclusiveLock {
 public:
  explicit ExclusiveLock(const std::string& path) {
    connection_.open(path, SQLITE_OPEN_READWRITE, nullptr);
    // SQLite opens what it may not write to for reading, and then calls the lock an I/O error.
    if (sqlite3_db_readonly(connection_.get(), "main") == 1) {
      fail(ExitCode::bad_input, "the target database cannot be written to", path,
           "check the permissions of the file and its directory");
    }
    sqlite3_file_control(connection_.get(), "main", SQLITE_FCNTL_FILE_POINTER, &file_);
    for (const int level : {SQLITE_LOCK_SHARED, SQLITE_LOCK_RESERVED, SQLITE_LOCK_EXCLUSIVE}) {
      const int result = file_->pMethods->xLock(file_, level);
      if (result == SQLITE_OK) continue;
      file_->pMethods->xUnlock(file_, SQLITE_LOCK_NONE);
      if ((result & 0xFF) == SQLITE_BUSY) {
        fail(ExitCode::in_use, "the target database is in use", path,
             "close it in other programs, or restore to another path");
      }
      fail_sqlite(result, "cannot lock the target database", path);
    }
  }
  ~ExclusiveLock() { file_->pMethods->xUnlock(file_, SQLITE_LOCK_NONE); }
  ExclusiveLock(const ExclusiveLock&) = delete;
  ExclusiveLock& operator=(const ExclusiveLock&) = delete;

 private:
  SqliteConnection connection_;
  sqlite3_file* file_ = nullptr;
};

bool exists(const std::string& path) {
  struct stat status = {};
  return ::lstat(path.c_str(), &status) == 0;
}

/// Whether `file` begins with these bytes.
bool begins_with(const std::string& path, const char* doing, ByteSpan magic) {
  const Descriptor file = open_file(path, O_RDONLY, doing);
  std::vector<std::uint8_t> head(magic.size());
  return read_fully_at(file.number(), head, 0, path) == head.size() &&
         std::equal(head.begin(), head.end(), magic.begin());
}

/// A rollback journal counts when it begins with SQLite's mark: one that was committed is empty or
/// zeroed.
bool is_hot_journal(const std::string& path) {
  constexpr std::uint8_t magic[8] = {0xD9, 0xD5, 0x05, 0xF9, 0x20, 0xA1, 0x63, 0xD7};
  return exists(path) && begins_with(path, "cannot read the target's journal", magic);
}

bool is_database(const std::string& path) {
  constexpr std::uint8_t magic[16] = {'S', 'Q', 'L', 'i', 't', 'e', ' ', 'f',
                                      'o', 'r', 'm', 'a', 't', ' ', '3', '\0'};
  return begins_with(path, "cannot read the target", magic);
}

bool is_hot_wal(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 && status.st_size > 0;
}

std::string resolve(const std::string& path) {
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return path;  // Not there yet, or a link to nowhere: replaced as it is.
  std::string text = resolved;
  std::free(resolved);
  return text;
}

bool lock_file(const Descriptor& file) {
  return ::flock(file.number(), LOCK_EX | LOCK_NB) == 0;
}

/// Removes the temporary files that nobody holds a lock on: their makers were killed.
void sweep(const std::string& directory, const std::string& prefix) {
  DIR* entries = ::opendir(directory.c_str());
  if (entries == nullptr) return;  // Making the next one will say why.
  while (const dirent* entry = ::readdir(entries)) {
    const std::string_view name = entry->d_name;
    if (!name.starts_with(prefix) || !name.ends_with(temporary_suffix)) continue;
    const std::string path = directory + "/" + entry->d_name;
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (file.is_open() && lock_file(file)) ::unlink(path.c_str());
  }
  ::closedir(entries);
}

}  // namespace

RestoreTarget::RestoreTarget(const std::string& path) : path_(resolve(path)) {
  const std::string directory = directory_of(path_);
  const std::size_t slash = path_.find_last_of('/');
  const std::string name = slash == std::string::npos ? path_ : path_.substr(slash + 1);
  if (name.empty()) fail(ExitCode::bad_input, "not a file name", path, "give the path of a file");
  struct stat status = {};
  if (::stat(directory.c_str(), &status) != 0) {
    fail_errno(errno, "cannot use the target's directory", directory);
  }
  check_replaceable();
  if (exists(path_)) const ExclusiveLock lock(path_);
  const std::string prefix = fmt::format(".{}.vdset-", name);
  sweep(directory, prefix);
  make_temporary(directory + "/" + prefix);
}

void RestoreTarget::make_temporary(const std::string& prefix) {
  for (;;) {
    temporary_path_ = prefix + uuid_text(random_uuid()).substr(0, 8) + temporary_suffix;
    temporary_ = open_file(temporary_path_, O_RDWR | O_CREAT | O_EXCL, "cannot make the file");
    // Another restore's sweep may have come between. Where files cannot be locked nobody sweeps.
    struct stat status = {};
    const bool is_being_swept = !lock_file(temporary_) && errno == EWOULDBLOCK;
    const bool is_swept = ::fstat(temporary_.number(), &status) == 0 && status.st_nlink == 0;
    if (!is_being_swept && !is_swept) return;
  }
}

RestoreTarget::~RestoreTarget() {
  discard();
}

void RestoreTarget::check_replaceable() const {
  struct stat status = {};
  const bool is_there = ::lstat(path_.c_str(), &status) == 0;
  if (is_there && !S_ISREG(status.st_mode)) {
    fail(ExitCode::bad_input, "the target is not a regular file", path_, "give another path");
  }
  if (is_there && status.st_size > 0 && !is_database(path_)) {
    fail(ExitCode::bad_input, "the target is not a SQLite database", path_,
         "give another path, or move the file away");
  }
  // Left beside the new database, SQLite would play them into it.
  const char* remedy = "open the target once with sqlite3 to settle it, or restore to another path";
  if (is_hot_journal(path_ + "-journal")) {
    fail(ExitCode::in_use, "the target has a journal with changes", path_ + "-journal", remedy);
  }
  if (is_hot_wal(path_ + "-wal")) {
    fail(ExitCode::in_use, "the target has a write-ahead log with changes", path_ + "-wal", remedy);
  }
}

void RestoreTarget::discard() {
  ::unlink(temporary_path_.c_str());
}

void RestoreTarget::commit() {
  std::optional<ExclusiveLock> lock;
  struct stat status = {};
  if (::stat(path_.c_str(), &status) == 0) {
    lock.emplace(path_);
    // Best effort: only root may give files away.
    if (::chown(temporary_path_.c_str(), status.st_uid, status.st_gid) == 0 || errno == EPERM) {
      ::chmod(temporary_path_.c_str(), status.st_mode & 07777);
    }
  }
  check_replaceable();
  // Empty by now, or they would have been refused.
  for (const char* leftover : {"-journal", "-wal", "-shm"})
    ::unlink((path_ + leftover).c_str());
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) {
    fail_errno(errno, "cannot put the restored database in place", path_);
  }
  sync_directory(directory_of(path_));
}

}  // namespace cli
