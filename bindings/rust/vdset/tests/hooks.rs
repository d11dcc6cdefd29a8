//! Goal: the hooks of the host program. Method: one test, since they are of the whole process and
//! the allocator must come first.

mod common;
use common::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use vdset::*;

struct Counting {
    blocks: AtomicUsize,
    total: AtomicUsize,
}
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.blocks.fetch_add(1, Ordering::Relaxed);
        self.total.fetch_add(1, Ordering::Relaxed);
        System.alloc(layout)
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.blocks.fetch_sub(1, Ordering::Relaxed);
        System.dealloc(block, layout)
    }
}
static ALLOCATOR: Counting = Counting { blocks: AtomicUsize::new(0), total: AtomicUsize::new(0) };

#[test]
fn memory_log_and_version_are_the_hosts() {
    unsafe { set_allocator(&ALLOCATOR) }.unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = lines.clone();
    set_log(LogLevel::Debug, move |level, text| {
        log.lock().unwrap().push((level, text.to_owned()));
        if text.contains("created") {
            panic!("on purpose: it ends in the log");
        }
    })
    .unwrap();
    let pair = Pair::new(&Shape::default());
    assert!(ALLOCATOR.total.load(Ordering::Relaxed) > 0);
    pair.server.signal_abort(5, "for the log").unwrap();
    {
        let lines = lines.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        assert!(lines.iter().any(|(_, text)| text.contains("created")));
        assert!(lines
            .iter()
            .any(|(level, text)| *level == LogLevel::Error && text.contains("for the log")));
    }
    clear_log().unwrap();
    assert_eq!(Arc::strong_count(&lines), 1); // The function is gone.
    let count = lines.lock().map_or_else(|poisoned| poisoned.into_inner().len(), |l| l.len());
    drop(pair);
    assert_eq!(lines.lock().map_or_else(|p| p.into_inner().len(), |l| l.len()), count);
    assert!(matches!(unsafe { set_allocator(&ALLOCATOR) }, Err(Error::Protocol(_))));
    assert_eq!(Version::OF_CRATE, Version { major: 0, minor: 2, patch: 0 });
    assert!(version() >= Version::OF_CRATE);
    assert!(supports(Support::Descriptors) && supports(Support::Log));
    assert!(supports(Support::Allocator));
}
