// tests/conformance/closing.cpp: Close, and Create again (5.2, 9.1; A2, A13).
#include <algorithm>
#include <array>
#include <chrono>
#include <thread>
#include "rig.hpp"

namespace conformance {
namespace {

void close_without_server(Context& context) {
  Rig rig(context);
  context.code(rig.client->close(), context.face.is_c() ? VD_E_INVALID : VD_E_PROTOCOL,
               "Close before Create");
  rig.create();
  context.code(rig.client->close(), ok, "Close");
  context.code(rig.client->close(), context.face.is_c() ? VD_E_INVALID : VD_E_PROTOCOL,
               "Close twice");
  context.cover("5", "Close twice PROTOCOL");
}

/// A13: a server that is attached is told, in whatever state.
void close_under_a_server(Context& context) {
  for (int state = 0; state < 3; ++state) {
    Rig rig(context);
    rig.create();
    rig.connect();
    if (state > 0) {
      rig.begin();
      rig.request();
    }
    if (state > 1) rig.finish();
    context.code(rig.client->close(), ok, "Close without open devices");
    VDConfig config;
    while (rig.server->get_configuration(config) == ok)
      std::this_thread::yield();
    context.code(rig.server->get_configuration(config), VD_E_ABORT, "the server is told");
    Reason reason = {};
    context.code(rig.server->abort_reason(reason), ok, "the reason");
    context.equal(reason.role, VDA_RolePrimary, "who");
    context.equal(reason.call, VDA_CallClose, "by what");
    context.code(rig.server->close(), ok, "server Close");
  }
  context.cover("15", "A13 Close with a server attached");
}

/// No SignalAbort: the server's statement must fail at once all the same (A2).
void close_without_abort(Context& context) {
  Rig rig(context);
  rig.activate();
  Sent fetched(VDC_Flush), queued(VDC_Flush);
  rig.send(fetched);
  rig.send(queued);
  rig.fetch();
  context.code(rig.client->close(), VD_E_OPEN, "Close with a device open");
  context.equal(fetched.wait(), 995, "the fetched command");
  context.equal(queued.wait(), 995, "the queued command");
  context.code(rig.join_agent(), VD_E_ABORT, "the agent");
  context.cover("15", "A2 Close with open devices");
  context.cover("14", "Close without SignalAbort fails the server");
}

void close_after_abort(Context& context) {
  Rig rig(context);
  rig.activate();
  context.code(rig.client->signal_abort(), ok, "SignalAbort");
  context.code(rig.client->close(), ok, "Close of an aborted set");
  context.cover("15", "A2 Close after an abort");
}

/// One device has told CLOSE, the other has not.
void close_half_way(Context& context) {
  Rig rig(context, 2);
  rig.activate();
  Fetched none;
  context.code(rig.server_devices[0]->close(), ok, "CloseDevice");
  context.code(rig.client_devices[0]->get(infinite, none), VD_E_CLOSE, "CLOSE on the first");
  Sent flush(VDC_Flush);
  rig.exchange(flush, 0, 0, 0, 1);  // The second goes on.
  context.code(rig.client->close(), VD_E_OPEN, "Close");
  context.code(rig.join_agent(), VD_E_ABORT, "the agent");
  context.code(rig.server->close(), ok, "server Close");
}

/// One object, one name, many lives, ending in different ways.
void create_again(Context& context) {
  Rig rig(context);
  for (int life = 0; life < 6; ++life) {
    rig.activate();
    Sent write(VDC_Write, 512, rig.allocate(512));
    rig.exchange(write, 0, 512);
    if (life % 3 == 0) {
      rig.terminate();
      context.code(rig.client->close(), ok, "Close after CLOSE");
      context.code(rig.server->close(), ok, "server Close");
    } else if (life % 3 == 1) {
      context.code(rig.client->close(), VD_E_OPEN, "Close with a device open");
      rig.join_agent();
      context.code(rig.server->close(), ok, "server Close");
    } else {
      context.code(rig.close_server(), VD_E_PROTOCOL, "server Close with a device open");
      rig.join_agent();
      context.code(rig.client->close(), ok, "Close of an aborted set");
    }
    rig.client_devices.clear();
    rig.server_devices.clear();
  }
  context.cover("5", "Create again on the same object");
  context.cover("17", "11 Close");
}

/// A device kept beyond its set refuses, it does not crash.
void devices_after_close(Context& context) {
  Rig rig(context);
  rig.activate();
  rig.terminate();
  context.code(rig.client->close(), ok, "Close");
  context.code(rig.server->close(), ok, "server Close");
  const int expected = context.face.is_c() ? VD_E_NOTOPEN : VD_E_PROTOCOL;
  Fetched none;
  context.code(rig.client_devices[0]->get(infinite, none), expected, "GetCommand");
  context.code(rig.client_devices[0]->complete(none, 0), expected, "CompleteCommand");
  Sent flush(VDC_Flush);
  context.code(rig.server_devices[0]->send(flush), expected, "SendCommand");
  context.code(rig.server_devices[0]->close(), expected, "CloseDevice");
  context.cover("5", "devices end with their set");
}

/// Two threads wait in GetCommand, or come to it late, and the set is closed: what they are told.
std::array<int, 2> close_around(Context& context, std::chrono::milliseconds lead) {
  Rig rig(context, 2);
  rig.activate();
  std::array<int, 2> results = {1, 1};
  std::vector<std::jthread> waiters;
  for (unsigned i = 0; i < 2; ++i)
    waiters.emplace_back([&, i] {
      Fetched none;
      results[i] = rig.client_devices[i]->get(infinite, none);
    });
  std::this_thread::sleep_for(lead);
  const int closed = rig.client->close();
  context.code(closed, VD_E_OPEN, "Close under threads");
  if (closed == cannot) rig.client->signal_abort();
  waiters.clear();
  return results;
}

/// Close while other threads wait in calls: they leave first. Whoever came late is told that the
/// set is closed; then once more, with twice the lead.
void close_under_waiters(Context& context) {
  const int late = context.face.is_c() ? VD_E_NOTOPEN : VD_E_PROTOCOL;
  std::chrono::milliseconds lead{10};
  std::array<int, 2> results = close_around(context, lead);
  while (std::ranges::count(results, late) > 0 && lead < std::chrono::seconds(5)) {
    lead *= 2;
    results = close_around(context, lead);
  }
  for (const int result : results)
    context.code(result, VD_E_ABORT, "GetCommand that waited");
  context.cover("5", "Close wakes waiting threads");
}

}  // namespace

std::vector<Scenario> closing_scenarios() {
  return {{"Close without a server", "5", close_without_server},
          {"Close under a server", "15", close_under_a_server},
          {"Close without SignalAbort", "15", close_without_abort},
          {"Close after an abort", "15", close_after_abort},
          {"Close half way", "15", close_half_way},
          {"Close and Create again", "5", create_again},
          {"devices after Close", "5", devices_after_close},
          {"Close under waiting threads", "5", close_under_waiters}};
}

}  // namespace conformance
