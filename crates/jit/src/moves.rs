//! What changes in a block's code when the same guest code executes at another address.
//!
//! A process has the libraries of the last one, at addresses of its own: the same memory, the same
//! place within each page. A translation has the guest's addresses in a few of its words only, and
//! to change these costs a tenth of what it costs to translate anew.

use crate::translate::NEAR;

/// Four bytes of code that are others at another address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fix {
    /// Where they are in the block's code.
    pub at: u16,
    /// What they are.
    pub part: Part,
}

/// What four bytes of code are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Part {
    /// A guest-virtual address plus a constant.
    Address,
    /// The displacement of a page's entry in a table of words.
    Word,
    /// The same in a table of doublewords.
    Doubleword,
    /// The number of an instruction for the interpreter.
    Op,
    /// The displacement of a jump to code outside of the block that stays where it is.
    Outside,
    /// The displacement of a jump that may be linked, with [`Part::Unlinked`] next.
    Link,
    /// Not four bytes, but where the jump before it leads that is not linked.
    Unlinked,
    /// What tells the loop about such a jump: [`crate::context::Shared::site`].
    Site,
}

/// How far a block is moved.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// In the guest, pages: the number of one less that of the other.
    pub pages: u32,
    /// In code memory, bytes.
    pub host: u32,
    /// From its instructions for the interpreter to those of the copy.
    pub ops: u32,
}

impl Move {
    /// Changes a block's code as if it had been translated for where it is moved to. All jumps that may
    /// be linked are not.
    pub fn apply(self, code: &mut [u8], fixes: &[Fix]) {
        let mut fixes = fixes.iter();
        while let Some(fix) = fixes.next() {
            let at = usize::from(fix.at);
            let Some(word) = code.get_mut(at..at + 4) else {
                continue;
            };
            let mut bytes = [0; 4];
            bytes.copy_from_slice(word);
            let value = u32::from_le_bytes(bytes);
            let value = match fix.part {
                Part::Address => value.wrapping_add(self.pages << 12),
                Part::Word => value.wrapping_add(self.pages.wrapping_mul(4)),
                Part::Doubleword => value.wrapping_add(self.pages.wrapping_mul(8)),
                Part::Op => value.wrapping_add(self.ops),
                Part::Outside => value.wrapping_sub(self.host),
                Part::Link => {
                    let to = fixes.next().map_or(0, |fix| u32::from(fix.at));
                    to.wrapping_sub(at as u32 + 4)
                }
                Part::Unlinked => value,
                Part::Site => value.wrapping_add(self.host << 1),
            };
            word.copy_from_slice(&value.to_le_bytes());
        }
    }
}

/// Code near the ends of the address space has addresses that take fewer bytes, and branches that come
/// round.
const LOWEST: u32 = 0x40_0000;
const HIGHEST: u32 = 0xfc00_0000;
/// How far from itself code may have data.
const AROUND: u32 = 0x4000;

/// Blocks with branches that lead back further than this are not moved: they might come round.
pub const FURTHEST: u32 = LOWEST - AROUND;

/// Addresses of one zone have translations of one form. None: those with forms of their own.
pub fn zone(va: u32) -> Option<u8> {
    match va {
        _ if (LOWEST..NEAR - AROUND).contains(&va) => Some(0),
        _ if (NEAR + AROUND..HIGHEST).contains(&va) => Some(1),
        _ => None,
    }
}
