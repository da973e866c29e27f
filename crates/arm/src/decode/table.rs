//! What an encoding table is made of: rows written as the manual's bit diagrams, and the index
//! that finds a word's row.
//!
//! Everything here is computed at compile time: a malformed pattern does not compile.

use crate::insn::Insn;

/// The instruction set, and the size, of a row's encodings.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Set {
    /// A32: a word.
    A32,
    /// T32, one halfword.
    T16,
    /// T32, two halfwords: the first is in bits 31:16 of the word.
    T32,
}

/// One encoding of the manual.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The manual's name of the instruction and of the encoding, such as `ADD (immediate) A1`.
    pub name: &'static str,
    /// The instruction set.
    pub set: Set,
    /// The bit diagram from the most significant bit: `0` and `1` are fixed, `(0)` and `(1)`
    /// should be so but are not looked at, a letter is a bit of the field with that name. Blanks
    /// mean nothing. `cccc` is always the condition.
    ///
    /// When `a32_form` is set, this is the diagram of the A32 encoding.
    pub pattern: &'static str,
    /// The bits that are fixed.
    pub mask: u32,
    /// The values of the fixed bits.
    pub value: u32,
    /// The bits that should have a certain value, and are ignored.
    pub should_mask: u32,
    /// The values that those bits should have.
    pub should_value: u32,
    /// A T32 row of VFP or Advanced SIMD, whose fields are those of the A32 encoding: see
    /// [`a32_form`].
    pub a32_form: bool,
    /// The position of `cccc`, or [`Row::NO_COND`].
    pub(super) cond_shift: u8,
    /// Makes the instruction from a word that matches. [`Insn::Undefined`] when the fields have
    /// values that the manual (or a choice for UNPREDICTABLE) makes so.
    pub(super) build: fn(u32) -> Insn,
}

/// What makes the instruction of a word that matches a row.
#[derive(Clone, Copy)]
pub(super) struct Maker {
    /// [`Row::build`].
    pub build: fn(u32) -> Insn,
    /// The row's number.
    pub row: u16,
    /// [`Row::cond_shift`].
    pub cond_shift: u8,
    /// [`Row::a32_form`].
    pub a32_form: bool,
}

/// A field of a pattern: where its bits are. Bits that are not side by side are put together in
/// the order of the diagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// The letter in the pattern.
    pub letter: char,
    /// The bits of the word that belong to it.
    pub bits: u32,
    /// Runs of adjacent bits, most significant first: how far right to shift, and how many.
    runs: [(u8, u8); Field::RUNS],
}

impl Field {
    const RUNS: usize = 4;

    /// The field with a letter. Compile-time failure when there is none.
    pub(crate) const fn find(pattern: &str, letter: &str) -> Field {
        let letter = letter.as_bytes();
        assert!(letter.len() == 1, "a field's name is one letter");
        let field = Field::scan(pattern, letter[0]);
        assert!(field.bits != 0, "the pattern has no such field");
        field
    }

    const fn scan(pattern: &str, letter: u8) -> Field {
        let text = pattern.as_bytes();
        let mut field = Field {
            letter: letter as char,
            bits: 0,
            runs: [(0, 0); Field::RUNS],
        };
        let mut bit = pattern_len(pattern);
        let (mut i, mut runs, mut inside) = (0, 0, false);
        while i < text.len() {
            match text[i] {
                b' ' => {}
                b'(' => {
                    i += 2;
                    bit -= 1;
                    inside = false;
                }
                b => {
                    bit -= 1;
                    if b == letter {
                        if !inside {
                            runs += 1;
                        }
                        inside = true;
                        assert!(runs <= Field::RUNS, "the field has too many parts");
                        field.runs[runs - 1] = (bit as u8, field.runs[runs - 1].1 + 1);
                        field.bits |= 1 << bit;
                    } else {
                        inside = false;
                    }
                }
            }
            i += 1;
        }
        field
    }

    /// The field's value in a word.
    #[inline(always)]
    pub const fn of(self, word: u32) -> u32 {
        // Without a loop: what is constant here is a shift and a mask, however the compiler optimises.
        let [a, b, c, d] = self.runs;
        take(take(take(take(0, word, a), word, b), word, c), word, d)
    }
}

/// Puts a run of a word's bits behind a value.
#[inline(always)]
const fn take(value: u32, word: u32, (shift, len): (u8, u8)) -> u32 {
    value << len | (word >> shift & ((1u64 << len) - 1) as u32)
}

/// How many bits a pattern describes.
const fn pattern_len(pattern: &str) -> u32 {
    let text = pattern.as_bytes();
    let (mut i, mut bits) = (0, 0);
    while i < text.len() {
        if text[i] == b'(' {
            i += 2;
            bits += 1;
        } else if text[i] != b' ' {
            bits += 1;
        }
        i += 1;
    }
    bits
}

impl Row {
    /// `cond_shift` of a row without a condition field.
    pub(super) const NO_COND: u8 = 32;

    /// A row; the table it is put into sets its instruction set. Use the `row!` macro.
    pub(crate) const fn new(
        name: &'static str,
        pattern: &'static str,
        build: fn(u32) -> Insn,
    ) -> Row {
        let text = pattern.as_bytes();
        let (mut mask, mut value, mut should_mask, mut should_value) = (0u32, 0, 0, 0);
        let len = pattern_len(pattern);
        assert!(len == 16 || len == 32, "a pattern has 16 or 32 bits");
        let (mut i, mut bit) = (0, len);
        while i < text.len() {
            match text[i] {
                b' ' => {}
                b'(' => {
                    bit -= 1;
                    should_mask |= 1 << bit;
                    assert!(text[i + 2] == b')');
                    match text[i + 1] {
                        b'0' => {}
                        b'1' => should_value |= 1 << bit,
                        _ => panic!("(0) or (1)"),
                    }
                    i += 2;
                }
                b => {
                    bit -= 1;
                    match b {
                        b'0' => mask |= 1 << bit,
                        b'1' => {
                            mask |= 1 << bit;
                            value |= 1 << bit;
                        }
                        b'a'..=b'z' | b'A'..=b'Z' => {}
                        _ => panic!("0, 1, (0), (1) or a letter"),
                    }
                }
            }
            i += 1;
        }
        let cond = Field::scan(pattern, b'c');
        let cond_shift = if cond.bits == 0 {
            Row::NO_COND
        } else {
            assert!(cond.runs[0].1 == 4, "c is the condition");
            cond.runs[0].0
        };
        Row {
            name,
            set: if len == 16 { Set::T16 } else { Set::A32 },
            pattern,
            mask,
            value,
            should_mask,
            should_value,
            a32_form: false,
            cond_shift,
            build,
        }
    }

    /// What makes its instructions; `row` is its number.
    #[inline(always)]
    pub(super) const fn maker(&self, row: u16) -> Maker {
        Maker {
            build: self.build,
            row,
            cond_shift: self.cond_shift,
            a32_form: self.a32_form,
        }
    }

    /// Whether a word has this row's fixed bits. (An earlier row may still take the word.)
    #[inline(always)]
    pub const fn matches(&self, word: u32) -> bool {
        word & self.mask == self.value
    }

    /// A word of this row: its fixed and should-be bits, and `bits` for its fields. A condition of
    /// 0b1111 is replaced by 0b1110.
    pub const fn word(&self, bits: u32) -> u32 {
        let ignored = self.mask | self.should_mask;
        let word = bits & !ignored | self.value | self.should_value;
        if self.cond_shift != Row::NO_COND && word >> self.cond_shift & 15 == 15 {
            return word & !(1 << self.cond_shift);
        }
        if matches!(self.set, Set::T16) {
            word & 0xffff
        } else {
            word
        }
    }

    /// The fields of the pattern, from the left.
    pub fn fields(&self) -> impl Iterator<Item = Field> + use<> {
        let pattern = self.pattern;
        let letters = pattern.bytes().enumerate().filter(move |&(at, b)| {
            b.is_ascii_alphabetic() && !pattern.as_bytes().iter().take(at).any(|&x| x == b)
        });
        letters.map(move |(_, b)| Field::scan(pattern, b))
    }

    /// The T32 row of a VFP or Advanced SIMD encoding (manual A6.3.18, A7.4 to A7.9).
    const fn t32_of_simd(self) -> Row {
        let mut row = self;
        row.a32_form = true;
        row.cond_shift = Row::NO_COND;
        let (mask, value) = if self.mask >> 28 == 0 {
            // cccc -> 1110
            (self.mask | 0xf000_0000, self.value | 0xe000_0000)
        } else if self.value >> 25 == 0b111_1001 {
            // 1111 001U -> 111U 1111
            let u = 1 << 24;
            (
                self.mask & 0x00ff_ffff | 0xef00_0000 | (self.mask & u) << 4,
                self.value & 0x00ff_ffff | 0xef00_0000 | (self.value & u) << 4,
            )
        } else if self.value >> 24 == 0b1111_0100 {
            (self.mask, self.value & 0x00ff_ffff | 0xf900_0000)
        } else {
            // 1111 110x, 1111 1110: the same in both.
            (self.mask, self.value)
        };
        row.mask = mask;
        row.value = value;
        row
    }
}

/// The A32 encoding of the VFP or Advanced SIMD instruction with a T32 encoding.
#[inline]
pub const fn a32_form(t32: u32) -> u32 {
    if t32 >> 24 & 0b1110_1111 == 0b1110_1111 {
        t32 & 0x00ff_ffff | 0xf200_0000 | (t32 >> 28 & 1) << 24
    } else if t32 >> 24 == 0b1111_1001 {
        t32 & 0x00ff_ffff | 0xf400_0000
    } else {
        t32
    }
}

/// A row: the manual's name, the bit diagram (see [`Row::pattern`]), and the instruction as a
/// function of the fields that are named: `row!("CLZ A1", "cccc … dddd … mmmm", |d, m| …)`. The
/// fields are `u32`.
macro_rules! row {
    ($name:expr, $pattern:expr, || $insn:expr) => {
        $crate::decode::table::Row::new($name, $pattern, |_| $insn)
    };
    ($name:expr, $pattern:expr, |$($field:ident),*| $insn:expr) => {
        $crate::decode::table::Row::new($name, $pattern, {
            #[allow(non_snake_case, unused_variables, clippy::many_single_char_names)]
            fn build(word: u32) -> $crate::insn::Insn {
                $(let $field = const {
                    $crate::decode::table::Field::find($pattern, stringify!($field))
                }
                .of(word);)*
                $insn
            }
            build
        })
    };
}
pub(crate) use row;

/// Puts tables one after the other, each with its instruction set; `simd` tables that belong to
/// T32 are given in A32 form.
pub(super) const fn concat<const N: usize>(parts: &[(Set, bool, &[Row])]) -> [Row; N] {
    let mut rows = [Row::new("", "aaaa aaaa aaaa aaaa", |_| Insn::Undefined); N];
    let (mut p, mut n) = (0, 0);
    while p < parts.len() {
        let (set, simd, part) = parts[p];
        let mut i = 0;
        while i < part.len() {
            let mut row = part[i];
            assert!(matches!(row.set, Set::T16) == matches!(set, Set::T16));
            if simd && matches!(set, Set::T32) {
                row = row.t32_of_simd();
            }
            row.set = set;
            rows[n] = row;
            n += 1;
            i += 1;
        }
        p += 1;
    }
    assert!(n == N);
    rows
}

/// Which bits of a word choose its bucket in an [`Index`], and which rows belong.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub set: Set,
    /// For A32, whether the condition is 0b1111.
    pub unconditional: bool,
    /// Shift and number of the upper bits of the key.
    pub high: (u32, u32),
    /// Shift and number of the lower bits of the key.
    pub low: (u32, u32),
}

impl Key {
    #[inline(always)]
    const fn of(&self, word: u32) -> usize {
        let high = word >> self.high.0 & ((1 << self.high.1) - 1);
        let low = word >> self.low.0 & ((1 << self.low.1) - 1);
        (high << self.low.1 | low) as usize
    }

    /// The number of buckets.
    pub const fn buckets(&self) -> usize {
        1 << (self.high.1 + self.low.1)
    }

    /// Whether a row belongs to the index.
    pub const fn takes(&self, row: &Row) -> bool {
        match (self.set, row.set) {
            (Set::A32, Set::A32) => {
                let fixed = row.mask >> 28;
                assert!(fixed == 0 || fixed == 15 && row.value >> 28 == 15);
                (fixed == 15) == self.unconditional
            }
            (Set::T16, Set::T16) | (Set::T32, Set::T32) => true,
            _ => false,
        }
    }

    /// How many entries an index of `rows` has.
    pub const fn entries(&self, rows: &[Row]) -> usize {
        let (mut i, mut n) = (0, 0);
        while i < rows.len() {
            if self.takes(&rows[i]) && rows[i].mask != 0 {
                let free = (self.buckets() - 1) & !self.of(rows[i].mask);
                n += 1 << free.count_ones();
            }
            i += 1;
        }
        n
    }
}

/// For each value of the key, the rows that can match, in the order of the table.
pub(super) struct Index<const STARTS: usize, const ENTRIES: usize> {
    key: Key,
    /// Where each bucket starts in `rows`; the last is the end.
    starts: [u16; STARTS],
    rows: [u16; ENTRIES],
    /// The row of the words that nothing else matches: the one with no fixed bit.
    undefined: u16,
}

impl<const STARTS: usize, const ENTRIES: usize> Index<STARTS, ENTRIES> {
    pub const fn new(key: Key, table: &[Row]) -> Self {
        assert!(STARTS == key.buckets() + 1 && ENTRIES <= u16::MAX as usize);
        let mut starts = [0u16; STARTS];
        let mut rows = [0u16; ENTRIES];
        let mut undefined = u16::MAX;
        // Twice over each row's buckets: to count, then to fill. Filling moves each bucket's start
        // to its end, which is the next one's start, so the buckets are counted two places on.
        let mut pass = 0;
        while pass < 2 {
            let mut i = 0;
            while i < table.len() {
                let row = &table[i];
                if row.mask == 0 {
                    if matches!(
                        (row.set, key.set),
                        (Set::A32, Set::A32) | (Set::T16, Set::T16) | (Set::T32, Set::T32)
                    ) {
                        undefined = i as u16;
                    }
                } else if key.takes(row) {
                    let free = (key.buckets() - 1) & !key.of(row.mask);
                    let fixed = key.of(row.value);
                    let mut bits = free;
                    loop {
                        let bucket = fixed | bits;
                        if pass == 0 {
                            if bucket + 2 < STARTS {
                                starts[bucket + 2] += 1;
                            }
                        } else {
                            rows[starts[bucket + 1] as usize] = i as u16;
                            starts[bucket + 1] += 1;
                        }
                        if bits == 0 {
                            break;
                        }
                        bits = (bits - 1) & free;
                    }
                }
                i += 1;
            }
            if pass == 0 {
                let mut i = 1;
                while i < STARTS {
                    starts[i] += starts[i - 1];
                    i += 1;
                }
            }
            pass += 1;
        }
        assert!(undefined != u16::MAX);
        Index {
            key,
            starts,
            rows,
            undefined,
        }
    }

    /// The number of the first row of `table` that matches a word.
    #[inline]
    pub fn find(&self, table: &'static [Row], word: u32) -> u16 {
        let bucket = self.key.of(word);
        if let [start, end, ..] = self.starts[bucket..] {
            for &number in &self.rows[start as usize..end as usize] {
                if table[number as usize].matches(word) {
                    return number;
                }
            }
        }
        self.undefined
    }
}
