//! Inputs without an engine: a generator of random numbers and a mutator, for runs that take no
//! instrumentation and come out the same everywhere.

/// A generator of pseudo-random numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that always gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next_u64() % end as u64) as usize
    }
}

/// Makes inputs: random ones, and changed copies of those that it was given.
#[derive(Debug)]
pub struct Mutator {
    random: Random,
    seeds: Vec<Vec<u8>>,
    max_len: usize,
}

impl Mutator {
    /// A mutator that makes inputs of up to `max_len` bytes (at least 1).
    pub fn new(seed: u64, seeds: Vec<Vec<u8>>, max_len: usize) -> Self {
        Mutator {
            random: Random::new(seed),
            seeds,
            max_len,
        }
    }

    /// The next input.
    pub fn next_input(&mut self) -> Vec<u8> {
        if self.seeds.is_empty() || self.random.below(4) == 0 {
            let len = self.random.below(self.max_len) + 1;
            return self.bytes(len);
        }
        let mut input = self.seeds[self.random.below(self.seeds.len())].clone();
        for _ in 0..=self.random.below(8) {
            self.change(&mut input);
        }
        input.truncate(self.max_len);
        input
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.random.next_u64() as u8).collect()
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        const LIMITS: [u8; 8] = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, 4];
        let at = self.random.below(input.len().max(1));
        let len = self.random.below(16) + 1;
        match self.random.below(6) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.random.below(8);
                }
            }
            1 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = self.random.next_u64() as u8;
                }
            }
            2 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = LIMITS[self.random.below(LIMITS.len())];
                }
            }
            3 => {
                let new = self.bytes(len);
                input.splice(at.min(input.len())..at.min(input.len()), new);
            }
            4 => {
                input.drain(at.min(input.len())..(at + len).min(input.len()));
            }
            _ => {
                // The rest of another.
                let other = &self.seeds[self.random.below(self.seeds.len())];
                let from = at.min(other.len());
                input.truncate(at);
                input.extend(&other[from..]);
            }
        }
    }
}
