// backup_directory.cpp: locking, listing, renaming.
#include "backup_directory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "failure.hpp"
#include "stream.hpp"

namespace cli {

namespace {

/// Calls `visit` with the name of each entry.
template <typename Visit>
void list_directory(const std::string& path, Visit visit) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) fail_errno(errno, "cannot list the directory", path);
  while (const dirent* entry = ::readdir(directory))
    visit(std::string(entry->d_name));
  ::closedir(directory);
}

/// The index in "device-N.vdset", or -1 for any other name.
int device_index_of(const std::string& name) {
  int index = -1;
  int end = 0;
  if (std::sscanf(name.c_str(), "device-%3d.vdset%n", &index, &end) != 1) return -1;
  if (end == 0 || index < 0 || name != device_file_name(static_cast<std::uint32_t>(index)))
    return -1;
  return index;
}

std::vector<std::uint32_t> list_device_files(const std::string& path) {
  std::vector<std::uint32_t> indexes;
  list_directory(path, [&](const std::string& name) {
    const int index = device_index_of(name);
    if (index >= 0) indexes.push_back(static_cast<std::uint32_t>(index));
  });
  std::sort(indexes.begin(), indexes.end());
  return indexes;
}

/// Whether there is something that a killed vdset had not finished.
bool has_remains(const std::string& path) {
  bool found = false;
  list_directory(path, [&](const std::string& name) {
    const std::size_t end = name.size() > 5 ? name.size() - 4 : 0;
    found = found || (name[0] == '.' && end > 0 && name.substr(end) == ".tmp" &&
                      device_index_of(name.substr(1, end - 1)) >= 0);
  });
  return found;
}

/// A file system without locks is taken as it is.
void lock_directory(const Descriptor& directory, int operation, const std::string& path) {
  if (::flock(directory.number(), operation | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  fail(ExitCode::in_use, "another vdset is at work in the directory", path,
       "wait for it, or choose another directory");
}

}  // namespace

NewBackup::NewBackup(const std::string& path, bool replaces) : path_(path) {
  if (::mkdir(path.c_str(), 0777) == 0) {
    is_made_ = true;
  } else if (errno != EEXIST) {
    fail_errno(errno, "cannot make the directory", path);
  }
  try {
    directory_ = open_file(path, O_RDONLY | O_DIRECTORY, "cannot open the directory");
    lock_directory(directory_, LOCK_EX, path);
    if (!replaces && !list_device_files(path).empty()) {
      fail(ExitCode::in_use, "a backup is there already", path,
           "choose another directory, or replace it with --force");
    }
    // Only a vdset that was killed leaves these behind: the lock says that none is at work.
    for (std::uint32_t i = 0; i < devices_count_max; ++i)
      ::unlink(temporary_path(i).c_str());
  } catch (...) {
    if (is_made_) ::rmdir(path.c_str());
    throw;
  }
}

NewBackup::~NewBackup() {
  discard();
}

std::string NewBackup::temporary_path(std::uint32_t device_index) const {
  return fmt::format("{}/.{}.tmp", path_, device_file_name(device_index));
}

void NewBackup::discard() {
  if (is_settled_) return;
  is_settled_ = true;
  for (std::uint32_t i = 0; i < devices_count_max; ++i)
    ::unlink(temporary_path(i).c_str());
  if (is_made_) ::rmdir(path_.c_str());
}

void NewBackup::commit(std::uint32_t devices_count) {
  const std::vector<std::uint32_t> older = list_device_files(path_);
  for (std::uint32_t i = 0; i < devices_count; ++i) {
    const std::string path = fmt::format("{}/{}", path_, device_file_name(i));
    if (::rename(temporary_path(i).c_str(), path.c_str()) != 0) {
      const int error_number = errno;
      // Of an older backup nothing can be brought back; a new directory can be as if nothing had
      // been.
      for (std::uint32_t j = 0; older.empty() && j < i; ++j) {
        ::unlink(fmt::format("{}/{}", path_, device_file_name(j)).c_str());
      }
      fail_errno(error_number, "cannot name the device file", path);
    }
  }
  for (const std::uint32_t index : older) {
    if (index >= devices_count) {
      ::unlink(fmt::format("{}/{}", path_, device_file_name(index)).c_str());
    }
  }
  is_settled_ = true;
  sync_directory(path_);
  if (is_made_) sync_directory(directory_of(path_));
}

namespace {

DeviceFileHeader read_header(const std::string& path, std::uint64_t& files_bytes) {
  const Descriptor file = open_file(path, O_RDONLY, "cannot open the device file");
  struct stat status = {};
  if (::fstat(file.number(), &status) != 0) fail_errno(errno, "cannot look at", path);
  files_bytes += static_cast<std::uint64_t>(status.st_size);
  std::uint64_t chain = 0;
  return read_device_header(file.number(), path, chain);
}

void check_belongs(const DeviceFileHeader& header, const DeviceFileHeader& first,
                   std::uint32_t index, const std::string& path) {
  const char* remedy = "put the files of one backup together, each under its own name";
  if (header.device_index != index) {
    fail(ExitCode::bad_input,
         fmt::format("this file is device {}, its name says {}", header.device_index, index), path,
         remedy);
  }
  if (header.backup != first.backup || header.device_count != first.device_count) {
    fail(ExitCode::bad_input, "device file of another backup", path, remedy);
  }
  if (header.codec != first.codec || header.block_bytes != first.block_bytes ||
      header.chunk_bytes_max != first.chunk_bytes_max) {
    fail(ExitCode::damaged, "the device files' headers disagree", path,
         "use another copy of this backup");
  }
}

}  // namespace

FoundBackup find_backup(const std::string& path) {
  FoundBackup found;
  found.directory = open_file(path, O_RDONLY | O_DIRECTORY, "cannot open the backup");
  lock_directory(found.directory, LOCK_SH, path);
  const std::vector<std::uint32_t> indexes = list_device_files(path);
  if (indexes.empty() && has_remains(path)) {
    fail(ExitCode::bad_input, "the backup is incomplete, vdset was killed while it wrote it", path,
         "make it anew, or restore another");
  }
  if (indexes.empty()) {
    fail(ExitCode::bad_input, "no backup here", path, "give a directory with device-N.vdset files");
  }
  for (const std::uint32_t index : indexes) {
    const std::string file_path = fmt::format("{}/{}", path, device_file_name(index));
    const DeviceFileHeader header = read_header(file_path, found.files_bytes);
    if (found.paths.empty()) found.first = header;
    if (found.paths.size() < index && found.paths.size() < found.first.device_count) break;
    check_belongs(header, found.first, index, file_path);
    found.paths.push_back(file_path);
  }
  if (found.paths.size() < found.first.device_count) {
    const auto missing = static_cast<std::uint32_t>(found.paths.size());
    fail(ExitCode::bad_input,
         fmt::format("a device file is missing (device {} of {})", missing,
                     found.first.device_count),
         fmt::format("{}/{}", path, device_file_name(missing)), "put it back, or use another copy");
  }
  return found;
}

}  // namespace cli
