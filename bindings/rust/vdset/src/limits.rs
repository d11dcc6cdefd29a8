//! The most that there can be of each thing, and the version of the shared layout.

use vdset_sys as sys;

/// Devices of a set.
pub const DEVICES: u32 = sys::VDSET_DEVICES_MAX;
/// Bytes of a set's or device's name.
pub const NAME_BYTES: u32 = sys::VDSET_NAME_BYTES_MAX;
/// Pools of a set: kinds of buffers, and each later request.
pub const POOLS: u32 = sys::VDSET_POOLS_MAX;
/// Buffers of a set.
pub const BUFFERS: u32 = sys::VDSET_BUFFERS_MAX;
/// Commands in flight per device.
pub const QUEUE_DEPTH: u32 = sys::VDSET_QUEUE_DEPTH_MAX;
/// Processes of a set: server, primary and secondaries.
pub const PARTICIPANTS: u32 = sys::VDSET_PARTICIPANTS_MAX;
/// Bytes of a prefix zone.
pub const PREFIX_BYTES: u32 = sys::VDSET_PREFIX_BYTES_MAX;
/// Bytes of one Read or Write.
pub const TRANSFER_BYTES: u32 = sys::VDSET_TRANSFER_BYTES_MAX;
/// How many losses a set remembers ([`Set::loss`](crate::Set::loss)).
pub const LOSSES_KEPT: u32 = sys::VDSET_LOSSES_KEPT;
/// Processes of a set must agree in it.
pub const LAYOUT_VERSION: u32 = sys::VDSET_LAYOUT_VERSION;
