//! Configurations and options, as builders.

use crate::numbers::c_text;
use crate::{Features, Result};
use std::ffi::CString;
use std::mem::size_of;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::time::Duration;
use vdset_sys as sys;

/// A size of options, always small.
fn bytes_of<T>() -> u32 {
    size_of::<T>() as u32
}

/// VDI's configuration of a set. The client wishes with the first seven; what was agreed has all.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// 1 to 64.
    pub device_count: u32,
    /// What the devices can do.
    pub features: Features,
    /// Private bytes of the client just before each buffer's data.
    pub prefix_zone_bytes: u32,
    /// Wish: the least that the client needs; agreed: what all buffers have.
    pub alignment_bytes: u32,
    /// With [`Features::FILE_MARKS`].
    pub soft_file_mark_block_bytes: u32,
    /// 0: no warning before the end of a medium.
    pub eom_warning_bytes: u32,
    /// The set is aborted when nothing completes for two of these; 0: never.
    pub server_timeout_ms: u32,
    /// The server's: every transfer is a multiple of it.
    pub block_bytes: u32,
    /// The server's; always 4, as VDI has it.
    pub max_io_depth: u32,
    /// The server's: the largest single Read or Write.
    pub max_transfer_bytes: u32,
    /// The server's: all buffers together.
    pub buffer_area_bytes: u32,
}

impl Config {
    /// The wish for a set of so many pipes.
    pub fn new(device_count: u32) -> Config {
        Config {
            device_count,
            features: Features::LIKE_PIPE,
            prefix_zone_bytes: 0,
            alignment_bytes: 0,
            soft_file_mark_block_bytes: 0,
            eom_warning_bytes: 0,
            server_timeout_ms: 0,
            block_bytes: 0,
            max_io_depth: 0,
            max_transfer_bytes: 0,
            buffer_area_bytes: 0,
        }
    }
    /// What the devices can do.
    pub fn features(mut self, features: Features) -> Config {
        self.features = features;
        self
    }
    /// Private bytes just before each buffer's data; 0 to 4 MiB.
    pub fn prefix_zone_bytes(mut self, bytes: u32) -> Config {
        self.prefix_zone_bytes = bytes;
        self
    }
    /// The least alignment of all buffers.
    pub fn alignment_bytes(mut self, bytes: u32) -> Config {
        self.alignment_bytes = bytes;
        self
    }
    /// Soft file marks in blocks of this size.
    pub fn soft_file_mark_block_bytes(mut self, bytes: u32) -> Config {
        self.soft_file_mark_block_bytes = bytes;
        self
    }
    /// A warning so many bytes before the end of a medium.
    pub fn eom_warning_bytes(mut self, bytes: u32) -> Config {
        self.eom_warning_bytes = bytes;
        self
    }
    /// Abort when nothing completes for two such intervals; in milliseconds, zero: never.
    pub fn server_timeout(mut self, interval: Duration) -> Config {
        self.server_timeout_ms = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
        self
    }

    pub(crate) fn to_raw(&self) -> sys::vdset_config {
        sys::vdset_config {
            struct_bytes: bytes_of::<sys::vdset_config>(),
            device_count: self.device_count,
            features: self.features.0,
            prefix_zone_bytes: self.prefix_zone_bytes,
            alignment_bytes: self.alignment_bytes,
            soft_file_mark_block_bytes: self.soft_file_mark_block_bytes,
            eom_warning_bytes: self.eom_warning_bytes,
            server_timeout_ms: self.server_timeout_ms,
            block_bytes: self.block_bytes,
            max_io_depth: self.max_io_depth,
            max_transfer_bytes: self.max_transfer_bytes,
            buffer_area_bytes: self.buffer_area_bytes,
        }
    }
    pub(crate) fn ask(call: impl FnOnce(*mut sys::vdset_config) -> i32) -> Result<Config> {
        let mut raw = Config::new(0).to_raw();
        crate::error::check(call(&mut raw))?;
        Ok(Config {
            device_count: raw.device_count,
            features: Features(raw.features),
            prefix_zone_bytes: raw.prefix_zone_bytes,
            alignment_bytes: raw.alignment_bytes,
            soft_file_mark_block_bytes: raw.soft_file_mark_block_bytes,
            eom_warning_bytes: raw.eom_warning_bytes,
            server_timeout_ms: raw.server_timeout_ms,
            block_bytes: raw.block_bytes,
            max_io_depth: raw.max_io_depth,
            max_transfer_bytes: raw.max_transfer_bytes,
            buffer_area_bytes: raw.buffer_area_bytes,
        })
    }
}

/// How long a [`BufferHandle`](crate::BufferHandle) is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandleLifetime {
    /// From the sending of a command until its completion is reaped.
    Lease,
    /// VDI's: while the buffer is allocated.
    Buffer,
}

/// What becomes of commands that a dead secondary had fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSecondaryDeath {
    /// They complete with
    /// [`CompletionCode::OPERATION_ABORTED`](crate::CompletionCode::OPERATION_ABORTED).
    FailsCommands,
    /// They wait for the process that opens the device next.
    HandsOver,
}

/// Where the sets' names live.
#[derive(Clone, Debug, Default)]
struct Directory(Option<PathBuf>);

impl Directory {
    fn to_raw(&self) -> Result<Option<CString>> {
        self.0.as_ref().map(|path| c_text(path.as_os_str().as_bytes(), "directory")).transpose()
    }
}

fn pointer_to(text: &Option<CString>) -> *const sys::c_char {
    text.as_ref().map_or(ptr::null(), |text| text.as_ptr())
}

/// Options of a set, fixed by who makes it: see [`Set::create_with`](crate::Set::create_with).
#[derive(Clone, Debug, Default)]
pub struct SetOptions {
    handle_lifetime: u32,
    on_secondary_death: u32,
    queue_depth: u32,
    data_read_only: bool,
    allowed_gid: Option<u32>,
    allowed_uids: Vec<u32>,
    directory: Directory,
}

impl SetOptions {
    /// The defaults.
    pub fn new() -> SetOptions {
        SetOptions::default()
    }
    /// How long handles are good; the default is [`HandleLifetime::Lease`].
    pub fn handle_lifetime(mut self, lifetime: HandleLifetime) -> SetOptions {
        self.handle_lifetime = match lifetime {
            HandleLifetime::Lease => sys::VDSET_HANDLES_LEASE,
            HandleLifetime::Buffer => sys::VDSET_HANDLES_BUFFER,
        };
        self
    }
    /// The default is [`OnSecondaryDeath::FailsCommands`].
    pub fn on_secondary_death(mut self, what: OnSecondaryDeath) -> SetOptions {
        self.on_secondary_death = match what {
            OnSecondaryDeath::FailsCommands => sys::VDSET_DEATH_FAILS_COMMANDS,
            OnSecondaryDeath::HandsOver => sys::VDSET_DEATH_HANDS_OVER,
        };
        self
    }
    /// Commands in flight per device: a power of two, 8 to 128; the default is 16.
    pub fn queue_depth(mut self, commands: u32) -> SetOptions {
        self.queue_depth = commands;
        self
    }
    /// Clients can only read the buffers. For backup without a prefix zone.
    pub fn data_read_only(mut self, read_only: bool) -> SetOptions {
        self.data_read_only = read_only;
        self
    }
    /// Members of this group may attach, beside one's own user and root.
    pub fn allow_group(mut self, gid: u32) -> SetOptions {
        self.allowed_gid = Some(gid);
        self
    }
    /// This user may attach; up to 16.
    pub fn allow_user(mut self, uid: u32) -> SetOptions {
        self.allowed_uids.push(uid);
        self
    }
    /// Where the set's name lives, instead of the usual places.
    pub fn directory(mut self, path: impl AsRef<Path>) -> SetOptions {
        self.directory = Directory(Some(path.as_ref().to_owned()));
        self
    }

    /// Runs a call with these options in C's form, which points into this value.
    pub(crate) fn with<T>(
        &self,
        call: impl FnOnce(*const sys::vdset_set_options) -> Result<T>,
    ) -> Result<T> {
        let directory = self.directory.to_raw()?;
        call(&sys::vdset_set_options {
            struct_bytes: bytes_of::<sys::vdset_set_options>(),
            handle_lifetime: self.handle_lifetime,
            on_secondary_death: self.on_secondary_death,
            queue_depth: self.queue_depth,
            data_read_only: self.data_read_only.into(),
            allowed_gid_set: self.allowed_gid.is_some().into(),
            allowed_gid: self.allowed_gid.unwrap_or(0),
            allowed_uids_count: u32::try_from(self.allowed_uids.len()).unwrap_or(u32::MAX),
            allowed_uids: self.allowed_uids.as_ptr(),
            directory: pointer_to(&directory),
        })
    }
}

/// Options of a process that joins, as a secondary client or as the server.
#[derive(Clone, Debug, Default)]
pub struct JoinOptions {
    buffers_max: u32,
    area_bytes_max: u64,
    directory: Directory,
}

impl JoinOptions {
    /// The defaults.
    pub fn new() -> JoinOptions {
        JoinOptions::default()
    }
    /// Server: how many buffers the set may ever have, 1 to 4096; 0: twice those at the start.
    pub fn buffers_max(mut self, count: u32) -> JoinOptions {
        self.buffers_max = count;
        self
    }
    /// Server: refuse to allocate more than this for buffers; 0: what the system has.
    pub fn area_bytes_max(mut self, bytes: u64) -> JoinOptions {
        self.area_bytes_max = bytes;
        self
    }
    /// Where the set's name lives, instead of the usual places.
    pub fn directory(mut self, path: impl AsRef<Path>) -> JoinOptions {
        self.directory = Directory(Some(path.as_ref().to_owned()));
        self
    }

    /// As [`SetOptions::with`].
    pub(crate) fn with<T>(
        &self,
        call: impl FnOnce(*const sys::vdset_join_options) -> Result<T>,
    ) -> Result<T> {
        let directory = self.directory.to_raw()?;
        call(&sys::vdset_join_options {
            struct_bytes: bytes_of::<sys::vdset_join_options>(),
            buffers_max: self.buffers_max,
            area_bytes_max: self.area_bytes_max,
            directory: pointer_to(&directory),
        })
    }
}

/// What a server fixes when it begins the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    features: Features,
    block_bytes: u32,
    alignment_bytes: u32,
    max_transfer_bytes: u32,
}

impl ServerConfig {
    /// The client's features, plus WRITE_MEDIA or READ_MEDIA or both. Blocks of 512 bytes,
    /// transfers of up to 1 MiB.
    pub fn new(features: Features) -> ServerConfig {
        ServerConfig { features, block_bytes: 512, alignment_bytes: 0, max_transfer_bytes: 1 << 20 }
    }
    /// A power of two, 512 to 65536.
    pub fn block_bytes(mut self, bytes: u32) -> ServerConfig {
        self.block_bytes = bytes;
        self
    }
    /// 0: as a block; else a power of two up to 65536.
    pub fn alignment_bytes(mut self, bytes: u32) -> ServerConfig {
        self.alignment_bytes = bytes;
        self
    }
    /// A multiple of 65536, up to 4 MiB.
    pub fn max_transfer_bytes(mut self, bytes: u32) -> ServerConfig {
        self.max_transfer_bytes = bytes;
        self
    }

    pub(crate) fn to_raw(&self) -> sys::vdset_base_configuration {
        sys::vdset_base_configuration {
            struct_bytes: bytes_of::<sys::vdset_base_configuration>(),
            features: self.features.0,
            block_bytes: self.block_bytes,
            alignment_bytes: self.alignment_bytes,
            max_transfer_bytes: self.max_transfer_bytes,
        }
    }
}

/// Nanoseconds for a call in C: `None` waits until there is something to say.
#[inline]
pub(crate) fn nanoseconds(timeout: Option<Duration>) -> i64 {
    match timeout {
        None => sys::VDSET_INFINITE,
        Some(time) => i64::try_from(time.as_nanos()).unwrap_or(i64::MAX),
    }
}
