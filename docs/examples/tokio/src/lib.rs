//! Waiting for a set, a device or a server of vdset in tokio.

use std::error::Error;
use std::io;
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;
use vdset::Pollable;

/// The descriptor of a set, a device or a server, as tokio knows it.
pub type Watched<'a> = AsyncFd<Pollable<'a>>;

/// Adds it to the runtime, once.
pub fn watch(pollable: Pollable<'_>) -> io::Result<Watched<'_>> {
    AsyncFd::with_interest(pollable, Interest::READABLE)
}

/// What `ask` has to give, for example `|| device.try_fetch()`; sleeps while it has nothing. None
/// at the normal end. May be dropped in the middle and called again.
pub async fn next<T>(
    watched: &Watched<'_>,
    ask: impl Fn() -> vdset::Result<Option<T>>,
) -> Result<Option<T>, Box<dyn Error>> {
    loop {
        match ask() {
            Ok(None) => {}
            Err(vdset::Error::Close(_)) => return Ok(None),
            found => return Ok(found?),
        }
        // From here on the descriptor becomes readable if there is something, also if it came
        // since `ask` looked.
        watched.get_ref().arm()?;
        watched.readable().await?.clear_ready();
    }
}

/// The name of the device of that number: SET, SET.1, SET.2 ...
pub fn device_name(set: &str, number: u32) -> String {
    match number {
        0 => set.to_string(),
        _ => format!("{}.{}", set, number),
    }
}
