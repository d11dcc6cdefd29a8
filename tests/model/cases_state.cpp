// tests/model/cases_state.cpp: words that the server publishes (slots, state, pools, names, CLOSED,
// abort record), the set's bell, and abort.
#include <cstring>
#include "core/buffer_pool.hpp"
#include "core/slot_table.hpp"
#include "tests/model/cases.hpp"
#include "tests/model/mutants.hpp"
#include "tests/model/rig.hpp"

namespace vdset::model {
namespace {

constexpr uint32_t consumer_index = 2;

/// Goal: whoever resolves a handle sees what the server wrote into the buffer before it lent it;
/// whoever knows of the callback is refused, also when the buffer is lent again.
/// Method: handles travel to the helper without any synchronization, the news of the callback with.
template <class A>
class SlotCase {
 public:
  static constexpr uint32_t rounds = 2, slot_total = 1;

  void start() {
    Explorer& explorer = Explorer::current();
    explorer.name(words_[0], "slot", 0);
    A a;
    pool_ = core::BufferPool<A>(words_, true);
    pool_.add_pool(a, core::plan_pool(0, slot_total, 4096, 64, 0, 4096), 7);
    explorer.spawn("server", Fate::immortal, [this] { server(); });
    explorer.spawn("helper", Fate::immortal, [this] { helper(); });
  }
  void check() {}

 private:
  void server() {
    A a;
    for (uint32_t round = 1; round <= rounds; ++round) {
      const uint32_t slot = pool_.allocate(a, 4096, 64);
      require(slot == 0, "the free slot is not found");
      buffer_.write(round);
      require(pool_.lend(a, slot, consumer_index), "an allocated slot cannot be lent");
      require(!pool_.release(a, slot), "a lent slot is freed");
      handle_ = codec_.encode(slot, pool_.generation(a, slot));
      finished_.receive();
      require(pool_.give_back(a, slot), "a lent slot is not given back");
      called_back_.send(round);
      require(pool_.release(a, slot), "a slot given back cannot be freed");
    }
  }

  void helper() {
    A a;
    const core::SlotTable<A> table(words_, codec_, true);
    uint32_t old = 0;
    for (uint32_t round = 1; round <= rounds; ++round) {
      Explorer::current().block_until([&] { return handle_ != old; });
      const uint32_t handle = handle_;
      require(old == 0 || table.resolve(a, old, slot_total).refusal != core::Refusal::none,
              "a handle of a buffer that was called back resolves again");
      const bool by_handle = table.resolve(a, handle, slot_total).refusal == core::Refusal::none;
      const bool by_slot = by_handle || table.handle_of(a, 0) == handle;
      if (by_slot) require(buffer_.read() == round, "the buffer of another round");
      finished_.send(true);
      called_back_.receive();
      require(table.resolve(a, handle, slot_total).refusal != core::Refusal::none,
              "a handle resolves after its callback");
      old = handle;
    }
  }

  Word words_[core::slots_max]{};
  core::BufferPool<A> pool_;
  core::HandleCodec codec_{5, 4};
  Payload buffer_;
  uint32_t handle_ = 0;  // A channel that orders nothing.
  Channel<bool> finished_;
  Channel<uint32_t> called_back_;
};

/// Goal: of two threads of the server that send one buffer each has it alone, with all that the
/// other did with it behind it; what S shows of it is of the last.
/// Method: both lend it and give it back again, with nothing between them but its slot; one then
/// frees and allocates it.
template <class A>
class OwnerCase {
 public:
  void start() {
    Explorer& explorer = Explorer::current();
    explorer.name(words_[0], "slot", 0);
    A a;
    pool_ = core::BufferPool<A>(words_, false);
    pool_.add_pool(a, core::plan_pool(0, 1, 4096, 64, 0, 4096), 7);
    require(pool_.allocate(a, 4096, 64) == 0, "the free slot is not found");
    explorer.spawn("sender", Fate::immortal, [this] { sends(1); });
    explorer.spawn("other sender", Fate::immortal, [this] {
      sends(2);
      frees();
    });
  }
  void check() {
    A a;
    const auto word = core::SlotWord::unpack(words_[0].value);
    require(word.state == core::SlotState::live && pool_.state(a, 0) == word.state,
            "S shows another state than the last");
  }

 private:
  void sends(uint32_t what) {
    A a;
    if (!pool_.lend(a, 0, consumer_index)) return;
    buffer_.write(what);
    require(buffer_.read() == what, "two have the buffer");
    require(pool_.give_back(a, 0), "a lent slot is not given back");
  }
  void frees() {
    A a;
    if (!pool_.release(a, 0)) return;
    buffer_.write(3);
    require(pool_.allocate(a, 4096, 64) == 0, "a freed slot is not to be had");
  }

  Word words_[core::slots_max]{};
  core::BufferPool<A> pool_;
  Payload buffer_;
};

/// Goal: who sees INITIALIZING sees the configuration; any number of threads waits on the set's
/// bell, and none sleeps through a change.
/// Method: the server configures and rings the set's bell, two clients wait for it.
template <class A>
class ConfigurationCase {
 public:
  void start() {
    Explorer& explorer = Explorer::current();
    explorer.name(header_.set_state, "set state");
    explorer.name(wake_.set.event, "set bell");
    explorer.spawn("server", Fate::immortal, [this] { server(); });
    explorer.spawn("client 1", Fate::immortal, [this] { client(); });
    explorer.spawn("client 2", Fate::immortal, [this] { client(); });
  }
  void check() { require(informed_ == 2, "a client was not told"); }

 private:
  static constexpr core::Configuration agreed{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

  void server() {
    A a;
    core::SetWords<A> words(header_);
    words.write_configuration(a, agreed, 9);
    words.publish_state(a, core::SetState::initializing);
    force(a, wake_.set.event);
  }

  void client() {
    A a;
    for (;;) {
      const uint32_t seen = core::watch_bell(a, wake_.set.event);
      if (core::read_state(a, header_) == core::SetState::initializing) break;
      Explorer::current().futex_wait(wake_.set.event, seen);
    }
    core::Configuration c{};
    uint32_t index_bits = 0;
    require(core::read_configuration(a, header_, c, index_bits), "no sound configuration");
    require(std::memcmp(&c, &agreed, sizeof c) == 0 && index_bits == 9, "not what was agreed");
    ++informed_;
  }

  core::ServerHeader header_{};
  core::WakeWords wake_{};
  uint32_t informed_ = 0;
};

/// Goal: rows are whole when the word that publishes them shows them.
/// Method: the server adds a pool, names a device, lists a participant; a client looks at each.
template <class A>
class RowsCase {
 public:
  void start() {
    Explorer::current().name(header_.pool_count, "pool count");
    Explorer::current().name(device_.device, "device");
    Explorer::current().name(participant_.participant, "participant");
    Explorer::current().spawn("server", Fate::immortal, [this] { server(); });
    Explorer::current().spawn("client", Fate::immortal, [this] { client(); });
  }
  void check() {}

 private:
  static constexpr core::PoolPlan plan = core::plan_pool(0, 3, 8192, 64, 0, 4096);
  static constexpr char name[] = "tape";

  void server() {
    A a;
    core::SetWords<A> words(header_);
    words.publish_pool(a, 0, plan);
    core::write_text(a, gsl::span<Word>(device_.name, 1), gsl::span<const char>(name, 4));
    a.template store<Site::fields_write>(device_.name_bytes, 4);
    core::publish_device(a, device_, {core::DeviceState::named, core::nobody, 0});
    core::publish_participant(a, participant_, {core::ParticipantState::active, 3, 1}, 4711);
  }

  void client() {
    A a;
    if (a.template load<Site::pool_read>(header_.pool_count) == 1) {
      const core::PoolPlan got = core::read_pool(a, header_.pools[0]);
      require(std::memcmp(&got, &plan, sizeof got) == 0, "a row of a pool is not whole");
    }
    const uint32_t word = a.template load<Site::device_read>(device_.device);
    if (core::DeviceWord::unpack(word).state == core::DeviceState::named) {
      char got[5] = "";
      const uint32_t bytes = a.template load<Site::fields_read>(device_.name_bytes);
      core::read_text(a, gsl::span<const Word>(device_.name, 1), gsl::span<char>(got, 4));
      require(bytes == 4 && std::memcmp(got, name, 4) == 0, "a device's name is not whole");
    }
    const auto who = core::read_participant(a, participant_);
    require(who.role == core::Role::none || who.pid == 4711, "a participant's row is not whole");
  }

  core::ServerHeader header_{};
  core::DeviceRow device_{};
  core::ParticipantRow participant_{};
};

/// Goal: a command whose buffer lies in a new pool is not taken before the pool is mapped, and the
/// pool's row is whole then.
template <class A>
class NewPoolCase {
 public:
  void start() {
    memory_.name_words();
    Explorer::current().name(header_.pool_count, "pool count");
    Explorer::current().spawn("server", Fate::immortal, [this] { server(); });
    Explorer::current().spawn("consumer", Fate::immortal, [this] { consumer(); });
  }
  void check() {}

 private:
  void server() {
    A a;
    core::ServerRing<A> mine(memory_.submissions(), memory_.client_lines());
    core::SetWords<A> words(header_);
    mine.post(a, command_of(0));
    ring(a, memory_.device_bell());
    words.publish_pool(a, 0, core::plan_pool(0, 3, 8192, 64, 0, 4096));
    mine.post(a, command_of(1));
    ring(a, memory_.device_bell());
  }

  void consumer() {
    A a;
    core::ClientRing<A> mine(memory_.submissions(), memory_.client_lines(),
                             memory_.client[0].header, consumer_index, 0);
    mine.watch_pools(header_.pool_count);
    uint32_t known = 0;
    for (uint32_t n = 0; n < 2;) {
      core::Taken taken{};
      switch (mine.take(a, taken)) {
        case core::Take::empty:
          sleep_unless(a, memory_.device_bell(), [&] { return mine.ready(a); });
          break;
        case core::Take::need_pool:
          require(core::read_pool(a, header_.pools[0]).slot_count == 3, "a row is not whole");
          mine.know_pools(known = 1);
          break;
        case core::Take::got:
          require(number_of(taken.command) == n, "out of order");
          require(n == 0 || known == 1, "taken before its pool is mapped");
          ++n;
          break;
        default: require(false, "evicted or endless");
      }
    }
  }

  DeviceMemory<2> memory_;
  core::ServerHeader header_{};
};

/// Goal: a consumer that sees CLOSED and looks at the ring once more has seen every submission.
template <class A>
class ClosedCase {
 public:
  void start() {
    memory_.name_words();
    Explorer::current().spawn("server", Fate::immortal, [this] { server(); });
    Explorer::current().spawn("consumer", Fate::immortal, [this] { consumer(); });
  }
  void check() { require(got_ == total, "the end of the stream came before its last command"); }

 private:
  static constexpr uint32_t total = 2;

  void server() {
    A a;
    core::ServerRing<A> mine(memory_.submissions(), memory_.client_lines());
    for (uint32_t n = 0; n < total; ++n) {
      mine.post(a, command_of(n));
      ring(a, memory_.device_bell());
    }
    close_device(a, memory_.row, memory_.device_bell());
  }

  void consumer() {
    A a;
    core::ClientRing<A> mine(memory_.submissions(), memory_.client_lines(),
                             memory_.client[0].header, consumer_index, 0);
    core::Taken taken{};
    while (get_command_or_end(a, mine, memory_.row, memory_.device_bell(), taken) ==
           core::Take::got)
      ++got_;
  }

  DeviceMemory<2> memory_;
  uint32_t got_ = 0;
};

/// Goal: who sees the abort record sees all of it; the first record stays.
template <class A>
class AbortRecordCase {
 public:
  void start() {
    Explorer::current().name(header_.abort_record, "abort record");
    Explorer::current().spawn("server", Fate::immortal, [this] { server(); });
    Explorer::current().spawn("client", Fate::immortal, [this] { client(); });
  }
  void check() {}

 private:
  void server() {
    A a;
    core::SetWords<A> words(header_);
    words.record_abort(a, {1, 2, 3, 4, 3, "why"});
    words.record_abort(a, {9, 9, 9, 9, 3, "not"});
  }

  void client() {
    A a;
    core::AbortRecord r{};
    if (!core::read_abort(a, header_, r)) return;
    require(r.role == 1 && r.pid == 2 && r.call == 3 && r.code == 4 && r.text_bytes == 3 &&
                std::memcmp(r.text, "why", 3) == 0,
            "an abort record is not whole");
  }

  core::ServerHeader header_{};
};

/// Goal: an abort wakes every armed waiter, also when the aborter dies just after asking: its death
/// is noticed, and the notice rings every bell.
template <class A>
class AbortCase {
 public:
  void start() {
    Explorer& explorer = Explorer::current();
    explorer.name(wake_.abort.event, "abort");
    explorer.name(wake_.agent.event, "agent bell");
    explorer.name(wake_.devices[0].event, "device bell");
    explorer.spawn("consumer", Fate::immortal, [this] { wait(wake_.devices[0].event); });
    explorer.spawn("agent", Fate::immortal, [this] { wait(wake_.agent.event); });
    aborter_ = explorer.spawn("aborter", Fate::mortal, [this] { abort_set(5); });
    explorer.spawn("library", Fate::immortal, [this] {
      Explorer::current().join(aborter_);
      if (Explorer::current().is_dead(aborter_)) abort_set(6);
    });
  }
  void check() {
    const uint32_t word = Explorer::current().newest(wake_.abort.event);
    const auto asked = core::AbortWord::unpack(word);
    require(asked.aborted && (asked.reason == 5 || asked.reason == 6), "no abort is on record");
    require(first_ <= 1, "two were the first to abort");
  }

 private:
  void wait(Word& bell) {
    A a;
    while (core::abort_requested(a, wake_) == 0)
      sleep_unless(a, bell, [&] { return core::abort_requested(a, wake_) != 0; });
  }

  void abort_set(uint32_t reason) {
    A a;
    first_ += core::request_abort(a, wake_, reason, 0) ? 1 : 0;
    force(a, wake_.devices[0].event);
    force(a, wake_.agent.event);
  }

  core::WakeWords wake_{};
  ThreadId aborter_ = 0;
  uint32_t first_ = 0;
};

}  // namespace

void add_state_cases(Registry& registry) {
  using A = ExplorerAtomics;
  auto& cases = registry.cases;
  cases.push_back({"handles", {{3, 1, 0}}, explore<SlotCase<A>>});
  cases.push_back({"buffer owners", {{3, 1, 0}}, explore<OwnerCase<A>>});
  cases.push_back({"configuration", {{2, 2, 0}}, explore<ConfigurationCase<A>>});
  cases.push_back({"rows", {{3, 1, 0}}, explore<RowsCase<A>>});
  cases.push_back({"new pool", {{3, 1, 0}}, explore<NewPoolCase<A>>});
  cases.push_back({"closed", {{3, 1, 0}}, explore<ClosedCase<A>>});
  cases.push_back({"abort record", {{3, 1, 0}}, explore<AbortRecordCase<A>>});
  cases.push_back({"abort", {{2, 1, 1}}, explore<AbortCase<A>>});

  auto& mutants = registry.mutants;
  mutants.push_back(
      {"configuration after its state", explore<ConfigurationCase<ConfigurationAfterState>>});
  mutants.push_back({"abort rings armed bells only", explore<AbortCase<ForceOnlyArmed>>});
}

}  // namespace vdset::model
