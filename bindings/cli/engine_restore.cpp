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
#include "descriptor.hpp"
#include "engine_restore.hpp"
#include "roles.hpp"
#include "sqlite_support.hpp"

namespace cli {

namespace {

constexpr auto progress_interval = std::chrono::milliseconds(100);

// Clients can write to a buffer at any time, even when it is ours. So bytes are copied to private
// memory first, and what is summed up is what is written to the file. Small pieces keep that memory
// small.
constexpr std::size_t private_copy_bytes = 65536;

class RestoreEngine {
 public:
  RestoreEngine(const RestoreJob& job, EngineObserver& observer)
      : job_(job),
        observer_(observer),
        devices_(job.options.devices_count),
        set_(job.options, VDSET_FEATURE_READ_MEDIA) {
    if (!job_.on_described) take_plan(job_.plan);
    make_devices();
  }

  void run();

 private:
  struct Device {
    std::vector<Slot*> ring;  // Reads under way, oldest at `head`.
    std::size_t head = 0;
    std::uint32_t outstanding = 0;
    std::uint64_t asked_bytes = 0;  // Where the next Read begins.
    bool has_ended = false;         // It said that it has no more.
    bool waits_for_plan = false;    // What comes behind the description is kept until then.
    std::vector<std::uint8_t> early;
    std::condition_variable changed;
    std::unique_ptr<BlockParser> parser;
    DeviceDescription description;
    std::vector<std::uint8_t> copy;
    std::uint64_t copied_bytes = 0;
    Slot bare;  // For commands without a buffer.
  };

  void take_plan(const RestorePlan& plan);
  void make_devices();
  void run_device(std::uint32_t index);
  void read_ahead(std::uint32_t index);
  void read_exactly(std::uint32_t index);
  bool read_next(std::uint32_t index);
  bool meet_described();
  void mount_snapshot(std::uint32_t index);
  bool send_bare(std::uint32_t index, std::uint32_t code);
  void send_read(std::uint32_t index, Slot& slot, std::uint32_t size_bytes);
  bool wait_done(std::uint32_t index, Slot& slot);
  bool take_answer(std::uint32_t index, Slot& slot);
  void feed(Device& device, ByteSpan bytes);
  void drain(std::uint32_t index);
  void stop_after(std::uint32_t index, const Slot& slot, const std::string& what);
  void on_header(Device& device, const BlockHeader& header);
  void on_payload(std::uint64_t offset, ByteSpan bytes);
  void on_completion(Slot& slot);
  void wake_all();
  void finish_file();
  void check_database();

  const RestoreJob& job_;
  EngineObserver& observer_;
  RestorePlan plan_;
  Descriptor file_;
  std::mutex mutex_;  // Guards outstanding, the slots' is_done, and the two below.
  std::uint32_t described_count_ = 0;
  bool is_planned_ = false;
  std::condition_variable described_changed_;
  std::vector<Device> devices_;
  std::once_flag plan_once_;
  std::mutex progress_mutex_;
  std::uint64_t payload_bytes_ = 0;
  std::uint64_t database_bytes_ = 0;
  std::chrono::steady_clock::time_point reported_at_;
  // Last, hence first to go: closing it completes what is outstanding, which needs all the above.
  EngineSet set_;
};

void RestoreEngine::take_plan(const RestorePlan& plan) {
  plan_ = plan;
  if (plan_.temporary_path.empty()) return;
  file_ = open_file(plan_.temporary_path, O_RDWR, "cannot open the file to be made");
}

void RestoreEngine::make_devices() {
  const std::uint32_t devices_count = set_.options().devices_count;
  std::vector<Slot>& slots = set_.slots();
  for (std::uint32_t i = 0; i < devices_count; ++i) {
    Device& device = devices_[i];
    device.copy.resize(private_copy_bytes);
    device.parser = std::make_unique<BlockParser>(
        job_.on_described ? BlockParser::any_device : i, devices_count,
        [this, &device](const BlockHeader& header) { on_header(device, header); },
        [this](std::uint64_t offset, ByteSpan bytes) { on_payload(offset, bytes); },
        [&device](ByteSpan bytes) {
          std::vector<std::uint8_t>& payload = device.description.payload;
          payload.insert(payload.end(), bytes.begin(), bytes.end());
        });
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
  if (plan_.reads_on) finish_file();
  Counts counts;
  counts.payload_bytes = payload_bytes_;
  counts.commands = set_.commands_count();
  for (const Device& device : devices_)
    counts.copied_bytes += device.copied_bytes;
  observer_.progress(payload_bytes_);
  observer_.done(counts);
}

void RestoreEngine::run_device(std::uint32_t index) {
  if (job_.reads_exactly) {
    read_exactly(index);
  } else {
    read_ahead(index);
  }
  if (!set_.is_stopped()) set_.close_device(index);
}

void RestoreEngine::read_ahead(std::uint32_t index) {
  Device& device = devices_[index];
  const std::uint32_t size_bytes = set_.options().max_transfer_bytes;
  for (Slot* slot : device.ring)
    send_read(index, *slot, size_bytes);
  while (!device.parser->is_finished()) {
    Slot& slot = *device.ring[device.head];
    if (!wait_done(index, slot) || !take_answer(index, slot)) return;
    if (device.parser->is_finished()) break;
    if (device.has_ended) device.parser->expect_end();  // Throws: the stream is not finished.
    send_read(index, slot, size_bytes);
    device.head = (device.head + 1) % device.ring.size();
  }
  drain(index);
}

void RestoreEngine::read_exactly(std::uint32_t index) {
  Device& device = devices_[index];
  const BlockParser& parser = *device.parser;
  if (job_.on_described) {
    device.waits_for_plan = true;
    while (!parser.is_described()) {
      if (!read_next(index)) return;
    }
    if (!meet_described() || !plan_.reads_on) return;
    device.waits_for_plan = false;
    feed(device, device.early);
  }
  while (!parser.is_finished()) {
    if (!read_next(index)) return;
  }
  if (plan_.mounts_snapshot) mount_snapshot(index);
}

/// One Read of what comes next for certain. False when the set is stopped.
bool RestoreEngine::read_next(std::uint32_t index) {
  Device& device = devices_[index];
  if (device.has_ended) device.parser->expect_end();  // Throws: the stream is not finished.
  const std::uint32_t known_bytes = device.parser->known_bytes();
  if (known_bytes == 0) {
    fail(ExitCode::damaged, "the stream does not say how it goes on",
         fmt::format("device {}", index), "restore it with the program that made it");
  }
  // Whole blocks, as all transfers; the last may then reach beyond what is known.
  const auto wanted_bytes =
      static_cast<std::uint32_t>(round_up(known_bytes, set_.options().block_bytes));
  Slot& slot = *device.ring.front();
  send_read(index, slot, std::min(wanted_bytes, set_.options().max_transfer_bytes));
  return wait_done(index, slot) && take_answer(index, slot);
}

/// Waits until every device is described; the last to come asks how to go on. False when the set is
/// stopped.
bool RestoreEngine::meet_described() {
  std::unique_lock lock(mutex_);
  described_count_ += 1;
  if (described_count_ < devices_.size()) {
    described_changed_.wait(lock, [this] { return is_planned_ || set_.is_stopped(); });
    return !set_.is_stopped();
  }
  lock.unlock();
  std::vector<DeviceDescription> descriptions;
  for (const Device& device : devices_)
    descriptions.push_back(device.description);
  take_plan(job_.on_described(descriptions));
  lock.lock();
  is_planned_ = true;
  described_changed_.notify_all();
  return !set_.is_stopped();
}

void RestoreEngine::mount_snapshot(std::uint32_t index) {
  // A device that said where it ends is in IO-ERROR.
  if (devices_[index].has_ended && !send_bare(index, VDSET_COMMAND_CLEAR_ERROR)) return;
  send_bare(index, VDSET_COMMAND_MOUNT_SNAPSHOT);
}

/// Sends a command without a buffer and waits for its end. False when the set is stopped.
bool RestoreEngine::send_bare(std::uint32_t index, std::uint32_t code) {
  Slot& slot = devices_[index].bare;
  {
    const std::lock_guard lock(mutex_);
    devices_[index].outstanding += 1;
  }
  set_.send(slot, index, code, 0);
  if (!wait_done(index, slot)) return false;
  if (slot.command.completion_code == VDSET_SUCCESS) return true;
  stop_after(index, slot, fmt::format("command {}", code));
  return false;
}

void RestoreEngine::send_read(std::uint32_t index, Slot& slot, std::uint32_t size_bytes) {
  Device& device = devices_[index];
  {
    const std::lock_guard lock(mutex_);
    device.outstanding += 1;
  }
  set_.send(slot, index, VDSET_COMMAND_READ, size_bytes, device.asked_bytes);
  if (!job_.reads_exactly) device.asked_bytes += size_bytes;
}

bool RestoreEngine::wait_done(std::uint32_t index, Slot& slot) {
  std::unique_lock lock(mutex_);
  devices_[index].changed.wait(lock, [&] { return slot.is_done || set_.is_stopped(); });
  return slot.is_done && !set_.is_stopped();
}

void RestoreEngine::stop_after(std::uint32_t index, const Slot& slot, const std::string& what) {
  const std::string text =
      fmt::format("device {} answered code {}: {}; look at the process that serves it", index,
                  slot.command.completion_code, what);
  set_.stop_after_answer(slot, Failure(ExitCode::aborted, text, Cause::consequence));
}

/// Feeds the parser. False when the set is stopped.
bool RestoreEngine::take_answer(std::uint32_t index, Slot& slot) {
  Device& device = devices_[index];
  const std::int32_t code = slot.command.completion_code;
  const bool is_end = code == VDSET_ERROR_HANDLE_EOF || code == VDSET_ERROR_NO_DATA_DETECTED;
  if (code != VDSET_SUCCESS && !is_end) {
    stop_after(index, slot, "Read");
    return false;
  }
  device.has_ended = is_end;
  ByteSpan rest(slot.buffer, static_cast<std::size_t>(slot.command.bytes_transferred));
  if (rest.empty() && !is_end) {
    fail(ExitCode::damaged, "a Read brought nothing", fmt::format("device {}", index),
         "look at the process that serves it");
  }
  while (!rest.empty()) {
    const std::size_t piece_bytes = std::min(rest.size(), device.copy.size());
    std::memcpy(device.copy.data(), rest.data(), piece_bytes);
    device.copied_bytes += piece_bytes;
    feed(device, {device.copy.data(), piece_bytes});
    if (job_.reads_exactly) device.asked_bytes += piece_bytes;
    rest = rest.subspan(piece_bytes);
  }
  return true;
}

void RestoreEngine::feed(Device& device, ByteSpan bytes) {
  while (device.waits_for_plan && !device.parser->is_described() && !bytes.empty()) {
    const std::size_t known_bytes = device.parser->known_bytes();
    const std::size_t part_bytes = std::min(bytes.size(), known_bytes);
    if (part_bytes == 0) break;
    device.parser->feed(bytes.first(part_bytes));
    bytes = bytes.subspan(part_bytes);
  }
  if (device.waits_for_plan && device.parser->is_described()) {
    device.early.insert(device.early.end(), bytes.begin(), bytes.end());
  } else {
    device.parser->feed(bytes);
  }
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

void RestoreEngine::on_header(Device& device, const BlockHeader& header) {
  if (header.kind == BlockKind::description) {
    device.description.header = header;
    return;
  }
  if (job_.on_described && !device.parser->is_described()) {
    fail(ExitCode::damaged, "the stream does not begin with a description",
         fmt::format("device {}", header.device_index), "restore it with the program that made it");
  }
  std::call_once(plan_once_, [&] {
    database_bytes_ = header.database_bytes;
    observer_.plan(header.database_bytes, false);
    if (plan_.temporary_path.empty()) return;
    // Finds out now whether there is room; a file system that cannot tell says EOPNOTSUPP.
    if (header.database_bytes > 0 &&
        ::fallocate(file_.number(), 0, 0, static_cast<off_t>(header.database_bytes)) != 0 &&
        errno != EOPNOTSUPP && errno != ENOSYS) {
      fail_errno(errno, "cannot make room in the file", plan_.temporary_path);
    }
  });
}

void RestoreEngine::on_payload(std::uint64_t offset, ByteSpan bytes) {
  if (!plan_.temporary_path.empty()) {
    write_fully_at(file_.number(), bytes, offset, plan_.temporary_path);
  }
  const std::lock_guard lock(progress_mutex_);
  payload_bytes_ += bytes.size();
  const auto now = std::chrono::steady_clock::now();
  if (now - reported_at_ < progress_interval) return;
  reported_at_ = now;
  observer_.progress(payload_bytes_);
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
  described_changed_.notify_all();
}

void RestoreEngine::finish_file() {
  std::vector<DeviceSummary> summaries;
  for (const Device& device : devices_)
    summaries.push_back(device.parser->summary());
  judge_set(summaries);
  if (plan_.temporary_path.empty()) return;
  const auto database_bytes = static_cast<off_t>(summaries.front().trailer.database_bytes);
  if (::ftruncate(file_.number(), database_bytes) != 0) {
    fail_errno(errno, "cannot set the file's length", plan_.temporary_path);
  }
  if (::fsync(file_.number()) != 0) fail_errno(errno, "cannot make durable", plan_.temporary_path);
  for (Device& device : devices_)
    device.copy = {};  // SQLite needs the memory now.
  if (database_bytes > 0) check_database();
}

void RestoreEngine::check_database() {
  observer_.note("all blocks are in place; checking the database");
  SqliteConnection database;
  // Immutable: no journal, no -wal and no -shm beside the temporary file.
  std::string uri = "file:";
  for (const char c : plan_.temporary_path) {
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

void serve_restore(const RestoreJob& job, EngineObserver& observer) {
  RestoreEngine(job, observer).run();
}

int run_engine_restore(const Arguments& arguments) {
  begin_child("vdset-engine", arguments.text("temporary"));
  return run_child_role([&](ControlSender& control) {
    RestoreJob job;
    job.options = EngineOptions::from(arguments);
    job.plan.temporary_path = arguments.text("temporary");
    serve_restore(job, control);
  });
}

}  // namespace cli
