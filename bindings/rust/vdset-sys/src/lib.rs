//! `vdset.h` as it is: every constant, struct and call under its C name, no more. What each means,
//! and who may call what when, is said in the header; the safe crate is `vdset`.
//!
//! `no_std`, no dependency; linked through pkg-config, called as a command (`build.rs`). That
//! sizes, offsets, numbers and calls are the header's is tested against a table that a C compiler
//! prints (`tests/parity.rs`).

#![no_std]
#![allow(non_camel_case_types)]

use core::ffi::c_void;
use core::marker::{PhantomData, PhantomPinned};

/// C's `char`; `core::ffi` has it from Rust 1.64 on only.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
pub type c_char = i8;
/// C's `char`; `core::ffi` has it from Rust 1.64 on only.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
pub type c_char = u8;
/// C's `int`, wherever Linux is.
pub type c_int = i32;

// ---- Versions

pub const VDSET_VERSION_MAJOR: u32 = 0;
pub const VDSET_VERSION_MINOR: u32 = 2;
pub const VDSET_VERSION_PATCH: u32 = 0;
pub const VDSET_LAYOUT_VERSION: u32 = 0x20000;
pub const VDSET_SUPPORT_DESCRIPTORS: u32 = 1;
pub const VDSET_SUPPORT_ALLOCATOR: u32 = 2;
pub const VDSET_SUPPORT_LOG: u32 = 3;
pub const VDSET_SUPPORT_WAIT_MANY: u32 = 16;
pub const VDSET_SUPPORT_PEER_PIDFD: u32 = 17;
pub const VDSET_SUPPORT_SEAL_WRITERS: u32 = 18;

// ---- Hooks of the host program

pub const VDSET_LOG_OFF: u32 = 0;
pub const VDSET_LOG_ERROR: u32 = 1;
pub const VDSET_LOG_WARNING: u32 = 2;
pub const VDSET_LOG_INFO: u32 = 3;
pub const VDSET_LOG_DEBUG: u32 = 4;

// ---- Result codes

pub const VDSET_OK: i32 = 0;
pub const VDSET_E_NOTOPEN: i32 = -2139684862;
pub const VDSET_E_TIMEOUT: i32 = -2139684861;
pub const VDSET_E_ABORT: i32 = -2139684860;
pub const VDSET_E_SECURITY: i32 = -2139684859;
pub const VDSET_E_INVALID: i32 = -2139684858;
pub const VDSET_E_INSTANCE_NAME: i32 = -2139684857;
pub const VDSET_E_NOTSUPPORTED: i32 = -2139684855;
pub const VDSET_E_MEMORY: i32 = -2139684854;
pub const VDSET_E_UNEXPECTED: i32 = -2139684853;
pub const VDSET_E_PROTOCOL: i32 = -2139684852;
pub const VDSET_E_OPEN: i32 = -2139684851;
pub const VDSET_E_CLOSE: i32 = -2139684850;
pub const VDSET_E_BUSY: i32 = -2139684849;
pub const VDSET_E_QUEUE_FULL: i32 = -2139684848;
pub const VDSET_E_IO_ERROR: i32 = -2139684847;
pub const VDSET_E_INTERRUPTED: i32 = -2139684846;

// ---- Commands, completion codes, features: VDI's numbers

pub const VDSET_COMMAND_READ: u32 = 1;
pub const VDSET_COMMAND_WRITE: u32 = 2;
pub const VDSET_COMMAND_CLEAR_ERROR: u32 = 3;
pub const VDSET_COMMAND_REWIND: u32 = 4;
pub const VDSET_COMMAND_WRITE_MARK: u32 = 5;
pub const VDSET_COMMAND_SKIP_MARKS: u32 = 6;
pub const VDSET_COMMAND_SKIP_BLOCKS: u32 = 7;
pub const VDSET_COMMAND_LOAD: u32 = 8;
pub const VDSET_COMMAND_GET_POSITION: u32 = 9;
pub const VDSET_COMMAND_SET_POSITION: u32 = 10;
pub const VDSET_COMMAND_DISCARD: u32 = 11;
pub const VDSET_COMMAND_FLUSH: u32 = 12;
pub const VDSET_COMMAND_SNAPSHOT: u32 = 13;
pub const VDSET_COMMAND_MOUNT_SNAPSHOT: u32 = 14;
pub const VDSET_COMMAND_PREPARE_TO_FREEZE: u32 = 15;
pub const VDSET_COMMAND_FILE_INFO_BEGIN: u32 = 16;
pub const VDSET_COMMAND_FILE_INFO_END: u32 = 17;
pub const VDSET_COMMAND_GET_ERROR: u32 = 18;
pub const VDSET_COMMAND_COMPLETE: u32 = 19;
pub const VDSET_SUCCESS: i32 = 0;
pub const VDSET_ERROR_INVALID_HANDLE: i32 = 6;
pub const VDSET_ERROR_ARENA_TRASHED: i32 = 7;
pub const VDSET_ERROR_BAD_ENVIRONMENT: i32 = 10;
pub const VDSET_ERROR_WRITE_FAULT: i32 = 29;
pub const VDSET_ERROR_READ_FAULT: i32 = 30;
pub const VDSET_ERROR_HANDLE_EOF: i32 = 38;
pub const VDSET_ERROR_HANDLE_DISK_FULL: i32 = 39;
pub const VDSET_ERROR_NOT_SUPPORTED: i32 = 50;
pub const VDSET_ERROR_DISK_FULL: i32 = 112;
pub const VDSET_ERROR_OPERATION_ABORTED: i32 = 995;
pub const VDSET_ERROR_END_OF_MEDIA: i32 = 1100;
pub const VDSET_ERROR_FILEMARK_DETECTED: i32 = 1101;
pub const VDSET_ERROR_BEGINNING_OF_MEDIA: i32 = 1102;
pub const VDSET_ERROR_NO_DATA_DETECTED: i32 = 1104;
pub const VDSET_ERROR_IO_DEVICE: i32 = 1117;
pub const VDSET_ERROR_EOM_OVERFLOW: i32 = 1129;
pub const VDSET_ERROR_NO_SYSTEM_RESOURCES: i32 = 1450;
pub const VDSET_FEATURE_LIKE_PIPE: u32 = 0x0;
pub const VDSET_FEATURE_REMOVABLE: u32 = 0x1;
pub const VDSET_FEATURE_REWIND: u32 = 0x2;
pub const VDSET_FEATURE_POSITION: u32 = 0x10;
pub const VDSET_FEATURE_SKIP_BLOCKS: u32 = 0x20;
pub const VDSET_FEATURE_REVERSE_POSITION: u32 = 0x40;
pub const VDSET_FEATURE_DISCARD: u32 = 0x80;
pub const VDSET_FEATURE_FILE_MARKS: u32 = 0x100;
pub const VDSET_FEATURE_RANDOM_ACCESS: u32 = 0x200;
pub const VDSET_FEATURE_SNAPSHOT_PREPARE: u32 = 0x400;
pub const VDSET_FEATURE_REQUEST_COMPLETE: u32 = 0x2000;
pub const VDSET_FEATURE_WRITE_MEDIA: u32 = 0x10000;
pub const VDSET_FEATURE_READ_MEDIA: u32 = 0x20000;
pub const VDSET_FEATURE_COMPLETE_ENABLED: u32 = 0x40000;
pub const VDSET_FEATURE_LIKE_TAPE: u32 = 0x173;
pub const VDSET_FEATURE_LIKE_DISK: u32 = 0x200;

// ---- Limits (bytes unless named otherwise)

pub const VDSET_DEVICES_MAX: u32 = 64;
pub const VDSET_NAME_BYTES_MAX: u32 = 255;
pub const VDSET_NAME_TEXT_BYTES: u32 = 256;
pub const VDSET_POOLS_MAX: u32 = 8;
pub const VDSET_BUFFERS_MAX: u32 = 4096;
pub const VDSET_QUEUE_DEPTH_MAX: u32 = 128;
pub const VDSET_PARTICIPANTS_MAX: u32 = 254;
pub const VDSET_PREFIX_BYTES_MAX: u32 = 4194304;
pub const VDSET_TRANSFER_BYTES_MAX: u32 = 4194304;
pub const VDSET_REASON_BYTES_MAX: u32 = 128;
pub const VDSET_INFINITE: i64 = -1;

// ---- Configuration

pub const VDSET_HANDLES_LEASE: u32 = 0;
pub const VDSET_HANDLES_BUFFER: u32 = 1;
pub const VDSET_DEATH_FAILS_COMMANDS: u32 = 0;
pub const VDSET_DEATH_HANDS_OVER: u32 = 1;
pub const VDSET_CALL_NONE: u32 = 0;
pub const VDSET_CALL_SIGNAL_ABORT: u32 = 1;
pub const VDSET_CALL_CLOSE: u32 = 2;
pub const VDSET_CALL_DIED: u32 = 3;
pub const VDSET_CALL_LEFT: u32 = 4;
pub const VDSET_CALL_SERVER_TIMEOUT: u32 = 5;
pub const VDSET_CALL_POISONED: u32 = 6;
pub const VDSET_LOSSES_KEPT: u32 = 64;

// ---- Commands

pub const VDSET_COMMAND_REDELIVERED: u32 = 1;

// ---- Functions that the library calls

/// One line of the log. Must not unwind.
pub type vdset_log = unsafe extern "C" fn(level: u32, text: *const c_char, context: *mut c_void);
/// Called when a command is final. Must not unwind.
pub type vdset_completion = unsafe extern "C" fn(command: *mut vdset_command, context: *mut c_void);

// ---- Structs

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vdset_allocator {
    pub struct_bytes: u32,
    pub reserved: u32,
    pub context: *mut c_void,
    pub allocate: Option<unsafe extern "C" fn(context: *mut c_void, bytes: usize) -> *mut c_void>,
    pub release: Option<unsafe extern "C" fn(context: *mut c_void, memory: *mut c_void)>,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vdset_config {
    pub struct_bytes: u32,
    pub device_count: u32,
    pub features: u32,
    pub prefix_zone_bytes: u32,
    pub alignment_bytes: u32,
    pub soft_file_mark_block_bytes: u32,
    pub eom_warning_bytes: u32,
    pub server_timeout_ms: u32,
    pub block_bytes: u32,
    pub max_io_depth: u32,
    pub max_transfer_bytes: u32,
    pub buffer_area_bytes: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vdset_set_options {
    pub struct_bytes: u32,
    pub handle_lifetime: u32,
    pub on_secondary_death: u32,
    pub queue_depth: u32,
    pub data_read_only: u32,
    pub allowed_gid_set: u32,
    pub allowed_gid: u32,
    pub allowed_uids_count: u32,
    pub allowed_uids: *const u32,
    pub directory: *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vdset_join_options {
    pub struct_bytes: u32,
    pub buffers_max: u32,
    pub area_bytes_max: u64,
    pub directory: *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct vdset_abort_reason {
    pub struct_bytes: u32,
    pub role: u32,
    pub pid: u32,
    pub call: u32,
    pub code: i32,
    pub text: [c_char; VDSET_REASON_BYTES_MAX as usize],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct vdset_loss {
    pub struct_bytes: u32,
    pub number: u32,
    pub count: u32,
    pub call: u32,
    pub pid: u32,
    pub devices: u32,
    pub commands: u32,
    pub handed_over: u32,
    pub device: [c_char; VDSET_NAME_TEXT_BYTES as usize],
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vdset_command {
    pub struct_bytes: u32,
    pub code: u32,
    pub size: i32,
    pub flags: u32,
    pub position: i64,
    pub buffer: *mut c_void,
    pub buffer_handle: u32,
    pub completion_code: i32,
    pub bytes_transferred: i32,
    pub reserved: u32,
    pub out_position: i64,
    pub completion: Option<vdset_completion>,
    pub context: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vdset_buffer {
    pub struct_bytes: u32,
    pub number: u32,
    pub data_bytes: u32,
    pub prefix_bytes: u32,
    pub read_only: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vdset_base_configuration {
    pub struct_bytes: u32,
    pub features: u32,
    pub block_bytes: u32,
    pub alignment_bytes: u32,
    pub max_transfer_bytes: u32,
}

/// What only the library can look into: no value of these types is ever made here.
macro_rules! opaque {
    ($($name:ident)*) => {$(
        #[repr(C)]
        pub struct $name {
            _bytes: [u8; 0],
            _neither_send_nor_sync_nor_unpin: PhantomData<(*mut u8, PhantomPinned)>,
        }
    )*};
}
opaque!(vdset_set vdset_device vdset_server vdset_server_device);

// ---- Calls

extern "C" {
    pub fn vdset_version() -> u32;
    pub fn vdset_supports(what: u32) -> i32;
    pub fn vdset_library_set_allocator(allocator: *const vdset_allocator) -> i32;
    pub fn vdset_library_set_log(level: u32, call: Option<vdset_log>, context: *mut c_void) -> i32;
    pub fn vdset_error_name(code: i32) -> *const c_char;
    pub fn vdset_last_error() -> *const c_char;
    pub fn vdset_set_create(
        name: *const c_char,
        config: *const vdset_config,
        options: *const vdset_set_options,
        out: *mut *mut vdset_set,
    ) -> i32;
    pub fn vdset_set_open_in_secondary(
        name: *const c_char,
        options: *const vdset_join_options,
        out: *mut *mut vdset_set,
    ) -> i32;
    pub fn vdset_set_get_configuration(
        set: *mut vdset_set,
        timeout_ns: i64,
        out: *mut vdset_config,
    ) -> i32;
    pub fn vdset_set_open_device(
        set: *mut vdset_set,
        name: *const c_char,
        out: *mut *mut vdset_device,
    ) -> i32;
    pub fn vdset_device_get_command(
        device: *mut vdset_device,
        timeout_ns: i64,
        out: *mut *const vdset_command,
    ) -> i32;
    pub fn vdset_device_complete_command(
        device: *mut vdset_device,
        command: *const vdset_command,
        completion_code: i32,
        bytes: u32,
        position: i64,
    ) -> i32;
    pub fn vdset_device_interrupt(device: *mut vdset_device) -> i32;
    pub fn vdset_device_get_descriptor(device: *mut vdset_device, out: *mut c_int) -> i32;
    pub fn vdset_device_arm(device: *mut vdset_device) -> i32;
    pub fn vdset_set_get_descriptor(set: *mut vdset_set, out: *mut c_int) -> i32;
    pub fn vdset_set_arm(set: *mut vdset_set) -> i32;
    pub fn vdset_set_get_buffer_handle(
        set: *mut vdset_set,
        buffer: *const c_void,
        out: *mut u32,
    ) -> i32;
    pub fn vdset_set_describe_buffer(
        set: *mut vdset_set,
        buffer: *const c_void,
        out: *mut vdset_buffer,
    ) -> i32;
    pub fn vdset_set_map_buffer_handle(
        set: *mut vdset_set,
        handle: u32,
        out: *mut *mut c_void,
    ) -> i32;
    pub fn vdset_set_explain_handle(
        set: *mut vdset_set,
        handle: u32,
        text: *mut c_char,
        text_bytes: u32,
    ) -> i32;
    pub fn vdset_set_signal_abort(set: *mut vdset_set, code: i32, text: *const c_char) -> i32;
    pub fn vdset_set_get_abort_reason(set: *mut vdset_set, out: *mut vdset_abort_reason) -> i32;
    pub fn vdset_set_get_loss(set: *mut vdset_set, number: u32, out: *mut vdset_loss) -> i32;
    pub fn vdset_set_close(set: *mut vdset_set) -> i32;
    pub fn vdset_server_open(
        name: *const c_char,
        options: *const vdset_join_options,
        out: *mut *mut vdset_server,
    ) -> i32;
    pub fn vdset_server_get_configuration(server: *mut vdset_server, out: *mut vdset_config)
        -> i32;
    pub fn vdset_server_begin_configuration(
        server: *mut vdset_server,
        base: *const vdset_base_configuration,
    ) -> i32;
    pub fn vdset_server_request_buffers(
        server: *mut vdset_server,
        size_bytes: u32,
        alignment_bytes: u32,
        count: u32,
    ) -> i32;
    pub fn vdset_server_query_available_buffers(
        server: *mut vdset_server,
        size_bytes: u32,
        alignment_bytes: u32,
        out: *mut u32,
    ) -> i32;
    pub fn vdset_server_end_configuration(server: *mut vdset_server) -> i32;
    pub fn vdset_server_open_device(
        server: *mut vdset_server,
        name: *const c_char,
        out: *mut *mut vdset_server_device,
    ) -> i32;
    pub fn vdset_server_run_completion_agent(server: *mut vdset_server) -> i32;
    pub fn vdset_server_next_completion(
        server: *mut vdset_server,
        timeout_ns: i64,
        out: *mut *mut vdset_command,
    ) -> i32;
    pub fn vdset_server_get_descriptor(server: *mut vdset_server, out: *mut c_int) -> i32;
    pub fn vdset_server_arm(server: *mut vdset_server) -> i32;
    pub fn vdset_server_allocate_buffer(
        server: *mut vdset_server,
        size_bytes: u32,
        alignment_bytes: u32,
        out: *mut *mut c_void,
    ) -> i32;
    pub fn vdset_server_free_buffer(
        server: *mut vdset_server,
        buffer: *mut c_void,
        size_bytes: u32,
    ) -> i32;
    pub fn vdset_server_is_shared_buffer(server: *mut vdset_server, address: *const c_void) -> i32;
    pub fn vdset_server_describe_buffer(
        server: *mut vdset_server,
        buffer: *const c_void,
        out: *mut vdset_buffer,
    ) -> i32;
    pub fn vdset_server_get_buffer_handle(
        server: *mut vdset_server,
        buffer: *const c_void,
        out: *mut u32,
    ) -> i32;
    pub fn vdset_server_map_buffer_handle(
        server: *mut vdset_server,
        handle: u32,
        out: *mut *mut c_void,
    ) -> i32;
    pub fn vdset_server_signal_abort(
        server: *mut vdset_server,
        code: i32,
        text: *const c_char,
    ) -> i32;
    pub fn vdset_server_get_abort_reason(
        server: *mut vdset_server,
        out: *mut vdset_abort_reason,
    ) -> i32;
    pub fn vdset_server_get_loss(
        server: *mut vdset_server,
        number: u32,
        out: *mut vdset_loss,
    ) -> i32;
    pub fn vdset_server_close(server: *mut vdset_server) -> i32;
    pub fn vdset_server_device_send_command(
        device: *mut vdset_server_device,
        command: *mut vdset_command,
    ) -> i32;
    pub fn vdset_server_device_close(device: *mut vdset_server_device) -> i32;
    pub fn vdset_server_device_outstanding(device: *mut vdset_server_device, out: *mut u32) -> i32;
}
