//! Buffers of a set by their handles, in whichever process.

use crate::buffer::Span;
use crate::numbers::from_c_text;
use crate::server::Hub;
use crate::{Error, Result, Set};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use vdset_sys as sys;

/// The 32-bit handle of a buffer of this set, to be sent to another process of the same set as
/// [`number`](BufferHandle::number); there [`Set::handle`] makes one of it. It is bound to its set:
/// it cannot outlive it, nor be mapped in another.
///
/// ```compile_fail
/// # fn f(number: u32) -> vdset::Result<()> {
/// let set = vdset::Set::join("accounts")?;
/// let handle = set.handle(number);
/// drop(set);
/// handle.map()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy)]
pub struct BufferHandle<'set> {
    set: &'set Set,
    number: u32,
}

impl<'set> BufferHandle<'set> {
    #[inline]
    pub(crate) fn new(set: &'set Set, number: u32) -> Self {
        BufferHandle { set, number }
    }

    #[inline]
    pub(crate) fn of_buffer(set: &'set Set, buffer: &Span) -> Result<Self> {
        let mut number = 0;
        match unsafe {
            sys::vdset_set_get_buffer_handle(
                set.raw.as_ptr(),
                buffer.data.as_ptr().cast(),
                &mut number,
            )
        } {
            sys::VDSET_OK => Ok(BufferHandle { set, number }),
            code => Err(Error::handle(code)),
        }
    }

    /// What travels.
    #[inline]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// VDI's MapBufferHandle: the whole buffer, to read. [`Error::Invalid`]: stale, freed, forged
    /// or of another set. [`Error::Busy`]: a command or another mapping of this set lends the
    /// buffer in this very process.
    ///
    /// The process that fetched the command completes it when its helpers are done: drop the
    /// mapping before you tell it.
    #[inline]
    pub fn map(&self) -> Result<Mapped<'set>> {
        let mut data = ptr::null_mut();
        match unsafe {
            sys::vdset_set_map_buffer_handle(self.set.raw.as_ptr(), self.number, &mut data)
        } {
            sys::VDSET_OK => {}
            code => return Err(Error::handle(code)),
        }
        let data = NonNull::new(data.cast()).expect("a buffer that was mapped");
        let span = self.set.describe(data)?;
        if !self.set.lent.take(span.number) {
            return Err(Error::here(
                sys::VDSET_E_BUSY,
                "the buffer is lent already, to a command or a mapping of this process",
            ));
        }
        Ok(Mapped { set: self.set, span })
    }

    /// As [`map`](BufferHandle::map), to read and to write. [`Error::NotSupported`]: this process
    /// can only read the buffers
    /// ([`SetOptions::data_read_only`](crate::SetOptions::data_read_only)).
    #[inline]
    pub fn map_mut(&self) -> Result<MappedMut<'set>> {
        let mapped = self.map()?;
        if mapped.span.is_read_only() {
            return Err(Error::here(
                sys::VDSET_E_NOTSUPPORTED,
                "the buffers of this set are read-only for its clients",
            ));
        }
        Ok(MappedMut(mapped))
    }

    /// Why the handle does or does not resolve, as a sentence.
    pub fn explain(&self) -> Result<String> {
        let mut text = [0; 256];
        match unsafe {
            sys::vdset_set_explain_handle(
                self.set.raw.as_ptr(),
                self.number,
                text.as_mut_ptr(),
                text.len() as u32,
            )
        } {
            sys::VDSET_OK | sys::VDSET_E_INVALID => Ok(from_c_text(&text)),
            code => Err(Error::last(code)),
        }
    }
}

impl fmt::Debug for BufferHandle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BufferHandle({:#010x})", self.number)
    }
}

/// The handle of a buffer in the server's process, from [`Buffer::handle`](crate::Buffer::handle),
/// or from a number that a client has sent, by [`Server::handle`](crate::Server::handle). It is
/// bound to its server, and of another type than a client's, whose mappings are lent.
///
/// ```compile_fail
/// # fn f(number: u32) -> vdset::Result<()> {
/// let server = vdset::Server::open("accounts")?;
/// let handle = server.handle(number);
/// server.close()?;
/// handle.map()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy)]
pub struct ServerHandle<'srv> {
    hub: &'srv Hub,
    number: u32,
}

impl<'srv> ServerHandle<'srv> {
    #[inline]
    pub(crate) fn new(hub: &'srv Hub, number: u32) -> Self {
        ServerHandle { hub, number }
    }

    #[inline]
    pub(crate) fn of_buffer(hub: &'srv Hub, buffer: &Span) -> Result<Self> {
        let mut number = 0;
        match unsafe {
            sys::vdset_server_get_buffer_handle(
                hub.raw.as_ptr(),
                buffer.data.as_ptr().cast(),
                &mut number,
            )
        } {
            sys::VDSET_OK => Ok(ServerHandle { hub, number }),
            code => Err(Error::handle(code)),
        }
    }

    /// What travels; [`Set::handle`] makes a client's handle of it.
    #[inline]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// VDI's MapBufferHandle. [`Error::Invalid`]: stale, freed, forged or of another set. The bytes
    /// are a [`Buffer`](crate::Buffer)'s, an order's that is under way, or a client's just now: so
    /// a pointer, not a slice.
    #[inline]
    pub fn map(&self) -> Result<NonNull<u8>> {
        let mut data = ptr::null_mut();
        match unsafe {
            sys::vdset_server_map_buffer_handle(self.hub.raw.as_ptr(), self.number, &mut data)
        } {
            sys::VDSET_OK => Ok(NonNull::new(data.cast()).expect("a buffer that was mapped")),
            code => Err(Error::handle(code)),
        }
    }
}

impl fmt::Debug for ServerHandle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerHandle({:#010x})", self.number)
    }
}

/// A buffer that was mapped by its handle, to read.
pub struct Mapped<'set> {
    set: &'set Set,
    span: Span,
}

/// A buffer that was mapped by its handle, to read and to write.
pub struct MappedMut<'set>(Mapped<'set>);

// The only value with these bytes in this set.
unsafe impl Send for Mapped<'_> {}
unsafe impl Sync for Mapped<'_> {}

impl Deref for Mapped<'_> {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        unsafe { self.span.data(self.span.bytes()) }
    }
}
impl Drop for Mapped<'_> {
    #[inline]
    fn drop(&mut self) {
        self.set.lent.give_back(self.span.number);
    }
}
impl Deref for MappedMut<'_> {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}
impl DerefMut for MappedMut<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        unsafe { self.0.span.data_mut(self.0.span.bytes()) }
    }
}
impl fmt::Debug for Mapped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapped({} bytes)", self.span.bytes())
    }
}
impl fmt::Debug for MappedMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MappedMut({} bytes)", self.0.span.bytes())
    }
}
