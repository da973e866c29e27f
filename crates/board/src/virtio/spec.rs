//! Registers, identities and feature bits (Virtual I/O Device (VIRTIO) Version 1.2; "section" means
//! a section of it).

/// "virt", little-endian (section 4.2.2).
pub const MAGIC: u32 = 0x7472_6976;
/// Vendor: "SKEP", little-endian.
pub const VENDOR: u32 = 0x5045_4b53;

/// Magic value, read (section 4.2.2, as are the other registers).
pub const MAGIC_VALUE: u64 = 0x000;
/// Version of the interface, read: 1 is legacy, 2 modern.
pub const VERSION: u64 = 0x004;
/// Kind of device, read.
pub const DEVICE_ID: u64 = 0x008;
/// Vendor, read.
pub const VENDOR_ID: u64 = 0x00c;
/// 32 of the offered features, read.
pub const DEVICE_FEATURES: u64 = 0x010;
/// Which 32 features [`DEVICE_FEATURES`] shows, write.
pub const DEVICE_FEATURES_SEL: u64 = 0x014;
/// 32 of the accepted features, write.
pub const DRIVER_FEATURES: u64 = 0x020;
/// Which 32 features [`DRIVER_FEATURES`] sets, write.
pub const DRIVER_FEATURES_SEL: u64 = 0x024;
/// The guest's page size in bytes, write; legacy (section 4.2.4).
pub const GUEST_PAGE_SIZE: u64 = 0x028;
/// Which queue the queue registers are about, write.
pub const QUEUE_SEL: u64 = 0x030;
/// Largest size of the queue, read; 0 when there is no such queue.
pub const QUEUE_NUM_MAX: u64 = 0x034;
/// Size of the queue, write.
pub const QUEUE_NUM: u64 = 0x038;
/// Alignment of the used ring in bytes, write; legacy (section 4.2.4).
pub const QUEUE_ALIGN: u64 = 0x03c;
/// Page number of the queue, 0 when unused, read and write; legacy (section 4.2.4).
pub const QUEUE_PFN: u64 = 0x040;
/// Whether the queue is in use, read and write.
pub const QUEUE_READY: u64 = 0x044;
/// The number of a queue with new buffers, write.
pub const QUEUE_NOTIFY: u64 = 0x050;
/// Pending interrupts, read.
pub const INTERRUPT_STATUS: u64 = 0x060;
/// Interrupts that were handled, write.
pub const INTERRUPT_ACK: u64 = 0x064;
/// Device status, read and write.
pub const STATUS: u64 = 0x070;
/// Descriptor table's address, low half, write.
pub const QUEUE_DESC_LOW: u64 = 0x080;
/// Descriptor table's address, high half, write.
pub const QUEUE_DESC_HIGH: u64 = 0x084;
/// Available ring's address, low half, write.
pub const QUEUE_DRIVER_LOW: u64 = 0x090;
/// Available ring's address, high half, write.
pub const QUEUE_DRIVER_HIGH: u64 = 0x094;
/// Used ring's address, low half, write.
pub const QUEUE_DEVICE_LOW: u64 = 0x0a0;
/// Used ring's address, high half, write.
pub const QUEUE_DEVICE_HIGH: u64 = 0x0a4;
/// Which shared memory region the next four are about, write.
pub const SHM_SEL: u64 = 0x0ac;
/// Length of the shared memory region, low half, read; all ones when there is none.
pub const SHM_LEN_LOW: u64 = 0x0b0;
/// Length of the shared memory region, high half, read.
pub const SHM_LEN_HIGH: u64 = 0x0b4;
/// Address of the shared memory region, low half, read.
pub const SHM_BASE_LOW: u64 = 0x0b8;
/// Address of the shared memory region, high half, read.
pub const SHM_BASE_HIGH: u64 = 0x0bc;
/// Resets the queue, read and write.
pub const QUEUE_RESET: u64 = 0x0c0;
/// Changes when the configuration does, read.
pub const CONFIG_GENERATION: u64 = 0x0fc;
/// The device's own configuration starts here.
pub const CONFIG: u64 = 0x100;

/// The driver has noticed the device (section 2.1).
pub const STATUS_ACKNOWLEDGE: u32 = 1;
/// The driver knows how to drive it.
pub const STATUS_DRIVER: u32 = 2;
/// The driver is ready.
pub const STATUS_DRIVER_OK: u32 = 4;
/// Both sides agree on the features.
pub const STATUS_FEATURES_OK: u32 = 8;
/// The device cannot go on until it is reset.
pub const STATUS_NEEDS_RESET: u32 = 0x40;
/// The driver gave up.
pub const STATUS_FAILED: u32 = 0x80;

/// The device used a buffer (section 4.2.2, InterruptStatus).
pub const INT_USED: u32 = 1;
/// The configuration or the status changed.
pub const INT_CONFIG: u32 = 2;

/// Network card (section 5).
pub const ID_NET: u32 = 1;
/// Block device.
pub const ID_BLOCK: u32 = 2;
/// Console.
pub const ID_CONSOLE: u32 = 3;
/// Entropy source.
pub const ID_RNG: u32 = 4;
/// Memory balloon (section 5.5).
pub const ID_BALLOON: u32 = 5;
/// Socket device (section 5.10).
pub const ID_VSOCK: u32 = 19;
/// File system (section 5.11).
pub const ID_FS: u32 = 26;

/// Any framing of requests; legacy (section 6.3).
pub const F_ANY_LAYOUT: u64 = 1 << 27;
/// Indirect descriptors (section 2.7.5.3).
pub const F_INDIRECT_DESC: u64 = 1 << 28;
/// Event indices (section 2.7.7).
pub const F_EVENT_IDX: u64 = 1 << 29;
/// Not a legacy device (section 6).
pub const F_VERSION_1: u64 = 1 << 32;
/// Queues can be reset one by one (section 2.6.1).
pub const F_RING_RESET: u64 = 1 << 40;

/// The chain continues (section 2.7.5).
pub const DESC_NEXT: u16 = 1;
/// The device writes the buffer.
pub const DESC_WRITE: u16 = 2;
/// The buffer is a table of descriptors.
pub const DESC_INDIRECT: u16 = 4;
/// Size of a descriptor in bytes.
pub const DESC_SIZE: u64 = 16;
/// The driver wants no interrupts (section 2.7.6).
pub const AVAIL_NO_INTERRUPT: u16 = 1;
