//! Measurements: `cargo xtask bench`.
