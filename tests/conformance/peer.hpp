// tests/conformance/peer.hpp: a role in another process, remote-controlled, for what needs another
// address space or a death. One line per call; the reply is its code and some numbers.
#pragma once
#include <sys/types.h>
#include "suite.hpp"

namespace conformance {

class Peer {
 public:
  explicit Peer(Context& context);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  /// Sends a line and waits for the reply's code. A peer that is gone ends the scenario.
  int call(const std::string& line);
  /// Sends a line; finish() waits for its reply. Between them the peer may be blocked in the call.
  void start(const std::string& line);
  int finish();
  /// The numbers behind the code of the last reply.
  int64_t number(std::size_t i) const { return i < numbers_.size() ? numbers_[i] : -1; }
  /// SIGKILL, and waits for the end.
  void kill();
  pid_t pid() const { return pid_; }

 private:
  Context& context_;
  pid_t pid_ = -1;
  int socket_ = -1;
  std::string unread_;
  std::vector<int64_t> numbers_;
};

}  // namespace conformance
