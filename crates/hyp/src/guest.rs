//! Guests as the hypervisor starts them: from a kernel and its files to what a bundle has of a VM.
//!
//! This runs where bundles are packed. The hypervisor copies files to where they are placed and
//! jumps: it parses no kernel, and generates no device tree.

use alloc::string::String;
use alloc::vec::Vec;

use skep_board::map;
use skep_bundle::{Entry, Placed, Policies, Vm};
use skep_loader::fdt::{self, BoardConfig};
use skep_loader::{BootError, DeviceTree, Kernel, KernelError, prepare};

/// A virtual machine to be.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its name.
    pub name: &'a str,
    /// Guest memory in MiB.
    pub memory_mib: u32,
    /// For each vCPU, the core that it runs on.
    pub cores: &'a [u8],
    /// The kernel: zImage, uImage, ELF or raw.
    pub kernel: &'a [u8],
    /// The initial RAM disk.
    pub initrd: Option<&'a [u8]>,
    /// The kernel's command line.
    pub cmdline: &'a str,
}

/// Why a virtual machine can't be described. Shown to the user as it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescribeError {
    /// The number of vCPUs is impossible.
    #[error("a virtual machine has 1 to {max} vCPUs, not {0}", max = map::MAX_CPUS)]
    Cpus(usize),
    /// The kernel is none.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The files don't fit.
    #[error(transparent)]
    Boot(#[from] BootError),
}

/// Places a guest's files in its memory, its device tree among them. Shares of cores and policies are
/// the defaults, and can be changed in what is returned.
///
/// # Errors
///
/// The kernel is none for this board, or its memory has no room for everything.
pub fn describe(request: &Request<'_>) -> Result<Vm<Vec<u8>>, DescribeError> {
    let cpus = request.cores.len();
    if cpus == 0 || cpus > map::MAX_CPUS {
        return Err(DescribeError::Cpus(cpus));
    }
    let kernel = Kernel::parse(request.kernel)?;
    let memory = fdt::Range {
        base: map::RAM_BASE,
        size: u64::from(request.memory_mib) << 20,
    };
    let board = board(cpus as u32, memory);
    let boot = prepare(&skep_loader::Request {
        ram: memory,
        kernel: &kernel,
        initrd: request.initrd,
        tree: DeviceTree::Board(&board),
        chosen: fdt::Chosen {
            bootargs: String::from(request.cmdline),
            ..fdt::Chosen::default()
        },
    })?;
    Ok(Vm {
        name: request.name.into(),
        memory_mib: request.memory_mib,
        cores: request.cores.into(),
        shares: Vec::new(),
        policies: Policies::default(),
        halted: false,
        files: boot
            .blobs
            .into_iter()
            .map(|blob| Placed {
                // In memory below 4 GiB, by `prepare`.
                address: blob.addr as u32,
                file: blob.data.into_owned(),
            })
            .collect(),
        entry: Entry {
            pc: boot.entry.pc,
            thumb: boot.entry.thumb,
            registers: boot.entry.registers,
        },
    })
}

/// The board that guests see: the virtual board, as far as the hypervisor has it.
#[must_use]
pub fn board(cpus: u32, memory: fdt::Range) -> BoardConfig {
    let range = |range: map::Range| fdt::Range {
        base: range.base,
        size: range.size,
    };
    BoardConfig {
        cpu: "arm,cortex-a15".into(),
        cpus,
        memory,
        gic: fdt::Gic {
            distributor: range(map::GIC_DIST),
            cpu_interface: range(map::GIC_CPU),
            virtualization: None,
        },
        timer: fdt::TimerIntids {
            secure: map::INTID_TIMER_SECURE,
            physical: map::INTID_TIMER_PHYS,
            virt: map::INTID_TIMER_VIRT,
            hyp: map::INTID_TIMER_HYP,
        },
        pmu: None,
        psci: fdt::PsciMethod::Hvc,
        flash: None,
        uart: (range(map::UART), map::SPI_UART),
        rtc: None,
        fw_cfg: None,
        gpio: None,
        virtio: fdt::VirtioSlots {
            base: map::VIRTIO.base,
            size: map::VIRTIO_SLOT_SIZE,
            count: 0,
            spi: map::SPI_VIRTIO,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_loader::fdt::Tree;

    #[test]
    fn a_guest_gets_its_files_and_its_tree() {
        let request = Request {
            name: "one",
            memory_mib: 64,
            cores: &[1, 0],
            kernel: &[0; 100],
            initrd: Some(&[7; 10]),
            cmdline: "quiet",
        };
        let vm = describe(&request).unwrap();
        assert_eq!(vm.cores, [1, 0]);
        assert_eq!(vm.files.len(), 3);
        assert_eq!(vm.files[0].address, vm.entry.pc);
        assert_eq!(vm.files[1].file, [7; 10]);
        assert_eq!(vm.files[2].address, vm.entry.registers[2]);
        let tree = Tree::parse(&vm.files[2].file).unwrap();
        let chosen = tree.root.child("chosen").unwrap();
        assert_eq!(chosen.get("bootargs"), Some(&b"quiet\0"[..]));
        let cpus = tree.root.child("cpus").unwrap();
        assert!(cpus.child("cpu@1").is_some());
    }

    #[test]
    fn what_can_not_start_is_refused() {
        let request = Request {
            name: "one",
            memory_mib: 64,
            cores: &[],
            kernel: &[0; 100],
            initrd: None,
            cmdline: "",
        };
        assert_eq!(describe(&request), Err(DescribeError::Cpus(0)));
        let request = Request {
            cores: &[0],
            kernel: &[],
            ..request
        };
        assert!(matches!(describe(&request), Err(DescribeError::Kernel(_))));
        let request = Request {
            memory_mib: 0,
            kernel: &[0; 100],
            ..request
        };
        assert!(matches!(describe(&request), Err(DescribeError::Boot(_))));
    }
}
