//! Descriptors for event loops.

use crate::error::check;
use crate::Result;
use std::fmt;
use std::marker::PhantomData;
use std::os::unix::io::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr::NonNull;
use vdset_sys as sys;

/// Whose descriptor it is.
#[derive(Clone, Copy)]
pub(crate) enum Armed {
    Device(NonNull<sys::vdset_device>),
    Set(NonNull<sys::vdset_set>),
    Server(NonNull<sys::vdset_server>),
}

/// The descriptor of a device, a set or a server, for epoll, mio, tokio's `AsyncFd` and the like.
///
/// Add it once for reading, level or edge triggered. Then, again and again: take what there is
/// ([`Device::try_fetch`](crate::Device::try_fetch) and its like) until there is nothing, [`arm`],
/// and return to the loop until the descriptor is readable. It becomes readable at most once
/// after each `arm`. Never read, write or close it. It is closed with its set or server, which it
/// borrows.
///
/// [`arm`]: Pollable::arm
#[derive(Clone, Copy)]
pub struct Pollable<'a> {
    descriptor: RawFd,
    of: Armed,
    _open: PhantomData<&'a ()>,
}

// Arming is a call from any thread.
unsafe impl Send for Pollable<'_> {}
unsafe impl Sync for Pollable<'_> {}

impl<'a> Pollable<'a> {
    pub(crate) fn new(of: Armed, call: impl FnOnce(*mut sys::c_int) -> i32) -> Result<Self> {
        let mut descriptor = -1;
        check(call(&mut descriptor))?;
        Ok(Pollable { descriptor, of, _open: PhantomData })
    }

    /// Makes the descriptor unreadable, until there is something to take; if there is already, it
    /// is readable when this returns. [`Error::Busy`](crate::Error::Busy): a thread waits for the
    /// same.
    pub fn arm(&self) -> Result<()> {
        // Alive: its set or server is borrowed.
        check(unsafe {
            match self.of {
                Armed::Device(device) => sys::vdset_device_arm(device.as_ptr()),
                Armed::Set(set) => sys::vdset_set_arm(set.as_ptr()),
                Armed::Server(server) => sys::vdset_server_arm(server.as_ptr()),
            }
        })
    }

    /// The descriptor, for as long as the set or server is borrowed.
    pub fn descriptor(&self) -> BorrowedFd<'a> {
        unsafe { BorrowedFd::borrow_raw(self.descriptor) }
    }
}

impl AsFd for Pollable<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor()
    }
}
impl AsRawFd for Pollable<'_> {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor
    }
}
impl fmt::Debug for Pollable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pollable({})", self.descriptor)
    }
}
