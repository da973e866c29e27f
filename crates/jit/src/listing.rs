//! Listings: the host code of a translated block, under the guest instructions that it comes from.

use crate::asm::Gpr;
use crate::context::{Layout, STATE, Shared, TABLES};
use crate::tables;
use crate::thunks::Thunks;
use crate::translate::{Entries, Step, flags};
use iced_x86::{
    Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter, OpKind, Register,
    SymbolResolver, SymbolResult,
};
use skep_arm::disasm::disassemble;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::mem::offset_of;

/// A translated block, to be listed.
#[derive(Clone, Copy)]
pub struct Listing<'a> {
    /// The host code.
    pub code: &'a [u8],
    /// Address of its first byte.
    pub origin: u64,
    /// Its entries and parts.
    pub entries: Entries,
    /// The guest instructions.
    pub steps: &'a [Step],
    /// Offset of each one's code, and of what follows the last.
    pub marks: &'a [usize],
    /// Address of the first guest instruction.
    pub va: u32,
    /// Where generated code finds the state.
    pub layout: Layout,
    /// Addresses of the fixed pieces.
    pub thunks: Thunks,
}

impl Listing<'_> {
    /// The code from an offset on, as text: jumps and variables by name, no addresses of the host.
    /// Each guest instruction is a comment above its code.
    pub fn text(&self, from: usize) -> String {
        let host = self.decode();
        let places = self.names(&host);
        let names = Names {
            places: places.clone(),
            layout: self.layout,
        };
        let mut formatter = IntelFormatter::with_options(Some(Box::new(names)), None);
        let options = formatter.options_mut();
        options.set_hex_prefix("0x");
        options.set_hex_suffix("");
        options.set_uppercase_hex(false);
        options.set_space_after_operand_separator(true);
        options.set_show_branch_size(false);
        let mut guest = self.guest().into_iter().peekable();
        let (mut text, mut line) = (String::new(), String::new());
        for insn in host {
            let at = (insn.ip() - self.origin) as usize;
            let mut comments = String::new();
            while let Some((_, comment)) = guest.next_if(|(offset, _)| *offset <= at) {
                comments += &comment;
            }
            if at < from {
                continue;
            }
            if at == self.entries.cold {
                text += "; aside\n";
            }
            if let Some(name) = places.get(&insn.ip()) {
                let _ = writeln!(text, "{name}:");
            }
            text += &comments;
            line.clear();
            formatter.format(&insn, &mut line);
            let _ = writeln!(text, "    {line}");
        }
        text
    }

    /// Host instructions between two offsets.
    #[cfg(test)]
    pub fn count(&self, from: usize, to: usize) -> usize {
        let host = self.decode().into_iter();
        host.filter(|insn| (from..to).contains(&((insn.ip() - self.origin) as usize)))
            .count()
    }

    fn decode(&self) -> Vec<Instruction> {
        let options = DecoderOptions::NONE;
        let mut decoder = Decoder::with_ip(64, self.code, self.origin, options);
        decoder.iter().collect()
    }

    /// The guest's instructions as comments, and the offsets where they belong.
    fn guest(&self) -> Vec<(usize, String)> {
        let mut pc = self.va;
        let mut lines = Vec::new();
        for (step, mark) in self.steps.iter().zip(self.marks) {
            let insn = &step.decoded;
            lines.push((*mark, format!("; {pc:#010x}: {}\n", disassemble(insn, pc))));
            pc = pc.wrapping_add(u32::from(insn.len));
        }
        let end = self.marks.last().copied().unwrap_or(0);
        if end < self.entries.cold {
            lines.push((end, "; end\n".into()));
        }
        lines
    }

    /// Names of the addresses that jumps lead to.
    fn names(&self, host: &[Instruction]) -> BTreeMap<u64, String> {
        let thunks = [
            (self.thunks.leave, "leave"),
            (self.thunks.link, "link"),
            (self.thunks.indirect, "indirect"),
            (self.thunks.interpret, "interpret"),
            (self.thunks.slow, "slow"),
            (self.thunks.load_across, "load_across"),
            (self.thunks.store_across, "store_across"),
            (self.thunks.unaligned, "unaligned"),
            (self.thunks.find_to_load, "find_to_load"),
            (self.thunks.find_to_store, "find_to_store"),
            (self.origin + self.entries.checked as u64, "checked"),
            (self.origin + self.entries.direct as u64, "direct"),
        ];
        let mut names: BTreeMap<u64, String> =
            thunks.map(|(place, name)| (place, name.into())).into();
        let targets = host.iter().map(Instruction::near_branch_target);
        let targets: BTreeSet<u64> = targets
            .filter(|to| *to != 0 && !names.contains_key(to))
            .collect();
        names.extend(
            targets
                .into_iter()
                .zip(1..)
                .map(|(to, n): (u64, u32)| (to, format!("L{n}"))),
        );
        names
    }
}

/// What addresses and displacements are called.
struct Names {
    places: BTreeMap<u64, String>,
    layout: Layout,
}

impl Names {
    /// The name of what lies at a displacement from [`STATE`], and the displacement where that
    /// begins.
    fn variable(&self, disp: i32) -> (i32, String) {
        let layout = &self.layout;
        let within = |begin: i32, len: usize| {
            usize::try_from(disp.wrapping_sub(begin)).is_ok_and(|offset| offset < len)
        };
        if within(0, 64) {
            return (disp & !3, format!("guest.r{}", disp / 4));
        }
        if within(layout.d, 256) {
            let n = (disp - layout.d) / 8;
            return (layout.d + 8 * n, format!("guest.d{n}"));
        }
        if layout.control.is_some_and(|control| within(control, 4)) {
            return (disp, "inputs".into());
        }
        let registers = [
            (layout.cpsr, "cpsr"),
            (layout.fpscr, "fpscr"),
            (layout.tpidrurw, "tpidrurw"),
            (layout.tpidruro, "tpidruro"),
            (layout.tpidrprw, "tpidrprw"),
            (layout.dacr, "dacr"),
            (layout.ttbr0, "ttbr0"),
            (layout.contextidr, "contextidr"),
            (layout.dfsr, "dfsr"),
            (layout.ifsr, "ifsr"),
            (layout.dfar, "dfar"),
            (layout.ifar, "ifar"),
            (layout.event, "event"),
        ];
        if let Some((begin, name)) = registers.iter().find(|(begin, _)| within(*begin, 4)) {
            return (*begin, format!("guest.{name}"));
        }
        let offset = usize::try_from(disp.wrapping_sub(layout.shared)).unwrap_or(usize::MAX);
        let variable = VARIABLES
            .iter()
            .rev()
            .find(|(begin, _)| offset < size_of::<Shared>() && *begin <= offset);
        match variable {
            Some((begin, name)) => (layout.shared(*begin), (*name).into()),
            None => (0, "state".into()),
        }
    }
}

/// The variables of generated code, in order of their places.
const VARIABLES: [(usize, &str); 28] = [
    (offset_of!(Shared, flags) + flags::V, "v"),
    (offset_of!(Shared, flags) + flags::NOT_C, "not_c"),
    (offset_of!(Shared, flags) + flags::NZ, "nz"),
    (offset_of!(Shared, pc), "pc"),
    (offset_of!(Shared, site), "site"),
    (offset_of!(Shared, strict_alignment), "strict_alignment"),
    (offset_of!(Shared, fp), "fp"),
    (offset_of!(Shared, exclusive_size), "exclusive_size"),
    (offset_of!(Shared, exclusive_host), "exclusive_host"),
    (offset_of!(Shared, exclusive_value), "exclusive_value"),
    (offset_of!(Shared, control), "control"),
    (offset_of!(Shared, tables), "tables"),
    (offset_of!(Shared, instructions), "instructions"),
    (offset_of!(Shared, f64_sign), "f64_sign"),
    (offset_of!(Shared, f32_sign), "f32_sign"),
    (offset_of!(Shared, f32_two_to_32), "f32_two_to_32"),
    (offset_of!(Shared, f64_two_to_32), "f64_two_to_32"),
    (offset_of!(Shared, f64_largest_u32), "f64_largest_u32"),
    (offset_of!(Shared, f32_magnitude), "f32_magnitude"),
    (offset_of!(Shared, f32_subnormal), "f32_subnormal"),
    (offset_of!(Shared, f32_smallest), "f32_smallest"),
    (offset_of!(Shared, f64_magnitude), "f64_magnitude"),
    (offset_of!(Shared, f64_smallest), "f64_smallest"),
    (offset_of!(Shared, ones), "ones"),
    (offset_of!(Shared, byte_tables), "byte_tables"),
    (offset_of!(Shared, recip_estimates), "recip_estimates"),
    (offset_of!(Shared, rsqrt_estimates), "rsqrt_estimates"),
    (offset_of!(Shared, jumps), "jumps"),
];

/// Whether a register is the general-purpose one: both count them as encodings do.
fn is(register: Register, gpr: Gpr) -> bool {
    register as usize == Register::RAX as usize + gpr as usize
}

impl SymbolResolver for Names {
    fn symbol(
        &mut self,
        insn: &Instruction,
        _operand: u32,
        operand: Option<u32>,
        address: u64,
        _size: u32,
    ) -> Option<SymbolResult<'_>> {
        match insn.try_op_kind(operand?).ok()? {
            OpKind::NearBranch64 => {
                let name = self.places.get(&address)?;
                Some(SymbolResult::with_str(address, name))
            }
            OpKind::Memory if is(insn.memory_base(), STATE) => {
                let (begin, name) = self.variable(address as i32);
                let begin = i64::from(begin) as u64;
                Some(SymbolResult::with_string(begin, name))
            }
            OpKind::Memory if is(insn.memory_base(), TABLES) => {
                let names = [
                    (tables::WINDOW, "window"),
                    (tables::UNALIGNED, "unaligned"),
                    (tables::EXECUTE, "execute"),
                    (tables::WRITE, "write"),
                    (tables::READ, "read"),
                ];
                // Only in the window may an offset be negative.
                let (begin, name) = names.into_iter().find(|(begin, _)| {
                    let below = if *begin == tables::WINDOW { 0x1000 } else { 0 };
                    begin - below <= address as i32
                })?;
                Some(SymbolResult::with_str(begin as u64, name))
            }
            // Where the block is linked from depends on where it lies.
            _ if insn.memory_displacement64() as i32
                == self.layout.shared(offset_of!(Shared, site)) =>
            {
                Some(SymbolResult::with_str(address, "jump"))
            }
            _ => None,
        }
    }
}
