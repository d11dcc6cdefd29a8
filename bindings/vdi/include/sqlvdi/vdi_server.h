/* vdi_server.h: the server half of the Virtual Device Interface, in the style of vdi.h, and what
 * this library adds for both halves. For libsqlvdi.so.
 *
 * A server opens the set that a client made, configures it, sends commands on its devices, and has
 * their completion routines called by a thread that it lends to ExecuteCompletionAgent. The calls
 * are those of the interface's Windows edition, with the integer types of Linux. C++11 or later. */
#ifndef SQLVDI_VDI_SERVER_H
#define SQLVDI_VDI_SERVER_H

#include "vdi.h"

/* SendCommand only. The interface names these two without a number; these are this library's. */
#define VD_E_QUEUE_FULL ((int)0x80770010) /* too many commands are under way on this device */
#define VD_E_IO_ERROR ((int)0x80770011)   /* the device is in error: send VDC_ClearError */

extern "C" {

class SVD;
class SVDS;

/* One device. Given by OpenDevice and owned by the set. */
class ServerVirtualDevice {
 public:
  ServerVirtualDevice();
  ~ServerVirtualDevice();

  /* Queues a command. The struct and its buffer are the library's until the completion routine is
   * called: once, by the completion agent, with completionCode, bytesTransferred and outPosition
   * set. On failure the routine is called here, at once, with a completion code that fits:
   * VD_E_QUEUE_FULL 1450, VD_E_IO_ERROR 1117, VD_E_PROTOCOL 6, VD_E_ABORT 995. After VD_E_INVALID
   * (no routine, a buffer or size that cannot be) it is not called. */
  int SendCommand(VDS_Command* command);

  /* The client gets VD_E_CLOSE after what is queued. VD_E_CLOSE: it was closed before. */
  int CloseDevice();

 private:
  friend class ServerVirtualDeviceSet;
  friend class SVD;
  SVD* svd;
};

class ServerVirtualDeviceSet {
 public:
  ServerVirtualDeviceSet();
  ~ServerVirtualDeviceSet();

  /* instance is not used on Linux: NULL. VD_E_INVALID: no such set, no waiting for one. */
  int Open(const char* instance, const char* name);

  /* What the client asked for; after BeginConfiguration what was agreed. */
  int GetConfiguration(VDConfig* config);

  /* features: the client's, plus VDF_WriteMedia or VDF_ReadMedia or both, and VDF_CompleteEnabled
   * if it was asked for. alignment 0: as blockSize. timeOut is milliseconds for the client to make
   * ready; here nobody ever waits for the client, so that it is not used. */
  int BeginConfiguration(uint32_t features, uint32_t blockSize, uint32_t alignment,
                         uint32_t maxTransferSize, time_t timeOut);

  /* Before EndConfiguration requests add up, afterwards the buffers are made at once. */
  int RequestBuffers(uint32_t size, uint32_t alignment, uint32_t count);
  int QueryAvailableBuffers(uint32_t size, uint32_t alignment, uint32_t* count);

  /* VD_E_MEMORY: nothing was made, the requests are forgotten, ask for less. */
  int EndConfiguration();

  int OpenDevice(const char* name, ServerVirtualDevice** device);

  /* Calls completion routines in this thread until every device is closed and nothing is under
   * way (0), or the set is aborted or closed (VD_E_ABORT). VD_E_BUSY: another thread does it. */
  int ExecuteCompletionAgent();

  int AllocateBuffer(uint8_t** buffer, uint32_t size, uint32_t alignment);
  int FreeBuffer(uint8_t* buffer, uint32_t size);

  /* 1 if the address lies in a buffer of this set, else 0. */
  int IsSharedBuffer(const uint8_t* address);

  int SignalAbort();

  /* Ends everything, always; not from a completion routine. */
  int Close();

 private:
  friend class SVDS;
  SVDS* svds;
};

/* ---- What this library adds ---------------------------------------------------------------- */

enum VDAbortRole {
  VDA_RoleUnknown = 0,
  VDA_RoleServer = 1,
  VDA_RolePrimary = 2,
  VDA_RoleSecondary = 3
};

enum VDAbortCall {
  VDA_CallNone = 0,
  VDA_CallSignalAbort = 1,   /* somebody asked for it */
  VDA_CallClose = 2,         /* somebody closed the set before its end */
  VDA_CallDied = 3,          /* a process died */
  VDA_CallLeft = 4,          /* a process let go of the set, alive */
  VDA_CallServerTimeOut = 5, /* nothing completed for two serverTimeOut intervals */
  VDA_CallPoisoned = 6       /* a value in shared memory that cannot be */
};

/* Who ended a set, and why. */
struct VDAbortReason {
  uint32_t role;      /* VDA_Role... */
  uint32_t processId; /* 0 unknown */
  uint32_t call;      /* VDA_Call... */
  int32_t code;       /* the code that led to it, 0 none given */
  char text[128];     /* ends with a zero byte */
};

/* Who aborted this set, once a call gave VD_E_ABORT and before Close. VD_E_PROTOCOL: not aborted,
 * or no set is open. */
int VDClientAbortReason(ClientVirtualDeviceSet* set, VDAbortReason* reason);
int VDServerAbortReason(ServerVirtualDeviceSet* set, VDAbortReason* reason);

/* SignalAbort with a code and up to 127 bytes of text (may be NULL) for all sides to read. */
int VDClientAbort(ClientVirtualDeviceSet* set, int code, const char* text);
int VDServerAbort(ServerVirtualDeviceSet* set, int code, const char* text);

/* Open, with a limit for the memory of all buffers; EndConfiguration keeps to it. 0: none. */
int VDServerOpenLimited(ServerVirtualDeviceSet* set, const char* name, uint64_t bufferBytesMax);

} /* extern "C" */

#endif
