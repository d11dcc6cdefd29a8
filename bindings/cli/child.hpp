// child.hpp: starting a child process (fork, then exec of this very program: never an inherited
// mapping), and what the parent keeps about it until it is reaped.
#pragma once
#include <sys/types.h>

#include <optional>
#include <string>

#include "arguments.hpp"
#include "control.hpp"
#include "descriptor.hpp"
#include "failure.hpp"

namespace cli {

struct ChildSpec {
  std::string command;    // The hidden subcommand, "__engine-backup" ...
  std::string role;       // As the user reads it: "engine", "secondary", "worker".
  int device_index = -1;  // -1: of no device.
  Arguments arguments;
  int link_descriptor = -1;  // Becomes link_descriptor in the child; -1 none. Stays the caller's.
};

struct Child {
  ChildSpec spec;
  pid_t pid = -1;
  Descriptor pid_descriptor;
  Descriptor control;
  bool is_reaped = false;
  bool killed_by_us = false;
  int wait_code = 0;    // CLD_EXITED, CLD_KILLED, CLD_DUMPED; valid when reaped.
  int wait_status = 0;  // Exit code or signal.
  bool has_reported_failure = false;
  bool is_replaced = false;  // Another process has taken over its work.
  std::optional<Failure> reported;
  std::optional<ControlMessage> done;

  /// "the engine (pid 123)" or "the worker of device 2 (pid 123)".
  std::string name() const;
};

/// Starts a child. Call from the main thread: the child gets SIGTERM when the *thread* that made it
/// ends.
Child start_child(ChildSpec spec);

/// Waits for the end of a child that is ending, and reaps it.
void reap_child(Child& child);

/// Sends SIGKILL to a child of ours that has not been reaped.
void kill_child(Child& child);

/// A connected pair of packet sockets.
struct SocketPair {
  Descriptor first;
  Descriptor second;
};
SocketPair make_socket_pair();

/// In a child: its name in ps, and the file to remove if the parent's death ends it.
void begin_child(const char* process_name, const std::string& path_to_remove);

/// In a child that fails: removes that file now. The parent does so, too, unless it was killed;
/// then the set's abort may end this process before the signal of its parent's death arrives.
void remove_own_file();

}  // namespace cli
