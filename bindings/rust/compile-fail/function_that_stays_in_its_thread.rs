// error: E0277
use vdset::*;

pub fn f(order: Order<'_>) -> Order<'_> {
    let here = std::rc::Rc::new(1);
    order.on_completion(move |_| drop(here.clone()))
}
