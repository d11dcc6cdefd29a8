/* vdset.h: virtual device sets in shared memory. The whole public interface, C99.
 *
 * A database engine (the server) backs up or restores by sending commands to 1..64 virtual devices; a backup agent (the primary
 * client) fetches them and completes them; helper processes (secondary clients) do the same for devices they open, or touch the very
 * same buffers through 32-bit handles. No byte is copied on the way. Any process may die at any instant: the others are told.
 *
 * Said once, valid for every call
 *   Results   int32_t: VDSET_OK (0), or one of the negative codes below; they are Microsoft's VDI codes where VDI has one. Two questions answer
 *             1 or 0 (vdset_supports, vdset_server_is_shared_buffer). Out-parameters come last and are untouched on failure, unless a call says otherwise.
 *             vdset_last_error() says in words what, where and what to do, for the calling thread.
 *   NULL      A NULL that is not said to be allowed is VDSET_E_INVALID. A closed object is VDSET_E_NOTOPEN; so is every object of the parent in
 *             a forked child (close only frees memory there). Misuse never stops a process.
 *   Time      int64_t timeout_ns, nanoseconds from now on the monotonic clock; 0 polls; negative (VDSET_INFINITE) waits until there is something to
 *             say: an answer, an abort, or the death of a peer. No signal ends a wait; no call installs a handler; no wait is a cancellation point.
 *   Threads   Calls on a set or a server may be made from any thread at once. Calls on one device: one thread in get_command at a time (a
 *             second gets VDSET_E_BUSY); complete_command from any thread. Close may come while other threads are in calls or begin one: it wakes
 *             those that wait and returns when all have left, and whoever comes later gets VDSET_E_NOTOPEN. Two exceptions: the calls that take
 *             or give a buffer handle must not overlap close, and a buffer's address ends with it.
 *   Loops     An object's descriptor, for epoll, poll, libuv, tokio, netpoll: "Pollable descriptors" below.
 *   Processes Objects belong to the process that made them. All roles may also live in one process.
 *   Files     Every descriptor of the library is close-on-exec. A process that closes those it does not know (closefrom) loses its sets: close
 *             the sets first. What it opens then under their numbers may be taken for them; its peers are not harmed.
 *   Options   A struct begins with struct_bytes = sizeof(the struct). A zeroed rest means defaults. Bytes beyond what this library knows must be 0.
 *   Text      Names are 1..255 bytes, any but NUL and backslash, compared bytewise, NUL-terminated here.
 *   Since     A call is since the version in its name's node (abi/vdset.map): 0.1, or 0.2 for the descriptors, the hooks, vdset_supports,
 *             describe_buffer and get_loss.
 */
#ifndef VDSET_H
#define VDSET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VDSET_API __attribute__((visibility("default")))
#else
#define VDSET_API
#endif

/* ---- Versions ------------------------------------------------------------------------------------------------------------- */

#define VDSET_VERSION_MAJOR 0
#define VDSET_VERSION_MINOR 2
#define VDSET_VERSION_PATCH 0
/* Layout of the shared region: processes whose major halves differ refuse each other. */
#define VDSET_LAYOUT_VERSION 0x00020000u

/* Version of the library that is running: major << 16 | minor << 8 | patch. Never fails, never blocks. */
VDSET_API uint32_t vdset_version(void);

/* What this library can do (0 for what it does not know), and what the running kernel lets it do. */
#define VDSET_SUPPORT_DESCRIPTORS 1u   /* vdset_device_get_descriptor and its like */
#define VDSET_SUPPORT_ALLOCATOR 2u     /* vdset_library_set_allocator */
#define VDSET_SUPPORT_LOG 3u           /* vdset_library_set_log */
#define VDSET_SUPPORT_WAIT_MANY 16u    /* futex_waitv, Linux 5.16: one thread serves all descriptors of a set; without it one each */
#define VDSET_SUPPORT_PEER_PIDFD 17u   /* SO_PEERPIDFD, Linux 6.5: peers in foreign pid namespaces are admitted */
#define VDSET_SUPPORT_SEAL_WRITERS 18u /* F_SEAL_FUTURE_WRITE, Linux 5.1: a hostile client cannot map the server's words writable */

/* 1 if `what` (VDSET_SUPPORT_*) is there, else 0. Never fails, never blocks. */
VDSET_API int32_t vdset_supports(uint32_t what);

/* ---- Hooks of the host program ------------------------------------------------------------------------------------------------
 * Of this process, for all its sets. */

/* Memory of the library's own objects; buffers are shared memory and never come from here. Aligned for any type; NULL when there is none.
 * Called from any thread; on the data path only when a buffer is sent again that a process had when it left, and has since died. Must not call
 * this library. */
struct vdset_allocator {
  uint32_t struct_bytes;
  uint32_t reserved; /* 0 */
  void *context;     /* first argument of both */
  void *(*allocate)(void *context, size_t bytes);
  void (*release)(void *context, void *memory); /* never NULL */
};

/* Sets the allocator; NULL: the default (mimalloc in libvdset.so, malloc in libvdset.a). Before any other call but the queries and
 * vdset_library_set_log; not at once with another call. PROTOCOL the library has memory already; INVALID. */
VDSET_API int32_t vdset_library_set_allocator(const struct vdset_allocator *allocator);

#define VDSET_LOG_OFF 0u
#define VDSET_LOG_ERROR 1u   /* a set ended before its time */
#define VDSET_LOG_WARNING 2u /* a peer died, left or was refused; a fallback is used */
#define VDSET_LOG_INFO 3u    /* sets and peers come and go */
#define VDSET_LOG_DEBUG 4u

/* One line of the log, without a newline; `text` is valid during the call. Called from any thread, also the library's own and with the library's
 * locks held, one call at a time: it must not call this library, throw, longjmp or wait for another thread of the program. */
typedef void (*vdset_log)(uint32_t level, const char *text, void *context);

/* Sets the log for lines up to `level`; VDSET_LOG_OFF, the initial state, ends it (call may be NULL then). When it returns the old one is not
 * running and will not be called again. Never called on the data path. INVALID level or call. */
VDSET_API int32_t vdset_library_set_log(uint32_t level, vdset_log call, void *context);

/* ---- Result codes ----------------------------------------------------------------------------------------------------------
 * Numbers are VDI's (facility 0x77). The last three are this library's: VDI names the first two without publishing a number. */

#define VDSET_OK ((int32_t)0)
#define VDSET_E_NOTOPEN ((int32_t)-2139684862)       /* 0x80770002 object closed, or the parent's in a forked child: open your own */
#define VDSET_E_TIMEOUT ((int32_t)-2139684861)       /* 0x80770003 the time is up; state unchanged, call again */
#define VDSET_E_ABORT ((int32_t)-2139684860)         /* 0x80770004 the set is aborted: ask why, then close. The first to say it may wait 2 ms for the words */
#define VDSET_E_SECURITY ((int32_t)-2139684859)      /* 0x80770005 not admitted, or a directory that cannot be trusted */
#define VDSET_E_INVALID ((int32_t)-2139684858)       /* 0x80770006 a bad parameter: vdset_last_error() names it */
#define VDSET_E_INSTANCE_NAME ((int32_t)-2139684857) /* 0x80770007 never returned here; VDI has it */
#define VDSET_E_NOTSUPPORTED ((int32_t)-2139684855)  /* 0x80770009 a configuration that VDI does not allow */
#define VDSET_E_MEMORY ((int32_t)-2139684854)        /* 0x8077000A not enough memory: ask for less and call again */
#define VDSET_E_UNEXPECTED ((int32_t)-2139684853)    /* 0x8077000B the system refused something; last_error has its words */
#define VDSET_E_PROTOCOL ((int32_t)-2139684852)      /* 0x8077000C not callable in this state, or the name is in use */
#define VDSET_E_OPEN ((int32_t)-2139684851)          /* 0x8077000D all devices are open; or some still were, at close */
#define VDSET_E_CLOSE ((int32_t)-2139684850)         /* 0x8077000E the server closed the device: the normal end */
#define VDSET_E_BUSY ((int32_t)-2139684849)          /* 0x8077000F another thread is in this call */
#define VDSET_E_QUEUE_FULL ((int32_t)-2139684848)    /* 0x80770010 the device's ring is full: wait for a completion */
#define VDSET_E_IO_ERROR ((int32_t)-2139684847)      /* 0x80770011 the device is in IO-ERROR: send ClearError */
#define VDSET_E_INTERRUPTED ((int32_t)-2139684846)   /* 0x80770012 vdset_device_interrupt() ended the wait */

/* The name of a code, "VDSET_E_TIMEOUT" and so on; "unknown" for any other number. Never NULL, never freed. */
VDSET_API const char *vdset_error_name(int32_t code);

/* What the last failed call of this thread found, where, and what to do; "" before any. Valid until this thread's next failed call.
 * For people; programs decide by the code. */
VDSET_API const char *vdset_last_error(void);

/* ---- Commands, completion codes, features: VDI's numbers -------------------------------------------------------------------- */

enum vdset_command_code {
  VDSET_COMMAND_READ = 1,
  VDSET_COMMAND_WRITE = 2,
  VDSET_COMMAND_CLEAR_ERROR = 3,
  VDSET_COMMAND_REWIND = 4,
  VDSET_COMMAND_WRITE_MARK = 5,
  VDSET_COMMAND_SKIP_MARKS = 6,
  VDSET_COMMAND_SKIP_BLOCKS = 7,
  VDSET_COMMAND_LOAD = 8,
  VDSET_COMMAND_GET_POSITION = 9,
  VDSET_COMMAND_SET_POSITION = 10,
  VDSET_COMMAND_DISCARD = 11,
  VDSET_COMMAND_FLUSH = 12,
  VDSET_COMMAND_SNAPSHOT = 13,
  VDSET_COMMAND_MOUNT_SNAPSHOT = 14,
  VDSET_COMMAND_PREPARE_TO_FREEZE = 15,
  VDSET_COMMAND_FILE_INFO_BEGIN = 16,
  VDSET_COMMAND_FILE_INFO_END = 17,
  VDSET_COMMAND_GET_ERROR = 18,
  VDSET_COMMAND_COMPLETE = 19
};

/* Completion codes are Win32's; any other number passes through. */
enum vdset_completion_code {
  VDSET_SUCCESS = 0,
  VDSET_ERROR_INVALID_HANDLE = 6,
  VDSET_ERROR_ARENA_TRASHED = 7,
  VDSET_ERROR_BAD_ENVIRONMENT = 10,
  VDSET_ERROR_WRITE_FAULT = 29,
  VDSET_ERROR_READ_FAULT = 30,
  VDSET_ERROR_HANDLE_EOF = 38,
  VDSET_ERROR_HANDLE_DISK_FULL = 39,
  VDSET_ERROR_NOT_SUPPORTED = 50,
  VDSET_ERROR_DISK_FULL = 112,
  VDSET_ERROR_OPERATION_ABORTED = 995,
  VDSET_ERROR_END_OF_MEDIA = 1100,
  VDSET_ERROR_FILEMARK_DETECTED = 1101,
  VDSET_ERROR_BEGINNING_OF_MEDIA = 1102,
  VDSET_ERROR_NO_DATA_DETECTED = 1104,
  VDSET_ERROR_IO_DEVICE = 1117,
  VDSET_ERROR_EOM_OVERFLOW = 1129,
  VDSET_ERROR_NO_SYSTEM_RESOURCES = 1450
};

#define VDSET_FEATURE_LIKE_PIPE 0x0u
#define VDSET_FEATURE_REMOVABLE 0x1u
#define VDSET_FEATURE_REWIND 0x2u
#define VDSET_FEATURE_POSITION 0x10u
#define VDSET_FEATURE_SKIP_BLOCKS 0x20u
#define VDSET_FEATURE_REVERSE_POSITION 0x40u
#define VDSET_FEATURE_DISCARD 0x80u
#define VDSET_FEATURE_FILE_MARKS 0x100u
#define VDSET_FEATURE_RANDOM_ACCESS 0x200u
#define VDSET_FEATURE_SNAPSHOT_PREPARE 0x400u
#define VDSET_FEATURE_REQUEST_COMPLETE 0x2000u
#define VDSET_FEATURE_WRITE_MEDIA 0x10000u      /* set by the server: BACKUP */
#define VDSET_FEATURE_READ_MEDIA 0x20000u       /* set by the server: RESTORE */
#define VDSET_FEATURE_COMPLETE_ENABLED 0x40000u /* set by the server: it will send Complete */
#define VDSET_FEATURE_LIKE_TAPE 0x173u
#define VDSET_FEATURE_LIKE_DISK 0x200u

/* ---- Limits (bytes unless named otherwise) ---------------------------------------------------------------------------------- */

#define VDSET_DEVICES_MAX 64
#define VDSET_NAME_BYTES_MAX 255
#define VDSET_NAME_TEXT_BYTES 256 /* a name and its NUL */
#define VDSET_POOLS_MAX 8             /* (size, alignment) classes, and extensions after EndConfiguration */
#define VDSET_BUFFERS_MAX 4096        /* per set */
#define VDSET_QUEUE_DEPTH_MAX 128
#define VDSET_PARTICIPANTS_MAX 254    /* server, primary and secondaries together; 253 with the index of nobody kept free */
#define VDSET_PREFIX_BYTES_MAX 4194304
#define VDSET_TRANSFER_BYTES_MAX 4194304
#define VDSET_REASON_BYTES_MAX 128
#define VDSET_INFINITE ((int64_t)-1)

/* ---- Configuration ---------------------------------------------------------------------------------------------------------- */

/* VDI's VDConfig. The client fills the first seven on create; the server's answer fills all (vdset_set_get_configuration). */
struct vdset_config {
  uint32_t struct_bytes;
  uint32_t device_count;               /* 1..64 */
  uint32_t features;                   /* VDSET_FEATURE_*: pipe 0, tape 0x173, disk 0x200, +REMOVABLE (pipe, disk), +DISCARD, +SNAPSHOT_PREPARE,
                                          +REQUEST_COMPLETE; other mixes are VDSET_E_NOTSUPPORTED */
  uint32_t prefix_zone_bytes;          /* private bytes of the client just before each buffer's data; 0..4 MiB */
  uint32_t alignment_bytes;            /* in: least alignment the client needs, 0 none; out: the agreed one */
  uint32_t soft_file_mark_block_bytes; /* with FILE_MARKS; 0 hard marks */
  uint32_t eom_warning_bytes;          /* 0 none */
  uint32_t server_timeout_ms;          /* abort when nothing completes for two intervals; 0 never */
  uint32_t block_bytes;                /* from here on the server's, ignored on input: every transfer is a multiple of it */
  uint32_t max_io_depth;               /* always 4, as VDI does; the real depth is the queue_depth option */
  uint32_t max_transfer_bytes;         /* largest single Read or Write */
  uint32_t buffer_area_bytes;          /* all buffers together, UINT32_MAX when more */
};

/* How handles live (vdset_set_get_buffer_handle). */
#define VDSET_HANDLES_LEASE 0u  /* good from SendCommand until the completion is reaped; the default */
#define VDSET_HANDLES_BUFFER 1u /* VDI's: good while the buffer is allocated */

/* What becomes of commands that a dead secondary had fetched (vdset_set_options.on_secondary_death). */
#define VDSET_DEATH_FAILS_COMMANDS 0u /* they complete with ERROR_OPERATION_ABORTED and the device enters IO-ERROR; the default, VDI's way */
#define VDSET_DEATH_HANDS_OVER 1u     /* they wait for the process that opens the device next, flagged VDSET_COMMAND_REDELIVERED */

/* Options of a set, fixed by its primary. All zero: defaults. */
struct vdset_set_options {
  uint32_t struct_bytes;
  uint32_t handle_lifetime;      /* VDSET_HANDLES_* */
  uint32_t on_secondary_death;   /* VDSET_DEATH_* */
  uint32_t queue_depth;          /* places for commands per device: power of two 8..128; 0 = 16. See send_command */
  uint32_t data_read_only;       /* 1: clients map the buffers read-only. For backup without prefix zone only */
  uint32_t allowed_gid_set;      /* 1: allowed_gid below counts */
  uint32_t allowed_gid;          /* members may attach, beside own uid and root */
  uint32_t allowed_uids_count;   /* 0..16 */
  const uint32_t *allowed_uids;  /* these may attach; copied */
  const char *directory;         /* where names live; NULL: $VDSET_RUNTIME_DIR, /run/user/UID/vdset, /run/vdset/GID, /tmp/vdset-UID */
};

/* Options of a process that joins (secondary, server). All zero: defaults. */
struct vdset_join_options {
  uint32_t struct_bytes;
  uint32_t buffers_max;       /* server: how many buffers the set may ever have, 1..4096; 0 = twice those of EndConfiguration */
  uint64_t area_bytes_max;    /* server: refuse to allocate more than this for buffers; 0 = what the system has, less a reserve */
  const char *directory;      /* as above */
};

/* Who ended the set, and why. */
struct vdset_abort_reason {
  uint32_t struct_bytes;
  uint32_t role;                        /* 0 unknown, 1 server, 2 primary, 3 secondary */
  uint32_t pid;                         /* as the server's system numbers it; 0 unknown */
  uint32_t call;                        /* VDSET_CALL_* */
  int32_t code;                         /* result code or Win32 code that led to it; 0 none given */
  char text[VDSET_REASON_BYTES_MAX];    /* NUL-terminated */
};

#define VDSET_CALL_NONE 0u
#define VDSET_CALL_SIGNAL_ABORT 1u    /* somebody asked for it */
#define VDSET_CALL_CLOSE 2u           /* somebody closed with devices open */
#define VDSET_CALL_DIED 3u            /* the process died */
#define VDSET_CALL_LEFT 4u            /* the process let go of its socket, alive */
#define VDSET_CALL_SERVER_TIMEOUT 5u  /* nothing completed for two serverTimeOut intervals */
#define VDSET_CALL_POISONED 6u        /* a value in the region that cannot be */

#define VDSET_LOSSES_KEPT 64 /* so many of the latest losses are remembered */

/* A secondary client that ended without goodbye (vdset_set_close), or with commands in its hands. (The end of the server or the primary is an abort
 * reason.) */
struct vdset_loss {
  uint32_t struct_bytes;
  uint32_t number;                     /* of this loss: 1, 2, ... in the set's life */
  uint32_t count;                      /* of all losses so far: the latest's number */
  uint32_t call;                       /* VDSET_CALL_DIED; VDSET_CALL_LEFT alive, but it let go */
  uint32_t pid;                        /* as the server's system numbers it; 0 unknown */
  uint32_t devices;                    /* it had open; they can be opened again */
  uint32_t commands;                   /* it had fetched and not completed */
  uint32_t handed_over;                /* of these, wait for who opens the device next (on_secondary_death); the others failed. At the server
                                        * both may still change until the device can be opened again */
  char device[VDSET_NAME_TEXT_BYTES]; /* NUL-terminated: the first of its devices, empty without */
};

/* ---- Commands --------------------------------------------------------------------------------------------------------------- */

struct vdset_command;
/* Called when a command is final: see vdset_server_run_completion_agent. Must not throw, longjmp or close the server. */
typedef void (*vdset_completion)(struct vdset_command *command, void *context);

#define VDSET_COMMAND_REDELIVERED 0x1u /* a process that died had fetched it before: do it again, or look what was done */

/* A command. The client gets a private read-only copy (fields up to buffer); the server owns its own from send to callback. */
struct vdset_command {
  uint32_t struct_bytes;
  uint32_t code;              /* VDSET_COMMAND_* */
  int32_t size;               /* Read, Write: bytes, prefix zone not counted. SkipMarks, SkipBlocks: count. Others 0. Never beyond a buffer that is there */
  uint32_t flags;             /* client: VDSET_COMMAND_REDELIVERED. Server: 0 */
  int64_t position;           /* Read, Write with RANDOM_ACCESS; SetPosition */
  void *buffer;               /* data start in this process, NULL for commands without */
  uint32_t buffer_handle;     /* client: the handle of buffer, 0 without. Server: ignored */
  /* Results: written before the callback. */
  int32_t completion_code;    /* 0 or a Win32 code */
  int32_t bytes_transferred;  /* clamped to 0..size */
  uint32_t reserved;
  int64_t out_position;
  /* Server only. */
  vdset_completion completion; /* NULL: the command is handed out by vdset_server_next_completion */
  void *context;
};

/* ============================================================================================================================
 * Primary and secondary clients
 * ============================================================================================================================ */

typedef struct vdset_set vdset_set;
typedef struct vdset_device vdset_device;

/* VDI Create. Makes a set under `name`, which is also the first device's name. No memory is shared yet; a server can now open it.
 * Does not block. options NULL: defaults. On success *out is to be closed with vdset_set_close.
 * INVALID name or option; NOTSUPPORTED a configuration VDI does not allow; PROTOCOL the name is in use: choose another or close the other;
 * SECURITY no directory that can be trusted; MEMORY; UNEXPECTED. */
VDSET_API int32_t vdset_set_create(const char *name, const struct vdset_config *config, const struct vdset_set_options *options,
                                   vdset_set **out);

/* VDI OpenInSecondary. Joins a set of another process as a helper, once its server has configured it. Blocks at most 10 s, for the server's answer.
 * INVALID no such set, or found in two directories; PROTOCOL not yet configured: let the primary's get_configuration return first; ABORT; SECURITY;
 * TIMEOUT the
 * server did not answer; MEMORY the parts do not fit into this process, or no descriptor is free for them. */
VDSET_API int32_t vdset_set_open_in_secondary(const char *name, const struct vdset_join_options *options, vdset_set **out);

/* VDI GetConfiguration. Waits until the server has configured the set, then fills *out (out->struct_bytes set by the caller). Any number of threads.
 * TIMEOUT; ABORT, also when the server dies; PROTOCOL. Afterwards returns at once. */
VDSET_API int32_t vdset_set_get_configuration(vdset_set *set, int64_t timeout_ns, struct vdset_config *out);

/* VDI OpenDevice. Opens the device the server named; the first has the set's name. While the server has not yet named all devices, waits for the
 * name to come, at most 10 s in all; a server that is stopped is waited for until it goes on, dies or the set is aborted. One thread of a process at a
 * time asks, the others wait. The device belongs to the set and ends with it; it is never freed by the caller.
 * OPEN all devices are open (harmless: ends a loop); PROTOCOL not configured yet, or this device is already open; INVALID no such name; ABORT;
 * TIMEOUT; BUSY
 * the device's last consumer left but lives: wait for its end; MEMORY, also when no descriptor is free: the device is this process's, call again;
 * UNEXPECTED the server cannot be asked, for instance because this process has closed descriptors that are not its own: close the set.
 * *out is NULL on failure. */
VDSET_API int32_t vdset_set_open_device(vdset_set *set, const char *name, vdset_device **out);

/* VDI GetCommand. The next command, in the order sent. *out is a read-only copy that stays valid until this command is completed or the set is
 * closed;
 * its buffer is this process's until then. Several may be fetched before one is completed. One thread at a time per device.
 * CLOSE the server closed the device and every command was delivered (every later call says it again); TIMEOUT; ABORT; BUSY; INTERRUPTED; MEMORY a
 * new buffer pool cannot be mapped here, UNEXPECTED it cannot be asked for (see open_device): the command stays queued. No system call unless
 * it must sleep. */
VDSET_API int32_t vdset_device_get_command(vdset_device *device, int64_t timeout_ns, const struct vdset_command **out);

/* VDI CompleteCommand. Ends a command that get_command of this device gave; any order, any thread. The buffer is the server's from here on.
 * completion_code: a Win32
 * code; other than 0 it brings the device into IO-ERROR. bytes: for Read and Write, 0..size; ignored for others. position: for GetPosition,
 * SetPosition.
 * INVALID not an active command of this device (completed twice, of another device); ABORT. Does not block. */
VDSET_API int32_t vdset_device_complete_command(vdset_device *device, const struct vdset_command *command, int32_t completion_code,
                                                uint32_t bytes, int64_t position);

/* Ends one get_command wait of another thread with INTERRUPTED: the one under way, or else the next. Any thread; does not block. */
VDSET_API int32_t vdset_device_interrupt(vdset_device *device);

/* ---- Pollable descriptors ------------------------------------------------------------------------------------------------------
 * For programs that wait in an event loop instead of a thread. One pattern, for a device, a set and a server alike:
 *
 *   get the descriptor once; add it to the loop for reading (level or edge triggered)
 *   again: call get_command with timeout 0 (get_configuration, next_completion) until it says TIMEOUT
 *          arm; return to the loop; when the descriptor is readable: again
 *
 *   Clear     arm makes the descriptor unreadable. The caller never reads, writes or closes it. It may be duplicated for a loop
 *             that insists on owning it; the duplicate stays readable, as long as this process lives, once the object has ended.
 *   Kind      A device's and a server's is an epoll descriptor: it can be polled by all means, but not with EPOLLEXCLUSIVE.
 *   Readable  once after each arm, when the call that the object waits with would say anything but TIMEOUT: a command, CLOSE, ABORT, the peer's
 *             death, an interrupt; or now and then for no reason. If that is so at the time of arm it is readable when arm returns: no wake
 *             is lost, and no second look is needed between arm and the loop (it is allowed).
 *             Each time it becomes readable an edge-triggered loop sees an edge.
 *   Disarm    The call with a timeout other than 0, or a call that returned something, ends the arming. Not armed, it does not become readable,
 *             but for Close and by a peer's doing: take it out of a level-triggered loop for as long as it is not armed.
 *   Waiter    One at a time: arm counts as the waiting call (BUSY while another thread is in it). Close makes it readable, then closes it.
 *   Fork      A child has neither descriptor nor object; one that was duplicated does not become readable there by this library.
 *   Cost      The first descriptor of a set or server starts one thread that serves all of them (one thread for each where
 *             VDSET_SUPPORT_WAIT_MANY is 0). A device's takes up to three descriptors, and one in the server's process; a server's two; a set's one;
 *             a process one for each 500 that were closed. Where they cannot be had, the thread wakes the loop, later. arm makes a few system calls:
 *             one or two for each device that was woken by its peer, and one or two more. Peers pay what they pay for a sleeping thread: one wake, and none
 *             while the object is not armed. */

/* The device's descriptor, made at the first call; the library's, and the same until the set is closed. MEMORY; UNEXPECTED. Any thread. */
VDSET_API int32_t vdset_device_get_descriptor(vdset_device *device, int *out);

/* Clears the device's descriptor and makes it readable when get_command has something to say. PROTOCOL no descriptor yet; BUSY a thread is in
 * get_command. Does not block. */
VDSET_API int32_t vdset_device_arm(vdset_device *device);

/* The set's descriptor, as the device's. Possible from create on. */
VDSET_API int32_t vdset_set_get_descriptor(vdset_set *set, int *out);

/* Clears the set's descriptor and makes it readable when get_configuration has something to say; after get_configuration has returned OK, only when
 * the set is aborted. PROTOCOL no descriptor yet. Does not block. */
VDSET_API int32_t vdset_set_arm(vdset_set *set);

/* VDI GetBufferHandle. The handle of a buffer, from the data start that a command gave. Good in every process of this set; a handle means nothing in
 * another.
 * How long: vdset_set_options.handle_lifetime. INVALID not the data start of a buffer that is lent (lease) or allocated (buffer). A few nanoseconds,
 * no loop. */
VDSET_API int32_t vdset_set_get_buffer_handle(vdset_set *set, const void *buffer, uint32_t *out);

/* A buffer, as vdset_set_describe_buffer tells it: how far a process may go that got the buffer by its handle. */
struct vdset_buffer {
  uint32_t struct_bytes;
  uint32_t number;       /* 0..VDSET_BUFFERS_MAX - 1: the same in every process of the set, and no other buffer's while the set lives */
  uint32_t data_bytes;   /* from the data start on; the size of its class */
  uint32_t prefix_bytes; /* just before the data start */
  uint32_t read_only;    /* 1: this process can only read it (vdset_set_options.data_read_only) */
};

/* Which buffer of this set starts its data at this address, allocated or not, and how large it is (out->struct_bytes set by the caller).
 * INVALID not the data start of a buffer of this set; PROTOCOL not configured yet. A few nanoseconds, no loop. */
VDSET_API int32_t vdset_set_describe_buffer(vdset_set *set, const void *buffer, struct vdset_buffer *out);

/* VDI MapBufferHandle. The address of a buffer in this process. The process that fetched the command must complete it, after the helpers are done.
 * INVALID stale, freed, forged, or of another set: vdset_last_error is not set, so that a refusal is as cheap as a hit; vdset_set_explain_handle
 * tells which.
 * MEMORY the buffer's pool was added later and cannot be mapped here. A few nanoseconds, no loop. */
VDSET_API int32_t vdset_set_map_buffer_handle(vdset_set *set, uint32_t handle, void **out);

/* Why a handle does or does not resolve: writes a sentence to text (NUL-terminated, cut at text_bytes) and returns what map would. */
VDSET_API int32_t vdset_set_explain_handle(vdset_set *set, uint32_t handle, char *text, uint32_t text_bytes);

/* VDI SignalAbort. Ends the set for everyone at once: every uncompleted command completes with ERROR_OPERATION_ABORTED, every wait returns ABORT.
 * code and text
 * (may be NULL; its first REASON_BYTES_MAX - 1 bytes) travel to all sides. OK also when already aborted. Then stop touching buffers and close. Does not
 * block. */
VDSET_API int32_t vdset_set_signal_abort(vdset_set *set, int32_t code, const char *text);

/* Who aborted and why (out->struct_bytes set by the caller). PROTOCOL not aborted. Blocks at most 0.1 s, once: for the server's words. */
VDSET_API int32_t vdset_set_get_abort_reason(vdset_set *set, struct vdset_abort_reason *out);

/* For the primary: the loss of that number, 0 the latest (out->struct_bytes set by the caller). The log says each as it comes; a program that only
 * looks asks for the latest and compares `number` with what it has seen. PROTOCOL none so far, or this is a secondary; INVALID no such number,
 * forgotten, or out is NULL. Any thread. Does not block. */
VDSET_API int32_t vdset_set_get_loss(vdset_set *set, uint32_t number, struct vdset_loss *out);

/* VDI Close. Frees everything, always: devices and buffer addresses end, the set pointer too. A primary's name is free when it returns. OPEN (still
 * closed) when
 * a device this process opened had not yet told CLOSE and the set was not aborted: a primary then aborts the set, a secondary's
 * fetched commands fail as if it had died. */
VDSET_API int32_t vdset_set_close(vdset_set *set);

/* ============================================================================================================================
 * Server
 * ============================================================================================================================ */

typedef struct vdset_server vdset_server;
typedef struct vdset_server_device vdset_server_device;

/* What BeginConfiguration fixes. */
struct vdset_base_configuration {
  uint32_t struct_bytes;
  uint32_t features;            /* the client's, plus WRITE_MEDIA or READ_MEDIA or both; COMPLETE_ENABLED only when the client asked */
  uint32_t block_bytes;         /* power of two 512..65536 */
  uint32_t alignment_bytes;     /* 0 = block_bytes; else a power of two, block_bytes..65536 */
  uint32_t max_transfer_bytes;  /* multiple of 65536, 65536..4 MiB */
};

/* VDI Open. Becomes the server of the set `name`. Waits at most 10 s for the primary's library (not for its threads).
 * INVALID no such set (or in two directories); PROTOCOL it has a server already; ABORT; SECURITY; TIMEOUT; MEMORY. */
VDSET_API int32_t vdset_server_open(const char *name, const struct vdset_join_options *options, vdset_server **out);

/* VDI GetConfiguration: what the client wishes. ABORT. Does not block. */
VDSET_API int32_t vdset_server_get_configuration(vdset_server *server, struct vdset_config *out);

/* VDI BeginConfiguration. INVALID a number out of range; PROTOCOL not just opened; ABORT; MEMORY; UNEXPECTED. */
VDSET_API int32_t vdset_server_begin_configuration(vdset_server *server, const struct vdset_base_configuration *base);

/* VDI RequestBuffers. Before end_configuration: requests are summed. After: the space is had at once, as a new pool.
 * size_bytes without prefix, 1..4 MiB; alignment_bytes 0 = the base one, else a power of two up to 65536, stricter or equal.
 * MEMORY: more than POOLS_MAX classes or BUFFERS_MAX buffers, or (after) not enough memory; PROTOCOL; ABORT; INVALID. */
VDSET_API int32_t vdset_server_request_buffers(vdset_server *server, uint32_t size_bytes, uint32_t alignment_bytes, uint32_t count);

/* VDI QueryAvailableBuffers. How many buffers of this kind allocate_buffer could give now (before end_configuration: could be requested).
 * PROTOCOL begin_configuration first, or the set has ended; ABORT; INVALID the size or the alignment. Any thread. Does not block. */
VDSET_API int32_t vdset_server_query_available_buffers(vdset_server *server, uint32_t size_bytes, uint32_t alignment_bytes, uint32_t *out);

/* VDI EndConfiguration. Makes the buffers, all pages present, and lets the clients go on. MEMORY: nothing was made, the requests are forgotten, the
 * set stays configurable: ask
 * for less and call again, or abort. PROTOCOL; ABORT. */
VDSET_API int32_t vdset_server_end_configuration(vdset_server *server);

/* VDI OpenDevice. Names the next device; the first must have the set's name. The device belongs to the server object.
 * OPEN all are open; INVALID first name is not the set's, or a name twice; PROTOCOL; ABORT. */
VDSET_API int32_t vdset_server_open_device(vdset_server *server, const char *name, vdset_server_device **out);

/* VDI ExecuteCompletionAgent. Runs in the calling thread until every device is closed and nothing is outstanding, or abort, or close: calls the
 * completion of each
 * command exactly once. Callbacks may call send, allocate, free, close_device, signal_abort. Watches server_timeout_ms. OK at a normal end; ABORT;
 * BUSY another agent
 * runs; PROTOCOL before end_configuration. On abort every outstanding command's completion is called with 995 before it returns. */
VDSET_API int32_t vdset_server_run_completion_agent(vdset_server *server);

/* The agent's pull form, for runtimes that cannot be called back: waits for one final command that was sent without a completion. Not while an agent
 * runs (BUSY); commands with a completion get it called from within. CLOSE: every device is closed and nothing is left. TIMEOUT; PROTOCOL. After an
 * abort hands out
 * what was outstanding, then says ABORT. */
VDSET_API int32_t vdset_server_next_completion(vdset_server *server, int64_t timeout_ns, struct vdset_command **out);

/* The server's descriptor, as a device's ("Pollable descriptors" above); from end_configuration on. PROTOCOL before; MEMORY; UNEXPECTED. */
VDSET_API int32_t vdset_server_get_descriptor(vdset_server *server, int *out);

/* Clears the server's descriptor and makes it readable when next_completion has something to say, or an interval of server_timeout_ms ends.
 * PROTOCOL no descriptor yet; BUSY an agent runs. Does not block. */
VDSET_API int32_t vdset_server_arm(vdset_server *server);

/* VDI AllocateBuffer: a buffer of the smallest class that fits. It is the caller's until sent, and again from the callback on; after 995 from a
 * process that left alive, from that process's death on (send_command). MEMORY none is free now: free or wait for a completion; INVALID no class fits;
 * PROTOCOL; ABORT. */
VDSET_API int32_t vdset_server_allocate_buffer(vdset_server *server, uint32_t size_bytes, uint32_t alignment_bytes, void **out);

/* VDI FreeBuffer. size_bytes as allocated, or less (0 is always right). INVALID not an allocated buffer, a smaller one, or it is in a command under
 * way; PROTOCOL there are no buffers yet. Any thread. Does not block. */
VDSET_API int32_t vdset_server_free_buffer(vdset_server *server, void *buffer, uint32_t size_bytes);

/* VDI IsSharedBuffer: 1 if the address lies in a buffer of this set, else 0. */
VDSET_API int32_t vdset_server_is_shared_buffer(vdset_server *server, const void *address);

/* As vdset_set_describe_buffer, in the server's process. */
VDSET_API int32_t vdset_server_describe_buffer(vdset_server *server, const void *buffer, struct vdset_buffer *out);
/* As vdset_set_get_buffer_handle, in the server's process. */
VDSET_API int32_t vdset_server_get_buffer_handle(vdset_server *server, const void *buffer, uint32_t *out);
/* As vdset_set_map_buffer_handle, in the server's process. */
VDSET_API int32_t vdset_server_map_buffer_handle(vdset_server *server, uint32_t handle, void **out);

/* VDI SignalAbort, as vdset_set_signal_abort. */
VDSET_API int32_t vdset_server_signal_abort(vdset_server *server, int32_t code, const char *text);
/* Who aborted and why, as vdset_set_get_abort_reason. */
VDSET_API int32_t vdset_server_get_abort_reason(vdset_server *server, struct vdset_abort_reason *out);
/* Which secondaries were lost, as vdset_set_get_loss, under the same numbers. A loss is there before the completions of its commands are called. */
VDSET_API int32_t vdset_server_get_loss(vdset_server *server, uint32_t number, struct vdset_loss *out);

/* VDI Close. Frees everything, always. Outstanding commands get their completion with 995 first: in the agent's thread if one runs, else here.
 * PROTOCOL (still closed) when devices were
 * open: the set is aborted for the clients. Not from a callback. */
VDSET_API int32_t vdset_server_close(vdset_server *server);

/* VDI SendCommand. The command struct and its buffer are the library's until the completion is called, exactly once. One thread per device is the
 * custom; more
 * are safe. Read and Write need a buffer of this set and 0 < size <= max_transfer, a multiple of block_bytes;
 * Read not in a data_read_only set.
 * On failure the completion (if any) is called at once, in this thread, with a mapped code, and the VDI code is returned:
 * QUEUE_FULL 1450; IO_ERROR 1117; PROTOCOL 6 (device closed, or no client state yet); ABORT 995. INVALID: not called, nothing happened; also for a
 * buffer that a process had fetched which left (VDSET_CALL_LEFT), until that process is dead: use another. Does not block. Places are used in turn: while
 * the oldest command is under way, queue_depth - 1 later ones find room, finished or not. */
VDSET_API int32_t vdset_server_device_send_command(vdset_server_device *device, struct vdset_command *command);

/* VDI CloseDevice. The client sees CLOSE after what is queued. With the last device the set ends normally. CLOSE already closed; ABORT. */
VDSET_API int32_t vdset_server_device_close(vdset_server_device *device);

/* Commands sent whose completion has not been called on this device. INVALID. Any thread. Does not block. */
VDSET_API int32_t vdset_server_device_outstanding(vdset_server_device *device, uint32_t *out);

#ifdef __cplusplus
}
#endif
#endif
