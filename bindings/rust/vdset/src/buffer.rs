//! Where buffers lie, to whom they are lent in this process, and the buffers of a server.

use crate::server::Hub;
use crate::{Error, Result, ServerHandle};
use std::ffi::c_void;
use std::fmt;
use std::mem::size_of;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
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
    /// The buffer whose data starts there, as a call describes it.
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
            sys::VDSET_OK => Ok(Span {
                data,
                bytes: out.data_bytes,
                prefix: out.prefix_bytes,
                number: out.number,
                read_only: out.read_only,
            }),
            code => Err(Error::last(code)),
        }
    }
    #[inline]
    pub fn is_read_only(&self) -> bool {
        self.read_only != 0
    }
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes as usize
    }
    #[inline]
    fn prefix_start(&self) -> *mut u8 {
        // Inside the mapping: prefix_bytes lie before each data start.
        unsafe { self.data.as_ptr().sub(self.prefix as usize) }
    }

    /// The first `bytes` of the data.
    ///
    /// # Safety
    /// For as long as 'a the buffer is mapped, and nothing in this process writes to it.
    #[inline]
    pub unsafe fn data<'a>(&self, bytes: usize) -> &'a [u8] {
        unsafe { slice::from_raw_parts(self.data.as_ptr(), bytes.min(self.bytes())) }
    }
    /// # Safety
    /// As for `data`; also that nothing else in this process reads it, and that it is not
    /// read-only.
    #[inline]
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

/// Buffers that the library has described once, by their addresses: what it said stays true as long
/// as the set lives, and asking again would be most of what a handle costs. Each place is written
/// once; a buffer whose place is another's is asked for each time.
pub(crate) struct Known(Box<[Place]>);

#[derive(Default)]
struct Place {
    /// 0: free; 1: being written; else an address, after which the rest does not change.
    data: AtomicUsize,
    bytes: AtomicU32,
    prefix: AtomicU32,
    number: AtomicU32,
    read_only: AtomicU32,
}

impl Known {
    const PLACES_LOG2: u32 = 10;

    pub fn new() -> Known {
        Known((0..1 << Known::PLACES_LOG2).map(|_| Place::default()).collect())
    }
    #[inline]
    fn place(&self, data: NonNull<u8>) -> &Place {
        // Addresses of buffers differ by whole pages, in all kinds of patterns.
        let mixed = (data.as_ptr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &self.0[(mixed >> (64 - Known::PLACES_LOG2)) as usize]
    }
    #[inline]
    pub fn find(&self, data: NonNull<u8>) -> Option<Span> {
        let place = self.place(data);
        if place.data.load(Ordering::Acquire) != data.as_ptr() as usize {
            return None;
        }
        Some(Span {
            data,
            bytes: place.bytes.load(Ordering::Relaxed),
            prefix: place.prefix.load(Ordering::Relaxed),
            number: place.number.load(Ordering::Relaxed),
            read_only: place.read_only.load(Ordering::Relaxed),
        })
    }
    pub fn add(&self, span: &Span) {
        let place = self.place(span.data);
        if place.data.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        place.bytes.store(span.bytes, Ordering::Relaxed);
        place.prefix.store(span.prefix, Ordering::Relaxed);
        place.number.store(span.number, Ordering::Relaxed);
        place.read_only.store(span.read_only, Ordering::Relaxed);
        place.data.store(span.data.as_ptr() as usize, Ordering::Release);
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

impl<'srv> Buffer<'srv> {
    /// How large it could be: the size of its class.
    pub fn capacity(&self) -> usize {
        self.span.bytes()
    }
    /// VDI's GetBufferHandle in the server's process. [`Error::Invalid`]: the set lends handles for
    /// a lease ([`HandleLifetime::Lease`](crate::HandleLifetime), the default): the buffer has one
    /// only while an order with it is under way, and there the client asks its command for it.
    #[inline]
    pub fn handle(&self) -> Result<ServerHandle<'srv>> {
        ServerHandle::of_buffer(self.hub, &self.span)
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
