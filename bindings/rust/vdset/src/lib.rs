//! Virtual device sets in shared memory: SQL Server's Virtual Device Interface, both halves.
//!
//! A database engine, the [`Server`], backs up or restores by sending commands to virtual devices.
//! A backup agent makes the [`Set`], fetches the commands of its [`Device`]s and completes them;
//! helper processes [join](Set::join) for devices of their own, or touch the same buffers through a
//! [`BufferHandle`]. No byte is copied on the way.
//!
//! ```no_run
//! # fn main() -> vdset::Result<()> {
//! let set = vdset::Set::create("accounts", &vdset::Config::new(1))?;
//! set.configuration(None)?; // The server has come.
//! let device = set.open_device("accounts")?;
//! for command in device {
//!     match command? {
//!         vdset::Command::Write(write) => {
//!             let _bytes: &[u8] = write.data(); // To a file, say.
//!             write.complete()?;
//!         }
//!         vdset::Command::Read(read) => read.fail(vdset::CompletionCode::NOT_SUPPORTED)?,
//!         vdset::Command::Control(control) => control.complete()?,
//!     }
//! }
//! set.close()
//! # }
//! ```
//!
//! # What the types hold
//! - A fetched command is owned. It lends its buffer in the direction of the command and is
//!   completed once, by a call that consumes it; dropped before that, it completes with
//!   [`CompletionCode::OPERATION_ABORTED`].
//! - Devices, commands, handles and mapped buffers borrow the set, buffers and orders the server:
//!   closing while one is alive does not compile.
//! - No two values of one set lend the same buffer at once, whatever the peer sends or whichever
//!   handle is mapped: the second is refused.
//! - A panic in a function that the library calls does not cross it: it goes on in the Rust caller.
//!
//! # What they cannot hold
//! Buffers are shared with other processes. The protocol gives each to one process at a time, and a
//! slice lent here relies on that, as a file that was mapped relies on nobody cutting it. A process
//! that was admitted to the set and breaks the protocol can change bytes under a slice; it cannot
//! move it, or let it reach beyond its buffer. Parse what must be judged from a copy. Who passes a
//! handle on lends nothing meanwhile: take the handle, let the slice go, wait, take the slice
//! again.

#![warn(missing_docs)]
#![deny(unsafe_op_in_unsafe_fn)]

mod buffer;
mod command;
mod config;
mod device;
mod error;
mod handle;
mod hooks;
pub mod limits;
mod numbers;
mod order;
mod poll;
mod server;
mod set;

pub use buffer::Buffer;
pub use command::{Command, Control, Read, Write};
pub use config::{Config, HandleLifetime, JoinOptions, OnSecondaryDeath, ServerConfig, SetOptions};
pub use device::{Commands, Device};
pub use error::{Error, Failure, Result, SendError};
pub use handle::{BufferHandle, Mapped, MappedMut, ServerHandle};
pub use hooks::{clear_log, set_allocator, set_log, supports, version, LogLevel, Support, Version};
pub use numbers::{AbortCall, AbortReason, CommandCode, CompletionCode, Features, Loss, Role};
pub use order::{Completion, Order};
pub use poll::Pollable;
pub use server::{Completions, Server, ServerDevice};
pub use set::Set;
