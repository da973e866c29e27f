//! Encodings of VFP and Advanced SIMD (manual A7.4 to A7.9), in their A32 form: the T32 rows are
//! derived from them.

use super::table::Row;

/// The rows. `cccc` encodings are those of coprocessors 10 and 11, `1111` ones Advanced SIMD.
pub(super) const ROWS: &[Row] = &[
    // row!("VADD (floating-point) A2", "cccc 11100D11 nnnn dddd 101s N0M0 mmmm", |D, n, d, s, N, M| …),
];
