//! Saved form of the memory balloon.

/// Everything that a balloon holds between two accesses.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct BalloonState {
    /// Pages that the host wants in it.
    pub target: u32,
    /// Pages that the guest says are in it.
    pub actual: u32,
}
