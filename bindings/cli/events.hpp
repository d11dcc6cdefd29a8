// events.hpp: the one place where the parent sleeps: on its children's ends and messages, on
// signals, on its own threads, until the progress display wants a turn.
#pragma once
#include <atomic>
#include <deque>
#include <vector>

#include "child.hpp"
#include "descriptor.hpp"

namespace cli {

/// While it lives, SIGINT, SIGTERM and SIGHUP are read from a descriptor. Make it before any
/// thread.
class SignalGate {
 public:
  SignalGate();
  ~SignalGate();
  SignalGate(const SignalGate&) = delete;
  SignalGate& operator=(const SignalGate&) = delete;
  int descriptor() const { return descriptor_.number(); }
  /// The number of a signal that came, or 0.
  int take() const;

 private:
  Descriptor descriptor_;
};

/// Lets another thread wake the event loop.
class Bell {
 public:
  Bell();
  int descriptor() const { return descriptor_.number(); }
  void ring() const;
  void silence() const;

 private:
  Descriptor descriptor_;
};

struct Events {
  int signal = 0;
  std::vector<Child*> with_message;  // Something can be read from its control socket.
  std::vector<Child*> ended;         // Can be reaped without waiting.
};

/// Sleeps until something happens, at most `timeout_ms`.
Events wait_events(const SignalGate& signals, const Bell& bell, std::deque<Child>& children,
                   int timeout_ms);

}  // namespace cli
