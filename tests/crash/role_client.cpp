// tests/crash/role_client.cpp: the primary and the secondaries: fetch up to two commands, then
// complete them, the last first; until the device is closed or the set aborted.
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cstring>
#include "tests/crash/role.hpp"

namespace vdset::crash {
namespace {

constexpr std::uint32_t abort_after = 3;  // Commands that an aborter fetches before.

class Client {
 public:
  Client(Self& self, vdset_set* set, std::uint32_t device)
      : self_(self), set_(set), device_number_(device) {}

  /// The set has ended, and its server may be gone: there is nothing to ask for again.
  static bool has_come_too_late() {
    const char* const words = vdset_last_error();
    return std::strstr(words, "has ended") != nullptr ||
           std::strstr(words, "has closed") != nullptr;
  }

  /// OpenDevice, and again while the server has not yet noticed the last consumer's end.
  std::int32_t open() {
    const char* const name = device_number_ == 0 ? set_name : second_name;
    self_.enter(Phase::open_device);
    std::int32_t code;
    do {
      code = vdset_set_open_device(set_, name, &device_);
    } while ((code == VDSET_E_PROTOCOL && !has_come_too_late()) ||
             ((code == VDSET_E_OPEN || code == VDSET_E_BUSY) && self_.who() > Who::secondary));
    return code;
  }

  /// CLOSE or what ended it.
  std::int32_t serve() {
    for (;;) {
      self_.enter(Phase::get);
      const vdset_command* command = nullptr;
      const std::int32_t code = next(&command);
      if (code == VDSET_OK) take(*command);
      if (code != VDSET_OK && code != VDSET_E_TIMEOUT) return code;
      has_left_ = is_leaving();
      if (has_left_) return VDSET_E_OPEN;
      if (aborts()) return abort();
      if (code == VDSET_OK && held_count_ < held_max) continue;
      if (dies()) return die();
      while (held_count_ > 0) {
        const std::int32_t done = complete(*held_[--held_count_]);
        if (done != VDSET_OK) return done;
      }
    }
  }

  /// As a program that calls closefrom: the server hears a hang-up of one who lives. From then on
  /// nothing is given to it.
  void hang_up_and_look() {
    constexpr int descriptors_max = 256;
    constexpr int looks = 300;
    for (int fd = 3; fd < descriptors_max; ++fd) {
      struct stat what {};
      if (fstat(fd, &what) == 0 && S_ISSOCK(what.st_mode)) ::close(fd);
    }
    for (int i = 0; i < looks; ++i) {
      const vdset_command* command = nullptr;
      const std::int32_t code = vdset_device_get_command(device_, 0, &command);
      if (code == VDSET_OK) {
        // That is sent when what it had fetched was taken from it, and not before.
        if (command->code == VDSET_COMMAND_CLEAR_ERROR)
          self_.complain("one who was taken for gone is given a command");
        take(*command);
        held_count_ = 0;  // It only looks.
      } else if (code != VDSET_E_TIMEOUT) {
        return;
      }
      usleep(1000);
    }
  }

  /// Closes the set with commands in hand, as the play says.
  bool has_left() const { return has_left_; }

 private:
  CommandBook& book_of(const vdset_command& command) {
    return self_.book().commands[device_number_][command.position];
  }

  std::int32_t next(const vdset_command** command) {
    const bool waits = held_count_ == 0 && !self_.plan().polling;
    const bool polls = self_.plan().descriptors;
    for (;;) {
      const std::int32_t code =
          vdset_device_get_command(device_, waits && !polls ? VDSET_INFINITE : 0, command);
      if (code != VDSET_E_TIMEOUT || !waits || !polls) return code;
      if (descriptor_ < 0) {
        const std::int32_t got = vdset_device_get_descriptor(device_, &descriptor_);
        if (got != VDSET_OK) return got;
      }
      const std::int32_t armed = vdset_device_arm(device_);
      if (armed != VDSET_OK) return armed;
      wait_readable(descriptor_);
    }
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
    if (is_write(self_.plan(), index) != (command.code == VDSET_COMMAND_WRITE))
      self_.complain("command %u is another", index);
    if (is_write(self_.plan(), index) &&
        !is_filled(command.buffer, bytes, seed_of(device_number_, index, false)))
      self_.complain("command %u of device %u has other bytes than sent", index, device_number_);
    self_.enter(Phase::map);
    std::uint32_t handle = 0;
    void* mapped = nullptr;
    const std::int32_t found = vdset_set_get_buffer_handle(set_, command.buffer, &handle);
    const std::int32_t resolved = vdset_set_map_buffer_handle(set_, handle, &mapped);
    const bool right = found == VDSET_OK && resolved == VDSET_OK &&
                       handle == command.buffer_handle && mapped == command.buffer;
    // An abort ends the lease of a command at any moment.
    vdset_abort_reason reason{};
    reason.struct_bytes = sizeof reason;
    if (!right && vdset_set_get_abort_reason(set_, &reason) != VDSET_OK)
      self_.complain("the handle of command %u does not lead back: %s %s", index,
                     vdset_error_name(found), vdset_error_name(resolved));
  }

  std::int32_t complete(const vdset_command& command) {
    self_.enter(Phase::complete);
    if (command.code == VDSET_COMMAND_CLEAR_ERROR)
      return vdset_device_complete_command(device_, &command, VDSET_SUCCESS, 0, 0);
    const auto index = static_cast<std::uint32_t>(command.position);
    const auto bytes = static_cast<std::uint32_t>(command.size);
    if (!is_write(self_.plan(), index))
      fill(command.buffer, bytes, seed_of(device_number_, index, true));
    CommandBook& book = book_of(command);
    ++book.completing;
    const std::int32_t code =
        vdset_device_complete_command(device_, &command, VDSET_SUCCESS, bytes, 0);
    if (code == VDSET_OK) ++book.completed;
    return code;
  }

  bool is_leaving() const {
    return (self_.plan().closes || self_.plan().hangs_up) && self_.plan().aborter == self_.who() &&
           held_count_ > 0 && fetched_ >= abort_after;
  }
  bool aborts() const {
    return !self_.plan().closes && !self_.plan().hangs_up && self_.plan().aborter == self_.who() &&
           fetched_ >= abort_after;
  }
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
    if (!self_.plan().late_successor) {  // Else something must fail for certain.
      complete(*held_[--held_count_]);
      const vdset_command* command = nullptr;
      if (vdset_device_get_command(device_, 0, &command) == VDSET_OK) take(*command);
    }
    for (std::uint32_t i = 0; i < held_count_; ++i)
      pin(*held_[i]);
    constexpr std::uint64_t half_way = 5;  // Inside CompleteCommand, the claim behind it.
    self_.die_in(half_way);
    return complete(*held_[held_count_ - 1]);  // Returns if the set was aborted meanwhile.
  }

  /// As a transfer that the kernel goes on with for a dead process: the page stays its own.
  void pin(const vdset_command& command) {
    if (command.buffer == nullptr || self_.plan().read_only) return;
    const iovec page{command.buffer, small_bytes};
    if (vmsplice(self_.book().pin_fd, &page, 1, SPLICE_F_NONBLOCK) != small_bytes)
      self_.complain("a page cannot be pinned");
  }

  Self& self_;
  vdset_set* set_;
  std::uint32_t device_number_;
  int descriptor_ = -1;
  bool has_left_ = false;
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
void leave(Self& self, vdset_set* set) {
  self.enter(Phase::close);
  const std::int32_t closed = vdset_set_close(set);
  if (closed != VDSET_E_OPEN && closed != VDSET_OK && closed != VDSET_E_ABORT)
    self.complain("Close in the middle: %s", vdset_last_error());
  self.end(End::left);
  self.announce(self.book().left);
  // It lives on for a while: the server must not wait for its end.
  constexpr useconds_t a_while = 5000;
  if (self.who() == Who::secondary) usleep(a_while);
}

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

std::int32_t wait_for_configuration(Self& self, vdset_set* set, vdset_config& agreed) {
  if (!self.plan().descriptors) return vdset_set_get_configuration(set, VDSET_INFINITE, &agreed);
  int descriptor = -1;
  std::int32_t code = vdset_set_get_descriptor(set, &descriptor);
  while (code == VDSET_OK) {
    code = vdset_set_get_configuration(set, 0, &agreed);
    if (code != VDSET_E_TIMEOUT) return code;
    code = vdset_set_arm(set);
    if (code == VDSET_OK) wait_readable(descriptor);
  }
  return code;
}

void serve_device(Self& self, vdset_set* set, std::uint32_t device) {
  Client client(self, set, device);
  std::int32_t code = client.open();
  self.begin_work();
  if (code == VDSET_OK) code = client.serve();
  if (client.has_left() && self.plan().hangs_up) {
    self.end(End::left);
    self.announce(self.book().left);
    client.hang_up_and_look();
    vdset_set_close(set);
    return;
  }
  if (client.has_left()) return leave(self, set);
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
  options.data_read_only = self.plan().read_only ? 1 : 0;
  options.directory = self.directory();
  vdset_set* set = nullptr;
  std::int32_t code = vdset_set_create(set_name, &config, &options, &set);
  if (code != VDSET_OK) return self.end(End::refused, code);
  self.announce(self.book().created);
  self.enter(Phase::configure);
  vdset_config agreed{};
  agreed.struct_bytes = sizeof agreed;
  code = wait_for_configuration(self, set, agreed);
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
