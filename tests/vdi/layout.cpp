// Goal: vdi.h has the layouts, values and class shapes that clients were compiled against. Method:
// static assertions; and every member used once, so that this object's undefined symbols are those
// a client asks for. Compiled as C++11 by every compiler there is.
#include "vdi.h"
#include "vdierror.h"

#define AT(type, field, offset) static_assert(offsetof(type, field) == offset, #type "." #field)
#define SIZE(type, bytes, alignment) \
  static_assert(sizeof(type) == bytes && alignof(type) == alignment, #type)

SIZE(VDConfig, 44, 4);
AT(VDConfig, deviceCount, 0);
AT(VDConfig, features, 4);
AT(VDConfig, prefixZoneSize, 8);
AT(VDConfig, alignment, 12);
AT(VDConfig, softFileMarkBlockSize, 16);
AT(VDConfig, EOMWarningSize, 20);
AT(VDConfig, serverTimeOut, 24);
AT(VDConfig, blockSize, 28);
AT(VDConfig, maxIODepth, 32);
AT(VDConfig, maxTransferSize, 36);
AT(VDConfig, bufferAreaSize, 40);

SIZE(VDC_Command, 24, 8);
AT(VDC_Command, commandCode, 0);
AT(VDC_Command, size, 4);
AT(VDC_Command, position, 8);
AT(VDC_Command, buffer, 16);

SIZE(VDS_Command, 56, 8);
AT(VDS_Command, commandCode, 0);
AT(VDS_Command, size, 4);
AT(VDS_Command, inPosition, 8);
AT(VDS_Command, outPosition, 16);
AT(VDS_Command, buffer, 24);
AT(VDS_Command, completionRoutine, 32);
AT(VDS_Command, completionContext, 40);
AT(VDS_Command, completionCode, 48);
AT(VDS_Command, bytesTransferred, 52);

SIZE(ClientVirtualDevice, 8, 8);
SIZE(ClientVirtualDeviceSet, 8, 8);

template <class A, class B>
struct Same {
  static const bool value = false;
};
template <class A>
struct Same<A, A> {
  static const bool value = true;
};
static_assert(Same<decltype(VDConfig::features), uint32_t>::value, "unsigned");
static_assert(Same<decltype(VDC_Command::size), int32_t>::value, "signed");
static_assert(Same<decltype(VDC_Command::position), int64_t>::value, "signed");
static_assert(Same<decltype(VDC_Command::buffer), uint8_t*>::value, "bytes");
static_assert(Same<decltype(VDS_Command::completionContext), uint8_t*>::value, "bytes");

static_assert(VDF_LikePipe == 0 && VDF_Removable == 0x1 && VDF_Rewind == 0x2, "features");
static_assert(VDF_Position == 0x10 && VDF_SkipBlocks == 0x20, "features");
static_assert(VDF_ReversePosition == 0x40 && VDF_Discard == 0x80, "features");
static_assert(VDF_FileMarks == 0x100 && VDF_RandomAccess == 0x200, "features");
static_assert(VDF_SnapshotPrepare == 0x400 && VDF_EnumFrozenFiles == 0x800, "features");
static_assert(VDF_VSSWriter == 0x1000 && VDF_RequestComplete == 0x2000, "features");
static_assert(VDF_WriteMedia == 0x10000 && VDF_ReadMedia == 0x20000, "features");
static_assert(VDF_CompleteEnabled == 0x40000 && VDF_LatchStats == 0x80000000u, "features");
static_assert(VDF_LikeTape == 0x173 && VDF_LikeDisk == 0x200, "features");
static_assert(VDF_LatchStats > VDF_LikeDisk, "an unsigned enumeration");

static_assert(VDC_Read == 1 && VDC_Write == 2 && VDC_ClearError == 3 && VDC_Rewind == 4, "code");
static_assert(VDC_WriteMark == 5 && VDC_SkipMarks == 6 && VDC_SkipBlocks == 7, "code");
static_assert(VDC_Load == 8 && VDC_GetPosition == 9 && VDC_SetPosition == 10, "code");
static_assert(VDC_Discard == 11 && VDC_Flush == 12 && VDC_Snapshot == 13, "code");
static_assert(VDC_MountSnapshot == 14 && VDC_PrepareToFreeze == 15, "code");
static_assert(VDC_FileInfoBegin == 16 && VDC_FileInfoEnd == 17 && VDC_GetError == 18, "code");
static_assert(VDC_Complete == 19, "code");
static_assert(VDC_Beginning == 0 && VDC_Current == 1 && VDC_End == 2, "whence");

static_assert(VD_E_NOTOPEN == -2139684862 && VD_E_TIMEOUT == -2139684861, "result");
static_assert(VD_E_ABORT == -2139684860 && VD_E_SECURITY == -2139684859, "result");
static_assert(VD_E_INVALID == -2139684858 && VD_E_INSTANCE_NAME == -2139684857, "result");
static_assert(VD_E_NOTSUPPORTED == -2139684855 && VD_E_MEMORY == -2139684854, "result");
static_assert(VD_E_UNEXPECTED == -2139684853 && VD_E_PROTOCOL == -2139684852, "result");
static_assert(VD_E_OPEN == -2139684851 && VD_E_CLOSE == -2139684850, "result");
static_assert(VD_E_BUSY == -2139684849, "result");
static_assert(ERROR_SUCCESS == 0 && ERROR_ARENA_TRASHED == 7 && ERROR_HANDLE_EOF == 38, "code");
static_assert(ERROR_HANDLE_DISK_FULL == 39 && ERROR_NOT_SUPPORTED == 50, "code");
static_assert(ERROR_DISK_FULL == 112 && ERROR_OPERATION_ABORTED == 995, "code");

// The headers leave these to their users.
#if defined(INFINITE) || defined(NOERROR) || defined(SUCCEEDED) || defined(FAILED)
#error "a name that clients define themselves"
#endif

int use_everything(ClientVirtualDeviceSet* given, char* name) {
  ClientVirtualDeviceSet set;
  ClientVirtualDevice own;
  ClientVirtualDevice* device = given != 0 ? &own : new ClientVirtualDevice;
  VDConfig config;
  VDC_Command* command = 0;
  uint8_t* buffer = 0;
  unsigned int handle = 0;
  time_t time = 10;
  unsigned long bytes = 0;
  int64_t position = 0;
  int sum = set.Create(name, &config) + set.GetConfiguration(time, &config) +
            set.OpenDevice(name, &device) + set.OpenInSecondary(name) +
            set.GetBufferHandle(buffer, &handle) +
            set.MapBufferHandle(static_cast<int>(handle), &buffer) + set.SignalAbort() +
            set.Close() + device->GetCommand(time, &command) +
            device->CompleteCommand(command, 0, bytes, position);
  set.RegisterDeviceClosed();
  switch (sum) {  // Codes are ints: they do as labels.
    case VD_E_CLOSE: return 1;
    case VD_E_TIMEOUT: return 2;
    default: delete given;
  }
  return sum;
}
