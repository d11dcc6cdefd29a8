//! Goal: every line of the table of parity, and not one more, is what this crate says. The table is
//! printed by a program that a C compiler made from `vdset.h` (tests/parity/make_table.py); its
//! path is in the environment variable `VDSET_PARITY_TABLE`.

use std::collections::BTreeSet;
use std::mem::{align_of, size_of, MaybeUninit};
use vdset_sys::*;

/// KIND of a field or a result, as the table has it.
trait Kind {
    const KIND: &'static str;
}
macro_rules! kinds {
    ($($type:ty => $kind:literal)*) => {$(
        impl Kind for $type {
            const KIND: &'static str = $kind;
        }
    )*};
}
kinds!(u32 => "u" u64 => "u" i32 => "i" i64 => "i");
impl<T> Kind for *const T {
    const KIND: &'static str = "p";
}
impl<T> Kind for *mut T {
    const KIND: &'static str = "p";
}
impl<T> Kind for Option<T> {
    const KIND: &'static str = "p"; // A pointer to a function.
}
impl<T, const N: usize> Kind for [T; N] {
    const KIND: &'static str = "t";
}

fn kind_at<T: Kind>(_: *const T) -> &'static str {
    T::KIND
}
fn size_at<T>(_: *const T) -> usize {
    size_of::<T>()
}

struct Rows(BTreeSet<String>);

impl Rows {
    fn add(&mut self, row: String) {
        assert!(self.0.insert(row.clone()), "twice: {}", row);
    }
}

macro_rules! constants {
    ($rows:ident: $($name:ident)*) => {$(
        $rows.add(format!("constant\t{}\t{}", stringify!($name), $name));
        if stringify!($name) == "VDSET_OK" || stringify!($name).starts_with("VDSET_E_") {
            $rows.add(format!("error\t{}\t{}", stringify!($name), $name));
        }
    )*};
}

macro_rules! structs {
    ($rows:ident: $($name:ident { $($field:ident)* })*) => {$(
        $rows.add(format!(
            "struct\t{}\t{}\t{}",
            stringify!($name), size_of::<$name>(), align_of::<$name>()
        ));
        let place = MaybeUninit::<$name>::uninit();
        let start = place.as_ptr();
        $(
            // Inside of `place`, and never read.
            let field = unsafe { std::ptr::addr_of!((*start).$field) };
            $rows.add(format!("field\t{}\t{}\t{}\t{}\t{}", stringify!($name), stringify!($field),
                field as usize - start as usize, size_at(field), kind_at(field)));
        )*
    )*};
}

/// Taking the address makes the linker look the call up; the type of the pointer holds the number
/// of arguments and the result.
macro_rules! calls {
    ($rows:ident: $($name:ident($($argument:tt)*) $result:ty)*) => {$(
        let call: unsafe extern "C" fn($($argument),*) -> $result = $name;
        assert!(call as usize != 0);
        let arguments: &[&str] = &[$(stringify!($argument)),*];
        $rows.add(format!("call\t{}\t{}\t{}", stringify!($name), arguments.len(), <$result>::KIND));
    )*};
}

fn constants(rows: &mut Rows) {
    constants! { rows:
        VDSET_VERSION_MAJOR
        VDSET_VERSION_MINOR
        VDSET_VERSION_PATCH
        VDSET_LAYOUT_VERSION
        VDSET_SUPPORT_DESCRIPTORS
        VDSET_SUPPORT_ALLOCATOR
        VDSET_SUPPORT_LOG
        VDSET_SUPPORT_WAIT_MANY
        VDSET_SUPPORT_PEER_PIDFD
        VDSET_SUPPORT_SEAL_WRITERS
        VDSET_LOG_OFF
        VDSET_LOG_ERROR
        VDSET_LOG_WARNING
        VDSET_LOG_INFO
        VDSET_LOG_DEBUG
        VDSET_OK
        VDSET_E_NOTOPEN
        VDSET_E_TIMEOUT
        VDSET_E_ABORT
        VDSET_E_SECURITY
        VDSET_E_INVALID
        VDSET_E_INSTANCE_NAME
        VDSET_E_NOTSUPPORTED
        VDSET_E_MEMORY
        VDSET_E_UNEXPECTED
        VDSET_E_PROTOCOL
        VDSET_E_OPEN
        VDSET_E_CLOSE
        VDSET_E_BUSY
        VDSET_E_QUEUE_FULL
        VDSET_E_IO_ERROR
        VDSET_E_INTERRUPTED
        VDSET_COMMAND_READ
        VDSET_COMMAND_WRITE
        VDSET_COMMAND_CLEAR_ERROR
        VDSET_COMMAND_REWIND
        VDSET_COMMAND_WRITE_MARK
        VDSET_COMMAND_SKIP_MARKS
        VDSET_COMMAND_SKIP_BLOCKS
        VDSET_COMMAND_LOAD
        VDSET_COMMAND_GET_POSITION
        VDSET_COMMAND_SET_POSITION
        VDSET_COMMAND_DISCARD
        VDSET_COMMAND_FLUSH
        VDSET_COMMAND_SNAPSHOT
        VDSET_COMMAND_MOUNT_SNAPSHOT
        VDSET_COMMAND_PREPARE_TO_FREEZE
        VDSET_COMMAND_FILE_INFO_BEGIN
        VDSET_COMMAND_FILE_INFO_END
        VDSET_COMMAND_GET_ERROR
        VDSET_COMMAND_COMPLETE
        VDSET_SUCCESS
        VDSET_ERROR_INVALID_HANDLE
        VDSET_ERROR_ARENA_TRASHED
        VDSET_ERROR_BAD_ENVIRONMENT
        VDSET_ERROR_WRITE_FAULT
        VDSET_ERROR_READ_FAULT
        VDSET_ERROR_HANDLE_EOF
        VDSET_ERROR_HANDLE_DISK_FULL
        VDSET_ERROR_NOT_SUPPORTED
        VDSET_ERROR_DISK_FULL
        VDSET_ERROR_OPERATION_ABORTED
        VDSET_ERROR_END_OF_MEDIA
        VDSET_ERROR_FILEMARK_DETECTED
        VDSET_ERROR_BEGINNING_OF_MEDIA
        VDSET_ERROR_NO_DATA_DETECTED
        VDSET_ERROR_IO_DEVICE
        VDSET_ERROR_EOM_OVERFLOW
        VDSET_ERROR_NO_SYSTEM_RESOURCES
        VDSET_FEATURE_LIKE_PIPE
        VDSET_FEATURE_REMOVABLE
        VDSET_FEATURE_REWIND
        VDSET_FEATURE_POSITION
        VDSET_FEATURE_SKIP_BLOCKS
        VDSET_FEATURE_REVERSE_POSITION
        VDSET_FEATURE_DISCARD
        VDSET_FEATURE_FILE_MARKS
        VDSET_FEATURE_RANDOM_ACCESS
        VDSET_FEATURE_SNAPSHOT_PREPARE
        VDSET_FEATURE_REQUEST_COMPLETE
        VDSET_FEATURE_WRITE_MEDIA
        VDSET_FEATURE_READ_MEDIA
        VDSET_FEATURE_COMPLETE_ENABLED
        VDSET_FEATURE_LIKE_TAPE
        VDSET_FEATURE_LIKE_DISK
        VDSET_DEVICES_MAX
        VDSET_NAME_BYTES_MAX
        VDSET_NAME_TEXT_BYTES
        VDSET_POOLS_MAX
        VDSET_BUFFERS_MAX
        VDSET_QUEUE_DEPTH_MAX
        VDSET_PARTICIPANTS_MAX
        VDSET_PREFIX_BYTES_MAX
        VDSET_TRANSFER_BYTES_MAX
        VDSET_REASON_BYTES_MAX
        VDSET_INFINITE
        VDSET_HANDLES_LEASE
        VDSET_HANDLES_BUFFER
        VDSET_DEATH_FAILS_COMMANDS
        VDSET_DEATH_HANDS_OVER
        VDSET_CALL_NONE
        VDSET_CALL_SIGNAL_ABORT
        VDSET_CALL_CLOSE
        VDSET_CALL_DIED
        VDSET_CALL_LEFT
        VDSET_CALL_SERVER_TIMEOUT
        VDSET_CALL_POISONED
        VDSET_LOSSES_KEPT
        VDSET_COMMAND_REDELIVERED
    }
}

fn structs(rows: &mut Rows) {
    structs! { rows:
        vdset_allocator { struct_bytes reserved context allocate release }
        vdset_config {
            struct_bytes device_count features prefix_zone_bytes alignment_bytes
            soft_file_mark_block_bytes eom_warning_bytes server_timeout_ms block_bytes max_io_depth
            max_transfer_bytes buffer_area_bytes
        }
        vdset_set_options {
            struct_bytes handle_lifetime on_secondary_death queue_depth data_read_only
            allowed_gid_set allowed_gid allowed_uids_count allowed_uids directory
        }
        vdset_join_options { struct_bytes buffers_max area_bytes_max directory }
        vdset_abort_reason { struct_bytes role pid call code text }
        vdset_loss { struct_bytes number count call pid devices commands handed_over device }
        vdset_command {
            struct_bytes code size flags position buffer buffer_handle completion_code
            bytes_transferred reserved out_position completion context
        }
        vdset_buffer { struct_bytes number data_bytes prefix_bytes read_only }
        vdset_base_configuration {
            struct_bytes features block_bytes alignment_bytes max_transfer_bytes
        }
    }
}

fn calls(rows: &mut Rows) {
    calls! { rows:
        vdset_version() u32
        vdset_supports(_) i32
        vdset_library_set_allocator(_) i32
        vdset_library_set_log(_ _ _) i32
        vdset_error_name(_) *const c_char
        vdset_last_error() *const c_char
        vdset_set_create(_ _ _ _) i32
        vdset_set_open_in_secondary(_ _ _) i32
        vdset_set_get_configuration(_ _ _) i32
        vdset_set_open_device(_ _ _) i32
        vdset_device_get_command(_ _ _) i32
        vdset_device_complete_command(_ _ _ _ _) i32
        vdset_device_interrupt(_) i32
        vdset_device_get_descriptor(_ _) i32
        vdset_device_arm(_) i32
        vdset_set_get_descriptor(_ _) i32
        vdset_set_arm(_) i32
        vdset_set_get_buffer_handle(_ _ _) i32
        vdset_set_describe_buffer(_ _ _) i32
        vdset_set_map_buffer_handle(_ _ _) i32
        vdset_set_explain_handle(_ _ _ _) i32
        vdset_set_signal_abort(_ _ _) i32
        vdset_set_get_abort_reason(_ _) i32
        vdset_set_get_loss(_ _ _) i32
        vdset_set_close(_) i32
        vdset_server_open(_ _ _) i32
        vdset_server_get_configuration(_ _) i32
        vdset_server_begin_configuration(_ _) i32
        vdset_server_request_buffers(_ _ _ _) i32
        vdset_server_query_available_buffers(_ _ _ _) i32
        vdset_server_end_configuration(_) i32
        vdset_server_open_device(_ _ _) i32
        vdset_server_run_completion_agent(_) i32
        vdset_server_next_completion(_ _ _) i32
        vdset_server_get_descriptor(_ _) i32
        vdset_server_arm(_) i32
        vdset_server_allocate_buffer(_ _ _ _) i32
        vdset_server_free_buffer(_ _ _) i32
        vdset_server_is_shared_buffer(_ _) i32
        vdset_server_describe_buffer(_ _ _) i32
        vdset_server_get_buffer_handle(_ _ _) i32
        vdset_server_map_buffer_handle(_ _ _) i32
        vdset_server_signal_abort(_ _ _) i32
        vdset_server_get_abort_reason(_ _) i32
        vdset_server_get_loss(_ _ _) i32
        vdset_server_close(_) i32
        vdset_server_device_send_command(_ _) i32
        vdset_server_device_close(_) i32
        vdset_server_device_outstanding(_ _) i32
    }
}

/// A line of the table as far as a binding can know it, or `None` for kinds of lines yet unknown.
fn comparable(line: &str) -> Option<String> {
    let columns: Vec<&str> = line.split('\t').collect();
    match columns[0] {
        "constant" | "error" | "struct" | "field" | "pointer" => Some(line.to_owned()),
        "call" => Some(columns[..4].join("\t")), // The node is the linker's business.
        _ => None,
    }
}

#[test]
fn equals_the_header() {
    let path = std::env::var("VDSET_PARITY_TABLE").expect("VDSET_PARITY_TABLE names the table");
    let table = std::fs::read_to_string(path).expect("the table can be read");
    let header: BTreeSet<String> = table.lines().filter_map(comparable).collect();
    let mut rows = Rows(BTreeSet::new());
    constants(&mut rows);
    structs(&mut rows);
    calls(&mut rows);
    rows.add(format!("pointer\t{}", size_of::<*const u8>()));
    for row in header.difference(&rows.0) {
        println!("vdset.h only: {}", row);
    }
    for row in rows.0.difference(&header) {
        println!("this crate only: {}", row);
    }
    assert!(header.len() > 150, "the table has {} lines", header.len());
    assert!(header == rows.0, "this crate and vdset.h differ");
}
