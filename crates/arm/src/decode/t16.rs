//! T32 encodings of one halfword (manual A6.2).

use super::table::{Row, row};
use crate::insn::Insn;

/// The rows.
pub(super) const ROWS: &[Row] = &[];
