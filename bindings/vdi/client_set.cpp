// bindings/vdi/client_set.cpp: ClientVirtualDeviceSet over vdset_set.
#include <stddef.h>
#include <string.h>
#include "client.hpp"

using sqlvdi::give;

// vdset_config is VDConfig behind one field for its size.
static_assert(sizeof(vdset_config) == sizeof(VDConfig) + sizeof(uint32_t), "same fields");
static_assert(offsetof(vdset_config, features) == offsetof(VDConfig, features) + 4, "same order");
static_assert(offsetof(vdset_config, server_timeout_ms) == offsetof(VDConfig, serverTimeOut) + 4 &&
                  offsetof(vdset_config, buffer_area_bytes) ==
                      offsetof(VDConfig, bufferAreaSize) + 4,
              "same order");

CVDS* CVDS::of(ClientVirtualDeviceSet& face) {
  return sqlvdi::make_once(face.cvds);
}

vdset_set* CVDS::set_of(const ClientVirtualDeviceSet& face) {
  const CVDS* const cvds = sqlvdi::made(face.cvds);
  return cvds != nullptr ? cvds->set.load() : nullptr;
}

bool CVDS::has_open_devices() {
  const sqlvdi::Locked guard(devices.lock);
  for (const CVD* device = devices.open; device != nullptr; device = device->next)
    if (device->is_open()) return true;
  return false;
}

int32_t CVDS::open_device(vdset_set* open, const char* name, ClientVirtualDevice** out) {
  CVD* const device = devices.take_spare();
  if (device == nullptr) return VDSET_E_MEMORY;
  vdset_device* opened;
  const int32_t result = vdset_set_open_device(open, name, &opened);
  if (result != VDSET_OK) {
    devices.put_spare(device);
    // The server had its time to name it.
    return result == VDSET_E_TIMEOUT ? VDSET_E_INVALID : result;
  }
  device->open(opened, unit_ns);
  devices.put_open(device);
  *out = &device->face;
  return VDSET_OK;
}

int32_t CVDS::close() {
  vdset_set* const closing = set.exchange(nullptr);
  if (closing == nullptr) return VDSET_E_PROTOCOL;
  vdset_abort_reason reason;
  reason.struct_bytes = sizeof reason;
  // A primary's Close aborts for itself.
  const bool too_early = secondary && has_open_devices() &&
                         vdset_set_get_abort_reason(closing, &reason) == VDSET_E_PROTOCOL;
  if (too_early)
    vdset_set_signal_abort(closing, VDSET_E_OPEN, "a secondary client closed with devices open");
  const int32_t result = vdset_set_close(closing);
  devices.retire();
  return too_early && result == VDSET_OK ? VDSET_E_OPEN : result;
}

ClientVirtualDeviceSet::ClientVirtualDeviceSet() : cvds(nullptr) {}

ClientVirtualDeviceSet::~ClientVirtualDeviceSet() {
  if (cvds != nullptr) cvds->close();
  sqlvdi::unmake(cvds);
}

int ClientVirtualDeviceSet::Create(char* name, VDConfig* config) {
  static const char* const what = "ClientVirtualDeviceSet::Create";
  if (CVDS::of(*this) == nullptr) return give(what, VDSET_E_MEMORY);
  const sqlvdi::Locked turn(cvds->opening);
  if (cvds->set.load() != nullptr) return give(what, VDSET_E_PROTOCOL);
  if (config == nullptr) return give(what, VDSET_E_INVALID);
  vdset_config wish;
  wish.struct_bytes = sizeof wish;
  memcpy(&wish.device_count, config, sizeof *config);
  vdset_set_options options = {};
  options.struct_bytes = sizeof options;
  options.handle_lifetime = VDSET_HANDLES_BUFFER;
  vdset_set* made;
  const int32_t result = vdset_set_create(name, &wish, &options, &made);
  if (result != VDSET_OK) return give(what, result);
  cvds->secondary = false;
  cvds->unit_ns = sqlvdi::get_command_unit_ns();
  cvds->set.store(made);
  return VDSET_OK;
}

int ClientVirtualDeviceSet::OpenInSecondary(char* name) {
  static const char* const what = "ClientVirtualDeviceSet::OpenInSecondary";
  if (CVDS::of(*this) == nullptr) return give(what, VDSET_E_MEMORY);
  const sqlvdi::Locked turn(cvds->opening);
  if (cvds->set.load() != nullptr) return give(what, VDSET_E_PROTOCOL);
  if (name == nullptr) return give(what, VDSET_E_INVALID);
  vdset_set* joined;
  const int32_t result = vdset_set_open_in_secondary(name, nullptr, &joined);
  // No such set: for a secondary a wrong moment, not a wrong parameter.
  if (result != VDSET_OK) return give(what, result == VDSET_E_INVALID ? VDSET_E_PROTOCOL : result);
  cvds->secondary = true;
  cvds->unit_ns = sqlvdi::get_command_unit_ns();
  cvds->set.store(joined);
  return VDSET_OK;
}

int ClientVirtualDeviceSet::GetConfiguration(time_t timeOut, VDConfig* config) {
  static const char* const what = "ClientVirtualDeviceSet::GetConfiguration";
  vdset_set* const set = CVDS::set_of(*this);
  if (set == nullptr) return give(what, VDSET_E_PROTOCOL);
  if (config == nullptr) return give(what, VDSET_E_INVALID);
  vdset_config agreed;
  agreed.struct_bytes = sizeof agreed;
  const int32_t result = vdset_set_get_configuration(
      set, sqlvdi::timeout_ns(timeOut, sqlvdi::millisecond_ns), &agreed);
  if (result == VDSET_OK) memcpy(config, &agreed.device_count, sizeof *config);
  return give(what, result);
}

int ClientVirtualDeviceSet::OpenDevice(char* name, ClientVirtualDevice** device) {
  static const char* const what = "ClientVirtualDeviceSet::OpenDevice";
  if (device != nullptr) *device = nullptr;
  vdset_set* const set = CVDS::set_of(*this);
  if (set == nullptr) return give(what, VDSET_E_PROTOCOL);
  if (device == nullptr) return give(what, VDSET_E_INVALID);
  return give(what, cvds->open_device(set, name, device));
}

int ClientVirtualDeviceSet::Close() {
  CVDS* const object = sqlvdi::made(cvds);
  return give("ClientVirtualDeviceSet::Close",
              object != nullptr ? object->close() : VDSET_E_PROTOCOL);
}

int ClientVirtualDeviceSet::SignalAbort() {
  vdset_set* const set = CVDS::set_of(*this);
  return give("ClientVirtualDeviceSet::SignalAbort",
              set != nullptr ? vdset_set_signal_abort(set, 0, nullptr) : VDSET_E_PROTOCOL);
}

int ClientVirtualDeviceSet::GetBufferHandle(uint8_t* buffer, unsigned int* handle) {
  vdset_set* const set = CVDS::set_of(*this);
  return give("ClientVirtualDeviceSet::GetBufferHandle",
              set != nullptr ? vdset_set_get_buffer_handle(set, buffer, handle) : VDSET_E_PROTOCOL);
}

int ClientVirtualDeviceSet::MapBufferHandle(int handle, uint8_t** buffer) {
  static const char* const what = "ClientVirtualDeviceSet::MapBufferHandle";
  vdset_set* const set = CVDS::set_of(*this);
  if (set == nullptr) return give(what, VDSET_E_PROTOCOL);
  if (buffer == nullptr) return give(what, VDSET_E_INVALID);
  void* mapped;
  const int32_t result = vdset_set_map_buffer_handle(set, static_cast<uint32_t>(handle), &mapped);
  if (result == VDSET_OK) *buffer = static_cast<uint8_t*>(mapped);
  return give(what, result);
}

void ClientVirtualDeviceSet::RegisterDeviceClosed() {}
