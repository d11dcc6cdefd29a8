// tests/crash/role_server.cpp: the server: an engine whose callbacks send the next command, all in
// one thread beside the library's. A device that fails is cleared and goes on.
#include <sched.h>
#include <unistd.h>
#include <cstring>
#include <set>
#include "abi/server.hpp"
#include "tests/crash/role.hpp"

namespace vdset::crash {
namespace {

constexpr std::uint32_t extend_after = 2;  // Commands of the second device that ended before.
constexpr std::uint32_t abort_after = 3;   // Commands that ended before a server that aborts does.

class Engine {
 public:
  Engine(Self& self, vdset_server* server) : self_(self), server_(server) {}

  std::int32_t configure() {
    vdset_base_configuration base{};
    base.struct_bytes = sizeof base;
    base.features = VDSET_FEATURE_WRITE_MEDIA;
    base.block_bytes = 512;
    base.max_transfer_bytes = 65536;
    self_.enter(Phase::configure);
    std::int32_t code = vdset_server_begin_configuration(server_, &base);
    if (code == VDSET_OK)
      code = vdset_server_request_buffers(server_, small_bytes, 0, small_buffers);
    if (code == VDSET_OK) code = vdset_server_end_configuration(server_);
    return code;
  }

  std::int32_t open_devices() {
    self_.enter(Phase::open_device);
    std::int32_t code = VDSET_OK;
    for (std::uint32_t i = 0; i < device_count && code == VDSET_OK; ++i) {
      lanes_[i].number = i;
      code = vdset_server_open_device(server_, i == 0 ? set_name : second_name, &lanes_[i].device);
    }
    return code;
  }

  /// Sends the first commands and runs the agent to its end.
  std::int32_t work() {
    if (self_.plan().aborter != Who::count) wait_for_secondary();
    self_.begin_work();
    for (Lane& lane : lanes_)
      go_on(lane);
    self_.enter(Phase::reap);
    return is_pulling() ? pull() : vdset_server_run_completion_agent(server_);
  }
  /// It closes now, with commands under way, as the play says.
  bool has_left() const { return left_; }

  /// Every command that was sent has ended, once.
  void check_books() {
    for (std::uint32_t d = 0; d < device_count; ++d)
      for (std::uint32_t i = 0; i < commands_max; ++i) {
        const CommandBook& book = self_.book().commands[d][i];
        if (book.callbacks != book.sent)
          self_.complain("command %u of device %u was sent %u times and ended %u times", i, d,
                         book.sent.load(), book.callbacks.load());
      }
  }

 private:
  struct Lane;
  struct Order {
    Engine* engine;
    Lane* lane;
    std::uint32_t index;
    void* buffer;
    vdset_command command;
  };
  struct Lane {
    std::uint32_t number;
    vdset_server_device* device;
    std::uint32_t next, ended, under_way;
    bool failed, clearing, closed;
    Order orders[commands_max];
    Order clear;
  };

  static std::uint32_t bytes_of(const Order& order) {
    return is_large(order.engine->self_.plan(), order.lane->number, order.index) ? large_bytes
                                                                                 : small_bytes;
  }

  /// An abort is for somebody who works.
  void wait_for_secondary() {
    Book& book = self_.book();
    const RoleBook& secondary = book.of(Who::secondary);
    while (secondary.at_work == 0 && secondary.end == 0 && book.dying == 0)
      sched_yield();
  }

  bool is_leaver() const { return self_.plan().closes && self_.plan().aborter == self_.who(); }
  bool is_pulling() const { return self_.plan().pulled || self_.plan().descriptors || is_leaver(); }

  /// The agent's pull form: until every device is closed, or it leaves.
  std::int32_t pull() {
    constexpr std::int64_t moment = 1'000'000;
    int descriptor = -1;
    while (!left_) {
      self_.enter(Phase::reap);
      vdset_command* command = nullptr;
      const std::int64_t limit = self_.plan().descriptors ? 0
                                 : is_leaver()            ? moment  // It has completions called.
                                                          : VDSET_INFINITE;
      std::int32_t code = vdset_server_next_completion(server_, limit, &command);
      if (code == VDSET_OK) completed(command, command->context);
      if (code == VDSET_E_CLOSE) return VDSET_OK;
      if (code == VDSET_OK || (code == VDSET_E_TIMEOUT && !self_.plan().descriptors)) continue;
      if (code != VDSET_E_TIMEOUT) return code;
      if (descriptor < 0) code = vdset_server_get_descriptor(server_, &descriptor);
      if (descriptor >= 0) code = vdset_server_arm(server_);
      if (code != VDSET_OK) return code;
      wait_readable(descriptor);
    }
    return VDSET_OK;
  }

  /// Whatever there is to do on a device now.
  void go_on(Lane& lane) {
    if (lane.number == 1 && lane.ended >= extend_after && !extended_ && !self_.plan().hangs_up)
      extend();
    while (!over_ && !lane.failed && lane.next < commands_max && lane.under_way < window) {
      if (is_large(self_.plan(), lane.number, lane.next) && !extended_) break;
      send(lane, lane.next++);
    }
    if (!over_ && lane.failed && !lane.clearing) clear(lane);
    // The primary's device last: with it the set ends, and the primary may close.
    for (Lane* at : {&lanes_[1], &lanes_[0]}) {
      if (over_ || at->failed || at->ended < commands_max) break;
      if (!at->closed) close(*at);
    }
  }

  void extend() {
    extended_ = true;
    self_.enter(Phase::extend);
    note(vdset_server_request_buffers(server_, large_bytes, 0, large_buffers), "extend");
    self_.enter(Phase::reap);
  }

  void send(Lane& lane, std::uint32_t index) {
    Order& order = lane.orders[index];
    order = {this, &lane, index, nullptr, {}};
    self_.enter(Phase::allocate);
    const std::int32_t got =
        vdset_server_allocate_buffer(server_, bytes_of(order), 0, &order.buffer);
    note(got, "allocate");
    if (got != VDSET_OK) {
      over_ = true;
      return;
    }
    if (is_write(self_.plan(), index))
      fill(order.buffer, bytes_of(order), seed_of(lane.number, index, false));
    order.command.code = is_write(self_.plan(), index) ? VDSET_COMMAND_WRITE : VDSET_COMMAND_READ;
    order.command.size = static_cast<std::int32_t>(bytes_of(order));
    order.command.position = index;
    order.command.buffer = order.buffer;
    ++self_.book().commands[lane.number][index].sent;
    post(order);
  }

  void clear(Lane& lane) {
    lane.clearing = true;
    lane.clear = {this, &lane, commands_max, nullptr, {}};
    lane.clear.command.code = VDSET_COMMAND_CLEAR_ERROR;
    post(lane.clear);
  }

  /// A failed send has called back before it returns.
  void post(Order& order) {
    order.command.struct_bytes = sizeof order.command;
    const bool is_pulled = is_pulling() && !is_leaver();
    order.command.completion = is_pulled ? nullptr : completed;
    order.command.context = &order;
    ++order.lane->under_way;
    self_.enter(Phase::send);
    sending_ = true;
    const std::int32_t code = vdset_server_device_send_command(order.lane->device, &order.command);
    note(code, "send");
    if (is_pulled && code != VDSET_OK) {  // Nobody hands it out.
      order.command.completion_code =
          code == VDSET_E_ABORT ? VDSET_ERROR_OPERATION_ABORTED : VDSET_ERROR_IO_DEVICE;
      complete(order, order.command);
    }
    sending_ = false;
    self_.enter(Phase::reap);
  }

  void close(Lane& lane) {
    lane.closed = true;
    if (++closed_ == device_count) count_buffers();
    self_.enter(Phase::close_device);
    note(vdset_server_device_close(lane.device), "close device");
    self_.enter(Phase::reap);
  }

  /// Every command has ended and every buffer was freed: all can be had, each once.
  void count_buffers() {
    std::set<void*> seen;
    for (const std::uint32_t bytes : {large_bytes, small_bytes})
      for (void* buffer = nullptr;
           vdset_server_allocate_buffer(server_, bytes, 0, &buffer) == VDSET_OK;)
        if (!seen.insert(buffer).second) self_.complain("one buffer is allocated twice");
    self_.book().available = static_cast<std::uint32_t>(seen.size()) + 1;
    for (void* buffer : seen)
      std::memset(buffer, last_byte, small_bytes);
    check_rows();
    for (void* buffer : seen)
      if (vdset_server_free_buffer(server_, buffer, 1) != VDSET_OK)
        self_.complain("a buffer cannot be freed: %s", vdset_last_error());
  }

  /// No row of the participant table is a dead one's for long.
  void check_rows() {
    for (int tries = 0; tries < 1000; ++tries) {
      bool any = false;
      for (const core::ParticipantRow& row : server_->part.participants)
        any |=
            core::ParticipantWord::unpack(__atomic_load_n(&row.participant.value, __ATOMIC_ACQUIRE))
                .state == core::ParticipantState::dead;
      if (!any) return;
      usleep(1000);
    }
    self_.complain("the row of a dead participant is not free again");
  }

  /// An abort ends the work; what may fail with IO-ERROR is told by the callback.
  void note(std::int32_t code, const char* what) {
    if (code == VDSET_E_ABORT) over_ = true;
    if (code == VDSET_OK || code == VDSET_E_ABORT || code == VDSET_E_IO_ERROR) return;
    if (!self_.may_fail()) self_.complain("%s: %s", what, vdset_last_error());
    over_ = true;
    vdset_server_signal_abort(server_, code, what);
  }

  static void completed(vdset_command* command, void* context) {
    Order& order = *static_cast<Order*>(context);
    order.engine->complete(order, *command);
  }

  void complete(Order& order, const vdset_command& command) {
    Lane& lane = *order.lane;
    const bool in_send = sending_;
    --lane.under_way;
    if (command.completion_code == VDSET_ERROR_OPERATION_ABORTED && is_over()) over_ = true;
    if (&order == &lane.clear) {
      lane.clearing = false;
      lane.failed = command.completion_code != VDSET_SUCCESS;
    } else {
      account(order, command);
      lane.failed |= command.completion_code != VDSET_SUCCESS;
      ++lane.ended;
    }
    if (is_leaver() && !over_ && ++seen_ >= abort_after) over_ = left_ = true;
    if (self_.plan().aborter == self_.who() && !over_ && ++seen_ >= abort_after) {
      self_.enter(Phase::abort);
      vdset_server_signal_abort(server_, 7, "enough");
      over_ = true;
      self_.enter(Phase::reap);
    }
    if (!in_send && !left_) go_on(lane);
  }

  void account(Order& order, const vdset_command& command) {
    CommandBook& book = self_.book().commands[order.lane->number][order.index];
    book.code = static_cast<std::uint32_t>(command.completion_code);
    book.bytes = static_cast<std::uint32_t>(command.bytes_transferred);
    if (book.callbacks.fetch_add(1) > 0)
      self_.complain("command %u of device %u ended twice", order.index, order.lane->number);
    if (self_.plan().late_successor && command.completion_code != VDSET_SUCCESS &&
        self_.book().rows_checked == 0) {
      check_rows();
      self_.announce(self_.book().rows_checked);
    }
    const bool whole = command.completion_code == VDSET_SUCCESS;
    if (whole && command.bytes_transferred != command.size)
      self_.complain("command %u ended with %d bytes", order.index, command.bytes_transferred);
    if (whole && !is_write(self_.plan(), order.index) &&
        !is_filled(order.buffer, bytes_of(order), seed_of(order.lane->number, order.index, true)))
      self_.complain("command %u brought other bytes than were read", order.index);
    self_.enter(Phase::free);
    // Close ends what is under way, and there is no more to be freed.
    if (vdset_server_free_buffer(server_, order.buffer, bytes_of(order)) != VDSET_OK && !left_)
      self_.complain("the buffer of command %u cannot be freed: %s", order.index,
                     vdset_last_error());
    self_.enter(Phase::reap);
  }

  bool is_over() {
    vdset_abort_reason reason{};
    reason.struct_bytes = sizeof reason;
    return vdset_server_get_abort_reason(server_, &reason) == VDSET_OK;
  }

  Self& self_;
  vdset_server* server_;
  Lane lanes_[device_count] = {};
  std::uint32_t closed_ = 0;
  std::uint32_t seen_ = 0;
  bool extended_ = false;
  bool over_ = false;
  bool left_ = false;
  bool sending_ = false;
};

}  // namespace

void run_server(Self& self) {
  self.enter(Phase::open);
  vdset_join_options options{};
  options.struct_bytes = sizeof options;
  options.directory = self.directory();
  options.buffers_max = 2 * (small_buffers + large_buffers);
  vdset_server* server = nullptr;
  std::int32_t code = vdset_server_open(set_name, &options, &server);
  if (code != VDSET_OK) return self.end(End::refused, code);
  {
    Engine engine(self, server);
    code = engine.configure();
    if (code == VDSET_OK) self.announce(self.book().configured);
    if (code == VDSET_OK) code = engine.open_devices();
    if (code == VDSET_OK) code = engine.work();
    if (code != VDSET_OK && code != VDSET_E_ABORT)
      vdset_server_signal_abort(server, code, vdset_last_error());
    vdset_abort_reason reason{};
    reason.struct_bytes = sizeof reason;
    const bool aborted = vdset_server_get_abort_reason(server, &reason) == VDSET_OK;
    self.enter(Phase::close);
    const std::int32_t closed = vdset_server_close(server);
    engine.check_books();
    if (engine.has_left()) {
      if (closed != VDSET_E_PROTOCOL && !aborted)
        self.complain("Close in the middle: %s", vdset_error_name(closed));
      return self.end(End::left);
    }
    if (!aborted && closed != VDSET_OK) self.complain("close: %s", vdset_last_error());
    if (aborted) return self.end_aborted(reason);
  }
  self.end(code == VDSET_OK ? End::closed : End::refused, code);
}

}  // namespace vdset::crash
