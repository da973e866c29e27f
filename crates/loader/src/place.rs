//! Where everything goes in guest memory, and with what registers the kernel starts.
//!
//! The boot protocol is Linux's (*Booting ARM Linux*); the addresses are those that QEMU's `virt`
//! machine chooses:
//!
//! - a zImage or raw image at RAM + 0x1_0000; a uImage at its load address; ELF where it is linked;
//! - the initial RAM disk at the middle of RAM or at RAM + 128 MiB, whichever is lower, so that a
//!   kernel finds it in memory that it maps early;
//! - the device tree on the next page behind that. For an ELF program it is at the start of RAM when
//!   there is room, where bare-metal programs for QEMU look for it.
//!
//! Unlike QEMU, the memory that a zImage unpacks to is known and kept free, and a machine whose
//! memory has no room behind the middle is filled from below before it is called too small.

use alloc::vec::Vec;

use crate::fdt::{MAX_SIZE, Range};
use crate::kernel::{Format, Image, Kernel};

/// Offset of a zImage or raw image from the start of RAM: leaves room for the page tables that a
/// kernel makes in the first 32 KiB.
const KERNEL_OFFSET: u64 = 0x1_0000;
/// A zImage that is told where to go still keeps clear of the page tables that it makes itself, in
/// the first 16 KiB.
const PAGE_TABLES: u64 = 0x4000;
/// The initial RAM disk's largest offset from the start of RAM.
const INITRD_OFFSET: u64 = 128 << 20;
/// Alignment of the initial RAM disk and the device tree.
const PAGE: u64 = 0x1000;
/// A zImage takes its own address, rounded down to this, as the start of RAM.
const ZIMAGE_REGION: u64 = 128 << 20;
/// End of what a kernel can address when it starts.
const END_OF_32_BIT: u64 = 1 << 32;

/// r1 at entry: no machine number, the device tree says it all.
pub const MACHINE_ID_DT_ONLY: u32 = u32::MAX;

/// The machine's RAM: page-aligned, starting below 4 GiB. What lies above 4 GiB isn't used for
/// loading.
pub type Memory = Range;

/// Why there is no place. Shown to the user as it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// RAM that isn't page-aligned, is empty, or starts above 4 GiB.
    #[error(
        "RAM of {size:#x} bytes at {base:#x} is impossible: it must start below 4 GiB and consist of whole pages of 4 KiB"
    )]
    Memory {
        /// First address.
        base: u64,
        /// Bytes.
        size: u64,
    },
    /// Not enough RAM.
    #[error(
        "the machine has {} of memory, but the {format}, its initial RAM disk and its device tree need at least {}; give the machine more memory",
        Size(*.have), Size(*.needed)
    )]
    TooSmall {
        /// The kernel's format.
        format: Format,
        /// Bytes of RAM that suffice, a multiple of 1 MiB.
        needed: u64,
        /// Bytes of RAM that there are (below 4 GiB).
        have: u64,
    },
    /// A segment of an ELF file, or a uImage, lies elsewhere.
    #[error(
        "the {format} wants to be at {start:#x} to {last:#x}, outside RAM ({ram_start:#x} to {ram_last:#x}); {}",
        outside_remedy(*.format)
    )]
    OutsideRam {
        /// The kernel's format.
        format: Format,
        /// First address.
        start: u64,
        /// Last address.
        last: u64,
        /// RAM's first address.
        ram_start: u64,
        /// RAM's last address.
        ram_last: u64,
    },
    /// A device tree larger than a kernel can map.
    #[error("the device tree has {0} bytes; a 32-bit Arm kernel takes at most {max}", max = MAX_SIZE)]
    DtbTooLarge(u64),
}

fn outside_remedy(format: Format) -> &'static str {
    match format {
        Format::Elf => {
            "link it for this address range or give the machine more memory (instead of Linux's vmlinux give arch/arm/boot/zImage; a program for Linux belongs in the initial RAM disk)"
        }
        _ => {
            "make it with a load address in this range (`mkimage -a`), or give the machine more memory"
        }
    }
}

/// A number of bytes, for people.
struct Size(u64);

impl core::fmt::Display for Size {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            bytes if bytes % (1 << 20) == 0 => write!(f, "{} MiB", bytes >> 20),
            bytes if bytes % (1 << 10) == 0 => write!(f, "{} KiB", bytes >> 10),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

/// One piece's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed {
    /// Guest-physical address.
    pub addr: u64,
    /// Bytes of memory.
    pub size: u64,
}

impl Placed {
    fn end(self) -> u64 {
        self.addr.saturating_add(self.size)
    }
}

/// How the first CPU starts: Supervisor mode, interrupts and asynchronous aborts masked, MMU and
/// caches off, little-endian. The other CPUs are off until PSCI starts them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Address of the first instruction.
    pub pc: u32,
    /// Whether it is in the T32 instruction set.
    pub thumb: bool,
    /// Registers r0 to r2: 0, machine number, address of the device tree.
    pub registers: [u32; 3],
}

/// Addresses of everything, inside RAM and below 4 GiB, not overlapping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The kernel: one place for a relocatable image, one a segment for a fixed one, in order.
    pub kernel: Vec<Placed>,
    /// The initial RAM disk.
    pub initrd: Option<Placed>,
    /// The device tree.
    pub dtb: Placed,
    /// How the first CPU starts.
    pub entry: Entry,
}

/// Places a kernel, an initial RAM disk of `initrd` bytes and a device tree of `dtb` bytes.
///
/// # Errors
///
/// RAM is impossible or too small, the kernel lies outside it, or the device tree is too large.
pub fn plan(
    ram: Memory,
    kernel: &Kernel<'_>,
    initrd: Option<u64>,
    dtb: u64,
) -> Result<Plan, PlaceError> {
    let impossible = PlaceError::Memory {
        base: ram.base,
        size: ram.size,
    };
    let end = ram
        .base
        .checked_add(ram.size)
        .ok_or(impossible.clone())?
        .min(END_OF_32_BIT);
    if !ram.base.is_multiple_of(PAGE) || !ram.size.is_multiple_of(PAGE) || end <= ram.base {
        return Err(impossible);
    }
    if dtb > MAX_SIZE as u64 {
        return Err(PlaceError::DtbTooLarge(dtb));
    }

    let middle = ram.base + ((end - ram.base) / 2).min(INITRD_OFFSET);
    let blobs = Blobs {
        initrd,
        dtb,
        dtb_first: kernel.format == Format::Elf,
        base: ram.base,
    };
    let beside = |kernel: &PlacedKernel, from| blobs.place(&kernel.busy, from, end);
    let try_place = |kernel: PlacedKernel| {
        let blobs = beside(&kernel, middle).or_else(|| beside(&kernel, ram.base))?;
        Some((kernel, blobs))
    };
    let (placed, (initrd, dtb)) = preferred(ram.base, end, kernel)
        .and_then(try_place)
        .map_or_else(
            || {
                let placed = place(ram.base, end, kernel)?;
                let too_small = too_small(ram.base, end, kernel.format, &placed, &blobs);
                try_place(placed).ok_or(too_small)
            },
            Ok,
        )?;
    Ok(Plan {
        kernel: placed.pieces,
        initrd,
        dtb,
        entry: Entry {
            pc: placed.entry & !1,
            thumb: placed.entry & 1 != 0,
            // In range: everything is below 4 GiB.
            registers: [0, MACHINE_ID_DT_ONLY, dtb.addr as u32],
        },
    })
}

struct PlacedKernel {
    pieces: Vec<Placed>,
    /// Memory that nothing else may use, by address.
    busy: Vec<Placed>,
    /// Bit 0 set for T32.
    entry: u32,
}

impl PlacedKernel {
    fn end(&self) -> u64 {
        self.busy.iter().map(|busy| busy.end()).max().unwrap_or(0)
    }
}

/// A relocatable image at `addr`. `busy` is one piece from the start of RAM to the end of what the
/// kernel unpacks to or occupies.
fn relocatable(base: u64, addr: u64, size: u64, unpacked: u64) -> PlacedKernel {
    let region = base.max(addr - addr % ZIMAGE_REGION);
    let busy_end = region
        .saturating_add(unpacked)
        .max(addr.saturating_add(size));
    PlacedKernel {
        pieces: [Placed { addr, size }].into(),
        busy: [Placed {
            addr: base,
            size: busy_end.saturating_sub(base),
        }]
        .into(),
        entry: addr as u32,
    }
}

/// A relocatable image at the address that it prefers, if it prefers one that will do.
fn preferred(base: u64, end: u64, kernel: &Kernel<'_>) -> Option<PlacedKernel> {
    let Image::Relocatable {
        data,
        preferred: Some(addr),
        unpacked,
    } = &kernel.image
    else {
        return None;
    };
    let addr = u64::from(*addr);
    let usable = addr.is_multiple_of(4) && addr >= base + PAGE_TABLES;
    usable
        .then(|| relocatable(base, addr, data.len() as u64, *unpacked))
        .filter(|placed| placed.end() <= end)
}

/// A fixed image where it is linked, a relocatable one at its usual offset.
fn place(base: u64, end: u64, kernel: &Kernel<'_>) -> Result<PlacedKernel, PlaceError> {
    let (segments, entry) = match &kernel.image {
        Image::Relocatable { data, unpacked, .. } => {
            return Ok(relocatable(
                base,
                base + KERNEL_OFFSET,
                data.len() as u64,
                *unpacked,
            ));
        }
        Image::Fixed { segments, entry } => (segments, *entry),
    };
    let pieces: Vec<_> = segments
        .iter()
        .map(|segment| Placed {
            addr: segment.addr,
            size: segment.mem_size,
        })
        .collect();
    if let Some(piece) = pieces
        .iter()
        .find(|piece| piece.addr < base || piece.end() > end)
    {
        return Err(PlaceError::OutsideRam {
            format: kernel.format,
            start: piece.addr,
            last: piece.end().saturating_sub(1),
            ram_start: base,
            ram_last: end - 1,
        });
    }
    let mut busy = pieces.clone();
    busy.sort_unstable_by_key(|piece| piece.addr);
    if kernel.format != Format::Elf {
        // Possibly an unpacked Linux kernel, which makes page tables below itself.
        // Segments may lie inside one another, so the last one need not end last.
        let end = busy.iter().map(|piece| piece.end()).max().unwrap_or(base);
        busy = [Placed {
            addr: base,
            size: end - base,
        }]
        .into();
    }
    Ok(PlacedKernel {
        pieces,
        busy,
        entry,
    })
}

/// The error that says how much memory it takes.
fn too_small(
    base: u64,
    end: u64,
    format: Format,
    kernel: &PlacedKernel,
    blobs: &Blobs,
) -> PlaceError {
    // Placed from below, with no end: where the last byte falls is what it takes.
    let needed = blobs
        .place(&kernel.busy, base, u64::MAX)
        .map_or(u64::MAX, |(initrd, dtb)| {
            initrd.map_or(0, Placed::end).max(dtb.end())
        })
        .max(kernel.end())
        .saturating_sub(base);
    let needed = needed.checked_next_multiple_of(1 << 20).unwrap_or(needed);
    PlaceError::TooSmall {
        format,
        needed,
        have: end - base,
    }
}

/// What goes beside the kernel.
struct Blobs {
    initrd: Option<u64>,
    dtb: u64,
    /// Try the start of RAM for the device tree first.
    dtb_first: bool,
    base: u64,
}

impl Blobs {
    /// Places both at or above `from` and below `end`.
    fn place(&self, busy: &[Placed], from: u64, end: u64) -> Option<(Option<Placed>, Placed)> {
        let mut busy = busy.to_vec();
        let mut dtb = None;
        if self.dtb_first {
            dtb = fit(&busy, self.base, self.dtb, end).filter(|placed| placed.addr == self.base);
            insert(&mut busy, dtb);
        }
        let initrd = match self.initrd {
            Some(size) => Some(fit(&busy, from, size, end)?),
            None => None,
        };
        insert(&mut busy, initrd);
        let behind = initrd.map_or(from, Placed::end);
        let dtb = match dtb {
            Some(dtb) => dtb,
            None => fit(&busy, behind, self.dtb, end)?,
        };
        Some((initrd, dtb))
    }
}

fn insert(busy: &mut Vec<Placed>, placed: Option<Placed>) {
    busy.extend(placed);
    busy.sort_unstable_by_key(|piece| piece.addr);
}

/// The lowest free place at or above `from`, on a page. `busy` is sorted.
fn fit(busy: &[Placed], from: u64, size: u64, end: u64) -> Option<Placed> {
    let mut addr = from.checked_next_multiple_of(PAGE)?;
    for piece in busy {
        let overlaps = piece.addr < addr.checked_add(size)? && addr < piece.end();
        if overlaps {
            addr = piece.end().checked_next_multiple_of(PAGE)?;
        }
    }
    (addr.checked_add(size)? <= end).then_some(Placed { addr, size })
}
