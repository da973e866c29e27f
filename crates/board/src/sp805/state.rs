//! Saved form of the SP805.

/// Everything that an SP805 holds between two accesses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sp805State {
    /// WdogLoad.
    pub load: u32,
    /// WdogValue, as it is now.
    pub value: u32,
    /// WdogControl.
    pub control: u32,
    /// WdogRIS.
    pub ris: bool,
    /// The registers are locked.
    pub locked: bool,
    /// The reset output is asserted.
    pub reset: bool,
}

impl Default for Sp805State {
    /// After reset.
    fn default() -> Self {
        Sp805State {
            load: u32::MAX,
            value: u32::MAX,
            control: 0,
            ris: false,
            locked: false,
            reset: false,
        }
    }
}
