//! Saved form of a virtio transport and its queues.

use super::QueueError;
use alloc::vec::Vec;

/// Everything that a transport holds between two accesses, with its queues and, as `S`, the device
/// behind it. Guest memory and the device's backend are saved by who owns them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransportState<S> {
    /// Status.
    pub status: u32,
    /// InterruptStatus.
    pub interrupt: u32,
    /// DeviceFeaturesSel.
    pub device_features_sel: u32,
    /// DriverFeaturesSel.
    pub driver_features_sel: u32,
    /// DriverFeatures, both words.
    pub driver_features: u64,
    /// QueueSel.
    pub queue_sel: u32,
    /// ConfigGeneration.
    pub generation: u32,
    /// GuestPageSize (legacy).
    pub page_size: u32,
    /// Why the device asks for a reset.
    pub error: Option<QueueError>,
    /// The queues in order.
    pub queues: Vec<QueueState>,
    /// The device.
    pub device: S,
}

/// Everything that a queue holds between two accesses.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct QueueState {
    /// QueueNum, as written.
    pub size: u32,
    /// Address of the descriptor table.
    pub desc: u64,
    /// Address of the available ring.
    pub driver: u64,
    /// Address of the used ring.
    pub device: u64,
    /// QueueReady; for a legacy queue, it was given a page.
    pub ready: bool,
    /// The index of the next entry to take from the available ring.
    pub next_avail: u16,
    /// The index of the next entry to write in the used ring.
    pub next_used: u16,
    /// The used index when the driver was last interrupted; none when it never was.
    pub signalled: Option<u16>,
    /// Buffers were used since.
    pub used: bool,
    /// QueueAlign (legacy).
    pub align: u32,
    /// QueuePFN (legacy).
    pub pfn: u32,
}
