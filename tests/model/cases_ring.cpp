// tests/model/cases_ring.cpp: one device's ring, server and consumer awake, asleep and at odds.
#include "core/set_state.hpp"
#include "tests/model/cases.hpp"
#include "tests/model/mutants.hpp"
#include "tests/model/rig.hpp"

namespace vdset::model {
namespace {

constexpr uint32_t consumer_index = 2;
constexpr uint32_t rival_index = 3;

/// Goal: each command reaches the consumer once, in order, with its data, and its result comes
/// back once, with its data; nobody sleeps through a wake.
/// Method: the server fills a ring of `depth` with `total` commands, the consumer works on them.
/// Both sleep on their words, or as event loops that wake each other by looks alone.
template <class A, uint32_t depth, uint32_t total, class Way = Words>
class RingCase {
 public:
  void start() {
    memory_.name_words();
    server_ring_ = core::ServerRing<A>(memory_.submissions(), memory_.client_lines());
    Explorer::current().spawn("server", Fate::immortal, [this] { server(); });
    Explorer::current().spawn("consumer", Fate::immortal, [this] { consumer(); });
  }

  void check() {
    require(completed_ == total, "a command is lost");
    require(server_ring_.outstanding_count() == 0, "a command is outstanding");
  }

 private:
  void server() {
    A a;
    uint32_t posted = 0;
    while (completed_ < total) {
      while (posted < total && server_ring_.can_post()) {
        buffers_[server_ring_.tail() % depth].write(posted);
        number_[server_ring_.post(a, command_of(posted))] = posted;
        ++posted;
        to_consumer_.ring(a, memory_.device_bell());
      }
      if (!reap_all(a))
        to_server_.sleep_unless(a, memory_.agent_bell(), [&] { return server_ring_.any_final(a); });
    }
  }

  bool reap_all(A& a) {
    bool any = false;
    for (uint32_t line = 0; line < depth; ++line) {
      core::Completion result{};
      if (!server_ring_.is_outstanding(line)) continue;
      if (server_ring_.reap(a, line, result) == core::Reaped::pending) continue;
      any = true;
      ++completed_;
      completer_of(result, number_[line]);
      require(buffers_[line].read() == 100 + number_[line], "the buffer of another command");
    }
    return any;
  }

  void consumer() {
    A a;
    core::ClientRing<A> mine(memory_.submissions(), memory_.client_lines(),
                             memory_.client[0].header, consumer_index, 0);
    for (uint32_t n = 0; n < total; ++n) {
      core::Taken taken{};
      core::Take take;
      while ((take = mine.take(a, taken)) == core::Take::empty)
        to_consumer_.sleep_unless(a, memory_.device_bell(), [&] { return mine.ready(a); });
      require(take == core::Take::got, "evicted");
      require(number_of(taken.command) == n && !taken.redelivered, "out of order");
      require(buffers_[taken.line].read() == n, "the server's data of another command");
      buffers_[taken.line].write(100 + n);
      const auto completed = mine.complete(a, taken.line, taken.lap, taken.command.opcode,
                                           result_of(n, consumer_index));
      require(completed == core::Completed::done, "the only completer lost");
      to_server_.ring(a, memory_.agent_bell());
    }
  }

  DeviceMemory<depth> memory_;
  Way to_consumer_;
  Way to_server_;
  core::ServerRing<A> server_ring_;
  Payload buffers_[depth];
  uint32_t number_[depth]{};
  uint32_t completed_ = 0;
};

/// Goal: of two threads that complete the same command exactly one wins and is the one whose result
/// and data come back; the other is told. A taker whom the rival overtook, so that the line holds
/// the next command already, accepts no mixture.
/// Method: the consumer completes what it fetched, the rival whatever it sees TAKEN.
template <class A>
class RivalCase {
 public:
  static constexpr uint32_t total = 2;

  void start() {
    memory_.name_words();
    server_ring_ = core::ServerRing<A>(memory_.submissions(), memory_.client_lines());
    client_ring_ = core::ClientRing<A>(memory_.submissions(), memory_.client_lines(),
                                       memory_.client[0].header, consumer_index, 0);
    Explorer::current().spawn("server", Fate::immortal, [this] { server(); });
    Explorer::current().spawn("consumer", Fate::immortal, [this] { consumer(); });
    Explorer::current().spawn("rival", Fate::immortal, [this] { rival(); });
  }
  void check() {
    for (const uint32_t winners : winners_) require(winners == 1, "not exactly one completer wins");
  }

 private:
  void server() {
    A a;
    for (uint32_t n = 0; n < total; ++n) {
      server_ring_.post(a, command_of(n));
      ring(a, memory_.device_bell());
      core::Completion result{};
      while (server_ring_.reap(a, 0, result) == core::Reaped::pending)
        sleep_unless(a, memory_.agent_bell(), [&] { return server_ring_.any_final(a); });
      const uint32_t who = completer_of(result, n);
      require(outputs_[n][who].read() == 10 * n + who, "the data of another completer");
    }
  }

  void consumer() {
    A a;
    for (uint32_t n = 0; n < total; ++n) {
      core::Taken taken{};
      // Evicted: the rival was quicker.
      if (get_command(a, client_ring_, memory_.device_bell(), taken) != core::Take::got) continue;
      require(number_of(taken.command) == n, "out of order");
      complete(a, taken.lap, consumer_index);
    }
  }

  void rival() {
    A a;
    for (uint32_t i = 0; i < total; ++i) {
      const uint32_t found =
          a.template load<Site::claim_word>(memory_.client[0].lines.commands[0].command);
      const auto word = core::CommandWord::unpack(found);
      if (word.state == core::CommandState::taken) complete(a, word.generation, rival_index);
    }
  }

  void complete(A& a, uint32_t lap, uint32_t me) {
    const uint32_t n = lap - 1;
    outputs_[n][me].write(10 * n + me);
    const auto completed =
        client_ring_.complete(a, 0, lap, core::opcode_write, result_of(n, me));
    require(completed != core::Completed::evicted, "evicted");
    if (completed != core::Completed::done) return;
    ++winners_[n];
    ring(a, memory_.agent_bell());
  }

  DeviceMemory<1> memory_;
  core::ServerRing<A> server_ring_;
  core::ClientRing<A> client_ring_;
  Payload outputs_[total][rival_index + 1];
  uint32_t winners_[total]{};
};

/// Goal: a completer that learned of the command from its TAKEN alone closes the gate after all
/// that the taker did to it before, so that nothing is delivered after the error.
/// Method: the taker fails a command and completes ClearError (gate closed, gate open), takes the
/// next command; another thread fails that one and tells the taker, who tries to take once more.
template <class A>
class GateRivalCase {
 public:
  static constexpr uint32_t depth = 2;

  void start() {
    memory_.name_words();
    server_ring_ = core::ServerRing<A>(memory_.submissions(), memory_.client_lines());
    client_ring_ = core::ClientRing<A>(memory_.submissions(), memory_.client_lines(),
                                       memory_.client[0].header, consumer_index, 0);
    Explorer::current().spawn("server", Fate::immortal, [this] { server(); });
    Explorer::current().spawn("taker", Fate::immortal, [this] { taker(); });
    Explorer::current().spawn("rival", Fate::immortal, [this] { rival(); });
  }
  void check() {}

 private:
  void server() {
    A a;
    const core::Submission script[] = {command_of(0), opens_gate, command_of(1), command_of(2)};
    for (uint32_t i = 0; i < 2; ++i) {
      const uint32_t line = server_ring_.post(a, script[i]);
      ring(a, memory_.device_bell());
      core::Completion result{};
      while (server_ring_.reap(a, line, result) == core::Reaped::pending)
        sleep_unless(a, memory_.agent_bell(), [&] { return server_ring_.any_final(a); });
    }
    server_ring_.post(a, script[2]);
    server_ring_.post(a, script[3]);
    ring(a, memory_.device_bell());
  }

  void taker() {
    A a;
    core::Taken taken{};
    get_command(a, client_ring_, memory_.device_bell(), taken);
    complete(a, taken, {21, 0, 0});
    get_command(a, client_ring_, memory_.device_bell(), taken);
    complete(a, taken, {0, 0, 0});
    get_command(a, client_ring_, memory_.device_bell(), taken);
    if (!to_taker_.receive()) return;
    require(client_ring_.take(a, taken) != core::Take::got, "delivered after the error");
  }

  void complete(A& a, const core::Taken& taken, const core::Completion& result) {
    const auto completed =
        client_ring_.complete(a, taken.line, taken.lap, taken.command.opcode, result);
    require(completed == core::Completed::done, "the only completer lost");
    ring(a, memory_.agent_bell());
  }

  void rival() {
    A a;
    const Word& word = memory_.client[0].lines.commands[0].command;
    const uint32_t due = core::CommandWord{core::CommandState::taken, consumer_index, 2}.pack();
    Explorer::current().block_until([&] { return Explorer::current().newest(word) == due; });
    const auto completed = client_ring_.complete(a, 0, 2, core::opcode_write, {21, 0, 0});
    // Not done after a stale look at the word: then nothing is claimed.
    to_taker_.send(completed == core::Completed::done);
  }

  DeviceMemory<depth> memory_;
  core::ServerRing<A> server_ring_;
  core::ClientRing<A> client_ring_;
  Channel<bool> to_taker_;
};

}  // namespace

void add_ring_cases(Registry& registry) {
  using A = ExplorerAtomics;
  auto& cases = registry.cases;
  cases.push_back({"ring, depth 1", {{3, 1, 0}}, explore<RingCase<A, 1, 2>>});
  cases.push_back({"ring, depth 2", {{2, 2, 0}}, explore<RingCase<A, 2, 3>>});
  cases.push_back({"two event loops", {{3, 1, 0}}, explore<RingCase<A, 1, 2, Looks>>});
  cases.push_back({"rival completer", {{2, 1, 0}}, explore<RivalCase<A>>});
  cases.push_back({"rival closes the gate", {{2, 1, 0}}, explore<GateRivalCase<A>>});

  auto& mutants = registry.mutants;
  mutants.push_back({"fields after the sequence", explore<RingCase<FieldsAfterSequence, 1, 2>>});
  mutants.push_back({"results after DONE", explore<RingCase<ResultsAfterDone, 1, 2>>});
  mutants.push_back({"sleep without a look", explore<RingCase<SleepWithoutLook, 1, 2>>});
  mutants.push_back({"a loop that sleeps without a look",
                     explore<RingCase<SleepWithoutLook, 1, 2, Looks>>});
  mutants.push_back({"wake without a bump", explore<RingCase<WakeWithoutBump, 1, 2>>});
  mutants.push_back({"complete without a claim", explore<RivalCase<CompleteWithoutClaim>>});
  mutants.push_back({"take without the recheck", explore<RivalCase<TakeWithoutRecheck>>});
}

}  // namespace vdset::model
