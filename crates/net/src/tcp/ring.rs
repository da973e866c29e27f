//! A ring of bytes that sockets are read into and written from without a copy between.

/// Bytes in order. It grows up to a limit that each call gives, and gives memory back when told.
#[derive(Debug, Default)]
pub struct Ring {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

/// The least size of a ring that is not empty.
const LEAST: usize = 64 << 10;

impl Ring {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes room for `more` bytes.
    fn reserve(&mut self, more: usize) {
        let needed = self.len + more;
        if needed <= self.bytes.len() {
            return;
        }
        let mut bytes = vec![0; needed.next_power_of_two().max(LEAST)];
        let (head, tail) = self.parts(0, self.len);
        bytes[..head.len()].copy_from_slice(head);
        bytes[head.len()..self.len].copy_from_slice(tail);
        (self.bytes, self.start) = (bytes, 0);
    }

    /// Where the byte `offset` behind the first is or would be.
    fn at(&self, offset: usize) -> usize {
        let at = self.start + offset;
        if at >= self.bytes.len() {
            at - self.bytes.len()
        } else {
            at
        }
    }

    /// `len` bytes from `offset` on, or as many as there are, in two parts.
    pub fn parts(&self, offset: usize, len: usize) -> (&[u8], &[u8]) {
        let offset = offset.min(self.len);
        let len = len.min(self.len - offset);
        if len == 0 {
            return (&[], &[]);
        }
        let from = self.at(offset);
        let first = len.min(self.bytes.len() - from);
        (&self.bytes[from..from + first], &self.bytes[..len - first])
    }

    /// Has `fill` write behind the bytes there are, as long as there are fewer than `limit`; it
    /// says how many it has written.
    pub fn fill<E>(
        &mut self,
        limit: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        // Twice as much as there is: streams that move little take little.
        let more = limit.saturating_sub(self.len).min(self.len.max(LEAST));
        self.reserve(more);
        let from = self.at(self.len);
        let end = if from < self.start || self.len == 0 && from == self.start {
            (from + more).min(self.bytes.len())
        } else {
            self.bytes.len().min(from + more)
        };
        let Some(space) = self.bytes.get_mut(from..end) else {
            return Ok(0);
        };
        let room = space.len();
        let filled = fill(space)?.min(room);
        self.len += filled;
        Ok(filled)
    }

    /// Adds bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        self.reserve(bytes.len());
        while !bytes.is_empty() {
            let from = self.at(self.len);
            let now = bytes.len().min(self.bytes.len() - from);
            self.bytes[from..from + now].copy_from_slice(&bytes[..now]);
            self.len += now;
            bytes = &bytes[now..];
        }
    }

    /// Takes the first `count` bytes away, which there are.
    pub fn drop_front(&mut self, count: usize) {
        let count = count.min(self.len);
        self.start = self.at(count);
        self.len -= count;
        if self.len == 0 {
            self.start = 0;
        }
    }

    /// Gives memory back, if it holds nothing.
    pub fn shrink(&mut self) {
        if self.len == 0 {
            *self = Ring::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn it_is_a_queue(steps in proptest::collection::vec((0..3u8, 0..40_000usize), 1..60)) {
            const LIMIT: usize = 100_000;
            let (mut ring, mut model) = (Ring::default(), VecDeque::new());
            let mut next = 0u8;
            for (kind, amount) in steps {
                match kind {
                    0 => {
                        let amount = amount.min(LIMIT - model.len());
                        let bytes: Vec<u8> = (0..amount).map(|i| next.wrapping_add(i as u8)).collect();
                        next = next.wrapping_add(amount as u8);
                        ring.push(&bytes);
                        model.extend(bytes);
                    }
                    1 => {
                        let filled = ring.fill(LIMIT, |space| {
                            let part = space.len().min(amount);
                            for byte in &mut space[..part] {
                                *byte = next;
                                model.push_back(next);
                                next = next.wrapping_add(1);
                            }
                            Ok::<_, ()>(part)
                        });
                        let full = model.len() == LIMIT;
                        prop_assert!(filled.expect("no error") > 0 || amount == 0 || full);
                        prop_assert!(model.len() <= LIMIT);
                    }
                    _ => {
                        let amount = amount.min(model.len());
                        ring.drop_front(amount);
                        model.drain(..amount);
                    }
                }
                prop_assert_eq!(ring.len(), model.len());
                let (head, tail) = ring.parts(0, usize::MAX);
                prop_assert!([head, tail].concat() == model.iter().copied().collect::<Vec<_>>());
                let (head, tail) = ring.parts(amount / 2, 10);
                let expected: Vec<u8> = model.iter().copied().skip(amount / 2).take(10).collect();
                prop_assert_eq!([head, tail].concat(), expected);
            }
        }
    }
}
