//! Saved form of an end of a channel.

/// Everything that an end holds between two accesses. The default is the state after reset.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ChannelState {
    /// RUNG.
    pub rung: u8,
}
