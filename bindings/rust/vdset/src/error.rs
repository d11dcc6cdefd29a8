//! Errors: VDI's codes as an enum, with the library's words.

use crate::Order;
use std::borrow::Cow;
use std::ffi::CStr;
use std::fmt;
use vdset_sys as sys;

/// What a call of this crate gives.
pub type Result<T> = std::result::Result<T, Error>;

/// The code of an error, and what the library said about it: what, where, and what to do.
#[derive(Clone)]
pub struct Failure {
    code: i32,
    words: Cow<'static, str>,
}

impl Failure {
    /// VDI's number, for example `0x80770004u32 as i32`.
    pub fn code(&self) -> i32 {
        self.code
    }
    /// For people.
    pub fn words(&self) -> &str {
        &self.words
    }
    /// The code's name in `vdset.h`, for example `VDSET_E_ABORT`.
    pub fn name(&self) -> &'static str {
        // Never NULL, never freed, ASCII.
        let name = unsafe { CStr::from_ptr(sys::vdset_error_name(self.code)) };
        name.to_str().unwrap_or("unknown")
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:#010x}: {}", self.name(), self.code, self.words)
    }
}

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $code:ident, $words:literal;)*) => {
        /// Why a call failed. Each variant has its VDI code inside, see [`Failure`].
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum Error {
            $($(#[$doc])* $name(Failure),)*
            /// A code that this version of the crate does not know.
            Other(Failure),
        }

        impl Error {
            fn with(code: i32, words: Option<Cow<'static, str>>) -> Error {
                let found = |usual| Failure { code, words: words.unwrap_or(Cow::Borrowed(usual)) };
                match code {
                    $(sys::$code => Error::$name(found($words)),)*
                    _ => Error::Other(found("an unknown code")),
                }
            }

            /// The code and the words.
            pub fn failure(&self) -> &Failure {
                match self {
                    $(Error::$name(failure) => failure,)*
                    Error::Other(failure) => failure,
                }
            }
        }
    };
}

errors! {
    /// The object is closed, or belongs to the parent of this forked process.
    NotOpen = VDSET_E_NOTOPEN, "the object is closed";
    /// The time is up; nothing has changed, call again.
    Timeout = VDSET_E_TIMEOUT, "the time is up";
    /// The set is aborted: ask for the reason, then close.
    Abort = VDSET_E_ABORT, "the set is aborted";
    /// Not admitted, or a directory that cannot be trusted.
    Security = VDSET_E_SECURITY, "not admitted";
    /// A bad parameter.
    Invalid = VDSET_E_INVALID, "refused";
    /// Never given by this library; VDI has it.
    InstanceName = VDSET_E_INSTANCE_NAME, "instance name";
    /// A configuration or access that is not possible.
    NotSupported = VDSET_E_NOTSUPPORTED, "not supported";
    /// Not enough memory: ask for less and call again.
    Memory = VDSET_E_MEMORY, "not enough memory";
    /// The system refused something.
    Unexpected = VDSET_E_UNEXPECTED, "the system refused something";
    /// Not callable in this state, or the name is in use.
    Protocol = VDSET_E_PROTOCOL, "not callable in this state";
    /// All devices are open; or some still were, at close.
    Open = VDSET_E_OPEN, "all devices are open";
    /// The server closed the device, every command was delivered: the normal end.
    Close = VDSET_E_CLOSE, "the device is closed";
    /// Another thread is in this call, or another value lends the same buffer.
    Busy = VDSET_E_BUSY, "another thread is in this call";
    /// Too many commands are under way on the device: wait for a completion.
    QueueFull = VDSET_E_QUEUE_FULL, "the device's ring is full";
    /// The device is in error: send ClearError.
    IoError = VDSET_E_IO_ERROR, "the device is in IO-ERROR";
    /// [`Device::interrupt`](crate::Device::interrupt) ended the wait.
    Interrupted = VDSET_E_INTERRUPTED, "the wait was interrupted";
}

impl Error {
    /// After a call that has left words.
    #[cold]
    pub(crate) fn last(code: i32) -> Error {
        // This thread's, and copied before its next call.
        let words = unsafe { CStr::from_ptr(sys::vdset_last_error()) };
        Error::with(code, Some(Cow::Owned(words.to_string_lossy().into_owned())))
    }

    /// After a wait, whose usual ends leave no words.
    #[cold]
    pub(crate) fn waited(code: i32) -> Error {
        match code {
            sys::VDSET_E_TIMEOUT | sys::VDSET_E_CLOSE | sys::VDSET_E_INTERRUPTED => {
                Error::with(code, None)
            }
            _ => Error::last(code),
        }
    }

    /// After a call about a handle, whose refusals leave no words so that they are cheap.
    #[cold]
    pub(crate) fn handle(code: i32) -> Error {
        match code {
            sys::VDSET_E_INVALID => {
                Error::with(code, Some(Cow::Borrowed("no handle that is good now")))
            }
            _ => Error::last(code),
        }
    }

    /// Found by this crate.
    #[cold]
    pub(crate) fn here(code: i32, words: impl Into<Cow<'static, str>>) -> Error {
        Error::with(code, Some(words.into()))
    }

    /// VDI's number.
    pub fn code(&self) -> i32 {
        self.failure().code
    }
}

/// The result of a call that leaves words when it fails.
#[inline]
pub(crate) fn check(result: i32) -> Result<()> {
    match result {
        sys::VDSET_OK => Ok(()),
        code => Err(Error::last(code)),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failure = self.failure();
        write!(f, "{} ({})", failure.words, failure.name())
    }
}

impl std::error::Error for Error {}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        use std::io::ErrorKind;
        let kind = match error {
            Error::Timeout(_) => ErrorKind::TimedOut,
            Error::Abort(_) => ErrorKind::ConnectionAborted,
            Error::Security(_) => ErrorKind::PermissionDenied,
            Error::Invalid(_) => ErrorKind::InvalidInput,
            Error::NotSupported(_) => ErrorKind::Unsupported,
            Error::Memory(_) => ErrorKind::OutOfMemory,
            Error::Close(_) | Error::NotOpen(_) => ErrorKind::NotConnected,
            Error::Busy(_) | Error::QueueFull(_) => ErrorKind::WouldBlock,
            Error::Interrupted(_) => ErrorKind::Interrupted,
            _ => ErrorKind::Other,
        };
        std::io::Error::new(kind, error)
    }
}

/// Why an order was not sent, and the order itself.
pub struct SendError<'srv> {
    /// Why.
    pub error: Error,
    /// The order, unless its completion function was given it.
    pub order: Option<Order<'srv>>,
}

impl fmt::Debug for SendError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendError({:?})", self.error)
    }
}
impl fmt::Display for SendError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}
impl std::error::Error for SendError<'_> {}
impl From<SendError<'_>> for Error {
    fn from(refused: SendError<'_>) -> Error {
        refused.error
    }
}
