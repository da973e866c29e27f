//! Disks whose requests are handed off and finished later, and requests to discard and to make zero.

use super::devices::header;
use super::*;
use crate::virtio::block::Request;
use crate::virtio::block::spec::*;
use crate::virtio::{Progress, QueueError};

/// A disk that keeps what it is handed off, and can discard.
#[derive(Default)]
struct Later {
    disk: Disk,
    handed_off: Vec<Request>,
    stopped: usize,
    discarded: Vec<(u64, u64)>,
    zeroed: Vec<(u64, u64, bool)>,
}

impl BlockBackend for Later {
    fn len(&self) -> u64 {
        self.disk.len()
    }
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), BlockError> {
        self.disk.read_at(offset, buf)
    }
    fn write_at(&mut self, offset: u64, buf: &[u8]) -> Result<(), BlockError> {
        self.disk.write_at(offset, buf)
    }
    fn flush(&mut self) -> Result<(), BlockError> {
        self.disk.flush()
    }
    fn read_only(&self) -> bool {
        self.disk.read_only
    }
    fn can_discard(&self) -> bool {
        true
    }
    fn discard(&mut self, offset: u64, len: u64) -> Result<(), BlockError> {
        self.discarded.push((offset, len));
        self.disk.range(offset, len as usize).map(|_| ())
    }
    fn write_zeroes(&mut self, offset: u64, len: u64, unmap: bool) -> Result<(), BlockError> {
        self.zeroed.push((offset, len, unmap));
        self.disk.range(offset, len as usize).map(|_| ())
    }
    fn hand_off(&mut self, request: Request) -> Option<Request> {
        self.handed_off.push(request);
        None
    }
    fn stopped(&mut self, _queue: usize) {
        self.stopped += 1;
    }
}

const SECTORS: u64 = 16 << 10;

/// Each sector is filled with its number plus one.
fn contents() -> Disk {
    Disk {
        bytes: (0..SECTORS * 512).map(|i| (i / 512 + 1) as u8).collect(),
        ..Disk::default()
    }
}

fn later() -> Block<Later> {
    let later = Later {
        disk: contents(),
        ..Later::default()
    };
    Block::new(later, "later")
}

type Guest = Driver<Block<Later>>;

fn start(version: Version) -> Guest {
    Driver::start(version, later(), u64::MAX)
}

/// Takes a request that was handed off.
fn take(driver: &mut Guest, index: usize) -> Request {
    driver
        .transport
        .with_device(|disk, _| disk.backend_mut().handed_off.remove(index))
}

/// Serves it, as another thread would, without the device.
fn serve(driver: &Guest, request: &mut Request) -> Result<(), QueueError> {
    let mut disk = contents();
    let mut buffer = [0; 700];
    while request.step(&mut disk, &*driver.ram, &mut buffer)? == Progress::More {}
    Ok(())
}

fn finish(driver: &mut Guest, request: Request) {
    driver
        .transport
        .serve(|_, queues| request.finish(queues, Ok(())));
}

#[test]
fn requests_are_finished_in_any_order() {
    for version in BOTH {
        let mut driver = Driver::start(version, later(), !F_EVENT_IDX);
        let posted = [5, 6, 7].map(|sector| driver.post(0, &[&header(T_IN, sector)], &[1024, 1]));
        driver.notify(0);
        assert_eq!(driver.take(0), None, "nothing is done yet");
        assert!(!driver.line.high());
        for (index, expected) in [(1, 1), (1, 2), (0, 0)] {
            let mut request = take(&mut driver, index);
            serve(&driver, &mut request).unwrap();
            assert_eq!(driver.take(0), None);
            finish(&mut driver, request);
            assert!(driver.line.high());
            driver.acknowledge();
            let (head, written) = driver.take(0).expect("it is handed back");
            let at = posted.iter().position(|posted| posted.head == head);
            let at = at.expect("one that was posted");
            assert_eq!((written, at), (1025, expected));
            let data = driver.contents(&posted[at]);
            assert_eq!(data[..512], [at as u8 + 6; 512]);
            assert_eq!(data[512..1024], [at as u8 + 7; 512]);
            assert_eq!(data[1024], S_OK);
        }
    }
}

#[test]
fn what_needs_no_backend_is_not_handed_off() {
    let mut driver = start(Version::Modern);
    let (_, id) = driver.request(0, &[&header(T_GET_ID, 0)], &[20, 1]);
    assert_eq!(id[..5], *b"later");
    for (kind, sector, status) in [(99, 0, S_UNSUPP), (T_IN, u64::MAX, S_IOERR)] {
        let (_, data) = driver.request(0, &[&header(kind, sector)], &[512, 1]);
        assert_eq!(data[512], status);
    }
}

#[test]
fn requests_of_an_earlier_use_of_the_queue_are_void() {
    type Stop = fn(&mut Guest);
    let reset: Stop = |driver| driver.set(STATUS, 0);
    let power: Stop = |driver| driver.transport.reset();
    let disable: Stop = |driver| {
        driver.select(0);
        driver.set(QUEUE_READY, 0);
    };
    let ring_reset: Stop = |driver| {
        driver.select(0);
        driver.set(QUEUE_RESET, 1);
    };
    let unmap: Stop = |driver| {
        driver.select(0);
        driver.set(QUEUE_PFN, 0);
    };
    for (version, stop, whole) in [
        (Version::Modern, reset, true),
        (Version::Modern, power, true),
        (Version::Modern, disable, false),
        (Version::Modern, ring_reset, false),
        (Version::Legacy, reset, true),
        (Version::Legacy, unmap, false),
    ] {
        let mut driver = start(version);
        let posted = driver.post(0, &[&header(T_IN, 1)], &[512, 1]);
        driver.notify(0);
        let mut request = take(&mut driver, 0);
        serve(&driver, &mut request).unwrap();
        let before = driver.stops();
        stop(&mut driver);
        assert!(driver.stops() > before, "the backend is told");
        let used = driver.rings[0].used;
        if whole {
            driver.negotiate(u64::MAX);
        }
        driver.ram.write(used, &[0; 512]).unwrap();
        driver.ram.write(driver.rings[0].avail, &[0; 64]).unwrap();
        driver.set_up(0, 16);
        if whole {
            driver.add_status(STATUS_DRIVER_OK);
        }
        finish(&mut driver, request);
        assert_eq!(driver.ram.u16(used + 2), 0, "not in the used ring");
        assert_eq!(driver.contents(&posted)[512], 0, "no status");
        assert_eq!(driver.get(INTERRUPT_STATUS), 0);
        // The queue works, from its beginning.
        let posted = driver.post(0, &[&header(T_IN, 2)], &[512, 1]);
        driver.notify(0);
        let mut request = take(&mut driver, 0);
        serve(&driver, &mut request).unwrap();
        finish(&mut driver, request);
        assert_eq!(driver.take(0), Some((posted.head, 513)));
    }
}

#[test]
fn a_driver_has_no_more_requests_in_flight_than_descriptors() {
    let mut driver = start(Version::Modern);
    let posted = driver.post(0, &[&header(T_FLUSH, 0)], &[1]);
    for _ in 0..15 {
        driver.publish(0, posted.head);
    }
    driver.notify(0);
    let count = |driver: &Guest| driver.transport.device().backend().handed_off.len();
    assert_eq!((count(&driver), driver.transport.error()), (16, None));
    // The same descriptor again, while all sixteen are still taken.
    driver.publish(0, posted.head);
    driver.notify(0);
    assert_eq!(count(&driver), 16);
    assert_eq!(driver.transport.error(), Some(QueueError::AvailableIndex));
}

#[test]
fn a_bad_address_that_is_found_later_breaks_the_queue() {
    let mut driver = start(Version::Modern);
    driver.indirect = true;
    driver.post(0, &[&header(T_IN, 1)], &[512, 1]);
    // The address of the buffer, in the second descriptor of the table that the first leads to.
    let first = driver.ram.bytes(driver.rings[0].desc, 8);
    let table = u64::from_le_bytes(first.try_into().unwrap());
    driver.ram.write(table + 16, &[0xff; 7]).unwrap();
    driver.notify(0);
    let mut request = take(&mut driver, 0);
    let error = serve(&driver, &mut request).unwrap_err();
    assert!(matches!(error, QueueError::Memory(_)));
    let late = request.clone();
    driver
        .transport
        .serve(|_, queues| request.finish(queues, Err(error)));
    assert_eq!(driver.transport.error(), Some(error));
    assert_ne!(driver.get(STATUS) & STATUS_NEEDS_RESET, 0);
    // An error of a request that the driver does not wait for is nobody's.
    driver.set(STATUS, 0);
    assert_eq!(driver.transport.error(), None);
    driver
        .transport
        .serve(|_, queues| late.finish(queues, Err(error)));
    assert_eq!(driver.transport.error(), None);
}

fn range(sector: u64, sectors: u32, flags: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&sector.to_le_bytes());
    bytes[8..12].copy_from_slice(&sectors.to_le_bytes());
    bytes[12..].copy_from_slice(&flags.to_le_bytes());
    bytes
}

/// Has a request to discard or to make zero served by the device's own backend; its status.
fn clear(driver: &mut Guest, kind: u32, ranges: &[u8]) -> u8 {
    let posted = driver.post(0, &[&header(kind, 0), ranges], &[1]);
    driver.notify(0);
    driver.transport.serve(|disk, queues| {
        let Some(mut request) = disk.backend_mut().handed_off.pop() else {
            return Ok(());
        };
        let memory = queues.memory();
        while request.step(disk.backend_mut(), memory, &mut [0; 512])? == Progress::More {}
        request.finish(queues, Ok(()))
    });
    assert_eq!(driver.take(0), Some((posted.head, 1)));
    driver.contents(&posted)[0]
}

#[test]
fn ranges_are_discarded_and_made_zero() {
    let mut driver = start(Version::Modern);
    assert_ne!(driver.offered() & F_DISCARD, 0);
    assert_ne!(driver.offered() & F_WRITE_ZEROES, 0);
    for at in [CONFIG_MAX_DISCARD_SECTORS, CONFIG_MAX_ZEROES_SECTORS] {
        assert_eq!(driver.get(CONFIG + at as u64), 1 << 21);
    }
    let two = [range(8, 16, 0), range(SECTORS - 1, 1, 0)].concat();
    assert_eq!(clear(&mut driver, T_DISCARD, &two), S_OK);
    assert_eq!(
        driver.transport.device().backend().discarded,
        [(8 * 512, 16 * 512), ((SECTORS - 1) * 512, 512)]
    );
    // 5 MiB, then a sector, the second so that it may be given back.
    let two = [range(0, 10 << 10, 0), range(3, 1, RANGE_UNMAP)].concat();
    assert_eq!(clear(&mut driver, T_WRITE_ZEROES, &two), S_OK);
    assert_eq!(
        driver.transport.device().backend().zeroed,
        [
            (0, 4 << 20, false),
            (4 << 20, 1 << 20, false),
            (3 * 512, 512, true)
        ]
    );
}

#[test]
fn ranges_that_are_wrong_are_refused() {
    let mut driver = start(Version::Modern);
    let beyond = range(SECTORS, 1, 0);
    let wraps = range(u64::MAX, u32::MAX, 0);
    let many = range(0, 0, 0).repeat(17);
    let (unmap, unknown) = (range(0, 1, RANGE_UNMAP), range(0, 1, 2));
    for (kind, ranges, status) in [
        (T_DISCARD, &beyond[..], S_IOERR),
        (T_DISCARD, &wraps, S_IOERR),
        (T_WRITE_ZEROES, &wraps, S_IOERR),
        (T_DISCARD, &[], S_IOERR),
        (T_DISCARD, &beyond[..15], S_IOERR),
        (T_DISCARD, &many, S_IOERR),
        (T_DISCARD, &unmap, S_UNSUPP),
        (T_WRITE_ZEROES, &unknown, S_UNSUPP),
    ] {
        assert_eq!(
            clear(&mut driver, kind, ranges),
            status,
            "{kind} {ranges:?}"
        );
    }
    let backend = driver.transport.device().backend();
    assert!(backend.discarded.is_empty() && backend.zeroed.is_empty());
}

impl Guest {
    fn stops(&self) -> usize {
        self.transport.device().backend().stopped
    }
}
