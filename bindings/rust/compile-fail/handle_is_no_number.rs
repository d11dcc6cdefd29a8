// error: E0308
use vdset::*;

pub fn f<'set>(set: &'set Set, of_peer: BufferHandle<'_>) -> BufferHandle<'set> {
    set.handle(of_peer)
}
