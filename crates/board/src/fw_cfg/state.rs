//! Saved form of the firmware configuration device. The items belong to the VM's configuration.

/// Everything that the guest can change. The default is the state after reset.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FwCfgState {
    /// The selected key.
    pub key: u16,
    /// How many bytes of the item have been read.
    pub position: u32,
    /// The upper half of the DMA address register.
    pub dma_high: u32,
}
