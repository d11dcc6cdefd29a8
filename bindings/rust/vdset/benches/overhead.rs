//! What the safe crate costs over the calls of `vdset.h`: the command round trip and the handle
//! round trip, each the C way (the raw calls and nothing else) and the Rust way, in turns within
//! the same second. Medians of the pairs' ratios are what counts. Times are shown, never asserted.
//!
//! In one thread nobody waits: it is all work, so that the difference shows. Between two threads
//! the way from core to core comes to it, as in use.

use std::ffi::CString;
use std::mem::zeroed;
use std::ptr;
use std::thread;
use std::time::Instant;
use vdset::*;
use vdset_sys as sys;

/// How much is measured; the tests run it in miniature.
struct Scale {
    repetitions: usize,
    alone: u32,
    together: u32,
    handles: u32,
}
const WHOLE: Scale = Scale { repetitions: 15, alone: 100_000, together: 20_000, handles: 400_000 };
const TINY: Scale = Scale { repetitions: 1, alone: 100, together: 100, handles: 100 };
const BYTES: u32 = 512;

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(|a, b| a.partial_cmp(b).expect("a number"));
    samples[samples.len() / 2]
}

/// From clock to clock: between threads.
fn nanoseconds_each(count: u32, work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_nanos() as f64 / f64::from(count)
}

/// What this thread works, so that others on the machine do not count.
fn work_each(count: u32, work: impl FnOnce()) -> f64 {
    #[repr(C)]
    struct TimeSpec {
        seconds: std::os::raw::c_long,
        nanoseconds: std::os::raw::c_long,
    }
    extern "C" {
        fn clock_gettime(clock: i32, out: *mut TimeSpec) -> i32;
    }
    const CLOCK_THREAD_CPUTIME_ID: i32 = 3;
    let now = || {
        let mut time = TimeSpec { seconds: 0, nanoseconds: 0 };
        assert_eq!(unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
        time.seconds as f64 * 1e9 + time.nanoseconds as f64
    };
    let begin = now();
    work();
    (now() - begin) / f64::from(count)
}

/// Both in turns, the first of them changing.
fn compare(scale: &Scale, what: &str, mut c: impl FnMut() -> f64, mut rust: impl FnMut() -> f64) {
    c(); // Warm.
    rust();
    let (mut cs, mut rusts, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..scale.repetitions {
        let (in_c, in_rust) = if i % 2 == 0 {
            let first = c();
            (first, rust())
        } else {
            let first = rust();
            (c(), first)
        };
        cs.push(in_c);
        rusts.push(in_rust);
        ratios.push(in_rust / in_c);
    }
    println!(
        "{}: Rust {:.1} ns, C {:.1} ns, {:.2} x C",
        what,
        median(rusts),
        median(cs),
        median(ratios)
    );
}

fn must(result: i32) {
    assert_eq!(result, sys::VDSET_OK);
}

/// Reads a byte of a buffer, as nobody may leave out.
fn touch(byte: *const u8) {
    unsafe { ptr::read_volatile(byte) };
}

/// A set as a C program has it: pointers. Its devices and buffers end with it.
struct Raw {
    set: *mut sys::vdset_set,
    helper: *mut sys::vdset_set,
    device: *mut sys::vdset_device,
    server: *mut sys::vdset_server,
    sender: *mut sys::vdset_server_device,
    command: sys::vdset_command,
}
// Its calls may come from any thread; each thread here uses its own half.
unsafe impl Sync for Raw {}

impl Raw {
    fn new() -> Raw {
        let name = CString::new(format!("bench-rust-raw-{}", std::process::id())).expect("a name");
        unsafe {
            let mut raw: Raw = zeroed();
            let mut wish: sys::vdset_config = zeroed();
            wish.struct_bytes = std::mem::size_of_val(&wish) as u32;
            wish.device_count = 1;
            must(sys::vdset_set_create(name.as_ptr(), &wish, ptr::null(), &mut raw.set));
            must(sys::vdset_server_open(name.as_ptr(), ptr::null(), &mut raw.server));
            let base = sys::vdset_base_configuration {
                struct_bytes: std::mem::size_of::<sys::vdset_base_configuration>() as u32,
                features: sys::VDSET_FEATURE_WRITE_MEDIA,
                block_bytes: BYTES,
                alignment_bytes: 0,
                max_transfer_bytes: 65536,
            };
            must(sys::vdset_server_begin_configuration(raw.server, &base));
            must(sys::vdset_server_request_buffers(raw.server, BYTES, 0, 4));
            must(sys::vdset_server_end_configuration(raw.server));
            must(sys::vdset_set_get_configuration(raw.set, sys::VDSET_INFINITE, &mut wish));
            must(sys::vdset_server_open_device(raw.server, name.as_ptr(), &mut raw.sender));
            must(sys::vdset_set_open_device(raw.set, name.as_ptr(), &mut raw.device));
            must(sys::vdset_set_open_in_secondary(name.as_ptr(), ptr::null(), &mut raw.helper));
            raw.command.struct_bytes = std::mem::size_of_val(&raw.command) as u32;
            raw.command.code = sys::VDSET_COMMAND_WRITE;
            raw.command.size = BYTES as i32;
            must(sys::vdset_server_allocate_buffer(raw.server, BYTES, 0, &mut raw.command.buffer));
            raw
        }
    }
    fn send(&self, command: &mut sys::vdset_command) {
        must(unsafe { sys::vdset_server_device_send_command(self.sender, command) });
    }
    fn reap(&self) {
        let mut done = ptr::null_mut();
        must(unsafe {
            sys::vdset_server_next_completion(self.server, sys::VDSET_INFINITE, &mut done)
        });
        assert_eq!(unsafe { (*done).completion_code }, 0);
    }
    fn fetch(&self) -> *const sys::vdset_command {
        let mut command = ptr::null();
        must(unsafe {
            sys::vdset_device_get_command(self.device, sys::VDSET_INFINITE, &mut command)
        });
        touch(unsafe { (*command).buffer.cast() });
        command
    }
    fn complete(&self, command: *const sys::vdset_command) {
        must(unsafe { sys::vdset_device_complete_command(self.device, command, 0, BYTES, 0) });
    }

    fn alone(&self, alone: u32) -> f64 {
        let mut sent = self.command;
        work_each(alone, || {
            for _ in 0..alone {
                self.send(&mut sent);
                self.complete(self.fetch());
                self.reap();
            }
        })
    }
    fn together(&self, together: u32) -> f64 {
        let mut sent = self.command;
        thread::scope(|scope| {
            scope.spawn(|| (0..together).for_each(|_| self.complete(self.fetch())));
            nanoseconds_each(together, || {
                for _ in 0..together {
                    self.send(&mut sent);
                    self.reap();
                }
            })
        })
    }
    fn handles(&self, handles: u32) -> f64 {
        let mut sent = self.command;
        self.send(&mut sent);
        let command = self.fetch();
        let time = work_each(handles, || unsafe {
            for _ in 0..handles {
                let (mut handle, mut there) = (0, ptr::null_mut());
                let buffer = (*command).buffer;
                must(sys::vdset_set_get_buffer_handle(self.set, buffer, &mut handle));
                must(sys::vdset_set_map_buffer_handle(self.helper, handle, &mut there));
                touch(there.cast());
            }
        });
        self.complete(command);
        self.reap();
        time
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        unsafe {
            must(sys::vdset_server_device_close(self.sender));
            let mut command = ptr::null();
            let end = sys::vdset_device_get_command(self.device, -1, &mut command);
            assert_eq!(end, sys::VDSET_E_CLOSE);
            must(sys::vdset_set_close(self.helper));
            must(sys::vdset_server_close(self.server));
            must(sys::vdset_set_close(self.set));
        }
    }
}

/// The same with the safe crate.
struct Safe<'a> {
    device: Device<'a>,
    helper: &'a Set,
    server: &'a Server,
    sender: ServerDevice<'a>,
}

impl<'a> Safe<'a> {
    fn write(&self) -> Order<'a> {
        Order::write(self.server.allocate(BYTES, 0).expect("a buffer"))
    }
    fn send(&self, order: Order<'a>) {
        self.sender.send(order).expect("sent");
    }
    fn reap(&self) -> Order<'a> {
        let done = self.server.next_completion(None).expect("a completion");
        assert_eq!(done.code(), CompletionCode::SUCCESS);
        done.into_order()
    }
    fn fetch(&self) -> Write<'a> {
        match self.device.fetch(None) {
            Ok(Command::Write(write)) => {
                touch(&write.data()[0]);
                write
            }
            other => panic!("{:?}", other),
        }
    }

    fn alone(&self, alone: u32) -> f64 {
        let mut order = self.write();
        work_each(alone, move || {
            for _ in 0..alone {
                self.send(order);
                self.fetch().complete().expect("completed");
                order = self.reap();
            }
        })
    }
    fn together(&self, together: u32) -> f64 {
        let mut order = self.write();
        thread::scope(|scope| {
            scope.spawn(|| (0..together).for_each(|_| self.fetch().complete().expect("completed")));
            nanoseconds_each(together, move || {
                for _ in 0..together {
                    self.send(order);
                    order = self.reap();
                }
            })
        })
    }
    fn handles(&self, handles: u32) -> f64 {
        self.send(self.write());
        let write = self.fetch();
        let time = work_each(handles, || {
            for _ in 0..handles {
                let number = write.handle().expect("a handle").number();
                touch(&self.helper.handle(number).map().expect("a buffer")[0]);
            }
        });
        write.complete().expect("completed");
        self.reap();
        time
    }
}

fn main() -> Result<()> {
    // cargo bench says so; cargo test does not.
    let scale = if std::env::args().any(|word| word == "--bench") { WHOLE } else { TINY };
    let raw = Raw::new();
    let name = format!("bench-rust-safe-{}", std::process::id());
    let set = Set::create(&name, &Config::new(1))?;
    let server = Server::open(&name)?;
    server.begin_configuration(&ServerConfig::new(Features::WRITE_MEDIA))?;
    server.request_buffers(BYTES, 0, 4)?;
    server.end_configuration()?;
    set.configuration(None)?;
    let sender = server.open_device(&name)?;
    let helper = Set::join(&name)?;
    let safe = Safe { device: set.open_device(&name)?, helper: &helper, server: &server, sender };
    let Scale { alone, together, handles, .. } = scale;
    compare(&scale, "command round trip, one thread", || raw.alone(alone), || safe.alone(alone));
    compare(
        &scale,
        "command round trip, two threads",
        || raw.together(together),
        || safe.together(together),
    );
    compare(&scale, "handle round trip", || raw.handles(handles), || safe.handles(handles));
    Ok(())
}
