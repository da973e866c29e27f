//! What can go wrong when a VM is built.

use std::path::PathBuf;

/// Why a VM can't be built or started. Each message says what happened and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// RAM is smaller than the board can do with or larger than it can address.
    #[error(
        "{0} MiB of memory can't be given to the VM; choose between {min} and {max} MiB",
        min = crate::config::MIN_MEMORY >> 20,
        max = crate::config::MAX_MEMORY >> 20
    )]
    MemorySize(u64),
    /// The number of vCPUs is not 1 to 8.
    #[error("the board has 1 to {max} CPUs, not {0}", max = skep_board::map::MAX_CPUS)]
    CpuCount(usize),
    /// The host has not enough memory.
    #[error("the host could not provide {mib} MiB of guest memory ({source}); use less memory")]
    HostMemory {
        /// How much was asked for.
        mib: u64,
        /// The host's error.
        source: std::io::Error,
    },
    /// A firmware image does not fit into flash.
    #[error("the firmware image has {0} bytes, more than the {max} of a flash bank; use a smaller one", max = skep_board::map::FLASH_BANK)]
    FirmwareTooLarge(usize),
    /// The firmware image is empty.
    #[error(
        "the firmware image is empty; give a raw flash image, such as U-Boot's u-boot.bin for qemu_arm"
    )]
    FirmwareEmpty,
    /// The kernel can't be used.
    #[error(transparent)]
    Kernel(#[from] skep_loader::KernelError),
    /// Kernel, initial RAM disk and device tree can't be put together.
    #[error(transparent)]
    Boot(#[from] skep_loader::BootError),
    /// There is neither kernel nor firmware.
    #[error("there is nothing to boot; give a kernel or firmware")]
    NothingToBoot,
    /// A file for the guest can't be read, when it is loaded or resets.
    #[error("a file for the guest can't be read ({0}); check the file")]
    Contents(#[source] std::io::Error),
    /// A disk can't be opened.
    #[error("the disk {path:?} can't be used: {reason}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        #[source]
        reason: Box<skep_disk::Error>,
    },
    /// A directory can't be shared.
    #[error("the directory {path:?} can't be shared: {source}")]
    Share {
        /// The directory.
        path: PathBuf,
        /// What is wrong and what to do.
        source: skep_share::ShareError,
    },
    /// The network can't be had.
    #[error(transparent)]
    Network(#[from] skep_net::Error),
    /// A console can't be connected.
    #[error(transparent)]
    Console(#[from] crate::backend::ConsoleError),
    /// The socket device can't be connected.
    #[error(transparent)]
    Vsock(#[from] skep_vsock::Error),
    /// The helper can't be started.
    #[error(
        "the host could not start the process that removes sockets and links at the end ({0}); close other programs or raise the limits on processes and open files (ulimit -u, -n)"
    )]
    Helper(#[source] std::io::Error),
    /// There are more disks and other devices than the board has slots.
    #[error("the board has {max} virtio slots, and more devices are configured; remove disks, shares or consoles", max = skep_board::map::VIRTIO_SLOTS)]
    TooManyDevices,
    /// A file for what the translator shows can't be created.
    #[error(
        "the file {path:?} for what the translator shows can't be created ({source}); check the path and its permissions"
    )]
    ObserverFile {
        /// The file.
        path: PathBuf,
        /// The host's error.
        source: std::io::Error,
    },
    /// The translator is to show what it does, but does not run.
    #[error(
        "only the translator shows what it does; run it (--engine jit) on an x86-64 host with Linux"
    )]
    NothingToObserve,
    /// A thread could not be started.
    #[error(
        "the host could not start a thread ({0}); close other programs or raise the limit on processes (ulimit -u)"
    )]
    Thread(#[source] std::io::Error),
    /// A vCPU's thread, or what it called, panicked.
    #[error("CPU {cpu} stopped because of an error in Skep itself ({message}); please report it")]
    Panic {
        /// The vCPU.
        cpu: usize,
        /// What the panic said.
        message: String,
    },
    /// The engine can't run on this host.
    #[error(
        "the host does not let the translator run ({0}); use the interpreter (--engine interp), or allow executable memory"
    )]
    Engine(#[source] std::io::Error),
}
