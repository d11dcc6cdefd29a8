// abi/server_peers.cpp: the library thread's part of a server: hellos, grants, pools, and the end
// of participants. Under the library's lock.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include "abi/error.hpp"
#include "abi/hooks.hpp"
#include "abi/server.hpp"

namespace vdset {
namespace {

using core::ParticipantState;
using core::Site;
using Peer = vdset_server::Peer;

// Tags: the reception's from 1, then kind << 16 | participant.
constexpr std::uint32_t reception_tag = 1;
constexpr std::uint32_t socket_tag = 0x20000;
constexpr std::uint32_t request_tag = 0x30000;
constexpr std::uint32_t pid_tag = 0x40000;

constexpr std::int64_t tell_again_ns = 100'000'000;

void publish_peer(vdset_server& server, std::uint32_t i) {
  if (server.wake == nullptr) return;
  const Peer& peer = server.peers[i];
  core::publish_participant(atomics, server.part.participants[i],
                            {peer.state, static_cast<std::uint32_t>(peer.role), peer.epoch},
                            peer.pid);
}

void close_request_socket(Peer& peer) {
  if (peer.request_watch >= 0) library::unwatch(peer.request_watch);
  port::close_descriptor(peer.request_socket);
}

void close_sockets(Peer& peer) {
  if (peer.socket_watch >= 0) library::unwatch(peer.socket_watch);
  port::close_descriptor(peer.socket);
  close_request_socket(peer);
}

void forget_peer(vdset_server& server, std::uint32_t i) {
  Peer& peer = server.peers[i];
  close_sockets(peer);
  if (peer.pid_watch >= 0) library::unwatch(peer.pid_watch);
  port::close_descriptor(peer.pidfd);
  if (server.alive_place >= 0 && peer.state != ParticipantState::free) {
    port::alive_delist(server.alive_place, i * static_cast<std::uint32_t>(sizeof(core::AliveWord)));
    atomics.store<Site::alive_store>(server.part.alive[i].alive, 0);
  }
  peer.state = ParticipantState::free;
  peer.left_at_ns = 0;
  publish_peer(server, i);
}

// ---- The end of a consumer

/// Whether what a dead consumer had fetched waits for the next one. Under the device's lock.
bool hands_over(const vdset_server& server, const vdset_server_device& device) {
  return (server.geometry.options & core::option_hand_over) != 0 &&
         device.device.phase() == core::DevicePhase::active;
}

std::uint32_t count_held(vdset_server_device& device) {
  std::uint32_t held = 0;
  device.device.for_each_held(atomics, [&](std::uint32_t, std::uint32_t) { ++held; });
  return held;
}

// ---- Losses

/// What a secondary had in its hands when it was lost, by the words of its devices.
vdset_loss count_loss(vdset_server& server, std::uint32_t participant, bool dead) {
  vdset_loss loss{};
  loss.call = dead ? VDSET_CALL_DIED : VDSET_CALL_LEFT;
  loss.pid = server.peers[participant].pid;
  for (vdset_server_device* device : server.devices) {
    if (device == nullptr || device->consumer != participant) continue;
    const port::Locked guard(device->lock);
    if (loss.devices++ == 0) std::memcpy(loss.device, device->name.text, device->name.bytes);
    const std::uint32_t held = count_held(*device);
    loss.commands += held;
    if (dead && hands_over(server, *device)) loss.handed_over += held;
  }
  return loss;
}

void keep_loss(vdset_server& server, vdset_loss& loss) {
  const port::Locked guard(server.state_lock);
  server.losses.keep(loss);
}

/// Tells the primary of each loss once, in order. What its socket cannot take now it is told later.
void tell_losses(vdset_server& server) {
  const int socket = server.peers[core::primary_index].socket;
  while (socket >= 0 && server.losses_told != server.losses.count) {
    Message message;
    message.kind = MessageKind::loss;
    {
      const port::Locked guard(server.state_lock);
      const vdset_loss* const loss = server.losses.find(server.losses_told + 1);
      if (loss == nullptr) {  // Forgotten meanwhile.
        ++server.losses_told;
        continue;
      }
      message.request = loss->number;
      message.result = static_cast<std::int32_t>(loss->handed_over);
      message.a = loss->call;
      message.b = loss->devices;
      message.c = loss->pid;
      message.d = loss->commands;
      message.set_text(loss->device, std::strlen(loss->device));
    }
    if (send_message(socket, message) != 0) {
      server.role.parting_ns = std::min(server.role.parting_ns, port::now_ns() + tell_again_ns);
      return library::nudge();
    }
    ++server.losses_told;
  }
}

/// The consumer of a device is gone: its commands fail or are offered, the device can be opened
/// again, on a fresh part C. True: it lives and had fetched commands.
bool lose_consumer(vdset_server& server, vdset_server_device& device, bool dead, vdset_loss& loss) {
  const port::Locked guard(device.lock);
  device.wake_end.close();
  if (server.aborted.load()) return true;  // The agent ends all with 995; nothing is reused.
  port::Mapping fresh;
  int descriptor = -1;
  if (make_client_part(server, fresh, descriptor) != 0) {
    abort_server(server, VDSET_CALL_NONE, core::server_index,
                 "no memory to take a device back from a process that ended", 0);
    return true;
  }
  const bool renewed = dead && renew_buffers(server, device);
  const std::uint32_t first = device.swept.count;
  const core::ClientPart c = core::client_part(fresh.span(), server.geometry);
  const bool hand_over = hands_over(server, device) && renewed;
  const core::TakenBack taken =
      device.device.sweep(atomics, hand_over, c.lines, *c.header, device.swept);
  loss.commands += taken.failed + taken.offered;
  loss.handed_over += taken.offered;
  const bool held = !dead && quarantine_failed(server, device, first);
  port::memory_unmap(device.c);
  port::close_descriptor(device.c_descriptor);
  device.c = fresh;
  device.c_descriptor = descriptor;
  device.consumer = core::nobody;
  if (device.state == core::DeviceState::open) {
    device.state = core::DeviceState::named;
    core::publish_device(atomics, server.part.rows[device.index],
                         {device.state, core::nobody, device.epoch});
  }
  if (device.swept.corrupt) poison_device(server, device.index, device.swept);
  ring_device_bell(server, device.index);  // Who was taken for gone, but sleeps, learns of it.
  return held;
}

/// True: it had fetched commands.
bool lose_devices(vdset_server& server, std::uint32_t participant, bool dead, vdset_loss& loss) {
  bool held = false;
  for (vdset_server_device* device : server.devices)
    if (device != nullptr && device->consumer == participant)
      held |= lose_consumer(server, *device, dead, loss);
  ring_set_bell(server);
  core::force_bell(atomics, server.wake->agent.event);
  port::wake_word(server.wake->agent.event);
  return held;
}

/// After the primary's end: what it left undone, and in a set that has ended also what nobody will
/// ever fetch from a device that no client has.
void lose_primary(vdset_server& server, bool dead) {
  if (server.wake == nullptr) return;
  if (state_of(server) == core::SetState::terminated)
    for (vdset_server_device* device : server.devices) {
      if (device == nullptr) continue;
      const port::Locked guard(device->lock);
      if (device->consumer == core::nobody) device->device.abandon(device->swept);
    }
  vdset_loss none{};  // It is an abort, not a loss.
  lose_devices(server, core::primary_index, dead, none);
}

/// True: it had fetched commands. With nothing in its hands it is a loss too, but not when it said
/// goodbye, or left before.
bool lose_secondary(vdset_server& server, std::uint32_t i, bool dead) {
  const Peer& peer = server.peers[i];
  vdset_loss loss = count_loss(server, i, dead);
  const bool expected = peer.said_goodbye || peer.left_before;
  if (expected && loss.commands == 0) return lose_devices(server, i, dead, loss);
  keep_loss(server,
            loss);  // Before the completions of its commands; what it held, as it looks now.
  loss.commands = loss.handed_over = 0;
  const bool held = lose_devices(server, i, dead, loss);
  keep_loss(server, loss);  // As the sweep found it.
  tell_losses(server);
  return held;
}

void handle_abort(vdset_server& server, std::uint32_t i, const Message& message) {
  char text[message_text_bytes_max + 1] = {};
  std::memcpy(text, message.text, message.text_bytes);
  abort_server(server, VDSET_CALL_SIGNAL_ABORT, i, text, message.result);
}

constexpr const char* primary_died = "the primary client's process died";
constexpr const char* closed_early = "the primary client closed the set before its end";

void take_goodbye(vdset_server& server, std::uint32_t i) {
  server.peers[i].said_goodbye = true;
  if (server.peers[i].role == core::Role::primary)
    abort_server(server, VDSET_CALL_CLOSE, i, closed_early, 0);
}

/// What a participant has said on the end of the set and nobody has read: its words on an abort,
/// its goodbye. What else it said is dropped: what comes next is an end.
void hear(vdset_server& server, std::uint32_t i) {
  if (i == core::server_index || i >= core::participants_max) return;
  const Peer& peer = server.peers[i];
  Message message;
  for (int n = 0; n < messages_max && peer.socket >= 0; ++n) {
    if (receive_message(peer.socket, message) != 0) break;
    if (message.kind == MessageKind::abort) handle_abort(server, i, message);
    if (message.kind == MessageKind::leave) take_goodbye(server, i);
  }
}

/// What was done before a participant's end counts before it: its words, and an abort that anybody
/// has asked for.
void hear_out(vdset_server& server, std::uint32_t i) {
  hear(server, i);
  if (!server.aborted.load()) obey_request(server);
}

/// The process is gone, by the kernel's word.
void lose_dead(vdset_server& server, std::uint32_t i) {
  Peer& peer = server.peers[i];
  hear_out(server, i);
  say(peer.said_goodbye ? VDSET_LOG_INFO : VDSET_LOG_WARNING,
      "set %s: participant %u, process %u, %s", server.name.text, i, peer.pid,
      peer.said_goodbye ? "closed and ended" : "died");
  if (peer.role == core::Role::primary) {
    abort_server(server, VDSET_CALL_DIED, i, primary_died, 0);
    lose_primary(server, true);
  } else {
    peer.left_before = peer.state == ParticipantState::left;
    peer.state = ParticipantState::dead;
    publish_peer(server, i);
    lose_secondary(server, i, true);
    end_quarantine(server, i);
  }
  forget_peer(server, i);
}

/// A process that lives has let go of its socket. LEFT until the pidfd says otherwise; after a
/// goodbye with nothing held the row is free at once.
void lose_living(vdset_server& server, std::uint32_t i) {
  Peer& peer = server.peers[i];
  peer.left_at_ns = 0;
  say(peer.said_goodbye ? VDSET_LOG_INFO : VDSET_LOG_WARNING,
      "set %s: participant %u, process %u, left", server.name.text, i, peer.pid);
  if (peer.role == core::Role::primary) {
    abort_server(server, VDSET_CALL_LEFT, i, "the primary client let go of its socket", 0);
    lose_primary(server, false);
    return;  // Its end is still watched.
  }
  const bool held = lose_secondary(server, i, false);
  if (peer.said_goodbye && !held) return forget_peer(server, i);
  peer.state = ParticipantState::left;
  publish_peer(server, i);
}

/// The socket is closed, or is from here on. A process that is in its last steps, or may be, is
/// neither dead nor alive: its pidfd goes on being watched.
void lose_socket(vdset_server& server, std::uint32_t i) {
  Peer& peer = server.peers[i];
  const bool primary = peer.role == core::Role::primary;
  const port::Life life = port::life_of(peer.pidfd);
  if (life == port::Life::ended) return lose_dead(server, i);
  hear_out(server, i);
  close_sockets(peer);
  if (peer.said_goodbye || life == port::Life::alive) return lose_living(server, i);
  if (life == port::Life::exiting) {
    peer.left_at_ns = port::never;
    if (primary) abort_server(server, VDSET_CALL_DIED, i, primary_died, 0);
  } else {
    peer.left_at_ns = port::now_ns() + library::parting_wait_ns;
    server.role.parting_ns = std::min(server.role.parting_ns, peer.left_at_ns);
    library::nudge();  // Any thread may have got here.
  }
}

/// When the primary has no place for the parts its request socket is gone before it can say so. If
/// it may be alive it is given time to say it, on its control socket; a primary that cannot ask any
/// more has left. That socket stays, for the abort's words.
void lose_request_socket(vdset_server& server, std::uint32_t i) {
  Peer& peer = server.peers[i];
  const port::Life life = port::life_of(peer.pidfd);
  if (life == port::Life::exiting || life == port::Life::ended) return lose_socket(server, i);
  close_request_socket(peer);
  peer.left_at_ns = port::now_ns() + library::parting_wait_ns;
  server.role.parting_ns = std::min(server.role.parting_ns, peer.left_at_ns);
  library::nudge();
}

/// Of those of whom only time tells.
void lose_parted(vdset_server& server, std::int64_t now_ns) {
  server.role.parting_ns = port::never;
  for (std::uint32_t i = core::primary_index; i < core::participants_max; ++i) {
    const Peer& peer = server.peers[i];
    if (peer.left_at_ns != 0 && peer.left_at_ns <= now_ns) {
      hear_out(server, i);  // Its words may have come while this process stood still.
      lose_living(server, i);
    }
    if (peer.left_at_ns != 0)
      server.role.parting_ns = std::min(server.role.parting_ns, peer.left_at_ns);
  }
  tell_losses(server);
}

// ---- Questions

std::int32_t refuse_device(Message& answer, std::int32_t result, const char* why) {
  answer.set_text(why, std::strlen(why));
  return result;
}

/// OpenDevice of a client. `lost`: it has no such device, so a grant of it has not come through.
struct Opening {
  std::uint32_t participant;
  Name name;
  bool lost;
};

/// Under the device's lock.
bool is_to_be_repeated(const vdset_server_device& device, const Opening& opening) {
  return opening.lost && device.consumer == opening.participant;
}

/// In a set that has ended: whether a device of that name was closed before any client opened it,
/// to whom it may be open to learn CLOSE.
bool is_openable_closed(vdset_server& server, const Opening& opening) {
  for (std::uint32_t i = 0; i < server.geometry.device_count; ++i) {
    vdset_server_device& device = *server.devices[i];
    const port::Locked guard(device.lock);
    if (device.name == opening.name && (device.epoch == 0 || is_to_be_repeated(device, opening)))
      return true;
  }
  return false;
}

void fill_grant(const vdset_server_device& device, Message& answer, int& descriptor) {
  answer.a = device.index;
  answer.b = device.epoch;
  answer.c = device.device.ring().first_outstanding();
  answer.d = device.device.ring().tail();
  descriptor = device.c_descriptor;
}

/// Ambiguities A1 and A4 of the semantics.
std::int32_t grant_device(vdset_server& server, const Opening& opening, Message& answer,
                          int& descriptor) {
  const core::SetState state = state_of(server);
  if (state == core::SetState::aborted)
    return refuse_device(answer, VDSET_E_ABORT, "the set was aborted");
  if (state < core::SetState::initializing)
    return refuse_device(answer, VDSET_E_PROTOCOL, "the set is not configured yet");
  if (state == core::SetState::terminated && !is_openable_closed(server, opening))
    return refuse_device(answer, VDSET_E_PROTOCOL, "the set has ended");
  std::uint32_t unnamed = 0, free = 0, vacant = 0;
  bool is_open = false;
  for (std::uint32_t i = 0; i < server.geometry.device_count; ++i) {
    vdset_server_device& device = *server.devices[i];
    const port::Locked guard(device.lock);
    unnamed += device.state == core::DeviceState::unnamed ? 1 : 0;
    free += device.state == core::DeviceState::named ? 1 : 0;
    vacant += device.consumer == core::nobody && device.state != core::DeviceState::closed ? 1 : 0;
    if (device.state == core::DeviceState::unnamed || !(device.name == opening.name)) continue;
    if (is_to_be_repeated(device, opening)) {
      fill_grant(device, answer, descriptor);
      return VDSET_OK;
    }
    // CLOSED before it was opened: the client learns CLOSE from its first GetCommand.
    const bool never_opened = device.state == core::DeviceState::closed && device.epoch == 0;
    if (device.state != core::DeviceState::named && !never_opened) {
      is_open = true;
      continue;
    }
    ++device.epoch;
    device.consumer = opening.participant;
    if (!never_opened) {
      device.state = core::DeviceState::open;
      core::publish_device(atomics, server.part.rows[i],
                           {device.state, device.consumer, device.epoch});
    }
    fill_grant(device, answer, descriptor);
    return VDSET_OK;
  }
  if (is_open && vacant > 0)
    return refuse_device(answer, VDSET_E_PROTOCOL, "the device is open already");
  if (is_open) return refuse_device(answer, VDSET_E_OPEN, "all devices are open");
  if (unnamed > 0) return refuse_device(answer, VDSET_E_BUSY, "the server has not named it yet");
  if (free == 0) return refuse_device(answer, VDSET_E_OPEN, "all devices are open");
  return refuse_device(answer, VDSET_E_INVALID, "the set has no device of that name");
}

/// Sends an answer; a peer that does not read its answers is let go.
void answer_peer(vdset_server& server, std::uint32_t i, int socket, const Message& answer,
                 int descriptor) {
  // Who asks reads one answer before the next question. Answers with descriptors that pile up
  // unread would use up what the kernel lets this user have under way, at the cost of the others.
  if (port::has_unread(socket)) return lose_socket(server, i);
  const int error = descriptor >= 0
                        ? send_message(socket, answer, gsl::span<const int>(&descriptor, 1))
                        : send_message(socket, answer);
  if (error != 0) lose_socket(server, i);
}

void handle_question(vdset_server& server, std::uint32_t i, int socket, const Message& question) {
  Message answer;
  int descriptor = -1;
  answer.request = question.request;
  Opening opening{i, {}, question.a == 1};
  switch (question.kind) {
    case MessageKind::open_device:
      answer.kind = MessageKind::grant;
      answer.result = read_name(question.text, question.text_bytes, opening.name)
                          ? grant_device(server, opening, answer, descriptor)
                          : refuse_device(answer, VDSET_E_INVALID, "not a name");
      return answer_peer(server, i, socket, answer, descriptor);
    case MessageKind::map_pool:
      answer.kind = MessageKind::pool;
      answer.a = question.a;
      answer.result = question.a < server.pools.map().count() ? VDSET_OK : VDSET_E_INVALID;
      if (answer.result == VDSET_OK) descriptor = server.pools.descriptor(question.a);
      return answer_peer(server, i, socket, answer, descriptor);
    case MessageKind::abort: return handle_abort(server, i, question);
    case MessageKind::leave: take_goodbye(server, i); return lose_socket(server, i);
    default: return lose_socket(server, i);  // Not one of ours.
  }
}

void read_peer(vdset_server& server, std::uint32_t i, bool request) {
  const int socket = request ? server.peers[i].request_socket : server.peers[i].socket;
  Message message;
  const int error = receive_message(socket, message);
  if (error == -EAGAIN) return;
  if (request && error == -EPIPE) return lose_request_socket(server, i);
  if (error != 0) return lose_socket(server, i);
  handle_question(server, i, socket, message);
}

// ---- Hellos

std::uint32_t free_participant(const vdset_server& server) {
  for (std::uint32_t i = core::first_secondary_index; i < core::participants_max; ++i)
    if (server.peers[i].state == ParticipantState::free) return i;
  return core::nobody;
}

void admit_secondary(vdset_server& server, const Visitor& visitor) {
  const std::uint32_t i = free_participant(server);
  if (i == core::nobody)
    return refuse(visitor, VDSET_E_OPEN, "the set has its 253 secondary clients");
  Peer& peer = server.peers[i];
  peer = {ParticipantState::active,
          core::Role::secondary,
          peer.epoch + 1,
          visitor.who.pid,
          visitor.socket,
          -1,
          visitor.watch,
          -1,
          -1,
          -1,
          0,
          false,
          false};
  peer.socket_watch = library::watch(server.role, peer.socket, socket_tag | i);
  peer.pid_watch = library::watch(server.role, peer.pidfd, pid_tag | i);
  Message welcome;
  welcome.kind = MessageKind::welcome_secondary;
  std::memcpy(welcome.uuid, server.geometry.uuid, sizeof welcome.uuid);
  welcome.request = visitor.hello.request;
  welcome.a = i;
  welcome.b = peer.epoch;
  welcome.c = port::own_pid();
  if (port::alive_enlist(server.alive_place,
                         i * static_cast<std::uint32_t>(sizeof(core::AliveWord))) == 0)
    atomics.store<Site::alive_store>(server.part.alive[i].alive,
                                     library::thread_id() | port::has_waiters);
  publish_peer(server, i);
  const int parts[] = {server.s_descriptor, server.w_descriptor};
  const bool watched = peer.socket_watch >= 0 && peer.pid_watch >= 0;
  if (!watched || send_message(peer.socket, welcome, parts) != 0) return forget_peer(server, i);
  say(VDSET_LOG_INFO, "set %s: process %u joins as participant %u", server.name.text, peer.pid, i);
}

/// A client's loop, and the server's, from here on wake each other by this socket where a command
/// of the device is what they wait for.
void take_wake(vdset_server& server, const Visitor& visitor) {
  const Message& hello = visitor.hello;
  const bool sound = server.wake != nullptr && hello.a < core::participants_max &&
                     hello.c < server.geometry.device_count &&
                     std::memcmp(hello.uuid, server.geometry.uuid, sizeof hello.uuid) == 0;
  if (!sound) return let_go(visitor);
  const Peer& peer = server.peers[hello.a];
  // Only a process that the kernel names, and of which this server holds a connection.
  if (peer.state != ParticipantState::active || peer.socket < 0 || visitor.who.pid == 0 ||
      visitor.who.pid != peer.pid)
    return let_go(visitor);
  vdset_server_device& device = *server.devices[hello.c];
  {
    // The consumer changes under the library's lock only, so that it stays the same from here on.
    const port::Locked guard(device.lock);
    if (device.consumer != hello.a) return let_go(visitor);
  }
  // Where descriptors can come with a look, dropping them takes as long as their sender likes.
  const bool trusted =
      port::refuse_descriptors(visitor.socket, true) || port::is_own_user(visitor.who.uid);
  if (!trusted) return let_go(visitor);
  if (!device.wake_end.take(visitor.socket)) return;
  // A look that came by the one before, and was not seen, is not to be missed.
  core::force_bell(atomics, server.wake->agent.event);
  port::wake_word(server.wake->agent.event);
}

void admit_to_server(Role& role, const Visitor& visitor) {
  vdset_server& server = server_of(role);
  if (visitor.hello.kind == MessageKind::wake) return take_wake(server, visitor);
  Name asked;
  if (!read_name(visitor.hello.text, visitor.hello.text_bytes, asked) || !(asked == server.name))
    return refuse(visitor, VDSET_E_INVALID, "another set listens here");
  const core::SetState state = state_of(server);
  if (state == core::SetState::aborted)
    return refuse(visitor, VDSET_E_ABORT, "the set was aborted");
  if (visitor.role == core::Role::server)
    return refuse(visitor, VDSET_E_PROTOCOL, "the set has a server already");
  if (state != core::SetState::initializing && state != core::SetState::active)
    return refuse(visitor, VDSET_E_PROTOCOL,
                  "not configured, or already ended; join after the primary's GetConfiguration");
  admit_secondary(server, visitor);
}

}  // namespace

void obey_request(vdset_server& server) {
  const std::uint32_t requested =
      server.wake != nullptr ? core::abort_requested(atomics, *server.wake) : 0;
  if (requested == 0) return;
  const auto word = core::AbortWord::unpack(requested);
  // The words of whoever asked were sent before the word was stored.
  hear(server, word.participant);
  abort_server(server, known_call(word.reason), word.participant, "SignalAbort", 0);
}

void read_news(vdset_server& server) {
  const port::Locked guard(library::lock());
  if (server.peers[core::primary_index].socket >= 0) read_peer(server, core::primary_index, false);
}

int make_client_part(const vdset_server& server, port::Mapping& c, int& descriptor) {
  const std::uint32_t bytes = server.geometry.c_bytes();
  descriptor = port::memory_create(bytes);
  if (descriptor < 0) return descriptor;
  int error = port::memory_map(descriptor, bytes, true, c);
  if (error == 0) error = port::memory_seal(descriptor, port::Seal::fixed_size);
  if (error == 0) return 0;
  port::memory_unmap(c);
  port::close_descriptor(descriptor);
  return error;
}

int open_reception(vdset_server& server) {
  Peer& primary = server.peers[core::primary_index];
  primary.socket_watch =
      library::watch(server.role, primary.socket, socket_tag | core::primary_index);
  if (primary.socket_watch < 0) return primary.socket_watch;
  primary.pid_watch = library::watch(server.role, primary.pidfd, pid_tag | core::primary_index);
  if (primary.pid_watch < 0) return primary.pid_watch;
  return server.reception.open(server.role, server.listener, reception_tag, server.terms.access,
                               admit_to_server);
}

void close_peers(vdset_server& server) {
  for (std::uint32_t i = core::primary_index; i < core::participants_max; ++i) {
    if (server.peers[i].state != ParticipantState::free) forget_peer(server, i);
    close_sockets(server.peers[i]);  // Of an Open that failed half way.
    port::close_descriptor(server.peers[i].pidfd);
  }
}

void server_ready(Role& role, std::uint32_t tag) {
  vdset_server& server = server_of(role);
  if (server.reception.handles(tag)) return server.reception.ready(tag);
  const std::uint32_t i = tag & 0xffffu;
  if (i >= core::participants_max) return;
  switch (tag & ~0xffffu) {
    case socket_tag: return read_peer(server, i, false);
    case request_tag: return read_peer(server, i, true);
    case pid_tag: return lose_dead(server, i);
    default: return;
  }
}

void server_tick(Role& role, std::int64_t now_ns) {
  vdset_server& server = server_of(role);
  server.reception.tick(now_ns);
  if (server.role.parting_ns <= now_ns) lose_parted(server, now_ns);
  send_abort(server);
}

void send_abort(vdset_server& server) {
  if (!server.aborted.load() || server.abort_sent) return;
  server.abort_sent = true;
  Message message;
  {
    const port::Locked guard(server.state_lock);
    const core::AbortRecord& record = server.abort_record;
    message.kind = MessageKind::abort;
    message.result = static_cast<std::int32_t>(record.code);
    message.a = record.call;
    message.b = record.role;
    message.c = record.pid;
    message.set_text(record.text, record.text_bytes);
  }
  const Peer& primary = server.peers[core::primary_index];
  if (primary.socket >= 0) send_message(primary.socket, message);
}

void server_forked(Role& role) {
  vdset_server& server = server_of(role);
  server.kind.store(Kind::closed);
  server.reception.drop();
  for (Peer& peer : server.peers) {
    port::close_descriptor(peer.socket);
    port::close_descriptor(peer.request_socket);
    port::close_descriptor(peer.pidfd);
  }
  for (vdset_server_device* device : server.devices) {
    if (device == nullptr) continue;
    device->kind.store(Kind::closed);
    port::close_descriptor(device->c_descriptor);
    device->wake_end.drop();
  }
  server.pools.drop();
  drop_bridges(server.bridges);
  port::close_descriptor(server.s_descriptor);
  port::close_descriptor(server.w_descriptor);
  port::close_descriptor(server.listener);
}

}  // namespace vdset
