// error: E0308
use vdset::*;

pub fn f(handle: ServerHandle<'_>) -> Result<()> {
    let there: BufferHandle<'_> = handle;
    there.map().map(drop)
}
