//! Saved form of the entropy source.

/// An entropy source holds nothing between two requests.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RngState;
