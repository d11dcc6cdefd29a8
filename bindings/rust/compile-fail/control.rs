// error: none
// The positive control: what the other files do wrongly, done rightly.
use std::thread;
use vdset::*;

pub fn client(set: Set, number: u32) -> Result<()> {
    let device = set.open_device("accounts")?;
    thread::scope(|scope| {
        scope.spawn(move || device.fetch(None).map(drop));
    });
    for command in device {
        match command? {
            Command::Write(write) => {
                let first = write.data()[0];
                let number = write.handle()?.number();
                write.complete()?;
                println!("{} {}", first, number);
            }
            Command::Read(mut read) => {
                let (prefix, data) = read.parts();
                prefix.fill(1);
                data.fill(2);
                read.data_mut()[0] = 3;
                read.complete_with(CompletionCode::HANDLE_EOF, 1)?;
            }
            Command::Control(control) => drop(control),
        }
    }
    let handle = set.handle(number);
    handle.map_mut()?[0] = 1;
    let _ = device.pollable()?.descriptor();
    set.close()
}

pub fn server(server: Server) -> Result<()> {
    let device = server.open_device("accounts")?;
    let mut buffer = server.allocate(512, 0)?;
    buffer[0] = 1;
    let order = Order::write(buffer).on_completion(|done| {
        let device = done.device();
        let _ = device.send(done.into_order());
    });
    device.send(order)?;
    let done = server.next_completion(None)?;
    device.send(done.into_order())?;
    server.close()
}
