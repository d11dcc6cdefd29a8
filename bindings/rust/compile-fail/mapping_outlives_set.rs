// error: E0505
use vdset::*;

pub fn f(set: Set, number: u32) -> Result<u8> {
    let mapped = set.handle(number).map()?;
    drop(set);
    Ok(mapped[0])
}
