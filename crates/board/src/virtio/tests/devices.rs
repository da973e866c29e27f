//! Requests against each device, in both versions.

use super::*;
use crate::pl011::ConsoleOut;
use crate::virtio::QueueError;
use crate::virtio::block::spec::*;
use crate::virtio::console::{Console, F_EMERG_WRITE, F_SIZE, RECEIVE, TRANSMIT};
use crate::virtio::rng::Rng;

pub fn header(kind: u32, sector: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&kind.to_le_bytes());
    bytes[8..].copy_from_slice(&sector.to_le_bytes());
    bytes
}

/// Runs a test in both versions, with and without indirect descriptors.
fn with_disk(device: fn() -> Block<Disk>, wanted: u64, test: impl Fn(&mut Driver<Block<Disk>>)) {
    for version in BOTH {
        for indirect in [false, true] {
            let mut driver = Driver::start(version, device(), wanted);
            driver.indirect = indirect;
            test(&mut driver);
            assert_eq!(driver.get(STATUS) & STATUS_NEEDS_RESET, 0);
        }
    }
}

#[test]
fn disk_reads() {
    with_disk(disk, u64::MAX, |driver| {
        let (written, data) = driver.request(0, &[&header(T_IN, 2)], &[1024, 1]);
        assert_eq!(written, 1025);
        assert_eq!(data[..512], [3; 512]);
        assert_eq!(data[512..1024], [4; 512]);
        assert_eq!(data[1024], S_OK);
    });
}

#[test]
fn disk_does_not_mind_framing() {
    with_disk(disk, u64::MAX, |driver| {
        let header = header(T_IN, 7);
        let (written, data) = driver.request(
            0,
            &[&header[..3], &header[3..3], &header[3..]],
            &[1, 500, 12],
        );
        assert_eq!(written, 513);
        assert_eq!(data[..512], [8; 512]);
        assert_eq!(data[512], S_OK);
        let mut output = [0xa5; 16 + 512];
        output[..16].copy_from_slice(&self::header(T_OUT, 0));
        assert_eq!(driver.request(0, &[&output], &[1]), (1, vec![S_OK]));
        assert_eq!(
            driver.transport.device().backend().bytes[..512],
            [0xa5; 512]
        );
    });
}

#[test]
fn disk_moves_more_than_its_buffer_holds() {
    fn large() -> Block<Disk> {
        let bytes = (0..200 << 10).map(|i: u32| (i / 7) as u8).collect();
        Block::new(
            Disk {
                bytes,
                ..Disk::default()
            },
            "",
        )
    }
    with_disk(large, u64::MAX, |driver| {
        let before = driver.transport.device().backend().bytes.clone();
        let (written, mut data) =
            driver.request(0, &[&header(T_IN, 0)], &[100 << 10, 100 << 10, 1]);
        assert_eq!(written, (200 << 10) + 1);
        assert_eq!(data.pop(), Some(S_OK));
        assert!(data == before);
        data.reverse();
        let (_, status) = driver.request(0, &[&header(T_OUT, 0), &data], &[1]);
        assert_eq!(status, [S_OK]);
        assert!(driver.transport.device().backend().bytes == data);
    });
}

#[test]
fn disk_writes_and_flushes() {
    with_disk(disk, u64::MAX, |driver| {
        let answer = driver.request(0, &[&header(T_OUT, 1), &[7; 300], &[8; 212]], &[1]);
        assert_eq!(answer, (1, vec![S_OK]));
        let backend = driver.transport.device().backend();
        assert_eq!(
            backend.bytes[511..813],
            [&[1][..], &[7; 300], &[8]].concat()
        );
        assert_eq!(backend.bytes[1023..1025], [8, 3]);
        assert_eq!(backend.flushes, 0);
        assert_eq!(
            driver.request(0, &[&header(T_FLUSH, 0)], &[1]),
            (1, vec![S_OK])
        );
        assert_eq!(driver.transport.device().backend().flushes, 1);
    });
}

#[test]
fn disk_writes_through_for_drivers_that_cannot_flush() {
    with_disk(disk, F_INDIRECT_DESC, |driver| {
        driver.request(0, &[&header(T_OUT, 1), &[7; 512]], &[1]);
        assert_eq!(driver.transport.device().backend().flushes, 1);
    });
}

#[test]
fn disk_ends() {
    with_disk(disk, u64::MAX, |driver| {
        for sector in [7, 8, 1 << 55, 1 << 63, u64::MAX] {
            let (written, data) = driver.request(0, &[&header(T_IN, sector)], &[1024, 1]);
            assert_eq!((written, data[1024]), (0, S_IOERR));
            assert_eq!(data[..512], [0; 512], "nothing is read");
            let (_, data) = driver.request(0, &[&header(T_OUT, sector), &[0; 1024]], &[1]);
            assert_eq!(data, [S_IOERR]);
        }
        let part = driver.request(0, &[&header(T_IN, 0)], &[100, 1]);
        assert_eq!((part.0, part.1[100]), (0, S_IOERR), "not a whole sector");
        assert_eq!(
            driver.transport.device().backend().bytes[7 * 512..],
            [8; 512]
        );
    });
}

#[test]
fn disk_errors() {
    with_disk(disk, u64::MAX, |driver| {
        driver
            .transport
            .with_device(|disk, _| disk.backend_mut().broken = true);
        assert_eq!(
            driver.request(0, &[&header(T_IN, 0)], &[512, 1]).1[512],
            S_IOERR
        );
        assert_eq!(
            driver.request(0, &[&header(T_OUT, 0), &[0; 512]], &[1]).1,
            [S_IOERR]
        );
        assert_eq!(driver.request(0, &[&header(T_FLUSH, 0)], &[1]).1, [S_IOERR]);
        assert_eq!(
            driver.request(0, &[&header(11, 0), &[0; 16]], &[1]).1,
            [S_UNSUPP]
        );
    });
}

#[test]
fn disk_puts_requests_off_for_a_pause() {
    with_disk(disk, !F_EVENT_IDX, |driver| {
        let set = |driver: &mut Driver<Block<Disk>>, credit| {
            driver
                .transport
                .with_device(|disk, _| disk.backend_mut().credit = credit);
        };
        set(driver, Some(1));
        let posted = [0, 1, 2].map(|sector| driver.post(0, &[&header(T_IN, sector)], &[512, 1]));
        driver.notify(0);
        assert_eq!(driver.take(0), Some((posted[0].head, 513)));
        assert_eq!(driver.take(0), None);
        set(driver, None);
        driver.acknowledge();
        driver.transport.resume();
        for (posted, sector) in posted.iter().zip(1..).skip(1) {
            assert_eq!(driver.take(0), Some((posted.head, 513)));
            assert_eq!(driver.contents(posted)[..512], [sector; 512]);
        }
        assert_eq!(driver.get(INTERRUPT_STATUS), INT_USED);
    });
}

#[test]
fn disk_read_only() {
    fn read_only() -> Block<Disk> {
        Block::new(
            Disk {
                bytes: vec![1; 512],
                read_only: true,
                ..Disk::default()
            },
            "",
        )
    }
    with_disk(read_only, u64::MAX, |driver| {
        assert_ne!(driver.offered() & F_RO, 0);
        assert_eq!(
            driver.request(0, &[&header(T_OUT, 0), &[0; 512]], &[1]).1,
            [S_IOERR]
        );
        assert_eq!(
            driver.request(0, &[&header(T_IN, 0)], &[512, 1]).1[510..],
            [1, 1, S_OK]
        );
    });
}

#[test]
fn disk_has_a_serial_number() {
    with_disk(disk, u64::MAX, |driver| {
        let (written, data) = driver.request(0, &[&header(T_GET_ID, 0)], &[20, 1]);
        assert_eq!((written, &data[..]), (21, &b"serial-0123456789-an\0"[..]));
        let (_, data) = driver.request(0, &[&header(T_GET_ID, 0)], &[6, 1]);
        assert_eq!(data, b"serial\0");
        let (written, data) = driver.request(0, &[&header(T_GET_ID, 0)], &[30, 1]);
        assert_eq!((written, data[20], data[30]), (20, 0, S_OK));
    });
}

#[test]
fn disk_configuration() {
    for version in BOTH {
        let mut driver = Driver::cold(version, disk());
        assert_eq!(driver.get(CONFIG), 8);
        assert_eq!(driver.get(CONFIG + 4), 0);
        assert_eq!(driver.get(CONFIG + CONFIG_SEG_MAX as u64), 254);
        assert_eq!(driver.get(CONFIG + CONFIG_BLK_SIZE as u64), 512);
        assert_eq!(
            driver
                .transport
                .read(CONFIG + CONFIG_BLK_SIZE as u64 + 1, 1),
            2
        );
        assert_eq!(
            driver.transport.read(CONFIG + CONFIG_BLK_SIZE as u64, 2),
            512
        );
        assert_eq!(driver.get(CONFIG + 0xfc), 0);
    }
}

#[test]
fn many_requests_wrap_around_the_ring() {
    with_disk(disk, u64::MAX, |driver| {
        for i in 0..70_000u32 {
            let sector = u64::from(i % 8);
            let posted = driver.post(0, &[&header(T_IN, sector)], &[512, 1]);
            driver.notify(0);
            assert_eq!(driver.take(0), Some((posted.head, 513)));
            if i % 1000 < 8 {
                assert_eq!(driver.contents(&posted)[0], sector as u8 + 1);
            }
        }
    });
}

#[test]
fn rng_fills_buffers() {
    for version in BOTH {
        let mut next = 0u8;
        let source = move |buf: &mut [u8]| {
            for byte in buf {
                next = next.wrapping_add(1);
                *byte = next;
            }
        };
        let mut driver = Driver::start(version, Rng::new(source), u64::MAX);
        assert_eq!(driver.get(DEVICE_ID), ID_RNG);
        let (written, data) = driver.request(0, &[], &[3, 600]);
        assert_eq!(written, 603);
        assert!(
            data.iter()
                .enumerate()
                .all(|(i, byte)| *byte == (i as u8).wrapping_add(1))
        );
        let (written, _) = driver.request(0, &[], &[100 << 10]);
        assert_eq!(written, 64 << 10, "as much as one request is given");
        assert!(driver.line.high());
    }
}

type Output = Arc<Mutex<Vec<u8>>>;

struct Sink(Output);

impl ConsoleOut for Sink {
    fn put(&mut self, byte: u8) {
        self.0.lock().unwrap().push(byte);
    }
}

fn console(size: Option<(u16, u16)>) -> (Console<Sink>, Output) {
    let output = Output::default();
    (Console::new(Sink(output.clone()), size), output)
}

#[test]
fn console_transmits() {
    for version in BOTH {
        let (device, output) = console(None);
        let mut driver = Driver::start(version, device, u64::MAX);
        assert_eq!(driver.get(DEVICE_ID), ID_CONSOLE);
        assert_eq!(
            driver.request(TRANSMIT, &[b"Hello, ", b"world\n"], &[]).0,
            0
        );
        assert_eq!(*output.lock().unwrap(), b"Hello, world\n");
        driver.request(TRANSMIT, &[&[b'x'; 1000]], &[]);
        assert_eq!(output.lock().unwrap().len(), 1013);
    }
}

#[test]
fn console_refuses_endless_output() {
    let (device, output) = console(None);
    let mut driver = Driver::start(Version::Modern, device, u64::MAX);
    let quarter = 1 << 18;
    for i in 0..5 {
        let flags = if i < 4 { DESC_NEXT } else { 0 };
        let descriptor = Descriptor {
            addr: BUFFERS,
            len: quarter,
            flags,
            next: i + 1,
        };
        driver.write_descriptor(TRANSMIT, i, &descriptor);
    }
    driver.publish(TRANSMIT, 1);
    driver.notify(TRANSMIT);
    assert_eq!(output.lock().unwrap().len(), 1 << 20);
    driver.publish(TRANSMIT, 0);
    driver.notify(TRANSMIT);
    assert_eq!(driver.transport.error(), Some(QueueError::TooLong));
    assert_eq!(output.lock().unwrap().len(), 1 << 20);
}

#[test]
fn console_receives() {
    for version in BOTH {
        let (device, _) = console(None);
        let mut driver = Driver::start(version, device, u64::MAX);
        let first = driver.post(RECEIVE, &[], &[4]);
        let second = driver.post(RECEIVE, &[], &[2, 2]);
        driver.notify(RECEIVE);
        assert_eq!(driver.take(RECEIVE), None);
        assert_eq!(driver.transport.receive(b"abcdef"), 6);
        assert!(driver.line.high());
        assert_eq!(driver.take(RECEIVE), Some((first.head, 4)));
        assert_eq!(driver.take(RECEIVE), Some((second.head, 2)));
        assert_eq!(driver.contents(&first), b"abcd");
        assert_eq!(driver.contents(&second), b"ef\0\0");
    }
}

#[test]
fn console_input_waits_for_buffers() {
    for version in BOTH {
        let (device, _) = console(None);
        let mut driver = Driver::start(version, device, u64::MAX);
        assert_eq!(driver.transport.receive(&[b'y'; 5000]), 4096);
        assert_eq!(driver.transport.receive(b"z"), 0);
        let (written, data) = driver.request(RECEIVE, &[], &[4000]);
        assert_eq!((written, data), (4000, vec![b'y'; 4000]));
        assert_eq!(driver.transport.receive(b"z"), 1);
        let (written, data) = driver.request(RECEIVE, &[], &[200]);
        assert_eq!((written, &data[95..98]), (97, &b"yz\0"[..]));
    }
}

#[test]
fn console_input_before_the_driver_waits() {
    let (device, _) = console(None);
    let mut driver = Driver::cold(Version::Modern, device);
    assert_eq!(driver.transport.receive(b"early"), 5);
    assert!(!driver.line.high());
}

#[test]
fn console_has_a_size() {
    let (device, _) = console(Some((80, 25)));
    let mut driver = Driver::start(Version::Modern, device, u64::MAX);
    assert_ne!(driver.offered() & F_SIZE, 0);
    assert_eq!(driver.get(CONFIG), 25 << 16 | 80);
    driver.transport.resize(80, 25);
    assert_eq!(driver.get(INTERRUPT_STATUS), 0);
    driver.transport.resize(132, 43);
    assert_eq!(driver.acknowledge(), INT_CONFIG);
    assert_eq!(driver.transport.read(CONFIG, 2), 132);
    assert_eq!(driver.transport.read(CONFIG + 2, 2), 43);
    assert_eq!(driver.get(CONFIG + 4), 1);
}

#[test]
fn console_emergency_write() {
    let (device, output) = console(None);
    let mut driver = Driver::cold(Version::Modern, device);
    assert_eq!(driver.offered() & (F_EMERG_WRITE | F_SIZE), F_EMERG_WRITE);
    driver.set(CONFIG + 8, u32::from(b'!'));
    assert_eq!(*output.lock().unwrap(), b"!");
}
