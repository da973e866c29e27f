//! A32 encodings (manual chapter A5), but for VFP and Advanced SIMD.

use super::table::{Row, row};
use crate::insn::Insn;

/// The rows.
pub(super) const ROWS: &[Row] = &[];
