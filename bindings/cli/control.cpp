// control.cpp: sending control messages.
#include "control.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace cli {

namespace {

void copy_text(ControlMessage& message, std::string_view text) {
  const std::size_t bytes = std::min(text.size(), sizeof message.text - 1);
  std::memcpy(message.text, text.data(), bytes);
}

}  // namespace

void ControlSender::send(const ControlMessage& message, int flags) {
  // A parent that is gone needs no message: the set's abort ends this process.
  while (::send(descriptor_, &message, sizeof message, flags | MSG_NOSIGNAL) < 0 &&
         errno == EINTR) {
  }
}

void ControlSender::plan(std::uint64_t bytes, bool writers_go_on) {
  ControlMessage message;
  message.kind = ControlKind::plan;
  message.count = bytes;
  message.flags = writers_go_on ? 1 : 0;
  send(message, 0);
}

void ControlSender::note(std::string_view text) {
  ControlMessage message;
  message.kind = ControlKind::note;
  copy_text(message, text);
  send(message, 0);
}

void ControlSender::progress(std::uint64_t bytes) {
  ControlMessage message;
  message.kind = ControlKind::progress;
  message.count = bytes;
  send(message, MSG_DONTWAIT);
}

void ControlSender::failure(const Failure& failure) {
  ControlMessage message;
  message.kind = ControlKind::failure;
  message.code = static_cast<std::int32_t>(failure.code());
  message.cause = static_cast<std::uint32_t>(failure.cause());
  copy_text(message, failure.text());
  send(message, 0);
}

void ControlSender::done(const Counts& counts) {
  ControlMessage message;
  message.kind = ControlKind::done;
  message.counts = counts;
  message.memory = measure_memory();
  send(message, 0);
}

}  // namespace cli
