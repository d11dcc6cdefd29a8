// bindings/vdi/server_device.cpp: ServerVirtualDevice over vdset_server_device.
#include "server.hpp"

using sqlvdi::give;

namespace {

/// Of those commands whose buffer means something. The rest may carry anything there.
bool has_buffer(int32_t code) {
  return code == VDC_Read || code == VDC_Write || code == VDC_FileInfoBegin ||
         code == VDC_FileInfoEnd || code == VDC_GetError;
}

/// A failure that the library had no part in: its callback is owed all the same.
int32_t refuse(VDS_Command& command, int32_t result, int32_t code) {
  command.completionCode = code;
  command.bytesTransferred = 0;
  command.outPosition = 0;
  command.completionRoutine(&command);
  return result;
}

}  // namespace

SVD::~SVD() {
  while (spare_ != nullptr) {
    Sent* const sent = spare_;
    spare_ = sent->next;
    sqlvdi::unmake(sent);
  }
}

SVD::Sent* SVD::take() {
  const sqlvdi::Locked guard(lock_);
  Sent* const sent = spare_ != nullptr ? spare_ : sqlvdi::make<Sent>();
  if (spare_ != nullptr) spare_ = spare_->next;
  return sent;
}

void SVD::put(Sent* sent) {
  const sqlvdi::Locked guard(lock_);
  sent->next = spare_;
  spare_ = sent;
}

void SVD::completed(vdset_command* command, void* context) {
  Sent* const sent = static_cast<Sent*>(context);
  VDS_Command* const asked = sent->asked;
  asked->completionCode = command->completion_code;
  asked->bytesTransferred = command->bytes_transferred;
  asked->outPosition = command->out_position;
  // First, so that a routine that sends again finds it.
  sent->owner->put(sent);
  asked->completionRoutine(asked);
}

int32_t SVD::send(VDS_Command& command) {
  Sent* const sent = take();
  if (sent == nullptr) return refuse(command, VDSET_E_QUEUE_FULL, VDSET_ERROR_NO_SYSTEM_RESOURCES);
  sent->asked = &command;
  sent->owner = this;
  vdset_command& c = sent->command;
  c = {};
  c.struct_bytes = sizeof c;
  c.code = static_cast<uint32_t>(command.commandCode);
  c.size = command.size;
  c.position = command.inPosition;
  c.buffer = has_buffer(command.commandCode) ? command.buffer : nullptr;
  c.completion = completed;
  c.context = sent;
  vdset_server_device* const target = device.load();
  const int32_t result = vdset_server_device_send_command(target, &c);
  // The two answers without a callback.
  if (result == VDSET_E_INVALID || result == VDSET_E_NOTOPEN) put(sent);
  if (result == VDSET_E_NOTOPEN)
    return refuse(command, VDSET_E_PROTOCOL, VDSET_ERROR_INVALID_HANDLE);
  return result;
}

ServerVirtualDevice::ServerVirtualDevice() : svd(nullptr) {}
ServerVirtualDevice::~ServerVirtualDevice() {}

int ServerVirtualDevice::SendCommand(VDS_Command* command) {
  static const char* const what = "ServerVirtualDevice::SendCommand";
  if (command == nullptr || command->completionRoutine == nullptr)
    return give(what, VDSET_E_INVALID);
  if (svd == nullptr || svd->device.load() == nullptr)
    return give(what, refuse(*command, VDSET_E_PROTOCOL, VDSET_ERROR_INVALID_HANDLE));
  return give(what, svd->send(*command));
}

int ServerVirtualDevice::CloseDevice() {
  vdset_server_device* const device = svd != nullptr ? svd->device.load() : nullptr;
  return give("ServerVirtualDevice::CloseDevice",
              device != nullptr ? vdset_server_device_close(device) : VDSET_E_PROTOCOL);
}
