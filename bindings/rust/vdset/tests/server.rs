//! Goal: what a server sees, and what the library calls back. Method: as client.rs.

mod common;
use common::*;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{mpsc, Arc};
use std::thread;
use vdset::*;

/// Completes all that comes until the device is closed.
fn obey(device: Device<'_>) -> u32 {
    let mut count = 0;
    for command in device {
        match command.unwrap() {
            Command::Write(write) => write.complete().unwrap(),
            Command::Read(read) => read.complete().unwrap(),
            Command::Control(control) => control.complete_at(42).unwrap(),
        }
        count += 1;
    }
    count
}

#[test]
fn the_configuration_is_the_servers_to_make() {
    let name = name();
    let set = Set::create(&name, &Config::new(2).features(Features::LIKE_DISK)).unwrap();
    let server = Server::open_with(&name, &JoinOptions::new().buffers_max(16)).unwrap();
    let wish = server.configuration().unwrap();
    assert_eq!((wish.device_count, wish.features), (2, Features::LIKE_DISK));
    assert!(matches!(server.allocate(512, 0), Err(Error::Protocol(_))));
    assert!(matches!(server.pollable(), Err(Error::Protocol(_))));
    let base = ServerConfig::new(wish.features | Features::READ_MEDIA)
        .block_bytes(4096)
        .max_transfer_bytes(BLOCK);
    server.begin_configuration(&base).unwrap();
    server.request_buffers(BLOCK, 0, 2).unwrap();
    server.end_configuration().unwrap();
    let agreed = set.configuration(SOON).unwrap();
    assert_eq!((agreed.block_bytes, agreed.alignment_bytes), (4096, 4096));
    assert!(agreed.features.contains(Features::READ_MEDIA | Features::LIKE_DISK));
    assert_eq!(agreed.max_io_depth, 4);
    assert_eq!(server.available_buffers(BLOCK, 0).unwrap(), 2);
    let first = server.allocate(4096, 0).unwrap();
    assert_eq!((first.len(), first.capacity()), (4096, BLOCK as usize));
    assert!(server.is_shared_buffer(first.as_ptr()));
    assert!(!server.is_shared_buffer(&0));
    let second = server.allocate(BLOCK, 0).unwrap();
    assert!(matches!(server.allocate(BLOCK, 0), Err(Error::Memory(_))));
    drop((first, second));
    assert_eq!(server.available_buffers(BLOCK, 0).unwrap(), 2);
    server.request_buffers(512, 0, 3).unwrap(); // At once, as a new pool.
    assert_eq!(server.available_buffers(512, 0).unwrap(), 5);
}

#[test]
fn the_agent_calls_each_orders_function_and_it_may_send_again() {
    const ROUNDS: u32 = 100;
    let pair = Pair::new(&Shape::default());
    let (device, sender) = pair.device(0);
    let rounds = Arc::new(AtomicU32::new(0));
    thread::scope(|scope| {
        let client = scope.spawn(move || obey(device));
        for _ in 0..2 {
            let rounds = rounds.clone();
            let order = Order::write(pair.buffer()).on_completion(move |done| {
                assert_eq!(done.code(), CompletionCode::SUCCESS);
                let device = done.device();
                match rounds.fetch_add(1, Ordering::Relaxed) + 1 {
                    n if n < ROUNDS - 1 => device.send(done.into_order()).unwrap(),
                    ROUNDS => device.close().unwrap(),
                    _ => {}
                }
            });
            sender.send(order).unwrap();
        }
        pair.server.run_agent().unwrap();
        assert_eq!(client.join().unwrap(), ROUNDS);
    });
    assert_eq!(rounds.load(Ordering::Relaxed), ROUNDS);
    let Pair { set, server, .. } = pair;
    set.close().unwrap();
    server.close().unwrap();
}

#[test]
fn a_panic_in_a_completion_function_reaches_the_agents_caller() {
    let pair = Pair::new(&Shape::default());
    let (device, sender) = pair.device(0);
    thread::scope(|scope| {
        scope.spawn(move || {
            as_write(device.fetch(SOON).unwrap()).complete().unwrap();
            assert!(matches!(device.fetch(SOON), Err(Error::Abort(_))));
        });
        let order = Order::write(pair.buffer()).on_completion(|_| panic!("on purpose"));
        sender.send(order).unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| pair.server.run_agent())).unwrap_err();
        assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "on purpose");
    });
    let reason = pair.set.abort_reason().unwrap();
    assert_eq!(reason.text, "a completion function panicked");
    // It was told once.
    assert!(matches!(pair.server.run_agent(), Err(Error::Abort(_))));
}

#[test]
fn a_refused_order_comes_back_or_completes_never_both() {
    let options = SetOptions::new().queue_depth(8);
    let pair = Pair::new(&Shape { options, buffers: 12, ..Shape::default() });
    let (_device, sender) = pair.device(0);
    for _ in 0..8 {
        sender.send(Order::write(pair.buffer())).unwrap();
    }
    assert_eq!(sender.outstanding().unwrap(), 8);
    let refused = sender.send(Order::write(pair.buffer())).unwrap_err();
    assert!(matches!(refused.error, Error::QueueFull(_)));
    let order = refused.order.expect("the order comes back");
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let order = order.on_completion(move |done| tell.lock().unwrap().send(done.code()).unwrap());
    let refused = sender.send(order).unwrap_err();
    assert!(matches!(refused.error, Error::QueueFull(_)));
    assert!(refused.order.is_none());
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [CompletionCode::NO_SYSTEM_RESOURCES]);
    // What cannot be is not called.
    let order = Order::write(pair.buffer()).size(100).on_completion(|_| unreachable!());
    let refused = sender.send(order).unwrap_err();
    assert!(matches!(refused.error, Error::Invalid(_)));
    assert_eq!(refused.order.unwrap().into_buffer().unwrap().len(), 100);
    assert_eq!(pair.server.available_buffers(BLOCK, 0).unwrap(), 4);
}

#[test]
fn a_panic_in_a_send_that_fails_stays_in_rust() {
    let pair = Pair::new(&Shape::default());
    let (_device, sender) = pair.device(0);
    let order = Order::write(pair.buffer()).on_completion(|_| panic!("on purpose"));
    sender.close().unwrap();
    let result = catch_unwind(AssertUnwindSafe(|| sender.send(order).is_err()));
    assert!(result.is_err());
}

#[test]
fn an_order_of_another_server_is_refused() {
    let one = Pair::new(&Shape::default());
    let other = Pair::new(&Shape::default());
    let (_device, sender) = one.device(0);
    let order = Order::control(&other.server, CommandCode::FLUSH);
    let refused = sender.send(order).unwrap_err();
    assert!(matches!(refused.error, Error::Invalid(_)));
    assert!(refused.order.is_some());
}

#[test]
fn what_is_under_way_when_a_server_closes_is_freed() {
    let witness = Arc::new(AtomicU32::new(0));
    let pair = Pair::new(&Shape::default());
    let (device, sender) = pair.device(0);
    for pull in [true, false] {
        let order = Order::write(pair.buffer());
        let witness = witness.clone();
        let order = if pull {
            order
        } else {
            order.on_completion(move |done| {
                assert_eq!(done.code(), CompletionCode::OPERATION_ABORTED);
                witness.fetch_add(1, Ordering::Relaxed);
            })
        };
        sender.send(order).unwrap();
    }
    let fetched = device.fetch(SOON).unwrap();
    std::mem::forget(fetched); // A leak must not harm either.
    let Pair { set, server, .. } = pair;
    assert!(matches!(server.close(), Err(Error::Protocol(_))));
    assert_eq!(witness.load(Ordering::Relaxed), 1);
    assert_eq!(Arc::strong_count(&witness), 1);
    drop(set);
}

#[test]
fn a_server_moves_while_orders_are_under_way() {
    let pair = Pair::new(&Shape::default());
    let name = pair.name.clone();
    let helper = Set::join(&name).unwrap();
    pair.server
        .open_device(&name)
        .unwrap()
        .send(Order::write(pair.buffer()).on_completion(|done| {
            assert_eq!(done.code(), CompletionCode::SUCCESS);
            done.device().close().unwrap();
        }))
        .unwrap();
    let Pair { set, server, .. } = pair;
    let moved = Box::new(server);
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(obey(helper.open_device(&name).unwrap()), 1));
        scope.spawn(move || moved.run_agent().unwrap());
    });
    set.close().unwrap();
}

#[test]
fn handles_in_the_servers_process_are_pointers() {
    let pair = Pair::new(&Shape::default());
    let (device, sender) = pair.device(0);
    assert!(matches!(pair.buffer().handle(), Err(Error::Invalid(_)))); // Only while it is lent.
    pair.send_write(sender, 9);
    let write = as_write(device.fetch(SOON).unwrap());
    let number = write.handle().unwrap().number();
    let there = pair.server.handle(number).map().unwrap();
    assert!(pair.server.is_shared_buffer(there.as_ptr()));
    assert!(matches!(pair.server.handle(number ^ 0x8000_0000).map(), Err(Error::Invalid(_))));
}

#[test]
fn a_servers_handle_of_its_buffer_is_good_for_its_clients() {
    let options = SetOptions::new().handle_lifetime(HandleLifetime::Buffer);
    let pair = Pair::new(&Shape { options, ..Shape::default() });
    let mut buffer = pair.buffer();
    buffer.fill(3);
    let handle = buffer.handle().unwrap();
    assert_eq!(handle.map().unwrap().as_ptr() as *const u8, buffer.as_ptr());
    let there = pair.set.handle(handle.number()).map().unwrap();
    assert_eq!((there.len(), there[BLOCK as usize - 1]), (BLOCK as usize, 3));
    drop((there, buffer));
    assert!(matches!(handle.map(), Err(Error::Invalid(_)))); // It was the freed buffer's.
}

#[test]
fn positions_come_back() {
    let pair = Pair::new(&Shape {
        wish: Config::new(1).features(Features::LIKE_TAPE),
        ..Shape::default()
    });
    let (device, sender) = pair.device(0);
    thread::scope(|scope| {
        scope.spawn(move || obey(device));
        sender.send(Order::control(&pair.server, CommandCode::GET_POSITION)).unwrap();
        assert_eq!(pair.server.next_completion(SOON).unwrap().position(), 42);
        sender.send(Order::control(&pair.server, CommandCode::SKIP_MARKS).count(2)).unwrap();
        let done = pair.server.next_completion(SOON).unwrap();
        assert_eq!(done.into_order().into_buffer().map(|_| ()), None);
        sender.close().unwrap();
    });
}

#[test]
fn a_dead_client_is_told() {
    let shape = Shape { options: SetOptions::new(), ..Shape::default() };
    let pair = Pair::new(&shape);
    let (device, sender) = pair.device(0);
    pair.send_write(sender, 1);
    let _ = device;
    let Pair { set, server, .. } = pair;
    drop(set); // Without completing anything.
    let done = server.next_completion(SOON).unwrap();
    assert_eq!(done.code(), CompletionCode::OPERATION_ABORTED);
    drop(done);
    assert!(matches!(server.next_completion(SOON), Err(Error::Abort(_))));
}
