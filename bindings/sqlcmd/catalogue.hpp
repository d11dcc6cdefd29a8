// catalogue.hpp: the databases: the files NAME.db of one directory. A file NAME.restoring beside
// one means that a RESTORE ... WITH NORECOVERY or STANDBY has begun what another is to finish.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace sqlcmd {

class Catalogue {
 public:
  explicit Catalogue(std::string directory) : directory_(std::move(directory)) {}

  const std::string& directory() const { return directory_; }
  /// False without a directory, or with one that is none.
  bool is_usable() const;

  /// master, model, msdb, tempdb: can be USEd, hold nothing, and are never backed up.
  static bool is_system(std::string_view name);
  /// 1..128 bytes, no '/', no control character, and not hidden.
  static bool is_valid_name(std::string_view name);

  std::string path_of(const std::string& name) const;
  bool exists(const std::string& name) const;
  bool is_restoring(const std::string& name) const;
  void set_restoring(const std::string& name, bool is_restoring) const;
  /// As far as it can: for when something else has failed already.
  void remove_marker(const std::string& name) const;

  /// Where the file really is: NAME.db may be a symbolic link that RESTORE ... MOVE made.
  std::string real_path_of(const std::string& name) const;
  /// The one path that all spellings of `path` lead to. Of a file that is not there yet: its
  /// directory's, and its name.
  static std::string resolved(const std::string& path);
  /// Makes NAME.db lead to `path`.
  void link(const std::string& name, const std::string& path) const;

  /// In order of name.
  std::vector<std::string> names() const;

 private:
  std::string marker_of(const std::string& name) const;

  std::string directory_;
};

}  // namespace sqlcmd
