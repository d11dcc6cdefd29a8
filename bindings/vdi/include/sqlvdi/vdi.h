/* vdi.h: the client half of the Virtual Device Interface on Linux, for libsqlvdi.so.
 *
 * A client makes a set of virtual devices, a database engine backs up to them or restores from
 * them. Written anew from the published interface: names, values, layouts and class shapes are
 * those that clients of Microsoft's library are compiled against. What each call does beyond its
 * line here, and what is chosen where the publication is silent: bindings/vdi/README.md.
 *
 * Results are the codes of vdierror.h, 0 for success. C++11 or later. */
#ifndef SQLVDI_VDI_H
#define SQLVDI_VDI_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include "vdierror.h"

#ifdef __cplusplus
extern "C" {
#endif

#pragma pack(push, 8)

/* What a set can do. The client asks with all but the three server bits; the server answers. */
enum VDFeatures {
  VDF_LikePipe = 0x0, /* sequential, the least */
  VDF_Removable = 0x1,
  VDF_Rewind = 0x2,
  VDF_Position = 0x10,
  VDF_SkipBlocks = 0x20,
  VDF_ReversePosition = 0x40,
  VDF_Discard = 0x80,
  VDF_FileMarks = 0x100,
  VDF_RandomAccess = 0x200,
  VDF_SnapshotPrepare = 0x400, /* PrepareToFreeze comes before a snapshot */
  VDF_EnumFrozenFiles = 0x800,
  VDF_VSSWriter = 0x1000,
  VDF_RequestComplete = 0x2000,  /* asks for VDC_Complete */
  VDF_WriteMedia = 0x10000,      /* server: this is a backup */
  VDF_ReadMedia = 0x20000,       /* server: this is a restore */
  VDF_CompleteEnabled = 0x40000, /* server: VDC_Complete will come */
  VDF_LatchStats = 0x80000000,
  VDF_LikeTape = 0x173, /* FileMarks, Removable, Rewind, Position, SkipBlocks, ReversePosition */
  VDF_LikeDisk = 0x200  /* RandomAccess */
};

enum VDCommands {
  VDC_Read = 1,
  VDC_Write = 2,
  VDC_ClearError = 3,
  VDC_Rewind = 4,
  VDC_WriteMark = 5,
  VDC_SkipMarks = 6,
  VDC_SkipBlocks = 7,
  VDC_Load = 8,
  VDC_GetPosition = 9,
  VDC_SetPosition = 10,
  VDC_Discard = 11,
  VDC_Flush = 12,
  VDC_Snapshot = 13,
  VDC_MountSnapshot = 14,
  VDC_PrepareToFreeze = 15,
  VDC_FileInfoBegin = 16,
  VDC_FileInfoEnd = 17,
  VDC_GetError = 18,
  VDC_Complete = 19
};

/* VDC_SetPosition on a disk-like device: what size says its position counts from. */
enum VDWhence { VDC_Beginning = 0, VDC_Current = 1, VDC_End = 2 };

/* The client fills the first seven for Create; GetConfiguration overwrites all eleven. */
struct VDConfig {
  uint32_t deviceCount; /* 1 to 64 */
  uint32_t features;
  uint32_t prefixZoneSize; /* bytes for the client just before each buffer */
  uint32_t alignment;
  uint32_t softFileMarkBlockSize;
  uint32_t EOMWarningSize;
  uint32_t serverTimeOut; /* milliseconds, 0 none */
  uint32_t blockSize;     /* from here on the server's, ignored by Create */
  uint32_t maxIODepth;
  uint32_t maxTransferSize;
  uint32_t bufferAreaSize;
};

/* A command as the client gets it: not to be written to, valid until completed. */
struct VDC_Command {
  int32_t commandCode;
  int32_t size;
  int64_t position;
  uint8_t* buffer;
};

struct VDS_Command;
typedef void (*VDS_CompletionRoutine)(struct VDS_Command* command);

/* A command as the server sends it (vdi_server.h). */
struct VDS_Command {
  int32_t commandCode;
  int32_t size;
  int64_t inPosition;
  int64_t outPosition; /* result */
  uint8_t* buffer;
  VDS_CompletionRoutine completionRoutine;
  uint8_t* completionContext; /* the server's own */
  int32_t completionCode;     /* result */
  int32_t bytesTransferred;   /* result */
};

#pragma pack(pop)

#ifdef __cplusplus

class CVD;
class CVDS;

/* One device, for one thread at a time. Given by OpenDevice and owned by the set. */
class ClientVirtualDevice {
 public:
  ClientVirtualDevice();
  ~ClientVirtualDevice();

  /* The next command. The time is in seconds, unless the environment variable
   * VDSET_VDI_GETCOMMAND_UNIT is "ms"; 0 polls; negative, or 0xFFFFFFFF and above, waits for ever.
   * VD_E_CLOSE is the normal end. */
  int GetCommand(time_t timeOut, VDC_Command** command);

  /* Ends a command that GetCommand of this device gave, in any order, from any thread. */
  int CompleteCommand(VDC_Command* command, int completionCode, unsigned long bytesTransferred,
                      int64_t position);

 private:
  friend class ClientVirtualDeviceSet;
  friend class CVD;
  CVD* cvd;
};

/* A set, made by its primary client with Create, or joined by another process of it with
 * OpenInSecondary. All threads may call. */
class ClientVirtualDeviceSet {
 public:
  ClientVirtualDeviceSet();
  ~ClientVirtualDeviceSet();

  int Create(char* name, VDConfig* config);

  /* Waits until the server has configured the set. The time is in milliseconds; 0 polls; negative,
   * or 0xFFFFFFFF and above, waits for ever. */
  int GetConfiguration(time_t timeOut, VDConfig* config);

  /* *device is null on failure. */
  int OpenDevice(char* name, ClientVirtualDevice** device);

  /* Ends devices and buffers, always. The object may Create again. */
  int Close();

  int SignalAbort();
  int OpenInSecondary(char* name);

  /* A buffer as a number that any process of this set can map. */
  int GetBufferHandle(uint8_t* buffer, unsigned int* handle);
  int MapBufferHandle(int handle, uint8_t** buffer);

  /* Does nothing: here a set knows its devices' ends by itself. */
  void RegisterDeviceClosed();

 private:
  friend class CVDS;
  CVDS* cvds;
};

} /* extern "C" */

#endif
#endif
