//! Floating-point arithmetic of VFPv4 and Advanced SIMD, bit-exact, in integer arithmetic.
