//! The server's side in tokio: one descriptor tells of all completions.
//!
//! usage: engine SET DEVICES UNDER_WAY COMMANDS
//!        engine SET DEVICES UNDER_WAY SECONDSs
//!
//! Sends UNDER_WAY Writes on each device, and another for each that is done, until so many were
//! sent in all, or so long; then a Flush on each. An agent must have created the set.

use std::error::Error;
use std::time::{Duration, Instant};
use std::{env, process};
use tokio::runtime::Builder;
use vdset::{CommandCode, CompletionCode, Features, Order, Server, ServerConfig, ServerDevice};
use vdset_tokio_example::{device_name, next, watch};

const BLOCK: usize = 4096;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Until when: a count of commands, or a time.
struct Limit {
    commands: u64,
    end: Option<Instant>,
}

impl Limit {
    fn parse(word: &str) -> Outcome<Limit> {
        Ok(match word.strip_suffix('s') {
            Some(seconds) => {
                let end = Instant::now() + Duration::from_secs(seconds.parse()?);
                Limit { commands: u64::MAX, end: Some(end) }
            }
            None => Limit { commands: word.parse()?, end: None },
        })
    }

    fn allows(&self, sent: u64) -> bool {
        sent < self.commands && self.end.map_or(true, |end| Instant::now() < end)
    }
}

struct Lane<'srv> {
    device: ServerDevice<'srv>,
    sent: u64,
    under_way: u32,
    /// Its Flush is sent: nothing else is under way.
    flushes: bool,
}

impl<'srv> Lane<'srv> {
    /// Sends its next number, in the first and the last bytes of the buffer.
    fn send(&mut self, mut order: Order<'srv>) -> vdset::Result<()> {
        self.sent += 1;
        self.under_way += 1;
        let number = self.sent.to_ne_bytes();
        order.data_mut()[..8].copy_from_slice(&number);
        order.data_mut()[BLOCK - 8..].copy_from_slice(&number);
        self.device.send(order).map_err(|refused| refused.error)
    }

    /// The last command: what was written is to be made durable.
    fn flush(&mut self, order: Order<'srv>) -> vdset::Result<()> {
        self.under_way += 1;
        self.flushes = true;
        self.device.send(order).map_err(|refused| refused.error)
    }
}

fn configure(name: &str, buffers: u32) -> vdset::Result<Server> {
    let server = Server::open(name)?;
    server.begin_configuration(
        &ServerConfig::new(Features::WRITE_MEDIA)
            .block_bytes(BLOCK as u32)
            .max_transfer_bytes(65536),
    )?;
    server.request_buffers(BLOCK as u32, 0, buffers)?;
    server.end_configuration()?;
    Ok(server)
}

/// How many Writes there were, and what the slowest took.
async fn run(
    name: &str,
    device_count: u32,
    under_way: u32,
    limit: &Limit,
) -> Outcome<(u64, Duration)> {
    let server = configure(name, device_count * under_way)?;
    let watched = watch(server.pollable()?)?;
    let mut lanes = Vec::new();
    for number in 0..device_count {
        let device = server.open_device(device_name(name, number))?;
        lanes.push(Lane { device, sent: 0, under_way: 0, flushes: false });
    }
    // An order's tag is its number here.
    let mut times = vec![Instant::now(); (device_count * under_way) as usize];
    let (mut sent, mut done, mut slowest) = (0, 0, Duration::ZERO);
    for (tag, time) in times.iter_mut().enumerate() {
        let order = Order::write(server.allocate(BLOCK as u32, 0)?).tag(tag as u64);
        sent += 1;
        *time = Instant::now();
        lanes[tag % device_count as usize].send(order)?;
    }
    while let Some(completion) = next(&watched, || server.try_next_completion()).await? {
        let tag = completion.tag() as usize;
        let lane = &mut lanes[tag % device_count as usize];
        let bytes = if lane.flushes { 0 } else { BLOCK };
        if completion.code() != CompletionCode::SUCCESS || completion.bytes() != bytes {
            return Err(format!("{:?}", completion).into());
        }
        slowest = slowest.max(times[tag].elapsed());
        lane.under_way -= 1;
        if lane.flushes {
            lane.device.close()?;
            continue;
        }
        done += 1;
        if limit.allows(sent) {
            sent += 1;
            times[tag] = Instant::now();
            lane.send(completion.into_order())?;
        } else if lane.under_way == 0 {
            times[tag] = Instant::now();
            let flush = Order::control(&server, CommandCode::FLUSH);
            lane.flush(flush.tag(tag as u64))?;
        }
    }
    drop(watched);
    drop(lanes);
    server.close()?;
    Ok((done, slowest))
}

fn main() -> Outcome<()> {
    let arguments: Vec<_> = env::args().collect();
    if arguments.len() != 5 {
        eprintln!("usage: engine SET DEVICES UNDER_WAY COMMANDS|SECONDSs");
        process::exit(2);
    }
    let (devices, under_way) = (arguments[2].parse()?, arguments[3].parse()?);
    let limit = Limit::parse(&arguments[4])?;
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let (done, slowest) = runtime.block_on(run(&arguments[1], devices, under_way, &limit))?;
    println!("engine: {} commands, the slowest took {} ms", done, slowest.as_millis());
    Ok(())
}
