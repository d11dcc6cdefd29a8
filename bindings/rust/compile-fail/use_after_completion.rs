// error: E0382
use vdset::*;

pub fn f(write: Write<'_>) -> Result<u8> {
    write.complete()?;
    Ok(write.data()[0])
}
