//! Fetched commands: owned, completed once, each lending its buffer in its own direction.

use crate::buffer::Span;
use crate::{BufferHandle, CommandCode, CompletionCode, Device, Error, Result};
use std::fmt;
use std::mem;
use std::ptr::NonNull;
use vdset_sys as sys;

/// What all three kinds have in common. Its fields are copies: what the library keeps for the
/// command is only named, to complete it.
struct Fetched<'set> {
    device: Device<'set>,
    command: NonNull<sys::vdset_command>,
    code: CommandCode,
    size: i32,
    redelivered: bool,
    position: i64,
    /// Lent to this value alone, of all in the set.
    span: Option<Span>,
}

impl<'set> Fetched<'set> {
    /// Completes the command; the buffer is lent to nobody from here on.
    #[inline]
    fn settle(&self, code: CompletionCode, bytes: usize, position: i64) -> i32 {
        // First: completed, the buffer may come again at once, to another thread.
        if let Some(span) = &self.span {
            self.device.set.lent.give_back(span.number);
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        unsafe {
            sys::vdset_device_complete_command(
                self.device.raw.as_ptr(),
                self.command.as_ptr(),
                code.0,
                bytes,
                position,
            )
        }
    }
    #[inline]
    fn finish(self, code: CompletionCode, bytes: usize, position: i64) -> Result<()> {
        let result = self.settle(code, bytes, position);
        mem::forget(self);
        crate::error::check(result)
    }
    /// Of the data; the library has judged the size, and here it cannot exceed the buffer either.
    #[inline]
    fn bytes(&self) -> usize {
        self.span.as_ref().map_or(0, |span| span.bytes().min(self.size.max(0) as usize))
    }
    #[inline]
    fn handle(&self) -> Result<BufferHandle<'set>> {
        match &self.span {
            Some(span) => BufferHandle::of_buffer(self.device.set, span),
            None => Err(Error::here(sys::VDSET_E_INVALID, "the command has no buffer")),
        }
    }
    // The next three are sound for who has &self or &mut self: the buffer is mapped as long as the
    // set, which is borrowed, and `Lent` has seen to it that no other value names it.
    #[inline]
    fn data(&self, bytes: usize) -> &[u8] {
        self.span.as_ref().map_or(&[], |span| unsafe { span.data(bytes) })
    }
    fn whole(&self) -> &[u8] {
        self.span.as_ref().map_or(&[], |span| unsafe { span.whole(self.bytes()) })
    }
    fn prefix_mut(&mut self) -> &mut [u8] {
        self.span.as_ref().map_or(&mut [], |span| unsafe { span.prefix_mut() })
    }
}

impl Drop for Fetched<'_> {
    #[inline]
    fn drop(&mut self) {
        self.settle(CompletionCode::OPERATION_ABORTED, 0, 0);
    }
}

/// A command from [`Device::fetch`](crate::Device::fetch), by what it does with its buffer.
///
/// It is this value's to complete: by a call that consumes it, so that nothing can be done with it
/// afterwards; or it completes with [`CompletionCode::OPERATION_ABORTED`] when it is dropped.
///
/// ```compile_fail
/// # fn f(write: vdset::Write<'_>) -> vdset::Result<()> {
/// write.complete()?;
/// println!("{}", write.data()[0]); // Not its buffer any more.
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub enum Command<'set> {
    /// Backup: bytes to keep.
    Write(Write<'set>),
    /// Restore: a buffer to fill.
    Read(Read<'set>),
    /// All others.
    Control(Control<'set>),
}

/// Backup: the buffer's bytes are to be kept.
pub struct Write<'set>(Fetched<'set>);
/// Restore: the buffer is to be filled.
pub struct Read<'set>(Fetched<'set>);
/// A command that moves no data: rewind, flush, snapshot.
pub struct Control<'set>(Fetched<'set>);

// Completing comes from any thread; the bytes are lent to this value alone.
unsafe impl Send for Fetched<'_> {}
unsafe impl Sync for Fetched<'_> {}

impl<'set> Command<'set> {
    /// Takes over what get_command gave.
    #[inline]
    pub(crate) fn take(
        device: Device<'set>,
        command: NonNull<sys::vdset_command>,
    ) -> Result<Command<'set>> {
        // The library's copy, that it leaves alone until the command is completed.
        let raw = unsafe { *command.as_ptr() };
        let mut fetched = Fetched {
            device,
            command,
            code: CommandCode(raw.code),
            size: raw.size,
            redelivered: raw.flags & sys::VDSET_COMMAND_REDELIVERED != 0,
            position: raw.position,
            span: None,
        };
        if let Some(data) = NonNull::new(raw.buffer.cast::<u8>()) {
            let span = device.set.describe(data)?;
            if !device.set.lent.take(span.number) {
                return Err(Error::here(
                    sys::VDSET_E_BUSY,
                    "the buffer of a command is lent already: it was sent twice, or is still \
                     mapped here by its handle; the command was refused",
                ));
            }
            fetched.span = Some(span);
        }
        match (fetched.code, fetched.span) {
            (CommandCode::WRITE, Some(_)) => Ok(Command::Write(Write(fetched))),
            (CommandCode::READ, Some(span)) if !span.is_read_only() => {
                Ok(Command::Read(Read(fetched)))
            }
            (CommandCode::READ | CommandCode::WRITE, _) => Err(Error::here(
                sys::VDSET_E_NOTSUPPORTED,
                "a Read, and the buffers are read-only here; it was refused",
            )),
            _ => Ok(Command::Control(Control(fetched))),
        }
    }

    #[inline]
    fn fetched(&self) -> &Fetched<'set> {
        match self {
            Command::Write(Write(fetched))
            | Command::Read(Read(fetched))
            | Command::Control(Control(fetched)) => fetched,
        }
    }
    /// What it asks for.
    pub fn code(&self) -> CommandCode {
        self.fetched().code
    }
    /// Bytes of a Write or Read, count of SkipMarks and SkipBlocks, else 0.
    pub fn size(&self) -> i32 {
        self.fetched().size
    }
    /// Where, on a disk.
    pub fn position(&self) -> i64 {
        self.fetched().position
    }
    /// A process that died had fetched it before: do it again, or look what was done.
    pub fn is_redelivered(&self) -> bool {
        self.fetched().redelivered
    }
    /// Completes it with a code other than success.
    #[inline]
    pub fn fail(self, code: CompletionCode) -> Result<()> {
        match self {
            Command::Write(Write(fetched))
            | Command::Read(Read(fetched))
            | Command::Control(Control(fetched)) => fetched.finish(code, 0, 0),
        }
    }
}

macro_rules! moves_data {
    ($type:ident) => {
        impl<'set> $type<'set> {
            /// How many bytes there are.
            #[inline]
            pub fn len(&self) -> usize {
                self.0.bytes()
            }
            /// Never, from an honest server.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }
            /// Where, on a disk.
            pub fn position(&self) -> i64 {
                self.0.position
            }
            /// A process that died had fetched it before.
            pub fn is_redelivered(&self) -> bool {
                self.0.redelivered
            }
            /// The buffer's bytes.
            #[inline]
            pub fn data(&self) -> &[u8] {
                self.0.data(self.0.bytes())
            }
            /// The prefix zone: private bytes of the client just before the data.
            pub fn prefix(&self) -> &[u8] {
                let whole = self.0.whole();
                &whole[..whole.len() - self.len()]
            }
            /// The prefix zone, to write to.
            pub fn prefix_mut(&mut self) -> &mut [u8] {
                self.0.prefix_mut()
            }
            /// Prefix zone and data in one piece, as for one system call.
            pub fn with_prefix(&self) -> &[u8] {
                self.0.whole()
            }
            /// VDI's GetBufferHandle: the buffer as a number that any process of this set can map.
            /// Let go of its slices while another process works on it, complete when that is done.
            #[inline]
            pub fn handle(&self) -> Result<BufferHandle<'set>> {
                self.0.handle()
            }
            /// Completes it: all bytes, success.
            #[inline]
            pub fn complete(self) -> Result<()> {
                let bytes = self.len();
                self.0.finish(CompletionCode::SUCCESS, bytes, 0)
            }
            /// Completes it with a code, and so many bytes moved.
            #[inline]
            pub fn complete_with(self, code: CompletionCode, bytes: usize) -> Result<()> {
                self.0.finish(code, bytes, 0)
            }
            /// Completes it with a code, and nothing moved.
            #[inline]
            pub fn fail(self, code: CompletionCode) -> Result<()> {
                self.0.finish(code, 0, 0)
            }
        }
        impl<'set> From<$type<'set>> for Command<'set> {
            fn from(command: $type<'set>) -> Self {
                Command::$type(command)
            }
        }
        impl fmt::Debug for $type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({} bytes)"), self.len())
            }
        }
    };
}
moves_data!(Write);
moves_data!(Read);

impl Write<'_> {
    /// Prefix zone and data at once: the one to write to, the other to read.
    pub fn parts(&mut self) -> (&mut [u8], &[u8]) {
        let bytes = self.len();
        match &self.0.span {
            // Two parts that do not overlap.
            Some(span) => unsafe { (span.prefix_mut(), span.data(bytes)) },
            None => (&mut [], &[]),
        }
    }
}

impl Read<'_> {
    /// The bytes to fill.
    #[inline]
    pub fn data_mut(&mut self) -> &mut [u8] {
        let bytes = self.len();
        // `take` refused what is read-only.
        self.0.span.as_ref().map_or(&mut [], |span| unsafe { span.data_mut(bytes) })
    }
    /// Prefix zone and data at once, both to write to.
    pub fn parts(&mut self) -> (&mut [u8], &mut [u8]) {
        let bytes = self.len();
        match &self.0.span {
            // Two parts that do not overlap.
            Some(span) => unsafe { (span.prefix_mut(), span.data_mut(bytes)) },
            None => (&mut [], &mut []),
        }
    }
}

impl Control<'_> {
    /// What it asks for.
    pub fn code(&self) -> CommandCode {
        self.0.code
    }
    /// How many, for SkipMarks and SkipBlocks.
    pub fn count(&self) -> i32 {
        self.0.size
    }
    /// Where to, for SetPosition.
    pub fn position(&self) -> i64 {
        self.0.position
    }
    /// A process that died had fetched it before.
    pub fn is_redelivered(&self) -> bool {
        self.0.redelivered
    }
    /// The buffer that a few undocumented commands carry, all of it; else empty.
    pub fn buffer(&self) -> &[u8] {
        self.0.data(usize::MAX)
    }
    /// Completes it with success.
    #[inline]
    pub fn complete(self) -> Result<()> {
        self.0.finish(CompletionCode::SUCCESS, 0, 0)
    }
    /// Completes GetPosition or SetPosition.
    #[inline]
    pub fn complete_at(self, position: i64) -> Result<()> {
        self.0.finish(CompletionCode::SUCCESS, 0, position)
    }
    /// Completes it with a code other than success.
    #[inline]
    pub fn fail(self, code: CompletionCode) -> Result<()> {
        self.0.finish(code, 0, 0)
    }
}
impl<'set> From<Control<'set>> for Command<'set> {
    fn from(command: Control<'set>) -> Self {
        Command::Control(command)
    }
}
impl fmt::Debug for Control<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Control({:?})", self.0.code)
    }
}
