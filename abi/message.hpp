// abi/message.hpp: what travels over the rendezvous sockets (docs/rendezvous.md, "Messages"). One
// fixed size; native byte order.
#pragma once
#include <cstddef>
#include <cstdint>
#include "abi/port/port.hpp"
#include "core/layout.hpp"

namespace vdset {

enum class MessageKind : std::uint32_t {
  hello = 1,
  welcome_server = 2,
  welcome_secondary = 3,
  refused = 4,
  parts = 5,
  open_device = 6,
  grant = 7,
  map_pool = 8,
  pool = 9,
  abort = 10,
  leave = 11,
  loss = 12,
  wake = 13
};

inline constexpr std::uint32_t message_mark = 0x76647301u;
inline constexpr std::uint32_t message_text_bytes_max = 256;
inline constexpr std::uint32_t allowed_uids_max = 16;
/// More than a socket can hold unread: whoever reads all that a peer has said reads no further.
inline constexpr int messages_max = 1024;

/// What a listener admits, beside its own uid and root.
struct AccessPolicy {
  std::uint32_t has_gid;
  std::uint32_t gid;
  std::uint32_t uid_count;
  std::uint32_t uids[allowed_uids_max];
};

/// What a server must know of the set: the payload of WELCOME_SERVER.
struct SetTerms {
  core::Configuration wish;
  std::uint32_t options;  // core::option_*.
  std::uint32_t queue_depth;
  AccessPolicy access;
};

struct Message {
  std::uint32_t mark = message_mark;
  MessageKind kind{};
  std::uint32_t request = 0;
  std::int32_t result = 0;
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  std::uint32_t c = 0;
  std::uint32_t d = 0;
  std::uint32_t uuid[4] = {};
  std::uint32_t text_bytes = 0;
  SetTerms terms = {};
  char text[message_text_bytes_max] = {};

  void set_text(const char* from, std::size_t bytes);
};
static_assert(sizeof(Message) == 52 + sizeof(SetTerms) + message_text_bytes_max);
static_assert(sizeof(SetTerms) == 4 * (11 + 2 + 3 + allowed_uids_max));

/// Descriptors that came with a message; closed unless taken. And who sent it, if that was asked
/// for (port::name_senders).
struct Descriptors {
  int at[port::descriptors_max];
  std::size_t count = 0;
  std::uint32_t sender_uid = port::no_uid;

  Descriptors() = default;
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;
  ~Descriptors() { close_all(); }
  void close_all();
  /// Takes the i-th, or -1.
  int take(std::size_t i);
};

/// Without waiting. 0 or -errno.
int send_message(int socket, const Message& message, gsl::span<const int> descriptors = {});
/// Without waiting. 0, -EAGAIN, -EPIPE, or -EPROTO (also when mark, text or the number of
/// descriptors is wrong).
int receive_message(int socket, Message& out, Descriptors& descriptors);
/// The same from who has none to send.
int receive_message(int socket, Message& out);

}  // namespace vdset
