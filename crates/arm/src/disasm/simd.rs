//! Text of VFP and Advanced SIMD instructions.

use crate::insn::simd::Simd;
use core::fmt;

/// Writes an instruction. `cond` is the condition as a mnemonic's suffix (empty for AL), `pc` the
/// PC as the instruction reads it (for literals).
pub(super) fn fmt(insn: &Simd, _cond: &str, _pc: u32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{insn:?}")
}
