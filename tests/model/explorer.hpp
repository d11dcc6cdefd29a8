// tests/model/explorer.hpp: runs a small scenario of threads through every interleaving, stale read
// and death within bounds, over the production headers of core/.
//
// Stateless: a scenario is run again and again; each run (an *execution*) answers a list of
// choices, and the search walks that tree depth first, or at random. Memory is a machine of views
// (release/acquire in the style of Kang et al., "A promising semantics", without promises):
// a location is its list of messages in modification order; a thread's view says which message of
// each location it may not go behind; a store carries its thread's view if it releases, a load
// that acquires joins it. Loads may return older messages, stores may land before messages that
// their thread has not seen; an RMW stays next to what it read. docs/memory-model.md says what
// this machine cannot show.
#pragma once
#include "core/atomics.hpp"
#include "tests/model/fiber.hpp"
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace vdset::model {

using core::Site;
using core::Word;

inline constexpr std::uint32_t threads_max = 8;
inline constexpr std::uint32_t locations_max = 128;  // Words touched in one execution.
inline constexpr std::uint32_t entries_max = threads_max + locations_max;
inline constexpr std::uint32_t entries_at_once = 8;  // One SSE2 register of keys.
static_assert(entries_max % entries_at_once == 0);

// ---- What to explore, and what came of it -----------------------------------------------------

/// What an access does beside moving a value. core::Order in parts, so that each can be taken away.
enum Effects : std::uint8_t { nothing = 0, acquires = 1, releases = 2, sequential = 4 };

constexpr Effects operator|(Effects a, Effects b) {
  return static_cast<Effects>(std::uint8_t{a} | std::uint8_t{b});
}
constexpr Effects effects_of(core::Order order) {
  switch (order) {
    case core::Order::relaxed: return nothing;
    case core::Order::acquire: return acquires;
    case core::Order::release: return releases;
    case core::Order::seq_cst: break;
  }
  return acquires | releases | sequential;
}

/// One site with less than the table gives it.
struct Weakening {
  Site site;
  Effects left;
};

struct Bounds {
  int preemptions;  // Switches away from a thread that could go on.
  int stale;        // Reads of an old message, stores before a newer one.
  int deaths;       // SIGKILLs of threads spawned as mortal.
};

struct Plan {
  Bounds bounds{2, 1, 0};
  std::optional<Weakening> weakening;
  std::uint64_t executions_max = ~std::uint64_t{0};
  std::uint64_t seed = 0;  // 0: depth first. Else execution i is random, from seed + i.
};

static_assert(static_cast<std::uint32_t>(Site::count) <= 64, "Report::sites has a bit for each");

struct Report {
  bool failed = false;
  bool exhaustive = false;       // Depth first, and every choice within the bounds was tried.
  std::uint64_t executions = 0;
  std::uint64_t with_deaths = 0;
  std::uint64_t seed = 0;        // Of the failed random execution.
  std::uint64_t sites = 0;       // One bit for each site that was reached.
  double seconds = 0;
  std::string why;
  std::string trace;             // The failed execution, access by access.
};

// ---- The machine ------------------------------------------------------------------------------

using ThreadId = std::uint32_t;

/// Position of a message in its location's modification order, or of an event in its thread.
using Key = std::int16_t;

/// What a thread knows: of each thread, how many of its events; of each location, which message.
struct View {
  std::array<Key, entries_max> entry{};
};

enum class Fate : std::uint8_t { immortal, mortal };

class Explorer {
 public:
  explicit Explorer(const Plan& plan);
  ~Explorer();
  Explorer(const Explorer&) = delete;
  Explorer& operator=(const Explorer&) = delete;

  /// The one that runs now.
  static Explorer& current();

  /// Runs executions until one fails or none is left. `start` makes a scenario and spawns its
  /// threads, `check` judges it when they have ended; both run outside the machine, where accesses
  /// are plain.
  Report run(const std::function<void()>& start, const std::function<void()>& check);

  // For scenarios. Nothing on a thread's stack is destroyed when it dies or fails: no heap there.
  ThreadId spawn(const char* name, Fate fate, std::function<void()> body);
  /// A name for traces: "label", or "label[index]".
  void name(const Word& word, const char* label, int index = -1);
  void require(bool condition, const char* what) {
    if (!condition) fail(what);
  }
  /// Ends the execution as failed. Returns only outside the machine.
  void fail(const char* why);
  /// One of 0..options-1, each tried.
  std::uint32_t choose(std::uint32_t options);
  /// Lets others run until predicate() holds; it may look at anything but shared words.
  template <class Predicate>
  void block_until(const Predicate& predicate) {
    block([](const void* p) { return (*static_cast<const Predicate*>(p))(); }, &predicate);
  }
  /// The newest value, whoever may see it: for predicates and final checks only.
  std::uint32_t newest(const Word& word) const;
  bool has_ended(ThreadId id) const;
  bool is_dead(ThreadId id) const;
  /// Waits until the thread ended or died. As the kernel's notice: all it did is visible.
  void join(ThreadId id);
  /// A line of the trace.
  void note(const char* text);
  bool is_tracing() const { return tracing_; }

  // For atomics policies and the port.
  std::uint32_t load(Site site, const Word& word);
  void store(Site site, Word& word, std::uint32_t value);
  bool compare_exchange(Site site, Word& word, std::uint32_t& expected, std::uint32_t desired);
  enum class Operation : std::uint8_t { add, bit_or, bit_and };
  std::uint32_t modify(Site site, Word& word, Operation operation, std::uint32_t operand);
  void fence(Site site);
  /// Sleeps unless the newest value is another. No time-out, no spurious wake: a lost wake hangs.
  void futex_wait(const Word& word, std::uint32_t value);
  void futex_wake(const Word& word);

  // For synchronization outside the words of core (mutexes, messages, data).
  void publish(View& into) const;
  void learn(const View& from);
  ThreadId self() const { return running_; }
  /// The time of an access of data by the running thread.
  Key tick();
  bool knows(ThreadId id, Key time) const;
  const char* thread_name(ThreadId id) const;
  bool in_machine() const { return running_ != outside; }

 private:
  static constexpr ThreadId outside = threads_max;
  static constexpr std::uint32_t steps_max = 4000;
  static constexpr std::uint32_t choices_per_access = 3;
  static constexpr Key key_step = 16;  // Room for four stores in between, each before the last.
  static constexpr std::uint32_t table_slots = 1024;
  static constexpr std::size_t arena_entries = std::size_t{steps_max} * entries_max;

  /// A view that no longer changes; beyond `count` all entries are 0.
  struct Snapshot {
    const Key* entry = nullptr;
    std::uint32_t count = 0;
  };
  struct Message {
    std::uint32_t value = 0;
    Key key = 0;
    bool is_rmw = false;  // Nothing may land between it and the one before.
    Snapshot knowledge;   // What a reader that acquires learns beside this message.
  };
  struct Location {
    const Word* word = nullptr;
    std::vector<Message> messages;
  };
  enum class State : std::uint8_t { ready, blocked, asleep, ended, dead };
  struct Thread {
    std::function<void()> body;
    Fiber fiber;
    const char* name = "";
    Fate fate = Fate::immortal;
    State state = State::ready;
    bool (*predicate)(const void*) = nullptr;  // Of a blocked thread.
    const void* argument = nullptr;
    const Word* bed = nullptr;                 // What an asleep thread sleeps on.
    View seen;       // What it knows.
    View left;       // What a mortal one knew at its last effect.
    View fenced_in;  // What an acquire fence would add.
    View fenced_out; // What a release fence left for relaxed stores.
    bool has_fenced_out = false;
  };
  struct Choice {
    std::uint16_t taken;
    std::uint16_t options;
  };
  struct TableSlot {
    const Word* word = nullptr;
    std::uint64_t execution = 0;
    std::uint32_t location = 0;
  };

  void execute(const std::function<void()>& start, const std::function<void()>& check);
  void reset();
  bool backtrack();
  void describe_failure(const std::function<void()>& start, const std::function<void()>& check);
  [[noreturn]] static void thread_main();

  /// What a thread is about to do. A death before a step without effect is a death before the next
  /// one that has: only those are tried.
  enum class Step : std::uint8_t { effect, look };
  void schedule(Step step);
  ThreadId pick(Step step);
  bool can_run(const Thread& t) const;
  void change_to(ThreadId next);
  void kill(ThreadId id);
  void judge_standstill();
  void block(bool (*predicate)(const void*), const void* argument);

  /// In a random execution the first option is taken in `usual` of 64 cases.
  std::uint32_t pick_one_of(std::uint32_t options, std::uint32_t usual);
  /// What this access does; notes that its site was reached.
  Effects effects(Site site);
  std::uint32_t locate(const Word& word);
  /// In use; a multiple of entries_at_once.
  std::uint32_t entry_count() const {
    return (threads_max + location_count_ + entries_at_once - 1) / entries_at_once *
           entries_at_once;
  }
  static std::uint32_t entry_of(std::uint32_t location) { return threads_max + location; }
  static void join_keys(Key* into, const Key* from, std::uint32_t count);
  static void join_view(View& into, const Snapshot& from);
  void join_view(View& into, const View& from) const;
  Snapshot snapshot(const View* view, const Snapshot* and_this);
  std::uint32_t readable(std::uint32_t location, Effects how) const;
  std::size_t place_of_store(std::uint32_t location, Effects how);
  std::uint32_t read(std::uint32_t location, const Message& message, Effects how);
  void insert(std::uint32_t location, std::size_t place, std::uint32_t value, Effects how,
              const Message* replaced);
  void trace_access(const char* what, Site site, std::uint32_t location, std::uint32_t value);

  Plan plan_;
  // Of the search.
  std::vector<Choice> choices_;
  std::size_t choices_used_ = 0;
  std::mt19937_64 random_;
  Report report_;
  bool tracing_ = false;
  // Of one execution.
  std::array<Thread, threads_max> threads_;
  Fiber outside_fiber_;
  std::uint32_t thread_count_ = 0;
  ThreadId running_ = outside;
  std::array<Location, locations_max> locations_;
  std::uint32_t location_count_ = 0;
  std::array<TableSlot, table_slots> table_;
  std::uint64_t execution_ = 0;
  std::unique_ptr<Key[]> arena_;
  std::size_t arena_used_ = 0;
  View sequential_;  // Of each location, its newest sequentially consistent store.
  int preemptions_ = 0;
  int stale_ = 0;
  int deaths_ = 0;
  std::uint32_t steps_ = 0;
  std::string error_;
  std::vector<std::pair<const Word*, std::string>> names_;  // Filled when tracing only.
};

/// Explores a scenario: a class made anew for each execution, whose start() spawns threads and
/// whose check() judges the end. Always at the same address.
template <class Scenario>
Report explore(const Plan& plan) {
  Explorer explorer(plan);
  const auto place = std::make_unique<std::optional<Scenario>>();
  return explorer.run([&] { place->emplace().start(); }, [&] { (*place)->check(); });
}

// ---- The policy -------------------------------------------------------------------------------

/// core::RealAtomics' interface over the explorer. The words of the production structs are used
/// as they are: the machine finds its location by the word's address.
struct ExplorerAtomics {
  template <Site site>
  static std::uint32_t load(const Word& word) {
    return Explorer::current().load(site, word);
  }
  template <Site site>
  static void store(Word& word, std::uint32_t value) {
    Explorer::current().store(site, word, value);
  }
  template <Site site>
  static bool compare_exchange(Word& word, std::uint32_t& expected, std::uint32_t desired) {
    return Explorer::current().compare_exchange(site, word, expected, desired);
  }
  template <Site site>
  static std::uint32_t fetch_add(Word& word, std::uint32_t value) {
    return Explorer::current().modify(site, word, Explorer::Operation::add, value);
  }
  template <Site site>
  static std::uint32_t fetch_or(Word& word, std::uint32_t value) {
    return Explorer::current().modify(site, word, Explorer::Operation::bit_or, value);
  }
  template <Site site>
  static std::uint32_t fetch_and(Word& word, std::uint32_t value) {
    return Explorer::current().modify(site, word, Explorer::Operation::bit_and, value);
  }
  template <Site site>
  static void fence() {
    Explorer::current().fence(site);
  }
};

// ---- What scenarios synchronize with beside words ---------------------------------------------

/// A process-local mutex. Blocks without spinning.
class Mutex {
 public:
  void lock();
  void unlock();

 private:
  bool held_ = false;
  View view_;
};

/// A message between processes or a hand-over between threads of one: what the sender did before
/// is visible to the receiver.
template <class T>
class Channel {
 public:
  void send(const T& value) {
    value_ = value;
    full_ = true;
    Explorer::current().publish(view_);
  }
  T receive() {
    Explorer::current().block_until([this] { return full_; });
    Explorer::current().learn(view_);
    full_ = false;
    return value_;
  }
  bool is_full() const { return full_; }

 private:
  T value_{};
  bool full_ = false;
  View view_;
};

/// Data without atomics, such as a buffer's contents: two accesses, one of them a write, that no
/// happens-before orders are a failure.
class Payload {
 public:
  void write(std::uint32_t value);
  std::uint32_t read();

 private:
  std::uint32_t value_ = 0;
  ThreadId writer_ = 0;
  Key written_at_ = 0;  // 0: by nobody in this execution.
  std::array<Key, threads_max> read_at_{};
};

}  // namespace vdset::model
