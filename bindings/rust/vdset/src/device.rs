//! Devices of a client.

use crate::config::nanoseconds;
use crate::error::check;
use crate::poll::{Armed, Pollable};
use crate::{Command, Error, Result, Set};
use std::fmt;
use std::ptr::{self, NonNull};
use std::time::Duration;
use vdset_sys as sys;

/// A device that was opened. Copies are the same device; it ends with its set.
///
/// It iterates: `for command in device` goes on until the server closes the device.
#[derive(Clone, Copy)]
pub struct Device<'set> {
    pub(crate) set: &'set Set,
    pub(crate) raw: NonNull<sys::vdset_device>,
}

// The library refuses a second thread that fetches; all other calls come from any.
unsafe impl Send for Device<'_> {}
unsafe impl Sync for Device<'_> {}

impl<'set> Device<'set> {
    pub(crate) fn new(set: &'set Set, raw: NonNull<sys::vdset_device>) -> Self {
        Device { set, raw }
    }

    /// VDI's GetCommand: the next command, in the order sent. Several may be fetched before one is
    /// completed. One thread at a time: [`Error::Busy`] for a second.
    ///
    /// [`Error::Close`] is the normal end; [`Error::Abort`]: ask the set for the reason.
    #[inline]
    pub fn fetch(&self, timeout: Option<Duration>) -> Result<Command<'set>> {
        let mut command = ptr::null();
        match unsafe {
            sys::vdset_device_get_command(self.raw.as_ptr(), nanoseconds(timeout), &mut command)
        } {
            sys::VDSET_OK => {
                Command::take(*self, NonNull::new(command as *mut _).expect("a command"))
            }
            code => Err(Error::waited(code)),
        }
    }

    /// The next command, if one is there.
    pub fn try_fetch(&self) -> Result<Option<Command<'set>>> {
        match self.fetch(Some(Duration::ZERO)) {
            Ok(command) => Ok(Some(command)),
            Err(Error::Timeout(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Commands until the server closes the device, or until an error, which comes last.
    pub fn commands(&self) -> Commands<'set> {
        Commands { device: *self, ended: false }
    }

    /// Ends one wait of another thread with [`Error::Interrupted`]: the one under way, or else the
    /// next.
    pub fn interrupt(&self) -> Result<()> {
        check(unsafe { sys::vdset_device_interrupt(self.raw.as_ptr()) })
    }

    /// For event loops: readable when [`fetch`](Device::fetch) would say something.
    pub fn pollable(&self) -> Result<Pollable<'set>> {
        Pollable::new(Armed::Device(self.raw), |out| unsafe {
            sys::vdset_device_get_descriptor(self.raw.as_ptr(), out)
        })
    }
}

impl fmt::Debug for Device<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({:p})", self.raw)
    }
}

/// The commands of a device: see [`Device::commands`].
#[derive(Debug)]
pub struct Commands<'set> {
    device: Device<'set>,
    ended: bool,
}

impl<'set> Iterator for Commands<'set> {
    type Item = Result<Command<'set>>;
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.device.fetch(None);
        self.ended = next.is_err();
        match next {
            Err(Error::Close(_)) => None,
            next => Some(next),
        }
    }
}
impl std::iter::FusedIterator for Commands<'_> {}

impl<'set> IntoIterator for Device<'set> {
    type Item = Result<Command<'set>>;
    type IntoIter = Commands<'set>;
    fn into_iter(self) -> Commands<'set> {
        self.commands()
    }
}
impl<'set> IntoIterator for &Device<'set> {
    type Item = Result<Command<'set>>;
    type IntoIter = Commands<'set>;
    fn into_iter(self) -> Commands<'set> {
        self.commands()
    }
}
