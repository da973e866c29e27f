//! Registers and rings full of random numbers: nothing panics, hangs, or leaves guest memory.

use super::*;
use crate::pl011::ConsoleOut;
use crate::virtio::QueueState;
use crate::virtio::balloon::Balloon;
use crate::virtio::console::Console;
use crate::virtio::net::{MAX_FRAME, Net, NetBackend, Offload, Segments};
use crate::virtio::rng::Rng;
use proptest::prelude::*;

struct Nowhere;

impl ConsoleOut for Nowhere {
    fn put(&mut self, _byte: u8) {}
}

impl NetBackend for Nowhere {
    fn notified(&mut self) {}
    fn reset(&mut self) {}
}

#[derive(Clone, Debug)]
enum Step {
    Read(u64, u8),
    Write(u64, u8, u64),
    /// Into a queue, at an offset from a part of it.
    Poke(u64, u8, u64, Vec<u8>),
    Descriptor(u64, u16, u64, u32, u16, u16),
    Publish(usize, u16),
    Notify(usize),
    Restart,
    /// Saved, and restored after a reset.
    Restore,
    /// Restored with a queue that says something else.
    Alter(usize, QueueState),
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..20u64,
        any::<u64>(),
        BASE..BASE + RAM_SIZE,
        (0..64u32).prop_map(|n| 1 << n)
    ]
}

fn queue_state() -> impl Strategy<Value = QueueState> {
    let size = prop_oneof![Just(16u32), any::<u32>()];
    let indices = (any::<u16>(), any::<u16>(), any::<Option<u16>>());
    let flags = (any::<bool>(), any::<bool>());
    let rest = (number(), number(), number(), any::<u32>(), any::<u32>());
    (size, indices, flags, rest).prop_map(|(size, indices, flags, rest)| QueueState {
        size,
        desc: rest.0,
        driver: rest.1,
        device: rest.2,
        ready: flags.0,
        next_avail: indices.0,
        next_used: indices.1,
        signalled: indices.2,
        used: flags.1,
        align: rest.3,
        pfn: rest.4,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let size = || prop_oneof![8 => Just(4u8), 1 => Just(1), 1 => Just(2), 1 => Just(8)];
    let register = || prop_oneof![(0..0x40u64).prop_map(|n| n * 4), 0..0x200u64, any::<u64>()];
    let address = || prop_oneof![3 => BASE..BASE + RAM_SIZE, 1 => number()];
    let len = || prop_oneof![0..2000u32, any::<u32>()];
    let bytes = || proptest::collection::vec(any::<u8>(), 1..20);
    prop_oneof![
        2 => (register(), size()).prop_map(|(r, s)| Step::Read(r, s)),
        2 => (register(), size(), number()).prop_map(|(r, s, v)| Step::Write(r, s, v)),
        2 => (0..2u64, 0..3u8, 0..300u64, bytes()).prop_map(|(q, p, o, b)| Step::Poke(q, p, o, b)),
        8 => (0..2u64, 0..16u16, address(), len(), 0..8u16, 0..17u16)
            .prop_map(|(q, i, a, l, f, n)| Step::Descriptor(q, i, a, l, f, n)),
        6 => (0..2usize, 0..16u16).prop_map(|(q, head)| Step::Publish(q, head)),
        4 => (0..2usize).prop_map(Step::Notify),
        1 => Just(Step::Restart),
        1 => Just(Step::Restore),
        1 => (0..2usize, queue_state()).prop_map(|(q, state)| Step::Alter(q, state)),
    ]
}

fn bring_up<D: VirtioDevice>(driver: &mut Driver<D>) {
    driver
        .ram
        .write(BASE, &vec![0; 2 * QUEUE_SPAN as usize])
        .unwrap();
    driver.negotiate(u64::MAX);
    for queue in 0..2 {
        if driver.select(queue) != 0 {
            driver.set_up(queue, 16);
        }
    }
    driver.add_status(STATUS_DRIVER_OK);
}

fn hammer<D: VirtioDevice>(
    version: Version,
    device: D,
    steps: &[Step],
    input: impl Fn(&mut Driver<D>),
) {
    let mut driver = Driver::cold(version, device);
    bring_up(&mut driver);
    for step in steps {
        match step {
            Step::Read(register, size) => {
                let value = driver.transport.read(*register, *size);
                assert!(*size == 8 || value >> (8 * size) == 0);
            }
            Step::Write(register, size, value) => driver.transport.write(*register, *size, *value),
            Step::Poke(queue, part, offset, bytes) => {
                let ring = driver.rings[*queue as usize % driver.rings.len()];
                let part = [ring.desc, ring.avail, ring.used][usize::from(*part)];
                driver.ram.write(part + offset, bytes).unwrap();
            }
            Step::Descriptor(queue, index, addr, len, flags, next) => {
                let descriptor = Descriptor {
                    addr: *addr,
                    len: *len,
                    flags: *flags,
                    next: *next,
                };
                let queue = *queue as usize % driver.rings.len();
                driver.write_descriptor(queue, *index, &descriptor);
            }
            Step::Publish(queue, head) => driver.publish(*queue % driver.rings.len(), *head),
            Step::Notify(queue) => driver.notify(*queue),
            Step::Restart => bring_up(&mut driver),
            Step::Restore => {
                let (saved, level) = (driver.transport.save(), driver.line.high());
                driver.transport.reset();
                driver.transport.restore(&saved);
                assert_eq!(driver.transport.save(), saved);
                assert_eq!(driver.line.high(), level);
            }
            Step::Alter(queue, state) => {
                let mut saved = driver.transport.save();
                if let Some(queue) = saved.queues.get_mut(*queue) {
                    *queue = *state;
                }
                driver.transport.restore(&saved);
            }
        }
        input(&mut driver);
        assert_eq!(driver.line.high(), driver.get(INTERRUPT_STATUS) != 0);
        let broken = driver.transport.error().is_some();
        assert_eq!(driver.get(STATUS) & STATUS_NEEDS_RESET != 0, broken);
    }
    driver.transport.reset();
    assert_eq!(driver.get(STATUS), 0);
    assert!(!driver.line.high());
    // Whatever happened, it works again.
    bring_up(&mut driver);
    assert_eq!(driver.get(STATUS) & STATUS_NEEDS_RESET, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn nothing_breaks_the_device(
        legacy in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let version = if legacy { Version::Legacy } else { Version::Modern };
        hammer(version, disk(), &steps, |_| {});
        hammer(version, Rng::new(|buf: &mut [u8]| buf.fill(0x5a)), &steps, |_| {});
        hammer(version, Balloon::new(NoReclaim), &steps, |driver| {
            let _ = driver.transport.with_device(|balloon, queues| balloon.memory_use(queues));
        });
        hammer(version, Console::new(Nowhere, Some((80, 25))), &steps, |driver| {
            driver.transport.receive(b"input");
        });
        hammer(version, Net::new(Nowhere, [2; 6]), &steps, |driver| {
            let mut frame = Vec::new();
            while let Some(offload) = driver.transport.take_frame(&mut frame) {
                assert!(frame.len() <= MAX_FRAME);
                if let Some((start, at)) = offload.checksum {
                    assert!(usize::from(start.max(at)) <= frame.len());
                }
                assert!(offload.segments.is_none_or(|segments| segments.size > 0));
            }
            let segments = Some(Segments { ipv6: false, size: 1460 });
            let offload = Offload { checksum: Some((34, 50)), segments };
            driver.transport.give_frame(&offload, 54, &[&[1; 60], &[2; 3000]]);
        });
    }
}
