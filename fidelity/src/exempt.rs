//! What is not compared: the one list. Everything else that differs is a bug.

use crate::generate::{Placed, branches};
use crate::wire::{Outcome, State};
use skep_arm::decode::{Row, Set, a32_form, rows};
use skep_arm::insn::simd::Simd;
use skep_arm::insn::{CpReg, DpOp, Index, Insn, Reg};
use std::collections::HashSet;
use std::sync::LazyLock;

/// An exemption.
pub struct Exemption {
    /// What it is about.
    pub what: &'static str,
    /// Where the manual (ARM DDI 0406C) leaves it open.
    pub section: &'static str,
    /// Why it cannot be compared.
    pub reason: &'static str,
    /// What it holds for.
    pub scope: Scope,
}

/// What an exemption takes out.
pub enum Scope {
    /// Whole rows.
    Row(fn(&Row) -> bool),
    /// Instances of rows: they are not generated.
    Instance(fn(&Instance) -> bool),
    /// Differences between what the engine and what the oracle made of an instance.
    Result(fn(&Instance, &State, &State) -> bool),
}

const UNPREDICTABLE: &str = "UNPREDICTABLE";

/// The exemptions.
pub const EXEMPTIONS: &[Exemption] = &[
    Exemption {
        what: "SVC",
        section: "A8.8.228",
        reason: "a system call of the oracle's host: bare-metal guests test it",
        scope: Scope::Row(|row| row.name.starts_with("SVC")),
    },
    Exemption {
        what: "IT with a condition of 0b1111, or AL with an else",
        section: "A8.8.54",
        reason: UNPREDICTABLE,
        scope: Scope::Instance(|i| match i.insn {
            Insn::It { it } => it >> 4 == 15 || it >> 4 == 14 && (it & 15).count_ones() != 1,
            _ => false,
        }),
    },
    Exemption {
        what: "the PC as an operand that it may not be",
        section: "A8.8, each instruction",
        reason: UNPREDICTABLE,
        scope: Scope::Instance(pc_where_it_may_not_be),
    },
    Exemption {
        what: "SUBS PC, LR and related with another operation than SUB and MOV, in User mode",
        section: "B9.3.20",
        reason: UNPREDICTABLE,
        scope: Scope::Instance(|i| match i.insn {
            Insn::DpImm { op, s, rd, .. } | Insn::DpReg { op, s, rd, .. } => {
                s && rd.is_pc() && !matches!(op, DpOp::Sub | DpOp::Mov)
            }
            _ => false,
        }),
    },
    Exemption {
        what: "writeback to a register that is transferred",
        section: "A8.8, each load and store",
        reason: UNPREDICTABLE,
        scope: Scope::Instance(|i| match i.insn {
            Insn::LdrImm { rt, rn, index, .. }
            | Insn::LdrReg { rt, rn, index, .. }
            | Insn::StrImm { rt, rn, index, .. }
            | Insn::StrReg { rt, rn, index, .. } => writes_back(index) && (rn == rt || rn.is_pc()),
            Insn::LdrdImm {
                rt, rt2, rn, index, ..
            }
            | Insn::LdrdReg {
                rt, rt2, rn, index, ..
            }
            | Insn::StrdImm {
                rt, rt2, rn, index, ..
            }
            | Insn::StrdReg {
                rt, rt2, rn, index, ..
            } => writes_back(index) && (rn == rt || rn == rt2 || rn.is_pc()),
            Insn::Ldm {
                rn, list, wback, ..
            } => wback && listed(rn, list),
            Insn::Stm {
                rn, list, wback, ..
            } => wback && listed(rn, list) && list.trailing_zeros() as usize != rn.index(),
            _ => false,
        }),
    },
    Exemption {
        what: "coprocessors 1 and 2",
        section: "-",
        reason: "QEMU's user mode emulates FPA there, as Linux does",
        scope: Scope::Instance(|i| {
            // In A32, SVC's space without a condition too; in T32 that is Advanced SIMD.
            let coprocessor =
                i.word >> 26 & 3 == 3 && (i.word >> 24 & 3 != 3 || i.row.set == Set::A32);
            i.row.set != Set::T16 && coprocessor && matches!(i.word >> 8 & 15, 1 | 2)
        }),
    },
    Exemption {
        what: "the UDFs that are Linux's breakpoints",
        section: "-",
        reason: "QEMU's user mode raises SIGTRAP for them, as Linux does",
        scope: Scope::Instance(|i| {
            i.named("UDF") && matches!(i.word & 0x0fff_ffff, 0x07f0_01f0 | 0x07f0_a000 | 0xde01)
        }),
    },
    Exemption {
        what: "HLT 0x3c in T32, HLT 0xf000 in A32",
        section: "-",
        reason: "QEMU's user mode takes these, UNDEFINED in ARMv7, for semihosting calls",
        scope: Scope::Instance(|i| match i.row.set {
            Set::T16 => i.word & 0xffff == 0xbabc,
            Set::A32 => i.word & 0x0fff_ffff == 0x010f_0070,
            Set::T32 => false,
        }),
    },
    Exemption {
        what: "MRC of MPIDR",
        section: "B4.1.106",
        reason: "QEMU 7.2's user mode allows it; it is UNDEFINED in User mode",
        scope: Scope::Instance(|i| {
            let mpidr = CpReg {
                coproc: 15,
                opc1: 0,
                crn: 0,
                crm: 0,
                opc2: 5,
            };
            matches!(i.insn, Insn::Mrc { reg, two: false, .. } if reg == mpidr)
        }),
    },
    Exemption {
        what: "MRC of DBGDSCRint",
        section: "C11.11.20",
        reason: "QEMU 7.2 does not let User mode read it",
        scope: Scope::Instance(|i| {
            let dbgdscrint = CpReg {
                coproc: 14,
                opc1: 0,
                crn: 0,
                crm: 1,
                opc2: 0,
            };
            matches!(i.insn, Insn::Mrc { reg, two: false, .. } if reg == dbgdscrint)
        }),
    },
    Exemption {
        what: "MRC of JIDR",
        section: "A2.10",
        reason: "QEMU 7.2 has none of the registers of the trivial Jazelle implementation",
        scope: Scope::Instance(|i| {
            let jidr = CpReg {
                coproc: 14,
                opc1: 7,
                crn: 0,
                crm: 0,
                opc2: 0,
            };
            matches!(i.insn, Insn::Mrc { reg, two: false, .. } if reg == jidr)
        }),
    },
    Exemption {
        what: "VMOV between core registers and S31 and the next",
        section: "A8.8.344",
        reason: UNPREDICTABLE,
        scope: Scope::Instance(|i| {
            i.named("two core and two single") && i.pc('m') && i.field('M', 1) == Some(1)
        }),
    },
    Exemption {
        what: "a load of two registers that are the same one, or MRRC and VMOV to them",
        section: "A8.8.72, A8.8.108, A8.8.344, A8.8.345",
        reason: UNPREDICTABLE,
        scope: Scope::Instance(|i| match i.insn {
            Insn::LdrdImm { rt, rt2, .. } => rt == rt2,
            _ => (i.named("two core") || i.named("MRRC")) && i.reg('t') == i.reg('u'),
        }),
    },
    Exemption {
        what: "LDRD (register) with the index among the registers loaded",
        section: "A8.8.74",
        reason: UNPREDICTABLE,
        scope: Scope::Instance(|i| match i.insn {
            Insn::LdrdReg { rt, rt2, rm, .. } => rm == rt || rm == rt2,
            _ => false,
        }),
    },
    Exemption {
        what: "wide LDM and STM of fewer than two registers, of SP, of PC and LR, or with writeback of a listed base",
        section: "A8.8.57, A8.8.60, A8.8.199, A8.8.201",
        reason: UNPREDICTABLE,
        scope: Scope::Instance(|i| {
            let load = i.word >> 20 & 1 != 0;
            let list = i.word & 0xffff;
            i.row.set == Set::T32
                && i.row
                    .fields()
                    .any(|field| field.letter == 'r' && field.bits == 0xffff)
                && (list.count_ones() < 2
                    || list & 1 << 13 != 0
                    || list & 1 << 15 != 0 && (!load || list & 1 << 14 != 0)
                    || i.field('w', 1) != Some(0) && list >> (i.word >> 16 & 15) & 1 != 0)
        }),
    },
    Exemption {
        what: "exclusives in T32 with the SP",
        section: "A8.8.75-78, A8.8.212-215",
        reason: UNPREDICTABLE,
        scope: Scope::Instance(|i| {
            i.row.set == Set::T32
                && (i.named("STREX") || i.named("LDREX"))
                && ['t', 'u', 'd']
                    .into_iter()
                    .any(|letter| i.reg(letter) == Some(13))
        }),
    },
    Exemption {
        what: "a branch of A32 to an address that ends in 0b10",
        section: "A2.3.1, BXWritePC",
        reason: UNPREDICTABLE,
        scope: Scope::Result(|i, _, theirs| {
            branches(&i.insn) && theirs.cpsr & 0x20 == 0 && theirs.regs[15] & 3 == 2
        }),
    },
    Exemption {
        what: "LDRD and STRD (A32) of LR and the PC",
        section: "A8.8.72-74, A8.8.210, A8.8.211",
        reason: UNPREDICTABLE,
        scope: Scope::Instance(|i| {
            let dual = i.named("LDRD") || i.named("STRD");
            i.row.set == Set::A32 && dual && i.reg('t') == Some(14)
        }),
    },
    Exemption {
        what: "VLDR and VSTR of half precision (coprocessor 9)",
        section: "A5.6",
        reason: "QEMU 7.2 executes these instructions of ARMv8.2 on a Cortex-A15, where they are UNDEFINED",
        scope: Scope::Instance(|i| {
            let transfer = i.named("LDC") || i.named("STC");
            transfer && i.word >> 8 & 15 == 9 && i.word >> 24 & 1 == 1 && i.word >> 21 & 1 == 0
        }),
    },
    Exemption {
        what: "VCVT (fixed-point, VFP) with more fraction bits than the number has",
        section: "A8.8.308",
        reason: UNPREDICTABLE,
        scope: Scope::Instance(|i| {
            let imm = (i.word & 15) << 1 | i.word >> 5 & 1;
            i.named("VCVT (fixed-point, VFP)") && i.word >> 7 & 1 == 0 && imm > 16
        }),
    },
    Exemption {
        what: "VTRN, VUZP and VZIP of a register with itself",
        section: "A8.8.420, A8.8.422, A8.8.423",
        reason: UNPREDICTABLE,
        scope: Scope::Instance(|i| match i.insn {
            Insn::Simd(Simd::Permute { d, m, .. }) => d == m,
            _ => false,
        }),
    },
    Exemption {
        what: "VLD and VST of registers beyond D31",
        section: "A8.8.320-331, A8.8.404-411",
        reason: UNPREDICTABLE,
        scope: Scope::Instance(|i| {
            let d = i.word >> 18 & 16 | i.word >> 12 & 15;
            i.named(" to V") && i.insn == Insn::Undefined && d > 24
        }),
    },
    Exemption {
        what: "alignment to 32 bytes in VLD and VST",
        section: "A3.2.1",
        reason: "QEMU 7.2 checks for 16 bytes only",
        scope: Scope::Result(|i, ours, _| {
            let strict = matches!(i.insn, Insn::Simd(Simd::Multiple { align: 32, .. }));
            strict && ours.outcome == Outcome::Alignment as u32 && ours.address & 31 == 16
        }),
    },
    Exemption {
        what: "whether STREX faults when the local monitor does not let it store",
        section: "A8.8.212-215, aborts and alignment",
        reason: "IMPLEMENTATION DEFINED",
        scope: Scope::Result(|i, ours, theirs| {
            let faulted = matches!(ours.outcome, 7 | 11);
            matches!(i.insn, Insn::Strex { .. })
                && faulted
                && theirs.outcome == Outcome::Finished as u32
        }),
    },
];

fn writes_back(index: Index) -> bool {
    matches!(index, Index::Pre | Index::Post | Index::PostUnpriv)
}

fn listed(reg: Reg, list: u16) -> bool {
    list >> reg.index() & 1 != 0
}

/// An instruction as the exemptions look at it: the fields of its encoding are there even if it
/// decodes as UNDEFINED.
pub struct Instance {
    row: &'static Row,
    word: u32,
    insn: Insn,
}

impl Instance {
    fn of(insn: &Placed) -> Self {
        Instance {
            row: &rows()[usize::from(insn.decoded.row)],
            word: insn.word,
            insn: insn.decoded.insn,
        }
    }

    /// The value of a field of four bits: most are registers.
    fn reg(&self, letter: char) -> Option<u32> {
        self.field(letter, 4)
    }

    fn field(&self, letter: char, bits: u32) -> Option<u32> {
        let word = if self.row.a32_form {
            a32_form(self.word)
        } else {
            self.word
        };
        self.row
            .fields()
            .find(|field| field.letter == letter && field.bits.count_ones() == bits)
            .map(|field| field.of(word))
    }

    fn pc(&self, letter: char) -> bool {
        self.reg(letter) == Some(15)
    }

    fn named(&self, part: &str) -> bool {
        self.row.name.contains(part)
    }
}

/// The names of the rows of VFP, Advanced SIMD and the coprocessors, which A32 and T32 share.
static SHARED: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    rows()
        .iter()
        .filter(|row| row.a32_form)
        .map(|row| row.name)
        .collect()
});

fn pc_where_it_may_not_be(i: &Instance) -> bool {
    let any = |letters: &str| letters.chars().any(|letter| i.pc(letter));
    if SHARED.contains(i.row.name) {
        let flags = i.named("MRC ");
        return i.pc('t')
            && i.reg('t').is_some()
            && !flags
            && (i.named("core") || i.named("VMSR") || !i.named("V"))
            || i.pc('u') && (i.named("core") || i.named("MCRR") || i.named("MRRC"))
            || i.pc('n')
                && (i.named("VST") || i.named("VLD") || i.named("STC") || i.named("LDC"))
                && (i.insn == Insn::Undefined || i.row.set == Set::T32);
    }
    match i.row.set {
        Set::T16 => match i.row.name {
            "BLX (register) T1" => i.pc('m'),
            "ADD (register) T2" => i.pc('d') && i.pc('m'),
            "CMP (register) T2" => {
                any("nm") || i.reg('n').is_some_and(|n| n < 8) && i.reg('m').is_some_and(|m| m < 8)
            }
            _ => false,
        },
        Set::T32 => {
            let table_branch = i.named("TBB");
            any("daml") && !i.named("Banked")
                || i.named("MULL") && any("h")
                || i.pc('h')
                || i.pc('u')
                || i.pc('v')
                || i.pc('n') && !table_branch
                || i.pc('t') && !i.named("LDR (") && !i.named("POP")
        }
        Set::A32 => {
            let shifted = i.named("register-shifted")
                || [
                    "LSL (register)",
                    "LSR (register)",
                    "ASR (register)",
                    "ROR (register)",
                ]
                .iter()
                .any(|name| i.named(name));
            let transfer = i.reg('t').is_some();
            let data = matches!(i.insn, Insn::DpImm { .. } | Insn::DpReg { .. });
            if shifted {
                any("dnms")
            } else if transfer {
                let word =
                    i.named("LDR (") || i.named("STR (") || i.named("POP") || i.named("PUSH");
                i.pc('t') && !word
                    || i.pc('m')
                    || i.pc('n') && i.insn == Insn::Undefined
                    || any("d")
            } else if i.named("BX A1") || data {
                false
            } else {
                !i.named("Banked") && any("dnmahl")
            }
        }
    }
}

/// The exemption that takes a row out.
pub fn row(row: &Row) -> Option<&'static Exemption> {
    EXEMPTIONS
        .iter()
        .find(|exemption| matches!(exemption.scope, Scope::Row(holds) if holds(row)))
}

/// The exemption that takes an instance out.
pub fn instance(insn: &Placed) -> Option<&'static Exemption> {
    let instance = Instance::of(insn);
    EXEMPTIONS
        .iter()
        .find(|exemption| matches!(exemption.scope, Scope::Instance(holds) if holds(&instance)))
}

/// The exemption that explains a difference.
pub fn result(insn: &Placed, ours: &State, theirs: &State) -> Option<&'static Exemption> {
    let instance = Instance::of(insn);
    EXEMPTIONS.iter().find(
        |exemption| matches!(exemption.scope, Scope::Result(holds) if holds(&instance, ours, theirs)),
    )
}
