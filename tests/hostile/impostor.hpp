// tests/hostile/impostor.hpp: peers that speak the rendezvous and write the parts by hand, so that
// a test can say and write what no library ever would.
#pragma once
#include <poll.h>
#include <sys/socket.h>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include "abi/include/vdset.h"
#include "abi/message.hpp"
#include "abi/names.hpp"
#include "abi/wait.hpp"
#include "core/client_ring.hpp"
#include "core/configuration.hpp"
#include "core/handle.hpp"
#include "core/set_state.hpp"
#include "tests/unit/system.hpp"

namespace vdset::hostile {

using unit::Scratch;

/// A part made by hand: mapped writable here, sealed or not.
struct Part {
  int descriptor = -1;
  port::Mapping map;

  Part() = default;
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  ~Part() { drop(); }
  void make(std::uint64_t bytes) {
    drop();
    descriptor = port::memory_create(bytes);
    REQUIRE(descriptor >= 0);
    REQUIRE(port::memory_map(descriptor, bytes, true, map) == 0);
  }
  void seal() { REQUIRE(port::memory_seal(descriptor, port::Seal::fixed_size) == 0); }
  void drop() {
    port::memory_unmap(map);
    port::close_descriptor(descriptor);
  }
};

/// An agreed configuration that nobody can object to.
inline core::Configuration sound_configuration(std::uint32_t devices = 1) {
  return {devices, core::feature_write_media, 0, 512, 0, 0, 0, 512, 4, 65536, 65536};
}

/// Connects to the set of that name and says who it claims to be.
class Caller {
 public:
  ~Caller() { port::close_descriptor(socket); }
  Caller() = default;
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  void hello(const Scratch& place, const char* name, core::Role role) {
    Name judged;
    REQUIRE(judge_name(name, "set", judged) == VDSET_OK);
    Found found = find_name(judged, place.path(), port::deadline_after(10'000'000'000));
    REQUIRE(found.result == VDSET_OK);
    port::close_descriptor(found.directory.descriptor);
    socket = found.socket;
    Message message;
    message.kind = MessageKind::hello;
    message.request = 1;
    message.a = static_cast<std::uint32_t>(role);
    message.b = core::layout_version;
    message.set_text(judged.text, judged.bytes);
    REQUIRE(send_message(socket, message) == 0);
  }
  /// The next message within 10 s, or the error of a connection that ended.
  int receive(Message& out, Descriptors& descriptors) const {
    if (port::wait_readable(socket, port::deadline_after(10'000'000'000)) != 1) return -ETIMEDOUT;
    return receive_message(socket, out, descriptors);
  }

  int socket = -1;
};

/// A server that is not ours, against a primary that is.
class Server : public Caller {
 public:
  Server(const Scratch& place, const char* name) {
    Message welcome;
    Descriptors listener;
    hello(place, name, core::Role::server);
    REQUIRE(receive(welcome, listener) == 0);
    REQUIRE(welcome.kind == MessageKind::welcome_server);
    terms = welcome.terms;
    g = {terms.wish.device_count, terms.queue_depth, port::page_bytes(), terms.options, 7, {1, 2}};
    s.make(g.s_bytes());
    w.make(g.w_bytes());
    c.make(g.c_bytes());
    core::write_header(atomics, header(), g);
    REQUIRE(port::socket_make_pair(pair) == 0);
  }
  ~Server() { stop(); }

  core::ServerHeader& header() const { return *reinterpret_cast<core::ServerHeader*>(s.map.base); }
  core::ServerPart part() const { return core::server_part(s.map.span(), g); }
  core::WakeWords& wake() const { return *reinterpret_cast<core::WakeWords*>(w.map.base); }

  void seal_all() {
    s.seal();
    w.seal();
    c.seal();
  }
  int send_parts(std::uint32_t me = core::primary_index) {
    Message parts;
    parts.kind = MessageKind::parts;
    parts.a = me;
    parts.b = 1;
    std::memcpy(parts.uuid, g.uuid, sizeof parts.uuid);
    const int descriptors[] = {s.descriptor, w.descriptor, pair[1]};
    return send_message(socket, parts, descriptors);
  }
  void ring() const {
    core::force_bell(atomics, wake().set.event);
    port::wake_word(wake().set.event);
    core::force_bell(atomics, wake().devices[0].event);
    port::wake_word(wake().devices[0].event);
  }
  void store(core::Word& word, std::uint32_t value) const {
    atomics.store<core::Site::state_publish>(word, value);
  }
  /// Publishes a configuration and lets the primary go on.
  void configure(const core::Configuration& agreed, std::uint32_t index_bits = 4,
                 core::SetState state = core::SetState::initializing) {
    core::SetWords<Atomics> words(header());
    words.write_configuration(atomics, agreed, index_bits);
    store(header().set_state, static_cast<std::uint32_t>(state));
    ring();
  }
  /// One pool of four buffers of 64 KiB.
  void add_pool() {
    const core::PoolPlan plan = core::plan_pool(0, 4, 65536, 512, 0, g.page_bytes);
    d.make(plan.bytes());
    d.seal();
    core::write_pool(atomics, header().pools[0], plan);
    store(header().pool_count, 1);
  }
  /// Publishes device 0 as named, and a command in its ring.
  void name_device() {
    core::publish_device(atomics, part().rows[0], {core::DeviceState::named, core::nobody, 0});
  }
  void post(std::uint32_t opcode, std::uint32_t handle, std::uint32_t size, std::uint32_t lap = 1) {
    core::SubmissionLine& line = part().ring(0)[0];
    store(line.opcode, opcode);
    store(line.handle, handle);
    store(line.size, size);
    store(line.sequence, lap);
    ring();
  }
  std::uint32_t handle() const { return core::HandleCodec(g.salt, 4).encode(0, 0); }

  /// Answers questions in a thread: `change` may spoil each answer, or take the descriptor away.
  void answer(const std::function<void(const Message&, Message&, int&)>& change = {}) {
    answers_ = std::thread([this, change] {
      while (!over_) {
        if (port::wait_readable(pair[0], port::deadline_after(20'000'000)) != 1) continue;
        Message question, reply;
        if (receive_message(pair[0], question) != 0) return;
        int descriptor = -1;
        reply.request = question.request;
        if (question.kind == MessageKind::open_device) {
          reply.kind = MessageKind::grant;
          descriptor = c.descriptor;
        } else if (question.kind == MessageKind::map_pool) {
          reply.kind = MessageKind::pool;
          reply.a = question.a;
          descriptor = d.descriptor;
        }
        if (change) change(question, reply, descriptor);
        if (descriptor >= 0)
          send_message(pair[0], reply, gsl::span<const int>(&descriptor, 1));
        else
          send_message(pair[0], reply);
      }
    });
  }
  void stop() {
    over_ = true;
    if (pair[0] >= 0) shutdown(pair[0], SHUT_RDWR);  // The thread need not wait.
    if (answers_.joinable()) answers_.join();
    port::close_descriptor(pair[0]);
    port::close_descriptor(pair[1]);
  }

  SetTerms terms{};
  core::Geometry g{};
  Part s, w, c, d;
  int pair[2] = {-1, -1};

 private:
  std::atomic<bool> over_{false};
  std::thread answers_;
};

/// A primary that is not ours, against a server that is: answers the first hello with `welcome` and
/// these descriptors.
class Primary {
 public:
  Primary(const Scratch& place, const char* name) {
    Name judged;
    REQUIRE(judge_name(name, "set", judged) == VDSET_OK);
    REQUIRE(hold_name(judged, place.path(), false, held) == VDSET_OK);
  }
  ~Primary() {
    if (answers_.joinable()) answers_.join();
    port::close_descriptor(socket);
    free_name(held);
  }
  Primary(const Primary&) = delete;
  Primary& operator=(const Primary&) = delete;

  /// A welcome with which a server gets going.
  static Message sound_welcome() {
    Message welcome;
    welcome.kind = MessageKind::welcome_server;
    welcome.request = 1;
    welcome.terms.wish = sound_configuration();
    welcome.terms.wish.features = 0;
    welcome.terms.queue_depth = core::queue_depth_default;
    return welcome;
  }
  void answer(const Message& welcome, int descriptor) {
    answers_ = std::thread([this, welcome, descriptor] {
      if (port::wait_readable(held.listener, port::deadline_after(10'000'000'000)) != 1) return;
      socket = port::socket_accept(held.listener);
      Message hello;
      if (port::wait_readable(socket, port::deadline_after(10'000'000'000)) == 1)
        receive_message(socket, hello);
      if (descriptor >= 0)
        send_message(socket, welcome, gsl::span<const int>(&descriptor, 1));
      else
        send_message(socket, welcome);
    });
  }

  HeldName held;
  int socket = -1;

 private:
  std::thread answers_;
};

}  // namespace vdset::hostile
