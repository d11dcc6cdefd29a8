// error: E0382
use vdset::*;

pub fn f(device: ServerDevice<'_>, buffer: Buffer<'static>) -> Result<u8> {
    let order = Order::write(buffer);
    device.send(order)?;
    Ok(order.data()[0])
}
