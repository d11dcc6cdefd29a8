// tests/crash/role_client.cpp: the primary and the secondaries: fetch up to two commands, then
// complete them, the last first; until the device is closed or the set aborted.
#include <sched.h>
#include "tests/crash/role.hpp"

namespace vdset::crash {
namespace {

constexpr std::uint32_t held_max = 2;
constexpr std::uint32_t abort_after = 3;  // Commands that an aborter fetches before.

class Client {
 public:
  Client(Self& self, vdset_set* set, std::uint32_t device)
      : self_(self), set_(set), device_number_(device) {}

  /// OpenDevice, and again while the server has not yet noticed the last consumer's end.
  std::int32_t open() {
    const char* const name = device_number_ == 0 ? set_name : second_name;
    self_.enter(Phase::open_device);
    std::int32_t code;
    do {
      code = vdset_set_open_device(set_, name, &device_);
    } while (code == VDSET_E_PROTOCOL || (code == VDSET_E_OPEN && self_.who() > Who::secondary));
    return code;
  }

  /// CLOSE or what ended it.
  std::int32_t serve() {
    for (;;) {
      self_.enter(Phase::get);
      const vdset_command* command = nullptr;
      const std::int64_t limit = held_count_ > 0 || self_.plan().polling ? 0 : VDSET_INFINITE;
      const std::int32_t code = vdset_device_get_command(device_, limit, &command);
      if (code == VDSET_OK) take(*command);
      if (code != VDSET_OK && code != VDSET_E_TIMEOUT) return code;
      if (aborts()) return abort();
      if (code == VDSET_OK && held_count_ < held_max) continue;
      if (dies()) return die();
      while (held_count_ > 0) {
        const std::int32_t done = complete(*held_[--held_count_]);
        if (done != VDSET_OK) return done;
      }
    }
  }

 private:
  CommandBook& book_of(const vdset_command& command) {
    return self_.book().commands[device_number_][command.position];
  }

  void take(const vdset_command& command) {
    held_[held_count_++] = &command;
    if (command.code == VDSET_COMMAND_CLEAR_ERROR) return;
    ++fetched_;
    const auto index = static_cast<std::uint32_t>(command.position);
    if (index >= commands_max) return self_.complain("command %u fetched", index);
    const bool redelivered = (command.flags & VDSET_COMMAND_REDELIVERED) != 0;
    CommandBook& book = book_of(command);
    if (book.fetched.fetch_add(1) > 0 && !redelivered)
      self_.complain("command %u of device %u is delivered again as new", index, device_number_);
    if (redelivered) ++book.redelivered;
    if (book.completed > 0)
      self_.complain("command %u of device %u is delivered after its end", index, device_number_);
    const auto bytes = static_cast<std::size_t>(command.size);
    if (is_write(index) != (command.code == VDSET_COMMAND_WRITE))
      self_.complain("command %u is another", index);
    if (is_write(index) && !is_filled(command.buffer, bytes, seed_of(device_number_, index, false)))
      self_.complain("command %u of device %u has other bytes than sent", index, device_number_);
    self_.enter(Phase::map);
    std::uint32_t handle = 0;
    void* mapped = nullptr;
    const std::int32_t found = vdset_set_get_buffer_handle(set_, command.buffer, &handle);
    const std::int32_t resolved = vdset_set_map_buffer_handle(set_, handle, &mapped);
    if (found != VDSET_OK || resolved != VDSET_OK || handle != command.buffer_handle ||
        mapped != command.buffer)
      self_.complain("the handle of command %u does not lead back: %s %s", index,
                     vdset_error_name(found), vdset_error_name(resolved));
  }

  std::int32_t complete(const vdset_command& command) {
    self_.enter(Phase::complete);
    if (command.code == VDSET_COMMAND_CLEAR_ERROR)
      return vdset_device_complete_command(device_, &command, VDSET_SUCCESS, 0, 0);
    const auto index = static_cast<std::uint32_t>(command.position);
    const auto bytes = static_cast<std::uint32_t>(command.size);
    if (!is_write(index)) fill(command.buffer, bytes, seed_of(device_number_, index, true));
    CommandBook& book = book_of(command);
    ++book.completing;
    const std::int32_t code =
        vdset_device_complete_command(device_, &command, VDSET_SUCCESS, bytes, 0);
    if (code == VDSET_OK) ++book.completed;
    return code;
  }

  bool aborts() const { return self_.plan().aborter == self_.who() && fetched_ >= abort_after; }
  std::int32_t abort() {
    self_.enter(Phase::abort);
    return vdset_set_signal_abort(set_, 7, "enough");
  }

  /// With one command finished and not collected perhaps, one half completed, one only fetched.
  bool dies() const {
    return self_.plan().secondary_dies && self_.who() == Who::secondary &&
           fetched_ >= held_max + 1 && held_count_ == held_max;
  }
  std::int32_t die() {
    complete(*held_[--held_count_]);
    const vdset_command* command = nullptr;
    if (vdset_device_get_command(device_, 0, &command) == VDSET_OK) take(*command);
    constexpr std::uint64_t half_way = 5;  // Inside CompleteCommand, the claim behind it.
    self_.die_in(half_way);
    return complete(*held_[held_count_ - 1]);  // Returns if the set was aborted meanwhile.
  }

  Self& self_;
  vdset_set* set_;
  std::uint32_t device_number_;
  vdset_device* device_ = nullptr;
  const vdset_command* held_[held_max + 1] = {};
  std::uint32_t held_count_ = 0;
  std::uint32_t fetched_ = 0;
};

/// A secondary that has heard CLOSE stays until the primary has closed: that harms nobody's end.
void wait_for_primary(Book& book) {
  while (book.of(Who::primary).end == 0 && book.dying == 0)
    sched_yield();
}

/// Closes, and writes down how it ended: CLOSE is the normal end.
void finish(Self& self, vdset_set* set, std::int32_t code) {
  if (code == VDSET_E_CLOSE && self.who() != Who::primary) wait_for_primary(self.book());
  vdset_abort_reason reason{};
  reason.struct_bytes = sizeof reason;
  const bool aborted = vdset_set_get_abort_reason(set, &reason) == VDSET_OK;
  self.enter(Phase::close);
  const std::int32_t closed = vdset_set_close(set);
  if (code == VDSET_E_CLOSE && closed != VDSET_OK)
    self.complain("Close after the end: %s", vdset_last_error());
  if (aborted) return self.end_aborted(reason);
  self.end(code == VDSET_E_CLOSE ? End::closed : End::refused, code);
}

void serve_device(Self& self, vdset_set* set, std::uint32_t device) {
  Client client(self, set, device);
  std::int32_t code = client.open();
  self.begin_work();
  if (code == VDSET_OK) code = client.serve();
  finish(self, set, code);
}

}  // namespace

void run_primary(Self& self) {
  self.enter(Phase::create);
  vdset_config config{};
  config.struct_bytes = sizeof config;
  config.device_count = device_count;
  vdset_set_options options{};
  options.struct_bytes = sizeof options;
  options.on_secondary_death =
      self.plan().hand_over ? VDSET_DEATH_HANDS_OVER : VDSET_DEATH_FAILS_COMMANDS;
  options.queue_depth = 8;
  options.directory = self.directory();
  vdset_set* set = nullptr;
  std::int32_t code = vdset_set_create(set_name, &config, &options, &set);
  if (code != VDSET_OK) return self.end(End::refused, code);
  self.announce(self.book().created);
  self.enter(Phase::configure);
  vdset_config agreed{};
  agreed.struct_bytes = sizeof agreed;
  code = vdset_set_get_configuration(set, VDSET_INFINITE, &agreed);
  if (code != VDSET_OK) return finish(self, set, code);
  serve_device(self, set, 0);
}

void run_secondary(Self& self) {
  self.enter(Phase::open);
  vdset_join_options options{};
  options.struct_bytes = sizeof options;
  options.directory = self.directory();
  vdset_set* set = nullptr;
  const std::int32_t code = vdset_set_open_in_secondary(set_name, &options, &set);
  if (code != VDSET_OK) return self.end(End::refused, code);
  serve_device(self, set, 1);
}

}  // namespace vdset::crash
