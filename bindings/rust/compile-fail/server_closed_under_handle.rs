// error: E0505
use vdset::*;

pub fn f(server: Server) -> Result<()> {
    let handle = server.allocate(512, 0)?.handle()?;
    server.close()?;
    handle.map().map(drop)
}
