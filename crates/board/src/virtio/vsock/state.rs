//! Saved form of the socket device.

/// Everything that a socket device holds between two requests. Connections are its backend's, and do not
/// outlive it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct VsockState {
    /// The guest's CID.
    pub cid: u32,
}
