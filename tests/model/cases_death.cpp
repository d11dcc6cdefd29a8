// tests/model/cases_death.cpp: consumers that leave, die at any step, or are taken for dead.
#include "tests/model/cases.hpp"
#include "tests/model/device_server.hpp"
#include "tests/model/mutants.hpp"

namespace vdset::model {
namespace {

constexpr uint32_t first_index = 2;
constexpr uint32_t second_index = 3;

enum class Ending : std::uint8_t { leaves, dies };

/// Goal: whenever the first consumer dies (or closes the device after some laps), the next one
/// goes on from the first command that is not final; each command is called back once; what the
/// dead held fails, or with hand-over is offered to the next one, flagged; nothing is delivered to
/// two who live.
/// Method: the library thread learns of the end from the kernel and rings the agent, which sweeps
/// to a fresh part C and grants the device to the second consumer.
template <class A, uint32_t depth, uint32_t total, Ending ending, bool hand_over,
          uint32_t first_fails = ~0u>
class SuccessionCase {
 public:
  void start() {
    Explorer& explorer = Explorer::current();
    const Fate fate = ending == Ending::dies ? Fate::mortal : Fate::immortal;
    explorer.spawn("server", Fate::immortal, [this] { server(); });
    first_ = explorer.spawn("first", fate, [this] { first(); });
    explorer.spawn("library", Fate::immortal, [this] { library(); });
    explorer.spawn("second", Fate::immortal, [this] { second(); });
  }

  void check() {
    server_.check_books();
    const bool died = Explorer::current().is_dead(first_);
    for (uint32_t n = 0; n < total; ++n) check_book(server_.books[n], died);
  }

 private:
  void server() {
    A a;
    while (!server_.is_over()) {
      server_.send_more(a);
      if (server_.poll(a)) continue;
      if (is_vacant()) {
        install_second(a);
        continue;
      }
      sleep_unless(a, server_.memory.agent_bell(), [&] {
        return is_vacant() || server_.device.ring().any_final(a);
      });
    }
    is_over_ = true;
    close_device(a, server_.memory.row, server_.memory.device_bell());
  }

  bool is_vacant() const { return first_is_gone_ && !installed_; }

  void install_second(A& a) {
    Explorer::current().join(first_);
    server_.clear_finished();
    server_.device.sweep(a, hand_over, server_.memory.client_lines(1),
                         server_.memory.client[1].header, server_.finished);
    installed_ = true;
    server_.settle(a);
    grant_.send(server_.device.ring().first_outstanding());
  }

  void library() {
    A a;
    Explorer::current().join(first_);
    first_is_gone_ = true;
    force(a, server_.memory.agent_bell());
  }

  void first() {
    A a;
    auto mine = server_.client_ring(0, first_index, 0);
    for (uint32_t i = 0; ending == Ending::dies || i < total - depth; ++i)
      if (!serve_one(a, mine, first_index)) return;
  }

  void second() {
    A a;
    Explorer::current().block_until([this] { return grant_.is_full() || is_over_; });
    if (!grant_.is_full()) return;
    auto mine = server_.client_ring(1, second_index, grant_.receive());
    while (serve_one(a, mine, second_index)) {
    }
  }

  bool serve_one(A& a, core::ClientRing<A>& mine, uint32_t me) {
    core::Taken taken{};
    if (get_command_or_end(a, mine, server_.memory.row, server_.memory.device_bell(), taken) !=
        core::Take::got)
      return false;
    core::Completion result{};
    if (!is_clear_error(taken.command)) {
      const uint32_t n = number_of(taken.command);
      judge_delivery(n, me, taken.redelivered);
      server_.buffers[n].read();
      server_.buffers[n].write(100 * me + n);
      const bool fails = n == first_fails && me == first_index;
      result = result_of(n, me, fails ? code_of_client : core::code_success);
    }
    const auto completed =
        mine.complete(a, taken.line, taken.lap, taken.command.opcode, result);
    require(completed == core::Completed::done, "the only completer lost");
    ring(a, server_.memory.agent_bell());
    return true;
  }

  void judge_delivery(uint32_t n, uint32_t me, bool redelivered) {
    Book& book = server_.books[n];
    require(book.callbacks == 0, "delivered after its callback");
    const bool again = had_[n];
    require(me == second_index || !redelivered, "flagged as redelivered without a first time");
    if (me == first_index) had_[n] = true;
    if (me == second_index) {
      require(!again || hand_over, "delivered twice without hand-over");
      require(!again || redelivered, "redelivered without the flag");
      require(!redelivered || Explorer::current().is_dead(first_), "flagged though nobody died");
    }
    ++book.deliveries;
  }

  void check_book(const Book& book, bool died) const {
    const bool by_client = book.code == core::code_success || book.code == code_of_client;
    require(by_client || died || first_fails < total, "failed though nobody died or erred");
    if (book.code == core::code_io_device)
      require(book.deliveries == 0, "recalled and delivered");
    if (book.code == core::code_operation_aborted)
      require(died && (!hand_over || first_fails < total), "aborted without a reason");
    if (by_client) require(book.deliveries >= 1, "completed, never delivered");
  }

  DeviceServer<A, depth, total, 2> server_;
  Channel<uint32_t> grant_;
  ThreadId first_ = 0;
  bool first_is_gone_ = false;  // In the server's private memory.
  bool installed_ = false;
  bool is_over_ = false;
  bool had_[total]{};  // The first consumer was given it.
};

/// Goal: a consumer that is taken for gone while it runs (it left the set, and lives) does no harm:
/// it accepts no mixture; a completion of its counts before the sweep only; nothing is delivered to
/// it and to its successor.
/// Method: the server takes the device from the zombie at any moment and gives it to a second
/// consumer with a fresh part C; the zombie goes on with the old part, without sleeping: a bell has
/// one waiter, a second one costs it a slice.
template <class A>
class ZombieCase {
 public:
  static constexpr uint32_t depth = 1, total = 2;

  void start() {
    Explorer& explorer = Explorer::current();
    explorer.spawn("server", Fate::immortal, [this] { server(); });
    explorer.spawn("zombie", Fate::immortal, [this] { zombie(); });
    explorer.spawn("second", Fate::immortal, [this] { second(); });
  }
  void check() {
    server_.check_books();
    for (uint32_t n = 0; n < total; ++n) {
      const Book& book = server_.books[n];
      require(accepted_[n] + book.deliveries <= 1, "delivered to two who live");
      const bool success = book.code == core::code_success;
      require(!done_[n] || (success && book.completer == first_index), "a result is lost");
      require(!success || done_[n] || book.deliveries == 1, "completed, never delivered");
    }
  }

 private:
  void server() {
    A a;
    server_.send_more(a);
    server_.clear_finished();
    server_.device.sweep(a, false, server_.memory.client_lines(1),
                         server_.memory.client[1].header, server_.finished);
    server_.settle(a);
    grant_.send(server_.device.ring().first_outstanding());
    server_.serve(a);
  }

  void zombie() {
    A a;
    auto mine = server_.client_ring(0, first_index, 0);
    for (uint32_t i = 0; i < 2; ++i) {
      core::Taken taken{};
      if (mine.take(a, taken) != core::Take::got) continue;
      require(!is_clear_error(taken.command), "fetched after the sweep");
      const uint32_t n = number_of(taken.command);
      accepted_[n] = true;
      server_.buffers[n].write(100 * first_index + n);
      const auto completed =
          mine.complete(a, taken.line, taken.lap, taken.command.opcode, result_of(n, first_index));
      if (completed != core::Completed::done) continue;
      done_[n] = true;
      ring(a, server_.memory.agent_bell());
    }
  }

  void second() {
    A a;
    auto mine = server_.client_ring(1, second_index, grant_.receive());
    core::Taken taken{};
    while (get_command_or_end(a, mine, server_.memory.row, server_.memory.device_bell(), taken) ==
           core::Take::got) {
      core::Completion result{};
      if (!is_clear_error(taken.command)) {
        const uint32_t n = number_of(taken.command);
        ++server_.books[n].deliveries;
        server_.buffers[n].write(100 * second_index + n);
        result = result_of(n, second_index);
      }
      const auto completed =
          mine.complete(a, taken.line, taken.lap, taken.command.opcode, result);
      require(completed == core::Completed::done, "the zombie disturbed its successor");
      ring(a, server_.memory.agent_bell());
    }
  }

  DeviceServer<A, depth, total, 2> server_;
  Channel<uint32_t> grant_;
  bool accepted_[total]{};  // By the zombie.
  bool done_[total]{};
};

}  // namespace

void add_death_cases(Registry& registry) {
  using A = ExplorerAtomics;
  auto& cases = registry.cases;
  const std::vector<Bounds> large = {{0, 1, 1}, {1, 0, 1}};
  cases.push_back({"new consumer after laps",
                   {{1, 1, 0}},
                   explore<SuccessionCase<A, 1, 3, Ending::leaves, false>>});
  cases.push_back({"death, one command",
                   {{1, 1, 1}},
                   explore<SuccessionCase<A, 1, 1, Ending::dies, false>>});
  cases.push_back({"death, one handed over",
                   {{1, 1, 1}},
                   explore<SuccessionCase<A, 1, 1, Ending::dies, true>>});
  cases.push_back(
      {"death, failed", {{1, 1, 1}}, explore<SuccessionCase<A, 2, 2, Ending::dies, false>>});
  cases.push_back(
      {"death, handed over", {{1, 1, 1}}, explore<SuccessionCase<A, 2, 2, Ending::dies, true>>});
  cases.push_back(
      {"death in IO-ERROR", large, explore<SuccessionCase<A, 2, 2, Ending::dies, true, 0>>});
  cases.push_back({"zombie", {{2, 1, 0}}, explore<ZombieCase<A>>});

  registry.mutants.push_back({"take though evicted", explore<ZombieCase<TakeThoughEvicted>>});
  registry.mutants.push_back(
      {"offered without a flag",
       explore<SuccessionCase<OfferedWithoutFlag, 1, 1, Ending::dies, true>>,
       1});
  registry.mutants.push_back({"decided is offered again",
                              explore<SuccessionCase<DecidedIsQueued, 1, 1, Ending::dies, false>>,
                              1});
  registry.mutants.push_back(
      {"nothing is taken back", explore<ZombieCase<NothingIsTakenBack>>});
  registry.mutants.push_back(
      {"sweep as a store", explore<ZombieCase<BlindExchange<Site::sweep_cas>>>});
}

}  // namespace vdset::model
