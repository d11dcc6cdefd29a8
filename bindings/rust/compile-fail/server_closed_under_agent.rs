// error: E0505
use vdset::*;

pub fn f(server: Server) {
    let agent = &server;
    std::thread::scope(|scope| {
        scope.spawn(move || agent.run_agent());
        server.close().unwrap(); // The thread is in it.
    });
}
