// engine_restore.cpp: the database engine of a restore: one thread per device keeps several Reads
// under way, checks what comes back and writes it to the temporary file. The parent puts that file
// in place.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <memory>

#include "child.hpp"
#include "control.hpp"
#include "descriptor.hpp"
#include "engine_set.hpp"
#include "roles.hpp"
#include "sqlite_support.hpp"
#include "stream.hpp"

namespace cli {

namespace {

constexpr auto progress_interval = std::chrono::milliseconds(100);

// Clients can write to a buffer at any time, even when it is ours. So bytes are copied to private
// memory first, and what is summed up is what is written to the file. Small pieces keep that memory
// small.
constexpr std::size_t private_copy_bytes = 65536;

class RestoreEngine {
 public:
  RestoreEngine(const Arguments& arguments, ControlSender& control)
      : control_(control),
        temporary_path_(arguments.text("temporary")),
        file_(open_file(temporary_path_, O_RDWR | O_CREAT | O_EXCL, "cannot make the file")),
        devices_(EngineOptions::from(arguments).devices_count),
        set_(EngineOptions::from(arguments), VDSET_FEATURE_READ_MEDIA) {
    make_devices();
  }

  void run();

 private:
  struct Device {
    std::vector<Slot*> ring;  // Reads under way, oldest at `head`.
    std::size_t head = 0;
    std::uint32_t outstanding = 0;
    std::condition_variable changed;
    std::unique_ptr<BlockParser> parser;
    std::vector<std::uint8_t> copy;
  };

  void make_devices();
  void run_device(std::uint32_t index);
  void send_read(std::uint32_t index, Slot& slot);
  bool wait_done(std::uint32_t index, Slot& slot);
  bool take_answer(std::uint32_t index, Slot& slot);
  void drain(std::uint32_t index);
  void on_header(const BlockHeader& header);
  void on_payload(std::uint64_t offset, ByteSpan bytes);
  void on_completion(Slot& slot);
  void wake_all();
  void finish_file();
  void check_database();

  ControlSender& control_;
  std::string temporary_path_;
  Descriptor file_;
  std::mutex mutex_;  // Guards outstanding and the slots' is_done.
  std::vector<Device> devices_;
  std::once_flag plan_once_;
  std::mutex progress_mutex_;
  std::uint64_t payload_bytes_ = 0;
  std::uint64_t database_bytes_ = 0;
  std::chrono::steady_clock::time_point reported_at_;
  // Last, hence first to go: closing it completes what is outstanding, which needs all the above.
  EngineSet set_;
};

void RestoreEngine::make_devices() {
  const std::uint32_t devices_count = set_.options().devices_count;
  std::vector<Slot>& slots = set_.slots();
  for (std::uint32_t i = 0; i < devices_count; ++i) {
    Device& device = devices_[i];
    device.copy.resize(private_copy_bytes);
    device.parser = std::make_unique<BlockParser>(
        i, devices_count, [this](const BlockHeader& header) { on_header(header); },
        [this](std::uint64_t offset, ByteSpan bytes) { on_payload(offset, bytes); });
  }
  for (std::size_t i = 0; i < slots.size(); ++i) {
    Device& device = devices_[i % devices_count];
    if (device.ring.size() < in_flight_max) device.ring.push_back(&slots[i]);
  }
}

void RestoreEngine::run() {
  set_.start([this](Slot& slot) { on_completion(slot); }, [this] { wake_all(); });
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < set_.options().devices_count; ++i) {
    threads.emplace_back([this, i] { run_guarded(set_, [this, i] { run_device(i); }); });
  }
  for (std::thread& thread : threads)
    thread.join();
  set_.finish();
  finish_file();
  Counts counts;
  counts.payload_bytes = payload_bytes_;
  counts.commands = set_.commands_count();
  control_.progress(payload_bytes_);
  control_.done(counts);
}

void RestoreEngine::run_device(std::uint32_t index) {
  Device& device = devices_[index];
  for (Slot* slot : device.ring)
    send_read(index, *slot);
  while (!device.parser->is_finished()) {
    Slot& slot = *device.ring[device.head];
    if (!wait_done(index, slot)) return;
    const bool may_go_on = take_answer(index, slot);
    if (device.parser->is_finished()) break;
    if (!may_go_on) device.parser->expect_end();  // Throws: the device ended, the stream did not.
    send_read(index, slot);
    device.head = (device.head + 1) % device.ring.size();
  }
  drain(index);
  if (!set_.is_stopped()) set_.close_device(index);
}

void RestoreEngine::send_read(std::uint32_t index, Slot& slot) {
  {
    const std::lock_guard lock(mutex_);
    devices_[index].outstanding += 1;
  }
  set_.send(slot, index, VDSET_COMMAND_READ, set_.options().max_transfer_bytes);
}

bool RestoreEngine::wait_done(std::uint32_t index, Slot& slot) {
  std::unique_lock lock(mutex_);
  devices_[index].changed.wait(lock, [&] { return slot.is_done || set_.is_stopped(); });
  return slot.is_done && !set_.is_stopped();
}

/// Feeds the parser. False when the device says that it has no more.
bool RestoreEngine::take_answer(std::uint32_t index, Slot& slot) {
  Device& device = devices_[index];
  const std::int32_t code = slot.command.completion_code;
  const bool is_end = code == VDSET_ERROR_HANDLE_EOF || code == VDSET_ERROR_NO_DATA_DETECTED;
  if (code != VDSET_SUCCESS && !is_end) {
    throw Failure(
        ExitCode::aborted,
        fmt::format("device {} answered code {}: Read; look at the process that serves it", index,
                    code),
        Cause::consequence);
  }
  ByteSpan rest(slot.buffer, static_cast<std::size_t>(slot.command.bytes_transferred));
  if (rest.empty() && !is_end) {
    fail(ExitCode::damaged, "a Read brought nothing", fmt::format("device {}", index),
         "look at the process that serves it");
  }
  while (!rest.empty()) {
    const std::size_t piece_bytes = std::min(rest.size(), device.copy.size());
    std::memcpy(device.copy.data(), rest.data(), piece_bytes);
    device.parser->feed({device.copy.data(), piece_bytes});
    rest = rest.subspan(piece_bytes);
  }
  return !is_end;
}

void RestoreEngine::drain(std::uint32_t index) {
  // Reads sent before the trailer was seen bring nothing any more: end of data, or 1117 behind it.
  Device& device = devices_[index];
  std::unique_lock lock(mutex_);
  device.changed.wait(lock, [&] { return device.outstanding == 0 || set_.is_stopped(); });
  if (set_.is_stopped()) return;
  for (Slot* slot : device.ring) {
    const bool is_last_answer = slot == device.ring[device.head];
    const bool brought_bytes =
        slot->command.completion_code == VDSET_SUCCESS || slot->command.bytes_transferred != 0;
    if (is_last_answer || !brought_bytes) continue;
    lock.unlock();
    fail(ExitCode::damaged, "bytes after the trailer", fmt::format("device {}", index),
         "use another copy of this backup");
  }
}

void RestoreEngine::on_header(const BlockHeader& header) {
  std::call_once(plan_once_, [&] {
    database_bytes_ = header.database_bytes;
    control_.plan(header.database_bytes, false);
    // Finds out now whether there is room; a file system that cannot tell says EOPNOTSUPP.
    if (header.database_bytes > 0 &&
        ::fallocate(file_.number(), 0, 0, static_cast<off_t>(header.database_bytes)) != 0 &&
        errno != EOPNOTSUPP && errno != ENOSYS) {
      fail_errno(errno, "cannot make the file", temporary_path_);
    }
  });
}

void RestoreEngine::on_payload(std::uint64_t offset, ByteSpan bytes) {
  write_fully_at(file_.number(), bytes, offset, temporary_path_);
  const std::lock_guard lock(progress_mutex_);
  payload_bytes_ += bytes.size();
  const auto now = std::chrono::steady_clock::now();
  if (now - reported_at_ < progress_interval) return;
  reported_at_ = now;
  control_.progress(payload_bytes_);
}

void RestoreEngine::on_completion(Slot& slot) {
  const std::lock_guard lock(mutex_);
  slot.is_done = true;
  Device& device = devices_[slot.device_index];
  device.outstanding -= 1;
  device.changed.notify_all();
}

void RestoreEngine::wake_all() {
  const std::lock_guard lock(mutex_);
  for (Device& device : devices_)
    device.changed.notify_all();
}

void RestoreEngine::finish_file() {
  std::vector<DeviceSummary> summaries;
  for (const Device& device : devices_)
    summaries.push_back(device.parser->summary());
  judge_set(summaries);
  const auto database_bytes = static_cast<off_t>(summaries.front().trailer.database_bytes);
  if (::ftruncate(file_.number(), database_bytes) != 0) {
    fail_errno(errno, "cannot set the file's length", temporary_path_);
  }
  if (::fsync(file_.number()) != 0) fail_errno(errno, "cannot make durable", temporary_path_);
  for (Device& device : devices_)
    device.copy = {};  // SQLite needs the memory now.
  if (database_bytes > 0) check_database();
}

void RestoreEngine::check_database() {
  control_.note("all blocks are in place; checking the database");
  SqliteConnection database;
  // Immutable: no journal, no -wal and no -shm beside the temporary file.
  std::string uri = "file:";
  for (const char c : temporary_path_) {
    const bool is_plain = c != '?' && c != '#' && c != '%';
    uri += is_plain ? std::string(1, c) : fmt::format("%{:02x}", static_cast<unsigned>(c));
  }
  database.open(uri + "?immutable=1", SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nullptr);
  database.execute("PRAGMA cache_size=-4096; PRAGMA mmap_size=0;");
  const std::string verdict = database.query_text("PRAGMA integrity_check(1)");
  if (verdict != "ok") {
    fail(ExitCode::damaged, "the restored database fails its integrity check", verdict,
         "the source was damaged when it was backed up: use an older backup");
  }
}

}  // namespace

int run_engine_restore(const Arguments& arguments) {
  begin_child("vdset-engine", arguments.text("temporary"));
  return run_child_role([&](ControlSender& control) {
    RestoreEngine engine(arguments, control);
    engine.run();
  });
}

}  // namespace cli
