//! Text of VFP and Advanced SIMD instructions.

use super::when;
use crate::insn::Reg;
use crate::insn::simd::{
    FloatUnary, ImmOp, IntOp, LongOp, NarrowOp, ShiftOp, Simd, UnaryOp, Wback, simd_expand_imm,
    vfp_expand_imm,
};
use core::fmt::{self, Display, Write};

/// The mnemonic of an operation: the variant's name up to a second capital (`VcgtZero`: `vcgt`).
struct Name<T>(T);

impl<T: fmt::Debug> Display for Name<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Lower<'a, 'b>(&'a mut fmt::Formatter<'b>, usize);
        impl Write for Lower<'_, '_> {
            fn write_str(&mut self, s: &str) -> fmt::Result {
                for c in s.chars() {
                    self.1 += usize::from(c.is_ascii_uppercase());
                    if self.1 < 2 {
                        self.0.write_char(c.to_ascii_lowercase())?;
                    }
                }
                Ok(())
            }
        }
        write!(Lower(f, 0), "{:?}", self.0)
    }
}

/// An element's type, as a suffix: a letter, if any, and the base-2 logarithm of the bytes.
struct Type(&'static str, u8);

impl Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ".{}{}", self.0, 8u32 << self.1)
    }
}

/// S or D registers of VFP.
struct Vfp(bool, u8);

impl Display for Vfp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.0 { 'd' } else { 's' }, self.1)
    }
}

/// D registers, or Q registers given as the first of two D registers.
struct Vector(bool, u8);

impl Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 {
            write!(f, "q{}", self.1 / 2)
        } else {
            write!(f, "d{}", self.1)
        }
    }
}

/// A D register.
fn d(n: u8) -> Vector {
    Vector(false, n)
}

/// A Q register.
fn q(n: u8) -> Vector {
    Vector(true, n)
}

/// `{d0-d3}` or `{s0}`: `count` registers.
struct Range(bool, u8, u8);

impl Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range(double, first, count) = *self;
        if count == 1 {
            write!(f, "{{{}}}", Vfp(double, first))
        } else {
            let last = first.wrapping_add(count).wrapping_sub(1);
            write!(f, "{{{}-{}}}", Vfp(double, first), Vfp(double, last))
        }
    }
}

/// The registers of a structure, each with the text of a lane: `{d0[1], d2[1]}`.
struct Structure<T>(u8, u8, u8, T);

impl<T: Display> Display for Structure<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Structure(first, count, spacing, lane) = self;
        for i in 0..*count {
            let n = first.wrapping_add(i.wrapping_mul(*spacing));
            write!(f, "{}d{n}{lane}", if i == 0 { "{" } else { ", " })?;
        }
        f.write_str("}")
    }
}

/// `[r0 :64]!`: the base of a structure access, its alignment in bits, and the writeback.
struct Base(Reg, u8, Wback);

impl Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Base(rn, align, wback) = *self;
        if align > 1 {
            write!(f, "[{rn} :{}]", u32::from(align) * 8)?;
        } else {
            write!(f, "[{rn}]")?;
        }
        match wback {
            Wback::None => Ok(()),
            Wback::Size => f.write_str("!"),
            Wback::Reg(rm) => write!(f, ", {rm}"),
        }
    }
}

fn load_store(load: bool) -> &'static str {
    if load { "ld" } else { "st" }
}

/// `s` or `u`.
fn sign(unsigned: bool) -> &'static str {
    if unsigned { "u" } else { "s" }
}

/// `f32` or `f64`.
fn float(double: bool) -> &'static str {
    if double { "f64" } else { "f32" }
}

/// The letter of the type of a three-register operation; None for no type at all.
fn int_letter(op: IntOp, unsigned: bool) -> Option<&'static str> {
    use IntOp::*;
    Some(match op {
        Vand | Vbic | Vorr | Vorn | Veor | Vbsl | Vbit | Vbif => return None,
        Vadd | Vsub | Vmul | Vmla | Vmls | Vceq | Vpadd => "i",
        VmulP => "p",
        Vtst => "",
        _ => sign(unsigned),
    })
}

/// The letter of the type of a two-register operation; None for no type at all.
fn unary_letter(op: UnaryOp, unsigned: bool) -> Option<&'static str> {
    use UnaryOp::*;
    Some(match op {
        Vmvn => return None,
        Vrev16 | Vrev32 | Vrev64 | Vcnt => "",
        Vclz | VceqZero => "i",
        _ => sign(unsigned),
    })
}

/// A comparison's second operand.
fn zero(op: UnaryOp) -> &'static str {
    use UnaryOp::*;
    when(
        matches!(op, VcgtZero | VcgeZero | VceqZero | VcleZero | VcltZero),
        ", #0",
    )
}

fn float_zero(op: FloatUnary) -> &'static str {
    use FloatUnary::*;
    when(
        matches!(op, VcgtZero | VcgeZero | VceqZero | VcleZero | VcltZero),
        ", #0",
    )
}

/// The system register of VMRS and VMSR.
fn system(reg: u8) -> &'static str {
    match reg {
        0 => "fpsid",
        1 => "fpscr",
        6 => "mvfr1",
        7 => "mvfr0",
        8 => "fpexc",
        _ => "<reserved>",
    }
}

/// Writes an instruction. `c` is the condition as a mnemonic's suffix (empty for AL), `pc` the
/// PC as the instruction reads it (for literals).
pub(super) fn fmt(insn: &Simd, c: &str, pc: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use Simd::*;
    match *insn {
        Vldr { .. } | Vstr { .. } | Vldm { .. } | Vstm { .. } => memory(insn, c, pc, f),
        Multiple { .. } | Lane { .. } | AllLanes { .. } => structure(insn, c, f),
        VmovCoreSingle { .. }
        | VmovCoreSinglePair { .. }
        | VmovCoreDouble { .. }
        | VmovToScalar { .. }
        | VmovFromScalar { .. }
        | VdupCore { .. }
        | Vmrs { .. }
        | Vmsr { .. } => transfer(insn, c, f),
        Vfp { .. }
        | VfpUnary { .. }
        | VfpImm { .. }
        | Vcmp { .. }
        | VcvtHalf { .. }
        | VcvtPrecision { .. }
        | VcvtFromInt { .. }
        | VcvtToInt { .. }
        | VcvtFixed { .. } => vfp(insn, c, f),
        _ => vector(insn, c, f),
    }
}

/// VLDR, VLDM and the stores.
fn memory(insn: &Simd, c: &str, pc: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match *insn {
        Simd::Vldr {
            double,
            d,
            rn,
            offset,
        }
        | Simd::Vstr {
            double,
            d,
            rn,
            offset,
        } => {
            let name = if matches!(insn, Simd::Vldr { .. }) {
                "vldr"
            } else {
                "vstr"
            };
            write!(f, "{name}{c} {}, [{rn}", Vfp(double, d))?;
            if offset != 0 {
                write!(f, ", #{offset}")?;
            }
            f.write_str("]")?;
            if rn.is_pc() {
                let address = (pc & !3).wrapping_add_signed(i32::from(offset));
                write!(f, " ; {address:#x}")?;
            }
            Ok(())
        }
        Simd::Vldm {
            double,
            d,
            count,
            bytes,
            rn,
            increment,
            wback,
        }
        | Simd::Vstm {
            double,
            d,
            count,
            bytes,
            rn,
            increment,
            wback,
        } => {
            let load = matches!(insn, Simd::Vldm { .. });
            let range = Range(double, d, count);
            // FLDMX, FSTMX: an odd number of words.
            let x = double && bytes & 4 != 0;
            if !x && wback && rn == Reg::SP && load == increment {
                return write!(f, "v{}{c} {range}", if load { "pop" } else { "push" });
            }
            let way = if increment { "ia" } else { "db" };
            let (prefix, x) = if x { ("f", "x") } else { ("v", "") };
            let (name, bang) = (load_store(load), when(wback, "!"));
            write!(f, "{prefix}{name}m{way}{x}{c} {rn}{bang}, {range}")
        }
        _ => Ok(()),
    }
}

/// VLD1 to VLD4 and the stores.
fn structure(insn: &Simd, c: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match *insn {
        Simd::Multiple {
            load,
            size,
            interleave,
            regs,
            spacing,
            d,
            align,
            rn,
            wback,
        } => {
            let (name, base) = (load_store(load), Base(rn, align, wback));
            let size = Type("", size);
            write!(f, "v{name}{interleave}{c}{size} ")?;
            // Two structures of two, or registers side by side: a range.
            if regs > 1 || spacing == 1 {
                let count = regs.wrapping_mul(interleave);
                write!(f, "{}, {base}", Range(true, d, count))
            } else {
                write!(f, "{}, {base}", Structure(d, interleave, spacing, ""))
            }
        }
        Simd::Lane {
            load,
            size,
            interleave,
            spacing,
            index,
            d,
            align,
            rn,
            wback,
        } => {
            let (name, base) = (load_store(load), Base(rn, align, wback));
            let list = Structure(d, interleave, spacing, format_args!("[{index}]"));
            write!(f, "v{name}{interleave}{c}{} {list}, {base}", Type("", size))
        }
        Simd::AllLanes {
            size,
            interleave,
            regs,
            spacing,
            d,
            align,
            rn,
            wback,
        } => {
            let list = Structure(d, interleave.max(regs), spacing, "[]");
            let (size, base) = (Type("", size), Base(rn, align, wback));
            write!(f, "vld{interleave}{c}{size} {list}, {base}")
        }
        _ => Ok(()),
    }
}

/// Transfers between the core and extension registers.
fn transfer(insn: &Simd, c: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match *insn {
        Simd::VmovCoreSingle {
            to_core: true,
            s,
            rt,
        } => write!(f, "vmov{c} {rt}, s{s}"),
        Simd::VmovCoreSingle { s, rt, .. } => write!(f, "vmov{c} s{s}, {rt}"),
        Simd::VmovCoreSinglePair {
            to_core,
            s,
            rt,
            rt2,
        } => {
            let s2 = s.wrapping_add(1);
            if to_core {
                write!(f, "vmov{c} {rt}, {rt2}, s{s}, s{s2}")
            } else {
                write!(f, "vmov{c} s{s}, s{s2}, {rt}, {rt2}")
            }
        }
        Simd::VmovCoreDouble {
            to_core: true,
            d,
            rt,
            rt2,
        } => write!(f, "vmov{c} {rt}, {rt2}, d{d}"),
        Simd::VmovCoreDouble { d, rt, rt2, .. } => write!(f, "vmov{c} d{d}, {rt}, {rt2}"),
        Simd::VmovToScalar { size, d, index, rt } => {
            write!(f, "vmov{c}{} d{d}[{index}], {rt}", Type("", size))
        }
        Simd::VmovFromScalar {
            size,
            unsigned,
            d,
            index,
            rt,
        } => {
            let letter = if size == 2 { "" } else { sign(unsigned) };
            write!(f, "vmov{c}{} {rt}, d{d}[{index}]", Type(letter, size))
        }
        Simd::VdupCore { q, size, d, rt } => {
            write!(f, "vdup{c}{} {}, {rt}", Type("", size), Vector(q, d))
        }
        Simd::Vmrs { reg: 1, rt } if rt.is_pc() => write!(f, "vmrs{c} APSR_nzcv, fpscr"),
        Simd::Vmrs { reg, rt } => write!(f, "vmrs{c} {rt}, {}", system(reg)),
        Simd::Vmsr { reg, rt } => write!(f, "vmsr{c} {}, {rt}", system(reg)),
        _ => Ok(()),
    }
}

/// VFP data processing.
fn vfp(insn: &Simd, c: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match *insn {
        Simd::Vfp {
            op,
            double,
            d,
            n,
            m,
        } => {
            let [d, n, m] = [d, n, m].map(|x| Vfp(double, x));
            write!(f, "{}{c}.{} {d}, {n}, {m}", Name(op), float(double))
        }
        Simd::VfpUnary { op, double, d, m } => {
            let [d, m] = [d, m].map(|x| Vfp(double, x));
            write!(f, "{}{c}.{} {d}, {m}", Name(op), float(double))
        }
        Simd::VfpImm { double, d, imm } => {
            // The same number in both precisions.
            let value = f32::from_bits(vfp_expand_imm(imm, false) as u32);
            let d = Vfp(double, d);
            write!(f, "vmov{c}.{} {d}, #{value:?}", float(double))
        }
        Simd::Vcmp {
            signal,
            double,
            d,
            m,
        } => {
            let (e, d) = (when(signal, "e"), Vfp(double, d));
            write!(f, "vcmp{e}{c}.{} {d}, ", float(double))?;
            match m {
                Some(m) => write!(f, "{}", Vfp(double, m)),
                None => f.write_str("#0.0"),
            }
        }
        Simd::VcvtHalf { to_half, top, d, m } => {
            let half = if top { 't' } else { 'b' };
            let types = if to_half { "f16.f32" } else { "f32.f16" };
            write!(f, "vcvt{half}{c}.{types} s{d}, s{m}")
        }
        Simd::VcvtPrecision {
            to_double: true,
            d,
            m,
        } => write!(f, "vcvt{c}.f64.f32 d{d}, s{m}"),
        Simd::VcvtPrecision { d, m, .. } => write!(f, "vcvt{c}.f32.f64 s{d}, d{m}"),
        Simd::VcvtFromInt {
            double,
            unsigned,
            d,
            m,
        } => {
            let (to, from) = (float(double), sign(unsigned));
            write!(f, "vcvt{c}.{to}.{from}32 {}, s{m}", Vfp(double, d))
        }
        Simd::VcvtToInt {
            double,
            unsigned,
            round,
            d,
            m,
        } => {
            let (to, from, r) = (sign(unsigned), float(double), when(round, "r"));
            write!(f, "vcvt{r}{c}.{to}32.{from} s{d}, {}", Vfp(double, m))
        }
        Simd::VcvtFixed {
            double,
            to_fixed,
            unsigned,
            word,
            fraction,
            d,
        } => {
            let fixed = Type(sign(unsigned), 1 + u8::from(word));
            let (float, d) = (float(double), Vfp(double, d));
            if to_fixed {
                write!(f, "vcvt{c}{fixed}.{float} {d}, {d}, #{fraction}")
            } else {
                write!(f, "vcvt{c}.{float}{fixed} {d}, {d}, #{fraction}")
            }
        }
        _ => Ok(()),
    }
}

/// Advanced SIMD data processing.
fn vector(insn: &Simd, c: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match *insn {
        Simd::Int {
            op,
            q,
            unsigned,
            size,
            d,
            n,
            m,
        } => {
            let [d, n, m] = [d, n, m].map(|x| Vector(q, x));
            write!(f, "{}{c}", Name(op))?;
            if let Some(letter) = int_letter(op, unsigned) {
                write!(f, "{}", Type(letter, size))?;
            }
            match op {
                // The amounts come last.
                IntOp::Vshl | IntOp::Vrshl | IntOp::Vqshl | IntOp::Vqrshl => {
                    write!(f, " {d}, {m}, {n}")
                }
                _ => write!(f, " {d}, {n}, {m}"),
            }
        }
        Simd::Float { op, q, d, n, m } => {
            let [d, n, m] = [d, n, m].map(|x| Vector(q, x));
            write!(f, "{}{c}.f32 {d}, {n}, {m}", Name(op))
        }
        Simd::Long {
            op,
            unsigned,
            size,
            d,
            n,
            m,
        } => {
            let wide = matches!(op, LongOp::Vaddw | LongOp::Vsubw);
            let kind = Type(long_letter(op, unsigned), size);
            let (d, n, m) = (Vector(true, d), Vector(wide, n), Vector(false, m));
            write!(f, "{}{c}{kind} {d}, {n}, {m}", Name(op))
        }
        Simd::HighNarrow {
            subtract,
            round,
            size,
            d,
            n,
            m,
        } => {
            let (r, name) = (when(round, "r"), if subtract { "sub" } else { "add" });
            let kind = Type("i", size.wrapping_add(1));
            write!(f, "v{r}{name}hn{c}{kind} d{d}, {}, {}", q(n), q(m))
        }
        Simd::IntScalar {
            op,
            q,
            size,
            d,
            n,
            m,
            index,
        } => {
            let [d, n] = [d, n].map(|x| Vector(q, x));
            let kind = Type(int_letter(op, false).unwrap_or(""), size);
            write!(f, "{}{c}{kind} {d}, {n}, d{m}[{index}]", Name(op))
        }
        Simd::FloatScalar {
            op,
            q,
            d,
            n,
            m,
            index,
        } => {
            let [d, n] = [d, n].map(|x| Vector(q, x));
            write!(f, "{}{c}.f32 {d}, {n}, d{m}[{index}]", Name(op))
        }
        Simd::LongScalar {
            op,
            unsigned,
            size,
            d,
            n,
            m,
            index,
        } => {
            let kind = Type(long_letter(op, unsigned), size);
            write!(f, "{}{c}{kind} {}, d{n}, d{m}[{index}]", Name(op), q(d))
        }
        Simd::Unary {
            op,
            q,
            unsigned,
            size,
            d,
            m,
        } => {
            write!(f, "{}{c}", Name(op))?;
            if let Some(letter) = unary_letter(op, unsigned) {
                write!(f, "{}", Type(letter, size))?;
            }
            write!(f, " {}, {}{}", Vector(q, d), Vector(q, m), zero(op))
        }
        Simd::FloatUnary { op, q, d, m } => {
            let [d, m] = [d, m].map(|x| Vector(q, x));
            write!(f, "{}{c}.f32 {d}, {m}{}", Name(op), float_zero(op))
        }
        Simd::Permute { op, q, size, d, m } => {
            let [d, m] = [d, m].map(|x| Vector(q, x));
            write!(f, "{}{c}", Name(op))?;
            if op != crate::insn::simd::PermuteOp::Vswp {
                write!(f, "{}", Type("", size))?;
            }
            write!(f, " {d}, {m}")
        }
        Simd::Vext { q, d, n, m, index } => {
            let [d, n, m] = [d, n, m].map(|x| Vector(q, x));
            write!(f, "vext{c}.8 {d}, {n}, {m}, #{index}")
        }
        Simd::Vtbl {
            extend,
            len,
            d,
            n,
            m,
        } => {
            let (x, list) = (if extend { 'x' } else { 'l' }, Range(true, n, len));
            write!(f, "vtb{x}{c}.8 d{d}, {list}, d{m}")
        }
        Simd::VdupScalar {
            q,
            size,
            d,
            m,
            index,
        } => {
            let (kind, d) = (Type("", size), Vector(q, d));
            write!(f, "vdup{c}{kind} {d}, d{m}[{index}]")
        }
        _ => immediate(insn, c, f),
    }
}

fn long_letter(op: LongOp, unsigned: bool) -> &'static str {
    if op == LongOp::VmullP {
        "p"
    } else {
        sign(unsigned)
    }
}

/// Advanced SIMD data processing with an immediate, narrowing, and conversions.
fn immediate(insn: &Simd, c: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match *insn {
        Simd::Shift {
            op,
            q,
            unsigned,
            size,
            amount,
            d,
            m,
        } => {
            let letter = match op {
                ShiftOp::Vshl => "i",
                ShiftOp::Vsli | ShiftOp::Vsri => "",
                _ => sign(unsigned),
            };
            let ([d, m], kind) = ([d, m].map(|x| Vector(q, x)), Type(letter, size));
            write!(f, "{}{c}{kind} {d}, {m}, #{amount}", Name(op))
        }
        Simd::Narrow {
            op,
            unsigned,
            round,
            size,
            amount,
            d,
            m,
        } => {
            let (saturate, letter, u) = match op {
                NarrowOp::Truncate => ("", "i", ""),
                NarrowOp::Saturate => ("q", sign(unsigned), ""),
                NarrowOp::SaturateUnsigned => ("q", "s", "u"),
            };
            let (r, name) = (when(round, "r"), if amount == 0 { "mov" } else { "shr" });
            let (kind, m) = (Type(letter, size.wrapping_add(1)), q(m));
            write!(f, "v{saturate}{r}{name}{u}n{c}{kind} d{d}, {m}")?;
            if amount != 0 {
                write!(f, ", #{amount}")?;
            }
            Ok(())
        }
        Simd::ShiftLong {
            unsigned,
            size,
            amount,
            d,
            m,
        } => {
            let d = q(d);
            if amount == 0 {
                return write!(f, "vmovl{c}{} {d}, d{m}", Type(sign(unsigned), size));
            }
            let full = u32::from(amount) == 8 << size;
            let letter = if full { "i" } else { sign(unsigned) };
            write!(f, "vshll{c}{} {d}, d{m}, #{amount}", Type(letter, size))
        }
        Simd::Cvt {
            to_fixed,
            q,
            unsigned,
            fraction,
            d,
            m,
        } => {
            let ([d, m], fixed) = ([d, m].map(|x| Vector(q, x)), sign(unsigned));
            if to_fixed {
                write!(f, "vcvt{c}.{fixed}32.f32 {d}, {m}")?;
            } else {
                write!(f, "vcvt{c}.f32.{fixed}32 {d}, {m}")?;
            }
            if fraction != 0 {
                write!(f, ", #{fraction}")?;
            }
            Ok(())
        }
        Simd::CvtHalf {
            to_half: true,
            d: dest,
            m,
        } => write!(f, "vcvt{c}.f16.f32 {}, {}", d(dest), q(m)),
        Simd::CvtHalf { d: dest, m, .. } => {
            write!(f, "vcvt{c}.f32.f16 {}, {}", q(dest), d(m))
        }
        Simd::Imm {
            op,
            q,
            cmode,
            op_bit,
            imm,
            d,
        } => modified(op, Vector(q, d), cmode, op_bit, imm, c, f),
        _ => Ok(()),
    }
}

/// A modified immediate, with the type that its `cmode` tells.
fn modified(
    op: ImmOp,
    d: Vector,
    cmode: u8,
    op_bit: bool,
    imm: u8,
    c: &str,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let value = simd_expand_imm(op_bit, cmode, imm);
    write!(f, "{}{c}", Name(op))?;
    match cmode {
        14 if op_bit => write!(f, ".i64 {d}, #{value:#018x}"),
        14 => write!(f, ".i8 {d}, #{}", value as u8),
        15 => write!(f, ".f32 {d}, #{:?}", f32::from_bits(value as u32)),
        8..=11 => write!(f, ".i16 {d}, #{}", value as u16),
        _ => write!(f, ".i32 {d}, #{}", value as u32),
    }
}
