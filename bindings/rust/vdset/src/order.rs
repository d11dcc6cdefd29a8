//! Orders of a server: commands from being made until they come back.
//!
//! An order is a handle of a `Flight`, a block of memory whose beginning is the command in C's
//! form. Flights are made once, lie on the server's shelf while nobody has an order for them, and
//! are freed when the server is closed, so that the data path allocates nothing and one that is
//! under way when the server closes is not lost.

use crate::buffer::{Buffer, Span};
use crate::server::Hub;
use crate::{CommandCode, CompletionCode, Server, ServerDevice};
use std::any::Any;
use std::cell::RefCell;
use std::ffi::c_void;
use std::fmt;
use std::mem::{self, size_of};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use vdset_sys as sys;

type Handler = Arc<dyn for<'a> Fn(Completion<'a>) + Send + Sync>;

#[repr(C)]
pub(crate) struct Flight {
    /// First: the library is given its address.
    raw: sys::vdset_command,
    hub: *const Hub,
    device: *mut sys::vdset_server_device,
    span: Option<Span>,
    handler: Option<Handler>,
    tag: u64,
}

impl Flight {
    /// # Safety
    /// A command that the library has handed back to the server of this hub.
    #[inline]
    pub unsafe fn landed<'srv>(
        hub: &'srv Hub,
        command: *mut sys::vdset_command,
    ) -> Completion<'srv> {
        let flight = NonNull::new(unsafe { (*command).context }.cast::<Flight>());
        Completion { order: Order { flight: flight.expect("an order's command"), hub } }
    }
}

/// The flights of a server.
#[derive(Default)]
struct Flights {
    all: Vec<NonNull<Flight>>,
    /// Those that nobody has an order for.
    idle: Vec<NonNull<Flight>>,
}

pub(crate) struct Shelf(Mutex<Flights>);

impl Shelf {
    pub fn new() -> Shelf {
        Shelf(Mutex::default())
    }

    fn take(&self, hub: &Hub) -> NonNull<Flight> {
        // Nothing in here panics half way; what a panic elsewhere left is whole.
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = shelf.idle.pop() {
            return flight;
        }
        let flight = NonNull::from(Box::leak(Box::new(Flight {
            raw: sys::vdset_command {
                struct_bytes: size_of::<sys::vdset_command>() as u32,
                code: 0,
                size: 0,
                flags: 0,
                position: 0,
                buffer: ptr::null_mut(),
                buffer_handle: 0,
                completion_code: 0,
                bytes_transferred: 0,
                reserved: 0,
                out_position: 0,
                completion: None,
                context: ptr::null_mut(),
            },
            hub,
            device: ptr::null_mut(),
            span: None,
            handler: None,
            tag: 0,
        })));
        shelf.all.push(flight);
        flight
    }

    fn put(&self, flight: NonNull<Flight>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).idle.push(flight);
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        // The server is closed: nobody has an order any more, nor the library a command.
        let shelf = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for flight in shelf.all.drain(..) {
            drop(unsafe { Box::from_raw(flight.as_ptr()) });
        }
    }
}

/// A command of a server before it is sent, with its buffer. It can be sent again when it has come
/// back.
pub struct Order<'srv> {
    pub(crate) flight: NonNull<Flight>,
    pub(crate) hub: &'srv Hub,
}

// It is the only value that names its flight, and what a flight has is Send and Sync.
unsafe impl Send for Order<'_> {}
unsafe impl Sync for Order<'_> {}

impl<'srv> Order<'srv> {
    /// Backup: the client is to keep the buffer's bytes.
    pub fn write(buffer: Buffer<'srv>) -> Order<'srv> {
        Order::with_buffer(CommandCode::WRITE, buffer)
    }

    /// Restore: the client is to fill the buffer.
    pub fn read(buffer: Buffer<'srv>) -> Order<'srv> {
        Order::with_buffer(CommandCode::READ, buffer)
    }

    /// A command that moves no data.
    pub fn control(server: &'srv Server, code: CommandCode) -> Order<'srv> {
        Order::new(server.hub(), code)
    }

    fn new(hub: &'srv Hub, code: CommandCode) -> Order<'srv> {
        let mut order = Order { flight: hub.shelf.take(hub), hub };
        let flight = order.flight_mut();
        flight.raw.code = code.0;
        flight.raw.size = 0;
        flight.raw.position = 0;
        flight.raw.buffer = ptr::null_mut();
        flight.tag = 0;
        order
    }

    fn with_buffer(code: CommandCode, buffer: Buffer<'srv>) -> Order<'srv> {
        let mut order = Order::new(buffer.hub, code).size(buffer.bytes);
        let flight = order.flight_mut();
        flight.raw.buffer = buffer.span.data.as_ptr().cast();
        flight.span = Some(buffer.span);
        mem::forget(buffer); // The order frees it.
        order
    }

    #[inline]
    fn flight(&self) -> &Flight {
        unsafe { self.flight.as_ref() }
    }
    #[inline]
    fn flight_mut(&mut self) -> &mut Flight {
        unsafe { self.flight.as_mut() }
    }

    /// Changes what it asks for, such as from a Write to a Read of the same buffer.
    #[inline]
    pub fn code(mut self, code: CommandCode) -> Self {
        self.flight_mut().raw.code = code.0;
        self
    }
    /// How many bytes of the buffer; at first those that were allocated.
    pub fn size(mut self, bytes: usize) -> Self {
        self.flight_mut().raw.size = i32::try_from(bytes).unwrap_or(i32::MAX);
        self
    }
    /// How many marks or blocks to skip.
    pub fn count(mut self, count: i32) -> Self {
        self.flight_mut().raw.size = count;
        self
    }
    /// Where on a disk; where to, for SetPosition.
    #[inline]
    pub fn position(mut self, position: i64) -> Self {
        self.flight_mut().raw.position = position;
        self
    }
    /// A number of one's own, to know it by when it comes back.
    pub fn tag(mut self, tag: u64) -> Self {
        self.flight_mut().tag = tag;
        self
    }

    /// What to call when it is final, in the thread of [`Server::run_agent`] or
    /// [`Server::next_completion`], of a send that fails, or of closing the server. It may send,
    /// also this very order again.
    pub fn on_completion(
        mut self,
        call: impl for<'a> Fn(Completion<'a>) + Send + Sync + 'static,
    ) -> Self {
        self.flight_mut().handler = Some(Arc::new(call));
        self
    }

    /// The bytes of the buffer that go with it; empty without one.
    #[inline]
    pub fn data(&self) -> &[u8] {
        let flight = self.flight();
        let bytes = flight.raw.size.max(0) as usize;
        // The buffer is this order's alone.
        flight.span.as_ref().map_or(&[], |span| unsafe { span.data(bytes) })
    }
    /// The same, to write to.
    #[inline]
    pub fn data_mut(&mut self) -> &mut [u8] {
        let flight = self.flight();
        let bytes = flight.raw.size.max(0) as usize;
        flight.span.as_ref().map_or(&mut [], |span| unsafe { span.data_mut(bytes) })
    }
    /// Its buffer, for something else.
    pub fn into_buffer(mut self) -> Option<Buffer<'srv>> {
        let hub = self.hub;
        let bytes = self.flight().raw.size.max(0) as usize;
        let span = self.flight_mut().span.take();
        span.map(|span| Buffer { hub, span, bytes: bytes.min(span.bytes()) })
    }

    /// Makes the flight ready for the library; whether it calls back.
    #[inline]
    pub(crate) fn take_off(
        mut self,
        device: NonNull<sys::vdset_server_device>,
    ) -> (NonNull<Flight>, bool) {
        let address = self.flight;
        let flight = self.flight_mut();
        let calls_back = flight.handler.is_some();
        flight.device = device.as_ptr();
        flight.raw.context = address.as_ptr().cast();
        flight.raw.completion = if calls_back { Some(completed) } else { None };
        mem::forget(self);
        (address, calls_back)
    }
}

impl Drop for Order<'_> {
    fn drop(&mut self) {
        let flight = self.flight_mut();
        let handler = flight.handler.take();
        if let Some(span) = flight.span.take() {
            self.hub.free(&span);
        }
        self.hub.shelf.put(self.flight);
        drop(handler); // Last: what it captured may do anything.
    }
}

impl fmt::Debug for Order<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raw = &self.flight().raw;
        write!(f, "Order({:?}, size {})", CommandCode(raw.code), raw.size)
    }
}

/// An order that is final: how it went, and the order itself.
pub struct Completion<'srv> {
    order: Order<'srv>,
}

impl<'srv> Completion<'srv> {
    /// How it went.
    #[inline]
    pub fn code(&self) -> CompletionCode {
        CompletionCode(self.order.flight().raw.completion_code)
    }
    /// How many bytes moved.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.order.flight().raw.bytes_transferred.max(0) as usize
    }
    /// The answer to GetPosition.
    #[inline]
    pub fn position(&self) -> i64 {
        self.order.flight().raw.out_position
    }
    /// The number that the order was given.
    pub fn tag(&self) -> u64 {
        self.order.flight().tag
    }
    /// The bytes of the order's buffer.
    #[inline]
    pub fn data(&self) -> &[u8] {
        self.order.data()
    }
    /// The device that the order was sent to.
    pub fn device(&self) -> ServerDevice<'srv> {
        let device = NonNull::new(self.order.flight().device).expect("a device it was sent to");
        ServerDevice { hub: self.order.hub, raw: device }
    }
    /// The order, to be sent again or for its buffer.
    #[inline]
    pub fn into_order(self) -> Order<'srv> {
        self.order
    }
}

impl fmt::Debug for Completion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Completion({:?}, {:?})", self.order, self.code())
    }
}

thread_local! {
    /// A panic on its way from a function that the library called to the Rust caller of the
    /// library.
    static PANIC: RefCell<Option<Box<dyn Any + Send>>> = const { RefCell::new(None) };
}

/// What the library calls.
unsafe extern "C" fn completed(_: *mut sys::vdset_command, context: *mut c_void) {
    let flight = context.cast::<Flight>();
    // The order is back: this thread's alone, until the function that is called has it.
    let (hub, handler) = unsafe { (&*(*flight).hub, (*flight).handler.clone()) };
    let panic = catch_unwind(AssertUnwindSafe(move || {
        let flight = NonNull::new(flight).expect("an order's command");
        let completion = Completion { order: Order { flight, hub } };
        if let Some(handler) = handler {
            handler(completion);
        }
    }));
    if let Err(panic) = panic {
        hub.abort(sys::VDSET_E_UNEXPECTED, b"a completion function panicked\0".as_ptr().cast());
        // Only one can go on.
        let panic = mem::ManuallyDrop::new(panic);
        let _ = PANIC.try_with(|place| {
            let second = place.replace(Some(mem::ManuallyDrop::into_inner(panic)));
            second.map(discard_panic)
        });
    }
}

/// Ends a panic; also one that starts when the first one's payload is dropped.
pub(crate) fn discard_panic(panic: Box<dyn Any + Send>) {
    mem::forget(catch_unwind(AssertUnwindSafe(|| drop(panic))));
}

fn take_panic() -> Option<Box<dyn Any + Send>> {
    // None also while the thread ends and its places are gone.
    PANIC.try_with(|place| place.borrow_mut().take()).ok().flatten()
}

/// Goes on with a panic that was caught in the call before.
#[inline]
pub(crate) fn resume_panic() {
    if let Some(panic) = take_panic() {
        if !thread::panicking() {
            resume_unwind(panic);
        }
        discard_panic(panic);
    }
}

/// Where no panic may start.
pub(crate) fn forget_panic() {
    if let Some(panic) = take_panic() {
        discard_panic(panic);
    }
}
