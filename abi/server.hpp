// abi/server.hpp: the server's whole private state. The objects behind vdset_server and
// vdset_server_device.
//
// Locks, in the order they may nest: configure -> library (control state) -> device -> pool ->
// state. None across a callback or a sleep.
#pragma once
#include "abi/set.hpp"
#include "core/buffer_pool.hpp"
#include "core/server_device.hpp"

namespace vdset {
inline constexpr std::uint32_t outstanding_groups = (core::devices_max + 31) / 32;
}

struct vdset_server_device {
  std::atomic<vdset::Kind> kind;
  vdset_server_device* next_free;
  vdset_server* server;
  std::uint32_t index;
  vdset::Name name;  // Written once, under state_lock; for others from NAMED on.

  vdset::port::Mutex lock;  // Guards everything below.
  vdset::core::ServerDevice<vdset::Atomics> device;
  vdset::core::DeviceState state;
  std::uint32_t consumer;  // Participant, or core::nobody.
  std::uint32_t epoch;
  vdset::port::Mapping c;
  int c_descriptor;
  vdset::core::FinishedList swept;  // Final through a sweep: the agent calls back.
  vdset::WakeEnd wake_end;          // Of its consumer.

  struct Pending {  // The cookie of a command under way.
    vdset_command* command;
    std::uint32_t slot;
    std::uint32_t next_free;
  } pending[vdset::core::finished_max];
  std::uint32_t pending_free;
};

struct vdset_server {
  std::atomic<vdset::Kind> kind;
  vdset_server* next_free;
  vdset::Role role;
  vdset::Name name;
  vdset::SetTerms terms;
  std::atomic<bool> closing;
  std::uint32_t buffers_max;
  std::uint64_t area_bytes_max;
  std::uint32_t primary_pid;

  // One call at a time makes the configuration: what it judged holds until it is done.
  vdset::port::Mutex configure_lock;

  // State; under state_lock.
  vdset::port::Mutex state_lock;
  std::atomic<vdset::core::SetState> state;  // NONE: opened, not configured. Read without it.
  vdset::core::SetWords<vdset::Atomics> words;
  vdset::core::AbortRecord abort_record;
  std::atomic<bool> aborted;
  vdset::core::Configuration agreed;
  vdset::Losses losses;
  std::uint32_t named_count;
  std::uint32_t closed_count;

  // Parts: constant after BeginConfiguration (pools: added under pool_lock).
  vdset::core::Geometry geometry;
  vdset::port::Mapping s;
  vdset::port::Mapping w;
  int s_descriptor;
  int w_descriptor;
  int alive_place;
  vdset::core::ServerPart part;
  vdset::Published<vdset::core::WakeWords> wake;  // Null until there are parts.

  // Buffers; under pool_lock, but for what BufferPool says.
  vdset::port::Mutex pool_lock;
  struct Request {
    std::uint32_t size_bytes, alignment, count;
  } requests[vdset::core::pools_max];
  std::uint32_t request_count;
  vdset::Pools pools;
  vdset::core::BufferPool<vdset::Atomics> buffers;
  vdset::core::HandleCodec codec;
  vdset::core::SlotTable<vdset::Atomics> slots;
  bool clients_cannot_write;  // The kernel keeps them from writing into any buffer.

  vdset_server_device* devices[vdset::core::devices_max];
  // A bit for each device that may have a command which is not called back yet: set when one is
  // sent, cleared when the agent finds none. Changed under the device's lock.
  std::atomic<std::uint32_t> outstanding[vdset::outstanding_groups];

  // Participants; under the library's lock.
  struct Peer {
    vdset::core::ParticipantState state;
    vdset::core::Role role;
    std::uint32_t epoch;
    std::uint32_t pid;
    int socket, request_socket, pidfd;
    int socket_watch, request_watch, pid_watch;
    // 0: not parting. Else its socket hung up, and it has left then, unless its pidfd says before
    // that it died.
    std::int64_t left_at_ns;
    bool said_goodbye;
    bool left_before;  // It died; before that it had left.
  } peers[vdset::core::participants_max];
  vdset::Reception reception;
  int listener;
  bool abort_sent;
  std::uint32_t losses_told;  // To the primary.

  // The agent.
  vdset::SpinBudget spin;
  vdset_command** pulled;  // Ring of final commands without a completion.
  std::uint32_t pulled_capacity, pulled_head, pulled_count;
  vdset::Pollable pollable;
  vdset::BridgeHome bridges;
  std::int64_t interval_end_ns;
  std::uint32_t quiet_intervals;
  bool finished_in_interval;
  bool pending_since_begin;  // Of the interval.
};

namespace vdset {

inline Visits* visits_of(vdset_server* server) {
  return Recycler<vdset_server>::visits_of(server);
}
inline Visits* visits_of(vdset_server_device* device) {
  return Recycler<vdset_server_device>::visits_of(device);
}

/// Ends the set for everyone, once: state, record, words, bells, and a message to a primary that
/// has no parts yet. Any thread, any lock but state.
void abort_server(vdset_server& server, std::uint32_t call, std::uint32_t participant,
                  const char* text, std::int32_t code);
/// Ends the set for what a device's command word says.
void poison_device(vdset_server& server, std::uint32_t device, const core::FinishedList& found);
/// Ends the set if it is to be: aborted by anyone, or the primary gone. Whether it is aborted.
bool end_if_due(vdset_server& server);
/// Whether the set is over for the server. Latches. Costs no more than its words' loads.
inline bool is_over(vdset_server& server) {
  if (server.aborted.load(std::memory_order_relaxed)) return true;
  const core::WakeWords* const wake = server.wake;
  const bool due = wake != nullptr && (core::abort_requested(atomics, *wake) != 0 ||
                                       is_dead(&wake->primary_alive.alive));
  return due && end_if_due(server);
}
std::int32_t fail_aborted(vdset_server& server);
/// A snapshot.
core::SetState state_of(const vdset_server& server);
/// Publishes a state under the lock; false when aborted meanwhile.
bool advance(vdset_server& server, core::SetState to);
void ring_set_bell(vdset_server& server);
inline void mark_outstanding(vdset_server& server, std::uint32_t device) {
  std::atomic<std::uint32_t>& group = server.outstanding[device / 32];
  const std::uint32_t bit = 1u << device % 32;
  if ((group.load(std::memory_order_relaxed) & bit) == 0) group.fetch_or(bit);
}
inline void unmark_outstanding(vdset_server& server, std::uint32_t device) {
  server.outstanding[device / 32].fetch_and(~(1u << device % 32));
}
void ring_device_bell(vdset_server& server, std::uint32_t device);

// ---- server_peers.cpp: the library thread's part ----
void server_ready(Role& role, std::uint32_t tag);
void server_tick(Role& role, std::int64_t now_ns);
void server_forked(Role& role);
int open_reception(vdset_server& server);
/// Ends the set if a participant's word in W asks for it, with that one's words on it, not waiting
/// for the library thread to read them. Under the library's lock.
void obey_request(vdset_server& server);
/// Takes in what the primary has said or its end, not waiting for the library thread to do so.
void read_news(vdset_server& server);
void close_peers(vdset_server& server);
/// Tells the primary of an abort by message, once; it may have no parts yet. Under the library's
/// lock.
void send_abort(vdset_server& server);
/// Makes part C of a device. 0 or -errno.
int make_client_part(const vdset_server& server, port::Mapping& c, int& descriptor);
inline vdset_server& server_of(Role& role) {
  return *reinterpret_cast<vdset_server*>(reinterpret_cast<std::byte*>(&role) -
                                          offsetof(vdset_server, role));
}

// ---- server_quarantine.cpp ----
/// What the dead consumer of a device had fetched gets new pages, with the contents when the client
/// only reads them. False: some could not be had. Under the device's lock.
bool renew_buffers(vdset_server& server, vdset_server_device& device);
/// What the consumer that left alive had fetched goes out of use. `first`: where the sweep's
/// results begin. True: there was some. Under the device's lock.
bool quarantine_failed(vdset_server& server, vdset_server_device& device, std::uint32_t first);
/// That one is dead now: its buffers come back into use, once they are freed or sent again.
void end_quarantine(vdset_server& server, std::uint32_t participant);
/// Of a buffer that its owner has freed: if it waits for new pages only, nobody uses it now. Under
/// pool_lock.
void readmit_freed(vdset_server& server, std::uint32_t slot);
/// The same of one that its owner sends again; false: it cannot be lent.
bool lend_again(vdset_server& server, std::uint32_t slot, std::uint32_t opcode,
                std::uint32_t participant);

// ---- server_agent.cpp ----
/// Ends everything outstanding with 995 and calls back. The agent, or Close without one.
void drain_server(vdset_server& server);

}  // namespace vdset
