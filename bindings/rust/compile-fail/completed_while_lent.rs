// error: E0505
use vdset::*;

pub fn f(read: Read<'_>) -> Result<u8> {
    let data = read.data();
    read.complete()?;
    Ok(data[0])
}
