// tests/conformance/deaths.cpp: kill -9 of each role in each state (9.2). The others are told,
// nobody waits for ever, and the name can be used again.
#include <signal.h>
#include "peer.hpp"
#include "rig.hpp"

namespace conformance {
namespace {

enum State { created, connected, configurable, initializing, named, opened, fetched, states };
const char* const state_names[] = {"Configurable without a server",
                                   "Connected",
                                   "Configurable",
                                   "Initializing",
                                   "Active, devices named",
                                   "Active, devices open",
                                   "Active, a command fetched"};

/// Primary and server in processes of their own, one device, brought into a state.
struct Pair {
  Pair(Context& given_context, int state, const std::string& given_name)
      : context(given_context), name(given_name), primary(given_context), server(given_context) {
    context.need(primary.call("create " + name + " 1 0"), ok, "Create");
    if (state >= connected) need(server, "server-open " + name);
    if (state >= configurable) need(server, "server-begin 65536");
    if (state >= initializing) {
      need(server, "server-end");
      need(primary, "conf 10000");
    }
    if (state >= named) {
      need(server, "server-device " + name);
      need(server, "server-agent");
    }
    if (state >= opened) need(primary, "open " + name);
    if (state < fetched) return;
    need(server, "server-send 0 2 512");
    need(server, "server-send 0 12 0");
    need(primary, "get 0 10000");
  }
  void need(Peer& peer, const std::string& line) { context.need(peer.call(line), ok, line); }

  Context& context;
  const std::string name;
  Peer primary, server;
};

/// The call of the server that must learn of it, in this state.
void check_server(Context& context, Peer& server, int state) {
  if (state >= named) context.code(server.call("server-agent-result"), VD_E_ABORT, "the agent");
  if (state == fetched) {
    context.equal(server.call("server-wait 0"), 995, "the fetched command");
    context.equal(server.call("server-wait 1"), 995, "the queued command");
  }
  if (state >= opened) context.code(server.call("server-send 0 12 0"), VD_E_ABORT, "SendCommand");
  if (state < connected) return;
  // Before the agent nobody waits: the server learns from a call, soon.
  int result;
  const char* const line = state == connected ? "server-begin 65536" : "server-device another";
  do {
    result = server.call(line);
    if (state == connected && result == ok) return;  // It was quicker than the news.
  } while (result != VD_E_ABORT && result != VD_E_PROTOCOL);
  if (state == connected) return;
  context.code(server.call("server-close"), ok, "server Close of an aborted set");
}

void primary_dies(Context& context) {
  const std::string name = context.fresh_name();
  for (int state = created; state < states; ++state) {
    Pair pair(context, state, name);  // The same name each time.
    const pid_t pid = pair.primary.pid();
    pair.primary.kill();
    check_server(context, pair.server, state);
    if (state == fetched) {
      Pair again(context, fetched, name + "b");
      again.primary.kill();
      again.context.code(again.server.call("server-agent-result"), VD_E_ABORT, "the agent");
      context.code(again.server.call("server-reason"), ok, "the reason");
      context.equal(again.server.number(0), VDA_RolePrimary, "who");
      context.equal(again.server.number(2), VDA_CallDied, "why");
    }
    context.check(pid > 0, state_names[state]);
    context.cover("9.2", std::string("primary dies: ") + state_names[state]);
  }
}

void server_dies(Context& context) {
  const std::string name = context.fresh_name();
  for (int state = connected; state < states; ++state) {
    Pair pair(context, state, name);
    const pid_t pid = pair.server.pid();
    // The client waits while it happens.
    if (state <= configurable) pair.primary.start("conf -1");
    if (state >= opened && state < fetched) pair.primary.start("get 0 -1");
    pair.server.kill();
    if (state <= configurable || state == opened)
      context.code(pair.primary.finish(), VD_E_ABORT, state_names[state]);
    context.code(pair.primary.call("conf 10000"), VD_E_ABORT, "GetConfiguration afterwards");
    if (state < opened)
      context.code(pair.primary.call("open " + name), VD_E_ABORT, "OpenDevice afterwards");
    if (state == fetched)
      context.code(pair.primary.call("complete 0 0 0 512"), VD_E_ABORT, "CompleteCommand");
    context.code(pair.primary.call("reason"), ok, "the reason");
    context.equal(pair.primary.number(0), VDA_RoleServer, "who");
    context.equal(pair.primary.number(1), pid, "which process");
    // Before there is shared memory the socket's end is all the news there is.
    const bool early = state == connected && pair.primary.number(2) == VDA_CallLeft;
    if (!early) context.equal(pair.primary.number(2), VDA_CallDied, "why");
    context.code(pair.primary.call("close"), ok, "Close");
    context.cover("9.2", std::string("server dies: ") + state_names[state]);
  }
}

/// VDI has nothing for it; here its commands fail and the device can be opened again.
enum SecondaryState { joined, idle, waiting, holding, secondary_states };
const char* const secondary_state_names[] = {"joined", "device open", "in GetCommand",
                                             "a command fetched"};

void kill_secondary(Rig& rig, int state) {
  Context& context = rig.context;
  Sent one(VDC_Flush), two(VDC_Flush), three(VDC_Flush), clear(VDC_ClearError);
  Peer peer(context);
  context.need(peer.call("join " + rig.name), ok, "OpenInSecondary");
  if (state >= idle) context.need(peer.call("open " + rig.device_name(1)), ok, "OpenDevice");
  if (state == waiting) peer.start("get 0 -1");
  if (state == holding) {
    rig.send(one, 1);
    rig.send(two, 1);
    context.need(peer.call("get 0 10000"), ok, "GetCommand");
  }
  peer.kill();
  if (state == holding) {
    context.equal(one.wait(), 995, "what it had fetched");
    context.equal(two.wait(), 1117, "what was queued");
    context.code(rig.server_devices[1]->send(three), VD_E_IO_ERROR, "SendCommand");
    three.calls = 0;
  }
  // Nothing tells when the server has heard of an idle one's death.
  rig.client_devices.resize(2);
  while (rig.client->open_device(rig.device_name(1), rig.client_devices[1]) != ok)
    std::this_thread::yield();
  if (state == holding) rig.exchange(clear, 0, 0, 0, 1);
  rig.exchange(three, 0, 0, 0, 1);
}

void secondary_dies(Context& context) {
  for (int state = joined; state < secondary_states; ++state) {
    Rig rig(context, 2);
    rig.configure();
    for (unsigned i = 0; i < 2; ++i) {
      ServerDevice* device = nullptr;
      context.need(rig.server->open_device(rig.device_name(i), device), ok, "server OpenDevice");
      rig.server_devices.push_back(device);
    }
    rig.start_agent();
    kill_secondary(rig, state);
    context.code(rig.client->open_device(rig.name, rig.client_devices[0]), ok, "the other device");
    rig.terminate();
    context.cover("9.2", std::string("secondary dies: ") + secondary_state_names[state]);
  }
}

/// The server has closed the device, the client holds a command and is killed, or closes.
void client_goes_after_close_device(Context& context) {
  for (const bool killed : {true, false}) {
    Pair pair(context, fetched, context.fresh_name());
    context.code(pair.server.call("server-close-device 0"), ok, "CloseDevice");
    context.code(pair.primary.call("get 0 10000"), ok, "the queued command");
    context.code(pair.primary.call("get 0 10000"), VD_E_CLOSE, "CLOSE");
    if (killed)
      pair.primary.kill();
    else
      context.code(pair.primary.call("close"), ok, "Close");
    context.equal(pair.server.call("server-wait 0"), 995, "a command that was held");
    context.equal(pair.server.call("server-wait 1"), 995, "a command that was held");
    pair.server.call("server-agent-result");  // It returns.
  }
  context.cover("9.2", "client goes with commands held after CloseDevice");
}

/// Until the primary goes on it may abort for a secondary that died: VDI's own way.
void primary_aborts_for_secondary(Context& context) {
  Rig rig(context, 1);
  rig.configure();
  ServerDevice* device = nullptr;
  context.need(rig.server->open_device(rig.name, device), ok, "server OpenDevice");
  rig.start_agent();
  Sent write(VDC_Write, 512, rig.allocate(512));
  {
    Peer peer(context);
    context.need(peer.call("join " + rig.name), ok, "OpenInSecondary");
    context.need(peer.call("open " + rig.name), ok, "OpenDevice");
    context.need(device->send(write), ok, "SendCommand");
    context.need(peer.call("get 0 10000"), ok, "GetCommand");
  }
  context.code(rig.client->signal_abort(), ok, "SignalAbort of the primary");
  context.equal(write.wait(), 995, "the command");
  context.code(rig.join_agent(), VD_E_ABORT, "the agent");
  context.code(rig.client->close(), ok, "Close");
}

/// All die at once, at the end of a long life and in the midst of work; the name is free.
void everybody_dies(Context& context) {
  const std::string name = context.fresh_name();
  for (int round = 0; round < 3; ++round) {
    Pair pair(context, fetched, name);
    Peer secondary(context);
    context.need(secondary.call("join " + name), ok, "OpenInSecondary");
    ::kill(pair.primary.pid(), SIGKILL);
    ::kill(pair.server.pid(), SIGKILL);
    pair.primary.kill();  // Waits for its end.
    pair.server.kill();
    context.code(secondary.call("conf -1"), VD_E_ABORT, "the secondary that is left");
    context.code(secondary.call("close"), ok, "Close");
  }
  context.cover("9.2", "names can be used again");
}

}  // namespace

std::vector<Scenario> death_scenarios() {
  return {{"the primary is killed", "9.2", primary_dies},
          {"the server is killed", "9.2", server_dies},
          {"a secondary is killed", "9.2", secondary_dies},
          {"the client goes after CloseDevice", "9.2", client_goes_after_close_device},
          {"the primary aborts for a dead secondary", "9.2", primary_aborts_for_secondary},
          {"everybody is killed", "9.2", everybody_dies}};
}

}  // namespace conformance
