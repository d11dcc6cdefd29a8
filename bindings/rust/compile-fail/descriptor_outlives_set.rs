// error: E0505
use std::os::unix::io::AsRawFd;
use vdset::*;

pub fn f(set: Set) -> Result<i32> {
    let descriptor = set.pollable()?.descriptor();
    drop(set);
    Ok(descriptor.as_raw_fd())
}
