//! What the vCPUs of one machine share: their inputs, and requests that reach all of them.

use crate::control::{self, Control};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use skep_arm::cp15::TlbOp;

/// Entries in the log. A vCPU further behind than this forgets all translations instead.
const LOG: usize = 256;

/// The vCPUs of one machine.
///
/// A broadcast request is appended to a log; every vCPU works through the log between blocks and
/// acknowledges how far it is. The DSB that follows a TLB operation completes when every vCPU that
/// executes has acknowledged it (manual B3.10.1: completion is what DSB waits for).
pub struct Cluster {
    members: Vec<Member>,
    log: Vec<AtomicU64>,
    head: AtomicU64,
}

/// What a vCPU asks of all others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// TLB maintenance.
    Tlb(TlbOp),
    /// The page of direct memory with this number now holds code: stores to it must look at the
    /// [`crate::code::CodeMap`].
    Protect(u32),
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

    /// How many vCPUs there are.
    #[expect(clippy::len_without_is_empty, reason = "a cluster has one at least")]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// There is one vCPU only.
    pub fn alone(&self) -> bool {
        self.members.len() == 1
    }

    /// Notes whether a vCPU executes: others wait for one that does, and only for such a one.
    pub fn set_running(&self, index: usize, running: bool) {
        if let Some(member) = self.members.get(index) {
            member.running.store(running, SeqCst);
        }
    }

    /// Appends a request for all vCPUs but `from`, and returns the position that they must
    /// acknowledge.
    pub fn broadcast(&self, from: usize, request: Request) -> u64 {
        let position = self.head.fetch_add(1, SeqCst);
        if let Some(slot) = self.log.get(position as usize % LOG) {
            slot.store(encode(position, request), SeqCst);
        }
        for (index, member) in self.members.iter().enumerate() {
            if index != from {
                member.control.set(control::REQUEST, true);
            }
        }
        position + 1
    }

    /// The log's end.
    pub(crate) fn head(&self) -> u64 {
        self.head.load(SeqCst)
    }

    /// The request at `position`; None when it was overwritten or is not yet written, and the
    /// reader must assume any.
    pub(crate) fn entry(&self, position: u64) -> Option<Request> {
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
    pub fn acknowledged(&self, from: usize, position: u64) -> bool {
        self.members.iter().enumerate().all(|(index, member)| {
            index == from || !member.running.load(SeqCst) || member.seen.load(SeqCst) >= position
        })
    }
}

// An entry: bits 63:43 the low bits of position + 1 (so that an unwritten entry matches none),
// 42:40 the kind, 39:32 the ASID, 31:0 the address or page.
const TAG_SHIFT: u32 = 43;

fn encode(position: u64, request: Request) -> u64 {
    let payload = match request {
        Request::Tlb(TlbOp::All) => 0,
        Request::Tlb(TlbOp::Asid(asid)) => 1 << 40 | u64::from(asid) << 32,
        Request::Tlb(TlbOp::Va { va, asid }) => 2 << 40 | u64::from(asid) << 32 | u64::from(va),
        Request::Tlb(TlbOp::VaAllAsids(va)) => 3 << 40 | u64::from(va),
        Request::Protect(page) => 4 << 40 | u64::from(page),
    };
    (position + 1) << TAG_SHIFT | payload
}

fn decode(position: u64, entry: u64) -> Option<Request> {
    if entry >> TAG_SHIFT != (position + 1) << TAG_SHIFT >> TAG_SHIFT {
        return None;
    }
    let (asid, va) = ((entry >> 32) as u8, entry as u32);
    Some(match entry >> 40 & 7 {
        0 => Request::Tlb(TlbOp::All),
        1 => Request::Tlb(TlbOp::Asid(asid)),
        2 => Request::Tlb(TlbOp::Va { va, asid }),
        3 => Request::Tlb(TlbOp::VaAllAsids(va)),
        _ => Request::Protect(va),
    })
}
