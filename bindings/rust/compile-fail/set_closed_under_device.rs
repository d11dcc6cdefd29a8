// error: E0505
use vdset::*;

pub fn f(set: Set) -> Result<()> {
    let device = set.open_device("accounts")?;
    set.close()?;
    device.fetch(None).map(drop)
}
