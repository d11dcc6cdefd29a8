// bindings/vdi/additions.cpp: what vdi_server.h adds to the interface: abort reasons, a memory
// limit.
#include <stddef.h>
#include <string.h>
#include "client.hpp"
#include "server.hpp"

using sqlvdi::give;

// vdset_abort_reason is VDAbortReason behind one field for its size.
static_assert(sizeof(vdset_abort_reason) == sizeof(VDAbortReason) + sizeof(uint32_t), "same");
static_assert(offsetof(vdset_abort_reason, text) == offsetof(VDAbortReason, text) + 4, "same");
static_assert(VDA_RoleSecondary == 3 && VDA_CallServerTimeOut == VDSET_CALL_SERVER_TIMEOUT &&
                  VDA_CallPoisoned == VDSET_CALL_POISONED,
              "same numbers");

extern "C" {

int VDClientAbortReason(ClientVirtualDeviceSet* set, VDAbortReason* reason) {
  if (set == nullptr || reason == nullptr) return VDSET_E_INVALID;
  vdset_set* const open = CVDS::set_of(*set);
  if (open == nullptr) return VDSET_E_PROTOCOL;
  vdset_abort_reason found;
  found.struct_bytes = sizeof found;
  const int32_t result = vdset_set_get_abort_reason(open, &found);
  if (result == VDSET_OK) memcpy(reason, &found.role, sizeof *reason);
  return give("VDClientAbortReason", result);
}

int VDServerAbortReason(ServerVirtualDeviceSet* set, VDAbortReason* reason) {
  if (set == nullptr || reason == nullptr) return VDSET_E_INVALID;
  vdset_server* const open = SVDS::server_of(*set);
  if (open == nullptr) return VDSET_E_PROTOCOL;
  vdset_abort_reason found;
  found.struct_bytes = sizeof found;
  const int32_t result = vdset_server_get_abort_reason(open, &found);
  if (result == VDSET_OK) memcpy(reason, &found.role, sizeof *reason);
  return give("VDServerAbortReason", result);
}

int VDClientAbort(ClientVirtualDeviceSet* set, int code, const char* text) {
  if (set == nullptr) return VDSET_E_INVALID;
  vdset_set* const open = CVDS::set_of(*set);
  return give("VDClientAbort",
              open != nullptr ? vdset_set_signal_abort(open, code, text) : VDSET_E_PROTOCOL);
}

int VDServerAbort(ServerVirtualDeviceSet* set, int code, const char* text) {
  if (set == nullptr) return VDSET_E_INVALID;
  vdset_server* const open = SVDS::server_of(*set);
  return give("VDServerAbort",
              open != nullptr ? vdset_server_signal_abort(open, code, text) : VDSET_E_PROTOCOL);
}

int VDServerOpenLimited(ServerVirtualDeviceSet* set, const char* name, uint64_t bufferBytesMax) {
  static const char* const what = "ServerVirtualDeviceSet::Open";
  if (set == nullptr) return VDSET_E_INVALID;
  SVDS* const object = SVDS::of(*set);
  return give(what, object != nullptr ? object->open(name, bufferBytesMax) : VDSET_E_MEMORY);
}

}  // extern "C"
