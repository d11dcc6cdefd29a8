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
#include "control.hpp"
#include "engine_set.hpp"
#include "roles.hpp"
#include "snapshot.hpp"
#include "stream.hpp"

namespace cli {

namespace {

constexpr auto progress_interval = std::chrono::milliseconds(100);

/// A buffer being filled, or filled and waiting for a device.
struct FilledBlock {
  Slot* slot = nullptr;
  std::uint64_t sequence = 0;
  std::uint64_t database_offset = 0;
  std::uint32_t payload_bytes = 0;
};

class BackupEngine {
 public:
  BackupEngine(const Arguments& arguments, ControlSender& control)
      : control_(control),
        snapshot_(arguments.text("source")),
        devices_(EngineOptions::from(arguments).devices_count),
        set_(EngineOptions::from(arguments), VDSET_FEATURE_WRITE_MEDIA) {
    for (Slot& slot : set_.slots())
      free_.push_back(&slot);
  }

  Counts run();

 private:
  struct Device {
    std::uint32_t outstanding = 0;
    std::uint64_t blocks_count = 0;
    bool is_waiting = false;
    std::condition_variable changed;
    Slot bare;  // For commands without a buffer.
  };

  // The reader.
  void read_snapshot();
  bool write_page(std::uint64_t offset, ByteSpan page);
  bool begin_block(std::uint64_t offset);
  void end_block();
  void report_progress();
  // The devices' threads.
  void run_device(std::uint32_t index);
  bool next_block(std::uint32_t index, FilledBlock& out);
  void send_block(std::uint32_t index, const FilledBlock& block);
  void wait_for_totals();
  void send_trailer(std::uint32_t index);
  void send_bare(std::uint32_t index, std::uint32_t code);
  void wait_idle(std::uint32_t index);
  BlockHeader header_for(std::uint32_t index) const;
  Slot* take_free();
  // The completion agent.
  void on_completion(Slot& slot);
  void wake_all();

  ControlSender& control_;
  Snapshot snapshot_;
  std::mutex mutex_;  // Guards everything below, except what the reader alone uses.
  std::condition_variable free_changed_;
  std::condition_variable totals_changed_;
  std::deque<Slot*> free_;
  std::deque<FilledBlock> filled_;
  std::vector<Device> devices_;
  std::uint32_t devices_sending_ = 0;
  bool is_read_ = false;
  // The reader's own.
  FilledBlock current_;
  std::uint64_t next_sequence_ = 0;
  std::uint64_t payload_bytes_ = 0;
  std::chrono::steady_clock::time_point reported_at_;
  // Last, hence first to go: closing it completes what is outstanding, which needs all the above.
  EngineSet set_;
};

Counts BackupEngine::run() {
  control_.plan(snapshot_.database_bytes(), snapshot_.writers_go_on());
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
  control_.progress(payload_bytes_);
  control_.done(counts);
  return counts;
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
  current_ = {slot, next_sequence_++, offset, 0};
  return true;
}

void BackupEngine::end_block() {
  if (current_.slot == nullptr) return;
  {
    const std::lock_guard lock(mutex_);
    filled_.push_back(current_);
    for (Device& device : devices_) {
      if (!device.is_waiting || device.outstanding >= in_flight_max) continue;
      device.changed.notify_one();
      break;
    }
  }
  current_ = {};
  report_progress();
}

void BackupEngine::report_progress() {
  const auto now = std::chrono::steady_clock::now();
  if (now - reported_at_ < progress_interval) return;
  reported_at_ = now;
  control_.progress(payload_bytes_);
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
    send_block(index, block);
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
    return device.outstanding < in_flight_max;
  });
  device.is_waiting = false;
  if (set_.is_stopped() || filled_.empty()) return false;
  out = filled_.front();
  filled_.pop_front();
  device.outstanding += 1;
  device.blocks_count += 1;
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

/// Pads the block, sums it up and puts its header before it. Returns the whole length.
std::uint32_t seal_block(BlockHeader& header, std::uint8_t* buffer) {
  const std::uint64_t used_bytes = block_header_bytes + header.payload_bytes;
  header.stored_bytes = static_cast<std::uint32_t>(round_up(used_bytes, header.block_bytes));
  std::memset(buffer + used_bytes, 0, header.stored_bytes - used_bytes);
  header.checksum =
      checksum_of({buffer + block_header_bytes, header.stored_bytes - block_header_bytes});
  encode_block_header(header,
                      std::span<std::uint8_t, block_header_bytes>(buffer, block_header_bytes));
  return header.stored_bytes;
}

void BackupEngine::send_block(std::uint32_t index, const FilledBlock& block) {
  BlockHeader header = header_for(index);
  header.kind = BlockKind::data;
  header.sequence = block.sequence;
  header.database_offset = block.database_offset;
  header.payload_bytes = block.payload_bytes;
  header.device_blocks = devices_[index].blocks_count - 1;
  const std::uint32_t stored_bytes = seal_block(header, block.slot->buffer);
  set_.send(*block.slot, index, VDSET_COMMAND_WRITE, stored_bytes);
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
  const std::uint32_t stored_bytes = seal_block(header, slot->buffer);
  {
    const std::lock_guard lock(mutex_);
    devices_[index].outstanding += 1;
  }
  set_.send(*slot, index, VDSET_COMMAND_WRITE, stored_bytes);
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
  set_.stop(Failure(ExitCode::aborted,
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

int run_engine_backup(const Arguments& arguments) {
  begin_child("vdset-engine", "");
  return run_child_role([&](ControlSender& control) {
    BackupEngine engine(arguments, control);
    engine.run();
  });
}

}  // namespace cli
