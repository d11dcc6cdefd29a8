//! The role program in Rust (tests/mixed/README.md).
//!
//! usage: role server|primary|secondary SET ROUNDS

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::io::FromRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use std::{env, process};
use vdset::*;

type Outcome<T> = std::result::Result<T, Box<dyn Error>>;

const BLOCK: u32 = 512;
const TRANSFER: u32 = 65536;
const WINDOW: u32 = 4;
const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));

fn size_of(k: u32, device: u32) -> u32 {
    BLOCK * (1 + (k * 5 + device) % 128)
}
fn byte_of(k: u32, device: u32, i: u32) -> u8 {
    (k * 31 + i * 7 + i / 256 + device * 101) as u8
}
fn fill(to: &mut [u8], k: u32, device: u32) {
    for (i, byte) in (0..).zip(to) {
        *byte = byte_of(k, device, i);
    }
}
fn check(from: &[u8], k: u32, device: u32) -> Outcome<()> {
    match (0..).zip(from).find(|&(i, &byte)| byte != byte_of(k, device, i)) {
        None => Ok(()),
        Some((i, _)) => {
            Err(format!("device {}, command {}: byte {} is wrong", device, k, i).into())
        }
    }
}
fn device_name(set: &str, device: u32) -> String {
    if device == 0 {
        set.to_owned()
    } else {
        format!("{}-1", set)
    }
}
fn expect(good: bool, what: &str) -> Outcome<()> {
    if good {
        Ok(())
    } else {
        Err(what.into())
    }
}

// ---- Server

fn send<'srv>(
    to: ServerDevice<'srv>,
    order: Order<'srv>,
    k: u32,
    device: u32,
    rounds: u32,
) -> Outcome<()> {
    let code = if k < rounds { CommandCode::WRITE } else { CommandCode::READ };
    let mut order = order.code(code).size(size_of(k, device) as usize).tag(k.into());
    if code == CommandCode::WRITE {
        fill(order.data_mut(), k, device);
    } else {
        order.data_mut().fill(0);
    }
    Ok(to.send(order).map_err(|refused| refused.error)?)
}

fn serve_device<'srv>(
    server: &'srv Server,
    to: ServerDevice<'srv>,
    device: u32,
    rounds: u32,
) -> Outcome<()> {
    let mut sent = 0;
    while sent < WINDOW.min(2 * rounds) {
        send(to, Order::write(server.allocate(TRANSFER, 0)?), sent, device, rounds)?;
        sent += 1;
    }
    for _ in 0..2 * rounds {
        let done = server.next_completion(PATIENCE)?;
        let k = done.tag() as u32;
        expect(done.code() == CompletionCode::SUCCESS, "a completion code")?;
        expect(done.bytes() == size_of(k, device) as usize, "the bytes of a completion")?;
        check(done.data(), k, device)?;
        if sent < 2 * rounds {
            send(to, done.into_order(), sent, device, rounds)?;
            sent += 1;
        }
    }
    Ok(to.close()?)
}

fn serve(name: &str, rounds: u32) -> Outcome<u32> {
    let server = Server::open(name)?;
    let wish = server.configuration()?;
    expect(wish.device_count == 2 && wish.features == Features::LIKE_PIPE, "two pipes")?;
    server.begin_configuration(
        &ServerConfig::new(Features::WRITE_MEDIA | Features::READ_MEDIA)
            .block_bytes(BLOCK)
            .max_transfer_bytes(TRANSFER),
    )?;
    server.request_buffers(TRANSFER, 0, WINDOW)?;
    server.end_configuration()?;
    let devices = [server.open_device(name)?, server.open_device(device_name(name, 1))?];
    for (device, &to) in (0..).zip(&devices) {
        serve_device(&server, to, device, rounds)?;
    }
    expect(matches!(server.next_completion(PATIENCE), Err(vdset::Error::Close(_))), "the end")?;
    server.close()?;
    Ok(4 * rounds)
}

// ---- Clients

/// The other client, line by line.
struct Other {
    from: BufReader<UnixStream>,
    to: UnixStream,
}

impl Other {
    fn new() -> Outcome<Other> {
        // Standard input is a socket, and nobody else uses it.
        let to = unsafe { UnixStream::from_raw_fd(0) };
        Ok(Other { from: BufReader::new(to.try_clone()?), to })
    }
    fn hear(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        expect(line.ends_with('\n'), "the other client is gone")?;
        line.pop();
        Ok(line)
    }
    fn say(&mut self, line: &str) -> Outcome<()> {
        Ok(self.to.write_all(format!("{}\n", line).as_bytes())?)
    }
    /// Has the other work on a buffer.
    fn pass(
        &mut self,
        handle: BufferHandle<'_>,
        device: u32,
        code: CommandCode,
        k: u32,
    ) -> Outcome<()> {
        let line = format!(
            "buffer {} {} {} {} {}",
            handle.number(),
            device,
            code.0,
            k,
            size_of(k, device)
        );
        self.say(&line)?;
        expect(self.hear()? == "done", "the answer is not done")
    }
}

fn lead(from: Device<'_>, device: u32, rounds: u32, other: &mut Other) -> Outcome<u32> {
    let (mut k, mut worked) = (0, 0);
    loop {
        let command = match from.fetch(PATIENCE) {
            Err(vdset::Error::Close(_)) => break,
            fetched => fetched?,
        };
        expect(k < 2 * rounds, "a command too many")?;
        expect(command.size() == size_of(k, device) as i32, "the size of a command")?;
        let is_mine = k % 2 == 0;
        match command {
            Command::Write(write) if k < rounds => {
                if is_mine {
                    check(write.data(), k, device)?;
                } else {
                    other.pass(write.handle()?, device, CommandCode::WRITE, k)?;
                }
                write.complete()?;
            }
            Command::Read(mut read) if k >= rounds => {
                if is_mine {
                    fill(read.data_mut(), k, device);
                } else {
                    other.pass(read.handle()?, device, CommandCode::READ, k)?;
                }
                read.complete()?;
            }
            other => return Err(format!("command {} is a {:?}", k, other).into()),
        }
        worked += u32::from(is_mine);
        k += 1;
    }
    expect(k == 2 * rounds, "commands are missing")?;
    other.say("end")?;
    Ok(worked)
}

fn follow(set: &Set, other: &mut Other) -> Outcome<u32> {
    let mut worked = 0;
    loop {
        let line = other.hear()?;
        if line == "end" {
            return Ok(worked);
        }
        let numbers = line.strip_prefix("buffer ").ok_or("a line that is not understood")?;
        let numbers =
            numbers.split(' ').map(str::parse).collect::<std::result::Result<Vec<u32>, _>>()?;
        let (number, device, code, k, size) = match numbers[..] {
            [number, device, code, k, size] => (number, device, CommandCode(code), k, size),
            _ => return Err("a line that is not understood".into()),
        };
        expect(size == size_of(k, device), "the size of a buffer")?;
        let forged = set.handle(number ^ 0x8000_0000).map();
        expect(matches!(forged, Err(vdset::Error::Invalid(_))), "a forged handle is refused")?;
        let handle = set.handle(number);
        if code == CommandCode::READ {
            fill(&mut handle.map_mut()?[..size as usize], k, device);
        } else {
            check(&handle.map()?[..size as usize], k, device)?;
        }
        worked += 1;
        other.say("done")?;
    }
}

fn be_client(name: &str, device: u32, rounds: u32) -> Outcome<u32> {
    let mut other = Other::new()?;
    let set;
    if device == 0 {
        set = Set::create(name, &Config::new(2))?;
        println!("ready");
        std::io::stdout().flush()?;
    } else {
        expect(other.hear()? == "go", "not told to go")?;
        set = Set::join(name)?;
    }
    set.configuration(PATIENCE)?;
    let mine = set.open_device(device_name(name, device))?;
    let mut worked = 0;
    if device == 0 {
        other.say("go")?;
        worked += lead(mine, device, rounds, &mut other)?;
        worked += follow(&set, &mut other)?;
    } else {
        worked += follow(&set, &mut other)?;
        worked += lead(mine, device, rounds, &mut other)?;
    }
    set.close()?;
    Ok(worked)
}

fn run() -> Outcome<u32> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server", set, rounds] => serve(set, rounds.parse()?),
        ["primary", set, rounds] => be_client(set, 0, rounds.parse()?),
        ["secondary", set, rounds] => be_client(set, 1, rounds.parse()?),
        _ => Err("usage: role server|primary|secondary SET ROUNDS".into()),
    }
}

fn main() {
    match run() {
        Ok(worked) => println!("ok {}", worked),
        Err(error) => {
            eprintln!("rust: {}", error);
            process::exit(1);
        }
    }
}
