//! How much of its core a guest gets: it computes without a pause, and looks at the physical counter.

#![no_std]
#![no_main]

use guest_support::{guest, mrc, mrrc, println};

guest!(main);

fn main() {
    let second = u64::from(mrc!("p15, 0, {}, c14, c0, 0"));
    let now = || mrrc!("p15, 0, {}, {}, c14");
    for _ in 0..3 {
        let (begin, mut last, mut away, mut longest) = (now(), now(), 0, 0);
        while last - begin < second / 10 {
            let next = now();
            // What takes longer than 20 us was spent elsewhere.
            let gap = next - last;
            if gap > second / 50_000 {
                away += gap;
                longest = longest.max(gap);
            }
            last = next;
        }
        let percent = 100 - 100 * away / (last - begin);
        println!(
            "share {percent} %, away {} us",
            longest * 1_000_000 / second
        );
    }
}
