// cmd_verify.cpp: vdset verify: reads every byte of a backup once and checks every checksum, every
// total and the order of all blocks, without a set and without a database.
#include <fmt/core.h>

#include <chrono>
#include <optional>
#include <vector>

#include "backup_directory.hpp"
#include "commands.hpp"
#include "device_file.hpp"
#include "failure.hpp"
#include "json.hpp"
#include "memory_use.hpp"
#include "output.hpp"
#include "progress.hpp"
#include "stream.hpp"

namespace cli {

namespace {

constexpr std::size_t piece_bytes = 262144;

struct DeviceVerdict {
  std::string path;
  std::uint64_t chunks_count = 0;
  std::uint64_t raw_bytes = 0;
  std::optional<Failure> failure;
  DeviceSummary summary;
};

DeviceVerdict verify_device(const FoundBackup& backup, std::uint32_t index) {
  DeviceVerdict verdict;
  verdict.path = backup.paths[index];
  BlockParser parser(
      index, backup.first.device_count, [](const BlockHeader&) {}, [](std::uint64_t, ByteSpan) {});
  std::vector<std::uint8_t> piece(piece_bytes);
  try {
    DeviceFileReader reader(verdict.path);
    std::size_t got_bytes = piece.size();
    while (got_bytes == piece.size()) {
      got_bytes = reader.read(piece);
      parser.feed({piece.data(), got_bytes});
    }
    parser.expect_end();
    verdict.chunks_count = reader.chunks_count();
    verdict.raw_bytes = reader.raw_bytes();
    verdict.summary = parser.summary();
  } catch (const Failure& failure) {
    verdict.failure = failure;
  }
  return verdict;
}

std::string device_json(const DeviceVerdict& verdict) {
  JsonObject object;
  object.add("file", verdict.path).add("ok", !verdict.failure);
  object.add("chunks", verdict.chunks_count).add("bytes", verdict.raw_bytes);
  if (verdict.failure) object.add("error", verdict.failure->text());
  return object.text();
}

std::string report_json(const VerifyOptions& options, const FoundBackup& backup,
                        const std::vector<DeviceVerdict>& verdicts, const Failure* failure) {
  JsonArray devices;
  for (const DeviceVerdict& verdict : verdicts)
    devices.add_raw(device_json(verdict));
  JsonObject object;
  object.add("command", "verify").add("ok", failure == nullptr);
  if (failure != nullptr) {
    object.add("exit_code", static_cast<int>(failure->code())).add("error", failure->text());
  }
  object.add("directory", options.directory).add("backup", uuid_text(backup.first.backup));
  object.add("compression", codec_name(backup.first.codec));
  object.add("stored_bytes", backup.files_bytes);
  if (failure == nullptr) {
    object.add("bytes", verdicts.front().summary.trailer.database_bytes);
    object.add("blocks", verdicts.front().summary.trailer.sequence);
  }
  object.add("private_peak_bytes", measure_memory().private_peak_bytes);
  object.add_raw("devices", devices.text());
  return object.text() + "\n";
}

std::string report_text(const VerifyOptions& options, const FoundBackup& backup,
                        const std::vector<DeviceVerdict>& verdicts, double seconds) {
  const BlockHeader& trailer = verdicts.front().summary.trailer;
  return fmt::format("{} is whole: {} in {} blocks on {} devices, {} stored ({}), {:.2f} s\n",
                     one_line(options.directory), size_text(trailer.database_bytes),
                     trailer.sequence, verdicts.size(), size_text(backup.files_bytes),
                     codec_name(backup.first.codec), seconds);
}

/// The first failure; says how many other files are damaged, too.
std::optional<Failure> judge(const std::vector<DeviceVerdict>& verdicts) {
  std::optional<Failure> first;
  std::size_t failed_count = 0;
  for (const DeviceVerdict& verdict : verdicts) {
    if (!verdict.failure) continue;
    if (!first) first = verdict.failure;
    ++failed_count;
  }
  if (failed_count > 1) {
    return Failure(first->code(),
                   fmt::format("{} (and {} more files)", first->text(), failed_count - 1));
  }
  if (first) return first;
  std::vector<DeviceSummary> summaries;
  for (const DeviceVerdict& verdict : verdicts)
    summaries.push_back(verdict.summary);
  try {
    judge_set(summaries);
  } catch (const Failure& failure) {
    return failure;
  }
  return {};
}

}  // namespace

void run_verify(const VerifyOptions& options) {
  const auto started_at = std::chrono::steady_clock::now();
  const FoundBackup backup = find_backup(options.directory);
  std::vector<DeviceVerdict> verdicts;
  for (std::uint32_t i = 0; i < backup.first.device_count; ++i) {
    verdicts.push_back(verify_device(backup, i));
  }
  const std::optional<Failure> failure = judge(verdicts);
  if (failure && options.wants_json) {
    put_out(report_json(options, backup, verdicts, &*failure));
    throw ReportedFailure(*failure);
  }
  if (failure) throw *failure;
  const auto elapsed = std::chrono::steady_clock::now() - started_at;
  const double seconds = std::chrono::duration<double>(elapsed).count();
  print_out(options.wants_json ? report_json(options, backup, verdicts, nullptr)
                               : report_text(options, backup, verdicts, seconds),
            "the backup is whole, but the report cannot be written");
}

}  // namespace cli
