//! virtio-mmio (VIRTIO 1.2, section 4.2): modern (version 2) and legacy (version 1).

use super::queue::{Queue, QueueError};
use super::spec::*;
use super::state::{QueueState, TransportState};
use super::{Queues, VirtioDevice};
use crate::{GuestMemory, IrqLine, MmioDevice};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Which of the two register interfaces a transport has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// Version 1, from before the standard (section 4.2.4).
    Legacy,
    /// Version 2 (section 4.2.2).
    Modern,
}

impl Version {
    fn number(self) -> u32 {
        match self {
            Version::Legacy => 1,
            Version::Modern => 2,
        }
    }
}

/// A slot without a device. Drivers look at its identity and leave it alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EmptySlot {
    version: Version,
}

impl EmptySlot {
    /// An empty slot.
    pub fn new(version: Version) -> Self {
        EmptySlot { version }
    }
}

impl MmioDevice for EmptySlot {
    fn read(&mut self, offset: u64, size: u8) -> u64 {
        u64::from(match offset {
            _ if size != 4 => 0,
            MAGIC_VALUE => MAGIC,
            VERSION => self.version.number(),
            VENDOR_ID => VENDOR,
            _ => 0,
        })
    }

    fn write(&mut self, _offset: u64, _size: u8, _value: u64) {}

    fn reset(&mut self) {}
}

/// A virtio-mmio transport with a device behind it.
pub struct Transport<D: VirtioDevice, M: GuestMemory, I: IrqLine> {
    device: D,
    memory: Arc<M>,
    irq: I,
    version: Version,
    queues: Vec<Queue>,
    status: u32,
    interrupt: u32,
    device_features_sel: u32,
    driver_features_sel: u32,
    driver_features: u64,
    queue_sel: u32,
    generation: u32,
    /// Legacy: the page size and each queue's alignment and page number.
    page_size: u32,
    legacy: Vec<LegacyQueue>,
    error: Option<QueueError>,
}

/// Where a legacy driver put a queue.
#[derive(Clone, Copy, Default)]
struct LegacyQueue {
    align: u32,
    pfn: u32,
}

impl<D: VirtioDevice, M: GuestMemory, I: IrqLine> Transport<D, M, I> {
    /// A transport after reset.
    pub fn new(version: Version, device: D, memory: Arc<M>, irq: I) -> Self {
        let queues: Vec<_> = device
            .queue_sizes()
            .iter()
            .map(|max| Queue::new(*max))
            .collect();
        let legacy = queues.iter().map(|_| LegacyQueue::default()).collect();
        Transport {
            device,
            memory,
            irq,
            version,
            queues,
            status: 0,
            interrupt: 0,
            device_features_sel: 0,
            driver_features_sel: 0,
            driver_features: 0,
            queue_sel: 0,
            generation: 0,
            page_size: 0,
            legacy,
            error: None,
        }
    }

    /// The device behind the transport.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// Which register interface this is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What was wrong with a queue, when the device asks for a reset because of it.
    pub fn error(&self) -> Option<QueueError> {
        self.error
    }

    /// Exports the state. Requests that were taken and not handed back are not part of it: whoever
    /// serves them must have finished.
    pub fn save(&self) -> TransportState<D::State> {
        let queues = self.queues.iter().zip(&self.legacy);
        TransportState {
            status: self.status,
            interrupt: self.interrupt,
            device_features_sel: self.device_features_sel,
            driver_features_sel: self.driver_features_sel,
            driver_features: self.driver_features,
            queue_sel: self.queue_sel,
            generation: self.generation,
            page_size: self.page_size,
            error: self.error,
            queues: queues
                .map(|(queue, legacy)| QueueState {
                    align: legacy.align,
                    pfn: legacy.pfn,
                    ..queue.save()
                })
                .collect(),
            device: self.device.save(),
        }
    }

    /// Takes over a state saved by a transport of the same version, and drives the interrupt line
    /// accordingly. Bits that a register does not have, and queues that the device does not have,
    /// are dropped; a queue that can't be is as one that the driver broke.
    pub fn restore(&mut self, state: &TransportState<D::State>) {
        let TransportState {
            status,
            interrupt,
            device_features_sel,
            driver_features_sel,
            driver_features,
            queue_sel,
            generation,
            page_size,
            error,
            queues,
            device,
        } = state;
        self.reset_device();
        self.status = status & 0xff;
        self.interrupt = interrupt & (INT_USED | INT_CONFIG);
        self.device_features_sel = *device_features_sel;
        self.driver_features_sel = *driver_features_sel;
        self.driver_features = *driver_features;
        self.queue_sel = *queue_sel;
        self.generation = *generation;
        self.page_size = *page_size;
        self.error = *error;
        let mut broken = None;
        let ours = self.queues.iter_mut().zip(&mut self.legacy);
        for ((queue, legacy), saved) in ours.zip(queues) {
            let QueueState { align, pfn, .. } = *saved;
            *legacy = LegacyQueue { align, pfn };
            if let Err(error) = queue.restore(saved) {
                broken = Some(error);
            }
        }
        if self.device.restore(device) {
            self.generation = self.generation.wrapping_add(1);
            if self.live() {
                self.interrupt |= INT_CONFIG;
            }
        }
        if let Some(error) = broken {
            self.fail(error);
        }
        self.irq.set(self.interrupt != 0);
    }

    /// Lets the host do something to the device, with its queues: hand it input, for example.
    /// Raises the interrupts that are due afterwards.
    pub fn with_device<R>(&mut self, act: impl FnOnce(&mut D, &mut Queues<'_>) -> R) -> R {
        let features = self.negotiated();
        let live = self.live();
        let mut queues = Queues {
            queues: &mut self.queues,
            memory: &*self.memory,
            features,
            live,
            config_changed: false,
        };
        let result = act(&mut self.device, &mut queues);
        let config_changed = queues.config_changed;
        if config_changed {
            self.generation = self.generation.wrapping_add(1);
            if live {
                self.interrupt |= INT_CONFIG;
            }
        }
        for queue in &mut self.queues {
            match queue.interrupt_due(&*self.memory, features) {
                Ok(true) => self.interrupt |= INT_USED,
                Ok(false) => {}
                Err(error) => {
                    self.fail(error);
                    break;
                }
            }
        }
        self.irq.set(self.interrupt != 0);
        result
    }

    /// As [`Transport::with_device`], for what uses queues: should it find one broken, the device
    /// stops and asks for a reset.
    pub fn serve(&mut self, act: impl FnOnce(&mut D, &mut Queues<'_>) -> Result<(), QueueError>) {
        if let Err(error) = self.with_device(act) {
            self.fail(error);
        }
    }

    /// Stops the device until the driver resets it (section 2.1.2).
    fn fail(&mut self, error: QueueError) {
        self.error = Some(error);
        self.status |= STATUS_NEEDS_RESET;
        if self.status & STATUS_DRIVER_OK != 0 {
            self.interrupt |= INT_CONFIG;
            self.irq.set(true);
        }
    }

    fn offered(&self) -> u64 {
        let rings = F_INDIRECT_DESC | F_EVENT_IDX;
        self.device.features()
            | match self.version {
                Version::Legacy => rings | F_ANY_LAYOUT,
                Version::Modern => rings | F_VERSION_1 | F_RING_RESET,
            }
    }

    fn negotiated(&self) -> u64 {
        // A legacy driver has no FEATURES_OK to say that it is done.
        if self.version == Version::Modern && self.status & STATUS_FEATURES_OK == 0 {
            return 0;
        }
        self.driver_features & self.offered()
    }

    /// Whether the device may use its queues. Legacy drivers use them before DRIVER_OK (section
    /// 3.1.2).
    fn live(&self) -> bool {
        let allowed = self.version == Version::Legacy || self.status & STATUS_DRIVER_OK != 0;
        allowed && self.status & STATUS_NEEDS_RESET == 0
    }

    fn queue(&self) -> Option<&Queue> {
        self.queues.get(self.queue_sel as usize)
    }

    /// The selected queue, if it may be configured: while it is in use it may not.
    fn idle_queue(&mut self) -> Option<&mut Queue> {
        self.queues
            .get_mut(self.queue_sel as usize)
            .filter(|queue| !queue.ready())
    }

    fn legacy_queue(&mut self) -> Option<&mut LegacyQueue> {
        self.legacy.get_mut(self.queue_sel as usize)
    }

    fn notify(&mut self, index: u32) {
        let index = index as usize;
        if self.live() && self.queues.get(index).is_some_and(Queue::ready) {
            self.serve(|device, queues| device.notify(index, queues));
        }
    }

    /// Stops using a queue in one of the ways that there are.
    fn stop_queue(&mut self, index: usize, how: fn(&mut Queue)) {
        if let Some(queue) = self.queues.get_mut(index) {
            self.device.stopped(index);
            how(queue);
        }
    }

    /// What a driver's reset does. The page size stays: Linux sets it once, before it resets.
    fn reset_device(&mut self) {
        self.device.reset();
        for index in 0..self.queues.len() {
            self.stop_queue(index, Queue::reset);
        }
        self.legacy.fill(LegacyQueue::default());
        self.status = 0;
        self.interrupt = 0;
        self.device_features_sel = 0;
        self.driver_features_sel = 0;
        self.driver_features = 0;
        self.queue_sel = 0;
        self.error = None;
        self.irq.set(false);
    }

    fn write_status(&mut self, value: u32) {
        if value == 0 {
            return self.reset_device();
        }
        let mut value = value & 0xff & !STATUS_NEEDS_RESET;
        if self.version == Version::Modern {
            let acceptable = self.driver_features & !self.offered() == 0
                && self.driver_features & F_VERSION_1 != 0;
            if !acceptable && self.status & STATUS_FEATURES_OK == 0 {
                value &= !STATUS_FEATURES_OK;
            }
            // Without agreement on features there is nothing to drive (section 3.1.1).
            if (self.status | value) & STATUS_FEATURES_OK == 0 {
                value &= !STATUS_DRIVER_OK;
            }
        }
        let started = value & !self.status & STATUS_DRIVER_OK != 0;
        // Only a reset clears bits (section 2.1.1).
        self.status |= value;
        if started {
            for index in 0..self.queues.len() {
                self.notify(index as u32);
            }
        }
    }

    fn write_features(&mut self, value: u32) {
        let frozen = match self.version {
            Version::Legacy => STATUS_DRIVER_OK,
            Version::Modern => STATUS_FEATURES_OK,
        };
        let shift = match self.driver_features_sel {
            0 => 0,
            1 if self.version == Version::Modern => 32,
            _ => return,
        };
        if self.status & frozen == 0 {
            let kept = self.driver_features & !(0xffff_ffff << shift);
            self.driver_features = kept | u64::from(value) << shift;
        }
    }

    fn enable_queue(&mut self) {
        if let Some(queue) = self.idle_queue()
            && let Err(error) = queue.enable()
        {
            self.fail(error);
        }
    }

    /// Lays out a legacy queue: the descriptors, the available ring, and at the next alignment
    /// the used ring (section 2.7.2).
    fn write_pfn(&mut self, pfn: u32) {
        let page_size = self.page_size;
        let Some(legacy) = self.legacy_queue() else {
            return;
        };
        legacy.pfn = pfn;
        let align = u64::from(legacy.align);
        self.stop_queue(self.queue_sel as usize, Queue::disable);
        let Some(queue) = self.queues.get_mut(self.queue_sel as usize) else {
            return;
        };
        if pfn == 0 {
            return;
        }
        let size = u64::from(queue.size);
        let result = if page_size.is_power_of_two() && align.is_power_of_two() {
            // All of these are products and sums of 32-bit numbers, and small ones: no overflow.
            queue.desc = u64::from(pfn) * u64::from(page_size);
            queue.driver = queue.desc + DESC_SIZE * size;
            queue.device = (queue.driver + 6 + 2 * size).next_multiple_of(align);
            queue.enable()
        } else {
            Err(QueueError::Layout)
        };
        if let Err(error) = result {
            self.fail(error);
        }
    }

    fn acknowledge(&mut self, value: u32) {
        self.interrupt &= !value;
        // The board's device tree calls these lines edge-triggered: what is still pending, or
        // came since the driver looked, needs an edge.
        self.irq.set(false);
        if self.interrupt != 0 {
            self.irq.set(true);
        }
    }

    fn read_register(&mut self, offset: u64) -> u32 {
        match offset {
            MAGIC_VALUE => MAGIC,
            VERSION => self.version.number(),
            DEVICE_ID => self.device.id(),
            VENDOR_ID => VENDOR,
            DEVICE_FEATURES => match self.device_features_sel {
                0 => self.offered() as u32,
                1 => (self.offered() >> 32) as u32,
                _ => 0,
            },
            QUEUE_NUM_MAX => self.queue().map_or(0, |queue| u32::from(queue.max)),
            INTERRUPT_STATUS => self.interrupt,
            STATUS => self.status,
            _ => match self.version {
                Version::Legacy => match offset {
                    QUEUE_PFN => self.legacy_queue().map_or(0, |queue| queue.pfn),
                    _ => 0,
                },
                Version::Modern => match offset {
                    QUEUE_READY => self.queue().map_or(0, |queue| queue.ready().into()),
                    CONFIG_GENERATION => self.generation,
                    // No device has shared memory.
                    SHM_LEN_LOW | SHM_LEN_HIGH | SHM_BASE_LOW | SHM_BASE_HIGH => u32::MAX,
                    _ => 0,
                },
            },
        }
    }

    fn write_register(&mut self, offset: u64, value: u32) {
        match offset {
            DEVICE_FEATURES_SEL => self.device_features_sel = value,
            DRIVER_FEATURES => self.write_features(value),
            DRIVER_FEATURES_SEL => self.driver_features_sel = value,
            QUEUE_SEL => self.queue_sel = value,
            QUEUE_NUM => {
                if let Some(queue) = self.idle_queue() {
                    queue.size = value;
                }
            }
            QUEUE_NOTIFY => self.notify(value),
            INTERRUPT_ACK => self.acknowledge(value),
            STATUS => self.write_status(value),
            _ => match self.version {
                Version::Legacy => match offset {
                    GUEST_PAGE_SIZE => self.page_size = value,
                    QUEUE_ALIGN => {
                        if let Some(queue) = self.legacy_queue() {
                            queue.align = value;
                        }
                    }
                    QUEUE_PFN => self.write_pfn(value),
                    _ => {}
                },
                Version::Modern => self.write_modern(offset, value),
            },
        }
    }

    fn write_modern(&mut self, offset: u64, value: u32) {
        match offset {
            QUEUE_READY if value & 1 != 0 => return self.enable_queue(),
            QUEUE_READY => return self.stop_queue(self.queue_sel as usize, Queue::disable),
            QUEUE_RESET => {
                if self.negotiated() & F_RING_RESET != 0 && value & 1 != 0 {
                    self.stop_queue(self.queue_sel as usize, Queue::reset);
                }
                return;
            }
            _ => {}
        }
        let Some(queue) = self.idle_queue() else {
            return;
        };
        let (address, high) = match offset {
            QUEUE_DESC_LOW => (&mut queue.desc, false),
            QUEUE_DESC_HIGH => (&mut queue.desc, true),
            QUEUE_DRIVER_LOW => (&mut queue.driver, false),
            QUEUE_DRIVER_HIGH => (&mut queue.driver, true),
            QUEUE_DEVICE_LOW => (&mut queue.device, false),
            QUEUE_DEVICE_HIGH => (&mut queue.device, true),
            _ => return,
        };
        *address = if high {
            *address & 0xffff_ffff | u64::from(value) << 32
        } else {
            *address & !0xffff_ffff | u64::from(value)
        };
    }
}

impl<D: VirtioDevice, M: GuestMemory, I: IrqLine> MmioDevice for Transport<D, M, I> {
    fn read(&mut self, offset: u64, size: u8) -> u64 {
        if let Some(offset) = offset.checked_sub(CONFIG) {
            let mut bytes = [0; 8];
            if let Some(buf) = bytes.get_mut(..usize::from(size)) {
                self.device.config_read(offset, buf);
            }
            return u64::from_le_bytes(bytes);
        }
        // Registers are 32 bits wide, and only so (section 4.2.2.2).
        if size == 4 {
            u64::from(self.read_register(offset))
        } else {
            0
        }
    }

    fn write(&mut self, offset: u64, size: u8, value: u64) {
        if let Some(offset) = offset.checked_sub(CONFIG) {
            if let Some(bytes) = value.to_le_bytes().get(..usize::from(size)) {
                self.device.config_write(offset, bytes);
            }
        } else if size == 4 {
            self.write_register(offset, value as u32);
        }
    }

    fn reset(&mut self) {
        self.reset_device();
        self.page_size = 0;
        self.generation = 0;
    }

    fn resume(&mut self) {
        // A device may look at its queues whenever it likes.
        for index in 0..self.queues.len() {
            self.notify(index as u32);
        }
    }
}
