// abi/reception.hpp: the listener of a set: accepts, waits for the hello, checks who it is, and
// hands over. Under the library's lock.
#pragma once
#include "abi/library.hpp"
#include "abi/message.hpp"
#include "core/words.hpp"

namespace vdset {

/// A connection whose hello was received and whose credentials were admitted. The receiver owns the
/// descriptors.
struct Visitor {
  int socket;
  int watch;  // pidfd; -1 with a WAKE, whose sender is a participant already.
  port::Credentials who;
  core::Role role;  // Of a HELLO.
  const Message& hello;
};

class Reception {
 public:
  /// Tags used with the role's watches: first_tag is the listener, then one per waiting connection.
  static constexpr std::uint32_t waiting_max = 64;
  static constexpr std::uint32_t tag_count = waiting_max + 1;

  /// `admit` answers the visitor and takes or closes its descriptors.
  int open(Role& role, int listener, std::uint32_t first_tag, const AccessPolicy& access,
           void (*admit)(Role&, const Visitor&));
  /// Stops listening; the listener stays the caller's. Idempotent.
  void close();
  /// In a forked child: only closes what is waiting.
  void drop();
  bool handles(std::uint32_t tag) const {
    return tag >= first_tag_ && tag < first_tag_ + tag_count;
  }
  void ready(std::uint32_t tag);
  void tick(std::int64_t now_ns);

 private:
  struct Waiting {
    int socket = -1;
    int watch = -1;
    std::int64_t deadline_ns = 0;
  };

  void accept_one();
  std::uint32_t make_room();
  void read_hello(std::uint32_t i);
  void forget(std::uint32_t i, bool keep_socket);
  void update_deadline();

  Role* role_ = nullptr;
  int listener_ = -1;
  int listener_watch_ = -1;
  std::uint32_t first_tag_ = 0;
  AccessPolicy access_{};
  void (*admit_)(Role&, const Visitor&) = nullptr;
  std::int64_t resume_ns_ = port::never;  // Out of descriptors: when to listen again.
  Waiting waiting_[waiting_max];
};

/// Answers REFUSED and closes both descriptors.
void refuse(const Visitor& visitor, std::int32_t result, const char* why);
/// Closes both without a word.
void let_go(const Visitor& visitor);

}  // namespace vdset
