//! The face of this crate for the conformance suite: the calls of
//! `tests/conformance/face_library.h`, each made by the one way that the safe crate has for it.
//!
//! What the compiler holds for a program is asked at run time here, since the suite calls through
//! C: where a program would not compile (a command that is complete, a set that is closed under a
//! device or under a thread that waits in it) the answer is `CANNOT`. Values borrow their set or
//! server for ever, and are gone before it is closed.

#![deny(unsafe_op_in_unsafe_fn)]

use std::collections::HashMap;
use std::ffi::{c_void, CStr};
use std::mem;
use std::os::raw::c_char;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use vdset::*;
use vdset_sys as sys;

const CANNOT: i32 = 2;

/// A call's result, or why there is none.
type Answer = std::result::Result<(), i32>;

fn code(error: Error) -> i32 {
    error.code()
}
fn number(answer: Answer) -> i32 {
    match answer {
        Ok(()) => sys::VDSET_OK,
        Err(code) => code,
    }
}
fn time(ms: i64) -> Option<Duration> {
    u64::try_from(ms).ok().map(Duration::from_millis)
}
unsafe fn bytes<'a>(text: *const c_char) -> &'a [u8] {
    if text.is_null() {
        return &[];
    }
    unsafe { CStr::from_ptr(text) }.to_bytes()
}
unsafe fn words(text: *const c_char) -> String {
    String::from_utf8_lossy(unsafe { bytes(text) }).into_owned()
}

fn config_from(raw: &sys::vdset_config) -> Config {
    let mut config = Config::new(raw.device_count);
    config.features = Features(raw.features);
    config.prefix_zone_bytes = raw.prefix_zone_bytes;
    config.alignment_bytes = raw.alignment_bytes;
    config.soft_file_mark_block_bytes = raw.soft_file_mark_block_bytes;
    config.eom_warning_bytes = raw.eom_warning_bytes;
    config.server_timeout_ms = raw.server_timeout_ms;
    config.block_bytes = raw.block_bytes;
    config.max_io_depth = raw.max_io_depth;
    config.max_transfer_bytes = raw.max_transfer_bytes;
    config.buffer_area_bytes = raw.buffer_area_bytes;
    config
}
fn config_into(config: &Config, raw: &mut sys::vdset_config) {
    raw.device_count = config.device_count;
    raw.features = config.features.0;
    raw.prefix_zone_bytes = config.prefix_zone_bytes;
    raw.alignment_bytes = config.alignment_bytes;
    raw.soft_file_mark_block_bytes = config.soft_file_mark_block_bytes;
    raw.eom_warning_bytes = config.eom_warning_bytes;
    raw.server_timeout_ms = config.server_timeout_ms;
    raw.block_bytes = config.block_bytes;
    raw.max_io_depth = config.max_io_depth;
    raw.max_transfer_bytes = config.max_transfer_bytes;
    raw.buffer_area_bytes = config.buffer_area_bytes;
}
fn reason_into(reason: &AbortReason, raw: &mut sys::vdset_abort_reason) {
    raw.role = match reason.role {
        Role::Server => 1,
        Role::Primary => 2,
        Role::Secondary => 3,
        _ => 0,
    };
    raw.pid = reason.pid.unwrap_or(0);
    raw.call = reason.call.0;
    raw.code = reason.code;
    raw.text = [0; sys::VDSET_REASON_BYTES_MAX as usize];
    for (to, from) in raw.text.iter_mut().zip(reason.text.bytes()) {
        *to = from as c_char;
    }
}

/// What threads share, and each call of them holds: not closed as long as one is in a call.
struct Shared<T, Rest> {
    whole: Mutex<(Option<Arc<T>>, Rest)>,
}

impl<T: 'static, Rest: Default> Shared<T, Rest> {
    fn new() -> Self {
        Shared { whole: Mutex::new((None, Rest::default())) }
    }
    fn lock(&self) -> MutexGuard<'_, (Option<Arc<T>>, Rest)> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The object for a call, as long as the first of the two is kept.
    fn enter(&self) -> std::result::Result<(Arc<T>, &'static T), i32> {
        let object = self.lock().0.clone().ok_or(CANNOT)?;
        let address = Arc::as_ptr(&object);
        // What is borrowed of it goes before it is closed: `take`.
        Ok((object, unsafe { &*address }))
    }
    /// A second one beside the open one would be another object: dropped.
    fn keep(&self, made: Result<T>) -> Answer {
        let made = made.map_err(code)?;
        let mut whole = self.lock();
        if whole.0.is_none() {
            whole.0 = Some(Arc::new(made));
            return Ok(());
        }
        drop(whole);
        drop(made);
        Ok(())
    }
    /// The object to be closed, if no call is in it; what borrows it is given up first.
    fn take(&self, give_up: impl FnOnce(&mut Rest)) -> std::result::Result<T, i32> {
        let mut whole = self.lock();
        match &whole.0 {
            Some(object) if Arc::strong_count(object) == 1 => {}
            _ => return Err(CANNOT),
        }
        give_up(&mut whole.1);
        let object = whole.0.take().ok_or(CANNOT)?;
        Arc::try_unwrap(object).map_err(|_| CANNOT)
    }
}

// ---- Clients

#[derive(Default)]
struct Borrowed {
    last: u64,
    devices: HashMap<u64, Device<'static>>,
    /// By token: each with the number of its device.
    held: HashMap<u64, (u64, Command<'static>)>,
    mapped: Option<MappedMut<'static>>,
}

impl Borrowed {
    /// Tokens and numbers of devices; some apart, so that a token plus one is none.
    fn next(&mut self) -> u64 {
        self.last += 16;
        self.last
    }
}

type Client = Shared<Set, Borrowed>;

#[repr(C)]
pub struct FaceCommand {
    code: i32,
    size: i32,
    position: i64,
    buffer: *mut c_void,
    token: u64,
}

/// Where a command's buffer lies, null without one.
fn address(command: &Command<'_>) -> *mut u8 {
    match command {
        Command::Write(write) => write.data().as_ptr() as *mut u8,
        Command::Read(read) => read.data().as_ptr() as *mut u8,
        Command::Control(control) if control.buffer().is_empty() => ptr::null_mut(),
        Command::Control(control) => control.buffer().as_ptr() as *mut u8,
    }
}

#[no_mangle]
pub extern "C" fn face_client_new() -> *mut c_void {
    Box::into_raw(Box::new(Client::new())).cast()
}

unsafe fn client<'a>(face: *mut c_void) -> &'a Client {
    unsafe { &*face.cast::<Client>() }
}

#[no_mangle]
pub unsafe extern "C" fn face_client_free(face: *mut c_void) {
    unsafe { face_client_close(face) };
    drop(unsafe { Box::from_raw(face.cast::<Client>()) });
}

#[no_mangle]
pub unsafe extern "C" fn face_client_create(
    face: *mut c_void,
    name: *const c_char,
    wish: *const sys::vdset_config,
) -> i32 {
    let options = SetOptions::new().handle_lifetime(HandleLifetime::Buffer);
    let made = unsafe { Set::create_with(bytes(name), &config_from(&*wish), &options) };
    number(unsafe { client(face) }.keep(made))
}

#[no_mangle]
pub unsafe extern "C" fn face_client_join(face: *mut c_void, name: *const c_char) -> i32 {
    number(unsafe { client(face).keep(Set::join(bytes(name))) })
}

#[no_mangle]
pub unsafe extern "C" fn face_client_configuration(
    face: *mut c_void,
    ms: i64,
    out: *mut sys::vdset_config,
) -> i32 {
    let ask = || -> Answer {
        let (_set, set) = unsafe { client(face) }.enter()?;
        let agreed = set.configuration(time(ms)).map_err(code)?;
        config_into(&agreed, unsafe { &mut *out });
        Ok(())
    };
    number(ask())
}

#[no_mangle]
pub unsafe extern "C" fn face_client_open_device(
    face: *mut c_void,
    name: *const c_char,
    out: *mut u64,
) -> i32 {
    let open = || -> Answer {
        let client = unsafe { client(face) };
        let (_set, set) = client.enter()?;
        let device = set.open_device(unsafe { bytes(name) }).map_err(code)?;
        let borrowed = &mut client.lock().1;
        let number = borrowed.next();
        borrowed.devices.insert(number, device);
        unsafe { *out = number };
        Ok(())
    };
    number(open())
}

#[no_mangle]
pub unsafe extern "C" fn face_client_abort(
    face: *mut c_void,
    why: i32,
    text: *const c_char,
) -> i32 {
    let signal = || -> Answer {
        let (_set, set) = unsafe { client(face) }.enter()?;
        set.signal_abort(why, &unsafe { words(text) }).map_err(code)
    };
    number(signal())
}

#[no_mangle]
pub unsafe extern "C" fn face_client_reason(
    face: *mut c_void,
    out: *mut sys::vdset_abort_reason,
) -> i32 {
    let ask = || -> Answer {
        let (_set, set) = unsafe { client(face) }.enter()?;
        reason_into(&set.abort_reason().map_err(code)?, unsafe { &mut *out });
        Ok(())
    };
    number(ask())
}

/// A handle is asked of a command; an address that is no held command's has none to ask.
#[no_mangle]
pub unsafe extern "C" fn face_client_get_handle(
    face: *mut c_void,
    buffer: *mut c_void,
    out: *mut u32,
) -> i32 {
    let ask = || -> Answer {
        let client = unsafe { client(face) };
        let (_set, _) = client.enter()?;
        let held = &client.lock().1.held;
        let command = held.values().find(|(_, command)| address(command).cast() == buffer);
        let handle = match &command.ok_or(CANNOT)?.1 {
            Command::Write(write) => write.handle(),
            Command::Read(read) => read.handle(),
            Command::Control(_) => return Err(CANNOT),
        };
        unsafe { *out = handle.map_err(code)?.number() };
        Ok(())
    };
    number(ask())
}

/// What is mapped stays so until the next is.
#[no_mangle]
pub unsafe extern "C" fn face_client_map_handle(
    face: *mut c_void,
    handle: u32,
    out: *mut *mut c_void,
) -> i32 {
    let map = || -> Answer {
        let client = unsafe { client(face) };
        let (_set, set) = client.enter()?;
        let borrowed = &mut client.lock().1;
        borrowed.mapped = None;
        let mut mapped = set.handle(handle).map_mut().map_err(code)?;
        unsafe { *out = mapped.as_mut_ptr().cast() };
        borrowed.mapped = Some(mapped);
        Ok(())
    };
    number(map())
}

/// Commands that are held are forgotten, not dropped: so their ends are Close's doing.
#[no_mangle]
pub unsafe extern "C" fn face_client_close(face: *mut c_void) -> i32 {
    let taken = unsafe { client(face) }.take(|borrowed| {
        borrowed.held.drain().for_each(|(_, command)| mem::forget(command));
        borrowed.mapped = None;
        borrowed.devices.clear();
    });
    number(taken.and_then(|set| set.close().map_err(code)))
}

#[no_mangle]
pub unsafe extern "C" fn face_client_get(
    face: *mut c_void,
    device: u64,
    ms: i64,
    out: *mut FaceCommand,
) -> i32 {
    let fetch = || -> Answer {
        let client = unsafe { client(face) };
        let (_set, _) = client.enter()?;
        let opened = *client.lock().1.devices.get(&device).ok_or(CANNOT)?;
        let command = opened.fetch(time(ms)).map_err(code)?;
        let borrowed = &mut client.lock().1;
        let token = borrowed.next();
        let (code, size, position) = (command.code().0 as i32, command.size(), command.position());
        let buffer = address(&command).cast();
        unsafe { *out = FaceCommand { code, size, position, buffer, token } };
        borrowed.held.insert(token, (device, command));
        Ok(())
    };
    number(fetch())
}

/// A command is completed by itself, whatever the device, and then is no more.
#[no_mangle]
pub unsafe extern "C" fn face_client_complete(
    face: *mut c_void,
    device: u64,
    token: u64,
    result: i32,
    bytes: u32,
    position: i64,
) -> i32 {
    let complete = || -> Answer {
        let client = unsafe { client(face) };
        let (_set, _) = client.enter()?;
        let command = {
            let held = &mut client.lock().1.held;
            match held.get(&token) {
                Some((its, _)) if *its == device => held.remove(&token).ok_or(CANNOT)?.1,
                _ => return Err(CANNOT),
            }
        };
        let result = CompletionCode(result);
        match command {
            Command::Write(write) => write.complete_with(result, bytes as usize),
            Command::Read(read) => read.complete_with(result, bytes as usize),
            Command::Control(control) if result == CompletionCode::SUCCESS => {
                control.complete_at(position)
            }
            Command::Control(control) => control.fail(result),
        }
        .map_err(code)
    };
    number(complete())
}

// ---- The server

type Finish = unsafe extern "C" fn(*mut c_void, i32, i32, i64);

#[derive(Default)]
struct Owned {
    last: u64,
    devices: HashMap<u64, ServerDevice<'static>>,
    /// By their addresses: those that are in no order.
    buffers: HashMap<usize, Buffer<'static>>,
    /// What comes back now goes to the server.
    closing: bool,
}

struct Engine {
    shared: Shared<Server, Owned>,
    finish: Finish,
}

impl Engine {
    fn keep(&self, buffer: Option<Buffer<'_>>) {
        let owned = &mut self.shared.lock().1;
        if let Some(buffer) = buffer.filter(|_| !owned.closing) {
            // Gone before the server is: `face_server_close`.
            let buffer = unsafe { mem::transmute::<Buffer<'_>, Buffer<'static>>(buffer) };
            owned.buffers.insert(buffer.as_ptr() as usize, buffer);
        }
    }
    fn landed(&self, sent: usize, done: Completion<'_>) {
        let (result, moved, position) = (done.code().0, done.bytes() as i32, done.position());
        self.keep(done.into_order().into_buffer());
        unsafe { (self.finish)(sent as *mut c_void, result, moved, position) };
    }
}

#[no_mangle]
pub extern "C" fn face_server_new(finish: Finish) -> *mut c_void {
    Box::into_raw(Box::new(Engine { shared: Shared::new(), finish })).cast()
}

unsafe fn engine<'a>(face: *mut c_void) -> &'a Engine {
    unsafe { &*face.cast::<Engine>() }
}

/// A call of the server, if there is one.
unsafe fn with_server(face: *mut c_void, call: impl FnOnce(&'static Server) -> Result<()>) -> i32 {
    match unsafe { engine(face) }.shared.enter() {
        Ok((_server, server)) => number(call(server).map_err(code)),
        Err(answer) => answer,
    }
}

#[no_mangle]
pub unsafe extern "C" fn face_server_free(face: *mut c_void) {
    unsafe { face_server_close(face) };
    drop(unsafe { Box::from_raw(face.cast::<Engine>()) });
}

#[no_mangle]
pub unsafe extern "C" fn face_server_open(
    face: *mut c_void,
    name: *const c_char,
    area_bytes_max: u64,
) -> i32 {
    let options = JoinOptions::new().area_bytes_max(area_bytes_max);
    let made = unsafe { Server::open_with(bytes(name), &options) };
    number(unsafe { engine(face) }.shared.keep(made))
}

#[no_mangle]
pub unsafe extern "C" fn face_server_configuration(
    face: *mut c_void,
    out: *mut sys::vdset_config,
) -> i32 {
    unsafe {
        with_server(face, |server| {
            config_into(&server.configuration()?, &mut *out);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn face_server_begin(
    face: *mut c_void,
    features: u32,
    block: u32,
    alignment: u32,
    transfer: u32,
) -> i32 {
    let base = ServerConfig::new(Features(features))
        .block_bytes(block)
        .alignment_bytes(alignment)
        .max_transfer_bytes(transfer);
    unsafe { with_server(face, |server| server.begin_configuration(&base)) }
}

#[no_mangle]
pub unsafe extern "C" fn face_server_request(
    face: *mut c_void,
    size: u32,
    alignment: u32,
    count: u32,
) -> i32 {
    unsafe { with_server(face, |server| server.request_buffers(size, alignment, count)) }
}

#[no_mangle]
pub unsafe extern "C" fn face_server_query(
    face: *mut c_void,
    size: u32,
    alignment: u32,
    out: *mut u32,
) -> i32 {
    unsafe {
        with_server(face, |server| {
            *out = server.available_buffers(size, alignment)?;
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn face_server_end(face: *mut c_void) -> i32 {
    unsafe { with_server(face, Server::end_configuration) }
}

#[no_mangle]
pub unsafe extern "C" fn face_server_open_device(
    face: *mut c_void,
    name: *const c_char,
    out: *mut u64,
) -> i32 {
    unsafe {
        with_server(face, |server| {
            let device = server.open_device(bytes(name))?;
            let owned = &mut engine(face).shared.lock().1;
            owned.last += 1;
            owned.devices.insert(owned.last, device);
            *out = owned.last;
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn face_server_run_agent(face: *mut c_void) -> i32 {
    unsafe { with_server(face, Server::run_agent) }
}

#[no_mangle]
pub unsafe extern "C" fn face_server_allocate(
    face: *mut c_void,
    size: u32,
    alignment: u32,
    out: *mut *mut c_void,
) -> i32 {
    unsafe {
        with_server(face, |server| {
            let mut buffer = server.allocate(size, alignment)?;
            *out = buffer.as_mut_ptr().cast();
            engine(face).keep(Some(buffer));
            Ok(())
        })
    }
}

/// Dropping a buffer frees it; one that is sent or freed is nobody's to drop.
#[no_mangle]
pub unsafe extern "C" fn face_server_release(face: *mut c_void, buffer: *mut c_void) -> i32 {
    let buffer = unsafe { engine(face) }.shared.lock().1.buffers.remove(&(buffer as usize));
    match buffer {
        Some(buffer) => {
            drop(buffer);
            sys::VDSET_OK
        }
        None => CANNOT,
    }
}

#[no_mangle]
pub unsafe extern "C" fn face_server_is_shared(face: *mut c_void, address: *mut c_void) -> i32 {
    match unsafe { engine(face) }.shared.enter() {
        Ok((_server, server)) => server.is_shared_buffer(address.cast()).into(),
        Err(answer) => answer,
    }
}

#[no_mangle]
pub unsafe extern "C" fn face_server_abort(
    face: *mut c_void,
    why: i32,
    text: *const c_char,
) -> i32 {
    unsafe { with_server(face, |server| server.signal_abort(why, &words(text))) }
}

#[no_mangle]
pub unsafe extern "C" fn face_server_reason(
    face: *mut c_void,
    out: *mut sys::vdset_abort_reason,
) -> i32 {
    unsafe {
        with_server(face, |server| {
            reason_into(&server.abort_reason()?, &mut *out);
            Ok(())
        })
    }
}

#[no_mangle]
pub unsafe extern "C" fn face_server_close(face: *mut c_void) -> i32 {
    let engine = unsafe { engine(face) };
    let taken = engine.shared.take(|owned| {
        owned.closing = true;
        owned.devices.clear();
        owned.buffers.clear();
    });
    let result = number(taken.and_then(|server| server.close().map_err(code)));
    if result != CANNOT {
        engine.shared.lock().1.closing = false;
    }
    result
}

#[no_mangle]
pub unsafe extern "C" fn face_server_send(
    face: *mut c_void,
    device: u64,
    sent: *mut c_void,
    command: i32,
    size: i32,
    position: i64,
    buffer: *mut c_void,
) -> i32 {
    let send = || -> Answer {
        let engine = unsafe { engine(face) };
        let (_server, server) = engine.shared.enter()?;
        let (device, buffer) = {
            let owned = &mut engine.shared.lock().1;
            let device = *owned.devices.get(&device).ok_or(CANNOT)?;
            let owns = buffer.is_null() || owned.buffers.contains_key(&(buffer as usize));
            if !owns {
                return Err(CANNOT);
            }
            (device, owned.buffers.remove(&(buffer as usize)))
        };
        let kind = CommandCode(command as u32);
        let order = match buffer {
            Some(buffer) => Order::write(buffer).code(kind),
            None => Order::control(server, kind),
        };
        let (face, sent) = (face as usize, sent as usize);
        let order = order.count(size).position(position).on_completion(move |done| {
            unsafe { &*(face as *const Engine) }.landed(sent, done);
        });
        device.send(order).map_err(|refused| {
            engine.keep(refused.order.and_then(Order::into_buffer));
            refused.error.code()
        })
    };
    number(send())
}

#[no_mangle]
pub unsafe extern "C" fn face_server_close_device(face: *mut c_void, device: u64) -> i32 {
    let close = || -> Answer {
        let engine = unsafe { engine(face) };
        let (_server, _) = engine.shared.enter()?;
        let device = *engine.shared.lock().1.devices.get(&device).ok_or(CANNOT)?;
        device.close().map_err(code)
    };
    number(close())
}
