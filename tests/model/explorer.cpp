// tests/model/explorer.cpp: see explorer.hpp.
#include "tests/model/explorer.hpp"
#include "core/words.hpp"
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>

namespace vdset::model {

namespace {

Explorer* the_explorer = nullptr;

/// A contract of core that does not hold is a failed execution, not the end of the program.
[[noreturn]] void on_terminate() {
  if (the_explorer != nullptr && the_explorer->in_machine())
    the_explorer->fail("a contract of core is violated (std::terminate)");
  std::abort();
}

bool has(Effects effects, Effects which) { return (effects & which) != 0; }

// How usual it is, in 64ths, that a random execution goes on with its thread, reads the newest
// message, lives.
constexpr std::uint32_t usually_goes_on = 58;
constexpr std::uint32_t usually_newest = 54;
constexpr std::uint32_t usually_lives = 63;

}  // namespace

Explorer::Explorer(const Plan& plan)
    : plan_(plan), arena_(std::make_unique_for_overwrite<Key[]>(arena_entries)) {
  the_explorer = this;
}

Explorer::~Explorer() { the_explorer = nullptr; }

Explorer& Explorer::current() { return *the_explorer; }

// ---- The search -------------------------------------------------------------------------------

Report Explorer::run(const std::function<void()>& start, const std::function<void()>& check) {
  const auto began = std::chrono::steady_clock::now();
  const std::terminate_handler before = std::set_terminate(on_terminate);
  const bool at_random = plan_.seed != 0;
  while (report_.executions < plan_.executions_max) {
    if (at_random) random_.seed(plan_.seed + report_.executions);
    execute(start, check);
    ++report_.executions;
    report_.with_deaths += deaths_ > 0 ? 1 : 0;
    if (!error_.empty()) {
      describe_failure(start, check);
      break;
    }
    if (!at_random && !backtrack()) {
      report_.exhaustive = true;
      break;
    }
  }
  std::set_terminate(before);
  report_.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return report_;
}

void Explorer::execute(const std::function<void()>& start, const std::function<void()>& check) {
  reset();
  start();
  const ThreadId first = pick(Step::look);
  if (first != outside) change_to(first);
  if (error_.empty()) check();
}

void Explorer::reset() {
  thread_count_ = 0;
  running_ = outside;
  location_count_ = 0;
  ++execution_;
  arena_used_ = 0;
  sequential_ = {};
  preemptions_ = stale_ = deaths_ = 0;
  steps_ = 0;
  choices_used_ = 0;
  error_.clear();
  names_.clear();
}

/// To the next branch not yet taken, the last choice first. False: there is none.
bool Explorer::backtrack() {
  while (!choices_.empty()) {
    if (++choices_.back().taken < choices_.back().options) return true;
    choices_.pop_back();
  }
  return false;
}

/// Runs the failed execution again, writing it down.
void Explorer::describe_failure(const std::function<void()>& start,
                                const std::function<void()>& check) {
  report_.failed = true;
  report_.why = error_;
  if (plan_.seed != 0) {
    report_.seed = plan_.seed + report_.executions - 1;
    random_.seed(report_.seed);
  }
  tracing_ = true;
  execute(start, check);
  tracing_ = false;
  report_.trace += "  => " + error_ + "\n";
}

std::uint32_t Explorer::pick_one_of(std::uint32_t options, std::uint32_t usual) {
  if (options <= 1) return 0;
  if (plan_.seed != 0) {
    const auto roll = static_cast<std::uint32_t>(random_());
    if (usual == 0) return roll % options;
    return roll % 64 < usual ? 0 : 1 + (roll / 64) % (options - 1);
  }
  if (choices_used_ == choices_.size())
    choices_.push_back({0, static_cast<std::uint16_t>(options)});
  return choices_[choices_used_++].taken;
}

std::uint32_t Explorer::choose(std::uint32_t options) { return pick_one_of(options, 0); }

// ---- Threads ----------------------------------------------------------------------------------

ThreadId Explorer::spawn(const char* name, Fate fate, std::function<void()> body) {
  if (thread_count_ == threads_max) std::abort();
  Thread& t = threads_[thread_count_];
  t.body = std::move(body);
  t.fiber.prepare(thread_main);
  t.name = name;
  t.fate = fate;
  t.state = State::ready;
  t.seen = t.left = t.fenced_in = t.fenced_out = {};
  t.has_fenced_out = false;
  return thread_count_++;
}

void Explorer::thread_main() {
  Explorer& explorer = current();
  Thread& t = explorer.threads_[explorer.running_];
  t.body();
  t.state = State::ended;
  explorer.change_to(explorer.pick(Step::look));
  std::abort();
}

bool Explorer::can_run(const Thread& t) const {
  return t.state == State::ready || (t.state == State::blocked && t.predicate(t.argument));
}

/// Before each access: lets the search decide who goes on.
void Explorer::schedule(Step step) {
  if (++steps_ > steps_max) fail("too many steps: a livelock?");
  const ThreadId next = pick(step);
  if (next != running_) change_to(next);
}

void Explorer::change_to(ThreadId next) {
  Fiber& from = running_ == outside ? outside_fiber_ : threads_[running_].fiber;
  running_ = next;
  Fiber::change(from, next == outside ? outside_fiber_ : threads_[next].fiber);
}

/// The thread that goes on; `outside` at the end of the execution. May kill the running one.
ThreadId Explorer::pick(Step step) {
  for (;;) {
    std::array<ThreadId, threads_max> candidates;
    std::uint32_t count = 0;
    const bool has_current = running_ != outside;
    const bool current_can = has_current && can_run(threads_[running_]);
    if (current_can) candidates[count++] = running_;
    if (!current_can || preemptions_ < plan_.bounds.preemptions)
      for (ThreadId i = 0; i < thread_count_; ++i)
        if (i != running_ && can_run(threads_[i])) candidates[count++] = i;
    if (count == 0) {
      judge_standstill();
      return outside;
    }
    const bool may_die = has_current && step == Step::effect && deaths_ < plan_.bounds.deaths &&
                         threads_[running_].fate == Fate::mortal && !has_ended(running_);
    if (may_die && pick_one_of(2, usually_lives) != 0) {
      kill(running_);
      continue;
    }
    const std::uint32_t taken = pick_one_of(count, current_can ? usually_goes_on : 0);
    if (current_can && taken != 0) ++preemptions_;
    return candidates[taken];
  }
}

void Explorer::kill(ThreadId id) {
  if (tracing_) note("*** SIGKILL");
  threads_[id].state = State::dead;
  ++deaths_;
}

void Explorer::judge_standstill() {
  std::string who;
  for (ThreadId i = 0; i < thread_count_; ++i) {
    if (has_ended(i)) continue;
    const char* how = threads_[i].state == State::asleep ? " (asleep)" : " (blocked)";
    who += std::string(" ") + threads_[i].name + how;
  }
  if (!who.empty()) error_ = "deadlock:" + who;
}

void Explorer::fail(const char* why) {
  if (error_.empty()) error_ = why;
  if (in_machine()) change_to(outside);
}

void Explorer::block(bool (*predicate)(const void*), const void* argument) {
  Thread& t = threads_[running_];
  t.predicate = predicate;
  t.argument = argument;
  t.state = State::blocked;
  schedule(Step::effect);
  t.state = State::ready;
}

bool Explorer::has_ended(ThreadId id) const {
  return threads_[id].state == State::ended || threads_[id].state == State::dead;
}

bool Explorer::is_dead(ThreadId id) const { return threads_[id].state == State::dead; }

void Explorer::join(ThreadId id) {
  block_until([this, id] { return has_ended(id); });
  learn(is_dead(id) ? threads_[id].left : threads_[id].seen);
}

// ---- Views ------------------------------------------------------------------------------------

void Explorer::join_keys(Key* into, const Key* from, std::uint32_t count) {
  using Keys = Key __attribute__((vector_size(entries_at_once * sizeof(Key))));
  for (std::uint32_t i = 0; i < count; i += entries_at_once) {
    Keys a, b;
    std::memcpy(&a, into + i, sizeof a);
    std::memcpy(&b, from + i, sizeof b);
    a = a > b ? a : b;
    std::memcpy(into + i, &a, sizeof a);
  }
}

void Explorer::join_view(View& into, const Snapshot& from) {
  join_keys(into.entry.data(), from.entry, from.count);
}

void Explorer::join_view(View& into, const View& from) const {
  join_keys(into.entry.data(), from.entry.data(), entry_count());
}

/// A copy of `view` joined with `and_this`; each may be null.
Explorer::Snapshot Explorer::snapshot(const View* view, const Snapshot* and_this) {
  if (view == nullptr) return and_this != nullptr ? *and_this : Snapshot{};
  const std::uint32_t count = entry_count();
  if (arena_used_ + count > arena_entries) std::abort();
  Key* const copy = &arena_[arena_used_];
  arena_used_ += count;
  std::copy_n(view->entry.begin(), count, copy);
  if (and_this != nullptr) join_keys(copy, and_this->entry, and_this->count);
  return {copy, count};
}

void Explorer::publish(View& into) const {
  if (in_machine()) join_view(into, threads_[running_].seen);
}

void Explorer::learn(const View& from) {
  if (in_machine()) join_view(threads_[running_].seen, from);
}

Key Explorer::tick() {
  if (!in_machine()) return 0;
  Thread& t = threads_[running_];
  t.left.entry[running_] = ++t.seen.entry[running_];
  return t.seen.entry[running_];
}

bool Explorer::knows(ThreadId id, Key time) const {
  return !in_machine() || threads_[running_].seen.entry[id] >= time;
}

const char* Explorer::thread_name(ThreadId id) const { return threads_[id].name; }

// ---- Accesses ---------------------------------------------------------------------------------

Effects Explorer::effects(Site site) {
  report_.sites |= std::uint64_t{1} << static_cast<std::uint32_t>(site);
  if (plan_.weakening && plan_.weakening->site == site) return plan_.weakening->left;
  return effects_of(core::site_order(site));
}

/// The word's location; its first message is what the word held before the machine started.
std::uint32_t Explorer::locate(const Word& word) {
  std::size_t slot = (reinterpret_cast<std::uintptr_t>(&word) >> 2) * 2654435761u % table_slots;
  while (table_[slot].execution == execution_) {
    if (table_[slot].word == &word) return table_[slot].location;
    slot = (slot + 1) % table_slots;
  }
  if (location_count_ == locations_max) std::abort();
  table_[slot] = {&word, execution_, location_count_};
  Location& location = locations_[location_count_];
  location.word = &word;
  location.messages.clear();
  location.messages.push_back({word.value, 0, false, {}});
  return location_count_++;
}

std::uint32_t Explorer::newest(const Word& word) const {
  for (std::uint32_t i = 0; i < location_count_; ++i)
    if (locations_[i].word == &word) return locations_[i].messages.back().value;
  return word.value;
}

/// How many messages a load may return, from the newest back.
std::uint32_t Explorer::readable(std::uint32_t location, Effects how) const {
  if (stale_ >= plan_.bounds.stale) return 1;
  const auto& messages = locations_[location].messages;
  Key oldest = threads_[running_].seen.entry[entry_of(location)];
  // Not behind the newest sequentially consistent store.
  if (has(how, sequential)) oldest = std::max(oldest, sequential_.entry[entry_of(location)]);
  std::uint32_t count = 1;
  while (count < choices_per_access && count < messages.size() &&
         messages[messages.size() - 1 - count].key >= oldest)
    ++count;
  return count;
}

std::uint32_t Explorer::read(std::uint32_t location, const Message& message, Effects how) {
  Thread& t = threads_[running_];
  Key& known = t.seen.entry[entry_of(location)];
  known = std::max(known, message.key);
  if (has(how, acquires)) join_view(t.seen, message.knowledge);
  join_view(t.fenced_in, message.knowledge);
  return message.value;
}

std::uint32_t Explorer::load(Site site, const Word& word) {
  if (!in_machine()) return newest(word);
  schedule(Step::look);
  const std::uint32_t location = locate(word);
  const Effects how = effects(site);
  const std::uint32_t back = pick_one_of(readable(location, how), usually_newest);
  stale_ += back != 0 ? 1 : 0;
  const auto& messages = locations_[location].messages;
  const std::uint32_t value = read(location, messages[messages.size() - 1 - back], how);
  if (tracing_) trace_access(back != 0 ? "load old" : "load", site, location, value);
  return value;
}

/// Where in modification order a store lands: at the end, or before messages its thread has not
/// seen.
std::size_t Explorer::place_of_store(std::uint32_t location, Effects how) {
  const auto& messages = locations_[location].messages;
  const std::size_t end = messages.size();
  if (has(how, sequential) || stale_ >= plan_.bounds.stale) return end;
  const Key known = threads_[running_].seen.entry[entry_of(location)];
  std::uint32_t count = 1;
  while (count < choices_per_access && count < end) {
    const Message& next = messages[end - count];
    if (next.key <= known || next.is_rmw || next.key - messages[end - count - 1].key < 2) break;
    ++count;
  }
  const std::uint32_t before = pick_one_of(count, usually_newest);
  stale_ += before != 0 ? 1 : 0;
  return end - before;
}

/// The message of a store, or of the RMW that replaced `replaced`, whose releases it passes on.
void Explorer::insert(std::uint32_t location, std::size_t place, std::uint32_t value, Effects how,
                      const Message* replaced) {
  auto& messages = locations_[location].messages;
  const int before = messages[place - 1].key;
  const int key =
      place == messages.size() ? before + key_step : before + (messages[place].key - before) / 2;
  if (key > std::numeric_limits<Key>::max()) std::abort();
  Thread& t = threads_[running_];
  t.seen.entry[entry_of(location)] = static_cast<Key>(key);
  const View* const known = has(how, releases) ? &t.seen
                            : t.has_fenced_out ? &t.fenced_out
                                               : nullptr;
  const Snapshot* const passed_on = replaced != nullptr ? &replaced->knowledge : nullptr;
  const Message message{value, static_cast<Key>(key), replaced != nullptr,
                        snapshot(known, passed_on)};
  messages.insert(messages.begin() + static_cast<std::ptrdiff_t>(place), message);
  Key& newest = sequential_.entry[entry_of(location)];
  if (has(how, sequential)) newest = std::max(newest, static_cast<Key>(key));
  if (t.fate == Fate::mortal) t.left = t.seen;
}

void Explorer::store(Site site, Word& word, std::uint32_t value) {
  if (!in_machine()) {
    word.value = value;
    return;
  }
  schedule(Step::effect);
  const std::uint32_t location = locate(word);
  const Effects how = effects(site);
  const std::size_t place = place_of_store(location, how);
  const bool at_end = place == locations_[location].messages.size();
  insert(location, place, value, how, nullptr);
  if (tracing_) trace_access(at_end ? "store" : "store before", site, location, value);
}

std::uint32_t Explorer::modify(Site site, Word& word, Operation operation, std::uint32_t operand) {
  const auto apply = [=](std::uint32_t value) {
    return operation == Operation::add      ? value + operand
           : operation == Operation::bit_or ? value | operand
                                            : value & operand;
  };
  if (!in_machine()) {
    const std::uint32_t value = word.value;
    word.value = apply(value);
    return value;
  }
  schedule(Step::effect);
  const std::uint32_t location = locate(word);
  const Effects how = effects(site);
  const Message replaced = locations_[location].messages.back();
  const std::uint32_t value = read(location, replaced, how);
  insert(location, locations_[location].messages.size(), apply(value), how, &replaced);
  if (tracing_) trace_access("modify", site, location, apply(value));
  return value;
}

bool Explorer::compare_exchange(Site site, Word& word, std::uint32_t& expected,
                                std::uint32_t desired) {
  if (!in_machine()) {
    const bool equal = word.value == expected;
    (equal ? word.value : expected) = equal ? desired : word.value;
    return equal;
  }
  schedule(Step::effect);
  const std::uint32_t location = locate(word);
  const Effects how = effects(site);
  const auto& messages = locations_[location].messages;
  // Succeeds on the newest message only. A failure may return an older one, but not `expected`.
  std::array<std::uint32_t, choices_per_access> back{0};
  std::uint32_t count = 1;
  const std::uint32_t window = readable(location, nothing);
  for (std::uint32_t i = 1; i < window; ++i)
    if (messages[messages.size() - 1 - i].value != expected) back[count++] = i;
  const std::uint32_t taken = pick_one_of(count, usually_newest);
  const Message found = messages[messages.size() - 1 - back[taken]];
  if (taken == 0 && found.value == expected) {
    read(location, found, how);
    insert(location, messages.size(), desired, how, &found);
    if (tracing_) trace_access("exchange", site, location, desired);
    return true;
  }
  stale_ += taken != 0 ? 1 : 0;
  expected = read(location, found, nothing);
  if (tracing_) trace_access("exchange failed", site, location, expected);
  return false;
}

/// Touches nothing shared but for a sequentially consistent one, so others need not run before it.
void Explorer::fence(Site site) {
  if (!in_machine()) return;
  const Effects how = effects(site);
  if (has(how, sequential)) schedule(Step::look);
  Thread& t = threads_[running_];
  if (has(how, acquires)) join_view(t.seen, t.fenced_in);
  if (has(how, sequential)) {
    join_view(t.seen, sequential_);
    join_view(sequential_, t.seen);
  }
  if (!has(how, releases)) return;
  t.fenced_out = t.seen;
  t.has_fenced_out = true;
}

void Explorer::futex_wait(const Word& word, std::uint32_t value) {
  schedule(Step::effect);
  const std::uint32_t location = locate(word);
  if (locations_[location].messages.back().value != value) {
    note("does not sleep: the word has changed");
    return;
  }
  note("sleeps");
  Thread& t = threads_[running_];
  t.state = State::asleep;
  t.bed = &word;
  schedule(Step::effect);
}

void Explorer::futex_wake(const Word& word) {
  schedule(Step::effect);
  note("wakes");
  for (ThreadId i = 0; i < thread_count_; ++i)
    if (threads_[i].state == State::asleep && threads_[i].bed == &word)
      threads_[i].state = State::ready;
}

// ---- Traces -----------------------------------------------------------------------------------

void Explorer::name(const Word& word, const char* label, int index) {
  if (!tracing_) return;
  std::string text = label;
  if (index >= 0) text += "[" + std::to_string(index) + "]";
  names_.emplace_back(&word, std::move(text));
}

void Explorer::note(const char* text) {
  if (!tracing_ || !in_machine()) return;
  char line[160];
  std::snprintf(line, sizeof line, "  %-10s %s\n", threads_[running_].name, text);
  report_.trace += line;
}

void Explorer::trace_access(const char* what, Site site, std::uint32_t location,
                            std::uint32_t value) {
  const Word* const word = locations_[location].word;
  std::string place = "word " + std::to_string(location);
  for (const auto& [named, name] : names_)
    if (named == word) place = name;
  const auto parts = core::OwnedWord<std::uint32_t>::unpack(value);
  char line[200];
  std::snprintf(line, sizeof line, "  %-10s %-15s %-17s %-20s %08x {%u %u %u}\n",
                threads_[running_].name, what,
                core::site_table[static_cast<std::size_t>(site)].name, place.c_str(), value,
                parts.state, parts.participant, parts.generation);
  report_.trace += line;
}

// ---- Beside words -----------------------------------------------------------------------------

void Mutex::lock() {
  Explorer::current().block_until([this] { return !held_; });
  held_ = true;
  Explorer::current().learn(view_);
}

void Mutex::unlock() {
  Explorer::current().publish(view_);
  held_ = false;
}

void Payload::write(std::uint32_t value) {
  Explorer& explorer = Explorer::current();
  explorer.note("writes data");
  explorer.require(explorer.knows(writer_, written_at_), "data race: write after write");
  for (ThreadId i = 0; i < threads_max; ++i)
    explorer.require(i == explorer.self() || explorer.knows(i, read_at_[i]),
                     "data race: write after read");
  value_ = value;
  if (!explorer.in_machine()) return;
  writer_ = explorer.self();
  written_at_ = explorer.tick();
}

std::uint32_t Payload::read() {
  Explorer& explorer = Explorer::current();
  explorer.note("reads data");
  explorer.require(explorer.knows(writer_, written_at_), "data race: read after write");
  if (explorer.in_machine()) read_at_[explorer.self()] = explorer.tick();
  return value_;
}

}  // namespace vdset::model
