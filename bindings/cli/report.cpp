// report.cpp: what was done, how fast, by whom, with how much memory.
#include "report.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "json.hpp"
#include "output.hpp"
#include "progress.hpp"

namespace cli {

namespace {

double gib_per_second(const RunReport& report) {
  constexpr double gib_bytes = 1024.0 * 1024.0 * 1024.0;
  if (report.seconds <= 0.0) return 0.0;
  return static_cast<double>(report.database_bytes) / gib_bytes / report.seconds;
}

std::size_t count_role(const RunReport& report, const char* role) {
  return static_cast<std::size_t>(
      std::count_if(report.processes.begin(), report.processes.end(),
                    [&](const ProcessReport& process) { return process.role == role; }));
}

std::string copies_text(const RunReport& report) {
  if (report.copied_bytes == 0) return "none: every process worked in the set's own buffers";
  return fmt::format("{} through private memory, to be checked or cut to size",
                     size_text(report.copied_bytes));
}

std::string process_json(const ProcessReport& process) {
  JsonObject object;
  object.add("role", process.role).add("pid", process.pid);
  if (process.device_index >= 0) object.add("device", process.device_index);
  object.add("peak_bytes", process.memory.peak_bytes);
  object.add("shared_bytes", process.memory.shared_bytes);
  object.add("copied_bytes", process.counts.copied_bytes);
  object.add("library_bytes", process.memory.library_bytes);
  object.add("private_peak_bytes", process.memory.private_peak_bytes);
  return object.text();
}

std::string report_json(const ReportFrame& frame, const ConductorPlan& plan,
                        const RunReport& report) {
  JsonArray memory;
  for (const ProcessReport& process : report.processes)
    memory.add_raw(process_json(process));
  JsonObject object;
  object.add("command", frame.command).add("ok", true);
  object.add("database", frame.database).add("directory", frame.directory);
  object.add("set", plan.engine.set_name).add("backup", uuid_text(plan.engine.backup));
  object.add("bytes", report.database_bytes).add("stored_bytes", report.stored_bytes);
  object.add("seconds", report.seconds).add("gib_per_second", gib_per_second(report));
  object.add("devices", plan.engine.devices_count).add("processes", report.processes.size());
  object.add("compression", codec_name(frame.codec));
  object.add("commands", report.commands).add("handles_passed", report.handles);
  object.add("copied_bytes", report.copied_bytes).add("processes_replaced", report.replaced_count);
  object.add("block_bytes", plan.engine.block_bytes);
  object.add("max_transfer_bytes", plan.engine.max_transfer_bytes);
  object.add("buffer_count", plan.engine.buffers_count);
  object.add("buffer_area_bytes", report.config.buffer_area_bytes);
  if (plan.is_backup) object.add("writers_wait", !report.writers_go_on);
  object.add_raw("peak_memory", memory.text());
  return object.text() + "\n";
}

std::string report_text(const ReportFrame& frame, const ConductorPlan& plan,
                        const RunReport& report) {
  const bool is_backup = plan.is_backup;
  const std::string database = one_line(frame.database);
  const std::string directory = one_line(frame.directory);
  std::string text = is_backup ? fmt::format("backed up {} to {}\n", database, directory)
                               : fmt::format("restored {} to {}\n", directory, database);
  text += fmt::format("  bytes      {} ({}), stored as {} ({})\n", report.database_bytes,
                      size_text(report.database_bytes), size_text(report.stored_bytes),
                      codec_name(frame.codec));
  text +=
      fmt::format("  speed      {:.2f} GiB/s, {:.2f} s\n", gib_per_second(report), report.seconds);
  text += fmt::format("  devices    {}\n", plan.engine.devices_count);
  text += fmt::format("  processes  {}: primary, engine, {} secondaries, {} workers\n",
                      report.processes.size(), count_role(report, "secondary"),
                      count_role(report, "worker"));
  text += fmt::format("  commands   {}, of them passed on by buffer handle: {}\n", report.commands,
                      report.handles);
  text += fmt::format("  copies     {}\n", copies_text(report));
  if (report.replaced_count > 0) {
    text +=
        fmt::format("  replaced   {} times, processes that were killed\n", report.replaced_count);
  }
  return text;
}

}  // namespace

void print_report(const ReportFrame& frame, const ConductorPlan& plan, const RunReport& report) {
  const char* what_is_lost = plan.is_backup
                                 ? "the backup is complete, but its report cannot be written"
                                 : "the database is restored, but the report cannot be written";
  print_out(frame.wants_json ? report_json(frame, plan, report) : report_text(frame, plan, report),
            what_is_lost);
}

}  // namespace cli
