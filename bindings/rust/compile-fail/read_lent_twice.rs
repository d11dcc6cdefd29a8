// error: E0499
use vdset::*;

pub fn f(mut read: Read<'_>) {
    let first = read.data_mut();
    let second = read.data_mut();
    first[0] = second[0];
}
