//! Translation tables of both formats.
//!
//! Tables map all of the guest's code, data, free memory and devices to themselves, with everything
//! allowed; virtual addresses from [`WINDOW`] on are the test's.

use crate::cp15::{sctlr, set_sctlr, tlbiall};
use crate::smp::Shared;
use crate::{board, mcr, mcrr, mmio};
use core::cell::UnsafeCell;

/// Virtual addresses for tests.
pub const WINDOW: u32 = 0x6000_0000;

/// Turns translation off.
pub fn off() {
    set_sctlr(sctlr() & !1);
    tlbiall();
}

fn on(extra: u32) {
    tlbiall();
    set_sctlr(sctlr() | 1 | extra);
}

/// The short-descriptor format (manual B3.5).
#[allow(missing_docs)]
pub mod short {
    use super::*;

    #[repr(C, align(16384))]
    struct Tables {
        first: [[u32; 4096]; 2],
        second: [[u32; 256]; 8],
    }

    static TABLES: Shared<Tables> = Shared(UnsafeCell::new(Tables {
        first: [[0; 4096]; 2],
        second: [[0; 256]; 8],
    }));

    pub const SECTION: u32 = 0b10;
    pub const SUPERSECTION: u32 = 1 << 18 | SECTION;
    pub const TABLE: u32 = 0b01;
    pub const LARGE: u32 = 0b01;
    pub const SMALL: u32 = 0b10;
    /// Section attributes.
    pub const S_XN: u32 = 1 << 4;
    pub const S_PXN: u32 = 1;
    pub const S_S: u32 = 1 << 16;
    pub const S_NG: u32 = 1 << 17;
    /// Attributes of pages.
    pub const SMALL_XN: u32 = 1;
    pub const LARGE_XN: u32 = 1 << 15;
    pub const P_S: u32 = 1 << 10;
    pub const P_NG: u32 = 1 << 11;
    /// Attributes of tables.
    pub const T_PXN: u32 = 1 << 2;

    /// AP[2:0] of a section.
    pub const fn s_ap(ap: u32) -> u32 {
        (ap & 3) << 10 | (ap >> 2) << 15
    }

    /// AP[2:0] of a page.
    pub const fn p_ap(ap: u32) -> u32 {
        (ap & 3) << 4 | (ap >> 2) << 9
    }

    /// TEX, C and B (five bits) of a section.
    pub const fn s_tex(tex_cb: u32) -> u32 {
        (tex_cb >> 2) << 12 | (tex_cb & 3) << 2
    }

    /// TEX, C and B of a small page.
    pub const fn p_tex(tex_cb: u32) -> u32 {
        (tex_cb >> 2) << 6 | (tex_cb & 3) << 2
    }

    pub const fn domain(n: u32) -> u32 {
        n << 5
    }

    /// Normal memory, not cached, and everything allowed.
    pub const NORMAL: u32 = s_tex(0b00100);
    pub const FULL: u32 = SECTION | s_ap(3) | NORMAL;
    /// A device.
    pub const DEVICE: u32 = SECTION | s_ap(3) | S_XN | s_tex(0b00001);
    /// A page with everything allowed.
    pub const PAGE: u32 = SMALL | p_ap(3) | p_tex(0b00100);

    /// The address of first-level table 0 or 1.
    pub fn first(n: usize) -> u32 {
        TABLES.0.get() as u32 + 0x4000 * n as u32
    }

    /// The address of second-level table 0 to 7.
    pub fn second(n: usize) -> u32 {
        TABLES.0.get() as u32 + 0x8000 + 0x400 * n as u32
    }

    /// Sets a first-level descriptor of table 0, and drops what was known of it.
    pub fn set_first(va: u32, descriptor: u32) {
        mmio::write32(first(0) + (va >> 20) * 4, descriptor);
        tlbiall();
    }

    /// Sets a second-level descriptor.
    pub fn set_second(table: usize, va: u32, descriptor: u32) {
        mmio::write32(second(table) + (va >> 12 & 0xff) * 4, descriptor);
        tlbiall();
    }

    /// Fills both first-level tables with what the guest itself needs.
    pub fn fill() {
        for n in 0..2 {
            for index in 0..4096u32 {
                let va = index << 20;
                let descriptor = match va {
                    0x0800_0000..0x0b00_0000 => va | DEVICE,
                    0x4000_0000..0x4800_0000 => va | FULL,
                    _ => 0,
                };
                mmio::write32(first(n) + 4 * index, descriptor);
            }
        }
    }

    /// Fills the tables and turns translation on; all domains are clients.
    pub fn on(control: u32) {
        fill();
        join(control);
    }

    /// Turns translation on with the tables as they are: another CPU may use them.
    pub fn join(control: u32) {
        mcr!("p15, 0, {}, c2, c0, 2", 0);
        mcr!("p15, 0, {}, c2, c0, 0", first(0));
        mcr!("p15, 0, {}, c2, c0, 1", first(1));
        mcr!("p15, 0, {}, c3, c0, 0", 0x5555_5555);
        mcr!("p15, 0, {}, c13, c0, 1", 0);
        super::on(control);
    }
}

/// The long-descriptor format (manual B3.6).
#[allow(missing_docs)]
pub mod long {
    use super::*;

    #[repr(C, align(4096))]
    struct Tables {
        pages: [[u64; 512]; 10],
    }

    static TABLES: Shared<Tables> = Shared(UnsafeCell::new(Tables {
        pages: [[0; 512]; 10],
    }));

    pub const BLOCK: u64 = 0b01;
    pub const TABLE: u64 = 0b11;
    pub const PAGE: u64 = 0b11;
    pub const AP_USER: u64 = 1 << 6;
    pub const AP_READ_ONLY: u64 = 1 << 7;
    pub const AF: u64 = 1 << 10;
    pub const NG: u64 = 1 << 11;
    pub const PXN: u64 = 1 << 53;
    pub const XN: u64 = 1 << 54;
    pub const PXN_TABLE: u64 = 1 << 59;
    pub const XN_TABLE: u64 = 1 << 60;
    pub const AP_TABLE_NO_USER: u64 = 1 << 61;
    pub const AP_TABLE_READ_ONLY: u64 = 1 << 62;
    /// Memory attributes: MAIR0 is set to normal, not cached; device; strongly-ordered; write-back.
    pub const fn attr(n: u64) -> u64 {
        n << 2
    }
    pub const MAIR0: u32 = 0xff00_0444;
    /// Memory with everything allowed.
    pub const FULL: u64 = AF | AP_USER;

    /// The address of a table: 0 and 1 are first-level tables, 2 and 3 the second-level tables of
    /// the guest itself; 4 to 9 are free.
    pub fn table(n: usize) -> u32 {
        TABLES.0.get() as u32 + 0x1000 * n as u32
    }

    fn store(address: u32, descriptor: u64) {
        mmio::write32(address, descriptor as u32);
        mmio::write32(address + 4, (descriptor >> 32) as u32);
    }

    /// Sets a descriptor of a table by its index, and drops all translations.
    pub fn set(table_number: usize, index: u32, descriptor: u64) {
        store(table(table_number) + 8 * index, descriptor);
        tlbiall();
    }

    /// Fills the tables with what the guest itself needs.
    pub fn fill() {
        for n in 0..10 {
            for index in 0..512 {
                store(table(n) + 8 * index, 0);
            }
        }
        for n in 0..2 {
            store(table(n), u64::from(table(2)) | TABLE);
            store(table(n) + 8, u64::from(table(3)) | TABLE);
        }
        for index in 64..88u32 {
            let pa = u64::from(index << 21);
            store(table(2) + 8 * index, pa | BLOCK | FULL | XN | attr(1));
        }
        for index in 0..64u32 {
            let pa = u64::from(board::RAM + (index << 21));
            store(table(3) + 8 * index, pa | BLOCK | FULL | attr(0));
        }
    }

    /// Fills the tables and turns translation on.
    pub fn on(control: u32) {
        fill();
        mcr!("p15, 0, {}, c10, c2, 0", MAIR0);
        mcr!("p15, 0, {}, c10, c2, 1", 0);
        mcr!("p15, 0, {}, c2, c0, 2", 1 << 31);
        mcrr!("p15, 0, {}, {}, c2", u64::from(table(0)));
        mcrr!("p15, 1, {}, {}, c2", u64::from(table(1)));
        super::on(control);
    }

    /// Turns translation and the format off.
    pub fn off() {
        super::off();
        mcr!("p15, 0, {}, c2, c0, 2", 0);
    }
}
