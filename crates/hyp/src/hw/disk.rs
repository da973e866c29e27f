//! The board's virtio disks, by virtio-mmio (VIRTIO 1.2, sections 4.2 and 5.2). One request at a
//! time, whose end the core waits for: asleep, if the disk has an interrupt.

use core::ptr::NonNull;

use skep_board::virtio::block::spec::{F_FLUSH, F_RO, S_OK, SECTOR, T_FLUSH, T_IN, T_OUT};
use skep_hyp::bus::Interrupt;
use skep_hyp::platform::Range;
use skep_hyp::spec::timer;
use skep_hyp::tables::PAGE;
use spin::Mutex;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::{DeviceStatus, DeviceType, Transport};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

use super::{cp15, gic};

/// VIRTIO_F_VERSION_1.
const F_VERSION_1: u64 = 1 << 32;
/// The one queue.
const QUEUE: u16 = 0;
/// Descriptors: header, data, status.
const QUEUE_SIZE: usize = 4;
/// Bytes that a request moves at most.
const CHUNK: usize = 16 << 10;
/// A disk that takes longer than this has failed, seconds.
const PATIENCE: u64 = 5;

/// Bytes of memory that a disk takes.
pub const MEMORY: u64 = QUEUE_MEMORY + (size_of::<Buffers>() as u64).next_multiple_of(PAGE);
/// Bytes for the queue: in its older layout three pages, in the newer two.
const QUEUE_MEMORY: u64 = 4 * PAGE;

/// What a request consists of.
#[repr(C, align(4096))]
struct Buffers {
    data: [u8; CHUNK],
    header: [u8; 16],
    status: [u8; 1],
}

/// Memory for queues: where the next page is, and the end.
static POOL: Mutex<(u64, u64)> = Mutex::new((0, 0));

/// Memory that devices reach.
struct Dma;

// SAFETY: pages come from the pool once each, are cleared, and are RAM that is mapped to itself;
// devices see what is in the caches, by the contract of `Disk::new`.
unsafe impl Hal for Dma {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let mut pool = POOL.lock();
        let size = (pages * PAGE_SIZE) as u64;
        let (next, end) = *pool;
        let at = core::ptr::with_exposed_provenance_mut::<u8>(next as usize);
        match NonNull::new(at) {
            Some(at) if end - next >= size => {
                pool.0 += size;
                // SAFETY: pages of the pool, which nobody else has.
                unsafe { at.write_bytes(0, size as usize) };
                (next, at)
            }
            // An address of 0 is the caller's sign of failure.
            _ => (0, NonNull::dangling()),
        }
    }

    unsafe fn dma_dealloc(_paddr: PhysAddr, _vaddr: NonNull<u8>, _pages: usize) -> i32 {
        // A disk is for good. What one had that did not start is lost.
        0
    }

    unsafe fn mmio_phys_to_virt(_paddr: PhysAddr, _size: usize) -> NonNull<u8> {
        // Only devices behind PCI have registers that are found in this way.
        NonNull::dangling()
    }

    unsafe fn share(buffer: NonNull<[u8]>, _direction: BufferDirection) -> PhysAddr {
        // Of `Buffers`, which are mapped to themselves.
        buffer.addr().get() as PhysAddr
    }

    unsafe fn unshare(_paddr: PhysAddr, _buffer: NonNull<[u8]>, _direction: BufferDirection) {}
}

/// A disk.
pub struct Disk {
    transport: MmioTransport<'static>,
    queue: VirtQueue<Dma, QUEUE_SIZE>,
    buffers: &'static mut Buffers,
    sectors: u64,
    features: u64,
    /// The interrupt that it has for itself.
    interrupt: Option<u32>,
    failed: bool,
}

/// A request that did not succeed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failed;

impl Disk {
    /// The disk whose registers are mapped at this virtual address, if a disk is there that works,
    /// with [`MEMORY`] bytes of memory. The interrupt is an SPI that no other device has; without one
    /// the end of a request is polled for.
    ///
    /// # Safety
    ///
    /// Registers of virtio-mmio are there for good, as device memory, and nothing else uses them. The
    /// memory is RAM that is mapped to itself, belongs to nothing else, and the device's accesses to it
    /// see what is in the caches.
    pub unsafe fn new(
        registers: NonNull<u8>,
        size: usize,
        memory: Range,
        interrupt: Option<Interrupt>,
    ) -> Option<Self> {
        // SAFETY: by this function's contract.
        let mut transport = unsafe { MmioTransport::new(registers.cast(), size) }.ok()?;
        if transport.device_type() != DeviceType::Block {
            return None;
        }
        *POOL.lock() = (memory.base, memory.base + QUEUE_MEMORY);
        let at = (memory.base + QUEUE_MEMORY) as usize;
        let mut buffers = NonNull::new(core::ptr::with_exposed_provenance_mut::<Buffers>(at))?;
        // SAFETY: by this function's contract; any bytes are `Buffers`, and these are cleared.
        let buffers = unsafe {
            buffers.write_bytes(0, 1);
            buffers.as_mut()
        };
        let status = DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER;
        transport.set_status(DeviceStatus::empty());
        transport.set_status(status);
        let features = transport.read_device_features() & (F_VERSION_1 | F_RO | F_FLUSH);
        transport.write_driver_features(features);
        let status = status | DeviceStatus::FEATURES_OK;
        transport.set_status(status);
        transport.set_guest_page_size(PAGE_SIZE as u32);
        let sectors = transport
            .read_consistent(|| transport.read_config_space::<[u32; 2]>(0))
            .map(|[low, high]| u64::from(high) << 32 | u64::from(low))
            .ok()?;
        let queue = VirtQueue::new(&mut transport, QUEUE, false, false).ok()?;
        transport.set_status(status | DeviceStatus::DRIVER_OK);
        if let Some(interrupt) = interrupt {
            gic::disable(interrupt.id);
            gic::configure(interrupt.id, interrupt.edge);
        }
        Some(Disk {
            transport,
            queue,
            buffers,
            sectors,
            features,
            interrupt: interrupt.map(|interrupt| interrupt.id),
            failed: false,
        })
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        self.sectors.saturating_mul(SECTOR)
    }

    /// It can't be written.
    pub fn read_only(&self) -> bool {
        self.features & F_RO != 0
    }

    /// Reads from byte `offset` on; that and the length are multiples of a sector.
    pub fn read(&mut self, mut offset: u64, buffer: &mut [u8]) -> Result<(), Failed> {
        for part in buffer.chunks_mut(CHUNK) {
            self.request(T_IN, offset, part.len())?;
            part.copy_from_slice(self.buffers.data.get(..part.len()).ok_or(Failed)?);
            offset += part.len() as u64;
        }
        Ok(())
    }

    /// Writes at byte `offset`; that and the length are multiples of a sector.
    pub fn write(&mut self, mut offset: u64, bytes: &[u8]) -> Result<(), Failed> {
        for part in bytes.chunks(CHUNK) {
            let data = self.buffers.data.get_mut(..part.len()).ok_or(Failed)?;
            data.copy_from_slice(part);
            self.request(T_OUT, offset, part.len())?;
            offset += part.len() as u64;
        }
        Ok(())
    }

    /// Makes what was written outlive a loss of power.
    pub fn flush(&mut self) -> Result<(), Failed> {
        if self.features & F_FLUSH == 0 {
            return Ok(());
        }
        self.request(T_FLUSH, 0, 0)
    }

    /// Has the device do something with the first `length` bytes of the data.
    fn request(&mut self, kind: u32, offset: u64, length: usize) -> Result<(), Failed> {
        if self.failed {
            return Err(Failed);
        }
        let Buffers {
            data,
            header,
            status,
        } = &mut *self.buffers;
        header[..4].copy_from_slice(&kind.to_le_bytes());
        header[8..].copy_from_slice(&(offset / SECTOR).to_le_bytes());
        status[0] = !S_OK;
        let data = data.get_mut(..length).ok_or(Failed)?;
        let sleep = self.interrupt.is_some();
        let device = (&mut self.queue, &mut self.transport);
        if let Some(id) = self.interrupt {
            gic::enable_here(id);
        }
        let done = match kind {
            T_IN => exchange(device, &[header], &mut [data, status], sleep),
            T_OUT => exchange(device, &[header, data], &mut [status], sleep),
            _ => exchange(device, &[header], &mut [status], sleep),
        };
        // The line goes low.
        self.transport.ack_interrupt();
        if let Some(id) = self.interrupt {
            gic::disable(id);
        }
        if done.is_err() {
            self.failed = true;
            return Err(Failed);
        }
        if self.buffers.status == [S_OK] {
            Ok(())
        } else {
            Err(Failed)
        }
    }
}

/// Hands the device buffers to read and to write, and waits until it has done so, asleep if its
/// interrupt comes to this core. After an error they may be in use still.
fn exchange<'a>(
    (queue, transport): (&mut VirtQueue<Dma, QUEUE_SIZE>, &mut MmioTransport<'static>),
    inputs: &'a [&'a [u8]],
    outputs: &'a mut [&'a mut [u8]],
    sleep: bool,
) -> Result<(), Failed> {
    // SAFETY: the buffers are a disk's, there for good, and used again only after the request's end: a
    // disk that does not end one has failed.
    let token = unsafe { queue.add(inputs, outputs) }.map_err(|_| Failed)?;
    transport.notify(QUEUE);
    if !wait(|| queue.can_pop(), sleep) {
        return Err(Failed);
    }
    // SAFETY: the buffers of this request, the only one.
    unsafe { queue.pop_used(token, inputs, outputs) }
        .map(|_| ())
        .map_err(|_| Failed)
}

/// Waits until `done`; false if that takes longer than [`PATIENCE`]. To sleep, the disk's interrupt has
/// to come to this core. Interrupts are masked, and wake it all the same; others than the disk's wait.
fn wait(done: impl Fn() -> bool, sleep: bool) -> bool {
    let end = cp15::cntpct::read() + PATIENCE * u64::from(cp15::cntfrq::read());
    let expired = || cp15::cntpct::read() > end;
    if !sleep {
        while !done() && !expired() {}
        return done();
    }
    // The scheduler's alarm waits, too.
    let (control, compare) = (cp15::cnthp_ctl::read(), cp15::cnthp_cval::read());
    cp15::cnthp_cval::write(end);
    cp15::cnthp_ctl::write(timer::ENABLE);
    cp15::isb();
    gic::only_urgent(true);
    while !done() && !expired() {
        cp15::wfi();
    }
    gic::only_urgent(false);
    cp15::cnthp_cval::write(compare);
    cp15::cnthp_ctl::write(control);
    cp15::isb();
    done()
}
