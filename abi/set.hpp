// abi/set.hpp: a client's view of a set: primary or secondary. The object behind vdset_set and
// vdset_device.
#pragma once
#include "abi/bridge.hpp"
#include "abi/include/vdset.h"
#include "abi/library.hpp"
#include "abi/losses.hpp"
#include "abi/memory.hpp"
#include "abi/names.hpp"
#include "abi/pools.hpp"
#include "abi/reception.hpp"
#include "abi/wait.hpp"
#include "core/client_ring.hpp"
#include "core/configuration.hpp"
#include "core/set_state.hpp"
#include "core/slot_table.hpp"

namespace vdset {

/// First field of every object behind the C API: what a stale or foreign pointer is told by.
enum class Kind : std::uint32_t { closed = 0, set = 0x76647331, device, server, server_device };

/// Where a primary stands before shared memory exists; the value of vdset_set::phase, a word of
/// this process.
enum class Phase : std::uint32_t { waiting, attached, over };

}  // namespace vdset

/// One device that this process opened.
struct vdset_device {
  std::atomic<vdset::Kind> kind;
  vdset_device* next_free;
  vdset_set* set;
  std::uint32_t index;
  vdset::Name name;
  vdset::port::Mapping c;
  vdset::core::ClientRing<vdset::Atomics> ring;
  std::atomic<bool> closed;       // CLOSE was delivered.
  std::atomic<bool> interrupted;  // The next wait ends.
  vdset::SpinBudget spin;
  vdset::Pollable pollable;
  vdset::WakeEnd wake_end;
  // One side waits in an event loop; so, and a connection is to be asked for.
  std::atomic<bool> knows_wakes;
  std::atomic<bool> wants_wake_end;
  std::int64_t ask_again_ns;  // Not before; under the pollable's lock.
  vdset::core::ClientRing<vdset::Atomics> armed_ring;  // As it was when the descriptor was armed.
  // The private copies handed out, by line and parity of the lap: a pointer completed twice is told
  // apart from its successor.
  struct Fetched {
    vdset_command command;
    std::uint32_t lap;
    std::uint32_t opcode;  // As the line had it.
  } fetched[2 * vdset::core::queue_depth_max];
};

struct vdset_set {
  std::atomic<vdset::Kind> kind;
  vdset_set* next_free;
  vdset::Role role;
  bool primary;
  vdset::Name name;
  vdset::SetTerms terms;
  std::atomic<bool> closing;
  vdset::core::Word phase;  // vdset::Phase.

  // Attached: constant from then on.
  vdset::core::Geometry geometry;
  vdset::port::Mapping s;
  vdset::port::Mapping w;
  vdset::core::ServerPartView view;
  vdset::Published<vdset::core::WakeWords> wake;  // Null until there are parts.
  std::uint32_t me;
  const vdset::core::Word* alive;
  vdset::Pools pools;

  // Abort: latched here, whatever shared memory says later.
  std::atomic<std::uint32_t> aborted;  // core::AbortWord, 0 not.
  std::atomic<bool> end_passed_on;
  vdset::port::Mutex lock;             // Guards the rest; never held across a wait.
  // What this process knows itself; role 0 and call 0: nothing.
  vdset::core::AbortRecord own_record;
  bool has_own_record;
  bool record_is_late;   // Its words were waited for once, and did not come in time.
  vdset::Losses losses;  // As the server told its primary.

  // Configured: constant from then on.
  std::atomic<bool> configured;
  vdset::core::Configuration agreed;
  vdset::core::SlotTable<vdset::Atomics> slots;
  vdset::core::HandleCodec codec;

  vdset::port::Mutex open_lock;  // One thread opens a device at a time.
  vdset_device* devices[vdset::core::devices_max];
  std::uint32_t device_count;

  vdset::Pollable pollable;      // Of the set itself.
  bool armed_for_configuration;  // When the descriptor was armed, there was none.
  vdset::BridgeHome bridges;

  vdset::port::Mutex grow_lock;  // One thread maps new pools at a time.

  // One question to the server at a time.
  vdset::port::Mutex request_lock;
  int request_socket;
  std::uint64_t request_identity;
  bool server_is_own_users;  // By the kernel's word; asked for before Linux 6.16 only.
  std::uint32_t request_number;
  // A MAP_POOL that timed out is still under way: its answer is waited for, never asked for again,
  // so that at most one answer is unread.
  bool pool_asked;
  std::uint32_t pool_request;

  vdset::port::Directory directory;  // Where the set was found. Secondary only.

  // Primary only; under the library's lock.
  vdset::HeldName held;
  vdset::Reception reception;
  bool has_server;
  std::uint32_t server_pid;
  int control_socket;
  int control_watch;
  int server_pidfd;
  int server_watch;
  int alive_place;
};

namespace vdset {

/// What a peer's word says led to an abort, if it is one that there is.
constexpr std::uint32_t known_call(std::uint32_t call) {
  return call <= VDSET_CALL_POISONED ? call : VDSET_CALL_NONE;
}
/// A result code from a peer: one of ours, else UNEXPECTED.
constexpr std::int32_t known_code(std::int32_t code) {
  return code >= VDSET_E_NOTOPEN && code <= VDSET_E_INTERRUPTED ? code : VDSET_E_UNEXPECTED;
}

inline Visits* visits_of(vdset_set* set) {
  return Recycler<vdset_set>::visits_of(set);
}
inline Visits* visits_of(vdset_device* device) {
  return Recycler<vdset_device>::visits_of(device);
}

void refuse_null(const char* what);
std::int32_t refuse_closed(const char* what);
std::int32_t copy_options(const void* from, const char* what, void* out, std::size_t bytes);

/// VDSET_OK, or INVALID/NOTOPEN for what is not an open object.
template <class T>
std::int32_t judge_object(const T* object, Kind kind, const char* what) {
  if (object == nullptr) {
    refuse_null(what);
    return VDSET_E_INVALID;
  }
  // Sequentially consistent: after Visit, see visits.hpp.
  return object->kind.load() == kind ? VDSET_OK : refuse_closed(what);
}

/// Copies a struct of options of any known size; bytes beyond must be 0.
template <class T>
std::int32_t read_options(const T* from, const char* what, T& out) {
  out = T{};
  return from == nullptr ? VDSET_OK : copy_options(from, what, &out, sizeof(T));
}

/// Fills a caller's struct as far as its struct_bytes goes.
std::int32_t give_config(const core::Configuration& from, vdset_config* out);
std::int32_t give_reason(const core::AbortRecord& from, vdset_abort_reason* out);
/// The buffer of this map whose data starts at the address. OK or INVALID.
std::int32_t give_buffer(const core::PoolMap& map, std::uint32_t prefix_bytes, bool read_only,
                         const void* buffer, vdset_buffer* out);
/// A record with the words cut to their limit.
core::AbortRecord make_record(core::Role role, std::uint32_t pid, std::uint32_t call,
                              std::int32_t code, const char* text);

/// Tells every waiter of the set, in all processes, to look again.
void wake_everybody(core::WakeWords& wake, std::uint32_t device_count);

// ---- device.cpp

/// Unmaps and frees a device's object.
void put_device(vdset_device& device);

// ---- set.cpp, set_attach.cpp

inline bool is_attached(const vdset_set& set) {
  return __atomic_load_n(&set.phase.value, __ATOMIC_ACQUIRE) ==
         static_cast<std::uint32_t>(Phase::attached);
}
/// Ends the set if it is to be: aborted, or its server or primary gone. Whether it is over.
bool end_if_due(vdset_set& set);
/// Whether the set is over for this client. Latches. No system call unless it just ended, and no
/// more than its words' loads while there is nothing to say.
inline bool is_over(vdset_set& set) {
  if (set.aborted.load(std::memory_order_relaxed) != 0) return true;
  const bool goes_on = is_attached(set) && core::abort_requested(atomics, *set.wake) == 0 &&
                       core::read_state(atomics, *set.view.header) < core::SetState::aborted &&
                       !is_dead(set.alive);
  return !goes_on && end_if_due(set);
}
/// Whether the server is gone or let go of this process, by what the kernel says; a system call.
/// The alive word tells sooner, but it is for the server to enlist it.
bool is_deserted(const vdset_set& set);
/// Takes the socket on which this process asks the server.
void keep_request_socket(vdset_set& set, int socket);
/// Whether its number is still that socket's: a process may have closed all that it does not know.
bool has_request_socket(const vdset_set& set);
void drop_request_socket(vdset_set& set);
/// ABORT: the server did what no honest one does.
std::int32_t poison(vdset_set& set, const char* what);
/// Latches and spreads an abort that this process found or made.
void abort_set(vdset_set& set, std::uint32_t call, std::uint32_t participant, const char* text,
               std::int32_t code);
/// Latches an abort that the server tells of, with its record.
void take_abort(vdset_set& set, const core::AbortRecord& record);
/// Who aborted and why, as far as this process can know; waits so long for the server's words, once
/// in a set's life.
core::AbortRecord find_record(vdset_set& set, std::int64_t wait_ns);
/// ABORT with the reason in words.
std::int32_t fail_aborted(vdset_set& set);
/// Takes in what the server has sent to a primary, without waiting for the library thread.
void read_news(vdset_set& set);
/// Maps S and W, judges them, and lets everybody go on. Takes the descriptors it needs. 0 or a
/// result code.
std::int32_t attach(vdset_set& set, const Message& from, Descriptors& parts, std::uint32_t me,
                    std::uint32_t pid_of_server);
/// Once INITIALIZING is seen: copies configuration, maps the pools that are there. OK, PROTOCOL
/// (not yet), ABORT, MEMORY.
std::int32_t sync_configuration(vdset_set& set);
/// Maps pools that were added. OK, MEMORY, ABORT.
std::int32_t sync_pools(vdset_set& set, std::int64_t deadline_ns = port::never);
/// Asks the server and waits for the answer, an abort or its end. OK with `answer`, or ABORT,
/// UNEXPECTED.
/// TIMEOUT at the deadline: only for questions whose late answer may be dropped.
std::int32_t ask(vdset_set& set, Message& question, Message& answer, Descriptors& descriptors,
                 std::int64_t deadline_ns = port::never);

// ---- device.cpp
bool is_closed_by_server(const vdset_device& device);
/// For a call that did not get its turn: null, closed, or another thread has it.
std::int32_t refuse_turn(vdset_device* device);

// ---- descriptors.cpp
/// Asks the server for a wake connection for the device; waits for nothing. Without one it is woken
/// by its event word.
void ask_for_wakes(vdset_device& device);
/// Once: the next wait of this device asks.
inline void want_wakes(vdset_device& device) {
  if (!device.knows_wakes.load(std::memory_order_relaxed) && !device.knows_wakes.exchange(true))
    device.wants_wake_end.store(true);
}
inline void ask_if_wanted(vdset_device& device) {
  if (!device.wants_wake_end.load(std::memory_order_relaxed)) return;
  if (device.wants_wake_end.exchange(false)) ask_for_wakes(device);
}

}  // namespace vdset
