// restore_target.hpp: the database file that a restore makes or replaces. It is the old one until
// commit(), and the new one from then on; nothing in between, and nothing beside it.
#pragma once
#include <string>

#include "descriptor.hpp"

namespace cli {

class RestoreTarget {
 public:
  /// Makes the temporary file, and removes those of restores to the same target that were killed.
  /// Throws Failure when the target cannot be replaced: not a file, in use, or with a journal that
  /// holds changes.
  explicit RestoreTarget(const std::string& path);
  ~RestoreTarget();
  RestoreTarget(const RestoreTarget&) = delete;
  RestoreTarget& operator=(const RestoreTarget&) = delete;

  /// In the target's directory; the engine fills it.
  const std::string& temporary_path() const { return temporary_path_; }

  /// Puts the finished temporary file in the target's place, with owner and mode of the old file.
  void commit();

  /// Removes the temporary file. Safe to call twice.
  void discard();

 private:
  void check_replaceable() const;
  void make_temporary(const std::string& prefix);

  std::string path_;
  std::string temporary_path_;
  Descriptor temporary_;  // Locked: somebody lives who wants this file.
};

}  // namespace cli
