// tests/conformance/waiting.cpp: calls that wait: what ends them, and who is told (5.2, 9.2).
#include <signal.h>
#include <sys/time.h>
#include "peer.hpp"
#include "rig.hpp"

namespace conformance {
namespace {

void timeout_keeps_state(Context& context) {
  Rig rig(context);
  rig.create();
  VDConfig config;
  context.code(rig.client->get_configuration(0, config), VD_E_TIMEOUT, "before the server");
  rig.connect();
  context.code(rig.client->get_configuration(1, config), VD_E_TIMEOUT, "server Connected");
  rig.begin();
  context.code(rig.client->get_configuration(20, config), VD_E_TIMEOUT, "server Configurable");
  ClientDevice* none = nullptr;
  context.code(rig.client->open_device(rig.name, none), VD_E_PROTOCOL, "still Configurable");
  rig.request();
  rig.finish();
  context.code(rig.client->get_configuration(0, config), ok, "a poll after EndConfiguration");
  context.cover("5", "GetConfiguration TIMEOUT keeps the state");
  context.cover("17", "4 GetConfiguration");
}

void concurrent_callers(Context& context) {
  Rig rig(context);
  rig.create();
  constexpr int count = 8;
  std::atomic<int> succeeded = 0;
  std::vector<std::jthread> callers;
  for (int i = 0; i < count; ++i)
    callers.emplace_back([&, i] {
      VDConfig config = {};
      const int64_t time = i % 2 == 0 ? infinite : 0xFFFFFFFF;  // Both mean for ever.
      succeeded +=
          rig.client->get_configuration(time, config) == ok && config.maxTransferSize == 65536;
    });
  rig.connect();
  rig.begin();
  rig.request();
  rig.finish();
  callers.clear();
  context.equal(succeeded, count, "callers that got the configuration");
  context.cover("5", "concurrent GetConfiguration");
  context.cover("5", "infinite in both spellings");
}

/// Who ends the set while a client waits.
enum class Aborter { client, server, server_close, secondary };

void abort_as(Rig& rig, Aborter aborter) {
  if (aborter == Aborter::client) rig.client->signal_abort();
  if (aborter == Aborter::server) rig.server->signal_abort();
  if (aborter == Aborter::server_close) rig.close_server();
  if (aborter == Aborter::secondary) {
    const auto secondary = rig.face.client();
    rig.context.code(secondary->open_in_secondary(rig.name), ok, "OpenInSecondary");
    secondary->signal_abort();
  }
}

/// GetConfiguration waits, with the server in three states.
void configuration_waiters(Context& context) {
  for (const Aborter aborter : {Aborter::client, Aborter::server, Aborter::server_close}) {
    for (int server_state = 0; server_state < 3; ++server_state) {
      if (server_state == 0 && aborter != Aborter::client) continue;
      Rig rig(context);
      rig.create();
      if (server_state > 0) rig.connect();
      if (server_state > 1) rig.begin();
      std::atomic<int> result = 1;
      std::jthread waiter([&] {
        VDConfig config;
        result = rig.client->get_configuration(infinite, config);
      });
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      abort_as(rig, aborter);
      waiter.join();
      context.code(result, VD_E_ABORT, "GetConfiguration that waited");
    }
  }
  context.cover("5", "abort wakes GetConfiguration");
}

void command_waiters(Context& context) {
  for (const Aborter aborter :
       {Aborter::client, Aborter::server, Aborter::server_close, Aborter::secondary}) {
    Rig rig(context, 2);
    rig.activate();
    std::atomic<int> results[2] = {1, 1};
    std::vector<std::jthread> waiters;
    for (unsigned i = 0; i < 2; ++i)
      waiters.emplace_back([&, i] {
        Fetched none;
        results[i] = rig.client_devices[i]->get(infinite, none);
      });
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    abort_as(rig, aborter);
    waiters.clear();
    for (const auto& result : results)
      context.code(result, VD_E_ABORT, "GetCommand that waited");
    const bool closed = aborter == Aborter::server_close;
    context.code(rig.join_agent(), VD_E_ABORT,
                 closed ? "the agent under Close" : "the agent that waited");
  }
  context.cover("5", "abort wakes GetCommand");
  context.cover("8.4", "abort wakes the agent");
}

/// OpenDevice waits for a name while the server has not named all (A4).
void opening_waiters(Context& context) {
  for (const Aborter aborter :
       {Aborter::client, Aborter::server, Aborter::server_close, Aborter::secondary}) {
    Rig rig(context, 2);
    rig.configure();
    std::atomic<int> result = 1;
    std::jthread waiter([&] {
      ClientDevice* none = nullptr;
      result = rig.client->open_device(rig.device_name(1), none);
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    abort_as(rig, aborter);
    waiter.join();
    context.code(result, VD_E_ABORT, "OpenDevice that waited");
  }
  context.cover("5", "abort wakes OpenDevice");
}

/// A process in GetCommand, one in GetConfiguration, woken by the other side in another process.
void waiters_in_other_processes(Context& context) {
  const std::string name = context.fresh_name();
  Peer primary(context), secondary(context), server(context);
  context.need(primary.call("create " + name + " 2 0"), ok, "Create");
  primary.start("conf -1");
  context.need(server.call("server-open " + name), ok, "server Open");
  context.need(server.call("server-begin 65536"), ok, "BeginConfiguration");
  context.need(server.call("server-end"), ok, "EndConfiguration");
  context.need(primary.finish(), ok, "GetConfiguration");
  for (const std::string& device : {name, name + "1"})
    context.need(server.call("server-device " + device), ok, "server OpenDevice");
  context.need(server.call("server-agent"), ok, "agent");
  context.need(secondary.call("join " + name), ok, "OpenInSecondary");
  context.need(primary.call("open " + name), ok, "OpenDevice");
  context.need(secondary.call("open " + name + "1"), ok, "OpenDevice of the secondary");
  primary.start("get 0 -1");
  secondary.start("get 0 -1");
  context.code(server.call("server-abort 5 a reason"), ok, "SignalAbort of the server");
  context.code(primary.finish(), VD_E_ABORT, "GetCommand of the primary");
  context.code(secondary.finish(), VD_E_ABORT, "GetCommand of the secondary");
  context.code(server.call("server-agent-result"), VD_E_ABORT, "the agent");
}

std::atomic<int> alarms = 0;
void on_alarm(int) {
  alarms.fetch_add(1);
}

/// Signals hit the waiting thread; neither the wait nor the command is lost (1.4).
void signals(Context& context) {
  struct sigaction action = {};
  action.sa_handler = on_alarm;
  action.sa_flags = SA_ONSTACK;  // No SA_RESTART; threads of Go have small stacks.
  sigaction(SIGALRM, &action, nullptr);
  Rig rig(context);
  rig.activate();
  Sent flush(VDC_Flush);
  std::jthread later([&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    while (alarms < 5)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    rig.server_devices[0]->send(flush);
  });
  const itimerval often = {{0, 2000}, {0, 2000}};
  setitimer(ITIMER_REAL, &often, nullptr);
  const Fetched command = rig.fetch();
  const itimerval off = {};
  setitimer(ITIMER_REAL, &off, nullptr);
  context.check(alarms >= 5, "signals came during the wait");
  context.code(rig.client_devices[0]->complete(command, 0), ok, "CompleteCommand");
  context.equal(flush.wait(), 0, "the command's result");
  rig.terminate();
  context.cover("5", "signals end no wait");
}

}  // namespace

std::vector<Scenario> waiting_scenarios() {
  return {{"GetConfiguration times out", "5", timeout_keeps_state},
          {"GetConfiguration by many threads", "5", concurrent_callers},
          {"abort wakes GetConfiguration", "5", configuration_waiters},
          {"abort wakes GetCommand and the agent", "5", command_waiters},
          {"abort wakes OpenDevice", "5", opening_waiters},
          {"abort wakes other processes", "9.2", waiters_in_other_processes},
          {"signals while waiting", "5", signals}};
}

}  // namespace conformance
