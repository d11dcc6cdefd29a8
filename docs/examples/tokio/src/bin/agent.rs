//! A backup agent in tokio. No thread waits for a device.
//!
//! usage: agent SET DEVICES
//!
//! The engine beside it numbers what it sends on each device; this agent sees that nothing is
//! missing, twice there or torn.

use futures_util::future::try_join_all;
use std::error::Error;
use std::time::Duration;
use std::{env, process};
use tokio::runtime::Runtime;
use vdset::{Command, CommandCode, CompletionCode, Config, Control, Device, Set, Write};
use vdset_tokio_example::{device_name, next, watch};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Here a real agent stores `write.data()`; it may await meanwhile.
fn has_number(write: &Write<'_>, number: u64) -> bool {
    let number = number.to_ne_bytes();
    write.data().starts_with(&number) && write.data().ends_with(&number)
}

/// What a backup's server sends beside Writes, to any agent.
fn control(control: Control<'_>) -> vdset::Result<()> {
    match control.code() {
        CommandCode::FLUSH => control.complete(), // Make durable here what came before: fsync.
        CommandCode::CLEAR_ERROR => control.complete(), // The server goes on after a failure.
        _ => control.fail(CompletionCode::NOT_SUPPORTED),
    }
}

/// Serves one device until the server closes it; how many Writes there were.
async fn serve(device: Device<'_>) -> Outcome<u64> {
    let watched = watch(device.pollable()?)?;
    let mut seen = 0;
    while let Some(command) = next(&watched, || device.try_fetch()).await? {
        match command {
            Command::Write(write) => {
                seen += 1;
                if has_number(&write, seen) {
                    write.complete()?
                } else {
                    write.fail(CompletionCode::WRITE_FAULT)?
                }
            }
            Command::Control(command) => control(command)?,
            other => other.fail(CompletionCode::NOT_SUPPORTED)?,
        }
    }
    Ok(seen)
}

/// Waits until a server has come.
async fn configured(set: &Set) -> Outcome<Config> {
    let watched = watch(set.pollable()?)?;
    let config = next(&watched, || match set.configuration(Some(Duration::ZERO)) {
        Err(vdset::Error::Timeout(_)) => Ok(None),
        answer => answer.map(Some),
    });
    Ok(config.await?.ok_or("the set is closed")?)
}

async fn run(name: &str, device_count: u32) -> Outcome<u64> {
    let set = Set::create(name, &Config::new(device_count))?;
    configured(&set).await?;
    let devices = (0..device_count)
        .map(|number| set.open_device(device_name(name, number)))
        .collect::<vdset::Result<Vec<_>>>()?;
    let seen = try_join_all(devices.into_iter().map(serve)).await?;
    set.close()?;
    Ok(seen.iter().sum())
}

fn main() -> Outcome<()> {
    let arguments: Vec<_> = env::args().collect();
    if arguments.len() != 3 {
        eprintln!("usage: agent SET DEVICES");
        process::exit(2);
    }
    let seen = Runtime::new()?.block_on(run(&arguments[1], arguments[2].parse()?))?;
    println!("agent: {} commands", seen);
    Ok(())
}
