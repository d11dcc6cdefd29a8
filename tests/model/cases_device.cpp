// tests/model/cases_device.cpp: IO-ERROR, recall, and two threads on either side of one device.
#include "tests/model/cases.hpp"
#include "tests/model/device_server.hpp"
#include "tests/model/mutants.hpp"

namespace vdset::model {
namespace {

constexpr uint32_t consumer_index = 2;

/// Goal: after a completion with an error its thread is handed nothing but ClearError, which comes
/// when all that was fetched is complete; the rest is recalled, once; then the device works again.
/// Method: the consumer fails command 0, by choice after fetching command 1 as well.
template <class A>
class IoErrorCase {
 public:
  static constexpr uint32_t depth = 2, total = 3;

  void start() {
    Explorer::current().spawn("server", Fate::immortal, [this] { server(); });
    Explorer::current().spawn("consumer", Fate::immortal, [this] { consumer(); });
  }
  void check() {
    server_.check_books();
    for (const Book& book : server_.books)
      if (book.number < total) check_book(book);
    require(server_.clears_sent == 1, "not one ClearError");
  }

 private:
  void server() {
    A a;
    server_.serve(a);
  }

  void consumer() {
    A a;
    auto mine = server_.client_ring(0, consumer_index, 0);
    const bool ahead = Explorer::current().choose(2) != 0;
    core::Taken first{}, second{};
    fetch(a, mine, first);
    const bool both = ahead && fetch(a, mine, second);
    complete(a, mine, first, code_of_client);
    failed_ = true;
    if (both) complete(a, mine, second, core::code_success);
    while (fetch(a, mine, first)) complete(a, mine, first, core::code_success);
  }

  bool fetch(A& a, core::ClientRing<A>& mine, core::Taken& taken) {
    const core::Take take = get_command_or_end(a, mine, server_.memory.row,
                                               server_.memory.device_bell(), taken);
    if (take != core::Take::got) return false;
    if (is_clear_error(taken.command)) {
      require(failed_ && open_ == 0, "ClearError before all that was fetched is complete");
      failed_ = false;
    } else {
      require(!failed_, "delivered after the error");
      ++server_.books[number_of(taken.command)].deliveries;
    }
    ++open_;
    return true;
  }

  void complete(A& a, core::ClientRing<A>& mine, const core::Taken& taken, uint32_t code) {
    core::Completion result{code, 0, 0};
    if (!is_clear_error(taken.command)) {
      const uint32_t n = number_of(taken.command);
      require(server_.buffers[n].read() == n, "the server's data of another command");
      server_.buffers[n].write(100 * consumer_index + n);
      result = result_of(n, consumer_index, code);
    }
    --open_;
    const auto completed =
        mine.complete(a, taken.line, taken.lap, taken.command.opcode, result);
    require(completed == core::Completed::done, "the only completer lost");
    ring(a, server_.memory.agent_bell());
  }

  static void check_book(const Book& book) {
    const bool recalled = book.code == core::code_io_device;
    require(recalled == (book.deliveries == 0), "recalled and delivered, or neither");
    require(book.deliveries <= 1, "delivered twice");
    require(book.number != 0 || book.code == code_of_client, "the error is lost");
  }

  DeviceServer<A, depth, total> server_;
  bool failed_ = false;
  uint32_t open_ = 0;  // Fetched, not complete.
};

/// Goal: a recall that races GetCommand ends in delivered or recalled, never both; ClearError comes
/// only when all that was fetched is complete.
/// Method: one thread of the client fetches, another fails command 0 meanwhile.
template <class A>
class RecallRaceCase {
 public:
  static constexpr uint32_t depth = 2, total = 3;

  void start() {
    Explorer::current().spawn("server", Fate::immortal, [this] { server(); });
    Explorer::current().spawn("fetcher", Fate::immortal, [this] { fetcher(); });
    Explorer::current().spawn("completer", Fate::immortal, [this] { completer(); });
  }
  void check() {
    server_.check_books();
    require(server_.books[0].code == code_of_client, "the error is lost");
    const Book& other = server_.books[1];
    require((other.code == core::code_io_device) == (other.deliveries == 0),
            "recalled and delivered, or neither");
  }

 private:
  void server() {
    A a;
    server_.serve(a);
  }

  void fetcher() {
    A a;
    ring_ = server_.client_ring(0, consumer_index, 0);
    core::Taken taken{};
    while (get_command_or_end(a, ring_, server_.memory.row, server_.memory.device_bell(),
                              taken) == core::Take::got) {
      if (is_clear_error(taken.command)) {
        require(open_ == 0, "ClearError before all that was fetched is complete");
        complete(a, taken, {core::code_success, 0, 0});
        continue;
      }
      const uint32_t n = number_of(taken.command);
      ++server_.books[n].deliveries;
      ++open_;
      if (n == 0)
        to_completer_.send(taken);
      else
        work_on(a, taken, core::code_success);
    }
  }

  void completer() {
    A a;
    work_on(a, to_completer_.receive(), code_of_client);
  }

  void work_on(A& a, const core::Taken& taken, uint32_t code) {
    const uint32_t n = number_of(taken.command);
    server_.buffers[n].write(100 * consumer_index + n);
    --open_;
    complete(a, taken, result_of(n, consumer_index, code));
  }
  void complete(A& a, const core::Taken& taken, const core::Completion& result) {
    const auto completed =
        ring_.complete(a, taken.line, taken.lap, taken.command.opcode, result);
    require(completed == core::Completed::done, "the only completer lost");
    ring(a, server_.memory.agent_bell());
  }

  DeviceServer<A, depth, total> server_;
  core::ClientRing<A> ring_;
  Channel<core::Taken> to_completer_;
  uint32_t open_ = 0;
};

/// Goal: a ClearError that is sent before the server knows of an error comes before the error, or
/// when all that was fetched is complete; fetched before the error it clears nothing.
/// Method: the server sends two commands and ClearError without looking; the client fetches ahead,
/// by choice, fails command 0, and tries to fetch while it still holds what it has.
template <class A>
class EarlyClearCase {
 public:
  static constexpr uint32_t depth = 4, total = 2;

  void start() {
    Explorer::current().spawn("server", Fate::immortal, [this] { server(); });
    Explorer::current().spawn("consumer", Fate::immortal, [this] { consumer(); });
  }
  void check() {
    server_.check_books();
    require(server_.books[0].code == code_of_client, "the error is lost");
    require(server_.clears_sent == (was_early_ ? 2 : 1), "cleared by what came before the error");
  }

 private:
  void server() {
    A a;
    server_.send_more(a);
    server_.send_clear_error(a);
    server_.serve(a);
  }

  void consumer() {
    A a;
    auto mine = server_.client_ring(0, consumer_index, 0);
    core::Taken held[3];
    uint32_t count = 0;
    const uint32_t ahead = Explorer::current().choose(3);
    while (count <= ahead && fetch(a, mine, held[count])) ++count;
    if (count == 0) return;
    complete(a, mine, held[0], code_of_client);
    failed_ = true;
    core::Taken more{};
    while (count > 1) {
      if (mine.take(a, more) == core::Take::got) require(false, "delivered with others open");
      complete(a, mine, held[--count], core::code_success);
    }
    while (fetch(a, mine, more)) complete(a, mine, more, core::code_success);
  }

  bool fetch(A& a, core::ClientRing<A>& mine, core::Taken& taken) {
    const core::Take take = get_command_or_end(a, mine, server_.memory.row,
                                               server_.memory.device_bell(), taken);
    if (take != core::Take::got) return false;
    const bool clear = is_clear_error(taken.command);
    require(!failed_ || clear, "delivered after the error");
    if (!clear) ++server_.books[number_of(taken.command)].deliveries;
    was_early_ = was_early_ || (clear && !failed_);
    if (clear && failed_) failed_ = false;
    return true;
  }

  void complete(A& a, core::ClientRing<A>& mine, const core::Taken& taken, uint32_t code) {
    core::Completion result{code, 0, 0};
    if (!is_clear_error(taken.command)) {
      const uint32_t n = number_of(taken.command);
      server_.buffers[n].write(100 * consumer_index + n);
      result = result_of(n, consumer_index, code);
    }
    const auto completed =
        mine.complete(a, taken.line, taken.lap, taken.command.opcode, result);
    require(completed == core::Completed::done, "the only completer lost");
    ring(a, server_.memory.agent_bell());
  }

  DeviceServer<A, depth, total> server_;
  bool failed_ = false;
  bool was_early_ = false;  // ClearError came before the error.
};

/// Goal: a sender and a completion agent in two threads of the server, one process-local lock
/// around core calls and no more, lose nothing, also across IO-ERROR with a held ClearError.
template <class A, bool with_error>
class ServerThreadsCase {
 public:
  static constexpr uint32_t depth = 1, total = 2;

  void start() {
    Explorer::current().spawn("sender", Fate::immortal, [this] { sender(); });
    Explorer::current().spawn("agent", Fate::immortal, [this] { agent(); });
    Explorer::current().spawn("consumer", Fate::immortal, [this] { consumer(); });
  }
  void check() { server_.check_books(); }

 private:
  void sender() {
    A a;
    for (;;) {
      lock_.lock();
      server_.send_more(a);
      const bool all_sent = server_.next == total;
      const uint32_t seen = polls_;
      lock_.unlock();
      if (all_sent && (!with_error || is_done_)) return;
      Explorer::current().block_until([&] { return polls_ != seen || is_done_; });
    }
  }

  void agent() {
    A a;
    for (;;) {
      lock_.lock();
      const bool any = server_.collect(a);
      lock_.unlock();
      server_.settle(a);
      polls_ += any ? 1 : 0;
      is_done_ = server_.is_over();
      if (is_done_) break;
      if (any) continue;
      sleep_unless(a, server_.memory.agent_bell(), [&] {
        lock_.lock();
        const bool final = server_.device.ring().any_final(a);
        lock_.unlock();
        return final;
      });
    }
    close_device(a, server_.memory.row, server_.memory.device_bell());
  }

  void consumer() {
    A a;
    auto mine = server_.client_ring(0, consumer_index, 0);
    core::Taken taken{};
    while (get_command_or_end(a, mine, server_.memory.row, server_.memory.device_bell(), taken) ==
           core::Take::got) {
      core::Completion result{};
      if (!is_clear_error(taken.command)) {
        const uint32_t n = number_of(taken.command);
        require(server_.books[n].deliveries++ == 0, "delivered twice");
        require(server_.buffers[n].read() == n, "the server's data of another command");
        server_.buffers[n].write(100 * consumer_index + n);
        result = result_of(n, consumer_index, with_error && n == 0 ? code_of_client : 0);
      }
      const auto completed =
          mine.complete(a, taken.line, taken.lap, taken.command.opcode, result);
      require(completed == core::Completed::done, "the only completer lost");
      ring(a, server_.memory.agent_bell());
    }
  }

  DeviceServer<A, depth, total> server_;
  Mutex lock_;
  uint32_t polls_ = 0;    // That found something. Not memory of the machine: tells the sender when.
  bool is_done_ = false;
};

}  // namespace

void add_device_cases(Registry& registry) {
  using A = ExplorerAtomics;
  auto& cases = registry.cases;
  const std::vector<Bounds> large = {{1, 1, 0}, {2, 0, 0}};
  cases.push_back({"IO-ERROR", {{2, 1, 0}}, explore<IoErrorCase<A>>});
  cases.push_back({"ClearError before the error", {{2, 1, 0}}, explore<EarlyClearCase<A>>});
  cases.push_back({"recall races take", large, explore<RecallRaceCase<A>>});
  cases.push_back({"two server threads", {{2, 1, 0}}, explore<ServerThreadsCase<A, false>>});
  cases.push_back({"two server threads, IO-ERROR", large, explore<ServerThreadsCase<A, true>>});

  auto& mutants = registry.mutants;
  mutants.push_back({"gate after DONE", explore<RecallRaceCase<GateAfterDone>>});
  mutants.push_back({"gate for any ClearError", explore<EarlyClearCase<GateForAnyClearError>>});
  mutants.push_back({"take as a store", explore<RecallRaceCase<BlindExchange<Site::take_cas>>>});
  mutants.push_back(
      {"recall as a store", explore<RecallRaceCase<BlindExchange<Site::recall_cas>>>});
  mutants.push_back({"recall rings armed bells only", explore<IoErrorCase<ForceOnlyArmed>>});
}

}  // namespace vdset::model
