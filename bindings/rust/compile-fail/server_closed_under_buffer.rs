// error: E0505
use vdset::*;

pub fn f(server: Server) -> Result<u8> {
    let buffer = server.allocate(512, 0)?;
    server.close()?;
    Ok(buffer[0])
}
