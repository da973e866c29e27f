//! Registers, features, status and interrupts.

use super::*;
use crate::virtio::EmptySlot;
use crate::virtio::block::spec as block;

#[test]
fn identity() {
    for version in BOTH {
        let mut driver = Driver::cold(version, disk());
        assert_eq!(driver.get(MAGIC_VALUE).to_le_bytes(), *b"virt");
        assert_eq!(
            driver.get(VERSION),
            if version == Version::Legacy { 1 } else { 2 }
        );
        assert_eq!(driver.get(DEVICE_ID), ID_BLOCK);
        assert_eq!(driver.get(VENDOR_ID).to_le_bytes(), *b"SKEP");
        assert_eq!(
            driver.transport.read(MAGIC_VALUE, 1),
            0,
            "registers are 32 bits wide"
        );
        assert_eq!(driver.get(STATUS), 0);
        assert_eq!(driver.select(0), 256);
        assert_eq!(driver.select(1), 0);
    }
}

#[test]
fn empty_slot() {
    let mut slot = EmptySlot::new(Version::Modern);
    assert_eq!(slot.read(MAGIC_VALUE, 4), u64::from(MAGIC));
    assert_eq!(slot.read(VERSION, 4), 2);
    assert_eq!(slot.read(DEVICE_ID, 4), 0);
    slot.write(STATUS, 4, 1);
    assert_eq!(slot.read(STATUS, 4), 0);
}

#[test]
fn offered_features() {
    let common = block::F_BLK_SIZE | block::F_FLUSH | F_INDIRECT_DESC | F_EVENT_IDX;
    let mut modern = Driver::cold(Version::Modern, disk());
    assert_eq!(
        modern.offered() & (common | F_VERSION_1),
        common | F_VERSION_1
    );
    assert_eq!(modern.offered() & block::F_RO, 0);
    let mut legacy = Driver::cold(Version::Legacy, disk());
    assert_eq!(legacy.offered() & common, common);
    assert_eq!(legacy.offered() >> 32, 0);
    legacy.set(DEVICE_FEATURES_SEL, 2);
    assert_eq!(legacy.get(DEVICE_FEATURES), 0);
}

#[test]
fn modern_needs_version_1_and_only_what_is_offered() {
    for features in [
        0,
        F_INDIRECT_DESC,
        F_VERSION_1 | 1 << 23,
        F_VERSION_1 | 1 << 63,
    ] {
        let mut driver = Driver::cold(Version::Modern, disk());
        driver.set(STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
        driver.accept(features);
        driver.add_status(STATUS_FEATURES_OK);
        assert_eq!(
            driver.get(STATUS),
            STATUS_ACKNOWLEDGE | STATUS_DRIVER,
            "{features:#x}"
        );
        driver.add_status(STATUS_DRIVER_OK);
        assert_eq!(driver.get(STATUS) & STATUS_DRIVER_OK, 0);
    }
}

#[test]
fn features_are_frozen_once_agreed() {
    let mut driver = Driver::start(Version::Modern, disk(), 0);
    driver.accept(F_VERSION_1 | F_INDIRECT_DESC);
    driver.indirect = true;
    driver.post(0, &[&[0; 16]], &[513]);
    driver.notify(0);
    assert_ne!(driver.get(STATUS) & STATUS_NEEDS_RESET, 0);
}

#[test]
fn status_bits_go_away_only_by_reset() {
    for version in BOTH {
        let mut driver = Driver::start(version, disk(), u64::MAX);
        let status = driver.get(STATUS);
        driver.set(STATUS, STATUS_ACKNOWLEDGE);
        assert_eq!(driver.get(STATUS), status);
        driver.set(STATUS, STATUS_NEEDS_RESET);
        assert_eq!(driver.get(STATUS), status, "only the device sets this");
        driver.set(STATUS, 0);
        assert_eq!(driver.get(STATUS), 0);
        driver.select(0);
        assert_eq!(driver.get(QUEUE_READY), 0);
        assert_eq!(driver.get(QUEUE_PFN), 0);
        // And all over again.
        driver.negotiate(u64::MAX);
        driver.ram.write(BASE, &[0; 0x1_0000]).unwrap();
        driver.set_up(0, 8);
        driver.add_status(STATUS_DRIVER_OK);
        assert_eq!(driver.request(0, &[&[0; 16]], &[512, 1]).0, 513);
    }
}

#[test]
fn no_request_is_served_before_driver_ok() {
    let mut driver = Driver::cold(Version::Modern, disk());
    driver.negotiate(0);
    driver.set_up(0, 16);
    driver.post(0, &[&[0; 16]], &[512, 1]);
    driver.notify(0);
    assert_eq!(driver.take(0), None);
    assert!(!driver.line.high());
    driver.add_status(STATUS_DRIVER_OK);
    assert_eq!(driver.take(0), Some((0, 513)), "what waited is served");
}

#[test]
fn legacy_drivers_may_start_early() {
    let mut driver = Driver::cold(Version::Legacy, disk());
    driver.negotiate(0);
    driver.set_up(0, 16);
    driver.request(0, &[&[0; 16]], &[512, 1]);
}

#[test]
fn interrupt_is_a_level_until_acknowledged() {
    for version in BOTH {
        let mut driver = Driver::start(version, disk(), 0);
        driver.request(0, &[&[0; 16]], &[512, 1]);
        assert!(driver.line.high());
        driver.set(INTERRUPT_ACK, INT_CONFIG);
        assert!(driver.line.high());
        assert_eq!(driver.acknowledge(), INT_USED);
        assert!(!driver.line.high());
        assert_eq!(driver.get(INTERRUPT_STATUS), 0);
    }
}

#[test]
fn what_is_still_pending_makes_another_edge() {
    let mut driver = Driver::start(Version::Modern, disk(), 0);
    driver.request(0, &[&[0; 16]], &[512, 1]);
    driver
        .transport
        .with_device(|_, queues| queues.config_changed());
    let edges = driver.line.edges();
    driver.set(INTERRUPT_ACK, INT_USED);
    assert!(driver.line.high());
    assert_eq!(driver.line.edges(), edges + 1);
    assert_eq!(driver.acknowledge(), INT_CONFIG);
    assert!(!driver.line.high());
}

#[test]
fn configuration_change_changes_the_generation() {
    let mut driver = Driver::start(Version::Modern, disk(), 0);
    let before = driver.get(CONFIG_GENERATION);
    driver.transport.with_device(|disk, queues| {
        disk.backend_mut().bytes.resize(512, 0);
        queues.config_changed();
    });
    assert_ne!(driver.get(CONFIG_GENERATION), before);
    assert_eq!(driver.get(CONFIG), 1);
    assert_eq!(driver.acknowledge(), INT_CONFIG);
}

#[test]
fn queue_can_be_reset_alone() {
    let mut driver = Driver::start(Version::Modern, disk(), u64::MAX);
    driver.request(0, &[&[0; 16]], &[512, 1]);
    driver.set(QUEUE_SEL, 0);
    driver.set(QUEUE_RESET, 1);
    assert_eq!(driver.get(QUEUE_RESET), 0);
    assert_eq!(driver.get(QUEUE_READY), 0);
    driver.ram.write(BASE, &[0; 0x1_0000]).unwrap();
    driver.set_up(0, 4);
    assert_eq!(driver.request(0, &[&[0; 16]], &[512, 1]).0, 513);
}

#[test]
fn queue_in_use_keeps_its_place() {
    let mut driver = Driver::start(Version::Modern, disk(), 0);
    driver.set(QUEUE_SEL, 0);
    driver.set(QUEUE_NUM, 2);
    driver.set(QUEUE_DESC_LOW, 0);
    assert_eq!(driver.request(0, &[&[0; 16]], &[512, 1]).0, 513);
    driver.set(QUEUE_READY, 0);
    assert_eq!(driver.get(QUEUE_READY), 0);
    driver.notify(0);
    assert_eq!(driver.take(0), None);
}

#[test]
fn bad_layouts_are_refused() {
    let layouts: [(u32, u64, u64, u64); 6] = [
        (3, BASE, BASE, BASE),
        (0, BASE, BASE, BASE),
        (512, BASE, BASE, BASE),
        (16, BASE + 8, BASE, BASE),
        (16, BASE, BASE + 1, BASE),
        (16, BASE, BASE, u64::MAX - 3),
    ];
    for (size, desc, avail, used) in layouts {
        let mut driver = Driver::cold(Version::Modern, disk());
        driver.negotiate(0);
        driver.select(0);
        driver.set(QUEUE_NUM, size);
        for (register, address) in [
            (QUEUE_DESC_LOW, desc),
            (QUEUE_DRIVER_LOW, avail),
            (QUEUE_DEVICE_LOW, used),
        ] {
            driver.set(register, address as u32);
            driver.set(register + 4, (address >> 32) as u32);
        }
        driver.set(QUEUE_READY, 1);
        assert_eq!(
            driver.get(QUEUE_READY),
            0,
            "{size} {desc:#x} {avail:#x} {used:#x}"
        );
        assert_ne!(driver.get(STATUS) & STATUS_NEEDS_RESET, 0);
    }
}

#[test]
fn no_shared_memory() {
    let mut driver = Driver::cold(Version::Modern, disk());
    assert_eq!(driver.get(SHM_LEN_LOW), u32::MAX);
    assert_eq!(driver.get(SHM_LEN_HIGH), u32::MAX);
}
