// error: E0594
use vdset::*;

pub fn f(handle: BufferHandle<'_>) -> Result<()> {
    let mut mapped = handle.map()?;
    mapped[0] = 1;
    Ok(())
}
