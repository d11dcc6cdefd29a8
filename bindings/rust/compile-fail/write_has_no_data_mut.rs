// error: E0599
use vdset::*;

pub fn f(mut write: Write<'_>) {
    write.data_mut().fill(1);
}
