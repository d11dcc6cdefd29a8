// listing.cpp: RESTORE FILELISTONLY, HEADERONLY, LABELONLY: reads the first block of each device
// and closes; no client has to deliver data that nobody wants.
#include <fmt/core.h>

#include <ctime>

#include "media.hpp"
#include "progress_messages.hpp"
#include "served_set.hpp"
#include "statements.hpp"

namespace sqlcmd {

namespace {

constexpr std::size_t name_width = 128;
constexpr std::size_t text_width = 255;
constexpr std::size_t path_width = 260;
constexpr std::size_t number_width = 20;
constexpr std::size_t small_width = 6;
constexpr std::size_t time_width = 23;
constexpr const char* virtual_device_type = "7";

struct Cell {
  Column column;
  std::string value;
};

Table table_of(const std::vector<Cell>& cells) {
  Table table;
  table.rows.emplace_back();
  for (const Cell& cell : cells) {
    table.columns.push_back(cell.column);
    table.rows[0].push_back(one_line(cell.value));
  }
  return table;
}

Cell text(const char* name, std::size_t width, const std::string& value) {
  return {{name, width, false}, value.empty() ? "NULL" : value};
}

Cell number(const char* name, std::size_t width, std::uint64_t value) {
  return {{name, width, true}, std::to_string(value)};
}

std::string time_text(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts = {};
  char text[32] = {};
  if (::localtime_r(&time, &parts) == nullptr) return {};
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S.000", &parts);
  return text;
}

Table files_table(const cli::BlockHeader& header, const Description& d) {
  return table_of({
      text("LogicalName", name_width, d.logical_file),
      text("PhysicalName", path_width, d.physical_file),
      text("Type", 4, "D"),
      text("FileGroupName", name_width, "PRIMARY"),
      number("Size", number_width, header.database_bytes),
      number("MaxSize", number_width, static_cast<std::uint64_t>(INT64_MAX)),
      number("FileId", number_width, 1),
  });
}

Table headers_table(const cli::BlockHeader& header, const Description& d) {
  const int type = d.type == BackupType::full ? 1 : d.type == BackupType::log ? 2 : 5;
  return table_of({
      text("BackupName", name_width, d.name),
      text("BackupDescription", text_width, d.text),
      number("BackupType", small_width, static_cast<std::uint64_t>(type)),
      number("Compressed", 1, d.is_compressed ? 1 : 0),
      number("Position", small_width, 1),
      {{"DeviceType", small_width, true}, virtual_device_type},
      text("ServerName", name_width, d.server),
      text("DatabaseName", name_width, d.database),
      number("BackupSize", number_width, header.database_bytes),
      text("BackupStartDate", time_width, time_text(d.begun_at)),
      text("BackupSetGUID", 36, cli::uuid_text(header.backup)),
      number("HasBackupChecksums", 1, d.has_checksum ? 1 : 0),
      number("IsSnapshot", 1, d.is_snapshot ? 1 : 0),
      number("IsCopyOnly", 1, d.is_copy_only ? 1 : 0),
      number("BlockSize", small_width, header.block_bytes),
      number("MaxTransferSize", number_width, d.max_transfer_bytes),
      number("PageSize", small_width, header.page_bytes),
  });
}

Table label_table(const cli::BlockHeader& header, const Description& d) {
  return table_of({
      text("MediaName", name_width, d.media_name),
      text("MediaSetId", 36, cli::uuid_text(header.backup)),
      number("FamilyCount", small_width, header.device_count),
      number("FamilySequenceNumber", small_width, header.device_index + 1),
      number("MediaSequenceNumber", small_width, 1),
      text("SoftwareName", name_width, "vdset"),
      text("MediaDate", time_width, time_text(d.begun_at)),
  });
}

}  // namespace

void run_listing(const Request& request, const Surroundings& surroundings, ServedSet& set) {
  Table table;
  cli::RestoreJob job;
  job.options = set.engine_options(request);
  job.reads_exactly = true;
  job.on_described = [&](std::span<const cli::DeviceDescription> devices) {
    const Description description = judge_media(request, devices, false);
    const cli::BlockHeader& header = devices.front().header;
    table = request.verb == Verb::list_files     ? files_table(header, description)
            : request.verb == Verb::list_headers ? headers_table(header, description)
                                                 : label_table(header, description);
    cli::RestorePlan plan;
    plan.reads_on = false;
    return plan;
  };
  ProgressMessages progress(surroundings.console, 0, request.line);
  run_described(job, progress);
  surroundings.console.print(table, surroundings.counts_rows);
}

}  // namespace sqlcmd
