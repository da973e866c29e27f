//! The world switch: into a guest, and back on the next exception that comes to Hyp mode.
//!
//! While a guest runs, Hyp mode's stack pointer is at the end of its [`Frame`]: the vectors push the
//! guest's registers right into it. Everything else of the guest stays in the processor's registers,
//! which the hypervisor does not use: it is saved only when another guest comes.

use core::arch::global_asm;
use core::mem::offset_of;

/// What an exit saves and an entry restores. LR is User mode's, which Hyp mode shares; R8 to R12 are
/// those of all modes but FIQ.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Frame {
    /// R0 to R12.
    pub r: [u32; 13],
    /// LR_usr.
    pub lr: u32,
    /// Where the guest goes on (ELR_hyp).
    pub pc: u32,
    /// The guest's CPSR (SPSR_hyp).
    pub cpsr: u32,
    /// The hypervisor's stack pointer while the guest runs.
    host_sp: u32,
}

impl Frame {
    /// A guest that starts at `pc` with this CPSR and r0 to r2.
    pub fn start(pc: u32, cpsr: u32, registers: [u32; 3]) -> Self {
        let mut frame = Frame {
            pc,
            cpsr,
            ..Frame::default()
        };
        frame.r[..3].copy_from_slice(&registers);
        frame
    }
}

/// Why the guest stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// It did something that traps: HSR says what.
    Trap,
    /// A physical interrupt.
    Interrupt,
    /// An asynchronous abort or FIQ: what of the board causes them is not the guest's.
    Other,
}

global_asm!(
    ".text",
    ".arm",
    ".arch_extension virt",
    ".balign 32",
    // What T32 code calls: the linker must know that this is A32.
    ".type guest_enter, %function",
    ".global guest_enter",
    "guest_enter:",
    "    push {{r4-r11, lr}}",
    "    ldr r1, [r0, #{pc}]",
    "    ldr r2, [r0, #{cpsr}]",
    "    str sp, [r0, #{host_sp}]",
    "    msr elr_hyp, r1",
    "    msr spsr_cxsf, r2",
    "    mov sp, r0",
    "    ldm sp!, {{r0-r12, lr}}",
    "    eret",
    ".global guest_exit_trap",
    "guest_exit_trap:",
    "    push {{r0-r12, lr}}",
    "    mov r0, #0",
    "    b 1f",
    ".global guest_exit_interrupt",
    "guest_exit_interrupt:",
    "    push {{r0-r12, lr}}",
    "    mov r0, #1",
    "1:  mrs r1, elr_hyp",
    "    mrs r2, spsr",
    "    str r1, [sp, #{pc}]",
    "    str r2, [sp, #{cpsr}]",
    "    ldr sp, [sp, #{host_sp}]",
    "    pop {{r4-r11, pc}}",
    pc = const offset_of!(Frame, pc),
    cpsr = const offset_of!(Frame, cpsr),
    host_sp = const offset_of!(Frame, host_sp),
);

const _: () = assert!(offset_of!(Frame, pc) == 14 * 4);

unsafe extern "C" {
    fn guest_enter(frame: *mut Frame) -> u32;
}

/// Runs the guest that is loaded on this core until it exits.
pub fn enter(frame: &mut Frame) -> Exit {
    // SAFETY: the guest is confined by stage 2 and the traps that are set; it comes back by the
    // vectors, which use the frame and restore the stack.
    match unsafe { guest_enter(frame) } {
        0 => Exit::Trap,
        1 => Exit::Interrupt,
        _ => Exit::Other,
    }
}
