//! T32 encodings of two halfwords (manual A6.3), but for VFP and Advanced SIMD.

use super::table::{Row, row};
use crate::insn::Insn;

/// The rows.
pub(super) const ROWS: &[Row] = &[];
