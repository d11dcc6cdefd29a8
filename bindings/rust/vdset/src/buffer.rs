//! Where buffers lie, to whom they are lent in this process, and the buffers of a server.

use crate::server::Hub;
use crate::{Error, Result};
use std::ffi::c_void;
use std::fmt;
use std::mem::size_of;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use vdset_sys as sys;

/// One buffer as it is mapped here: `prefix` bytes, then `bytes` of data. Mapped until its set or
/// server is closed.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub data: NonNull<u8>,
    bytes: u32,
    prefix: u32,
    pub number: u32,
    /// 1 or 0.
    read_only: u32,
}

impl Span {
    #[inline(always)]
    fn new(data: NonNull<u8>, described: &sys::vdset_buffer) -> Span {
        // One by one, as they were written a moment ago: a wider load would wait for the stores.
        let read = |field: &u32| unsafe { ptr::read_volatile(field) };
        Span {
            data,
            bytes: read(&described.data_bytes),
            prefix: read(&described.prefix_bytes),
            number: read(&described.number),
            read_only: read(&described.read_only),
        }
    }
    /// The buffer whose data starts there, as a call describes it.
    #[inline(always)]
    pub fn ask(
        data: NonNull<u8>,
        call: impl FnOnce(*const c_void, *mut sys::vdset_buffer) -> i32,
    ) -> Result<Span> {
        let mut out = sys::vdset_buffer {
            struct_bytes: size_of::<sys::vdset_buffer>() as u32,
            number: 0,
            data_bytes: 0,
            prefix_bytes: 0,
            read_only: 0,
        };
        match call(data.as_ptr().cast(), &mut out) {
            sys::VDSET_OK => Ok(Span::new(data, &out)),
            code => Err(Error::last(code)),
        }
    }
    pub fn is_read_only(&self) -> bool {
        self.read_only != 0
    }
    pub fn bytes(&self) -> usize {
        self.bytes as usize
    }
    fn prefix_start(&self) -> *mut u8 {
        // Inside the mapping: prefix_bytes lie before each data start.
        unsafe { self.data.as_ptr().sub(self.prefix as usize) }
    }

    /// The first `bytes` of the data.
    ///
    /// # Safety
    /// For as long as 'a the buffer is mapped, and nothing in this process writes to it.
    pub unsafe fn data<'a>(&self, bytes: usize) -> &'a [u8] {
        unsafe { slice::from_raw_parts(self.data.as_ptr(), bytes.min(self.bytes())) }
    }
    /// # Safety
    /// As for `data`; also that nothing else in this process reads it, and that it is not
    /// read-only.
    pub unsafe fn data_mut<'a>(&self, bytes: usize) -> &'a mut [u8] {
        unsafe { slice::from_raw_parts_mut(self.data.as_ptr(), bytes.min(self.bytes())) }
    }
    /// # Safety
    /// As for `data_mut`; the data is not touched. A read-only set has no prefix zone.
    pub unsafe fn prefix_mut<'a>(&self) -> &'a mut [u8] {
        unsafe { slice::from_raw_parts_mut(self.prefix_start(), self.prefix as usize) }
    }
    /// Prefix and data as one.
    ///
    /// # Safety
    /// As for `data`.
    pub unsafe fn whole<'a>(&self, bytes: usize) -> &'a [u8] {
        unsafe {
            slice::from_raw_parts(
                self.prefix_start(),
                self.prefix as usize + bytes.min(self.bytes()),
            )
        }
    }
}

/// Which buffers of a set are lent to a value of this process. The library's numbers of buffers are
/// what makes two slices of the same bytes impossible, also where a peer sends one buffer twice.
pub(crate) struct Lent(Box<[AtomicBool]>);

impl Lent {
    pub fn new() -> Lent {
        Lent((0..sys::VDSET_BUFFERS_MAX).map(|_| AtomicBool::new(false)).collect())
    }
    /// Whether the buffer was free, and now is not. The owner before is done with it.
    #[inline]
    pub fn take(&self, number: u32) -> bool {
        match self.0.get(number as usize) {
            Some(flag) => !flag.swap(true, Ordering::Acquire),
            None => false,
        }
    }
    #[inline]
    pub fn give_back(&self, number: u32) {
        self.0[number as usize].store(false, Ordering::Release);
    }
}

/// A buffer of a server, from [`Server::allocate`](crate::Server::allocate). It is shared memory;
/// the clients see it once an [`Order`](crate::Order) with it is sent. Dropping it frees it.
pub struct Buffer<'srv> {
    pub(crate) hub: &'srv Hub,
    pub(crate) span: Span,
    pub(crate) bytes: usize,
}

// It is the only value with these bytes, as a Box is.
unsafe impl Send for Buffer<'_> {}
unsafe impl Sync for Buffer<'_> {}

impl Buffer<'_> {
    /// How large it could be: the size of its class.
    pub fn capacity(&self) -> usize {
        self.span.bytes()
    }
}

impl Deref for Buffer<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        unsafe { self.span.data(self.bytes) }
    }
}
impl DerefMut for Buffer<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        unsafe { self.span.data_mut(self.bytes) }
    }
}
impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        self.hub.free(&self.span);
    }
}
impl fmt::Debug for Buffer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} of {} bytes)", self.bytes, self.span.bytes())
    }
}
