//! Drivers that break their queues.

use super::*;
use crate::virtio::QueueError;

/// Has the device look at a chain, which must stop it; and a reset must bring it back.
fn refused(build: impl Fn(&mut Driver<Block<Disk>>)) -> QueueError {
    let mut errors = Vec::new();
    for version in BOTH {
        let mut driver = Driver::start(version, disk(), u64::MAX);
        build(&mut driver);
        driver.notify(0);
        assert_ne!(driver.get(STATUS) & STATUS_NEEDS_RESET, 0);
        assert_ne!(driver.acknowledge() & INT_CONFIG, 0);
        assert!(!driver.line.high());
        errors.push(driver.transport.error().unwrap());
        // It does nothing more now.
        let used = driver.ram.bytes(driver.rings[0].used, 0x100);
        driver.notify(0);
        assert_eq!(driver.ram.bytes(driver.rings[0].used, 0x100), used);
        assert!(!driver.line.high());
        // Until it is reset.
        driver.ram.write(BASE, &[0; QUEUE_SPAN as usize]).unwrap();
        driver.negotiate(u64::MAX);
        assert_eq!(driver.transport.error(), None);
        driver.set_up(0, 16);
        driver.add_status(STATUS_DRIVER_OK);
        driver.indirect = false;
        assert_eq!(driver.request(0, &[&[0; 16]], &[512, 1]).0, 513);
    }
    assert_eq!(errors[0], errors[1]);
    errors[0]
}

fn chain(descriptors: &[(u64, u32, u16, u16)]) -> QueueError {
    refused(|driver| {
        for (i, (addr, len, flags, next)) in (0..).zip(descriptors) {
            let descriptor = Descriptor {
                addr: *addr,
                len: *len,
                flags: *flags,
                next: *next,
            };
            driver.write_descriptor(0, i, &descriptor);
        }
        driver.publish(0, 0);
    })
}

/// As [`chain`], in an indirect table.
fn table(descriptors: &[(u64, u32, u16, u16)], flags: u16, len: u32) -> QueueError {
    refused(|driver| {
        for (i, (addr, len, flags, next)) in (0..).zip(descriptors) {
            let descriptor = Descriptor {
                addr: *addr,
                len: *len,
                flags: *flags,
                next: *next,
            };
            driver
                .ram
                .write(BUFFERS + 16 * i, &descriptor.bytes())
                .unwrap();
        }
        let flags = DESC_INDIRECT | flags;
        driver.write_descriptor(
            0,
            0,
            &Descriptor {
                addr: BUFFERS,
                len,
                flags,
                next: 1,
            },
        );
        driver.publish(0, 0);
    })
}

#[test]
fn loops() {
    assert_eq!(chain(&[(BUFFERS, 16, DESC_NEXT, 0)]), QueueError::Loop);
    let two = [(BUFFERS, 16, DESC_NEXT, 1), (BUFFERS, 16, DESC_NEXT, 0)];
    assert_eq!(chain(&two), QueueError::Loop);
    assert_eq!(table(&two, 0, 32), QueueError::Loop);
}

#[test]
fn numbers_out_of_range() {
    assert_eq!(
        chain(&[(BUFFERS, 16, DESC_NEXT, 16)]),
        QueueError::DescriptorIndex(16)
    );
    assert_eq!(
        refused(|driver| driver.publish(0, 0xffff)),
        QueueError::DescriptorIndex(0xffff)
    );
    assert_eq!(
        table(&[(BUFFERS, 16, DESC_NEXT, 1)], 0, 16),
        QueueError::DescriptorIndex(1)
    );
}

#[test]
fn indices_too_far_ahead() {
    for index in [17, 0x8000, 0xffff] {
        let error = refused(|driver| driver.ram.set_u16(driver.rings[0].avail + 2, index));
        assert_eq!(error, QueueError::AvailableIndex);
    }
}

#[test]
fn bad_indirect_descriptors() {
    let good = [(BUFFERS, 16, 0, 0)];
    for len in [0, 15, 17, 1025 * 16, 0xffff_fff0] {
        assert_eq!(table(&good, 0, len), QueueError::Indirect);
    }
    assert_eq!(table(&good, DESC_NEXT, 16), QueueError::Indirect);
    assert_eq!(
        table(&[(BUFFERS, 16, DESC_INDIRECT, 0)], 0, 16),
        QueueError::Indirect
    );
    let outside = chain(&[(0x1000, 16, DESC_INDIRECT, 0)]);
    assert!(matches!(outside, QueueError::Memory(bad) if bad.addr == 0x1000));
    let wraps = chain(&[(u64::MAX - 8, 32, DESC_INDIRECT, 0)]);
    assert!(matches!(wraps, QueueError::Memory(_)));
}

#[test]
fn buffers_in_the_wrong_order() {
    let chained = chain(&[
        (BUFFERS, 16, DESC_NEXT | DESC_WRITE, 1),
        (BUFFERS, 16, 0, 0),
    ]);
    assert_eq!(chained, QueueError::Order);
}

#[test]
fn too_long() {
    let half = 1 << 31;
    let chained = chain(&[
        (BUFFERS, half, DESC_NEXT, 1),
        (BUFFERS, half, DESC_WRITE, 0),
    ]);
    assert_eq!(chained, QueueError::TooLong);
}

#[test]
fn buffers_outside_memory() {
    for addr in [0, BASE - 1, BASE + RAM_SIZE - 15, u64::MAX - 15, u64::MAX] {
        let read = chain(&[(addr, 16, DESC_NEXT, 1), (BUFFERS, 1, DESC_WRITE, 0)]);
        assert!(matches!(read, QueueError::Memory(bad) if bad.addr == addr));
        let write = chain(&[(BUFFERS, 16, DESC_NEXT, 1), (addr, 513, DESC_WRITE, 0)]);
        assert!(matches!(write, QueueError::Memory(_)));
    }
}

#[test]
fn requests_too_small() {
    assert_eq!(chain(&[(BUFFERS, 16, 0, 0)]), QueueError::TooShort);
    let short = chain(&[(BUFFERS, 15, DESC_NEXT, 1), (BUFFERS, 1, DESC_WRITE, 0)]);
    assert_eq!(short, QueueError::TooShort);
    assert_eq!(chain(&[(BUFFERS, 16, DESC_WRITE, 0)]), QueueError::TooShort);
}

#[test]
fn rings_outside_memory() {
    for register in [QUEUE_DESC_LOW, QUEUE_DRIVER_LOW, QUEUE_DEVICE_LOW] {
        let mut driver = Driver::cold(Version::Modern, disk());
        driver.negotiate(u64::MAX);
        driver.set_up(0, 16);
        driver.set(QUEUE_READY, 0);
        driver.set(register, 0x1000);
        driver.set(QUEUE_READY, 1);
        driver.add_status(STATUS_DRIVER_OK);
        driver.post(0, &[&[0; 16]], &[512, 1]);
        driver.notify(0);
        assert!(matches!(
            driver.transport.error(),
            Some(QueueError::Memory(_))
        ));
        assert_ne!(driver.get(STATUS) & STATUS_NEEDS_RESET, 0);
    }
}

#[test]
fn legacy_queue_without_a_page_size() {
    let mut driver = Driver::cold(Version::Legacy, disk());
    driver.set(QUEUE_PFN, 1);
    assert_eq!(driver.transport.error(), Some(QueueError::Layout));
}
