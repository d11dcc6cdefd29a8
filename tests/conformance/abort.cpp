// tests/conformance/abort.cpp: SignalAbort from every role, who sees what, and why (9.2). Each role
// is a process of its own.
#include "peer.hpp"
#include "rig.hpp"

namespace conformance {
namespace {

/// Server, primary with device 0, secondary with device 1. One command fetched on each device, one
/// more queued; both clients then wait or not, as the scenario wants.
struct Trio {
  explicit Trio(Context& given_context, bool with_agent = true)
      : context(given_context),
        name(given_context.fresh_name()),
        primary(given_context),
        secondary(given_context),
        server(given_context) {
    context.need(primary.call("create " + name + " 2 0"), ok, "Create");
    context.need(server.call("server-open " + name), ok, "server Open");
    context.need(server.call("server-begin 65536"), ok, "BeginConfiguration");
    context.need(server.call("server-end"), ok, "EndConfiguration");
    context.need(primary.call("conf 10000"), ok, "GetConfiguration");
    context.need(secondary.call("join " + name), ok, "OpenInSecondary");
    for (const std::string& device : {name, name + "1"})
      context.need(server.call("server-device " + device), ok, "server OpenDevice");
    if (with_agent) context.need(server.call("server-agent"), ok, "agent");
    context.need(primary.call("open " + name), ok, "OpenDevice");
    context.need(secondary.call("open " + name + "1"), ok, "OpenDevice");
    for (int device = 0; device < 2; ++device)
      for (int i = 0; i < 2; ++i)
        context.need(server.call("server-send " + std::to_string(device) + " 2 512"), ok, "Send");
    context.need(primary.call("get 0 10000"), ok, "GetCommand");
    context.need(secondary.call("get 0 10000"), ok, "GetCommand");
  }

  /// What all sides see of an abort, except the one that is gone or closed.
  void check_server() {
    for (int i = 0; i < 4; ++i)
      context.equal(server.call("server-wait " + std::to_string(i)), 995, "outstanding: 995");
    context.code(server.call("server-agent-result"), VD_E_ABORT, "the agent returns");
    context.code(server.call("server-send 0 12 0"), VD_E_ABORT, "a new SendCommand");
    context.equal(server.call("server-wait 4"), 995, "and its callback");
    context.code(server.call("server-close-device 0"), VD_E_ABORT, "CloseDevice");
  }
  void check_client(Peer& client, bool closes = true) {
    context.code(client.call("conf 10000"), VD_E_ABORT, "GetConfiguration");
    context.code(client.call("get 0 -1"), VD_E_ABORT, "GetCommand");
    context.code(client.call("complete 0 0 0 512"), VD_E_ABORT, "CompleteCommand");
    context.code(client.call("abort 0 again"), ok, "SignalAbort again");
    if (closes) context.code(client.call("close"), ok, "Close");
  }
  /// All who are left tell the same story.
  void check_reason(Peer& who, bool is_server, unsigned role, pid_t pid, unsigned call, int code) {
    context.code(who.call(is_server ? "server-reason" : "reason"), ok, "the reason");
    context.equal(who.number(0), role, "the role that aborted");
    if (pid != 0) context.equal(who.number(1), pid, "its process");
    context.equal(who.number(2), call, "the call");
    context.equal(who.number(3), code, "the code");
  }
  void check_name_is_free() {
    const auto again = context.face.client();
    VDConfig wish = {};
    wish.deviceCount = 1;
    context.code(again->create(name, wish), ok, "Create under the same name");
  }

  Context& context;
  const std::string name;
  Peer primary, secondary, server;
};

void primary_aborts(Context& context) {
  Trio trio(context);
  context.code(trio.primary.call("abort 112 the disk is full"), ok, "SignalAbort of the primary");
  const pid_t pid = trio.primary.pid();
  trio.check_reason(trio.server, true, VDA_RolePrimary, pid, VDA_CallSignalAbort, 112);
  trio.check_reason(trio.primary, false, VDA_RolePrimary, pid, VDA_CallSignalAbort, 112);
  trio.check_reason(trio.secondary, false, VDA_RolePrimary, pid, VDA_CallSignalAbort, 112);
  trio.check_server();
  trio.check_client(trio.secondary);
  trio.check_client(trio.primary);
  context.code(trio.server.call("server-close"), ok, "server Close");
  trio.check_name_is_free();
  context.cover("9.2", "client SignalAbort");
}

void secondary_aborts(Context& context) {
  Trio trio(context);
  context.code(trio.secondary.call("abort 29 a write fault"), ok, "SignalAbort of the secondary");
  const pid_t pid = trio.secondary.pid();
  trio.check_reason(trio.server, true, VDA_RoleSecondary, pid, VDA_CallSignalAbort, 29);
  trio.check_reason(trio.primary, false, VDA_RoleSecondary, pid, VDA_CallSignalAbort, 29);
  trio.check_server();
  trio.check_client(trio.secondary);
  trio.check_client(trio.primary);
  context.cover("9.2", "secondary SignalAbort");
}

void server_aborts(Context& context) {
  Trio trio(context);
  context.code(trio.server.call("server-abort 3041 killed"), ok, "SignalAbort of the server");
  const pid_t pid = trio.server.pid();
  trio.check_reason(trio.server, true, VDA_RoleServer, pid, VDA_CallSignalAbort, 3041);
  trio.check_reason(trio.primary, false, VDA_RoleServer, pid, VDA_CallSignalAbort, 3041);
  trio.check_reason(trio.secondary, false, VDA_RoleServer, pid, VDA_CallSignalAbort, 3041);
  trio.check_server();
  trio.check_client(trio.primary);
  trio.check_client(trio.secondary);
  context.code(trio.server.call("server-close"), ok, "server Close");
  trio.check_name_is_free();
  context.cover("9.2", "server SignalAbort");
  context.cover("17", "10 abort matrix");
}

void primary_closes(Context& context) {
  Trio trio(context);
  const pid_t pid = trio.primary.pid();
  context.code(trio.primary.call("close"), VD_E_OPEN, "Close with an open device");
  trio.check_reason(trio.server, true, VDA_RolePrimary, pid, VDA_CallClose, 0);
  trio.check_reason(trio.secondary, false, VDA_RolePrimary, pid, VDA_CallClose, 0);
  trio.check_server();
  trio.check_client(trio.secondary);
  trio.check_name_is_free();
  context.cover("9.2", "client Close with open devices");
}

/// For the drop-in a secondary's Close is a client's: it aborts. Through the C ABI the device's
/// commands fail, and the set goes on (vdset.h).
void secondary_closes(Context& context) {
  Trio trio(context);
  context.code(trio.secondary.call("close"), VD_E_OPEN, "Close with an open device");
  if (context.face.is_c()) {
    context.equal(trio.server.call("server-wait 2"), 995, "what it had fetched");
    context.equal(trio.server.call("server-wait 3"), 1117, "what was queued");
    context.code(trio.primary.call("complete 0 0 0 512"), ok, "the primary goes on");
    context.equal(trio.server.call("server-wait 0"), 0, "its command");
  } else {
    trio.check_server();
    trio.check_client(trio.primary);
  }
  context.cover("9.2", "secondary Close with open devices");
}

/// With an agent, unless no thread may be in what is closed.
void server_closes(Context& context) {
  const bool with_agent = !context.face.closes_alone();
  Trio trio(context, with_agent);
  const pid_t pid = trio.server.pid();
  if (with_agent) {
    // An agent that calls back has begun: one that begins after Close finds nothing open.
    context.need(trio.primary.call("complete 0 0 0 512"), ok, "CompleteCommand");
    context.equal(trio.server.call("server-wait 0"), 0, "called back");
    context.need(trio.primary.call("get 0 10000"), ok, "GetCommand");
  }
  context.code(trio.server.call("server-close"), VD_E_PROTOCOL, "Close with open devices");
  if (with_agent)
    context.code(trio.server.call("server-agent-result"), VD_E_ABORT, "the agent has returned");
  for (int i = with_agent ? 1 : 0; i < 4; ++i)
    context.equal(trio.server.call("server-wait " + std::to_string(i)), 995, "outstanding: 995");
  trio.check_reason(trio.primary, false, VDA_RoleServer, pid, VDA_CallClose, 0);
  trio.check_client(trio.primary);
  trio.check_client(trio.secondary);
  trio.check_name_is_free();
  context.cover("9.2", "server Close with open devices");
}

void rejected_before_open(Context& context) {
  Rig rig(context);
  rig.create();
  VDConfig config;
  for (int i = 0; i < 3; ++i)
    context.code(rig.client->get_configuration(10, config), VD_E_TIMEOUT, "no server comes");
  context.code(rig.client->close(), ok, "Close");
  context.cover("9.2", "fails before Open");
  context.code(rig.server->open(rig.name), VD_E_INVALID, "server Open afterwards");
  context.cover("9.2", "unknown name at the server");
}

/// Buffers stay mapped and in their owner's hands until that side closes (8.1).
void buffers_after_abort(Context& context) {
  Rig rig(context);
  rig.activate();
  Sent write(VDC_Write, 65536, rig.allocate(65536));
  std::memset(write.buffer, 'b', 65536);
  rig.send(write);
  const Fetched got = rig.fetch();
  context.code(rig.server->signal_abort(), ok, "SignalAbort");
  context.equal(write.wait(), 995, "the command");
  context.code(rig.client_devices[0]->complete(got, 0, 65536), VD_E_ABORT, "its completion");
  context.equal(write.calls, 1, "is ignored");
  rig.join_agent();
  context.code(rig.server->close(), ok, "server Close");
  context.equal(got.buffer[65535], 'b', "the client still reads its buffer");
  got.buffer[0] = 'c';
  context.code(rig.client->close(), ok, "Close");
  context.cover("8.1", "buffers stay mapped until Close");
}

/// A reason's text is cut, never too long; the first abort's reason stays.
void reasons(Context& context) {
  Rig rig(context);
  rig.activate();
  Reason reason = {};
  context.code(rig.client->abort_reason(reason), VD_E_PROTOCOL, "no reason before an abort");
  context.code(rig.server->abort_reason(reason), VD_E_PROTOCOL, "no reason before an abort");
  context.code(rig.client->abort_because(-5, std::string(300, 'x').c_str()), ok, "a long text");
  for (VDConfig config; rig.server->get_configuration(config) != VD_E_ABORT;)
    std::this_thread::yield();
  context.code(rig.server->abort_because(6, "later"), ok, "a second abort");
  context.code(rig.server->abort_reason(reason), ok, "the reason");
  context.check(reason.code == -5 && reason.role == VDA_RolePrimary, "the first abort's");
  context.check(
      reason.text.size() <= 127 && reason.text.find_first_not_of('x') == std::string::npos,
      "its text, cut");
  context.cover("9.2", "the first reason stays");
}

}  // namespace

std::vector<Scenario> abort_scenarios() {
  return {{"the primary aborts", "9.2", primary_aborts},
          {"a secondary aborts", "9.2", secondary_aborts},
          {"the server aborts", "9.2", server_aborts},
          {"the primary closes too early", "9.2", primary_closes},
          {"a secondary closes too early", "9.2", secondary_closes},
          {"the server closes too early", "9.2", server_closes},
          {"no server comes", "9.2", rejected_before_open},
          {"buffers after an abort", "8.1", buffers_after_abort},
          {"reasons", "9.2", reasons}};
}

}  // namespace conformance
