// bindings/vdi/client_device.cpp: ClientVirtualDevice over vdset_device.
#include "client.hpp"

using sqlvdi::give;

void CVD::open(vdset_device* opened, int64_t command_unit_ns) {
  closed.store(false);
  count_.store(0);
  expected_ = 0;
  unit_ns = command_unit_ns;
  device.store(opened);
}

VDC_Command* CVD::show(const vdset_command* origin) {
  const uint32_t count = count_.load(std::memory_order_relaxed);
  uint32_t i = expected_ < count ? expected_ : 0;
  if (i == count || views_[i].origin != origin)
    for (i = 0; i < count && views_[i].origin != origin;)
      ++i;
  if (i == views_max) return nullptr;
  VDC_Command& command = views_[i].command;
  command.commandCode = static_cast<int32_t>(origin->code);
  command.size = origin->size;
  command.position = origin->position;
  command.buffer = static_cast<uint8_t*>(origin->buffer);
  views_[i].origin = origin;
  if (i == count) count_.store(count + 1, std::memory_order_release);
  expected_ = i + 1;
  return &command;
}

const vdset_command* CVD::origin_of(const VDC_Command* command) const {
  const uintptr_t offset =
      reinterpret_cast<uintptr_t>(command) - reinterpret_cast<uintptr_t>(views_);
  const uintptr_t i = offset / sizeof(View);
  const bool given = i < count_.load(std::memory_order_acquire) && offset % sizeof(View) == 0;
  return given ? views_[i].origin : nullptr;
}

ClientVirtualDevice::ClientVirtualDevice() : cvd(nullptr) {}
ClientVirtualDevice::~ClientVirtualDevice() {}

int ClientVirtualDevice::GetCommand(time_t timeOut, VDC_Command** command) {
  static const char* const what = "ClientVirtualDevice::GetCommand";
  vdset_device* const device = cvd != nullptr ? cvd->device.load() : nullptr;
  if (device == nullptr) return give(what, VDSET_E_PROTOCOL);
  if (command == nullptr) return give(what, VDSET_E_INVALID);
  const vdset_command* origin;
  const int32_t result =
      vdset_device_get_command(device, sqlvdi::timeout_ns(timeOut, cvd->unit_ns), &origin);
  if (result == VDSET_E_CLOSE) cvd->closed.store(true);
  if (result != VDSET_OK) return give(what, result);
  VDC_Command* const shown = cvd->show(origin);
  if (shown == nullptr) return give(what, VDSET_E_UNEXPECTED);
  *command = shown;
  return VDSET_OK;
}

int ClientVirtualDevice::CompleteCommand(VDC_Command* command, int completionCode,
                                         unsigned long bytesTransferred, int64_t position) {
  static const char* const what = "ClientVirtualDevice::CompleteCommand";
  vdset_device* const device = cvd != nullptr ? cvd->device.load() : nullptr;
  if (device == nullptr) return give(what, VDSET_E_PROTOCOL);
  const uint32_t bytes =
      bytesTransferred < UINT32_MAX ? static_cast<uint32_t>(bytesTransferred) : UINT32_MAX;
  const vdset_command* const origin = cvd->origin_of(command);
  int32_t result = VDSET_E_INVALID;
  if (origin != nullptr)
    result = vdset_device_complete_command(device, origin, completionCode, bytes, position);
  // Nothing is left to complete after CLOSE: the call has no place there.
  if (result == VDSET_E_INVALID && cvd->closed.load()) result = VDSET_E_PROTOCOL;
  return give(what, result);
}
