//! The register bank's three views. Register numbers are taken modulo 32, which decoded
//! instructions never need.

use crate::fp::{Env, Float, fpscr};
use crate::state::SimdState;

impl SimdState {
    /// S0 to S31.
    #[inline(always)]
    pub fn s(&self, s: u8) -> u32 {
        (self.d[s as usize / 2 % 32] >> (32 * (s & 1))) as u32
    }

    /// Sets S0 to S31.
    #[inline(always)]
    pub fn set_s(&mut self, s: u8, value: u32) {
        let d = &mut self.d[s as usize / 2 % 32];
        let at = 32 * (s & 1);
        *d = *d & !(0xffff_ffff << at) | (value as u64) << at;
    }

    /// D0 to D31.
    #[inline(always)]
    pub fn d(&self, d: u8) -> u64 {
        self.d[d as usize % 32]
    }

    /// Sets D0 to D31.
    #[inline(always)]
    pub fn set_d(&mut self, d: u8, value: u64) {
        self.d[d as usize % 32] = value;
    }

    /// The quadword register of D`d` (low) and D`d + 1` (high); `d` is even.
    #[inline(always)]
    pub fn q(&self, d: u8) -> u128 {
        self.d(d) as u128 | (self.d(d + 1) as u128) << 64
    }

    /// Sets the quadword register of D`d` and D`d + 1`.
    #[inline(always)]
    pub fn set_q(&mut self, d: u8, value: u128) {
        self.set_d(d, value as u64);
        self.set_d(d + 1, (value >> 64) as u64);
    }

    /// Does arithmetic as FPSCR says, and notes its exceptions there.
    #[inline(always)]
    pub(super) fn with_fpscr<T>(&mut self, f: impl FnOnce(&mut Self, &mut Env) -> T) -> T {
        let mut env = Env::from_fpscr(self.fpscr);
        let result = f(self, &mut env);
        self.fpscr |= env.flags;
        result
    }

    /// Does arithmetic as Advanced SIMD does, and notes its exceptions in FPSCR.
    #[inline(always)]
    pub(super) fn with_standard<T>(&mut self, f: impl FnOnce(&mut Self, &mut Env) -> T) -> T {
        let mut env = Env::standard(self.fpscr);
        let result = f(self, &mut env);
        self.fpscr |= env.flags;
        result
    }

    /// Notes a saturation in FPSCR.QC.
    #[inline(always)]
    pub(super) fn with_qc<T>(&mut self, f: impl FnOnce(&mut Self, &mut bool) -> T) -> T {
        let mut qc = false;
        let result = f(self, &mut qc);
        if qc {
            self.fpscr |= fpscr::QC;
        }
        result
    }
}

/// A floating-point format that VFP registers hold.
pub(super) trait Register: Float {
    fn get(simd: &SimdState, number: u8) -> Self;
    fn put(simd: &mut SimdState, number: u8, value: Self);
}

impl Register for u32 {
    #[inline(always)]
    fn get(simd: &SimdState, number: u8) -> Self {
        simd.s(number)
    }
    #[inline(always)]
    fn put(simd: &mut SimdState, number: u8, value: Self) {
        simd.set_s(number, value);
    }
}

impl Register for u64 {
    #[inline(always)]
    fn get(simd: &SimdState, number: u8) -> Self {
        simd.d(number)
    }
    #[inline(always)]
    fn put(simd: &mut SimdState, number: u8, value: Self) {
        simd.set_d(number, value);
    }
}
