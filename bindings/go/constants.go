package vdset

// #include "glue.h"
import "C"

// CommandCode says what a command asks of a device.
type CommandCode uint32

// VDI's commands.
const (
	CommandRead            CommandCode = C.VDSET_COMMAND_READ
	CommandWrite           CommandCode = C.VDSET_COMMAND_WRITE
	CommandClearError      CommandCode = C.VDSET_COMMAND_CLEAR_ERROR
	CommandRewind          CommandCode = C.VDSET_COMMAND_REWIND
	CommandWriteMark       CommandCode = C.VDSET_COMMAND_WRITE_MARK
	CommandSkipMarks       CommandCode = C.VDSET_COMMAND_SKIP_MARKS
	CommandSkipBlocks      CommandCode = C.VDSET_COMMAND_SKIP_BLOCKS
	CommandLoad            CommandCode = C.VDSET_COMMAND_LOAD
	CommandGetPosition     CommandCode = C.VDSET_COMMAND_GET_POSITION
	CommandSetPosition     CommandCode = C.VDSET_COMMAND_SET_POSITION
	CommandDiscard         CommandCode = C.VDSET_COMMAND_DISCARD
	CommandFlush           CommandCode = C.VDSET_COMMAND_FLUSH
	CommandSnapshot        CommandCode = C.VDSET_COMMAND_SNAPSHOT
	CommandMountSnapshot   CommandCode = C.VDSET_COMMAND_MOUNT_SNAPSHOT
	CommandPrepareToFreeze CommandCode = C.VDSET_COMMAND_PREPARE_TO_FREEZE
	CommandFileInfoBegin   CommandCode = C.VDSET_COMMAND_FILE_INFO_BEGIN
	CommandFileInfoEnd     CommandCode = C.VDSET_COMMAND_FILE_INFO_END
	CommandGetError        CommandCode = C.VDSET_COMMAND_GET_ERROR
	CommandComplete        CommandCode = C.VDSET_COMMAND_COMPLETE
)

const redelivered = C.VDSET_COMMAND_REDELIVERED

// CompletionCode is how a command ended: Success or another code of Win32. Any number passes.
type CompletionCode int32

// The completion codes that VDI speaks of. They are no Go errors: a command may well end so.
const (
	Success             CompletionCode = C.VDSET_SUCCESS
	InvalidHandle       CompletionCode = C.VDSET_ERROR_INVALID_HANDLE
	ArenaTrashed        CompletionCode = C.VDSET_ERROR_ARENA_TRASHED
	BadEnvironment      CompletionCode = C.VDSET_ERROR_BAD_ENVIRONMENT
	WriteFault          CompletionCode = C.VDSET_ERROR_WRITE_FAULT
	ReadFault           CompletionCode = C.VDSET_ERROR_READ_FAULT
	HandleEOF           CompletionCode = C.VDSET_ERROR_HANDLE_EOF
	HandleDiskFull      CompletionCode = C.VDSET_ERROR_HANDLE_DISK_FULL
	CommandNotSupported CompletionCode = C.VDSET_ERROR_NOT_SUPPORTED
	DiskFull            CompletionCode = C.VDSET_ERROR_DISK_FULL
	OperationAborted    CompletionCode = C.VDSET_ERROR_OPERATION_ABORTED
	EndOfMedia          CompletionCode = C.VDSET_ERROR_END_OF_MEDIA
	FilemarkDetected    CompletionCode = C.VDSET_ERROR_FILEMARK_DETECTED
	BeginningOfMedia    CompletionCode = C.VDSET_ERROR_BEGINNING_OF_MEDIA
	NoDataDetected      CompletionCode = C.VDSET_ERROR_NO_DATA_DETECTED
	IODevice            CompletionCode = C.VDSET_ERROR_IO_DEVICE
	EOMOverflow         CompletionCode = C.VDSET_ERROR_EOM_OVERFLOW
	NoSystemResources   CompletionCode = C.VDSET_ERROR_NO_SYSTEM_RESOURCES
)

// Features of a set: what the client can do, and what the server will.
type Features uint32

// VDI's features. LikePipe, LikeTape and LikeDisk are the three kinds of devices.
const (
	LikePipe        Features = C.VDSET_FEATURE_LIKE_PIPE
	LikeTape        Features = C.VDSET_FEATURE_LIKE_TAPE
	LikeDisk        Features = C.VDSET_FEATURE_LIKE_DISK
	Removable       Features = C.VDSET_FEATURE_REMOVABLE
	Rewind          Features = C.VDSET_FEATURE_REWIND
	Position        Features = C.VDSET_FEATURE_POSITION
	SkipBlocks      Features = C.VDSET_FEATURE_SKIP_BLOCKS
	ReversePosition Features = C.VDSET_FEATURE_REVERSE_POSITION
	Discard         Features = C.VDSET_FEATURE_DISCARD
	FileMarks       Features = C.VDSET_FEATURE_FILE_MARKS
	RandomAccess    Features = C.VDSET_FEATURE_RANDOM_ACCESS
	SnapshotPrepare Features = C.VDSET_FEATURE_SNAPSHOT_PREPARE
	RequestComplete Features = C.VDSET_FEATURE_REQUEST_COMPLETE
	WriteMedia      Features = C.VDSET_FEATURE_WRITE_MEDIA      // Set by the server: BACKUP.
	ReadMedia       Features = C.VDSET_FEATURE_READ_MEDIA       // Set by the server: RESTORE.
	CompleteEnabled Features = C.VDSET_FEATURE_COMPLETE_ENABLED // Set by the server.
)

// Limits; bytes unless named otherwise.
const (
	DevicesMax       = C.VDSET_DEVICES_MAX
	NameBytesMax     = C.VDSET_NAME_BYTES_MAX
	NameTextBytes    = C.VDSET_NAME_TEXT_BYTES // With the NUL that C needs.
	PoolsMax         = C.VDSET_POOLS_MAX
	BuffersMax       = C.VDSET_BUFFERS_MAX
	QueueDepthMax    = C.VDSET_QUEUE_DEPTH_MAX
	ParticipantsMax  = C.VDSET_PARTICIPANTS_MAX
	PrefixBytesMax   = C.VDSET_PREFIX_BYTES_MAX
	TransferBytesMax = C.VDSET_TRANSFER_BYTES_MAX
	ReasonBytesMax   = C.VDSET_REASON_BYTES_MAX // With the NUL that C needs.
)

// HandleLifetime says how long buffer handles are good.
type HandleLifetime uint32

// Handles of a lease are good until the command's completion is reaped; handles of a buffer while
// the server has it allocated, as VDI's are.
const (
	HandlesLease  HandleLifetime = C.VDSET_HANDLES_LEASE
	HandlesBuffer HandleLifetime = C.VDSET_HANDLES_BUFFER
)

// SecondaryDeath says what becomes of the commands that a dead secondary had fetched.
type SecondaryDeath uint32

// Either they complete with OperationAborted, or they wait for the process that opens the device
// next, and are Redelivered.
const (
	DeathFailsCommands SecondaryDeath = C.VDSET_DEATH_FAILS_COMMANDS
	DeathHandsOver     SecondaryDeath = C.VDSET_DEATH_HANDS_OVER
)

// Role of a process in a set.
type Role uint32

// The roles, as AbortReason.Role tells.
const (
	RoleUnknown Role = iota
	RoleServer
	RolePrimary
	RoleSecondary
)

// AbortCall is what ended a set.
type AbortCall uint32

// What can end a set before its time.
const (
	AbortNone          AbortCall = C.VDSET_CALL_NONE
	AbortSignalled     AbortCall = C.VDSET_CALL_SIGNAL_ABORT   // Somebody asked for it.
	AbortClosed        AbortCall = C.VDSET_CALL_CLOSE          // Closed with devices open.
	AbortDied          AbortCall = C.VDSET_CALL_DIED           // The process died.
	AbortLeft          AbortCall = C.VDSET_CALL_LEFT           // It let go of its socket, alive.
	AbortServerTimeout AbortCall = C.VDSET_CALL_SERVER_TIMEOUT // Nothing completed for too long.
	AbortPoisoned      AbortCall = C.VDSET_CALL_POISONED       // A value that cannot be.
)

// LossesKept is how many of the latest losses are remembered.
const LossesKept = C.VDSET_LOSSES_KEPT
