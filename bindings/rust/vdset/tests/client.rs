//! Goal: what a client sees. Method: both halves in this process; the server is driven by hand.

mod common;
use common::*;
use std::os::unix::io::{AsFd, AsRawFd};
use std::thread;
use vdset::*;

#[test]
fn a_backup_and_a_restore_move_every_byte() {
    let pair = Pair::new(&Shape::default());
    let (device, sender) = pair.device(0);
    for round in 1..=20u8 {
        pair.send_write(sender, round);
        let write = as_write(device.fetch(SOON).unwrap());
        assert_eq!(write.len(), BLOCK as usize);
        assert!(write.data().iter().all(|&byte| byte == round));
        write.complete().unwrap();
        let done = pair.server.next_completion(SOON).unwrap();
        assert_eq!((done.code(), done.bytes()), (CompletionCode::SUCCESS, BLOCK as usize));

        sender.send(Order::read(pair.buffer()).position(7).tag(9)).unwrap();
        let mut read = as_read(device.fetch(SOON).unwrap());
        read.data_mut().fill(100 + round);
        read.complete_with(CompletionCode::SUCCESS, 512).unwrap();
        let done = pair.server.next_completion(SOON).unwrap();
        assert_eq!((done.bytes(), done.tag()), (512, 9));
        assert!(done.data().iter().all(|&byte| byte == 100 + round));
    }
    sender.close().unwrap();
    assert!(device.into_iter().next().is_none());
    assert!(matches!(device.fetch(SOON), Err(Error::Close(_))));
    assert!(matches!(pair.server.next_completion(SOON), Err(Error::Close(_))));
    pair.set.close().unwrap();
    pair.server.close().unwrap();
}

#[test]
fn a_dropped_command_completes_as_aborted() {
    let pair = Pair::new(&Shape::default());
    let (device, sender) = pair.device(0);
    pair.send_write(sender, 1);
    drop(device.fetch(SOON).unwrap());
    let done = pair.server.next_completion(SOON).unwrap();
    assert_eq!((done.code(), done.bytes()), (CompletionCode::OPERATION_ABORTED, 0));
    drop(done);
    // The device is in IO-ERROR, as after any failure.
    let refused = sender.send(Order::write(pair.buffer())).unwrap_err();
    assert!(matches!(refused.error, Error::IoError(_)));
    assert!(refused.order.is_some());
    sender.send(Order::control(&pair.server, CommandCode::CLEAR_ERROR)).unwrap();
    match device.fetch(SOON).unwrap() {
        Command::Control(control) => {
            assert_eq!(control.code(), CommandCode::CLEAR_ERROR);
            assert!(control.buffer().is_empty());
            control.complete().unwrap();
        }
        other => panic!("{:?}", other),
    }
    assert_eq!(pair.server.next_completion(SOON).unwrap().code(), CompletionCode::SUCCESS);
}

#[test]
fn a_panic_that_unwinds_over_a_command_completes_it() {
    let pair = Pair::new(&Shape::default());
    let (device, sender) = pair.device(0);
    pair.send_write(sender, 1);
    let result = thread::scope(|scope| {
        scope
            .spawn(|| {
                let _command = device.fetch(SOON).unwrap();
                panic!("on purpose");
            })
            .join()
    });
    assert!(result.is_err());
    let done = pair.server.next_completion(SOON).unwrap();
    assert_eq!(done.code(), CompletionCode::OPERATION_ABORTED);
}

#[test]
fn commands_complete_in_any_order_from_any_thread() {
    let pair = Pair::new(&Shape::default());
    let (device, sender) = pair.device(0);
    for tag in 0..4 {
        sender.send(Order::write(pair.buffer()).tag(tag)).unwrap();
    }
    let mut commands: Vec<_> = (0..4).map(|_| device.fetch(SOON).unwrap()).collect();
    commands.reverse();
    thread::scope(|scope| {
        for command in commands {
            scope.spawn(move || as_write(command).complete().unwrap());
        }
    });
    let mut tags: Vec<_> =
        (0..4).map(|_| pair.server.next_completion(SOON).unwrap().tag()).collect();
    tags.sort_unstable();
    assert_eq!(tags, [0, 1, 2, 3]);
}

#[test]
fn waits_end_by_time_and_by_interrupt() {
    let pair = Pair::new(&Shape::default());
    let (device, sender) = pair.device(0);
    assert!(device.try_fetch().unwrap().is_none());
    let error = device.fetch(NOW).unwrap_err();
    assert!(matches!(error, Error::Timeout(_)));
    assert_eq!(error.code(), 0x8077_0003u32 as i32);
    assert_eq!(error.failure().name(), "VDSET_E_TIMEOUT");
    assert_eq!(error.to_string(), "the time is up (VDSET_E_TIMEOUT)");
    thread::scope(|scope| {
        let waiter = scope.spawn(|| device.fetch(None));
        device.interrupt().unwrap();
        assert!(matches!(waiter.join().unwrap(), Err(Error::Interrupted(_))));
    });
    pair.send_write(sender, 3);
    assert_eq!(as_write(device.try_fetch().unwrap().unwrap()).data()[5], 3);
}

#[test]
fn a_second_thread_that_fetches_is_told() {
    let pair = Pair::new(&Shape::default());
    let (device, sender) = pair.device(0);
    thread::scope(|scope| {
        let first = scope.spawn(|| device.fetch(SOON).map(drop));
        // Until the first is inside.
        loop {
            match device.fetch(NOW) {
                Err(Error::Busy(_)) => break,
                Err(Error::Timeout(_)) => thread::yield_now(),
                other => panic!("{:?}", other),
            }
        }
        pair.send_write(sender, 1);
        first.join().unwrap().unwrap();
    });
}

#[test]
fn the_prefix_zone_is_the_clients() {
    let shape = Shape { wish: Config::new(1).prefix_zone_bytes(24), ..Shape::default() };
    let pair = Pair::new(&shape);
    let (device, sender) = pair.device(0);
    pair.send_write(sender, 8);
    let mut write = as_write(device.fetch(SOON).unwrap());
    let (prefix, data) = write.parts();
    assert_eq!((prefix.len(), data.len()), (24, BLOCK as usize));
    prefix.fill(data[0] + 1);
    write.prefix_mut()[23] = 77;
    assert_eq!(write.prefix()[22..], [9, 77]);
    let whole = write.with_prefix();
    assert_eq!(whole.len(), 24 + BLOCK as usize);
    assert_eq!((whole[0], whole[23], whole[24], whole[whole.len() - 1]), (9, 77, 8, 8));
    write.complete().unwrap();
    let done = pair.server.next_completion(SOON).unwrap();
    assert!(done.data().iter().all(|&byte| byte == 8));
    drop(done);

    sender.send(Order::read(pair.buffer())).unwrap();
    let mut read = as_read(device.fetch(SOON).unwrap());
    let (prefix, data) = read.parts();
    prefix.fill(1);
    data.fill(2);
    read.complete().unwrap();
    assert_eq!(pair.server.next_completion(SOON).unwrap().data()[0], 2);
}

#[test]
fn a_handle_shows_the_same_bytes_to_a_helper() {
    let pair = Pair::new(&Shape::default());
    let (device, sender) = pair.device(0);
    let helper = Set::join(&pair.name).unwrap();
    pair.send_write(sender, 5);
    let write = as_write(device.fetch(SOON).unwrap());
    let number = write.handle().unwrap().number();
    {
        let handle = helper.handle(number);
        let mut mapped = handle.map_mut().unwrap();
        assert_eq!(mapped.len(), BLOCK as usize);
        assert!(mapped.iter().all(|&byte| byte == 5));
        mapped.fill(6);
        // Exclusive in each set, and free again when it is dropped.
        assert!(matches!(handle.map(), Err(Error::Busy(_))));
        drop(mapped);
        assert_eq!(handle.map().unwrap()[0], 6);
        assert!(handle.explain().unwrap().contains("resolves"));
    }
    assert_eq!(write.data()[1], 6);
    // Here the command lends it.
    assert!(matches!(pair.set.handle(number).map(), Err(Error::Busy(_))));
    for forged in [number ^ 0x8000_0000, number ^ 1, 0, u32::MAX] {
        let error = helper.handle(forged).map().unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{:#x}: {:?}", forged, error);
    }
    write.complete().unwrap();
    pair.server.next_completion(SOON).unwrap();
    assert!(matches!(helper.handle(number).map(), Err(Error::Invalid(_))));
    assert!(helper.handle(number).explain().unwrap().contains("stale"));
}

/// More buffers than a set keeps descriptions of, of two sizes: each is what it is, asked for the
/// first time and again.
#[test]
fn many_buffers_of_two_sizes_are_told_apart() {
    const EACH: u32 = 900;
    let pair = Pair::new(&Shape {
        wish: Config::new(1).prefix_zone_bytes(40),
        join: JoinOptions::new().buffers_max(4096),
        ..Shape::default()
    });
    pair.server.request_buffers(512, 0, EACH).unwrap();
    pair.server.request_buffers(4096, 0, EACH).unwrap();
    let (device, sender) = pair.device(0);
    let helper = Set::join(&pair.name).unwrap();
    let sizes = [512, 4096];
    let mut orders = Vec::new();
    for i in 0..2 * EACH {
        orders.push(Order::write(pair.server.allocate(sizes[i as usize % 2], 0).unwrap()));
    }
    for round in 0..2u8 {
        let mut back = Vec::new();
        for (i, mut order) in orders.into_iter().enumerate() {
            let size = sizes[i % 2] as usize;
            let byte = i as u8 ^ round;
            order.data_mut().fill(byte);
            send(sender, order);
            let write = as_write(device.fetch(SOON).unwrap());
            assert_eq!((write.len(), write.prefix().len()), (size, 40));
            assert_eq!(write.data()[size - 1], byte);
            let mapped = helper.handle(write.handle().unwrap().number()).map().unwrap();
            assert_eq!((mapped.len(), mapped[0]), (size, byte));
            drop(mapped);
            write.complete().unwrap();
            back.push(pair.server.next_completion(SOON).unwrap().into_order());
        }
        orders = back;
    }
}

#[test]
fn a_buffer_that_is_still_mapped_is_not_lent_twice() {
    let options = SetOptions::new().handle_lifetime(HandleLifetime::Buffer);
    let pair = Pair::new(&Shape { options, ..Shape::default() });
    let (device, sender) = pair.device(0);
    pair.send_write(sender, 1);
    let write = as_write(device.fetch(SOON).unwrap());
    let handle = write.handle().unwrap();
    write.complete().unwrap();
    let order = pair.server.next_completion(SOON).unwrap().into_order();
    let mapped = handle.map().unwrap(); // Good while the buffer is allocated.
    sender.send(order).unwrap();
    assert!(matches!(device.fetch(SOON), Err(Error::Busy(_))));
    let done = pair.server.next_completion(SOON).unwrap();
    assert_eq!(done.code(), CompletionCode::OPERATION_ABORTED);
    assert_eq!(mapped[0], 1);
    drop(mapped);
    sender.send(Order::control(&pair.server, CommandCode::CLEAR_ERROR)).unwrap();
    match device.fetch(SOON).unwrap() {
        Command::Control(control) => control.complete().unwrap(),
        other => panic!("{:?}", other),
    }
    pair.server.next_completion(SOON).unwrap();
    sender.send(done.into_order()).unwrap();
    as_write(device.fetch(SOON).unwrap()).complete().unwrap();
}

#[test]
fn what_is_read_only_is_never_lent_to_write() {
    let options = SetOptions::new().data_read_only(true);
    let pair = Pair::new(&Shape { options, media: Features::WRITE_MEDIA, ..Shape::default() });
    let (device, sender) = pair.device(0);
    let helper = Set::join(&pair.name).unwrap();
    pair.send_write(sender, 4);
    let mut write = as_write(device.fetch(SOON).unwrap());
    assert!(write.prefix_mut().is_empty());
    assert_eq!(write.data()[3], 4);
    let handle = helper.handle(write.handle().unwrap().number());
    assert!(matches!(handle.map_mut(), Err(Error::NotSupported(_))));
    assert_eq!(handle.map().unwrap()[3], 4);
    write.complete().unwrap();
    let order = pair.server.next_completion(SOON).unwrap().into_order();
    assert!(sender.send(order.code(CommandCode::READ)).is_err());
}

#[test]
fn an_abort_tells_who_and_why() {
    for by_client in [true, false] {
        let pair = Pair::new(&Shape::default());
        let (device, _) = pair.device(0);
        assert!(matches!(pair.set.abort_reason(), Err(Error::Protocol(_))));
        if by_client {
            pair.set.signal_abort(112, "the disk is full").unwrap();
        } else {
            pair.server.signal_abort(112, "the disk is full").unwrap();
        }
        let mut commands = device.commands();
        assert!(matches!(commands.next(), Some(Err(Error::Abort(_)))));
        assert!(commands.next().is_none());
        assert!(matches!(pair.server.next_completion(SOON), Err(Error::Abort(_))));
        for reason in [pair.set.abort_reason().unwrap(), pair.server.abort_reason().unwrap()] {
            assert_eq!(reason.call, AbortCall::SIGNAL_ABORT);
            assert_eq!(reason.role, if by_client { Role::Primary } else { Role::Server });
            assert_eq!((reason.code, reason.text.as_str()), (112, "the disk is full"));
            assert_eq!(reason.pid, Some(std::process::id()));
        }
        pair.set.close().unwrap();
    }
}

#[test]
fn a_secondary_that_leaves_with_a_command_in_hand_is_a_loss() {
    let pair = Pair::new(&Shape::default());
    let sender = pair.server.open_device(&pair.name).unwrap();
    assert!(matches!(pair.server.loss(0), Err(Error::Protocol(_))));
    let helper = Set::join(&pair.name).unwrap();
    let device = helper.open_device(&pair.name).unwrap();
    pair.send_write(sender, 1);
    std::mem::forget(device.fetch(SOON).unwrap());
    assert!(matches!(helper.close(), Err(Error::Open(_))));
    let completion = pair.server.next_completion(SOON).unwrap();
    assert_eq!(completion.code(), CompletionCode::OPERATION_ABORTED);
    // The primary is told a moment later.
    let told = (0..20_000).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(1));
        pair.set.loss(0).ok()
    });
    for loss in [pair.server.loss(1).unwrap(), told.unwrap()] {
        assert_eq!((loss.number, loss.count, loss.call), (1, 1, AbortCall::LEFT));
        assert_eq!(loss.pid, Some(std::process::id()));
        assert_eq!((loss.devices, loss.commands, loss.handed_over), (1, 1, 0));
        assert_eq!(loss.device.as_ref(), Some(&pair.name));
    }
    assert!(matches!(pair.server.loss(2), Err(Error::Invalid(_))));
}

#[test]
fn errors_have_the_librarys_words() {
    let error = Set::create("a\\b", &Config::new(1)).unwrap_err();
    assert!(matches!(error, Error::Invalid(_)));
    assert!(error.failure().words().contains("name"), "{}", error);
    let error = Set::create("a\0b", &Config::new(1)).unwrap_err();
    assert!(matches!(error, Error::Invalid(_)));
    let error = Set::create(name(), &Config::new(65)).unwrap_err();
    assert!(error.failure().words().contains("device_count"), "{}", error);
    assert!(matches!(Set::join(name()), Err(Error::Invalid(_))));
    let name = name();
    let _first = Set::create(&name, &Config::new(1)).unwrap();
    let error = Set::create(&name, &Config::new(1)).unwrap_err();
    assert!(matches!(error, Error::Protocol(_)));
    let as_io: std::io::Error = error.into();
    assert!(as_io.get_ref().unwrap().is::<Error>());
    assert!(matches!(_first.configuration(NOW), Err(Error::Timeout(_))));
}

#[test]
fn closing_a_set_frees_its_name_and_tells_of_open_devices() {
    let pair = Pair::new(&Shape::default());
    let _ = pair.device(0);
    let Pair { name, set, server } = pair;
    assert!(matches!(set.close(), Err(Error::Open(_))));
    assert_eq!(server.abort_reason().unwrap().call, AbortCall::CLOSE);
    drop(server);
    Set::create(&name, &Config::new(1)).unwrap().close().unwrap();
}

/// poll(2), for one descriptor to read.
fn is_readable(descriptor: i32, milliseconds: i32) -> bool {
    #[repr(C)]
    struct PollFd {
        fd: i32,
        events: i16,
        revents: i16,
    }
    extern "C" {
        fn poll(fds: *mut PollFd, count: std::os::raw::c_ulong, timeout: i32) -> i32;
    }
    let mut one = PollFd { fd: descriptor, events: 1, revents: 0 };
    (unsafe { poll(&mut one, 1, milliseconds) }) == 1
}

#[test]
fn descriptors_wake_an_event_loop() {
    let pair = Pair::new(&Shape::default());
    let (device, sender) = pair.device(0);
    let pollable = device.pollable().unwrap();
    let fd = pollable.as_raw_fd();
    assert_eq!(pollable.as_fd().as_raw_fd(), fd);
    let server = pair.server.pollable().unwrap();
    let set = pair.set.pollable().unwrap();
    for _ in 0..10 {
        assert!(device.try_fetch().unwrap().is_none());
        pollable.arm().unwrap();
        assert!(!is_readable(fd, 0));
        pair.send_write(sender, 1);
        assert!(is_readable(fd, 20_000));
        let command = device.try_fetch().unwrap().unwrap();
        assert!(pair.server.try_next_completion().unwrap().is_none());
        server.arm().unwrap();
        as_write(command).complete().unwrap();
        assert!(is_readable(server.as_raw_fd(), 20_000));
        pair.server.try_next_completion().unwrap().unwrap();
    }
    for one in [pollable, set, server] {
        one.arm().unwrap();
        assert!(!is_readable(one.as_raw_fd(), 0));
    }
    pair.server.signal_abort(0, "over").unwrap();
    for one in [pollable, set, server] {
        assert!(is_readable(one.as_raw_fd(), 20_000));
    }
}

#[test]
fn devices_run_in_threads() {
    const DEVICES: u32 = 4;
    const ROUNDS: u32 = 200;
    let shape = Shape { wish: Config::new(DEVICES), buffers: DEVICES, ..Shape::default() };
    let pair = Pair::new(&shape);
    let devices: Vec<_> = (0..DEVICES).map(|i| pair.device(i)).collect();
    thread::scope(|scope| {
        for &(device, _) in &devices {
            scope.spawn(move || {
                let mut count = 0;
                for command in device {
                    let write = as_write(command.unwrap());
                    assert_eq!(write.data()[0], (count % 251) as u8);
                    write.complete().unwrap();
                    count += 1;
                }
                assert_eq!(count, ROUNDS);
            });
        }
        let mut sent = [0; DEVICES as usize];
        for (i, &(_, sender)) in devices.iter().enumerate() {
            let mut buffer = pair.buffer();
            buffer[0] = 0;
            sender.send(Order::write(buffer).tag(i as u64)).unwrap();
        }
        for done in pair.server.completions() {
            let done = done.unwrap();
            assert_eq!(done.code(), CompletionCode::SUCCESS);
            let (device, i) = (done.device(), done.tag() as usize);
            sent[i] += 1;
            if sent[i] == ROUNDS {
                device.close().unwrap();
                continue;
            }
            let mut order = done.into_order();
            order.data_mut()[0] = (sent[i] % 251) as u8;
            device.send(order).unwrap();
        }
        assert_eq!(sent, [ROUNDS; DEVICES as usize]);
    });
    let Pair { set, server, .. } = pair;
    set.close().unwrap();
    server.close().unwrap();
}

#[test]
fn all_types_go_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Set>();
    check::<Device<'_>>();
    check::<Command<'_>>();
    check::<Commands<'_>>();
    check::<BufferHandle<'_>>();
    check::<ServerHandle<'_>>();
    check::<Mapped<'_>>();
    check::<MappedMut<'_>>();
    check::<Pollable<'_>>();
    check::<Server>();
    check::<ServerDevice<'_>>();
    check::<Buffer<'_>>();
    check::<Order<'_>>();
    check::<Completion<'_>>();
    check::<Error>();
}
