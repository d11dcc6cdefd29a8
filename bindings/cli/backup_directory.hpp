// backup_directory.hpp: the directory that holds a backup, one file per device. A backup appears in
// it as a whole, in the end, or not at all.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "descriptor.hpp"
#include "device_file.hpp"

namespace cli {

/// A directory being written to. Holds a lock on it; leaves it as it was unless commit() succeeds.
class NewBackup {
 public:
  /// Makes the directory if there is none. Refuses one that holds a backup, unless `replaces`, and
  /// one that holds `source`, the database, under a name that the backup takes.
  NewBackup(const std::string& path, bool replaces, const std::string& source);
  ~NewBackup();
  NewBackup(const NewBackup&) = delete;
  NewBackup& operator=(const NewBackup&) = delete;

  /// Where the device's file is written until commit().
  std::string temporary_path(std::uint32_t device_index) const;

  /// Gives the files their names, and takes away those of an older backup. From its first step on,
  /// the marker, the new backup is there: who finds a marker finishes what a killed process left.
  void commit(const Uuid& backup, std::uint32_t devices_count);

  /// Removes everything this object made. Safe to call twice; commit() makes it do nothing.
  void discard();

 private:
  std::string path_;
  Descriptor directory_;
  bool is_made_ = false;
  bool is_settled_ = false;
};

/// A backup found in a directory: every device's file is there and has a believable header of one
/// backup.
struct FoundBackup {
  Descriptor directory;  // Holds a shared lock against backups into the same place.
  std::vector<std::string> paths;
  DeviceFileHeader first;
  std::uint64_t files_bytes = 0;
};

/// Finishes first what a killed backup had begun to put in place.
/// Throws Failure: bad input (nothing there, a file missing or of another backup) or damaged.
FoundBackup find_backup(const std::string& path);

/// Whether writing to `path` would change one of the backup's files, or add one to it.
bool is_part_of_backup(const FoundBackup& backup, const std::string& path);

}  // namespace cli
