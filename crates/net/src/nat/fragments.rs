//! Packets that the guest sends in parts.

use crate::wire::{Fragment, Packet};
use smoltcp::wire::IpProtocol;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// The most packets of which parts are kept.
const PACKETS: usize = 16;
/// The most parts of a packet.
const PARTS: usize = 64;
/// The most bytes of a packet.
const LONGEST: usize = 65_535;
/// How long parts are kept.
const PATIENCE: Duration = Duration::from_secs(15);

type Key = (IpAddr, IpAddr, u8, u32);

/// Parts of packets, until they are whole.
#[derive(Debug, Default)]
pub struct Fragments {
    packets: BTreeMap<Key, Parts>,
}

#[derive(Debug)]
struct Parts {
    since: Duration,
    total: Option<usize>,
    /// By where they begin.
    parts: BTreeMap<usize, Vec<u8>>,
}

impl Fragments {
    /// Adds a part. Returns the payload of its packet, if that is whole now.
    pub fn add(&mut self, packet: &Packet<'_>, part: Fragment, now: Duration) -> Option<Vec<u8>> {
        let protocol: IpProtocol = packet.protocol;
        let key = (packet.source, packet.destination, protocol.into(), part.id);
        self.packets.retain(|_, parts| parts.since + PATIENCE > now);
        if !self.packets.contains_key(&key) && self.packets.len() >= PACKETS {
            return None;
        }
        let parts = self.packets.entry(key).or_insert_with(|| Parts {
            since: now,
            total: None,
            parts: BTreeMap::new(),
        });
        let whole = parts.add(packet.payload, part);
        match whole {
            Ok(false) => None,
            Ok(true) => {
                let parts = self.packets.remove(&key)?;
                Some(parts.parts.into_values().flatten().collect())
            }
            Err(()) => {
                self.packets.remove(&key);
                None
            }
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.packets.clear();
    }
}

impl Parts {
    /// Adds a part; whether that makes it whole. An error: this can't be. Parts that overlap are an
    /// attack, not an accident (RFC 5722).
    fn add(&mut self, payload: &[u8], part: Fragment) -> Result<bool, ()> {
        let end = part.offset + payload.len();
        let aligned = payload.len().is_multiple_of(8) || !part.more;
        if end > LONGEST || !aligned || payload.is_empty() || self.parts.len() >= PARTS {
            return Err(());
        }
        if self
            .parts
            .get(&part.offset)
            .is_some_and(|known| known == payload)
        {
            // It came twice.
            return Ok(false);
        }
        let before = self.parts.range(..=part.offset).next_back();
        let after = self.parts.range(part.offset..).next();
        let overlaps = before.is_some_and(|(at, bytes)| at + bytes.len() > part.offset)
            || after.is_some_and(|(at, _)| *at < end);
        let last = self.parts.iter().next_back();
        let last_end = last.map_or(0, |(at, bytes)| at + bytes.len());
        let beyond = self.total.is_some_and(|total| end > total || !part.more)
            || !part.more && last_end > end;
        if overlaps || beyond {
            return Err(());
        }
        if !part.more {
            self.total = Some(end);
        }
        self.parts.insert(part.offset, payload.to_vec());
        let have: usize = self.parts.values().map(Vec::len).sum();
        Ok(self.total == Some(have))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(payload: &[u8]) -> Packet<'_> {
        Packet {
            source: [10, 0, 2, 15].into(),
            destination: [192, 0, 2, 1].into(),
            protocol: IpProtocol::Udp,
            payload,
            fragment: None,
        }
    }

    fn add(
        fragments: &mut Fragments,
        id: u32,
        offset: usize,
        bytes: &[u8],
        more: bool,
    ) -> Option<Vec<u8>> {
        let part = Fragment { id, offset, more };
        fragments.add(&packet(bytes), part, Duration::from_secs(u64::from(id)))
    }

    #[test]
    fn parts_become_whole_in_any_order() {
        let mut fragments = Fragments::default();
        assert_eq!(add(&mut fragments, 1, 16, b"end", false), None);
        assert_eq!(add(&mut fragments, 2, 0, b"other...", true), None);
        assert_eq!(add(&mut fragments, 1, 0, b"first...", true), None);
        assert_eq!(add(&mut fragments, 1, 0, b"first...", true), None, "twice");
        let whole = add(&mut fragments, 1, 8, b"second..", true);
        assert_eq!(whole.as_deref(), Some(&b"first...second..end"[..]));
        assert_eq!(fragments.packets.len(), 1);
    }

    #[test]
    fn parts_that_can_not_be_are_forgotten() {
        for (offset, bytes, more) in [
            (0, &b"0123456789abcdef"[..], true),
            (8, b"12345678", true),
            (16, b"abc", true),
            (65_528, b"12345678", false),
            (24, b"", true),
            (0, b"1234", false),
        ] {
            let mut fragments = Fragments::default();
            assert_eq!(add(&mut fragments, 1, 8, b"second..", true), None);
            assert_eq!(add(&mut fragments, 1, offset, bytes, more), None);
            let same = offset == 8 && bytes == b"second..";
            assert_eq!(fragments.packets.is_empty(), !same, "{offset}");
        }
    }

    #[test]
    fn few_are_kept_and_not_for_long() {
        let mut fragments = Fragments::default();
        for id in 0..100 {
            let part = Fragment {
                id,
                offset: 0,
                more: true,
            };
            fragments.add(&packet(b"12345678"), part, Duration::ZERO);
        }
        assert_eq!(fragments.packets.len(), PACKETS);
        assert_eq!(add(&mut fragments, 100, 0, b"12345678", true), None);
        assert_eq!(fragments.packets.len(), 1);
    }
}
