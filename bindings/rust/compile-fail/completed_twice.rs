// error: E0382
use vdset::*;

pub fn f(read: Read<'_>) -> Result<()> {
    read.complete()?;
    read.fail(CompletionCode::READ_FAULT)
}
