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
#include <optional>
#include <string_view>

#include "failure.hpp"
#include "stream.hpp"

namespace cli {

namespace {

constexpr std::string_view temporary_suffix = ".tmp";

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

/// The index in ".device-N.vdset.tmp", or -1 for any other name.
int temporary_index_of(std::string_view name) {
  if (!name.starts_with('.') || !name.ends_with(temporary_suffix)) return -1;
  name.remove_prefix(1);
  name.remove_suffix(temporary_suffix.size());
  return device_index_of(std::string(name));
}

/// Whether there is something that a killed vdset had not finished.
bool has_remains(const std::string& path) {
  bool found = false;
  list_directory(path,
                 [&](const std::string& name) { found = found || temporary_index_of(name) >= 0; });
  return found;
}

std::string device_path(const std::string& path, std::uint32_t device_index) {
  return fmt::format("{}/{}", path, device_file_name(device_index));
}

std::string temporary_device_path(const std::string& path, std::uint32_t device_index) {
  return fmt::format("{}/.{}{}", path, device_file_name(device_index), temporary_suffix);
}

DeviceFileHeader read_header(const std::string& path, std::uint64_t& files_bytes) {
  const Descriptor file = open_file(path, O_RDONLY, "cannot open the device file");
  struct stat status = {};
  if (::fstat(file.number(), &status) != 0) fail_errno(errno, "cannot look at", path);
  files_bytes += static_cast<std::uint64_t>(status.st_size);
  std::uint64_t chain = 0;
  return read_device_header(file.number(), path, chain);
}

/// Says that all files of a backup are finished, and that its putting in place has begun. Its name
/// is all it has, so it is there as a whole or not at all.
struct Marker {
  std::string path;
  std::string backup;
  std::uint32_t devices_count = 0;
};

Marker marker_of(const std::string& path, const std::string& backup, std::uint32_t devices_count) {
  return {fmt::format("{}/.commit-{}-{}{}", path, backup, devices_count, temporary_suffix), backup,
          devices_count};
}

std::optional<Marker> find_marker(const std::string& path) {
  std::optional<Marker> found;
  list_directory(path, [&](const std::string& name) {
    char backup[37] = {};
    unsigned devices_count = 0;
    const int got = std::sscanf(name.c_str(), ".commit-%36c-%2u", backup, &devices_count);
    if (got != 2 || devices_count < 1 || devices_count > devices_count_max) return;
    const Marker marker = marker_of(path, backup, devices_count);
    if (marker.path == path + "/" + name) found = marker;
  });
  return found;
}

/// Whether all files have the marker's backup. If not, somebody has put others in their place.
bool has_all_files(const std::string& path, const Marker& marker) {
  std::uint64_t files_bytes = 0;
  try {
    for (std::uint32_t i = 0; i < marker.devices_count; ++i) {
      const DeviceFileHeader header = read_header(device_path(path, i), files_bytes);
      if (uuid_text(header.backup) != marker.backup) return false;
    }
  } catch (const Failure&) {
    return false;
  }
  return true;
}

/// After the last name has been given: takes away the files of an older set that had more devices,
/// and forgets that there was something to do.
void settle(const std::string& path, const Marker& marker) {
  sync_directory(path);
  if (has_all_files(path, marker)) {
    for (const std::uint32_t index : list_device_files(path)) {
      if (index >= marker.devices_count) ::unlink(device_path(path, index).c_str());
    }
    sync_directory(path);
  }
  ::unlink(marker.path.c_str());
}

/// Finishes the naming that a killed process had begun. Under the exclusive lock.
void finish_commit(const std::string& path, const Marker& marker) {
  for (std::uint32_t i = 0; i < marker.devices_count; ++i) {
    const std::string temporary = temporary_device_path(path, i);
    if (::rename(temporary.c_str(), device_path(path, i).c_str()) != 0 && errno != ENOENT) {
      fail_errno(errno, "cannot put in place what a killed backup left finished", temporary);
    }
  }
  settle(path, marker);
}

/// A file system without locks is taken as it is.
void lock_directory(const Descriptor& directory, int operation, const std::string& path) {
  if (::flock(directory.number(), operation | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  fail(ExitCode::in_use, "another vdset is at work in the directory", path,
       "wait for it, or choose another directory");
}

/// The old files' names are given to the new ones, and temporary names are swept.
void check_source_stays(const std::string& path, const std::string& source) {
  std::string found;
  list_directory(path, [&](const std::string& name) {
    const bool is_taken = device_index_of(name) >= 0 || temporary_index_of(name) >= 0;
    if (is_taken && is_same_file(path + "/" + name, source)) found = path + "/" + name;
  });
  if (found.empty()) return;
  fail(ExitCode::usage, "the database would be replaced by its own backup", found,
       "choose another directory");
}

}  // namespace

NewBackup::NewBackup(const std::string& path, bool replaces, const std::string& source)
    : path_(path) {
  if (::mkdir(path.c_str(), 0777) == 0) {
    is_made_ = true;
  } else if (errno != EEXIST) {
    fail_errno(errno, "cannot make the directory", path);
  }
  try {
    directory_ = open_file(path, O_RDONLY | O_DIRECTORY, "cannot open the directory");
    lock_directory(directory_, LOCK_EX, path);
    check_source_stays(path, source);
    if (const std::optional<Marker> marker = find_marker(path)) finish_commit(path, *marker);
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
  return temporary_device_path(path_, device_index);
}

void NewBackup::discard() {
  if (is_settled_) return;
  is_settled_ = true;
  for (std::uint32_t i = 0; i < devices_count_max; ++i)
    ::unlink(temporary_path(i).c_str());
  if (is_made_) ::rmdir(path_.c_str());
}

void NewBackup::commit(const Uuid& backup, std::uint32_t devices_count) {
  const Marker marker = marker_of(path_, uuid_text(backup), devices_count);
  const bool is_first = list_device_files(path_).empty();
  open_file(marker.path, O_WRONLY | O_CREAT | O_EXCL, "cannot begin to name the device files");
  sync_directory(path_);
  for (std::uint32_t i = 0; i < devices_count; ++i) {
    if (::rename(temporary_path(i).c_str(), device_path(path_, i).c_str()) == 0) continue;
    const int error_number = errno;
    // As long as no older file is replaced it can be as if nothing had been. Else the marker stays.
    is_settled_ = !is_first && i > 0;
    if (!is_settled_) ::unlink(marker.path.c_str());
    for (std::uint32_t j = 0; !is_settled_ && j < i; ++j)
      ::unlink(device_path(path_, j).c_str());
    fail_errno(error_number, "cannot name the device file", device_path(path_, i));
  }
  is_settled_ = true;
  settle(path_, marker);
  if (is_made_) sync_directory(directory_of(path_));
}

namespace {

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
  if (const std::optional<Marker> marker = find_marker(path)) {
    lock_directory(found.directory, LOCK_EX, path);
    finish_commit(path, *marker);
  }
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
    const std::string file_path = device_path(path, index);
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
         device_path(path, missing), "put it back, or use another copy");
  }
  return found;
}

bool is_part_of_backup(const FoundBackup& backup, const std::string& path) {
  for (const std::string& file_path : backup.paths) {
    if (is_same_file(file_path, path)) return true;
  }
  const std::string name = path.substr(path.find_last_of('/') + 1);
  return (device_index_of(name) >= 0 || temporary_index_of(name) >= 0) &&
         is_same_file(directory_of(path), directory_of(backup.paths.front()));
}

}  // namespace cli
