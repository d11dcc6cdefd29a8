// abi/names.hpp: names of sets and devices, and the directories where sets are found
// (docs/rendezvous.md, "Where", "Names").
#pragma once
#include "abi/message.hpp"
#include "abi/port/port.hpp"
#include "core/config.hpp"

namespace vdset {

struct Name {
  std::uint32_t bytes = 0;
  char text[core::name_bytes_max + 1] = {};

  bool operator==(const Name& other) const;
};

/// Judges and copies. VDSET_OK or INVALID with last_error; `what` is "set" or "device".
std::int32_t judge_name(const char* text, const char* what, Name& out);
/// The same for bytes from a peer, which cannot be trusted to be text.
bool read_name(const char* text, std::size_t bytes, Name& out);

/// The node name of a set: "v1-" and 32 hex digits.
struct Stem {
  char text[40];
};
Stem stem_of(const Name& name);

/// A name that this process holds as its primary.
struct HeldName {
  port::Directory directory;
  Stem stem{};
  int lock = -1;
  int listener = -1;
};
/// `other_users`: the socket may be connected to by all who can reach the directory; whom the set
/// admits is decided by the kernel's word for who they are.
std::int32_t hold_name(const Name& name, const char* directory, bool other_users, HeldName& out);
/// Removes the nodes; the name is free when it returns. Idempotent.
void free_name(HeldName& held);
/// In a forked child: only closes.
void drop_name(HeldName& held);

/// Connects to the set of that name. The socket, or a result code below 0 with last_error; -1 is
/// never a socket here.
struct Found {
  std::int32_t result;
  int socket;
  port::Directory directory;  // Caller closes.
};
Found find_name(const Name& name, const char* directory, std::int64_t deadline_ns);

/// Whether a peer may attach.
bool is_admitted(int socket, const port::Credentials& peer, const AccessPolicy& access);

}  // namespace vdset
