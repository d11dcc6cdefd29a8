// cmd_backup.cpp: vdset backup.
#include <sys/stat.h>

#include <cerrno>
#include <chrono>

#include "backup_directory.hpp"
#include "commands.hpp"
#include "conductor.hpp"
#include "failure.hpp"
#include "options.hpp"
#include "report.hpp"

namespace cli {

namespace {

constexpr const char* default_max_transfer_size = "1M";

ConductorPlan plan_backup(const BackupOptions& options) {
  ConductorPlan plan;
  plan.is_backup = true;
  plan.engine_command = "__engine-backup";
  plan.engine_extra.set("source", options.database);
  check_devices_count(options.devices_count);
  const std::string& transfer = options.set.max_transfer_size;
  plan.engine.devices_count = options.devices_count;
  plan.engine.block_bytes = parse_block_size(options.block_size);
  plan.engine.max_transfer_bytes =
      parse_max_transfer_size(transfer.empty() ? default_max_transfer_size : transfer);
  plan.engine.buffers_count = choose_buffer_count(options.set.buffer_count, options.devices_count);
  plan.engine.set_name = choose_set_name(options.set.set_name);
  plan.engine.backup = random_uuid();
  plan.uses_processes = options.set.uses_processes;
  plan.uses_workers = parse_compression(options.compression) == Codec::zstd;
  plan.hands_over = parse_hands_over(options.on_helper_death);
  if (plan.hands_over && !plan.uses_processes) {
    fail(ExitCode::usage, "only processes can be replaced", "--on-helper-death hand-over",
         "add --processes");
  }
  return plan;
}

void plan_tapes(ConductorPlan& plan, const NewBackup& directory, Codec codec) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  TapeOptions tape;
  tape.is_backup = true;
  tape.header.backup = plan.engine.backup;
  tape.header.device_count = plan.engine.devices_count;
  tape.header.codec = codec;
  tape.header.block_bytes = plan.engine.block_bytes;
  tape.header.chunk_bytes_max = plan.engine.max_transfer_bytes;
  tape.header.created_unix_ns =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
  tape.header.set_name = plan.engine.set_name;
  for (std::uint32_t i = 0; i < plan.engine.devices_count; ++i) {
    tape.header.device_index = i;
    tape.path = directory.temporary_path(i);
    plan.tapes.push_back(tape);
  }
}

/// Before anything is made: the engine would find it out, too, but later.
void check_source(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) fail_errno(errno, "cannot open the database", path);
  if (!S_ISREG(status.st_mode)) {
    fail(ExitCode::bad_input, "not a regular file", path, "give the path of a database file");
  }
}

}  // namespace

void run_backup(const BackupOptions& options) {
  const SignalGate signals;
  ConductorPlan plan = plan_backup(options);
  const Codec codec = parse_compression(options.compression);
  check_source(options.database);
  NewBackup directory(options.directory, options.replaces, options.database);
  plan_tapes(plan, directory, codec);
  plan.clean_up = [&directory] { directory.discard(); };
  ProgressDisplay display("backup", choose_progress_style(options.set));
  RunReport report;
  {
    Conductor conductor(plan, signals, display);
    report = conductor.run();
  }
  directory.commit(plan.engine.backup, plan.engine.devices_count);
  display.end();
  const ReportFrame frame = {"backup", options.database, options.directory, codec,
                             options.set.wants_json};
  print_report(frame, plan, report);
}

}  // namespace cli
