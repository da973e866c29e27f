//! HSR: why a guest, or the hypervisor, came to Hyp mode (manual B3.13.6).

use core::fmt;

/// The value of HSR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Syndrome(pub u32);

/// Exception classes, HSR.EC (manual table B3-39).
#[allow(missing_docs)]
pub mod ec {
    pub const UNKNOWN: u32 = 0x00;
    pub const WFX: u32 = 0x01;
    pub const CP15_32: u32 = 0x03;
    pub const CP15_64: u32 = 0x04;
    pub const CP14_32: u32 = 0x05;
    pub const CP14_LDC: u32 = 0x06;
    pub const HCPTR: u32 = 0x07;
    pub const CP10_VMRS: u32 = 0x08;
    pub const JAZELLE: u32 = 0x0a;
    pub const CP14_64: u32 = 0x0c;
    pub const SVC: u32 = 0x11;
    pub const HVC: u32 = 0x12;
    pub const SMC: u32 = 0x13;
    pub const PREFETCH_ABORT: u32 = 0x20;
    pub const PREFETCH_ABORT_HYP: u32 = 0x21;
    pub const DATA_ABORT: u32 = 0x24;
    pub const DATA_ABORT_HYP: u32 = 0x25;
}

/// Kinds of aborts, by the status code without its level (manual table B3-23, long descriptors).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Abort {
    /// Nothing is mapped.
    Translation,
    /// The access flag is clear.
    AccessFlag,
    /// The access is not allowed.
    Permission,
    /// Synchronous external abort, of the access or of a table walk.
    External,
    /// Unaligned.
    Alignment,
    /// Anything else.
    Other(u8),
}

impl Abort {
    /// For people.
    const fn name(self) -> &'static str {
        match self {
            Abort::Translation => "translation",
            Abort::AccessFlag => "access flag",
            Abort::Permission => "permission",
            Abort::External => "external",
            Abort::Alignment => "alignment",
            Abort::Other(_) => "other",
        }
    }
}

/// A load or store as the syndrome tells it (HSR.ISV = 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// Bytes: 1, 2 or 4.
    pub size: u8,
    /// A load is sign-extended.
    pub signed: bool,
    /// The register, 0 to 15.
    pub register: u8,
    /// A store.
    pub write: bool,
}

impl Syndrome {
    /// The exception class.
    #[must_use]
    pub const fn class(self) -> u32 {
        self.0 >> 26
    }

    /// Bytes of the instruction: 2 or 4.
    #[must_use]
    pub const fn instruction_bytes(self) -> u32 {
        if self.0 & 1 << 25 != 0 { 4 } else { 2 }
    }

    /// The class-specific part.
    #[must_use]
    pub const fn iss(self) -> u32 {
        self.0 & 0x01ff_ffff
    }

    /// The condition of a trapped instruction, if the syndrome has it: classes 0x01 to 0x0f.
    #[must_use]
    pub const fn condition(self) -> Option<u32> {
        let conditional = self.class() >= 1 && self.class() < 0x10;
        if conditional && self.0 & 1 << 24 != 0 {
            Some(self.0 >> 20 & 15)
        } else {
            None
        }
    }

    /// The access that a data abort was for, if the syndrome tells.
    #[must_use]
    pub const fn access(self) -> Option<Access> {
        let iss = self.iss();
        let size = match iss >> 22 & 3 {
            0 => 1,
            1 => 2,
            2 => 4,
            _ => return None,
        };
        if iss & 1 << 24 == 0 {
            return None;
        }
        Some(Access {
            size,
            signed: iss & 1 << 21 != 0,
            register: (iss >> 16 & 15) as u8,
            write: self.is_write(),
        })
    }

    /// Whether a data abort was for a write. Cache maintenance counts as one.
    #[must_use]
    pub const fn is_write(self) -> bool {
        self.0 & 1 << 6 != 0
    }

    /// Whether a data abort was for cache maintenance or address translation.
    #[must_use]
    pub const fn is_maintenance(self) -> bool {
        self.0 & 1 << 8 != 0
    }

    /// Whether the abort was for stage 2 of a stage-1 table walk.
    #[must_use]
    pub const fn is_walk(self) -> bool {
        self.0 & 1 << 7 != 0
    }

    /// What an abort is.
    #[must_use]
    pub const fn abort(self) -> Abort {
        match self.0 & 0x3f {
            0x04..=0x07 => Abort::Translation,
            0x08..=0x0b => Abort::AccessFlag,
            0x0c..=0x0f => Abort::Permission,
            0x10 | 0x14..=0x17 => Abort::External,
            0x21 => Abort::Alignment,
            other => Abort::Other(other as u8),
        }
    }
}

/// What an exception class is called.
#[must_use]
pub const fn class_name(class: u32) -> &'static str {
    match class {
        ec::UNKNOWN => "unknown reason",
        ec::WFX => "WFI or WFE",
        ec::CP15_32 => "MCR or MRC of CP15",
        ec::CP15_64 => "MCRR or MRRC of CP15",
        ec::CP14_32 | ec::CP14_64 | ec::CP14_LDC => "access to CP14",
        ec::HCPTR => "coprocessor access",
        ec::CP10_VMRS => "VMRS",
        ec::JAZELLE => "BXJ",
        ec::SVC => "SVC",
        ec::HVC => "HVC",
        ec::SMC => "SMC",
        ec::PREFETCH_ABORT | ec::PREFETCH_ABORT_HYP => "prefetch abort",
        ec::DATA_ABORT | ec::DATA_ABORT_HYP => "data abort",
        _ => "reserved class",
    }
}

impl fmt::Display for Syndrome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = class_name(self.class());
        write!(f, "hsr {:08x} ({class}", self.0)?;
        if matches!(self.class(), 0x20..=0x25) {
            write!(f, ", {}, level {}", self.abort().name(), self.0 & 3)?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn a_store_is_told_by_the_syndrome() {
        // STRB r3, translation fault of level 2.
        let syndrome = Syndrome(0x24 << 26 | 1 << 25 | 1 << 24 | 3 << 16 | 1 << 6 | 6);
        assert_eq!(
            syndrome.access(),
            Some(Access {
                size: 1,
                signed: false,
                register: 3,
                write: true
            })
        );
        assert_eq!(syndrome.abort(), Abort::Translation);
        assert_eq!(syndrome.instruction_bytes(), 4);
        assert_eq!(
            format!("{syndrome}"),
            "hsr 93030046 (data abort, translation, level 2)"
        );
    }

    #[test]
    fn what_the_syndrome_does_not_tell_is_not_made_up() {
        let base = 0x24 << 26 | 1 << 25;
        assert_eq!(Syndrome(base | 2 << 22).access(), None);
        // The size 3 is reserved.
        assert_eq!(Syndrome(base | 1 << 24 | 3 << 22).access(), None);
        // A data abort has no condition.
        assert_eq!(Syndrome(base | 1 << 24).condition(), None);
        assert_eq!(Syndrome(1 << 26 | 1 << 24 | 11 << 20).condition(), Some(11));
    }
}
