// engine_backup.cpp: the database engine of a backup: one reader fills buffers from the snapshot,
// one thread per device sends whichever filled buffer comes next, so the split over devices differs
// from run to run.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <memory>

#include "child.hpp"
#include "engine_backup.hpp"
#include "roles.hpp"
#include "snapshot.hpp"
#include "stream.hpp"

namespace cli {

namespace {

constexpr auto progress_interval = std::chrono::milliseconds(100);

/// A buffer being filled, or filled and waiting for a device, or for its successor there.
struct FilledBlock {
  Slot* slot = nullptr;
  BlockKind kind = BlockKind::data;
  std::uint64_t sequence = 0;
  std::uint64_t database_offset = 0;
  std::uint32_t payload_bytes = 0;
};

class BackupEngine {
 public:
  BackupEngine(const BackupJob& job, EngineObserver& observer)
      : job_(job),
        observer_(observer),
        snapshot_(job.source),
        devices_(job.options.devices_count),
        set_(job.options, VDSET_FEATURE_WRITE_MEDIA) {
    for (Slot& slot : set_.slots())
      free_.push_back(&slot);
    under_way_max_ = choose_under_way_max();
    if (job_.describe) make_descriptions();
  }

  void run();

 private:
  struct Device {
    std::uint32_t outstanding = 0;
    // The device's own thread alone.
    std::uint64_t blocks_count = 0;
    std::uint64_t sent_bytes = 0;
    FilledBlock held;  // Waits for its successor. Without a slot: none.
    // All threads.
    bool is_waiting = false;
    std::condition_variable changed;
    Slot bare;  // For commands without a buffer.
  };

  std::uint32_t choose_under_way_max() const;
  void make_descriptions();
  // The reader.
  void read_snapshot();
  bool write_page(std::uint64_t offset, ByteSpan page);
  bool begin_block(std::uint64_t offset);
  void end_block();
  void wake_taker();
  void report_progress();
  // The devices' threads.
  void run_device(std::uint32_t index);
  bool next_block(std::uint32_t index, FilledBlock& out);
  void pass_block(std::uint32_t index, const FilledBlock& block);
  void send_block(std::uint32_t index, const FilledBlock& block, std::uint32_t next_bytes);
  void send_buffer(std::uint32_t index, Slot& slot, BlockHeader& header);
  std::uint32_t stored_bytes_of(const FilledBlock& block) const;
  void wait_for_totals();
  void send_trailer(std::uint32_t index);
  void send_bare(std::uint32_t index, std::uint32_t code);
  void wait_idle(std::uint32_t index);
  BlockHeader header_for(std::uint32_t index) const;
  Slot* take_free();
  // The completion agent.
  void on_completion(Slot& slot);
  void wake_all();

  const BackupJob& job_;
  EngineObserver& observer_;
  Snapshot snapshot_;
  std::mutex mutex_;  // Guards everything below, except what the reader alone uses.
  std::condition_variable free_changed_;
  std::condition_variable totals_changed_;
  std::deque<Slot*> free_;
  std::deque<FilledBlock> filled_;
  std::vector<Device> devices_;
  std::uint32_t devices_sending_ = 0;
  std::uint32_t under_way_max_ = in_flight_max;  // Per device.
  bool is_read_ = false;
  // The reader's own.
  FilledBlock current_;
  std::uint64_t next_sequence_ = 0;
  std::uint64_t payload_bytes_ = 0;
  std::chrono::steady_clock::time_point reported_at_;
  // Last, hence first to go: closing it completes what is outstanding, which needs all the above.
  EngineSet set_;
};

/// Where blocks wait for their successors, no device may take the buffers that another needs for
/// its next two: a client of one thread may wait for just that device.
std::uint32_t BackupEngine::choose_under_way_max() const {
  if (!job_.names_next) return in_flight_max;
  const std::uint32_t share = (set_.options().buffers_count - 1) / set_.options().devices_count;
  return std::clamp<std::uint32_t>(share, 2, in_flight_max + 1) - 1;
}

/// Before the reader can take their buffers.
void BackupEngine::make_descriptions() {
  const std::vector<std::uint8_t> description = job_.describe(snapshot_);
  for (Device& device : devices_) {
    device.held = {take_free(), BlockKind::description, 0, 0,
                   static_cast<std::uint32_t>(description.size())};
    std::memcpy(device.held.slot->buffer + block_header_bytes, description.data(),
                description.size());
  }
}

void BackupEngine::run() {
  observer_.plan(snapshot_.database_bytes(), snapshot_.writers_go_on());
  set_.start([this](Slot& slot) { on_completion(slot); }, [this] { wake_all(); });
  devices_sending_ = set_.options().devices_count;
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < set_.options().devices_count; ++i) {
    threads.emplace_back([this, i] { run_guarded(set_, [this, i] { run_device(i); }); });
  }
  run_guarded(set_, [this] { read_snapshot(); });
  for (std::thread& thread : threads)
    thread.join();
  set_.finish();
  Counts counts;
  counts.payload_bytes = payload_bytes_;
  counts.commands = set_.commands_count();
  observer_.progress(payload_bytes_);
  observer_.done(counts);
}

void BackupEngine::read_snapshot() {
  const bool is_whole = snapshot_.stream(
      [this](std::uint64_t offset, ByteSpan page) { return write_page(offset, page); });
  if (!is_whole) return;  // Stopped: whoever stopped us has said why.
  end_block();
  const std::lock_guard lock(mutex_);
  is_read_ = true;
  for (Device& device : devices_)
    device.changed.notify_all();
}

bool BackupEngine::write_page(std::uint64_t offset, ByteSpan page) {
  const std::uint32_t capacity_bytes = set_.options().max_transfer_bytes - block_header_bytes;
  while (!page.empty()) {
    const bool continues = current_.slot != nullptr &&
                           offset == current_.database_offset + current_.payload_bytes &&
                           current_.payload_bytes < capacity_bytes;
    if (!continues) {
      end_block();
      if (!begin_block(offset)) return false;
    }
    const std::size_t taken_bytes =
        std::min<std::size_t>(page.size(), capacity_bytes - current_.payload_bytes);
    // The only copy: out of SQLite's page cache into the buffer that everybody else works in.
    std::memcpy(current_.slot->buffer + block_header_bytes + current_.payload_bytes, page.data(),
                taken_bytes);
    current_.payload_bytes += static_cast<std::uint32_t>(taken_bytes);
    payload_bytes_ += taken_bytes;
    offset += taken_bytes;
    page = page.subspan(taken_bytes);
  }
  return !set_.is_stopped();
}

bool BackupEngine::begin_block(std::uint64_t offset) {
  Slot* slot = take_free();
  if (slot == nullptr) return false;
  current_ = {slot, BlockKind::data, next_sequence_++, offset, 0};
  return true;
}

void BackupEngine::end_block() {
  if (current_.slot == nullptr) return;
  {
    const std::lock_guard lock(mutex_);
    filled_.push_back(current_);
    wake_taker();
  }
  current_ = {};
  report_progress();
}

/// Wakes a device that can take the next filled block. Under the mutex.
void BackupEngine::wake_taker() {
  for (Device& device : devices_) {
    if (!device.is_waiting || device.outstanding >= under_way_max_) continue;
    device.changed.notify_one();
    return;
  }
}

void BackupEngine::report_progress() {
  const auto now = std::chrono::steady_clock::now();
  if (now - reported_at_ < progress_interval) return;
  reported_at_ = now;
  observer_.progress(payload_bytes_);
}

Slot* BackupEngine::take_free() {
  std::unique_lock lock(mutex_);
  free_changed_.wait(lock, [this] { return !free_.empty() || set_.is_stopped(); });
  if (set_.is_stopped()) return nullptr;
  Slot* slot = free_.front();
  free_.pop_front();
  return slot;
}

void BackupEngine::run_device(std::uint32_t index) {
  FilledBlock block;
  while (next_block(index, block))
    pass_block(index, block);
  FilledBlock& held = devices_[index].held;
  if (held.slot != nullptr && !set_.is_stopped()) {
    const FilledBlock trailer = {nullptr, BlockKind::trailer, 0, 0, 0};
    send_block(index, held, job_.names_next ? stored_bytes_of(trailer) : 0);
  }
  wait_for_totals();
  if (set_.is_stopped()) return;
  send_trailer(index);
  send_bare(index, VDSET_COMMAND_FLUSH);
  if (set_.sends_complete()) send_bare(index, VDSET_COMMAND_COMPLETE);
  if (!set_.is_stopped()) set_.close_device(index);
}

bool BackupEngine::next_block(std::uint32_t index, FilledBlock& out) {
  Device& device = devices_[index];
  std::unique_lock lock(mutex_);
  device.is_waiting = true;
  device.changed.wait(lock, [&] {
    if (set_.is_stopped()) return true;
    if (filled_.empty()) return is_read_;
    return device.outstanding < under_way_max_;
  });
  device.is_waiting = false;
  if (set_.is_stopped() || filled_.empty()) return false;
  out = filled_.front();
  filled_.pop_front();
  // This device may have been woken for several, and not be able to take them all.
  if (!filled_.empty()) wake_taker();
  return true;
}

BlockHeader BackupEngine::header_for(std::uint32_t index) const {
  BlockHeader header;
  header.backup = set_.options().backup;
  header.device_index = index;
  header.device_count = set_.options().devices_count;
  header.database_bytes = snapshot_.database_bytes();
  header.page_bytes = snapshot_.page_bytes();
  header.block_bytes = set_.options().block_bytes;
  return header;
}

std::uint32_t BackupEngine::stored_bytes_of(const FilledBlock& block) const {
  return static_cast<std::uint32_t>(
      round_up(block_header_bytes + block.payload_bytes, set_.options().block_bytes));
}

/// Sends it, or the one that has been waiting for it.
void BackupEngine::pass_block(std::uint32_t index, const FilledBlock& block) {
  FilledBlock& held = devices_[index].held;
  if (!job_.names_next) {
    if (held.slot != nullptr) send_block(index, held, 0);
    held = {};
    send_block(index, block, 0);
    return;
  }
  if (held.slot != nullptr) send_block(index, held, stored_bytes_of(block));
  held = block;
}

void BackupEngine::send_block(std::uint32_t index, const FilledBlock& block,
                              std::uint32_t next_bytes) {
  Device& device = devices_[index];
  BlockHeader header = header_for(index);
  header.kind = block.kind;
  header.sequence = block.sequence;
  header.database_offset = block.database_offset;
  header.payload_bytes = block.payload_bytes;
  header.device_blocks = device.blocks_count;
  header.next_bytes = next_bytes;
  if (block.kind == BlockKind::data) device.blocks_count += 1;
  send_buffer(index, *block.slot, header);
}

void BackupEngine::send_buffer(std::uint32_t index, Slot& slot, BlockHeader& header) {
  Device& device = devices_[index];
  const std::uint32_t stored_bytes = seal_block(header, slot.buffer);
  {
    const std::lock_guard lock(mutex_);
    device.outstanding += 1;
  }
  set_.send(slot, index, VDSET_COMMAND_WRITE, stored_bytes, device.sent_bytes);
  device.sent_bytes += stored_bytes;
}

void BackupEngine::wait_for_totals() {
  std::unique_lock lock(mutex_);
  devices_sending_ -= 1;
  totals_changed_.notify_all();
  totals_changed_.wait(lock, [this] { return devices_sending_ == 0 || set_.is_stopped(); });
}

void BackupEngine::send_trailer(std::uint32_t index) {
  Slot* slot = take_free();
  if (slot == nullptr) return;
  BlockHeader header = header_for(index);
  header.kind = BlockKind::trailer;
  header.sequence = next_sequence_;
  header.device_blocks = devices_[index].blocks_count;
  header.set_payload_bytes = payload_bytes_;
  send_buffer(index, *slot, header);
  wait_idle(index);
}

void BackupEngine::send_bare(std::uint32_t index, std::uint32_t code) {
  if (set_.is_stopped()) return;
  {
    const std::lock_guard lock(mutex_);
    devices_[index].outstanding += 1;
  }
  set_.send(devices_[index].bare, index, code, 0);
  wait_idle(index);
}

void BackupEngine::wait_idle(std::uint32_t index) {
  Device& device = devices_[index];
  std::unique_lock lock(mutex_);
  device.changed.wait(lock, [&] { return device.outstanding == 0 || set_.is_stopped(); });
}

void BackupEngine::on_completion(Slot& slot) {
  const std::int32_t code = slot.command.completion_code;
  const bool is_short = slot.command.code == VDSET_COMMAND_WRITE &&
                        slot.command.bytes_transferred != slot.command.size;
  {
    const std::lock_guard lock(mutex_);
    Device& device = devices_[slot.device_index];
    device.outstanding -= 1;
    device.changed.notify_all();
    if (slot.buffer != nullptr) {
      free_.push_back(&slot);
      free_changed_.notify_one();
    }
  }
  if (code == VDSET_SUCCESS && !is_short) return;
  const std::string what = code != VDSET_SUCCESS ? fmt::format("answered code {}", code)
                                                 : std::string("wrote less than it was given");
  set_.stop_after_answer(
      slot, Failure(ExitCode::aborted,
                    fmt::format("device {} {}: command {}; look at the process that serves it",
                                slot.device_index, what, slot.command.code),
                    Cause::consequence));
}

void BackupEngine::wake_all() {
  const std::lock_guard lock(mutex_);
  free_changed_.notify_all();
  totals_changed_.notify_all();
  for (Device& device : devices_)
    device.changed.notify_all();
}

}  // namespace

void serve_backup(const BackupJob& job, EngineObserver& observer) {
  BackupEngine(job, observer).run();
}

int run_engine_backup(const Arguments& arguments) {
  begin_child("vdset-engine", "");
  return run_child_role([&](ControlSender& control) {
    BackupJob job;
    job.source = arguments.text("source");
    job.options = EngineOptions::from(arguments);
    serve_backup(job, control);
  });
}

}  // namespace cli
