//! Where cases lie in memory, and how they go to the oracle and come back: the same constants and
//! structures as in `runner/runner.c` and `runner/runner.ld`.

use bytemuck::{Pod, Zeroable};

/// Code: a page of filler, pages of programs, a page of filler. Readable, not writable.
pub const CODE_BASE: u32 = 0x2000_0000;
/// Size of the code area.
pub const CODE_SIZE: u32 = 0x6000;
/// Where the programs start.
pub const PROGRAMS: u32 = CODE_BASE + 0x1000;
/// Each program has so many bytes; what it leaves is filler.
pub const SLOT: u32 = 64;
/// Programs in a batch.
pub const SLOTS: u32 = (CODE_SIZE - 0x2000) / SLOT;
/// A program is no longer than this: from here to the end of its slot, branches find filler.
pub const LONGEST: u32 = 32;
/// UNDEFINED, wherever execution gets to it: as a word in A32, as the lower halfword in T32; the
/// upper one branches to the next.
pub const FILLER: u32 = 0xe7ff_deff;

/// Where programs in A32 and in T32 go at their end. Nothing is mapped there in the machine under
/// test; the runner has its way out there.
pub const EXIT_A32: u32 = 0x2010_0f00;
/// As [`EXIT_A32`].
pub const EXIT_T32: u32 = 0x2010_0f20;

/// Two pages of data: readable, writable, not executable.
pub const SCRATCH_BASE: u32 = 0x3000_0000;
/// Size of the data.
pub const SCRATCH_SIZE: u32 = 0x2000;
/// The part of the data that a case has for itself, about the boundary between the pages.
pub const WINDOW_BASE: u32 = SCRATCH_BASE + 0xf00;
/// Size of the window in bytes.
pub const WINDOW_SIZE: usize = 512;

/// Cases in a batch at most.
pub const MAX_CASES: usize = 8192;

/// Nothing is mapped from here on (1 MiB), nor in the oracle.
pub const HOLE: u32 = 0x3800_0000;

/// The stack that the oracle's signal handler is on. Linux takes an SP that points there for that of
/// a handler, so no case may be interrupted with one.
pub const SIGNAL_STACK: std::ops::Range<u32> = 0x2018_0000..0x2018_4001;

/// Whether the oracle's process has, or may have, something of its own at an address that is empty
/// in the machine under test: its image, its way in and out, its stack, the kernel's page.
pub fn is_oracles_own(va: u32) -> bool {
    matches!(va,
        0x0000_8000..0x0200_0000
        | 0x200f_f000..0x2010_3000
        | 0x2018_0000..0x2018_4000
        | 0x3f00_0000..0x4400_0000
        | 0x7f00_0000..0x8000_0000
        | 0xf000_0000..)
}

/// Everything that user mode has, before a case and after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct State {
    /// R0 to R14; R15 the program's address, with bit 0 set for T32. Afterwards R15 is where an
    /// exception was taken, 0 if none was.
    pub regs: [u32; 16],
    /// Flags and GE; afterwards the execution state and E too.
    pub cpsr: u32,
    /// FPSCR.
    pub fpscr: u32,
    /// Before: 0, or the number of the case's window plus 1. Afterwards: how it ended, an
    /// [`Outcome`]'s number.
    pub outcome: u32,
    /// Afterwards: the address that an abort was about.
    pub address: u32,
    /// D0 to D31.
    pub d: [u64; 32],
}

/// The memory window's contents.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Window(pub [u64; WINDOW_SIZE / 8]);

/// What goes before a batch.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Header {
    /// [`Header::MAGIC`].
    pub magic: u32,
    /// How many cases there are.
    pub cases: u32,
    /// How many windows there are.
    pub windows: u32,
    /// 0.
    pub reserved: u32,
}

impl Header {
    /// Marks a header.
    pub const MAGIC: u32 = 0x736b_6670;
}

/// How a case ended; the numbers are those of the signals that Linux makes of the exceptions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Outcome {
    /// It reached its end.
    Finished = 0,
    /// Undefined Instruction (SIGILL).
    Undefined = 4,
    /// BKPT (SIGTRAP).
    Breakpoint = 5,
    /// An alignment fault (SIGBUS).
    Alignment = 7,
    /// Another abort, of data or of an instruction (SIGSEGV).
    Abort = 11,
    /// It did not end (SIGALRM).
    Endless = 14,
    /// Supervisor Call.
    Svc = 100,
    /// Something that no case should lead to.
    Other = 101,
}

/// An outcome's name.
pub fn outcome_name(outcome: u32) -> &'static str {
    match outcome {
        0 => "finished",
        4 => "Undefined Instruction",
        5 => "breakpoint",
        7 => "alignment fault",
        11 => "abort",
        14 => "endless",
        100 => "Supervisor Call",
        _ => "other",
    }
}
