// cmd_restore.cpp: vdset restore.
#include "backup_directory.hpp"
#include "commands.hpp"
#include "conductor.hpp"
#include "failure.hpp"
#include "options.hpp"
#include "report.hpp"
#include "restore_target.hpp"
#include "stream.hpp"

namespace cli {

namespace {

constexpr std::uint32_t transfer_bytes_unit = 65536;

ConductorPlan plan_restore(const RestoreOptions& options, const FoundBackup& backup,
                           const RestoreTarget& target) {
  ConductorPlan plan;
  plan.engine_command = "__engine-restore";
  plan.engine_extra.set("temporary", target.temporary_path());
  plan.engine.devices_count = backup.first.device_count;
  plan.engine.block_bytes = backup.first.block_bytes;
  // Reads as large as the backup's Writes let a worker decompress each chunk in place.
  plan.engine.max_transfer_bytes =
      static_cast<std::uint32_t>(round_up(backup.first.chunk_bytes_max, transfer_bytes_unit));
  if (!options.set.max_transfer_size.empty()) {
    plan.engine.max_transfer_bytes = parse_max_transfer_size(options.set.max_transfer_size);
  }
  plan.engine.buffers_count =
      choose_buffer_count(options.set.buffer_count, plan.engine.devices_count);
  plan.engine.set_name = choose_set_name(options.set.set_name);
  plan.engine.backup = backup.first.backup;
  plan.uses_processes = options.set.uses_processes;
  plan.uses_workers = backup.first.codec == Codec::zstd;
  for (const std::string& path : backup.paths) {
    TapeOptions tape;
    tape.path = path;
    plan.tapes.push_back(tape);
  }
  return plan;
}

}  // namespace

void run_restore(const RestoreOptions& options) {
  const SignalGate signals;
  const FoundBackup backup = find_backup(options.directory);
  if (is_part_of_backup(backup, options.database)) {
    fail(ExitCode::usage, "the target is one of the backup's own files", options.database,
         "restore to another path");
  }
  RestoreTarget target(options.database);
  ConductorPlan plan = plan_restore(options, backup, target);
  plan.clean_up = [&target] { target.discard(); };
  ProgressDisplay display("restore", choose_progress_style(options.set));
  RunReport report;
  {
    Conductor conductor(plan, signals, display);
    report = conductor.run();
  }
  target.commit();
  display.end();
  const ReportFrame frame = {"restore", options.database, options.directory, backup.first.codec,
                             options.set.wants_json};
  print_report(frame, plan, report);
}

}  // namespace cli
