// abi/server_agent.cpp: the completion agent: reaps final commands and calls back, each exactly
// once. One thread at a time.
#include <bit>
#include <cstring>
#include "abi/error.hpp"
#include "abi/server.hpp"

namespace vdset {
namespace {

using Pending = vdset_server_device::Pending;

// serverTimeOut: more than two intervals without a completion.
constexpr std::uint32_t quiet_intervals_max = 2;

/// What one look at a device found; its callbacks run after the device's lock is released.
struct Batch {
  std::uint32_t count = 0;
  vdset_command* commands[core::finished_max];
};

/// Writes the results and gives the buffers back, before any callback can see the command. Under
/// the device's lock.
void settle(vdset_server& server, vdset_server_device& device, const core::FinishedList& list,
            Batch& out) {
  for (std::uint32_t i = 0; i < list.count; ++i) {
    auto& pending = *static_cast<Pending*>(list.items[i].cookie);
    const core::Completion& result = list.items[i].result;
    vdset_command& command = *pending.command;
    command.completion_code = static_cast<std::int32_t>(result.code);
    command.bytes_transferred = static_cast<std::int32_t>(result.bytes);
    command.out_position = static_cast<std::int64_t>(result.position);
    if (pending.slot != core::no_slot && !server.buffers.give_back(atomics, pending.slot)) {
      const port::Locked guard(server.pool_lock);
      server.buffers.owe_back(pending.slot);
    }
    pending.next_free = device.pending_free;
    device.pending_free = static_cast<std::uint32_t>(&pending - device.pending);
    out.commands[out.count++] = &command;
  }
}

std::uint32_t wrapped(const vdset_server& server, std::uint32_t place) {
  return place < server.pulled_capacity ? place : place - server.pulled_capacity;
}

void call_back(vdset_server& server, const Batch& batch, bool pull) {
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    vdset_command* const command = batch.commands[i];
    if (command->completion != nullptr) {
      command->completion(command, command->context);
    } else if (pull && server.pulled_count < server.pulled_capacity) {
      server.pulled[wrapped(server, server.pulled_head + server.pulled_count++)] = command;
    }
  }
}

/// Nothing is waiting to be called back. Under the device's lock.
bool is_idle(const vdset_server_device& device) {
  return device.device.outstanding_count() == 0 && device.swept.count == 0;
}

/// Takes what a sweep left, then what the client finished. True: something was called back.
bool serve_device(vdset_server& server, vdset_server_device& device, bool abandon, bool pull) {
  Batch batch;
  core::FinishedList list;
  {
    const port::Locked guard(device.lock);
    if (is_idle(device)) {
      unmark_outstanding(server, device.index);
      return false;
    }
    if (device.swept.count > 0) {
      settle(server, device, device.swept, batch);
      device.swept = {};
    } else {
      if (abandon)
        device.device.abandon(list);
      else
        device.device.poll(atomics, list);
      if (list.count > 0) settle(server, device, list, batch);
    }
  }
  if (batch.count > 0 && is_polled(server.pollable)) device.wake_end.note_use(batch.count);
  if (list.ring_device) ring_device_bell(server, device.index);
  if (list.corrupt) poison_device(server, device.index, list);
  call_back(server, batch, pull);
  return batch.count > 0;
}

/// Calls visit(device) for each device that may have a command which is not called back yet, until
/// one answers true; whether one did.
template <class Visit>
bool any_outstanding_device(vdset_server& server, Visit visit) {
  for (std::uint32_t group = 0; group < outstanding_groups; ++group)
    // Sequentially consistent, as edge sleep: the mark came before the command, and who completed
    // that did not see this bell armed.
    for (std::uint32_t left = server.outstanding[group].load(); left != 0; left &= left - 1)
      if (visit(*server.devices[32 * group + static_cast<std::uint32_t>(std::countr_zero(left))]))
        return true;
  return false;
}

/// True: something was called back, or is there to be pulled.
bool serve_all(vdset_server& server, bool abandon, bool pull) {
  bool any = false;
  any_outstanding_device(server, [&](vdset_server_device& device) {
    // One batch each, so that no device starves the others or the look at an abort; all at an end.
    bool more = serve_device(server, device, abandon, pull);
    any |= more;
    while (abandon && more)
      more = serve_device(server, device, abandon, pull);
    return false;
  });
  if (any) server.finished_in_interval = true;
  return any;
}

bool has_outstanding(vdset_server& server) {
  return any_outstanding_device(server, [](vdset_server_device& device) {
    const port::Locked guard(device.lock);
    return !is_idle(device);
  });
}

/// The agent's re-check before it sleeps.
bool has_work(vdset_server& server) {
  if (server.closing.load(std::memory_order_relaxed) || is_over(server)) return true;
  return any_outstanding_device(server, [](vdset_server_device& device) {
    const port::Locked guard(device.lock);
    return device.swept.count > 0 || device.device.ring().any_final(atomics);
  });
}

bool has_ended(vdset_server& server) {
  return state_of(server) == core::SetState::terminated && !has_outstanding(server);
}

/// serverTimeOut: counts intervals in which something was pending from begin to end and nothing
/// completed, so that it fires between two and three intervals after the command was sent, or after
/// the last completion. Returns the end of the present interval, or never.
std::int64_t watch_intervals(vdset_server& server) {
  const std::int64_t interval = std::int64_t{server.agreed.server_timeout_ms} * 1'000'000;
  if (interval == 0) return port::never;
  const std::int64_t now = port::now_ns();
  if (server.interval_end_ns == 0) server.interval_end_ns = now + interval;
  if (now < server.interval_end_ns) return server.interval_end_ns;
  const bool pending = has_outstanding(server);
  const bool quiet = server.pending_since_begin && pending && !server.finished_in_interval;
  server.quiet_intervals = quiet ? server.quiet_intervals + 1 : 0;
  server.pending_since_begin = pending;
  server.finished_in_interval = false;
  server.interval_end_ns = now + interval;
  if (server.quiet_intervals >= quiet_intervals_max && !server.aborted.load())
    abort_server(server, VDSET_CALL_SERVER_TIMEOUT, core::server_index,
                 "no command completed for two serverTimeOut intervals", 0);
  return server.interval_end_ns;
}

/// Until there is work, the interval or the deadline ends. What comes before it sleeps is served at
/// once: a look that takes what it finds costs one lock less than two.
void wait_for_work(vdset_server& server, std::int64_t deadline_ns, bool pull) {
  const std::int64_t interval_end = watch_intervals(server);
  const std::int64_t until = interval_end < deadline_ns ? interval_end : deadline_ns;
  const auto ready = [&] { return has_work(server) || has_ended(server); };
  const auto look = [&] {
    return is_over(server) || server.closing.load(std::memory_order_relaxed) ||
           serve_all(server, false, pull) || has_ended(server);
  };
  wait_on_bell(server.wake->agent.event, &server.wake->primary_alive.alive, until, server.spin,
               ready, look);
}

std::int32_t judge_agent(vdset_server* server) {
  const std::int32_t result = judge_object(server, Kind::server, "server");
  if (result != VDSET_OK) return result;
  if (is_over(*server) && server->wake == nullptr) return fail_aborted(*server);
  if (state_of(*server) < core::SetState::initializing)
    return fail(VDSET_E_PROTOCOL, "set %s: end the configuration before running the agent",
                server->name.text);
  return VDSET_OK;
}

std::int32_t refuse_turn(vdset_server* server) {
  const Visit visit(visits_of(server));
  const std::int32_t result = judge_agent(server);
  if (result != VDSET_OK) return result;
  return fail(VDSET_E_BUSY, "set %s: an agent runs already", server->name.text);
}

vdset_command* pop_pulled(vdset_server& server) {
  vdset_command* const command = server.pulled[server.pulled_head];
  server.pulled_head = wrapped(server, server.pulled_head + 1);
  --server.pulled_count;
  return command;
}

}  // namespace

void drain_server(vdset_server& server) {
  serve_all(server, true, false);
}

}  // namespace vdset

using namespace vdset;

extern "C" {

int32_t vdset_server_run_completion_agent(vdset_server* server) {
  const Turn turn(visits_of(server));
  if (!turn.mine()) return refuse_turn(server);
  const std::int32_t result = judge_agent(server);
  if (result != VDSET_OK) return result;
  if (is_armed(server->pollable)) disarm_pollable(server->pollable);
  for (;;) {
    const bool over = is_over(*server) || server->closing.load();
    serve_all(*server, over, false);
    if (over && server->aborted.load()) return fail_aborted(*server);
    if (over || has_ended(*server)) return VDSET_OK;
    wait_for_work(*server, port::never, false);
  }
}

int32_t vdset_server_next_completion(vdset_server* server, int64_t timeout_ns,
                                     vdset_command** out) {
  const Turn turn(visits_of(server));
  if (!turn.mine()) return refuse_turn(server);
  const std::int32_t result = judge_agent(server);
  if (result != VDSET_OK) return result;
  if (out == nullptr) return fail(VDSET_E_INVALID, "out: NULL");
  Timeout timeout(timeout_ns);
  if (timeout_ns != 0 && is_armed(server->pollable)) disarm_pollable(server->pollable);
  for (;;) {
    const bool over = is_over(*server) || server->closing.load();
    if (server->pulled_count == 0) serve_all(*server, over, true);
    if (server->pulled_count > 0) {
      *out = pop_pulled(*server);
      if (is_armed(server->pollable)) disarm_pollable(server->pollable);
      return VDSET_OK;
    }
    if (over && server->aborted.load()) return fail_aborted(*server);
    if (over || has_ended(*server)) return VDSET_E_CLOSE;
    if (timeout.is_over()) {
      watch_intervals(*server);  // Also for one that only polls.
      return VDSET_E_TIMEOUT;
    }
    wait_for_work(*server, timeout.at_ns(), true);
  }
}

int32_t vdset_server_get_descriptor(vdset_server* server, int* out) {
  const Visit visit(visits_of(server));
  const std::int32_t result = judge_agent(server);
  if (result != VDSET_OK) return result;
  const BridgeOwner owner{server,
                          [](void* of) -> const core::Word* {
                            return &static_cast<vdset_server*>(of)->wake->primary_alive.alive;
                          },
                          [](void* of) { return is_over(*static_cast<vdset_server*>(of)); }};
  const Source source{server,
                      [](void* of) -> const core::Word& {
                        return static_cast<vdset_server*>(of)->wake->agent.event;
                      },
                      &server->wake->agent.event,
                      [](void* of) {
                        auto& at = *static_cast<vdset_server*>(of);
                        return has_work(at) || has_ended(at);
                      },
                      server->geometry.device_count,
                      [](void* of, std::uint32_t i) -> WakeEnd& {
                        return static_cast<vdset_server*>(of)->devices[i]->wake_end;
                      },
                      true};
  return open_pollable(server->bridges, owner, server->pollable, source, out);
}

int32_t vdset_server_arm(vdset_server* server) {
  const Turn turn(visits_of(server));
  if (!turn.mine()) return refuse_turn(server);
  const std::int32_t result = judge_agent(server);
  if (result != VDSET_OK) return result;
  return arm_pollable(server->pollable, "server", server->pulled_count > 0,
                      watch_intervals(*server));
}

}  // extern "C"
