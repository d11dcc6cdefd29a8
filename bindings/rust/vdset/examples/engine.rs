//! A database engine of the simplest kind: its database is one file, and it backs it up to a set of
//! one device.
//!
//! usage: engine SET FILE

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::{env, process};
use vdset::{CommandCode, CompletionCode, Features, Order, Server, ServerConfig};

const CHUNK: usize = 65536;
const BLOCK: usize = 512;

/// Fills as much as the file has; 0 at its end.
fn fill(file: &mut File, chunk: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match file.read(&mut chunk[filled..])? {
            0 => break,
            bytes => filled += bytes,
        }
    }
    Ok(filled)
}

fn back_up(name: &str, path: &str) -> Result<usize, Box<dyn Error>> {
    let mut file = File::open(path)?;
    let server = Server::open(name)?;
    let wish = server.configuration()?;
    server.begin_configuration(
        &ServerConfig::new(wish.features | Features::WRITE_MEDIA)
            .block_bytes(BLOCK as u32)
            .max_transfer_bytes(CHUNK as u32),
    )?;
    server.request_buffers(CHUNK as u32, 0, 4)?;
    server.end_configuration()?;
    let device = server.open_device(name)?;
    let mut total = 0;
    let mut idle = (0..4)
        .map(|_| Ok(Order::write(server.allocate(CHUNK as u32, 0)?)))
        .collect::<vdset::Result<Vec<_>>>()?;
    let mut under_way = 0;
    loop {
        // Every buffer is under way, or the file has ended.
        while let Some(order) = idle.pop() {
            let mut order = order.size(CHUNK);
            let bytes = fill(&mut file, order.data_mut())?;
            if bytes == 0 {
                break;
            }
            order.data_mut()[bytes..].fill(0);
            total += bytes;
            device.send(order.size((bytes + BLOCK - 1) / BLOCK * BLOCK)).map_err(|e| e.error)?;
            under_way += 1;
        }
        if under_way == 0 {
            break;
        }
        let done = server.next_completion(None)?;
        if done.code() != CompletionCode::SUCCESS {
            return Err(format!("a write failed: {:?}", done.code()).into());
        }
        under_way -= 1;
        idle.push(done.into_order());
    }
    device.send(Order::control(&server, CommandCode::FLUSH)).map_err(|e| e.error)?;
    server.next_completion(None)?;
    device.close()?;
    drop(idle);
    server.close()?;
    Ok(total)
}

fn main() {
    let arguments: Vec<_> = env::args().collect();
    if arguments.len() != 3 {
        eprintln!("usage: engine SET FILE");
        process::exit(2);
    }
    match back_up(&arguments[1], &arguments[2]) {
        Ok(bytes) => println!("engine: {} bytes", bytes),
        Err(error) => {
            eprintln!("engine: {}", error);
            process::exit(1);
        }
    }
}
