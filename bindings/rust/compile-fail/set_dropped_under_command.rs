// error: E0597
use vdset::*;

pub fn f() -> Result<u8> {
    let write;
    {
        let set = Set::join("accounts")?;
        match set.open_device("accounts")?.fetch(None)? {
            Command::Write(fetched) => write = fetched,
            _ => return Ok(0),
        }
    }
    Ok(write.data()[0])
}
