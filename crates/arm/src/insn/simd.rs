//! VFP and Advanced SIMD instructions.

/// A VFP or Advanced SIMD instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Simd {}
