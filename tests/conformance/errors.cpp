// tests/conformance/errors.cpp: failing SendCommands (8.2), the IO-ERROR protocol (8.3), and the
// completion agent (8.4).
#include "rig.hpp"

namespace conformance {
namespace {

/// A SendCommand that must fail: code, callback here and now, mapped completion code.
void refused(Context& context, ServerDevice& device, Sent& sent, int result, int mapped) {
  context.code(device.send(sent), result, "SendCommand");
  context.equal(sent.calls, 1, "the callback came at once");
  context.equal(sent.completion, mapped, "with the mapped code");
  context.check(sent.thread == std::this_thread::get_id(), "on the sender's thread");
}

void queue_full(Context& context) {
  Rig rig(context);
  rig.activate();
  std::vector<std::unique_ptr<Sent>> sent;
  int result;
  do {
    sent.push_back(std::make_unique<Sent>(VDC_Flush));
    result = rig.server_devices[0]->send(*sent.back());
  } while (result == ok && sent.size() < 1000);
  context.code(result, VD_E_QUEUE_FULL, "SendCommand at last");
  context.equal(sent.back()->calls, 1, "the callback came at once");
  context.equal(sent.back()->completion, 1450, "with NO_SYSTEM_RESOURCES");
  context.check(sent.back()->thread == std::this_thread::get_id(), "on the sender's thread");
  sent.pop_back();
  context.check(sent.size() >= 5, "four and a ClearError find room");
  context.cover("8.2", "QUEUE_FULL 1450");
  context.cover("8.2", "room for five");
  for (auto& one : sent) {
    context.code(rig.client_devices[0]->complete(rig.fetch(), 0), ok, "CompleteCommand");
    context.equal(one->wait(), 0, "each comes to its end");
    context.check(one->thread == rig.agent.get_id(), "on the agent's thread");
  }
  Sent again(VDC_Flush);
  rig.exchange(again);
  rig.terminate();
}

/// The client may complete in any order: while it holds one command, fifteen more come and go. Then
/// the ring has gone round, and goes on when the one is complete.
void one_is_held(Context& context) {
  Rig rig(context);
  rig.activate();
  constexpr int depth = 16;
  for (int round = 0; round < 3; ++round) {
    Sent held(VDC_Flush), refused(VDC_Flush);
    rig.send(held);
    const Fetched old = rig.fetch();
    for (int i = 1; i < depth; ++i) {
      Sent other(VDC_Flush);
      rig.exchange(other);
    }
    context.code(rig.server_devices[0]->send(refused), VD_E_QUEUE_FULL, "after a whole round");
    context.equal(refused.completion, 1450, "the callback");
    context.code(rig.client_devices[0]->complete(old, 0), ok, "the one that was held");
    context.equal(held.wait(), 0, "its result");
    Sent next(VDC_Flush);
    rig.exchange(next);
  }
  rig.terminate();
  context.cover("8.2", "one held command leaves room for depth - 1");
}

void protocol_and_abort(Context& context) {
  Rig rig(context, 2);
  rig.activate();
  context.code(rig.server_devices[1]->close(), ok, "CloseDevice");
  Sent closed(VDC_Flush), aborted(VDC_Flush), pending(VDC_Flush);
  refused(context, *rig.server_devices[1], closed, VD_E_PROTOCOL, 6);
  context.cover("8.2", "PROTOCOL 6");
  rig.send(pending);
  context.code(rig.client->signal_abort(), ok, "SignalAbort");
  refused(context, *rig.server_devices[0], aborted, VD_E_ABORT, 995);
  context.cover("8.2", "ABORT 995");
  context.equal(pending.wait(), 995, "what was pending");
  context.check(pending.thread == rig.agent.get_id(), "on the agent's thread");
  context.code(rig.join_agent(), VD_E_ABORT, "the agent");
  context.cover("8.4", "abort ends what is outstanding with 995");
  context.cover("17", "9 SendCommand failures");
}

/// Steps 1 to 6 of the protocol.
void io_error(Context& context) {
  Rig rig(context, 2);
  rig.activate();
  ServerDevice& server = *rig.server_devices[0];
  ClientDevice& client = *rig.client_devices[0];
  Sent first(VDC_Flush), second(VDC_Flush), third(VDC_Flush), fourth(VDC_Flush);
  for (Sent* sent : {&first, &second, &third, &fourth})
    rig.send(*sent);
  const Fetched one = rig.fetch(), two = rig.fetch();
  context.code(client.complete(one, 112), ok, "1: a completion that fails");
  context.equal(first.wait(), 112, "the code the server gets");
  context.equal(third.wait(), 1117, "2: queued, not fetched");
  context.equal(fourth.wait(), 1117, "2: queued, not fetched");
  Fetched none;
  context.code(client.get(0, none), VD_E_TIMEOUT, "2: the client never sees them");
  context.cover("8.3", "1 and 2: queued commands end with 1117 unseen");
  context.equal(second.calls, 0, "3: fetched ones wait for the client");
  Sent refused_one(VDC_Flush), clear(VDC_ClearError), after(VDC_Flush);
  refused(context, server, refused_one, VD_E_IO_ERROR, 1117);
  context.cover("8.2", "IO_ERROR 1117");
  context.cover("8.3", "4: new commands are refused");
  Sent other(VDC_Flush);
  rig.exchange(other, 0, 0, 0, 1);  // The other device is not concerned.
  context.cover("8.3", "other devices go on");
  context.code(server.send(clear), ok, "5: ClearError is accepted");
  context.code(client.get(20, none), VD_E_TIMEOUT, "5: and withheld");
  context.code(client.complete(two, 0), ok, "3: the fetched one is completed");
  context.equal(second.wait(), 0, "3: with its own code");
  context.cover("8.3", "3: fetched commands are still completed");
  const Fetched three = rig.fetch();
  context.equal(three.code, VDC_ClearError, "5: now ClearError comes");
  context.cover("8.3", "5: ClearError is withheld");
  Sent refused_two(VDC_Flush);
  refused(context, server, refused_two, VD_E_IO_ERROR, 1117);
  context.code(client.complete(three, 0), ok, "6: its completion");
  context.equal(clear.wait(), 0, "6: ClearError");
  rig.exchange(after);
  context.cover("8.3", "6: ClearError makes the device Active");
  rig.terminate();
  context.cover("17", "8 IO-ERROR");
}

void failing_clear_error(Context& context) {
  Rig rig(context);
  rig.activate();
  Sent flush(VDC_Flush), clear(VDC_ClearError), refused_one(VDC_Flush), clear_again(VDC_ClearError);
  rig.exchange(flush, 30);
  rig.exchange(clear, 31);
  refused(context, *rig.server_devices[0], refused_one, VD_E_IO_ERROR, 1117);
  rig.exchange(clear_again);
  Sent after(VDC_Flush);
  rig.exchange(after);
  rig.terminate();
  context.cover("8.3", "only a successful ClearError counts");
}

/// EOF is an error too, unless the client says SUCCESS.
void end_of_file(Context& context) {
  Rig rig(context);
  rig.server_features = VDF_ReadMedia;
  rig.activate();
  uint8_t* const buffer = rig.allocate(4096);
  Sent read(VDC_Read, 4096, buffer), next(VDC_Flush), clear(VDC_ClearError), after(VDC_Flush);
  rig.exchange(read, 38, 1000);
  context.equal(read.bytes, 1000, "the partial count at the end of file");
  refused(context, *rig.server_devices[0], next, VD_E_IO_ERROR, 1117);
  rig.exchange(clear);
  rig.exchange(after);
  rig.terminate();
  context.cover("8.3", "EOF, ClearError, on");
}

void close_in_error(Context& context) {
  {
    Rig rig(context);
    rig.activate();
    Sent flush(VDC_Flush);
    rig.exchange(flush, 29);
    rig.terminate();
    context.cover("8.3", "CloseDevice instead of ClearError");
  }
  Rig rig(context);
  rig.activate();
  Sent flush(VDC_Flush), held(VDC_Flush), clear(VDC_ClearError);
  rig.send(held);
  rig.send(flush);
  rig.fetch();
  context.code(rig.client_devices[0]->complete(rig.fetch(), 29), ok, "a failure");
  context.equal(flush.wait(), 29, "the failure");
  context.code(rig.server_devices[0]->send(clear), ok, "ClearError, withheld");
  context.code(rig.server->signal_abort(), ok, "SignalAbort in IO-ERROR");
  context.equal(held.wait(), 995, "what was fetched");
  context.equal(clear.wait(), 995, "the ClearError that was withheld");
  context.code(rig.join_agent(), VD_E_ABORT, "the agent");
  context.cover("8.3", "SignalAbort instead of ClearError");
}

/// Callbacks do what they like: send, allocate, free; one at a time for all devices.
void callbacks(Context& context) {
  constexpr int rounds = 50;
  Rig rig(context, 2);
  rig.buffers = 4;
  rig.activate();
  std::atomic<int> inside = 0, together = 0, left[2] = {rounds, rounds};
  Sent sent[2] = {{VDC_Write, 512, rig.allocate(512)}, {VDC_Write, 512, rig.allocate(512)}};
  for (unsigned i = 0; i < 2; ++i)
    sent[i].then = [&, i](Sent& self) {
      if (inside.fetch_add(1) != 0) ++together;
      uint8_t* const old = self.buffer;
      self.buffer = rig.allocate(512);
      context.code(rig.server->free(old, 512), ok, "FreeBuffer in a callback");
      const bool again = --left[i] > 0;
      inside.fetch_sub(1);
      if (again) context.code(rig.server_devices[i]->send(self), ok, "SendCommand in a callback");
    };
  for (unsigned i = 0; i < 2; ++i)
    rig.send(sent[i], i);
  for (int round = 0; round < rounds; ++round)
    for (unsigned i = 0; i < 2; ++i)
      context.code(rig.client_devices[i]->complete(rig.fetch(i), 0, 512), ok, "CompleteCommand");
  for (unsigned i = 0; i < 2; ++i)
    for (int seen = sent[i].calls; seen < rounds; seen = sent[i].calls)
      sent[i].calls.wait(seen);
  context.equal(together, 0, "callbacks at the same time");
  context.check(sent[0].thread == rig.agent.get_id(), "the agent's thread");
  context.cover("8.4", "callbacks may send, allocate and free");
  context.cover("8.4", "one thread calls back for all devices");
  rig.terminate();
}

/// The last callback closes the device: the agent then ends.
void close_in_callback(Context& context) {
  Rig rig(context);
  rig.activate();
  Sent flush(VDC_Flush);
  flush.then = [&](Sent&) {
    context.code(rig.server_devices[0]->close(), ok, "CloseDevice in a callback");
  };
  rig.exchange(flush);
  context.code(rig.join_agent(), ok, "the agent");
  Fetched none;
  context.code(rig.client_devices[0]->get(infinite, none), VD_E_CLOSE, "CLOSE");
  context.cover("8.4", "CloseDevice in a callback");
}

}  // namespace

std::vector<Scenario> error_scenarios() {
  return {{"SendCommand into a full queue", "8.2", queue_full},
          {"one command is held", "8.2", one_is_held},
          {"SendCommand refused", "8.2", protocol_and_abort},
          {"IO-ERROR", "8.3", io_error},
          {"ClearError fails", "8.3", failing_clear_error},
          {"end of file", "8.3", end_of_file},
          {"IO-ERROR without ClearError", "8.3", close_in_error},
          {"callbacks", "8.4", callbacks},
          {"CloseDevice in a callback", "8.4", close_in_callback}};
}

}  // namespace conformance
