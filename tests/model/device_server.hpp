// tests/model/device_server.hpp: the server's side of the scenarios with a whole ServerDevice:
// sends numbered commands and ClearError, does what abi does with finished ones, keeps the books.
#pragma once
#include "tests/model/rig.hpp"

namespace vdset::model {

inline constexpr uint32_t code_of_client = 21;  // A completion code that a consumer makes up.

/// What became of one command.
struct Book {
  uint32_t number = 0;
  uint32_t callbacks = 0;
  uint32_t code = 0;
  uint32_t completer = 0;   // Of the result in the callback.
  uint32_t deliveries = 0;  // GetCommand gave it out.
  uint32_t completed = 0;   // CompleteCommand said done.
};

template <class A, uint32_t depth, uint32_t total, uint32_t parts = 1>
class DeviceServer {
 public:
  static constexpr uint32_t clear_number = total;  // The book of ClearError.

  DeviceServer() {
    memory.name_words();
    device = core::ServerDevice<A>(
        core::ServerRing<A>(memory.submissions(), memory.client_lines()), memory.client[0].header);
    for (uint32_t n = 0; n <= total; ++n) books[n].number = n;
  }

  core::ClientRing<A> client_ring(uint32_t part, uint32_t participant, uint32_t head) {
    return {memory.submissions(), memory.client_lines(part), memory.client[part].header,
            participant, head};
  }

  /// Sends what fits, ClearError when it must be; rings the device. Under the device's lock.
  void send_more(A& a) {
    while (next < total) {
      buffers[next].write(next);
      const core::Sent sent = device.send(a, command_of(next), &books[next]);
      if (sent == core::Sent::io_error) return send_clear_error(a);
      if (sent != core::Sent::queued) return;
      ++next;
      ring(a, memory.device_bell());
    }
    if (device.phase() == core::DevicePhase::io_error) send_clear_error(a);
  }

  /// Collects what is final; false: nothing. Under the device's lock. Then settle(), without it.
  bool collect(A& a) {
    clear_finished();
    device.poll(a, finished);
    return finished.count > 0 || finished.ring_device;
  }
  void clear_finished() {  // Not the whole list: it is long.
    finished.count = 0;
    finished.ring_device = finished.corrupt = false;
  }
  bool poll(A& a) {
    const bool any = collect(a);
    settle(a);
    return any;
  }

  /// What abi does with a list: callbacks, and the bell when it must ring.
  void settle(A& a) {
    require(!finished.corrupt, "an honest word is found corrupt");
    for (uint32_t i = 0; i < finished.count; ++i) call_back(finished.items[i]);
    if (finished.ring_device) force(a, memory.device_bell());
  }

  /// The server's thread: sends and calls back until all is over, then closes the device.
  void serve(A& a) {
    while (!is_over()) {
      send_more(a);
      if (poll(a)) continue;
      sleep_unless(a, memory.agent_bell(), [&] { return device.ring().any_final(a); });
    }
    close_device(a, memory.row, memory.device_bell());
  }

  bool is_over() const { return next == total && device.outstanding_count() == 0 && is_clear(); }

  /// Every command that was sent is called back once, and delivered at most once.
  void check_books() const {
    require(next == total, "a command was never sent");
    for (uint32_t n = 0; n < total; ++n)
      require(books[n].callbacks == 1, "a command is not called back exactly once");
    require(clear_callbacks == clears_sent, "a ClearError is not called back exactly once");
    require(device.outstanding_count() == 0, "a command is outstanding");
    require(device.phase() == core::DevicePhase::active, "the device did not come back");
  }

  DeviceMemory<depth, parts> memory;
  core::ServerDevice<A> device;
  core::FinishedList finished;
  Payload buffers[total];
  Book books[total + 1];
  uint32_t next = 0;  // Command that is sent next.
  uint32_t clears_sent = 0;
  uint32_t clear_callbacks = 0;

  void send_clear_error(A& a) {
    if (clears_sent > clear_callbacks) return;  // One is under way.
    const core::Sent sent = device.send(a, clear_error, &books[clear_number]);
    require(sent == core::Sent::queued || sent == core::Sent::held, "ClearError is refused");
    ++clears_sent;
    if (sent == core::Sent::queued) ring(a, memory.device_bell());
  }

 private:
  bool is_clear() const { return device.phase() != core::DevicePhase::io_error; }

  void call_back(const core::Finished& item) {
    Book& book = *static_cast<Book*>(item.cookie);
    if (book.number == clear_number) {
      ++clear_callbacks;
      return;
    }
    require(book.callbacks++ == 0, "a command is called back twice");
    book.code = item.result.code;
    const bool by_client = book.code == core::code_success || book.code == code_of_client;
    if (!by_client) return;
    book.completer = completer_of(item.result, book.number);
    require(buffers[book.number].read() == 100 * book.completer + book.number,
            "the buffer of another command");
  }
};

}  // namespace vdset::model
