// error: E0507
use vdset::*;

pub fn f(write: &Write<'_>) -> Result<()> {
    write.complete()
}
