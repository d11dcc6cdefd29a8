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
  /// Makes the directory if there is none. Refuses one that holds a backup, unless `replaces`.
  NewBackup(const std::string& path, bool replaces);
  ~NewBackup();
  NewBackup(const NewBackup&) = delete;
  NewBackup& operator=(const NewBackup&) = delete;

  /// Where the device's file is written until commit().
  std::string temporary_path(std::uint32_t device_index) const;

  /// Gives the files their names, and takes away those of an older backup.
  void commit(std::uint32_t devices_count);

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

/// Throws Failure: bad input (nothing there, a file missing or of another backup) or damaged.
FoundBackup find_backup(const std::string& path);

}  // namespace cli
