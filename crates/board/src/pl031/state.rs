//! Saved form of the PL031.

/// Everything that a PL031 holds between two accesses. The default is the state after reset.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Pl031State {
    /// What the guest set the counter to, less the time of day then: the counter is the time of day
    /// plus this, modulo 2^32 s. Kept across a save, so that the clock does not stop meanwhile.
    pub offset: u32,
    /// RTCMR.
    pub mr: u32,
    /// RTCLR.
    pub lr: u32,
    /// RTCIMSC.
    pub imsc: bool,
    /// RTCRIS.
    pub ris: bool,
    /// The counter when it was last compared with RTCMR.
    pub compared: u32,
}
