// error: E0277
pub fn f(set: &vdset_sys::vdset_set) {
    std::thread::scope(|scope| {
        scope.spawn(move || drop(set as *const _));
    });
}
