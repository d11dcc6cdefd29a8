// abi/descriptors.cpp: pollable descriptors of a client's sets and devices. The server's is in
// server_agent.cpp, beside what it waits for.
#include <cstring>
#include "abi/error.hpp"
#include "abi/set.hpp"

namespace vdset {
namespace {

const BridgeOwner owner_of(vdset_set& set) {
  return {&set,
          [](void* of) -> const core::Word* {
            const auto& at = *static_cast<vdset_set*>(of);
            return at.wake != nullptr ? at.alive : nullptr;
          },
          [](void* of) { return is_over(*static_cast<vdset_set*>(of)); }};
}

/// Before the parts are there the library thread wakes through a word of this process.
const core::Word& set_word(void* of) {
  const auto& set = *static_cast<vdset_set*>(of);
  return set.wake == nullptr ? set.phase : set.wake->set.event;
}

/// Configured, if this process did not know when it armed; an end, always.
bool set_ready(void* of) {
  auto& set = *static_cast<vdset_set*>(of);
  if (is_over(set) || set.closing.load(std::memory_order_relaxed)) return true;
  return set.wake != nullptr && set.armed_for_configuration &&
         core::read_state(atomics, *set.view.header) >= core::SetState::initializing;
}

/// Another call may take the configuration in before the bridge looks.
void note_configuration(void* of) {
  auto& set = *static_cast<vdset_set*>(of);
  set.armed_for_configuration = !set.configured.load(std::memory_order_acquire);
}

const core::Word& device_word(void* of) {
  const auto& device = *static_cast<vdset_device*>(of);
  return device.set->wake->devices[device.index].event;
}

/// As the wait in get_command; on a copy of the ring, since the consumer may be in get_command.
bool device_ready(void* of) {
  auto& device = *static_cast<vdset_device*>(of);
  return device.armed_ring.ready(atomics) || is_over(*device.set) || is_closed_by_server(device) ||
         device.interrupted.load(std::memory_order_relaxed) ||
         device.set->closing.load(std::memory_order_relaxed);
}

WakeEnd& device_end(void* of, std::uint32_t) {
  return static_cast<vdset_device*>(of)->wake_end;
}

void copy_ring(void* of) {
  auto& device = *static_cast<vdset_device*>(of);
  device.armed_ring = device.ring;
}

}  // namespace

void ask_for_wakes(vdset_device& device) {
  const vdset_set& set = *device.set;
  const port::Locked guard(device.pollable.lock);
  if (device.wake_end.is_open()) return;
  // Who is armed would not see the looks of a connection that is made now.
  if (is_armed(device.pollable) || port::now_ns() < device.ask_again_ns)
    return device.wants_wake_end.store(true);
  // Where descriptors can come with a look, dropping them takes as long as their sender likes.
  const int can_refuse = port::can_refuse_descriptors();
  if (can_refuse == 0 && !set.server_is_own_users) return;
  const port::Directory& directory = set.primary ? set.held.directory : set.directory;
  int socket =
      can_refuse < 0 ? can_refuse
                     : port::socket_connect(directory, stem_of(set.name).text, 0, true);
  if (socket < 0) {  // The listener's queue is full, or there is no descriptor to spare.
    device.wants_wake_end.store(true);
    device.ask_again_ns = port::deadline_after(slice_ns);
    return;
  }
  port::Credentials maker{};
  const bool trusted = can_refuse > 0 || (port::peer_credentials(socket, maker) == 0 &&
                                      port::is_own_user(maker.uid));
  if (!trusted) return port::close_descriptor(socket);
  Message question;
  question.kind = MessageKind::wake;
  question.a = set.me;
  question.b = core::layout_version;
  question.c = device.index;
  std::memcpy(question.uuid, set.geometry.uuid, sizeof question.uuid);
  question.set_text(set.name.text, set.name.bytes);
  if (send_message(socket, question) == 0)
    device.wake_end.await(socket);
  else
    port::close_descriptor(socket);
}

}  // namespace vdset

using namespace vdset;

extern "C" {

int32_t vdset_set_get_descriptor(vdset_set* set, int* out) {
  const Visit visit(visits_of(set));
  const std::int32_t result = judge_object(set, Kind::set, "set");
  if (result != VDSET_OK) return result;
  return open_pollable(set->bridges, owner_of(*set), set->pollable,
                       {set, set_word, nullptr, set_ready}, out);
}

int32_t vdset_set_arm(vdset_set* set) {
  const Visit visit(visits_of(set));
  const std::int32_t result = judge_object(set, Kind::set, "set");
  if (result != VDSET_OK) return result;
  return arm_pollable(set->pollable, set->name.text, false, port::never, note_configuration);
}

int32_t vdset_device_get_descriptor(vdset_device* device, int* out) {
  const Visit visit(visits_of(device));
  const std::int32_t result = judge_object(device, Kind::device, "device");
  if (result != VDSET_OK) return result;
  vdset_set& set = *device->set;
  const Source source{device,       device_word, &set.wake->devices[device->index].event,
                      device_ready, 1,           device_end};
  const std::int32_t opened =
      open_pollable(set.bridges, owner_of(set), device->pollable, source, out);
  if (opened != VDSET_OK) return opened;
  want_wakes(*device);
  ask_if_wanted(*device);
  return VDSET_OK;
}

int32_t vdset_device_arm(vdset_device* device) {
  const Turn turn(visits_of(device));
  if (!turn.mine()) return refuse_turn(device);
  const std::int32_t result = judge_object(device, Kind::device, "device");
  if (result != VDSET_OK) return result;
  ask_if_wanted(*device);
  return arm_pollable(device->pollable, device->name.text, device->closed.load(), port::never,
                      copy_ring);
}

}  // extern "C"
