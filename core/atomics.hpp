// core/atomics.hpp: the only place with memory orders. Layer core: freestanding.
//
// Each access of shared memory names its *site*. One table gives every site its order, the edge it
// belongs to and its partner at
// the other end of the edge; docs/memory-model.md argues them. Protocol code is a template over an
// *atomics policy*: RealAtomics inlines
// to plain atomic instructions; tests plug in policies that count and kill, explore interleavings
// and stale reads, or weaken one site.
#pragma once
#include <cstddef>
#include <cstdint>

namespace vdset::core {

/// A 32-bit cell of shared memory. Touched only through a policy.
struct Word {
  std::uint32_t value;
};
static_assert(sizeof(Word) == 4 && alignof(Word) == 4);

enum class Order : std::uint8_t { relaxed, acquire, release, seq_cst };

// clang-format off
enum class Site : std::uint8_t {
  // Command ring, server side (core/server_ring.hpp).
  post_fence, post_fields, post_sequence, reap_word, reap_results, ready_word,
  recall_word, recall_cas, recall_finished, sweep_evict, sweep_word, sweep_cas, sweep_gate,
  // Command ring, client side (core/client_ring.hpp).
  take_sequence, take_evicted, take_word, take_gate, take_peek, take_cas, take_fields, take_fence,
  take_recheck,
  ready_sequence, claim_word, claim_cas, complete_results, complete_gate, complete_cas,
  complete_finished,
  // Doorbells (core/doorbell.hpp).
  bell_check, bell_bump, bell_force, bell_arm, bell_disarm, bell_watch,
  // Slots (core/slot_table.hpp, core/buffer_pool.hpp).
  slot_publish, slot_resolve, slot_shadow, slot_take, slot_release,
  // State of the set (core/set_state.hpp).
  state_publish, state_read, pool_publish, pool_read, device_publish, device_read,
  participant_publish, participant_read, record_publish, record_read, abort_request, abort_read,
  alive_read, alive_store, fields_write, fields_read,
  count
};
// clang-format on

struct SiteRow {
  Site site;
  Order order;
  const char* name;
  const char* edge;     // The label in docs/memory-model.md; "-" for a relaxed access.
  const char* partner;  // Site at the other end, or why nothing needs ordering.
};

/// The specification, the mutation list and the documentation at once.
inline constexpr SiteRow site_table[] = {
    {Site::post_fence, Order::release, "post_fence", "line_recheck", "take_fence, take_recheck"},
    {Site::post_fields, Order::relaxed, "post_fields", "-", "post_sequence publishes them"},
    {Site::post_sequence, Order::seq_cst, "post_sequence", "command_published, sleep",
     "take_sequence; ready_sequence"},
    {Site::reap_word, Order::acquire, "reap_word", "command_finished", "complete_finished"},
    {Site::reap_results, Order::relaxed, "reap_results", "-",
     "after reap_word saw the lap, or sweep_word DONE"},
    {Site::ready_word, Order::seq_cst, "ready_word", "sleep", "complete_finished"},
    {Site::recall_word, Order::relaxed, "recall_word", "-", "expected value of recall_cas"},
    {Site::recall_cas, Order::relaxed, "recall_cas", "-",
     "arbitrates only: nothing of the line is read, post_fence orders the refill"},
    {Site::recall_finished, Order::relaxed, "recall_finished", "-",
     "the server alone reads it; no client stores this lap or a later one yet"},
    {Site::sweep_evict, Order::relaxed, "sweep_evict", "-",
     "what is posted later carries it (command_published); what was posted is exchanged"},
    {Site::sweep_word, Order::acquire, "sweep_word", "command_decided", "complete_cas"},
    {Site::sweep_cas, Order::relaxed, "sweep_cas", "-",
     "arbitrates, also against one that left and lives; post_fence orders the refill"},
    {Site::sweep_gate, Order::relaxed, "sweep_gate", "-", "before the grant to the next opener"},
    {Site::take_sequence, Order::acquire, "take_sequence", "command_published", "post_sequence"},
    {Site::take_evicted, Order::relaxed, "take_evicted", "-",
     "after take_sequence saw the lap; lines posted before were exchanged"},
    {Site::take_word, Order::relaxed, "take_word", "-", "expected value of take_cas"},
    {Site::take_gate, Order::relaxed, "take_gate", "-",
     "own process wrote it, or command_published carries it back"},
    {Site::take_peek, Order::relaxed, "take_peek", "-", "take_cas fails if the line was refilled"},
    {Site::take_cas, Order::release, "take_cas", "command_taken", "claim_cas"},
    {Site::take_fields, Order::relaxed, "take_fields", "-", "after take_sequence saw the lap"},
    {Site::take_fence, Order::acquire, "take_fence", "line_recheck", "post_fence"},
    {Site::take_recheck, Order::relaxed, "take_recheck", "-", "take_fence orders it"},
    {Site::ready_sequence, Order::seq_cst, "ready_sequence", "sleep", "post_sequence"},
    {Site::claim_word, Order::relaxed, "claim_word", "-", "expected value of claim_cas"},
    {Site::claim_cas, Order::acquire, "claim_cas", "command_taken", "take_cas"},
    {Site::complete_results, Order::relaxed, "complete_results", "-",
     "complete_finished publishes them"},
    {Site::complete_gate, Order::relaxed, "complete_gate", "-", "complete_finished publishes it"},
    {Site::complete_cas, Order::release, "complete_cas", "command_decided", "sweep_word"},
    {Site::complete_finished, Order::seq_cst, "complete_finished", "command_finished, sleep",
     "reap_word; ready_word"},
    {Site::bell_check, Order::seq_cst, "bell_check", "sleep", "bell_arm"},
    {Site::bell_bump, Order::relaxed, "bell_bump", "-",
     "changes the value; the kernel compares it"},
    {Site::bell_force, Order::release, "bell_force", "notice", "bell_watch, bell_arm"},
    {Site::bell_arm, Order::seq_cst, "bell_arm", "sleep, notice", "bell_check; bell_force"},
    {Site::bell_disarm, Order::relaxed, "bell_disarm", "-", "only the waiter cares"},
    {Site::bell_watch, Order::acquire, "bell_watch", "notice", "bell_force"},
    {Site::slot_publish, Order::release, "slot_publish", "slot_published", "slot_resolve"},
    {Site::slot_resolve, Order::acquire, "slot_resolve", "slot_published", "slot_publish"},
    {Site::slot_shadow, Order::relaxed, "slot_shadow", "-", "expected value of slot_take"},
    {Site::slot_take, Order::acquire, "slot_take", "slot_owned", "slot_release"},
    {Site::slot_release, Order::release, "slot_release", "slot_owned", "slot_take"},
    {Site::state_publish, Order::release, "state_publish", "state_published", "state_read"},
    {Site::state_read, Order::acquire, "state_read", "state_published", "state_publish"},
    {Site::pool_publish, Order::release, "pool_publish", "pool_published", "pool_read"},
    {Site::pool_read, Order::acquire, "pool_read", "pool_published", "pool_publish"},
    {Site::device_publish, Order::release, "device_publish", "device_published", "device_read"},
    {Site::device_read, Order::acquire, "device_read", "device_published", "device_publish"},
    {Site::participant_publish, Order::release, "participant_publish", "participant_published",
     "participant_read"},
    {Site::participant_read, Order::acquire, "participant_read", "participant_published",
     "participant_publish"},
    {Site::record_publish, Order::release, "record_publish", "abort_recorded", "record_read"},
    {Site::record_read, Order::acquire, "record_read", "abort_recorded", "record_publish"},
    {Site::abort_request, Order::relaxed, "abort_request", "-",
     "the word says all; bell_force carries it"},
    {Site::abort_read, Order::relaxed, "abort_read", "-",
     "sticky; bell_arm or bell_watch before sleeping"},
    {Site::alive_read, Order::relaxed, "alive_read", "-", "the kernel writes it and wakes"},
    {Site::alive_store, Order::relaxed, "alive_store", "-", "the kernel reads it at exit"},
    {Site::fields_write, Order::relaxed, "fields_write", "-",
     "before the word that publishes the row"},
    {Site::fields_read, Order::relaxed, "fields_read", "-",
     "after the word that publishes the row"},
};

consteval bool site_table_is_in_order() {
  std::size_t i = 0;
  for (const SiteRow& row : site_table)
    if (row.site != static_cast<Site>(i++)) return false;
  return i == static_cast<std::size_t>(Site::count);
}
static_assert(site_table_is_in_order());

constexpr Order site_order(Site site) {
  return site_table[static_cast<std::size_t>(site)].order;
}

/// The compiler's number for an order, as the side of an operation that needs it.
constexpr int builtin_order(Order order) {
  switch (order) {
    case Order::relaxed: return __ATOMIC_RELAXED;
    case Order::acquire: return __ATOMIC_ACQUIRE;
    case Order::release: return __ATOMIC_RELEASE;
    case Order::seq_cst: break;
  }
  return __ATOMIC_SEQ_CST;
}

/// The production policy: each call is one instruction (and the barrier its site asks for).
struct RealAtomics {
  template <Site site>
  static std::uint32_t load(const Word& word) {
    return __atomic_load_n(&word.value, builtin_order(site_order(site)));
  }
  template <Site site>
  static void store(Word& word, std::uint32_t value) {
    __atomic_store_n(&word.value, value, builtin_order(site_order(site)));
  }
  /// On failure `expected` becomes the value found; a failed exchange orders nothing.
  template <Site site>
  static bool compare_exchange(Word& word, std::uint32_t& expected, std::uint32_t desired) {
    return __atomic_compare_exchange_n(&word.value, &expected, desired, false,
                                       builtin_order(site_order(site)), __ATOMIC_RELAXED);
  }
  template <Site site>
  static std::uint32_t fetch_add(Word& word, std::uint32_t value) {
    return __atomic_fetch_add(&word.value, value, builtin_order(site_order(site)));
  }
  template <Site site>
  static std::uint32_t fetch_or(Word& word, std::uint32_t value) {
    return __atomic_fetch_or(&word.value, value, builtin_order(site_order(site)));
  }
  template <Site site>
  static std::uint32_t fetch_and(Word& word, std::uint32_t value) {
    return __atomic_fetch_and(&word.value, value, builtin_order(site_order(site)));
  }
  template <Site site>
  static void fence() {
    __atomic_thread_fence(builtin_order(site_order(site)));
  }
};

}  // namespace vdset::core
