// error: E0515
use vdset::*;

pub fn f<'set>(write: Write<'set>) -> &'set [u8] {
    write.data()
}
