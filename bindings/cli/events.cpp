// events.cpp: poll over signals, bell, control sockets and pidfds.
#include "events.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

#include "failure.hpp"

namespace cli {

namespace {

sigset_t stop_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGINT);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGHUP);
  return set;
}

}  // namespace

SignalGate::SignalGate() {
  const sigset_t set = stop_signals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  // Here and in the children these are errors of a write, not the end of the process.
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  descriptor_ = Descriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!descriptor_.is_open()) fail_errno(errno, "cannot watch for signals", "signalfd");
}

SignalGate::~SignalGate() {
  const sigset_t set = stop_signals();
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

int SignalGate::take() const {
  signalfd_siginfo info = {};
  if (::read(descriptor_.number(), &info, sizeof info) != sizeof info) return 0;
  return static_cast<int>(info.ssi_signo);
}

Bell::Bell() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!descriptor_.is_open()) fail_errno(errno, "cannot make an event descriptor", "eventfd");
}

void Bell::ring() const {
  const std::uint64_t one = 1;
  // Full means that it is ringing already.
  [[maybe_unused]] const ssize_t written = ::write(descriptor_.number(), &one, sizeof one);
}

void Bell::silence() const {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(descriptor_.number(), &count, sizeof count);
}

Events wait_events(const SignalGate& signals, const Bell& bell, std::deque<Child>& children,
                   int timeout_ms) {
  std::vector<pollfd> polled = {{signals.descriptor(), POLLIN, 0}, {bell.descriptor(), POLLIN, 0}};
  std::vector<Child*> owners = {nullptr, nullptr};
  for (Child& child : children) {
    if (child.is_reaped) continue;
    polled.push_back({child.pid_descriptor.number(), POLLIN, 0});
    owners.push_back(&child);
    // A negative descriptor is skipped by poll: the socket was closed at its end.
    polled.push_back({child.control.number(), POLLIN, 0});
    owners.push_back(&child);
  }
  Events events;
  if (::poll(polled.data(), polled.size(), timeout_ms) <= 0) return events;
  if (polled[0].revents != 0) events.signal = signals.take();
  if (polled[1].revents != 0) bell.silence();
  for (std::size_t i = 2; i < polled.size(); i += 2) {
    if (polled[i + 1].revents != 0) events.with_message.push_back(owners[i]);
    if (polled[i].revents != 0) events.ended.push_back(owners[i]);
  }
  return events;
}

}  // namespace cli
