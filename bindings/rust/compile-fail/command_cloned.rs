// error: E0599
use vdset::*;

pub fn f(control: Control<'_>) -> Result<()> {
    let again = control.clone();
    control.complete()?;
    again.complete()
}
