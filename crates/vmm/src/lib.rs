//! skep-vmm
