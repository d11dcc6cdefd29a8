// error: E0597
use vdset::*;

pub fn f(order: Order<'_>) -> Order<'_> {
    let count = std::sync::atomic::AtomicU32::new(0);
    let seen = &count;
    order.on_completion(move |_| drop(seen.load(std::sync::atomic::Ordering::Relaxed)))
}
