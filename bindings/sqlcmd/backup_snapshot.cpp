// backup_snapshot.cpp: BACKUP DATABASE ... WITH SNAPSHOT. Only metadata passes through the device;
// the client copies the file itself while the database is frozen.
#include <fmt/core.h>

#include <condition_variable>
#include <cstring>
#include <mutex>

#include "cli/engine_set.hpp"
#include "cli/stream.hpp"
#include "frozen_database.hpp"
#include "progress_messages.hpp"
#include "served_set.hpp"
#include "statements.hpp"

namespace sqlcmd {

namespace {

/// The one device: a command, its answer, the next command.
class SnapshotDevice {
 public:
  explicit SnapshotDevice(const cli::EngineOptions& options)
      : set_(options, VDSET_FEATURE_WRITE_MEDIA) {
    set_.start([this](cli::Slot& slot) { on_completion(slot); }, [this] { wake(); });
  }

  bool prepares() const { return (set_.features() & VDSET_FEATURE_SNAPSHOT_PREPARE) != 0; }

  /// Writes one block. False when the set is stopped.
  bool write(cli::BlockHeader header, std::span<const std::uint8_t> payload) {
    cli::Slot& slot = set_.slots().front();
    std::copy(payload.begin(), payload.end(), slot.buffer + cli::block_header_bytes);
    header.payload_bytes = static_cast<std::uint32_t>(payload.size());
    const std::uint32_t stored_bytes = cli::seal_block(header, slot.buffer);
    return run(slot, VDSET_COMMAND_WRITE, stored_bytes);
  }
  bool command(std::uint32_t code) { return run(bare_, code, 0); }

  /// Closes the device; throws the failure, if there was one.
  void finish() {
    if (!set_.is_stopped()) set_.close_device(0);
    set_.finish();
  }

 private:
  bool run(cli::Slot& slot, std::uint32_t code, std::uint32_t size_bytes) {
    if (set_.is_stopped()) return false;
    set_.send(slot, 0, code, size_bytes, written_bytes_);
    written_bytes_ += size_bytes;
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return slot.is_done || set_.is_stopped(); });
    return slot.is_done && !set_.is_stopped();
  }

  void on_completion(cli::Slot& slot) {
    const bool is_short = slot.command.code == VDSET_COMMAND_WRITE &&
                          slot.command.bytes_transferred != slot.command.size;
    if (slot.command.completion_code != VDSET_SUCCESS || is_short) {
      set_.stop_after_answer(slot, cli::Failure(cli::ExitCode::aborted, "the client gave up",
                                                cli::Cause::consequence));
    }
    const std::lock_guard lock(mutex_);
    slot.is_done = true;
    changed_.notify_all();
  }

  void wake() {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  cli::Slot bare_;
  std::uint64_t written_bytes_ = 0;
  cli::EngineSet set_;
};

void say_frozen(const Request& request, std::int32_t number, const char* what, Console& console) {
  const Message message = {number, severity_note,
                           fmt::format("Writing to the database '{}' {}.", request.database, what),
                           request.line};
  console.log(message);
  console.say(message);
}

}  // namespace

void run_backup_snapshot(const Request& request, const Surroundings& surroundings, ServedSet& set) {
  Console& console = surroundings.console;
  cli::EngineOptions options = set.engine_options(request);
  options.offers_complete = false;  // After Snapshot nothing but the end may come.
  ProgressMessages progress(console, request.stats_percent, request.line);
  FrozenDatabase database(surroundings.catalogue.real_path_of(request.database));
  SnapshotDevice device(options);
  cli::BlockHeader header;
  header.backup = options.backup;
  header.device_count = 1;
  header.block_bytes = options.block_bytes;
  // As it is now, for who reads the list; until the freeze it may still grow.
  header.database_bytes = database.database_bytes();
  header.page_bytes = database.page_bytes();
  header.kind = cli::BlockKind::description;
  header.next_bytes = options.block_bytes;  // The trailer, which is one block.
  bool goes_on =
      device.write(header, encode_description(describe_backup(request, surroundings.catalogue)));
  if (goes_on && device.prepares()) goes_on = device.command(VDSET_COMMAND_PREPARE_TO_FREEZE);
  if (goes_on) {
    database.freeze();
    say_frozen(request, number::io_frozen, "is suspended for a snapshot", console);
    const std::uint64_t frozen_bytes = database.database_bytes();
    header.kind = cli::BlockKind::trailer;
    header.next_bytes = 0;
    goes_on = device.write(header, {}) && device.command(VDSET_COMMAND_FLUSH) &&
              device.command(VDSET_COMMAND_SNAPSHOT);
    database.thaw();
    say_frozen(request, number::io_resumed, "goes on", console);
    progress.progress(frozen_bytes);
  }
  device.finish();
  say_finished(request, progress.done_bytes(), progress.seconds(), console);
}

}  // namespace sqlcmd
