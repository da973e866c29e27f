//! Reads an input as numbers and choices.
//!
//! Fields have fixed sizes, so that a changed byte of the input changes one decision, which is what
//! a mutating fuzzer needs.

/// What is left of an input. At its end everything reads as zero.
#[derive(Clone)]
pub struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Input { bytes }
    }

    /// Everything has been read.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next bytes; fewer at the end.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(len.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    pub fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub fn bool(&mut self) -> bool {
        self.u8() & 1 != 0
    }

    /// A number below `end`, which is 1 to 256, of one byte.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.u8()) % end
    }

    /// One of some things, 256 at most, of one byte.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// The size of an access.
    pub fn size(&mut self) -> u8 {
        self.pick(&[4, 4, 4, 4, 1, 2, 8, 4])
    }

    /// A number as they come up at limits: small, a power of two or next to one, or any.
    pub fn number(&mut self) -> u64 {
        let kind = self.u8();
        let power = 1u64 << (kind & 63);
        match kind >> 6 {
            0 => u64::from(self.u8()),
            1 => power,
            2 => power.wrapping_sub(1),
            _ => self.u64(),
        }
    }
}
