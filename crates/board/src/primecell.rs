//! What the Arm PrimeCell peripherals (PL011, PL031, PL061, SP805) share: 32-bit registers a word apart,
//! and the identification registers at the end of a 4 KiB page.

/// A register access, reduced to the one shape that the registers have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Lane {
    /// Offset of the 32-bit register.
    register: u32,
    /// How far the accessed bytes are above the register's bit 0.
    shift: u32,
    /// Mask of the bits that the access is wide enough for, before shifting.
    mask: u32,
}

impl Lane {
    /// The register that an access goes to. `None` if the access is outside of the 4 KiB page or
    /// does not fit in one register: no such access is defined, so it reads as zero and writes
    /// nothing. An aligned 64-bit access counts as an access to the lower register.
    fn new(offset: u64, size: u8) -> Option<Lane> {
        let offset = u32::try_from(offset).ok().filter(|&o| o < 0x1000)?;
        let within = offset & 3;
        let mask = match size {
            1 => 0xff,
            2 if within & 1 == 0 => 0xffff,
            4 | 8 if within == 0 => u32::MAX,
            _ => return None,
        };
        Some(Lane {
            register: offset & !3,
            shift: within * 8,
            mask,
        })
    }

    /// What the access reads, given the register's value.
    fn extract(self, value: u32) -> u64 {
        u64::from((value >> self.shift) & self.mask)
    }

    /// The value that a write gives the register. The peripherals sit on a 32-bit APB bus without
    /// byte strobes and have at most 16-bit registers: a narrow write is zero-extended, and one
    /// that leaves out the lowest byte has no effect.
    fn write_value(self, value: u64) -> Option<u32> {
        (self.shift == 0).then_some(value as u32 & self.mask)
    }
}

/// What an access reads from a peripheral whose registers `register` reads; 0 where no access is defined.
pub(crate) fn read(offset: u64, size: u8, register: impl FnOnce(u32) -> u32) -> u64 {
    Lane::new(offset, size).map_or(0, |lane| lane.extract(register(lane.register)))
}

/// Has `register` write what an access writes to a register, if such an access is defined.
pub(crate) fn write(offset: u64, size: u8, value: u64, register: impl FnOnce(u32, u32)) {
    if let Some(lane) = Lane::new(offset, size)
        && let Some(value) = lane.write_value(value)
    {
        register(lane.register, value);
    }
}

/// Reads a peripheral identification register (0xfe0 to 0xfec) or a PrimeCell identification
/// register (0xff0 to 0xffc); `periph` has the four peripheral identification bytes.
pub(crate) fn read_id(register: u32, periph: [u8; 4]) -> Option<u32> {
    const PCELL_ID: [u8; 4] = [0x0d, 0xf0, 0x05, 0xb1];
    let ids = match register {
        0xfe0..=0xfec => periph,
        0xff0..=0xffc => PCELL_ID,
        _ => return None,
    };
    ids.get((register as usize >> 2) & 3)
        .map(|&id| u32::from(id))
}
