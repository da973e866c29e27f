//! Saved form of the network card.

/// Everything that a network card holds between two requests: nothing that its backend does not.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct NetState {
    /// The address that the guest was told.
    pub mac: [u8; 6],
}
