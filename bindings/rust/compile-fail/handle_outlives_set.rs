// error: E0505
use vdset::*;

pub fn f(set: Set, number: u32) -> Result<()> {
    let handle = set.handle(number);
    drop(set);
    handle.map().map(drop)
}
