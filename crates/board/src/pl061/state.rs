//! Saved form of the PL061.

/// Everything that a PL061 holds between two accesses; one bit a pin. The default is the state
/// after reset with all inputs low.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Pl061State {
    /// Levels that the outside drives the pins to.
    pub inputs: u8,
    /// What the guest drives the output pins to.
    pub data: u8,
    /// GPIODIR.
    pub dir: u8,
    /// GPIOIS.
    pub is: u8,
    /// GPIOIBE.
    pub ibe: u8,
    /// GPIOIEV.
    pub iev: u8,
    /// GPIOIE.
    pub ie: u8,
    /// Edges detected and not yet cleared.
    pub edges: u8,
    /// GPIOAFSEL.
    pub afsel: u8,
}
