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
template <class A, uint32_t depth, uint32_t total>
class RingCase {
 public:
  void start() {
    memory_.name_words();
    server_ring_ = core::ServerRing<A>(memory_.submissions(), memory_.completions());
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
        ring(a, memory_.device_bell());
      }
      if (!reap_all(a))
        sleep_unless(a, memory_.agent_bell(), [&] { return server_ring_.any_final(a); });
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
    core::ClientRing<A> mine(memory_.submissions(), memory_.completions(),
                             memory_.client[0].header, consumer_index, 0);
    for (uint32_t n = 0; n < total; ++n) {
      core::Taken taken{};
      require(get_command(a, mine, memory_.device_bell(), taken) == core::Take::got, "evicted");
      require(number_of(taken.command) == n && !taken.redelivered, "out of order");
      require(buffers_[taken.line].read() == n, "the server's data of another command");
      buffers_[taken.line].write(100 + n);
      const auto completed = mine.complete(a, taken.line, taken.lap, taken.command.opcode,
                                           result_of(n, consumer_index));
      require(completed == core::Completed::done, "the only completer lost");
      ring(a, memory_.agent_bell());
    }
  }

  DeviceMemory<depth> memory_;
  core::ServerRing<A> server_ring_;
  Payload buffers_[depth];
  uint32_t number_[depth]{};
  uint32_t completed_ = 0;
};

}  // namespace

void add_ring_cases(Registry& registry) {
  registry.cases.push_back({"ring, depth 1", {2, 1, 0}, explore<RingCase<ExplorerAtomics, 1, 2>>});
  registry.cases.push_back({"ring, depth 2", {2, 1, 0}, explore<RingCase<ExplorerAtomics, 2, 3>>});
}

}  // namespace vdset::model
