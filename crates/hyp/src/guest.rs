//! Guests as the hypervisor starts them: from a kernel and its files to what a bundle has of a VM.
//!
//! This runs where bundles are packed. The hypervisor copies files to where they are placed and
//! jumps: it parses no kernel, and generates no device tree.

use alloc::string::String;
use alloc::vec::Vec;

use skep_board::map;
use skep_bundle::{Channel, Console, Disk, End, Entry, Placed, System, Vm};
use skep_loader::fdt::{self, BoardConfig, Tree};
use skep_loader::{BootError, DeviceTree, Kernel, KernelError, prepare};

use crate::tables::PAGE;
use crate::{bus, passed};

/// A virtual machine to be. [`Default`] has no memory, no vCPU and nothing to boot.
#[derive(Clone, Copy, Default, Debug)]
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
    /// The device that its console is.
    pub console: Console,
    /// Its disks.
    pub disks: &'a [Disk<Vec<u8>>],
    /// Devices of the board that it has for itself.
    pub devices: &'a [DeviceRequest<'a>],
}

/// A device of the board for a VM.
#[derive(Clone, Copy, Debug)]
pub struct DeviceRequest<'a> {
    /// Its path in the board's device tree.
    pub path: &'a str,
    /// The VM is trusted with a device that may reach all of the board's memory.
    pub dma_trusted: bool,
}

/// A channel to be.
#[derive(Clone, Copy, Debug)]
pub struct ChannelRequest<'a> {
    /// Its name.
    pub name: &'a str,
    /// Bytes of shared memory, a multiple of 4096.
    pub size: u32,
    /// The VMs that take part, each with whether it may only read: indices of
    /// [`SystemRequest::vms`].
    pub ends: &'a [(usize, bool)],
}

/// A system to be.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemRequest<'a> {
    /// The virtual machines.
    pub vms: &'a [Request<'a>],
    /// What they share.
    pub channels: &'a [ChannelRequest<'a>],
    /// The board's device tree, which VMs that have devices of the board need.
    pub board: Option<&'a Tree>,
}

/// The most VMs in a channel.
pub const MAX_ENDS: usize = 8;

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
    /// A channel is impossible.
    #[error("channel {name}: {what}")]
    Channel {
        /// Its name.
        name: String,
        /// A clause.
        what: &'static str,
    },
    /// A VM can't have a device of the board.
    #[error("device {path}: {what}")]
    Device {
        /// Its path.
        path: String,
        /// A clause.
        what: String,
    },
    /// More disks, and a virtio console, than slots.
    #[error("a virtual machine has at most {max} virtio devices, not {0}", max = map::VIRTIO_SLOTS)]
    Slots(usize),
}

/// Describes a system: all its VMs with their files placed, and the channels between them.
///
/// # Errors
///
/// A VM can't be described, or a channel is impossible.
pub fn describe_system(request: &SystemRequest<'_>) -> Result<System<Vec<u8>>, DescribeError> {
    let channels = place_channels(request)?;
    let vms = request.vms.iter().enumerate().map(|(index, vm)| {
        let own = channels.iter().flat_map(|channel| {
            let ends = channel.ends.iter();
            let ends = ends.filter(move |end| usize::from(end.vm) == index);
            ends.map(move |&end| (channel, end))
        });
        describe_with(vm, own, request.board)
    });
    Ok(System {
        vms: vms.collect::<Result<_, _>>()?,
        channels,
        ..System::default()
    })
}

/// Gives the ends of channels their addresses: in each VM one channel behind the other.
fn place_channels(request: &SystemRequest<'_>) -> Result<Vec<Channel>, DescribeError> {
    // The number of channels, and the bytes of their memory, of each VM so far.
    let mut used = alloc::vec![(0, 0u64); request.vms.len()];
    let mut channels = Vec::new();
    for channel in request.channels {
        let refuse = |what| DescribeError::Channel {
            name: channel.name.into(),
            what,
        };
        if !(2..=MAX_ENDS).contains(&channel.ends.len()) {
            return Err(refuse("it has 2 to 8 ends"));
        }
        if channel.size == 0 || !u64::from(channel.size).is_multiple_of(PAGE) {
            return Err(refuse("its size is not a multiple of 4096 bytes"));
        }
        let mut ends: Vec<End> = Vec::new();
        for &(vm, read_only) in channel.ends {
            let index = u8::try_from(vm).map_err(|_| refuse("there is no such VM"))?;
            let (count, bytes) = used.get_mut(vm).ok_or(refuse("there is no such VM"))?;
            if ends.iter().any(|end| end.vm == index) {
                return Err(refuse("a VM has one end of it at most"));
            }
            if *count == map::CHANNELS || map::CHANNEL_MEMORY.size - *bytes < channel.size.into() {
                return Err(refuse(
                    "a VM has at most 16 channels, with 31 MiB of memory together",
                ));
            }
            // In the board's address space of 32 bits, by the checks.
            ends.push(End {
                vm: index,
                read_only,
                registers: (map::CHANNEL_REGISTERS.base
                    + *count as u64 * map::CHANNEL_REGISTERS_SIZE)
                    as u32,
                memory: (map::CHANNEL_MEMORY.base + *bytes) as u32,
                spi: map::SPI_CHANNEL + *count as u32,
            });
            *count += 1;
            *bytes += u64::from(channel.size);
        }
        channels.push(Channel {
            name: channel.name.into(),
            size: channel.size,
            ends,
        });
    }
    Ok(channels)
}

/// Describes a VM without channels and devices of the board: places a guest's files in its memory, its device tree among them.
/// Shares of cores and policies are the defaults, and can be changed in what is returned.
///
/// # Errors
///
/// The kernel is none for this board, or its memory has no room for everything.
pub fn describe(request: &Request<'_>) -> Result<Vm<Vec<u8>>, DescribeError> {
    describe_with(request, core::iter::empty(), None)
}

fn describe_with<'c>(
    request: &Request<'_>,
    channels: impl Iterator<Item = (&'c Channel, End)>,
    real: Option<&Tree>,
) -> Result<Vm<Vec<u8>>, DescribeError> {
    let cpus = request.cores.len();
    if cpus == 0 || cpus > map::MAX_CPUS {
        return Err(DescribeError::Cpus(cpus));
    }
    let kernel = Kernel::parse(request.kernel)?;
    let memory = fdt::Range {
        base: map::RAM_BASE,
        size: u64::from(request.memory_mib) << 20,
    };
    let slots = request.disks.len() + usize::from(request.console == Console::Virtio);
    if slots > map::VIRTIO_SLOTS {
        return Err(DescribeError::Slots(slots));
    }
    let mut board = board(cpus as u32, memory);
    board.virtio.count = slots as u32;
    board.channels = channels.map(tree_channel).collect();
    let mut devices = Vec::new();
    let all = real
        .map(|tree| bus::devices(&tree.root))
        .unwrap_or_default();
    let mut places = passed::Places::default();
    for wanted in request.devices {
        let refuse = |what: String| DescribeError::Device {
            path: wanted.path.into(),
            what,
        };
        let missing = || refuse("the board's device tree has no such device".into());
        let (node, device) = all
            .iter()
            .find(|(_, device)| device.path == wanted.path)
            .ok_or_else(missing)?;
        let described = passed::describe((node, device), wanted.dma_trusted, &mut places);
        let (device, node) = described.map_err(refuse)?;
        devices.push(device);
        board.others.push(node);
    }
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
        console: request.console,
        disks: request.disks.into(),
        devices,
        ..Vm::default()
    })
}

/// An end of a channel as the device tree has it.
fn tree_channel((channel, end): (&Channel, End)) -> fdt::Channel {
    fdt::Channel {
        name: channel.name.clone(),
        registers: fdt::Range {
            base: end.registers.into(),
            size: map::CHANNEL_REGISTERS_SIZE,
        },
        memory: fdt::Range {
            base: end.memory.into(),
            size: channel.size.into(),
        },
        spi: end.spi,
        read_only: end.read_only,
    }
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
        watchdog: None,
        fw_cfg: None,
        gpio: None,
        virtio: fdt::VirtioSlots {
            base: map::VIRTIO.base,
            size: map::VIRTIO_SLOT_SIZE,
            count: 0,
            spi: map::SPI_VIRTIO,
        },
        channels: Vec::new(),
        others: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_gets_its_files_and_its_tree() {
        let request = Request {
            name: "one",
            memory_mib: 64,
            cores: &[1, 0],
            kernel: &[0; 100],
            initrd: Some(&[7; 10]),
            cmdline: "quiet",
            ..Request::default()
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
    fn both_ends_of_a_channel_are_in_the_trees() {
        let vm = Request {
            name: "one",
            memory_mib: 64,
            cores: &[0],
            kernel: &[0; 100],
            console: Console::Virtio,
            ..Request::default()
        };
        let pipe = |ends| ChannelRequest {
            name: "pipe",
            size: 0x2000,
            ends,
        };
        let channels = [
            pipe(&[(0, false), (1, true)]),
            pipe(&[(1, false), (2, false)]),
        ];
        let request = SystemRequest {
            vms: &[vm, vm, vm],
            channels: &channels,
            board: None,
        };
        let system = describe_system(&request).unwrap();
        let end = system.channels[1].ends[0];
        assert_eq!((end.vm, end.read_only), (1, false));
        assert_eq!(
            (end.registers, end.memory, end.spi),
            (0xc00_1000, 0xc10_2000, 113)
        );
        // Names, flags and addresses of the channels in each tree.
        let found = |vm: usize| -> Vec<_> {
            let tree = Tree::parse(&system.vms[vm].files[1].file).unwrap();
            assert!(tree.root.child("virtio_mmio@a000000").is_some());
            assert!(tree.root.child("virtio_mmio@a000200").is_none());
            let nodes = tree.root.children.into_iter();
            nodes
                .filter(|node| node.get("compatible") == Some(b"skep,channel\0"))
                .map(|node| (node.get("skep,read-only").is_some(), node.name))
                .collect()
        };
        let (first, second) = ("channel@c000000", "channel@c001000");
        assert_eq!(found(0), [(false, first.into())]);
        assert_eq!(found(1), [(true, first.into()), (false, second.into())]);
        assert_eq!(found(2), [(false, first.into())]);
    }

    #[test]
    fn impossible_channels_are_refused() {
        let vm = Request {
            memory_mib: 64,
            cores: &[0],
            kernel: &[0; 100],
            ..Request::default()
        };
        let what = |size, ends: &[(usize, bool)]| {
            let channels = [ChannelRequest {
                name: "pipe",
                size,
                ends,
            }];
            let request = SystemRequest {
                vms: &[vm, vm],
                channels: &channels,
                board: None,
            };
            describe_system(&request).unwrap_err()
        };
        let both = &[(0, false), (1, false)];
        for (size, ends, expected) in [
            (0x1000, &both[..1], "it has 2 to 8 ends"),
            (0x1234, both, "its size is not a multiple of 4096 bytes"),
            (0, both, "its size is not a multiple of 4096 bytes"),
            (0x1000, &[(0, false), (2, false)], "there is no such VM"),
            (
                0x1000,
                &[(1, false), (1, true)],
                "a VM has one end of it at most",
            ),
            (
                32 << 20,
                both,
                "a VM has at most 16 channels, with 31 MiB of memory together",
            ),
        ] {
            let DescribeError::Channel { what, .. } = what(size, ends) else {
                panic!("another error");
            };
            assert_eq!(what, expected);
        }
    }

    #[test]
    fn what_can_not_start_is_refused() {
        let request = Request {
            name: "one",
            memory_mib: 64,
            cores: &[],
            kernel: &[0; 100],
            ..Request::default()
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
