//! Probes: a few instructions, run with chosen registers in a chosen mode, and how they ended.

use crate::psr::{self, mode};
use crate::vectors::{self, Area, Vector};
use crate::{board, mcr, mmio, mrc};
use core::arch::global_asm;
use core::fmt;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering};

/// Instructions to run.
#[derive(Clone, Copy)]
pub struct Snippet {
    /// The first instruction's address.
    pub address: u32,
    /// They are Thumb.
    pub thumb: bool,
}

/// The immediate of the SVC that ends a snippet.
pub const END: u32 = 0xad;

/// Assembles a snippet in the instruction set `arm` or `thumb`.
#[macro_export]
macro_rules! snippet {
    (arm, $($line:literal),+ $(,)?) => {
        $crate::snippet!(@place ".arm", false, $($line),+)
    };
    (thumb, $($line:literal),+ $(,)?) => {
        $crate::snippet!(@place ".thumb", true, $($line),+)
    };
    (@place $set:literal, $thumb:literal, $($line:literal),+) => {{
        let address: u32;
        // SAFETY: only takes the address of the code in between, which is jumped over.
        unsafe {
            core::arch::asm!(
                "adr {0}, 20f",
                "b 29f",
                ".balign 4",
                $set,
                ".arch_extension virt",
                "20:",
                $($line,)+
                "svc #0xad",
                ".arm",
                ".balign 4",
                "29:",
                out(reg) address,
                options(nomem, nostack, preserves_flags)
            );
        }
        $crate::probe::Snippet { address, thumb: $thumb }
    }};
}

/// Where generated instructions are put: buffers that are used in turn.
const BUFFERS: u32 = board::FREE - 0x1000;
const BUFFER_SIZE: u32 = 0x40;
const BUFFER_COUNT: u32 = 64;
static NEXT: AtomicU32 = AtomicU32::new(0);

fn buffer() -> u32 {
    let next = NEXT.load(Ordering::Relaxed);
    NEXT.store((next + 1) % BUFFER_COUNT, Ordering::Relaxed);
    BUFFERS + next * BUFFER_SIZE
}

/// A snippet of at most 15 A32 instructions given as words. It stays for the next 63.
pub fn a32(words: &[u32]) -> Snippet {
    let address = buffer();
    for (i, word) in words.iter().chain(&[0xef00_0000 | END]).enumerate() {
        mmio::write32(address + 4 * i as u32, *word);
    }
    // ICIALLU.
    mcr!("p15, 0, {}, c7, c5, 0", 0);
    Snippet {
        address,
        thumb: false,
    }
}

/// A snippet of at most 31 halfwords of T32 instructions. It stays for the next 63.
pub fn t32(halfwords: &[u16]) -> Snippet {
    let address = buffer();
    for (i, half) in halfwords.iter().chain(&[0xdf00 | END as u16]).enumerate() {
        mmio::write16(address + 2 * i as u32, *half);
    }
    mcr!("p15, 0, {}, c7, c5, 0", 0);
    Snippet {
        address,
        thumb: true,
    }
}

/// The state that a snippet starts with.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Probe {
    r: [u32; 13],
    pc: u32,
    cpsr: u32,
    sp: u32,
    lr: u32,
    start: u32,
}

impl Probe {
    /// Supervisor mode with everything masked, r0 to r12 and LR 0; SP is in free memory.
    pub fn new(snippet: Snippet) -> Self {
        Probe {
            r: [0; 13],
            pc: snippet.address,
            cpsr: mode::SVC | psr::A | psr::I | psr::F | if snippet.thumb { psr::T } else { 0 },
            sp: board::FREE + 0x800,
            lr: 0,
            start: snippet.address,
        }
    }

    /// Starts with another address in the PC than the snippet's.
    pub fn pc(mut self, pc: u32) -> Self {
        self.pc = pc;
        self
    }

    /// Starts in a mode.
    pub fn mode(mut self, mode: u32) -> Self {
        self.cpsr = self.cpsr & !0x1f | mode;
        self
    }

    /// Sets bits of CPSR.
    pub fn set(mut self, bits: u32) -> Self {
        self.cpsr |= bits;
        self
    }

    /// Clears bits of CPSR.
    pub fn clear(mut self, bits: u32) -> Self {
        self.cpsr &= !bits;
        self
    }

    /// Sets one of r0 to r12.
    pub fn r(mut self, n: usize, value: u32) -> Self {
        self.r[n] = value;
        self
    }

    /// Sets SP.
    pub fn sp(mut self, sp: u32) -> Self {
        self.sp = sp;
        self
    }

    /// Sets LR.
    pub fn lr(mut self, lr: u32) -> Self {
        self.lr = lr;
        self
    }

    /// Runs until the first exception.
    pub fn run(&self) -> Outcome {
        let area = vectors::area();
        // SAFETY: `probe_enter` returns by way of the recording vectors, with this function's
        // registers and stack as they were.
        let area = unsafe {
            probe_enter(area, self);
            *area
        };
        let at = area.lr.wrapping_sub(self.start);
        let thumb = area.spsr & psr::T != 0;
        let ended = area.vector == Vector::Svc as u32
            && if thumb {
                mmio::read16(area.lr - 2) == 0xdf00 | END as u16
            } else {
                mmio::read32(area.lr - 4) == 0xef00_0000 | END
            };
        Outcome {
            area,
            at,
            ended,
            dfsr: mrc!("p15, 0, {}, c5, c0, 0"),
            ifsr: mrc!("p15, 0, {}, c5, c0, 1"),
            dfar: mrc!("p15, 0, {}, c6, c0, 0"),
            ifar: mrc!("p15, 0, {}, c6, c0, 2"),
        }
    }
}

/// How a probe ended.
#[derive(Clone, Copy)]
pub struct Outcome {
    /// What the vectors noted.
    pub area: Area,
    /// LR, relative to the snippet's start.
    pub at: u32,
    /// The snippet's last instruction was executed.
    pub ended: bool,
    /// Fault registers.
    pub dfsr: u32,
    /// Fault registers.
    pub ifsr: u32,
    /// Fault registers.
    pub dfar: u32,
    /// Fault registers.
    pub ifar: u32,
}

impl Outcome {
    /// r0 to r12 at the end.
    pub fn r(&self, n: usize) -> u32 {
        self.area.r[n]
    }

    /// The exception in all detail: what differs between modes and instruction sets.
    pub fn details(&self) -> Details<'_> {
        Details(self)
    }
}

/// Shows an outcome with LR, SPSR and CPSR.
pub struct Details<'a>(&'a Outcome);

impl fmt::Display for Details<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let area = &self.0.area;
        write!(f, "{} lr=", self.0)?;
        if self.0.at < 0x1000 {
            write!(f, "start+{:#x}", self.0.at)?;
        } else {
            write!(f, "{:08x}", area.lr)?;
        }
        write!(f, " spsr={:08x} cpsr={:08x}", area.spsr, area.cpsr)?;
        if area.thumb != 0 {
            write!(f, " thumb")?;
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.area.vector {
            _ if self.ended => write!(f, "end"),
            1 => write!(f, "undefined"),
            2 => write!(f, "svc"),
            3 => write!(
                f,
                "prefetch abort ifsr={:x} ifar={:08x}",
                self.ifsr, self.ifar
            ),
            4 => write!(f, "data abort dfsr={:x} dfar={:08x}", self.dfsr, self.dfar),
            6 => write!(f, "irq"),
            7 => write!(f, "fiq"),
            other => write!(f, "vector {other}"),
        }
    }
}

unsafe extern "C" {
    fn probe_enter(area: *mut Area, probe: *const Probe);
}

// The snippet is entered by an exception return from a mode that it is not in.
global_asm!(
    ".text",
    ".arm",
    ".global probe_enter",
    "probe_enter:",
    "    push {{r4-r11, lr}}",
    "    str sp, [r0, #{probe_sp}]",
    "    mrs r2, cpsr",
    "    str r2, [r0, #{probe_cpsr}]",
    "    mov r3, r1",
    "    ldr r4, [r3, #{cpsr}]",
    "    ldr r5, [r3, #{sp}]",
    "    ldr r6, [r3, #{lr}]",
    "    ldr r7, [r3, #{pc}]",
    "    and r8, r4, #0x1f",
    "    cmp r8, #0x10",
    "    moveq r8, #0x1f",
    "    orr r8, r8, #0x1c0",
    "    msr cpsr_xc, r8",
    "    mov sp, r5",
    "    mov lr, r6",
    "    and r8, r8, #0x1f",
    "    cmp r8, #0x1b",
    "    beq 1f",
    "    cps #0x1b",
    "    b 2f",
    "1:  cps #0x17",
    "2:  msr spsr_cxsf, r4",
    "    mov lr, r7",
    "    ldm r3, {{r0-r12}}",
    "    movs pc, lr",
    probe_sp = const offset_of!(Area, probe_sp),
    probe_cpsr = const offset_of!(Area, probe_cpsr),
    cpsr = const offset_of!(Probe, cpsr),
    sp = const offset_of!(Probe, sp),
    lr = const offset_of!(Probe, lr),
    pc = const offset_of!(Probe, pc),
);
