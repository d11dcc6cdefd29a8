// error: E0594
use vdset::*;

pub fn f(write: Write<'_>) {
    write.data()[0] = 1;
}
