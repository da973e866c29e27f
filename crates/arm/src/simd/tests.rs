//! Tests of instructions as a whole.
