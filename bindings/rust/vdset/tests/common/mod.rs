//! One set with both halves in this process.

#![allow(dead_code)] // Not every test file needs all of it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use vdset::*;

pub const BLOCK: u32 = 65536;
pub const SOON: Option<Duration> = Some(Duration::from_secs(20));
pub const NOW: Option<Duration> = Some(Duration::ZERO);

/// A name that nobody else has.
pub fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("rust-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn device_name(set: &str, i: u32) -> String {
    if i == 0 {
        set.to_owned()
    } else {
        format!("{}-{}", set, i)
    }
}

pub struct Shape {
    pub wish: Config,
    pub options: SetOptions,
    pub media: Features,
    pub buffers: u32,
    pub join: JoinOptions,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape {
            wish: Config::new(1),
            options: SetOptions::new(),
            media: Features::WRITE_MEDIA | Features::READ_MEDIA,
            buffers: 4,
            join: JoinOptions::new(),
        }
    }
}

/// A set that is configured, with its server. The devices are named and not open.
pub struct Pair {
    pub name: String,
    pub set: Set,
    pub server: Server,
}

impl Pair {
    pub fn new(shape: &Shape) -> Pair {
        let name = name();
        let set = Set::create_with(&name, &shape.wish, &shape.options).unwrap();
        let server = Server::open_with(&name, &shape.join).unwrap();
        let base = ServerConfig::new(shape.wish.features | shape.media).max_transfer_bytes(BLOCK);
        server.begin_configuration(&base).unwrap();
        server.request_buffers(BLOCK, 0, shape.buffers).unwrap();
        server.end_configuration().unwrap();
        let agreed = set.configuration(SOON).unwrap();
        assert_eq!(agreed.max_transfer_bytes, BLOCK);
        Pair { name, set, server }
    }
    /// Both ends of device i; in order from 0.
    pub fn device(&self, i: u32) -> (Device<'_>, ServerDevice<'_>) {
        let name = device_name(&self.name, i);
        let server = self.server.open_device(&name).unwrap();
        (self.set.open_device(&name).unwrap(), server)
    }
    pub fn buffer(&self) -> Buffer<'_> {
        self.server.allocate(BLOCK, 0).unwrap()
    }
    /// Sends a Write of one byte all over.
    pub fn send_write(&self, device: ServerDevice<'_>, byte: u8) {
        let mut buffer = self.buffer();
        buffer.fill(byte);
        // Its lifetime is the pair's, as the device's is.
        let device: ServerDevice<'_> = device;
        send(device, Order::write(buffer));
    }
}

pub fn send<'srv>(device: ServerDevice<'srv>, order: Order<'srv>) {
    device.send(order).unwrap();
}

pub fn as_write(command: Command<'_>) -> Write<'_> {
    match command {
        Command::Write(write) => write,
        other => panic!("not a Write: {:?}", other),
    }
}

pub fn as_read(command: Command<'_>) -> Read<'_> {
    match command {
        Command::Read(read) => read,
        other => panic!("not a Read: {:?}", other),
    }
}
