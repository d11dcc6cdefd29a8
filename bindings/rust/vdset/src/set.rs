//! The set of a client, primary or secondary.

use crate::buffer::{Known, Lent, Span};
use crate::config::nanoseconds;
use crate::error::check;
use crate::numbers::c_text;
use crate::poll::{Armed, Pollable};
use crate::{AbortReason, BufferHandle, Config, Device, JoinOptions, Loss, Result, SetOptions};
use std::fmt;
use std::mem;
use std::ptr::{self, NonNull};
use std::time::Duration;
use vdset_sys as sys;

/// A virtual device set, in the process of one of its clients. All calls from any thread.
///
/// Dropping it closes it; [`close`](Set::close) tells how that went.
pub struct Set {
    pub(crate) raw: NonNull<sys::vdset_set>,
    /// Which buffers are lent to a value of this set.
    pub(crate) lent: Lent,
    known: Known,
}

// The library takes calls on a set from any thread at once, and closing borrows it for nobody else.
unsafe impl Send for Set {}
unsafe impl Sync for Set {}

impl Set {
    /// VDI's Create: makes a set under `name`, which is also the first device's name.
    pub fn create(name: impl AsRef<[u8]>, wish: &Config) -> Result<Set> {
        Set::create_with(name, wish, &SetOptions::new())
    }

    /// [`create`](Set::create) with options.
    pub fn create_with(name: impl AsRef<[u8]>, wish: &Config, options: &SetOptions) -> Result<Set> {
        let name = c_text(name.as_ref(), "name")?;
        options.with(|options| {
            Set::open(|out| {
                // All point to what lives until the call is over.
                unsafe { sys::vdset_set_create(name.as_ptr(), &wish.to_raw(), options, out) }
            })
        })
    }

    /// VDI's OpenInSecondary: joins a set of another process, once its server has configured it.
    pub fn join(name: impl AsRef<[u8]>) -> Result<Set> {
        Set::join_with(name, &JoinOptions::new())
    }

    /// [`join`](Set::join) with options.
    pub fn join_with(name: impl AsRef<[u8]>, options: &JoinOptions) -> Result<Set> {
        let name = c_text(name.as_ref(), "name")?;
        options.with(|options| {
            // As above.
            Set::open(|out| unsafe {
                sys::vdset_set_open_in_secondary(name.as_ptr(), options, out)
            })
        })
    }

    fn open(call: impl FnOnce(*mut *mut sys::vdset_set) -> i32) -> Result<Set> {
        let mut raw = ptr::null_mut();
        check(call(&mut raw))?;
        let raw = NonNull::new(raw).expect("a set that was opened");
        Ok(Set { raw, lent: Lent::new(), known: Known::new() })
    }

    /// VDI's GetConfiguration: waits until the server has configured the set. Any number of
    /// threads; afterwards at once.
    pub fn configuration(&self, timeout: Option<Duration>) -> Result<Config> {
        Config::ask(|out| unsafe {
            sys::vdset_set_get_configuration(self.raw.as_ptr(), nanoseconds(timeout), out)
        })
    }

    /// VDI's OpenDevice: opens a device that the server has named; the first has the set's name.
    /// Waits at most 10 s for the name to come.
    pub fn open_device(&self, name: impl AsRef<[u8]>) -> Result<Device<'_>> {
        let name = c_text(name.as_ref(), "name")?;
        let mut raw = ptr::null_mut();
        check(unsafe { sys::vdset_set_open_device(self.raw.as_ptr(), name.as_ptr(), &mut raw) })?;
        Ok(Device::new(self, NonNull::new(raw).expect("a device that was opened")))
    }

    /// A handle that another process of this set has sent. Whether it is good shows when it is
    /// mapped.
    #[inline]
    pub fn handle(&self, number: u32) -> BufferHandle<'_> {
        BufferHandle::new(self, number)
    }

    /// VDI's SignalAbort: ends the set for everyone at once, with a code and up to 127 bytes of
    /// text.
    pub fn signal_abort(&self, code: i32, text: &str) -> Result<()> {
        let text = c_text(text.as_bytes(), "text")?;
        check(unsafe { sys::vdset_set_signal_abort(self.raw.as_ptr(), code, text.as_ptr()) })
    }

    /// Who aborted the set, and why. [`Error::Protocol`](crate::Error::Protocol): it is not
    /// aborted.
    pub fn abort_reason(&self) -> Result<AbortReason> {
        AbortReason::ask(|out| unsafe { sys::vdset_set_get_abort_reason(self.raw.as_ptr(), out) })
    }

    /// Which secondary client was lost, by number; 0 the latest. For the primary.
    /// [`Error::Protocol`](crate::Error::Protocol): none so far;
    /// [`Error::Invalid`](crate::Error::Invalid): no such number, or forgotten.
    pub fn loss(&self, number: u32) -> Result<Loss> {
        Loss::ask(|out| unsafe { sys::vdset_set_get_loss(self.raw.as_ptr(), number, out) })
    }

    /// For event loops: readable when [`configuration`](Set::configuration) would say something,
    /// and once it has, when the set is aborted.
    pub fn pollable(&self) -> Result<Pollable<'_>> {
        Pollable::new(Armed::Set(self.raw), |out| unsafe {
            sys::vdset_set_get_descriptor(self.raw.as_ptr(), out)
        })
    }

    /// VDI's Close. Always closes; [`Error::Open`](crate::Error::Open): a device had not yet told
    /// CLOSE.
    pub fn close(self) -> Result<()> {
        let raw = self.raw;
        // Frees what Drop would, but for the set itself.
        let mut this = mem::ManuallyDrop::new(self);
        unsafe {
            ptr::drop_in_place(&mut this.lent);
            ptr::drop_in_place(&mut this.known);
        }
        check(unsafe { sys::vdset_set_close(raw.as_ptr()) })
    }

    /// The buffer whose data starts there.
    #[inline]
    pub(crate) fn describe(&self, data: NonNull<u8>) -> Result<Span> {
        match self.known.find(data) {
            Some(span) => Ok(span),
            None => self.ask(data),
        }
    }
    #[cold]
    fn ask(&self, data: NonNull<u8>) -> Result<Span> {
        let span = Span::ask(data, |data, out| unsafe {
            sys::vdset_set_describe_buffer(self.raw.as_ptr(), data, out)
        })?;
        self.known.add(&span);
        Ok(span)
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        // Nobody borrows the set any more. How it went is what `close` is for.
        unsafe { sys::vdset_set_close(self.raw.as_ptr()) };
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Set({:p})", self.raw)
    }
}
