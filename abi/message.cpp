// abi/message.cpp: packing, judging and sending messages.
#include "abi/message.hpp"
#include <cerrno>
#include <cstring>

namespace vdset {
namespace {

/// How many descriptors a kind may carry, at least and at most.
struct Allowance {
  std::size_t least, most;
};
Allowance allowance(MessageKind kind, std::int32_t result) {
  switch (kind) {
    case MessageKind::welcome_server: return {1, 1};
    case MessageKind::welcome_secondary: return {2, 2};
    case MessageKind::parts: return {3, 3};
    case MessageKind::grant:
    case MessageKind::pool: return result == 0 ? Allowance{1, 1} : Allowance{0, 0};
    default: return {0, 0};
  }
}

}  // namespace

void Message::set_text(const char* from, std::size_t bytes) {
  text_bytes = static_cast<std::uint32_t>(bytes < sizeof text ? bytes : sizeof text);
  std::memcpy(text, from, text_bytes);
}

void Descriptors::close_all() {
  for (std::size_t i = 0; i < count; ++i)
    port::close_descriptor(at[i]);
  count = 0;
}

int Descriptors::take(std::size_t i) {
  if (i >= count) return -1;
  const int descriptor = at[i];
  at[i] = -1;
  return descriptor;
}

int send_message(int socket, const Message& message, gsl::span<const int> descriptors) {
  Message copy = message;
  port::Packet packet{reinterpret_cast<std::byte*>(&copy), sizeof copy, {}, descriptors.size()};
  for (std::size_t i = 0; i < descriptors.size(); ++i)
    packet.descriptors[i] = descriptors[i];
  return port::packet_send(socket, packet);
}

namespace {

int receive(int socket, Message& out, Descriptors& descriptors, bool takes_descriptors) {
  descriptors.close_all();
  port::Packet packet{reinterpret_cast<std::byte*>(&out), sizeof out, {}, 0, takes_descriptors};
  const int error = port::packet_receive(socket, packet);
  if (error != 0) return error;
  descriptors.count = packet.descriptor_count;
  descriptors.sender_uid = packet.sender_uid;
  for (std::size_t i = 0; i < packet.descriptor_count; ++i)
    descriptors.at[i] = packet.descriptors[i];
  const Allowance allowed = allowance(out.kind, out.result);
  const bool known = out.kind >= MessageKind::hello && out.kind <= MessageKind::wake;
  const bool sound = known && out.mark == message_mark &&
                     out.text_bytes <= message_text_bytes_max &&
                     descriptors.count >= allowed.least && descriptors.count <= allowed.most &&
                     out.terms.access.uid_count <= allowed_uids_max;
  if (sound) return 0;
  descriptors.close_all();
  return -EPROTO;
}

}  // namespace

int receive_message(int socket, Message& out, Descriptors& descriptors) {
  return receive(socket, out, descriptors, true);
}

int receive_message(int socket, Message& out) {
  Descriptors none;
  return receive(socket, out, none, false);
}

}  // namespace vdset
