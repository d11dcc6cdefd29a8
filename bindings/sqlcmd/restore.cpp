// restore.cpp: RESTORE DATABASE, LOG and VERIFYONLY, snapshots included.
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "cli/restore_target.hpp"
#include "cli/sqlite_support.hpp"
#include "media.hpp"
#include "progress_messages.hpp"
#include "served_set.hpp"
#include "statements.hpp"

namespace sqlcmd {

namespace {

class Restore {
 public:
  Restore(const Request& request, const Surroundings& surroundings)
      : request_(request), catalogue_(surroundings.catalogue), console_(surroundings.console) {}

  void run(ServedSet& set);

 private:
  cli::RestorePlan plan(std::span<const cli::DeviceDescription> devices);
  void judge(const Description& description) const;
  std::string choose_path(const Description& description) const;
  void judge_moved() const;
  void take_mounted() const;
  void put_in_place();

  const Request& request_;
  const Catalogue& catalogue_;
  Console& console_;
  std::string path_;  // Of the database file to be.
  bool is_moved_ = false;
  std::unique_ptr<cli::RestoreTarget> target_;
  std::unique_ptr<cli::RestoreTarget> replaced_;  // The old file, when the new one lies elsewhere.
};

void Restore::run(ServedSet& set) {
  cli::RestoreJob job;
  job.options = set.engine_options(request_);
  job.reads_exactly = true;
  job.on_described = [this](std::span<const cli::DeviceDescription> devices) {
    return plan(devices);
  };
  ProgressMessages progress(console_, request_.stats_percent, request_.line);
  run_described(job, progress);
  if (request_.verb == Verb::verify) {
    console_.say(
        {number::is_valid, severity_note, "The backup set on file 1 is valid.", request_.line});
    return;
  }
  if (request_.is_snapshot) take_mounted();
  put_in_place();
  say_finished(request_, progress.done_bytes(), progress.seconds(), console_);
}

/// Called when every device has said what it holds.
cli::RestorePlan Restore::plan(std::span<const cli::DeviceDescription> devices) {
  const Description description = judge_media(request_, devices, true);
  cli::RestorePlan plan;
  if (request_.verb == Verb::verify) return plan;
  judge(description);
  path_ = Catalogue::resolved(choose_path(description));
  is_moved_ = path_ != catalogue_.real_path_of(request_.database);
  if (is_moved_) judge_moved();
  target_ = std::make_unique<cli::RestoreTarget>(path_);
  if (is_moved_ && catalogue_.exists(request_.database)) {
    replaced_ = std::make_unique<cli::RestoreTarget>(catalogue_.path_of(request_.database));
  }
  plan.mounts_snapshot = request_.is_snapshot;
  if (!request_.is_snapshot) plan.temporary_path = target_->temporary_path();
  return plan;
}

void Restore::judge(const Description& description) const {
  if (request_.is_snapshot && !description.is_snapshot) {
    throw Refusal(
        number::not_a_snapshot,
        "WITH SNAPSHOT: this backup was not made WITH SNAPSHOT, it holds its data itself.");
  }
  if (!request_.is_snapshot && description.is_snapshot) {
    throw Refusal(
        number::is_a_snapshot,
        "This backup was made WITH SNAPSHOT and holds no data: restore it WITH SNAPSHOT.");
  }
  const bool is_log = description.type == BackupType::log;
  if (is_log != (request_.verb == Verb::restore_log)) {
    throw Refusal(number::not_supported,
                  is_log ? "This is a backup of a log: use RESTORE LOG."
                         : "This is a backup of a database: use RESTORE DATABASE.");
  }
  const bool continues = description.type != BackupType::full;
  if (continues && !catalogue_.is_restoring(request_.database)) {
    throw Refusal(number::not_restoring,
                  fmt::format("'{}' is not being restored: a log or a differential backup comes "
                              "after a RESTORE ... WITH NORECOVERY.",
                              request_.database));
  }
}

/// MOVE says where, else where the database is, or the file of its name. A log file is a thing that
/// SQLite databases do not have: a MOVE of "<name>_log", as scripts like to give, changes nothing.
std::string Restore::choose_path(const Description& description) const {
  std::string path = catalogue_.path_of(request_.database);
  for (const Move& move : request_.moves) {
    const std::string& logical = move.logical_file;
    if (logical == description.logical_file) {
      path = move.path;
    } else if (logical != description.logical_file + "_log") {
      throw Refusal(number::no_such_file,
                    fmt::format("MOVE: the backup has no file '{}', only '{}'.", logical,
                                description.logical_file));
    }
  }
  return path;
}

/// May the file go where MOVE says?
void Restore::judge_moved() const {
  for (const std::string& name : catalogue_.names()) {
    if (name == request_.database || catalogue_.real_path_of(name) != path_) continue;
    throw Refusal(number::file_of_another,
                  fmt::format("MOVE: '{}' is the file of the database '{}'.", path_, name));
  }
  struct stat status = {};
  if (request_.replaces || ::lstat(path_.c_str(), &status) != 0) return;
  throw Refusal(
      number::database_in_the_way,
      fmt::format("MOVE: there is a file '{}' already: say WITH REPLACE to put the backup "
                  "in its place.",
                  path_));
}

/// The client says that the file is in its place: is it?
void Restore::take_mounted() const {
  struct stat status = {};
  if (::stat(path_.c_str(), &status) != 0) {
    throw Refusal(number::database_unusable,
                  fmt::format("MountSnapshot was answered, but there is no file '{}'.", path_));
  }
  cli::SqliteConnection database;
  database.open(path_, SQLITE_OPEN_READWRITE, nullptr);
  const std::string verdict = database.query_text("PRAGMA quick_check(1)");
  if (verdict != "ok") {
    throw Refusal(number::database_unusable,
                  fmt::format("The mounted file '{}' is damaged: {}.", path_, verdict));
  }
}

/// Marked before the exchange: nobody shall take the new file for a finished one. When there is no
/// exchange the mark goes again, unless an earlier restore had left it.
void Restore::put_in_place() {
  const bool was_restoring = catalogue_.is_restoring(request_.database);
  try {
    if (!request_.recovers) catalogue_.set_restoring(request_.database, true);
    if (!request_.is_snapshot) target_->commit();
    if (is_moved_ && catalogue_.real_path_of(request_.database) != path_) {
      catalogue_.link(request_.database, path_);
    }
  } catch (...) {
    if (!request_.recovers && !was_restoring) catalogue_.remove_marker(request_.database);
    throw;
  }
  if (request_.recovers) catalogue_.set_restoring(request_.database, false);
}

}  // namespace

void check_restore(const Request& request, const Surroundings& surroundings) {
  const Catalogue& catalogue = surroundings.catalogue;
  const std::string& name = request.database;
  if (!Catalogue::is_valid_name(name) || Catalogue::is_system(name)) {
    throw Refusal(number::bad_name, fmt::format("'{}' cannot be restored: not a database's name, "
                                                "or the system's.",
                                                name));
  }
  if (request.devices.empty()) return;
  const bool continues = request.verb == Verb::restore_log || catalogue.is_restoring(name);
  if (continues || request.replaces || !catalogue.exists(name)) return;
  throw Refusal(number::database_in_the_way,
                fmt::format("There is a database '{}' already: say WITH REPLACE to put the backup "
                            "in its place.",
                            name));
}

void run_restore_database(const Request& request, const Surroundings& surroundings,
                          ServedSet& set) {
  Restore(request, surroundings).run(set);
}

/// RESTORE DATABASE name WITH RECOVERY, without a device.
void run_recovery_only(const Request& request, const Surroundings& surroundings) {
  const Catalogue& catalogue = surroundings.catalogue;
  if (!catalogue.is_restoring(request.database)) {
    throw Refusal(number::recovered_already,
                  fmt::format("'{}' is not being restored.", request.database));
  }
  catalogue.set_restoring(request.database, false);
  say_finished(request, 0, 0, surroundings.console);
}

}  // namespace sqlcmd
