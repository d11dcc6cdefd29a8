//! VDI's numbers, each as a type of its own.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign};
use vdset_sys as sys;

macro_rules! numbers {
    ($(#[$doc:meta])* $type:ident($number:ty), $fallback:literal;
     $($(#[$each:meta])* $name:ident = $value:ident;)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(pub $number);
        impl $type {
            $($(#[$each])* pub const $name: $type = $type(sys::$value);)*
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $($type::$name => f.write_str(stringify!($name)),)*
                    other => write!(f, concat!($fallback, "({})"), other.0),
                }
            }
        }
    };
}

numbers! {
    /// What a command asks for.
    CommandCode(u32), "command";
    /// Restore: fill the buffer.
    READ = VDSET_COMMAND_READ;
    /// Backup: keep the buffer's bytes.
    WRITE = VDSET_COMMAND_WRITE;
    /// Leave the error state.
    CLEAR_ERROR = VDSET_COMMAND_CLEAR_ERROR;
    /// Back to the beginning.
    REWIND = VDSET_COMMAND_REWIND;
    /// Write a file mark.
    WRITE_MARK = VDSET_COMMAND_WRITE_MARK;
    /// Skip file marks.
    SKIP_MARKS = VDSET_COMMAND_SKIP_MARKS;
    /// Skip blocks.
    SKIP_BLOCKS = VDSET_COMMAND_SKIP_BLOCKS;
    /// Load a medium.
    LOAD = VDSET_COMMAND_LOAD;
    /// Tell the position.
    GET_POSITION = VDSET_COMMAND_GET_POSITION;
    /// Go to a position.
    SET_POSITION = VDSET_COMMAND_SET_POSITION;
    /// Forget what was written.
    DISCARD = VDSET_COMMAND_DISCARD;
    /// Make what was written durable.
    FLUSH = VDSET_COMMAND_FLUSH;
    /// Take the snapshot.
    SNAPSHOT = VDSET_COMMAND_SNAPSHOT;
    /// Mount the snapshot.
    MOUNT_SNAPSHOT = VDSET_COMMAND_MOUNT_SNAPSHOT;
    /// Make ready for a snapshot.
    PREPARE_TO_FREEZE = VDSET_COMMAND_PREPARE_TO_FREEZE;
    /// VDI has the number.
    FILE_INFO_BEGIN = VDSET_COMMAND_FILE_INFO_BEGIN;
    /// VDI has the number.
    FILE_INFO_END = VDSET_COMMAND_FILE_INFO_END;
    /// VDI has the number.
    GET_ERROR = VDSET_COMMAND_GET_ERROR;
    /// The backup is complete.
    COMPLETE = VDSET_COMMAND_COMPLETE;
}

numbers! {
    /// How a command went: 0 or a Win32 code; any other number passes through.
    CompletionCode(i32), "completion";
    /// All is well.
    SUCCESS = VDSET_SUCCESS;
    /// The device is closed.
    INVALID_HANDLE = VDSET_ERROR_INVALID_HANDLE;
    /// ERROR_ARENA_TRASHED.
    ARENA_TRASHED = VDSET_ERROR_ARENA_TRASHED;
    /// ERROR_BAD_ENVIRONMENT.
    BAD_ENVIRONMENT = VDSET_ERROR_BAD_ENVIRONMENT;
    /// Writing failed.
    WRITE_FAULT = VDSET_ERROR_WRITE_FAULT;
    /// Reading failed.
    READ_FAULT = VDSET_ERROR_READ_FAULT;
    /// The end of what there is to read.
    HANDLE_EOF = VDSET_ERROR_HANDLE_EOF;
    /// ERROR_HANDLE_DISK_FULL.
    HANDLE_DISK_FULL = VDSET_ERROR_HANDLE_DISK_FULL;
    /// The device does not do this.
    NOT_SUPPORTED = VDSET_ERROR_NOT_SUPPORTED;
    /// No room is left.
    DISK_FULL = VDSET_ERROR_DISK_FULL;
    /// Nobody did it: dropped, aborted, or its process died.
    OPERATION_ABORTED = VDSET_ERROR_OPERATION_ABORTED;
    /// The end of the medium.
    END_OF_MEDIA = VDSET_ERROR_END_OF_MEDIA;
    /// A file mark came first.
    FILEMARK_DETECTED = VDSET_ERROR_FILEMARK_DETECTED;
    /// The beginning of the medium came first.
    BEGINNING_OF_MEDIA = VDSET_ERROR_BEGINNING_OF_MEDIA;
    /// Nothing was ever written there.
    NO_DATA_DETECTED = VDSET_ERROR_NO_DATA_DETECTED;
    /// The device is in error.
    IO_DEVICE = VDSET_ERROR_IO_DEVICE;
    /// ERROR_EOM_OVERFLOW.
    EOM_OVERFLOW = VDSET_ERROR_EOM_OVERFLOW;
    /// Too many commands are under way.
    NO_SYSTEM_RESOURCES = VDSET_ERROR_NO_SYSTEM_RESOURCES;
}

/// Which participant of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Not known.
    Unknown,
    /// The database engine.
    Server,
    /// Who made the set.
    Primary,
    /// Who joined it.
    Secondary,
}

numbers! {
    /// What led to an abort.
    AbortCall(u32), "call";
    /// Nothing that has a number.
    NONE = VDSET_CALL_NONE;
    /// Somebody asked for it.
    SIGNAL_ABORT = VDSET_CALL_SIGNAL_ABORT;
    /// Somebody closed with devices open.
    CLOSE = VDSET_CALL_CLOSE;
    /// A process died.
    DIED = VDSET_CALL_DIED;
    /// A process left, alive.
    LEFT = VDSET_CALL_LEFT;
    /// Nothing completed for two intervals of the server's time-out.
    SERVER_TIMEOUT = VDSET_CALL_SERVER_TIMEOUT;
    /// A value in shared memory that cannot be.
    POISONED = VDSET_CALL_POISONED;
}

/// What a set can do, as bits: `Features::LIKE_DISK | Features::REMOVABLE`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Features(pub u32);

impl Features {
    /// Sequential, the least.
    pub const LIKE_PIPE: Features = Features(sys::VDSET_FEATURE_LIKE_PIPE);
    /// Media can be changed.
    pub const REMOVABLE: Features = Features(sys::VDSET_FEATURE_REMOVABLE);
    /// Part of [`LIKE_TAPE`](Self::LIKE_TAPE).
    pub const REWIND: Features = Features(sys::VDSET_FEATURE_REWIND);
    /// Part of [`LIKE_TAPE`](Self::LIKE_TAPE).
    pub const POSITION: Features = Features(sys::VDSET_FEATURE_POSITION);
    /// Part of [`LIKE_TAPE`](Self::LIKE_TAPE).
    pub const SKIP_BLOCKS: Features = Features(sys::VDSET_FEATURE_SKIP_BLOCKS);
    /// Part of [`LIKE_TAPE`](Self::LIKE_TAPE).
    pub const REVERSE_POSITION: Features = Features(sys::VDSET_FEATURE_REVERSE_POSITION);
    /// Understands [`CommandCode::DISCARD`].
    pub const DISCARD: Features = Features(sys::VDSET_FEATURE_DISCARD);
    /// Part of [`LIKE_TAPE`](Self::LIKE_TAPE).
    pub const FILE_MARKS: Features = Features(sys::VDSET_FEATURE_FILE_MARKS);
    /// What makes a disk.
    pub const RANDOM_ACCESS: Features = Features(sys::VDSET_FEATURE_RANDOM_ACCESS);
    /// [`CommandCode::PREPARE_TO_FREEZE`] comes before a snapshot.
    pub const SNAPSHOT_PREPARE: Features = Features(sys::VDSET_FEATURE_SNAPSHOT_PREPARE);
    /// Asks for [`CommandCode::COMPLETE`].
    pub const REQUEST_COMPLETE: Features = Features(sys::VDSET_FEATURE_REQUEST_COMPLETE);
    /// Set by the server: this is a backup.
    pub const WRITE_MEDIA: Features = Features(sys::VDSET_FEATURE_WRITE_MEDIA);
    /// Set by the server: this is a restore.
    pub const READ_MEDIA: Features = Features(sys::VDSET_FEATURE_READ_MEDIA);
    /// Set by the server: [`CommandCode::COMPLETE`] will come.
    pub const COMPLETE_ENABLED: Features = Features(sys::VDSET_FEATURE_COMPLETE_ENABLED);
    /// A tape.
    pub const LIKE_TAPE: Features = Features(sys::VDSET_FEATURE_LIKE_TAPE);
    /// A disk.
    pub const LIKE_DISK: Features = Features(sys::VDSET_FEATURE_LIKE_DISK);

    /// Whether all bits of `other` are here.
    pub fn contains(self, other: Features) -> bool {
        self.0 & other.0 == other.0
    }
}
impl BitOr for Features {
    type Output = Features;
    fn bitor(self, other: Features) -> Features {
        Features(self.0 | other.0)
    }
}
impl BitOrAssign for Features {
    fn bitor_assign(&mut self, other: Features) {
        self.0 |= other.0;
    }
}
impl BitAnd for Features {
    type Output = Features;
    fn bitand(self, other: Features) -> Features {
        Features(self.0 & other.0)
    }
}
impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Features({:#x})", self.0)
    }
}

/// A secondary client that died, or left with commands in its hands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loss {
    /// Of this loss: 1, 2, ... in the set's life.
    pub number: u32,
    /// Of all losses so far.
    pub count: u32,
    /// [`AbortCall::DIED`] or [`AbortCall::LEFT`].
    pub call: AbortCall,
    /// Its process, as the server's system numbers it.
    pub pid: Option<u32>,
    /// How many devices it had open; they can be opened again.
    pub devices: u32,
    /// How many commands it had fetched and not completed.
    pub commands: u32,
    /// How many of these wait for who opens the device next; the others failed.
    pub handed_over: u32,
    /// The name of the first of its devices.
    pub device: Option<String>,
}

impl Loss {
    pub(crate) fn ask(call: impl FnOnce(*mut sys::vdset_loss) -> i32) -> crate::Result<Self> {
        let mut raw = sys::vdset_loss {
            struct_bytes: std::mem::size_of::<sys::vdset_loss>() as u32,
            number: 0,
            count: 0,
            call: 0,
            pid: 0,
            devices: 0,
            commands: 0,
            handed_over: 0,
            device: [0; sys::VDSET_NAME_TEXT_BYTES as usize],
        };
        crate::error::check(call(&mut raw))?;
        let device = from_c_text(&raw.device);
        Ok(Loss {
            number: raw.number,
            count: raw.count,
            call: AbortCall(raw.call),
            pid: if raw.pid == 0 { None } else { Some(raw.pid) },
            devices: raw.devices,
            commands: raw.commands,
            handed_over: raw.handed_over,
            device: if device.is_empty() { None } else { Some(device) },
        })
    }
}

/// Who ended a set, and why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AbortReason {
    /// Which participant.
    pub role: Role,
    /// Its process, as the server's system numbers it.
    pub pid: Option<u32>,
    /// What led to it.
    pub call: AbortCall,
    /// The code that was given with it, 0 for none.
    pub code: i32,
    /// In words.
    pub text: String,
}

impl AbortReason {
    pub(crate) fn ask(
        call: impl FnOnce(*mut sys::vdset_abort_reason) -> i32,
    ) -> crate::Result<Self> {
        let mut raw = sys::vdset_abort_reason {
            struct_bytes: std::mem::size_of::<sys::vdset_abort_reason>() as u32,
            role: 0,
            pid: 0,
            call: 0,
            code: 0,
            text: [0; sys::VDSET_REASON_BYTES_MAX as usize],
        };
        crate::error::check(call(&mut raw))?;
        Ok(AbortReason {
            role: match raw.role {
                1 => Role::Server,
                2 => Role::Primary,
                3 => Role::Secondary,
                _ => Role::Unknown,
            },
            pid: if raw.pid == 0 { None } else { Some(raw.pid) },
            call: AbortCall(raw.call),
            code: raw.code,
            text: from_c_text(&raw.text),
        })
    }
}

/// A name or a text for a call in C.
pub(crate) fn c_text(bytes: &[u8], what: &str) -> crate::Result<std::ffi::CString> {
    std::ffi::CString::new(bytes).map_err(|_| {
        crate::Error::here(sys::VDSET_E_INVALID, format!("{}: a zero byte in it", what))
    })
}

/// What C wrote into an array of characters.
pub(crate) fn from_c_text(text: &[sys::c_char]) -> String {
    let bytes: Vec<u8> = text.iter().map(|&c| c as u8).take_while(|&c| c != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
