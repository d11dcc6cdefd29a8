// backup.cpp: BACKUP DATABASE and LOG: the engine of `vdset backup`, with a description before the
// data and every block naming the length of the next.
#include <fmt/core.h>

#include <ctime>

#include "cli/engine_backup.hpp"
#include "progress_messages.hpp"
#include "served_set.hpp"
#include "statements.hpp"

namespace sqlcmd {

void check_backup(const Request& request, const Surroundings& surroundings) {
  const Catalogue& catalogue = surroundings.catalogue;
  const std::string& name = request.database;
  if (!Catalogue::is_valid_name(name)) {
    throw Refusal(number::bad_name, fmt::format("'{}' cannot be a database's name.", name));
  }
  if (!catalogue.exists(name)) {
    throw Refusal(number::no_database, fmt::format("Database '{}' does not exist: no file '{}'.",
                                                   name, catalogue.path_of(name)));
  }
  if (catalogue.is_restoring(name)) {
    throw Refusal(number::is_restoring,
                  fmt::format("The database '{}' is being restored: finish that with RESTORE ... "
                              "WITH RECOVERY.",
                              name));
  }
}

Description describe_backup(const Request& request, const Catalogue& catalogue) {
  Description description;
  description.database = request.database;
  description.logical_file = request.database;
  description.physical_file = catalogue.real_path_of(request.database);
  description.type = request.verb == Verb::backup_log ? BackupType::log
                     : request.is_differential        ? BackupType::differential
                                                      : BackupType::full;
  description.name = request.name;
  description.text = request.description;
  description.media_name = request.media_name;
  description.server = computer_name();
  description.begun_at = static_cast<std::int64_t>(std::time(nullptr));
  description.max_transfer_bytes = request.max_transfer_bytes;
  description.is_copy_only = request.is_copy_only;
  description.is_snapshot = request.is_snapshot;
  description.has_checksum = request.has_checksum;
  description.is_compressed = request.is_compressed;
  return description;
}

void run_backup_database(const Request& request, const Surroundings& surroundings, ServedSet& set) {
  cli::BackupJob job;
  job.source = surroundings.catalogue.real_path_of(request.database);
  job.options = set.engine_options(request);
  job.names_next = true;
  job.describe = [&](const cli::Snapshot&) {
    return encode_description(describe_backup(request, surroundings.catalogue));
  };
  ProgressMessages progress(surroundings.console, request.stats_percent, request.line);
  cli::serve_backup(job, progress);
  say_finished(request, progress.done_bytes(), progress.seconds(), surroundings.console);
}

}  // namespace sqlcmd
