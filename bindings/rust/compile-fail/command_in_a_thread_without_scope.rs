// error: E0597
use vdset::*;

pub fn f() -> Result<()> {
    let set = Set::join("accounts")?;
    let command = set.open_device("accounts")?.fetch(None)?;
    std::thread::spawn(move || command.fail(CompletionCode::NOT_SUPPORTED));
    Ok(())
}
