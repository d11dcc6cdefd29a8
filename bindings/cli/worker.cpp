// worker.cpp: the compressor. A secondary that opens no device: it gets buffer handles over the
// link, maps each, and compresses from, or decompresses into, that very memory. It is the one that
// touches the device's file.
#include <fmt/core.h>
#include <sys/socket.h>
#include <vdset.h>

#include <cerrno>

#include "agent.hpp"
#include "child.hpp"
#include "device_tape.hpp"
#include "failure.hpp"
#include "link.hpp"
#include "roles.hpp"

namespace cli {

namespace {

/// False at the end of the link.
bool receive_request(LinkRequest& out) {
  ssize_t got = -1;
  do {
    got = ::recv(link_descriptor, &out, sizeof out, 0);
  } while (got < 0 && errno == EINTR);
  return got == static_cast<ssize_t>(sizeof out);
}

TapeAnswer run_request(vdset_set* set, DeviceTape& tape, const LinkRequest& request) {
  if (request.operation == LinkOperation::sync) return tape.sync();
  if (request.operation == LinkOperation::finish) return tape.finish();
  void* buffer = nullptr;
  const std::int32_t result = vdset_set_map_buffer_handle(set, request.handle, &buffer);
  if (result != VDSET_OK) {
    // The command ended under us: the set was aborted, or the fetcher died.
    char text[256] = {};
    vdset_set_explain_handle(set, request.handle, text, sizeof text);
    throw Failure(ExitCode::aborted,
                  fmt::format("cannot map a buffer handle: {:#x}; {}", request.handle, text),
                  Cause::consequence);
  }
  auto* bytes = static_cast<std::uint8_t*>(buffer);
  if (request.operation == LinkOperation::write) {
    return tape.write({bytes, request.size_bytes}, request.is_redelivered != 0);
  }
  return tape.read({bytes, request.size_bytes});
}

Counts serve_link(vdset_set* set, DeviceTape& tape, ControlSender& control) {
  Counts counts;
  LinkRequest request;
  bool has_told = false;
  while (receive_request(request)) {
    const TapeAnswer tape_answer = run_request(set, tape, request);
    // Before the answer, whose consequences may reach the parent sooner than our end does.
    if (tape.failure() && !has_told) control.failure(*tape.failure());
    has_told = tape.failure().has_value();
    const LinkAnswer answer = {tape_answer.completion_code, tape_answer.bytes};
    counts.commands += 1;
    while (::send(link_descriptor, &answer, sizeof answer, MSG_NOSIGNAL) < 0) {
      if (errno != EINTR) return counts;  // The fetcher is gone; its own end says why.
    }
  }
  return counts;
}

}  // namespace

int run_worker(const Arguments& arguments) {
  const TapeOptions options = TapeOptions::from(arguments);
  const bool hands_over = arguments.flag("hands_over");
  begin_child("vdset-worker", options.is_backup ? options.path : "");
  return run_child_role(
      [&](ControlSender& control) {
        const JoinedSet set(arguments.text("set"));
        DeviceTape tape(options);
        Counts counts = serve_link(set.get(), tape, control);
        if (tape.failure()) throw *tape.failure();
        // The fetcher ended early. In a set that hands over its successor may need the file.
        const bool may_go_on = hands_over && !set.is_aborted();
        if (!tape.is_finished() && !may_go_on) remove_own_file();
        tape.put_counts(counts);
        control.done(counts);
      },
      hands_over);
}

}  // namespace cli
