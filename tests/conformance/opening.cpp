// tests/conformance/opening.cpp: OpenDevice, and joining from other processes (5.2; A1, A4, A18).
#include <algorithm>
#include "peer.hpp"
#include "rig.hpp"

namespace conformance {
namespace {

void any_order(Context& context) {
  Rig rig(context, 5);
  rig.configure();
  for (unsigned i = 0; i < 5; ++i) {
    ServerDevice* device = nullptr;
    context.need(rig.server->open_device(rig.device_name(i), device), ok, "server OpenDevice");
    rig.server_devices.push_back(device);
  }
  rig.start_agent();
  rig.client_devices.resize(5);
  for (const unsigned i : {3u, 0u, 4u, 2u, 1u}) {
    context.need(rig.client->open_device(rig.device_name(i), rig.client_devices[i]), ok,
                 "OpenDevice");
    // A1: others run while the next is opened.
    Sent flush(VDC_Flush);
    rig.exchange(flush, 0, 0, 0, i);
  }
  std::vector<ClientDevice*> distinct = rig.client_devices;
  std::sort(distinct.begin(), distinct.end());
  context.check(std::unique(distinct.begin(), distinct.end()) == distinct.end(),
                "five distinct objects");
  rig.terminate();
  context.cover("5", "OpenDevice in any order");
  context.cover("15", "A1 OpenDevice while Active");
}

void from_threads(Context& context) {
  constexpr unsigned count = 16;
  Rig rig(context, count);
  rig.buffers = count;
  rig.configure();
  std::atomic<int> good = 0;
  std::vector<std::jthread> clients;
  for (unsigned i = 0; i < count; ++i)
    clients.emplace_back([&, i] {
      ClientDevice* device = nullptr;
      VDConfig config;
      Fetched command;
      const bool open = rig.client->open_device(rig.device_name(i), device) == ok &&
                        rig.client->get_configuration(infinite, config) == ok;
      if (!open || device->get(infinite, command) != ok) return;
      good += device->complete(command, 0) == ok && device->get(infinite, command) == VD_E_CLOSE;
    });
  rig.start_agent();
  std::vector<std::unique_ptr<Sent>> flushes;
  for (unsigned i = 0; i < count; ++i) {
    ServerDevice* device = nullptr;
    context.need(rig.server->open_device(rig.device_name(i), device), ok, "server OpenDevice");
    flushes.push_back(std::make_unique<Sent>(VDC_Flush));
    context.code(device->send(*flushes.back()), ok, "SendCommand");
    rig.server_devices.push_back(device);
  }
  for (unsigned i = 0; i < count; ++i) {
    context.equal(flushes[i]->wait(), 0, "Flush");
    context.code(rig.server_devices[i]->close(), ok, "CloseDevice");
  }
  clients.clear();
  context.equal(good, count, "threads that saw their device through");
  context.code(rig.join_agent(), ok, "the agent");
  context.cover("5", "OpenDevice from n threads");
}

void refusals(Context& context) {
  Rig rig(context, 3);
  rig.configure();
  ServerDevice* device = nullptr;
  for (unsigned i = 0; i < 3; ++i)
    context.need(rig.server->open_device(rig.device_name(i), device), ok, "server OpenDevice");
  context.code(rig.server->open_device("a fourth", device), VD_E_OPEN, "a fourth at the server");
  ClientDevice* opened = nullptr;
  context.code(rig.client->open_device(rig.name, opened), ok, "OpenDevice");
  context.code(rig.client->open_device(rig.name, opened), VD_E_PROTOCOL, "the same again");
  context.check(opened == nullptr, "null on failure");
  context.cover("5", "duplicate PROTOCOL");
  context.code(rig.client->open_device("unknown", opened), VD_E_INVALID, "a name of nobody");
  context.check(opened == nullptr, "null on failure");
  context.cover("5", "unknown INVALID");
  context.cover("5", "null out pointer");
  context.code(rig.client->open_device(rig.device_name(1), opened), ok, "OpenDevice");
  context.code(rig.client->open_device(rig.device_name(2), opened), ok, "OpenDevice");
  context.code(rig.client->open_device("unknown", opened), VD_E_OPEN, "a fourth");
  context.code(rig.client->open_device(rig.name, opened), VD_E_OPEN, "the first again");
  context.check(opened == nullptr, "null on failure");
  context.cover("5", "n+1 OPEN");
  context.cover("17", "5 OpenDevice");
}

void server_names(Context& context) {
  Rig rig(context, 2);
  rig.configure();
  ServerDevice* device = nullptr;
  context.code(rig.server->open_device("not the set's", device), VD_E_INVALID, "first name");
  context.check(device == nullptr, "null on failure");
  context.code(rig.server->open_device(rig.name, device), ok, "the set's name");
  context.code(rig.server->open_device(rig.name, device), VD_E_INVALID, "a name twice");
  context.code(rig.server->open_device(rig.device_name(1), device), ok, "the second");
  context.code(rig.server->open_device("third", device), VD_E_OPEN, "all are open");
  context.cover("6", "server OpenDevice");
}

/// OpenDevice races the server's: it waits while names are missing (A4).
void name_comes_later(Context& context) {
  Rig rig(context, 2);
  rig.configure();
  std::atomic<int> results[2] = {1, 1};
  ClientDevice* devices[2] = {};
  std::vector<std::jthread> openers;
  for (unsigned i = 0; i < 2; ++i)
    openers.emplace_back(
        [&, i] { results[i] = rig.client->open_device(rig.device_name(i), devices[i]); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ServerDevice* device = nullptr;
  context.code(rig.server->open_device(rig.name, device), ok, "server OpenDevice");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  context.equal(results[1], 1, "the second still waits");
  context.code(rig.server->open_device(rig.device_name(1), device), ok, "server OpenDevice");
  openers.clear();
  for (unsigned i = 0; i < 2; ++i)
    context.check(results[i] == ok && devices[i] != nullptr, "a device opened before its name");
  context.cover("15", "A4 OpenDevice waits for the name");
}

/// The wait is bounded: about 10 s here, then a code that ends the client's loop.
void name_never_comes(Context& context) {
  Rig rig(context, 2);
  rig.configure();
  ServerDevice* device = nullptr;
  context.need(rig.server->open_device(rig.name, device), ok, "server OpenDevice");
  ClientDevice* opened = nullptr;
  const int expected = context.face.is_c() ? VD_E_TIMEOUT : VD_E_INVALID;
  context.code(rig.client->open_device("never named", opened), expected, "a name that never comes");
  context.check(opened == nullptr, "null on failure");
  context.cover("15", "A4 the wait is bounded");
}

/// Fewer clauses than deviceCount: the server gives up, the client hears of it.
void too_few_clauses(Context& context) {
  Rig rig(context, 2);
  rig.create();
  rig.connect();
  VDConfig wish = {};
  context.code(rig.server->get_configuration(wish), ok, "server GetConfiguration");
  context.equal(wish.deviceCount, 2, "one clause, two devices");
  context.code(rig.server->abort_because(3261, "one clause, two devices"), ok, "SignalAbort");
  VDConfig config;
  context.code(rig.client->get_configuration(patience_ms, config), VD_E_ABORT, "GetConfiguration");
  Reason reason = {};
  context.code(rig.client->abort_reason(reason), ok, "the reason");
  context.check(reason.code == 3261 && reason.text == "one clause, two devices", "why");
  context.cover("15", "A18 deviceCount and clauses differ");
  context.cover("9.2", "configuration unusable");
}

void from_processes(Context& context) {
  constexpr unsigned count = 4;
  Rig rig(context, count);
  Peer peers[] = {Peer(context), Peer(context), Peer(context), Peer(context)};
  const int early = context.face.is_c() ? VD_E_INVALID : VD_E_PROTOCOL;
  context.code(peers[0].call("join " + rig.name), early, "OpenInSecondary before Create");
  rig.create();
  context.code(peers[0].call("join " + rig.name), VD_E_PROTOCOL, "before the server");
  rig.connect();
  rig.begin();
  context.code(peers[0].call("join " + rig.name), VD_E_PROTOCOL, "before EndConfiguration");
  rig.request();
  rig.finish();
  rig.get_configuration();
  rig.start_agent();
  for (unsigned i = 0; i < count; ++i) {
    ServerDevice* device = nullptr;
    context.need(rig.server->open_device(rig.device_name(i), device), ok, "server OpenDevice");
    rig.server_devices.push_back(device);
  }
  // A secondary opens its device before it asks for the configuration.
  for (unsigned i = 0; i < count; ++i) {
    context.need(peers[i].call("join " + rig.name), ok, "OpenInSecondary");
    context.code(peers[i].call("open " + rig.device_name(count - 1 - i)), ok, "OpenDevice");
    context.code(peers[i].call("conf 10000"), ok, "GetConfiguration of a secondary");
    context.equal(peers[i].number(0), VDF_WriteMedia, "the direction it sees");
  }
  context.code(peers[0].call("open " + rig.name), VD_E_OPEN, "all are open");
  for (unsigned i = 0; i < count; ++i) {
    Sent write(VDC_Write, 512, rig.allocate(512));
    std::memset(write.buffer, 'a' + static_cast<int>(i), 512);
    rig.send(write, count - 1 - i);
    context.code(peers[i].call("get 0 10000"), ok, "GetCommand of a secondary");
    context.equal(peers[i].number(3), 'a' + static_cast<int>(i), "its data");
    context.code(peers[i].call("complete 0 0 0 512"), ok, "CompleteCommand of a secondary");
    context.equal(write.wait(), 0, "Write");
  }
  rig.terminate();
  for (Peer& peer : peers) {
    context.code(peer.call("get 0 10000"), VD_E_CLOSE, "CLOSE at a secondary");
    context.code(peer.call("close"), ok, "Close of a secondary");
  }
  context.cover("5", "OpenDevice from n processes");
  context.cover("2.4", "a secondary opens before GetConfiguration");
}

}  // namespace

std::vector<Scenario> opening_scenarios() {
  return {{"OpenDevice in any order", "5", any_order},
          {"OpenDevice from threads", "5", from_threads},
          {"OpenDevice refused", "5", refusals},
          {"server OpenDevice", "6", server_names},
          {"OpenDevice before the name", "15", name_comes_later},
          {"OpenDevice and no name", "15", name_never_comes},
          {"too few clauses", "15", too_few_clauses},
          {"devices in secondary processes", "5", from_processes}};
}

}  // namespace conformance
