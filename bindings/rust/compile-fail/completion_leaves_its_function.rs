// error: E0521
use std::sync::Mutex;
use vdset::*;

pub fn f(order: Order<'_>) -> Order<'_> {
    let kept = Mutex::new(None);
    order.on_completion(move |done| *kept.lock().unwrap() = Some(done))
}
