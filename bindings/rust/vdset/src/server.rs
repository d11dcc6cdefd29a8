//! The server: a database engine's half.

use crate::buffer::{Buffer, Span};
use crate::config::nanoseconds;
use crate::error::check;
use crate::numbers::c_text;
use crate::order::{resume_panic, Flight, Shelf};
use crate::poll::{Armed, Pollable};
use crate::{
    AbortReason, Completion, Config, Error, JoinOptions, Loss, Order, Result, SendError,
    ServerConfig, ServerHandle,
};
use std::fmt;
use std::ptr::{self, NonNull};
use std::time::Duration;
use vdset_sys as sys;

/// What buffers, orders and the library's calls back refer to; at one address until the end.
pub(crate) struct Hub {
    pub raw: NonNull<sys::vdset_server>,
    pub shelf: Shelf,
}

impl Hub {
    pub fn free(&self, span: &Span) {
        // Refused only for what is not allocated; a buffer that is out of use stays so.
        unsafe {
            sys::vdset_server_free_buffer(self.raw.as_ptr(), span.data.as_ptr().cast(), 0);
        }
    }
    pub fn abort(&self, code: i32, text: *const sys::c_char) -> i32 {
        unsafe { sys::vdset_server_signal_abort(self.raw.as_ptr(), code, text) }
    }
}

/// The server of a set: it configures the set, sends orders to its devices, and gets them back as
/// completions. All calls from any thread.
///
/// Completions come in one of two ways. Pull: [`next_completion`](Server::next_completion) hands
/// out orders. Push: [`run_agent`](Server::run_agent) lends its thread, in which the functions that
/// orders were given ([`Order::on_completion`]) are called. Both may be mixed, not run at once.
///
/// Dropping it closes it; [`close`](Server::close) tells how that went.
///
/// ```compile_fail
/// # fn f() -> vdset::Result<()> {
/// let server = vdset::Server::open("accounts")?;
/// let buffer = server.allocate(65536, 0)?;
/// server.close()?;
/// println!("{}", buffer[0]); // Its memory went with the server.
/// # Ok(()) }
/// ```
pub struct Server {
    hub: NonNull<Hub>,
}

// The library takes calls on a server from any thread at once; closing borrows it for nobody else.
// What a Hub has beside is locked.
unsafe impl Send for Server {}
unsafe impl Sync for Server {}
unsafe impl Send for Hub {}
unsafe impl Sync for Hub {}

impl Server {
    /// VDI's Open: becomes the server of the set `name`. Waits at most 10 s for its primary.
    pub fn open(name: impl AsRef<[u8]>) -> Result<Server> {
        Server::open_with(name, &JoinOptions::new())
    }

    /// [`open`](Server::open) with options.
    pub fn open_with(name: impl AsRef<[u8]>, options: &JoinOptions) -> Result<Server> {
        let name = c_text(name.as_ref(), "name")?;
        let mut raw = ptr::null_mut();
        options.with(|options| {
            // All point to what lives until the call is over.
            check(unsafe { sys::vdset_server_open(name.as_ptr(), options, &mut raw) })
        })?;
        let raw = NonNull::new(raw).expect("a server that was opened");
        let hub = Box::new(Hub { raw, shelf: Shelf::new() });
        Ok(Server { hub: NonNull::from(Box::leak(hub)) })
    }

    #[inline]
    pub(crate) fn hub(&self) -> &Hub {
        // Freed by Drop and close alone.
        unsafe { self.hub.as_ref() }
    }
    #[inline]
    fn raw(&self) -> *mut sys::vdset_server {
        self.hub().raw.as_ptr()
    }

    /// VDI's GetConfiguration: what the client wishes; after
    /// [`begin_configuration`](Server::begin_configuration) what was agreed.
    pub fn configuration(&self) -> Result<Config> {
        Config::ask(|out| unsafe { sys::vdset_server_get_configuration(self.raw(), out) })
    }

    /// VDI's BeginConfiguration.
    pub fn begin_configuration(&self, base: &ServerConfig) -> Result<()> {
        check(unsafe { sys::vdset_server_begin_configuration(self.raw(), &base.to_raw()) })
    }

    /// VDI's RequestBuffers: before [`end_configuration`](Server::end_configuration) requests add
    /// up, afterwards the buffers are made at once. An alignment of 0 is the agreed one.
    pub fn request_buffers(&self, bytes: u32, alignment: u32, count: u32) -> Result<()> {
        check(unsafe { sys::vdset_server_request_buffers(self.raw(), bytes, alignment, count) })
    }

    /// VDI's QueryAvailableBuffers: how many of this kind [`allocate`](Server::allocate) could
    /// give.
    pub fn available_buffers(&self, bytes: u32, alignment: u32) -> Result<u32> {
        let mut out = 0;
        check(unsafe {
            sys::vdset_server_query_available_buffers(self.raw(), bytes, alignment, &mut out)
        })?;
        Ok(out)
    }

    /// VDI's EndConfiguration: makes the buffers and lets the clients go on. [`Error::Memory`]:
    /// nothing was made, the requests are forgotten, ask for less.
    pub fn end_configuration(&self) -> Result<()> {
        check(unsafe { sys::vdset_server_end_configuration(self.raw()) })
    }

    /// VDI's OpenDevice: names the next device; the first has the set's name.
    pub fn open_device(&self, name: impl AsRef<[u8]>) -> Result<ServerDevice<'_>> {
        let name = c_text(name.as_ref(), "name")?;
        let mut raw = ptr::null_mut();
        check(unsafe { sys::vdset_server_open_device(self.raw(), name.as_ptr(), &mut raw) })?;
        let raw = NonNull::new(raw).expect("a device that was opened");
        Ok(ServerDevice { hub: self.hub(), raw })
    }

    /// VDI's AllocateBuffer: a buffer of the smallest class that fits, of which `bytes` are lent.
    /// [`Error::Memory`]: none is free now.
    pub fn allocate(&self, bytes: u32, alignment: u32) -> Result<Buffer<'_>> {
        let mut data = ptr::null_mut();
        check(unsafe {
            sys::vdset_server_allocate_buffer(self.raw(), bytes, alignment, &mut data)
        })?;
        let data = NonNull::new(data).expect("a buffer that was allocated").cast::<u8>();
        let span = Span::ask(data, |data, out| unsafe {
            sys::vdset_server_describe_buffer(self.raw(), data, out)
        })?;
        Ok(Buffer { hub: self.hub(), span, bytes: span.bytes().min(bytes as usize) })
    }

    /// A handle that a client of this set has sent. Whether it is good shows when it is mapped.
    #[inline]
    pub fn handle(&self, number: u32) -> ServerHandle<'_> {
        ServerHandle::new(self.hub(), number)
    }

    /// VDI's IsSharedBuffer: whether the address lies in a buffer of this set.
    pub fn is_shared_buffer(&self, address: *const u8) -> bool {
        unsafe { sys::vdset_server_is_shared_buffer(self.raw(), address.cast()) == 1 }
    }

    /// VDI's ExecuteCompletionAgent: calls the completion functions of orders in this thread, until
    /// every device is closed and nothing is outstanding, or the set is aborted.
    ///
    /// A panic in such a function aborts the set and goes on from here. [`Error::Busy`]: another
    /// thread does it.
    pub fn run_agent(&self) -> Result<()> {
        let result = unsafe { sys::vdset_server_run_completion_agent(self.raw()) };
        resume_panic();
        check(result)
    }

    /// The agent's pull form: waits for one order that was sent without a completion function;
    /// those with one get it called from within. [`Error::Close`]: every device is closed and
    /// nothing is left. After an abort hands out what was outstanding, then says [`Error::Abort`].
    #[inline]
    pub fn next_completion(&self, timeout: Option<Duration>) -> Result<Completion<'_>> {
        let mut command = ptr::null_mut();
        let result = unsafe {
            sys::vdset_server_next_completion(self.raw(), nanoseconds(timeout), &mut command)
        };
        let next = match result {
            // Sent by this crate: nobody else can send on this server.
            sys::VDSET_OK => Ok(unsafe { Flight::landed(self.hub(), command) }),
            code => Err(Error::waited(code)),
        };
        resume_panic();
        next
    }

    /// The next completion, if one is there.
    pub fn try_next_completion(&self) -> Result<Option<Completion<'_>>> {
        match self.next_completion(Some(Duration::ZERO)) {
            Ok(completion) => Ok(Some(completion)),
            Err(Error::Timeout(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Completions until every device is closed and nothing is left, or until an error, which comes
    /// last.
    pub fn completions(&self) -> Completions<'_> {
        Completions { server: self, ended: false }
    }

    /// For event loops: readable when [`next_completion`](Server::next_completion) would say
    /// something. From [`end_configuration`](Server::end_configuration) on.
    pub fn pollable(&self) -> Result<Pollable<'_>> {
        Pollable::new(Armed::Server(self.hub().raw), |out| unsafe {
            sys::vdset_server_get_descriptor(self.raw(), out)
        })
    }

    /// VDI's SignalAbort, as [`Set::signal_abort`](crate::Set::signal_abort).
    pub fn signal_abort(&self, code: i32, text: &str) -> Result<()> {
        let text = c_text(text.as_bytes(), "text")?;
        check(self.hub().abort(code, text.as_ptr()))
    }

    /// Who aborted the set, and why. [`Error::Protocol`]: it is not aborted.
    pub fn abort_reason(&self) -> Result<AbortReason> {
        AbortReason::ask(|out| unsafe { sys::vdset_server_get_abort_reason(self.raw(), out) })
    }

    /// Which secondary client was lost, as [`Set::loss`](crate::Set::loss).
    pub fn loss(&self, number: u32) -> Result<Loss> {
        Loss::ask(|out| unsafe { sys::vdset_server_get_loss(self.raw(), number, out) })
    }

    /// VDI's Close. Always closes; orders that are under way complete with
    /// [`CompletionCode::OPERATION_ABORTED`](crate::CompletionCode::OPERATION_ABORTED).
    /// [`Error::Protocol`]: devices were open, the set is aborted for the clients.
    pub fn close(self) -> Result<()> {
        let server = std::mem::ManuallyDrop::new(self);
        let result = unsafe { Server::end(server.hub) };
        resume_panic();
        check(result)
    }

    /// # Safety
    /// Once, and the last that is done with the hub.
    unsafe fn end(hub: NonNull<Hub>) -> i32 {
        // Functions that are called from within still find the hub. The words of a failure are this
        // thread's until its next failed call, and freeing makes none.
        let result = unsafe { sys::vdset_server_close(hub.as_ref().raw.as_ptr()) };
        drop(unsafe { Box::from_raw(hub.as_ptr()) });
        result
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        unsafe { Server::end(self.hub) };
        crate::order::forget_panic();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({:p})", self.hub().raw)
    }
}

/// See [`Server::completions`].
#[derive(Debug)]
pub struct Completions<'srv> {
    server: &'srv Server,
    ended: bool,
}

impl<'srv> Iterator for Completions<'srv> {
    type Item = Result<Completion<'srv>>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.server.next_completion(None);
        self.ended = next.is_err();
        match next {
            Err(Error::Close(_)) => None,
            next => Some(next),
        }
    }
}
impl std::iter::FusedIterator for Completions<'_> {}

/// A device of a server. Copies are the same device; it ends with its server.
#[derive(Clone, Copy)]
pub struct ServerDevice<'srv> {
    pub(crate) hub: &'srv Hub,
    pub(crate) raw: NonNull<sys::vdset_server_device>,
}

// As the server's.
unsafe impl Send for ServerDevice<'_> {}
unsafe impl Sync for ServerDevice<'_> {}

impl<'srv> ServerDevice<'srv> {
    /// VDI's SendCommand: sends an order. It is the library's until it comes back as a
    /// [`Completion`], exactly once.
    ///
    /// If it cannot be sent, the error has it; an order with a completion function, though,
    /// completes at once in this thread for [`Error::QueueFull`], [`Error::IoError`],
    /// [`Error::Protocol`] and [`Error::Abort`].
    #[inline]
    pub fn send(&self, order: Order<'srv>) -> std::result::Result<(), SendError<'srv>> {
        if !ptr::eq(order.hub, self.hub) {
            let error = Error::here(sys::VDSET_E_INVALID, "the order is another server's");
            return Err(SendError { error, order: Some(order) });
        }
        let (flight, calls_back) = order.take_off(self.raw);
        let result = unsafe {
            sys::vdset_server_device_send_command(self.raw.as_ptr(), flight.as_ptr().cast())
        };
        let sent = match result {
            sys::VDSET_OK => Ok(()),
            code => {
                let error = Error::last(code);
                let called = calls_back
                    && matches!(
                        error,
                        Error::QueueFull(_)
                            | Error::IoError(_)
                            | Error::Protocol(_)
                            | Error::Abort(_)
                    );
                // Not called: it never left.
                let order = if called { None } else { Some(Order { flight, hub: self.hub }) };
                Err(SendError { error, order })
            }
        };
        if calls_back {
            resume_panic();
        }
        sent
    }

    /// VDI's CloseDevice: the client sees CLOSE after what is queued. With the last device the set
    /// ends normally. [`Error::Close`]: it was closed before.
    pub fn close(&self) -> Result<()> {
        match unsafe { sys::vdset_server_device_close(self.raw.as_ptr()) } {
            sys::VDSET_OK => Ok(()),
            code => Err(Error::waited(code)),
        }
    }

    /// Orders sent and not yet final.
    pub fn outstanding(&self) -> Result<u32> {
        let mut out = 0;
        check(unsafe { sys::vdset_server_device_outstanding(self.raw.as_ptr(), &mut out) })?;
        Ok(out)
    }
}

impl fmt::Debug for ServerDevice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerDevice({:p})", self.raw)
    }
}
