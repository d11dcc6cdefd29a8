//! The library as a whole: its version, what it can do, its log and its memory.

use crate::error::check;
use crate::{Error, Result};
use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{c_void, CStr};
use std::mem::{align_of, size_of};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use vdset_sys as sys;

/// A version of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Changes when programs must be built anew.
    pub major: u8,
    /// Changes when there are new calls.
    pub minor: u8,
    /// Changes with everything else.
    pub patch: u8,
}

impl Version {
    /// The version that this crate was written for; the library that runs may be a later one.
    pub const OF_CRATE: Version = Version {
        major: sys::VDSET_VERSION_MAJOR as u8,
        minor: sys::VDSET_VERSION_MINOR as u8,
        patch: sys::VDSET_VERSION_PATCH as u8,
    };
}

/// The version of the library that is running.
pub fn version() -> Version {
    let number = unsafe { sys::vdset_version() };
    Version { major: (number >> 16) as u8, minor: (number >> 8) as u8, patch: number as u8 }
}

/// What a library, or the kernel under it, may or may not be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Support {
    /// [`Pollable`](crate::Pollable).
    Descriptors,
    /// [`set_allocator`].
    Allocator,
    /// [`set_log`].
    Log,
    /// One thread serves all descriptors of a set.
    WaitMany,
    /// Peers in foreign pid namespaces are admitted.
    PeerPidfd,
    /// A hostile client cannot map the server's words writable.
    SealWriters,
}

/// Whether it is there.
pub fn supports(what: Support) -> bool {
    let number = match what {
        Support::Descriptors => sys::VDSET_SUPPORT_DESCRIPTORS,
        Support::Allocator => sys::VDSET_SUPPORT_ALLOCATOR,
        Support::Log => sys::VDSET_SUPPORT_LOG,
        Support::WaitMany => sys::VDSET_SUPPORT_WAIT_MANY,
        Support::PeerPidfd => sys::VDSET_SUPPORT_PEER_PIDFD,
        Support::SealWriters => sys::VDSET_SUPPORT_SEAL_WRITERS,
    };
    unsafe { sys::vdset_supports(number) == 1 }
}

/// How grave a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// A set ended before its time.
    Error,
    /// A peer died, left or was refused; a fallback is used.
    Warning,
    /// Sets and peers come and go.
    Info,
    /// All there is.
    Debug,
}

type Log = Box<dyn Fn(LogLevel, &str) + Send + Sync>;

/// The function that the library calls, at one address.
struct Current(*mut Log);
unsafe impl Send for Current {}
static LOG: Mutex<Current> = Mutex::new(Current(ptr::null_mut()));

unsafe extern "C" fn write_log(level: u32, text: *const sys::c_char, context: *mut c_void) {
    let level = match level {
        sys::VDSET_LOG_ERROR => LogLevel::Error,
        sys::VDSET_LOG_WARNING => LogLevel::Warning,
        sys::VDSET_LOG_INFO => LogLevel::Info,
        _ => LogLevel::Debug,
    };
    // Both live during the call. A panic has been shown by its hook, and ends here.
    let result = catch_unwind(AssertUnwindSafe(|| unsafe {
        let text = CStr::from_ptr(text).to_string_lossy();
        (*context.cast::<Log>())(level, &text);
    }));
    if let Err(panic) = result {
        crate::order::discard_panic(panic);
    }
}

/// Sets the log of this process, for all lines up to a level. It is called from any thread, one
/// line at a time, with locks of the library held: it must call nothing of this crate, nor wait for
/// a thread that does. When this returns the log before is not running and will not be called
/// again.
pub fn set_log(
    level: LogLevel,
    call: impl Fn(LogLevel, &str) + Send + Sync + 'static,
) -> Result<()> {
    let level = match level {
        LogLevel::Error => sys::VDSET_LOG_ERROR,
        LogLevel::Warning => sys::VDSET_LOG_WARNING,
        LogLevel::Info => sys::VDSET_LOG_INFO,
        LogLevel::Debug => sys::VDSET_LOG_DEBUG,
    };
    replace_log(level, Some(Box::new(call)))
}

/// Ends the log.
pub fn clear_log() -> Result<()> {
    replace_log(sys::VDSET_LOG_OFF, None)
}

fn replace_log(level: u32, call: Option<Log>) -> Result<()> {
    let next = call.map_or(ptr::null_mut(), |call| Box::into_raw(Box::new(call)));
    let function: Option<sys::vdset_log> =
        if next.is_null() { None } else { Some(write_log as sys::vdset_log) };
    let mut current = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let result = check(unsafe { sys::vdset_library_set_log(level, function, next.cast()) });
    let unused = if result.is_ok() { std::mem::replace(&mut current.0, next) } else { next };
    drop(current);
    if !unused.is_null() {
        // Made above, by this call or the one before, and not in use any more.
        drop(unsafe { Box::from_raw(unused) });
    }
    result
}

/// Room before each block for its size, and the alignment of all.
const HEADER: usize = 16;
const _: () = assert!(HEADER >= size_of::<usize>() && HEADER >= align_of::<u64>());

unsafe extern "C" fn allocate<A: GlobalAlloc>(context: *mut c_void, bytes: usize) -> *mut c_void {
    let all = bytes.checked_add(HEADER);
    let layout = match all.map(|all| Layout::from_size_align(all, HEADER)) {
        Some(Ok(layout)) => layout,
        _ => return ptr::null_mut(),
    };
    unsafe {
        let block = (*context.cast::<A>()).alloc(layout);
        if block.is_null() {
            return ptr::null_mut();
        }
        block.cast::<usize>().write(layout.size());
        block.add(HEADER).cast()
    }
}

unsafe extern "C" fn release<A: GlobalAlloc>(context: *mut c_void, memory: *mut c_void) {
    unsafe {
        let block = memory.cast::<u8>().sub(HEADER);
        let layout = Layout::from_size_align_unchecked(block.cast::<usize>().read(), HEADER);
        (*context.cast::<A>()).dealloc(block, layout);
    }
}

/// Lets the library take the memory of its own objects from an allocator of Rust's, such as
/// `&System`. Buffers are shared memory and never come from it. [`Error::Protocol`]: the library
/// has memory already.
///
/// # Safety
/// No other call of this library is under way, in any thread. The allocator does not unwind, and
/// calls nothing of this crate.
pub unsafe fn set_allocator<A: GlobalAlloc + Sync>(allocator: &'static A) -> Result<()> {
    let context: *const A = allocator;
    let hooks = sys::vdset_allocator {
        struct_bytes: size_of::<sys::vdset_allocator>() as u32,
        reserved: 0,
        context: context as *mut c_void,
        allocate: Some(allocate::<A>),
        release: Some(release::<A>),
    };
    match unsafe { sys::vdset_library_set_allocator(&hooks) } {
        sys::VDSET_OK => Ok(()),
        code => Err(Error::last(code)),
    }
}
