//! Which pages of large mappings a context uses.
//!
//! Maintenance of the whole TLB makes a kernel start over: with each process that it forks, Linux forgets
//! all translations, of its own code and data as well. A section of 1 MiB is one descriptor,
//! so that one walk brings back what was used of it before.

use skep_interp::tlb::bits;

/// Sections of 1 MiB in the address space.
const SECTIONS: usize = 4096;
/// What was used is forgotten after so many times that the context was emptied, so that it does not
/// become everything.
const PERIODS: u32 = 64;

/// A bit for each page of a section.
pub type Pages = [u64; 4];

/// The pages of large mappings that a context used.
pub struct Known {
    pages: Box<[Pages]>,
    /// Bits for sections that were asked for since the context was emptied.
    asked: [u64; SECTIONS / 64],
    periods: u32,
}

impl Known {
    /// None yet.
    pub fn new() -> Self {
        Known {
            pages: vec![Pages::default(); SECTIONS].into_boxed_slice(),
            asked: [0; SECTIONS / 64],
            periods: 0,
        }
    }

    /// The context was emptied.
    pub fn restart(&mut self) {
        self.asked.fill(0);
        self.periods += 1;
        if self.periods >= PERIODS {
            self.periods = 0;
            self.pages.fill(Pages::default());
        }
    }

    /// Notes that the page that holds `va` is used. The first time that a section is asked for since
    /// the context was emptied: what was used of it before.
    pub fn ask(&mut self, va: u32) -> Option<Pages> {
        let section = (va >> 20) as usize;
        let pages = self.pages.get_mut(section)?;
        let before = *pages;
        if let Some(word) = pages.get_mut((va >> 18 & 3) as usize) {
            *word |= 1 << (va >> 12 & 63);
        }
        let asked = self.asked.get_mut(section / 64)?;
        let bit = 1 << (section % 64);
        let first = *asked & bit == 0;
        *asked |= bit;
        first.then_some(before)
    }
}

/// The addresses of pages of the section that holds `va`.
pub fn addresses(va: u32, pages: Pages) -> impl Iterator<Item = u32> {
    let first = va & 0xfff0_0000;
    (0..).zip(pages).flat_map(move |(word, set)| {
        bits(set).map(move |bit| first + (word << 18) + ((bit as u32) << 12))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VA: u32 = 0xc020_0000;

    #[test]
    fn what_was_used_of_a_section_comes_back_once_after_each_time_that_it_was_emptied() {
        let mut known = Known::new();
        assert_eq!(known.ask(VA + 0x7f_000), Some([0; 4]));
        assert_eq!(known.ask(VA + 0xff_fff), None);
        assert_eq!(known.ask(VA - 1), Some([0; 4]), "another section");
        known.restart();
        let before = known.ask(VA + 0x1000).expect("the first time");
        let before: Vec<u32> = addresses(VA + 0x1000, before).collect();
        assert_eq!(before, [VA + 0x7f_000, VA + 0xff_000]);
        assert_eq!(known.ask(VA), None);
    }

    #[test]
    fn what_is_no_longer_used_is_forgotten() {
        let mut known = Known::new();
        known.ask(VA);
        for _ in 1..PERIODS {
            known.restart();
            assert_eq!(known.ask(VA), Some([1, 0, 0, 0]));
        }
        known.restart();
        assert_eq!(known.ask(VA), Some([0; 4]));
    }
}
