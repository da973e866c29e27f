//! What the vCPUs of one machine share: their inputs, and TLB maintenance that reaches all of them.

use crate::control::{self, Control};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use skep_arm::cp15::TlbOp;

/// Entries in the log. A vCPU further behind than this forgets all translations instead.
const LOG: usize = 256;

/// The vCPUs of one machine.
///
/// A broadcast TLB operation is appended to a log; every vCPU works through the log between blocks
/// and acknowledges how far it is. The DSB that follows the operation completes when every vCPU
/// that executes has acknowledged it (manual B3.10.1: completion is what DSB waits for).
pub struct Cluster {
    members: Vec<Member>,
    log: Vec<AtomicU64>,
    head: AtomicU64,
}

#[derive(Default)]
struct Member {
    control: Arc<Control>,
    running: AtomicBool,
    seen: AtomicU64,
}

impl Cluster {
    /// A cluster of `count` vCPUs.
    pub fn new(count: usize) -> Arc<Self> {
        Arc::new(Cluster {
            members: (0..count).map(|_| Member::default()).collect(),
            log: (0..LOG).map(|_| AtomicU64::new(0)).collect(),
            head: AtomicU64::new(0),
        })
    }

    /// The inputs of the vCPU numbered `index`.
    pub fn control(&self, index: usize) -> Option<&Arc<Control>> {
        self.members.get(index).map(|member| &member.control)
    }

    /// All inputs, by vCPU number.
    pub fn controls(&self) -> impl Iterator<Item = &Arc<Control>> {
        self.members.iter().map(|member| &member.control)
    }

    pub(crate) fn alone(&self) -> bool {
        self.members.len() == 1
    }

    pub(crate) fn set_running(&self, index: usize, running: bool) {
        if let Some(member) = self.members.get(index) {
            member.running.store(running, SeqCst);
        }
    }

    /// Appends an operation for all vCPUs but `from`, and returns the position that they must
    /// acknowledge.
    pub(crate) fn broadcast(&self, from: usize, op: TlbOp) -> u64 {
        let position = self.head.fetch_add(1, SeqCst);
        if let Some(slot) = self.log.get(position as usize % LOG) {
            slot.store(encode(position, op), SeqCst);
        }
        for (index, member) in self.members.iter().enumerate() {
            if index != from {
                member.control.set(control::SHOOTDOWN, true);
            }
        }
        position + 1
    }

    /// The log's end.
    pub(crate) fn head(&self) -> u64 {
        self.head.load(SeqCst)
    }

    /// The operation at `position`; None when it was overwritten or is not yet written, and the
    /// reader must assume any.
    pub(crate) fn entry(&self, position: u64) -> Option<TlbOp> {
        decode(
            position,
            self.log.get(position as usize % LOG)?.load(SeqCst),
        )
    }

    /// Notes that vCPU `index` has done everything before `position`.
    pub(crate) fn acknowledge(&self, index: usize, position: u64) {
        if let Some(member) = self.members.get(index) {
            member.seen.store(position, SeqCst);
        }
    }

    /// Every vCPU but `from` has done everything before `position`, or is not executing and will do
    /// so before it does.
    pub(crate) fn acknowledged(&self, from: usize, position: u64) -> bool {
        self.members.iter().enumerate().all(|(index, member)| {
            index == from || !member.running.load(SeqCst) || member.seen.load(SeqCst) >= position
        })
    }
}

// An entry: bits 63:42 the low bits of position + 1 (so that an unwritten entry matches none),
// 41:40 the kind, 39:32 the ASID, 31:0 the address.
const TAG_SHIFT: u32 = 42;

fn encode(position: u64, op: TlbOp) -> u64 {
    let payload = match op {
        TlbOp::All => 0,
        TlbOp::Asid(asid) => 1 << 40 | u64::from(asid) << 32,
        TlbOp::Va { va, asid } => 2 << 40 | u64::from(asid) << 32 | u64::from(va),
        TlbOp::VaAllAsids(va) => 3 << 40 | u64::from(va),
    };
    (position + 1) << TAG_SHIFT | payload
}

fn decode(position: u64, entry: u64) -> Option<TlbOp> {
    if entry >> TAG_SHIFT != (position + 1) << TAG_SHIFT >> TAG_SHIFT {
        return None;
    }
    let (asid, va) = ((entry >> 32) as u8, entry as u32);
    Some(match entry >> 40 & 3 {
        0 => TlbOp::All,
        1 => TlbOp::Asid(asid),
        2 => TlbOp::Va { va, asid },
        _ => TlbOp::VaAllAsids(va),
    })
}
