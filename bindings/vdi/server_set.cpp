// bindings/vdi/server_set.cpp: ServerVirtualDeviceSet over vdset_server.
#include <string.h>
#include "server.hpp"

using sqlvdi::give;

SVDS* SVDS::of(ServerVirtualDeviceSet& face) {
  return sqlvdi::make_once(face.svds);
}

vdset_server* SVDS::server_of(const ServerVirtualDeviceSet& face) {
  const SVDS* const svds = sqlvdi::made(face.svds);
  return svds != nullptr ? svds->server.load() : nullptr;
}

int32_t SVDS::open(const char* name, uint64_t buffer_bytes_max) {
  const sqlvdi::Locked turn(opening);
  if (server.load() != nullptr) return VDSET_E_PROTOCOL;
  vdset_join_options options = {};
  options.struct_bytes = sizeof options;
  options.area_bytes_max = buffer_bytes_max;
  vdset_server* opened;
  const int32_t result = vdset_server_open(name, &options, &opened);
  if (result != VDSET_OK) return result;
  ended.store(false);
  server.store(opened);
  return VDSET_OK;
}

int32_t SVDS::open_device(vdset_server* open, const char* name, ServerVirtualDevice** out) {
  SVD* const device = devices.take_spare();
  if (device == nullptr) return VDSET_E_MEMORY;
  vdset_server_device* opened;
  const int32_t result = vdset_server_open_device(open, name, &opened);
  if (result != VDSET_OK) {
    devices.put_spare(device);
    return result;
  }
  device->device.store(opened);
  devices.put_open(device);
  *out = &device->face;
  return VDSET_OK;
}

int32_t SVDS::run_agent(vdset_server* open) {
  // Once only: an agent that starts late, after the last CloseDevice, still has its normal end.
  if (ended.load()) return VDSET_E_PROTOCOL;
  const int32_t result = vdset_server_run_completion_agent(open);
  if (result == VDSET_OK) ended.store(true);
  return result;
}

int32_t SVDS::close() {
  vdset_server* const closing = server.exchange(nullptr);
  if (closing == nullptr) return VDSET_E_PROTOCOL;
  const int32_t result = vdset_server_close(closing);
  devices.retire();
  return result;
}

ServerVirtualDeviceSet::ServerVirtualDeviceSet() : svds(nullptr) {}

ServerVirtualDeviceSet::~ServerVirtualDeviceSet() {
  if (svds != nullptr) svds->close();
  sqlvdi::unmake(svds);
}

int ServerVirtualDeviceSet::Open(const char* /*instance*/, const char* name) {
  return VDServerOpenLimited(this, name, 0);
}

int ServerVirtualDeviceSet::GetConfiguration(VDConfig* config) {
  static const char* const what = "ServerVirtualDeviceSet::GetConfiguration";
  vdset_server* const server = SVDS::server_of(*this);
  if (server == nullptr) return give(what, VDSET_E_PROTOCOL);
  if (config == nullptr) return give(what, VDSET_E_INVALID);
  vdset_config wish;
  wish.struct_bytes = sizeof wish;
  const int32_t result = vdset_server_get_configuration(server, &wish);
  if (result == VDSET_OK) memcpy(config, &wish.device_count, sizeof *config);
  return give(what, result);
}

int ServerVirtualDeviceSet::BeginConfiguration(uint32_t features, uint32_t blockSize,
                                               uint32_t alignment, uint32_t maxTransferSize,
                                               time_t /*timeOut*/) {
  static const char* const what = "ServerVirtualDeviceSet::BeginConfiguration";
  vdset_server* const server = SVDS::server_of(*this);
  if (server == nullptr) return give(what, VDSET_E_PROTOCOL);
  const vdset_base_configuration base = {sizeof base, features, blockSize, alignment,
                                         maxTransferSize};
  const int32_t result = vdset_server_begin_configuration(server, &base);
  // The interface's table has PROTOCOL here for an aborted set.
  return give(what, result == VDSET_E_ABORT ? VDSET_E_PROTOCOL : result);
}

int ServerVirtualDeviceSet::RequestBuffers(uint32_t size, uint32_t alignment, uint32_t count) {
  vdset_server* const server = SVDS::server_of(*this);
  return give("ServerVirtualDeviceSet::RequestBuffers",
              server != nullptr ? vdset_server_request_buffers(server, size, alignment, count)
                                : VDSET_E_PROTOCOL);
}

int ServerVirtualDeviceSet::QueryAvailableBuffers(uint32_t size, uint32_t alignment,
                                                  uint32_t* count) {
  static const char* const what = "ServerVirtualDeviceSet::QueryAvailableBuffers";
  vdset_server* const server = SVDS::server_of(*this);
  if (server == nullptr) return give(what, VDSET_E_PROTOCOL);
  const int32_t result = vdset_server_query_available_buffers(server, size, alignment, count);
  // As in BeginConfiguration.
  return give(what, result == VDSET_E_ABORT ? VDSET_E_PROTOCOL : result);
}

int ServerVirtualDeviceSet::EndConfiguration() {
  vdset_server* const server = SVDS::server_of(*this);
  return give("ServerVirtualDeviceSet::EndConfiguration",
              server != nullptr ? vdset_server_end_configuration(server) : VDSET_E_PROTOCOL);
}

int ServerVirtualDeviceSet::OpenDevice(const char* name, ServerVirtualDevice** device) {
  static const char* const what = "ServerVirtualDeviceSet::OpenDevice";
  if (device != nullptr) *device = nullptr;
  vdset_server* const server = SVDS::server_of(*this);
  if (server == nullptr) return give(what, VDSET_E_PROTOCOL);
  if (device == nullptr) return give(what, VDSET_E_INVALID);
  return give(what, svds->open_device(server, name, device));
}

int ServerVirtualDeviceSet::ExecuteCompletionAgent() {
  vdset_server* const server = SVDS::server_of(*this);
  return give("ServerVirtualDeviceSet::ExecuteCompletionAgent",
              server != nullptr ? svds->run_agent(server) : VDSET_E_PROTOCOL);
}

int ServerVirtualDeviceSet::AllocateBuffer(uint8_t** buffer, uint32_t size, uint32_t alignment) {
  static const char* const what = "ServerVirtualDeviceSet::AllocateBuffer";
  vdset_server* const server = SVDS::server_of(*this);
  if (server == nullptr) return give(what, VDSET_E_PROTOCOL);
  if (buffer == nullptr) return give(what, VDSET_E_INVALID);
  void* allocated;
  const int32_t result = vdset_server_allocate_buffer(server, size, alignment, &allocated);
  if (result == VDSET_OK) *buffer = static_cast<uint8_t*>(allocated);
  return give(what, result);
}

int ServerVirtualDeviceSet::FreeBuffer(uint8_t* buffer, uint32_t size) {
  vdset_server* const server = SVDS::server_of(*this);
  return give(
      "ServerVirtualDeviceSet::FreeBuffer",
      server != nullptr ? vdset_server_free_buffer(server, buffer, size) : VDSET_E_PROTOCOL);
}

int ServerVirtualDeviceSet::IsSharedBuffer(const uint8_t* address) {
  vdset_server* const server = SVDS::server_of(*this);
  return server != nullptr ? vdset_server_is_shared_buffer(server, address) : 0;
}

int ServerVirtualDeviceSet::SignalAbort() {
  return VDServerAbort(this, 0, nullptr);
}

int ServerVirtualDeviceSet::Close() {
  SVDS* const object = sqlvdi::made(svds);
  return give("ServerVirtualDeviceSet::Close",
              object != nullptr ? object->close() : VDSET_E_PROTOCOL);
}
