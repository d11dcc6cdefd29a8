// tests/conformance/rig.cpp: see rig.hpp.
#include "rig.hpp"

namespace conformance {

Rig::Rig(Context& given_context, unsigned devices, uint32_t features)
    : context(given_context),
      face(given_context.face),
      name(given_context.fresh_name()),
      client(face.client()),
      server(face.server()) {
  wish.deviceCount = devices;
  wish.features = features;
}

void Rig::create() {
  context.need(client->create(name, wish), ok, "Create");
}

void Rig::connect() {
  context.need(server->open(name), ok, "server Open");
}

void Rig::begin() {
  const uint32_t complete =
      (wish.features & VDF_RequestComplete) != 0 ? uint32_t{VDF_CompleteEnabled} : 0;
  context.need(
      server->begin(wish.features | server_features | complete, block, alignment, transfer), ok,
      "BeginConfiguration");
}

void Rig::request() {
  context.need(server->request(transfer, 0, buffers), ok, "RequestBuffers");
}

void Rig::finish() {
  context.need(server->end(), ok, "EndConfiguration");
}

void Rig::get_configuration() {
  context.need(client->get_configuration(patience_ms, agreed), ok, "GetConfiguration");
}

void Rig::configure() {
  create();
  connect();
  begin();
  request();
  finish();
  get_configuration();
}

void Rig::open_devices() {
  for (unsigned i = 0; i < wish.deviceCount; ++i) {
    ServerDevice* mine = nullptr;
    context.need(server->open_device(device_name(i), mine), ok, "server OpenDevice");
    server_devices.push_back(mine);
  }
  for (unsigned i = 0; i < wish.deviceCount; ++i) {
    ClientDevice* mine = nullptr;
    context.need(client->open_device(device_name(i), mine), ok, "OpenDevice");
    client_devices.push_back(mine);
  }
}

void Rig::start_agent() {
  agent_result = 1;
  agent = std::thread([this] { agent_result = server->run_agent(); });
}

int Rig::join_agent() {
  if (agent.joinable()) agent.join();
  return agent_result;
}

void Rig::activate() {
  configure();
  open_devices();
  start_agent();
}

void Rig::terminate() {
  for (ServerDevice* device : server_devices)
    context.code(device->close(), ok, "CloseDevice");
  for (ClientDevice* device : client_devices) {
    Fetched none;
    context.code(device->get(patience_ms, none), VD_E_CLOSE, "GetCommand after CloseDevice");
  }
  if (agent.joinable()) context.code(join_agent(), ok, "the agent after the last CloseDevice");
}

int Rig::close_server() {
  const int result = server->close();
  if (result != cannot || !agent.joinable()) return result;
  server->signal_abort();
  agent.join();
  server->close();
  return result;
}

void Rig::end() {
  if (server != nullptr) close_server();
  if (agent.joinable()) agent.join();
  if (client != nullptr) client->close();
}

Fetched Rig::fetch(unsigned device) {
  Fetched command;
  context.need(client_devices.at(device)->get(patience_ms, command), ok, "GetCommand");
  return command;
}

void Rig::send(Sent& sent, unsigned device) {
  context.need(server_devices.at(device)->send(sent), ok, "SendCommand");
}

void Rig::exchange(Sent& sent, int code, uint32_t bytes, int64_t position, unsigned device) {
  send(sent, device);
  const Fetched command = fetch(device);
  context.equal(command.code, sent.code, "the command fetched");
  context.need(client_devices.at(device)->complete(command, code, bytes, position), ok,
               "CompleteCommand");
  context.equal(sent.wait(), code, "the completion code at the server");
  context.equal(sent.calls.load(), 1, "calls of the completion routine");
}

uint8_t* Rig::allocate(uint32_t size, uint32_t stricter) {
  uint8_t* buffer = nullptr;
  context.need(server->allocate(buffer, size, stricter), ok, "AllocateBuffer");
  return buffer;
}

}  // namespace conformance
