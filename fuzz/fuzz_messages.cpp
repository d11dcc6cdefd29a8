// fuzz/fuzz_messages.cpp: any packets, with any number of descriptors, to who reads rendezvous
// messages: the reading function, and a live listener with its library thread. Oracle: accepted is
// exactly what docs/rendezvous.md allows; no descriptor is lost; the listener still answers.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include "abi/include/vdset.h"
#include "abi/names.hpp"
#include "fuzz/place.hpp"
#include "tests/support/options.hpp"

using namespace vdset;
using vdset::fuzz::Input;

namespace {

fuzz::Goal carried("a message with descriptors that a client takes");
fuzz::Goal plain("a message that a server takes, not a hello");
fuzz::Goal unasked("a message that a server refuses for its descriptors");
fuzz::Goal answered("a hello that the primary answers");
fuzz::Goal other_layout("a hello of another layout");
fuzz::Goal hung_up("a packet of another size, at which the listener hangs up");

/// One set whose primary listens, for the whole run.
struct Listener {
  fuzz::Place place;
  vdset_set* set = nullptr;
  Name name;
  Listener() {
    const auto config = support::wish_for(1);
    const auto options = support::meeting_in<vdset_set_options>(place.path());
    VDSET_HOLDS(vdset_set_create("fuzzed", &config, &options, &set) == VDSET_OK);
    VDSET_HOLDS(judge_name("fuzzed", "set", name) == VDSET_OK);
  }
  ~Listener() { vdset_set_close(set); }
  int connect() const {
    Found found = find_name(name, place.path(), port::deadline_after(10'000'000'000));
    VDSET_HOLDS(found.result == VDSET_OK);
    port::close_descriptor(found.directory.descriptor);
    return found.socket;
  }
};

/// What may be accepted, from the table of docs/rendezvous.md alone.
bool is_allowed(const std::uint8_t* bytes, std::size_t size, std::size_t descriptors) {
  if (size != sizeof(Message)) return false;
  std::uint32_t words[45];
  std::memcpy(words, bytes, sizeof words);
  if (words[0] != 0x76647301 || words[1] < 1 || words[1] > 13 || words[12] > 256) return false;
  if (words[28] > 16) return false;  // uid_count
  std::size_t least = 0, most = 0;
  if (words[1] == 2) least = most = 1;
  if (words[1] == 3) least = most = 2;
  if (words[1] == 5) least = most = 3;
  if ((words[1] == 7 || words[1] == 9) && words[3] == 0) least = most = 1;
  return descriptors >= least && descriptors <= most;
}

std::size_t open_count() {
  std::size_t count = 0;
  for (int fd = 0; fd < 256; ++fd)
    count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

int send_raw(int socket, std::uint8_t* bytes, std::size_t size, std::size_t descriptors) {
  port::Packet packet{reinterpret_cast<std::byte*>(bytes), size, {}, descriptors};
  for (std::size_t i = 0; i < descriptors; ++i)
    packet.descriptors[i] = socket;
  return port::packet_send(socket, packet);
}

/// `takes`: as a client reads; else as a server does, who takes none.
void judge_reader(std::uint8_t* bytes, std::size_t size, std::size_t descriptors, bool takes) {
  const std::size_t before = open_count();
  int pair[2];
  VDSET_HOLDS(port::socket_make_pair(pair) == 0);
  VDSET_HOLDS(send_raw(pair[0], bytes, size, descriptors) == 0);
  {
    Message message;
    Descriptors received;
    const int error =
        takes ? receive_message(pair[1], message, received) : receive_message(pair[1], message);
    VDSET_HOLDS((error == 0) ==
                (is_allowed(bytes, size, descriptors) && (takes || descriptors == 0)));
    VDSET_HOLDS(received.count == (error == 0 ? descriptors : 0));
    if (error == 0 && takes && descriptors > 0) carried.reach();
    if (error == 0 && !takes && message.kind != MessageKind::hello) plain.reach();
    if (!takes && descriptors > 0 && is_allowed(bytes, size, descriptors)) unasked.reach();
    if (error == 0) VDSET_HOLDS(std::memcmp(&message, bytes, size) == 0);
  }
  close(pair[0]);
  close(pair[1]);
  VDSET_HOLDS(open_count() == before);
}

/// A refusal, a welcome or a hang-up within the time, never silence.
void judge_listener(const Listener& listener, std::uint8_t* bytes, std::size_t size) {
  constexpr std::int64_t patience_ns = 10'000'000'000;
  const std::size_t before = open_count();
  int socket = listener.connect();
  Message answer;
  Descriptors none;
  if (send_raw(socket, bytes, size, 0) == 0) {
    VDSET_HOLDS(port::wait_readable(socket, port::deadline_after(patience_ns)) == 1);
    const int error = receive_message(socket, answer, none);
    VDSET_HOLDS(error == -EPIPE || (error == 0 && answer.kind == MessageKind::refused));
    const bool is_hello = is_allowed(bytes, size, 0) && bytes[4] == 1;
    if (error == 0) VDSET_HOLDS(is_hello && answer.result < 0);
    if (error != 0 && size != sizeof(Message)) hung_up.reach();
    if (error == 0) (answer.result == VDSET_E_NOTSUPPORTED ? other_layout : answered).reach();
  }
  port::close_descriptor(socket);
  // The library's thread closes its end in its own time.
  for (const std::int64_t end = port::deadline_after(patience_ns); open_count() != before;)
    VDSET_HOLDS(port::now_ns() < end && poll(nullptr, 0, 1) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Listener listener;
  Input in(data, size);
  const std::uint32_t choice = in.below(16);
  const std::size_t descriptors = in.below(port::descriptors_max + 1);
  // Whole and right at first; the input changes some of its words, or is all there is.
  Message whole;
  whole.kind = static_cast<MessageKind>(1 + in.below(14));
  std::uint8_t bytes[sizeof(Message) + 64] = {};
  std::memcpy(bytes, &whole, sizeof whole);
  std::size_t length = sizeof whole;
  if (choice < 8) {
    while (in.left() > 0) {
      const std::size_t at = in.byte() % (sizeof(Message) / 4) * 4;
      const std::uint32_t word = in.flip() ? in.word() : in.byte();
      std::memcpy(bytes + at, &word, 4);
    }
  } else {
    length = in.copy(bytes, sizeof bytes);
    if (length == 0) return 0;  // An empty packet cannot be told from a hang-up.
  }
  judge_reader(bytes, length, descriptors, true);
  judge_reader(bytes, length, descriptors, false);
  // A server's hello would get the listener and end the role of this primary: not that.
  std::uint32_t role;
  std::memcpy(&role, bytes + 16, sizeof role);
  if (role != 1) judge_listener(listener, bytes, length);
  return 0;
}
