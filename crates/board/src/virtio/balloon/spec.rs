//! Features, configuration and statistics of the memory balloon (VIRTIO 1.2, section 5.5).

/// Feature: the driver tells how the guest uses its memory (5.5.3).
pub const F_STATS: u64 = 1 << 1;
/// Feature: the driver may take pages back when the guest runs out of memory.
pub const F_DEFLATE_ON_OOM: u64 = 1 << 2;
/// Feature: the driver reports free memory by itself.
pub const F_REPORTING: u64 = 1 << 5;

/// Bytes of a page, whatever the guest's pages have (5.5.6).
pub const PAGE: u64 = 4096;

/// Offset of `actual` in the configuration (5.5.4): the pages in the balloon.
pub const ACTUAL: u64 = 4;

/// Statistics (5.5.6.3): memory that is not used, bytes.
pub const S_MEMFREE: u16 = 4;
/// All memory.
pub const S_MEMTOT: u16 = 5;
/// What new programs could have.
pub const S_AVAIL: u16 = 6;
/// What files take, and is quickly had back.
pub const S_CACHES: u16 = 7;
