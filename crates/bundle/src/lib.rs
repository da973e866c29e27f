//! A bundle: the description of a system and the files of its guests in one piece, which a tool
//! [packs](pack) and the bare-metal hypervisor [opens](Bundle::open).
//!
//! A header, the description, then the files, each on a page boundary:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `SKEPBNDL` |
//! | 8 | 4 | version of the format, [`VERSION`] |
//! | 12 | 4 | length of the description, which follows the header |
//! | 16 | 4 | CRC-32 of the description |
//! | 20 | 4 | length of the whole bundle |
//!
//! Numbers are little-endian. The description is a [`System`] in postcard's format.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod image;

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use serde::{Deserialize, Serialize};

mod devices;
mod schedule;

pub use devices::{Channel, Console, Contents, Device, Disk, End, Window, Wire};
pub use schedule::{CoreSchedule, Policies, Policy, ScheduleError, Share};

/// The format that this crate writes and reads.
pub const VERSION: u32 = 2;
const MAGIC: [u8; 8] = *b"SKEPBNDL";
const HEADER: usize = 24;
const PAGE: usize = 4096;

/// Where a file is in the bundle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct File {
    /// From the bundle's start.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

/// A system: virtual machines and where they run. `F` is what stands for a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct System<F = File> {
    /// The virtual machines.
    pub vms: Vec<Vm<F>>,
    /// How each core is used, by the index of the CPU in the board's device tree. Cores beyond the
    /// list are [partitioned](CoreSchedule::Partitioned): an empty list is the default.
    pub cores: Vec<CoreSchedule>,
    /// Memory that several of them share, with doorbells.
    pub channels: Vec<Channel>,
}

impl<F> Default for System<F> {
    fn default() -> Self {
        System {
            vms: Vec::new(),
            cores: Vec::new(),
            channels: Vec::new(),
        }
    }
}

/// A virtual machine. [`Default`] has nothing at all: neither memory nor a vCPU.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Vm<F = File> {
    /// Its name, for people.
    pub name: String,
    /// Guest memory in MiB, at the virtual board's address.
    pub memory_mib: u32,
    /// For each vCPU, the core that it runs on: an index of the CPUs in the board's device tree.
    pub cores: Vec<u8>,
    /// For each vCPU, its share of a core that is time-shared. vCPUs beyond the list have
    /// [`Share::default`]: an empty list is the default.
    pub shares: Vec<Share>,
    /// What becomes of it when it ends.
    pub policies: Policies,
    /// It does not start by itself, but from the hypervisor's shell. The default is false.
    pub halted: bool,
    /// What is loaded before the guest starts: kernel, initial RAM disk, device tree.
    pub files: Vec<Placed<F>>,
    /// How the first vCPU starts.
    pub entry: Entry,
    /// The device that the VM's console is.
    pub console: Console,
    /// Its disks: the virtio-mmio slots from 0 on, in Linux `/dev/vda` and so on. A virtio console has
    /// the slot behind them.
    pub disks: Vec<Disk<F>>,
    /// Devices of the board that it has for itself.
    pub devices: Vec<Device>,
}

impl<F> Default for Vm<F> {
    fn default() -> Self {
        Vm {
            name: String::new(),
            memory_mib: 0,
            cores: Vec::new(),
            shares: Vec::new(),
            policies: Policies::default(),
            halted: false,
            files: Vec::new(),
            entry: Entry::default(),
            console: Console::default(),
            disks: Vec::new(),
            devices: Vec::new(),
        }
    }
}

impl<F> Vm<F> {
    /// All of its files, in an order of their own.
    fn all_files(&self) -> impl Iterator<Item = &F> {
        let disks = self.disks.iter().filter_map(|disk| match &disk.contents {
            Contents::Memory { file, .. } => Some(file),
            Contents::Board { .. } => None,
        });
        self.files.iter().map(|placed| &placed.file).chain(disks)
    }

    /// The same VM with something else for each file; `f` is called in the order of
    /// [`all_files`](Self::all_files).
    fn map_files<G, E>(&self, mut f: impl FnMut(&F) -> Result<G, E>) -> Result<Vm<G>, E> {
        let mut files = Vec::new();
        for placed in &self.files {
            files.push(Placed {
                address: placed.address,
                file: f(&placed.file)?,
            });
        }
        let mut disks = Vec::new();
        for disk in &self.disks {
            let contents = match &disk.contents {
                Contents::Memory { file, size } => Contents::Memory {
                    file: f(file)?,
                    size: *size,
                },
                Contents::Board { disk, start, size } => Contents::Board {
                    disk: *disk,
                    start: *start,
                    size: *size,
                },
            };
            disks.push(Disk {
                contents,
                read_only: disk.read_only,
            });
        }
        Ok(Vm {
            name: self.name.clone(),
            memory_mib: self.memory_mib,
            cores: self.cores.clone(),
            shares: self.shares.clone(),
            policies: self.policies,
            halted: self.halted,
            files,
            entry: self.entry,
            console: self.console,
            disks,
            devices: self.devices.clone(),
        })
    }
}

impl<F> From<Vec<Vm<F>>> for System<F> {
    /// These VMs, on cores that are partitioned.
    fn from(vms: Vec<Vm<F>>) -> Self {
        System {
            vms,
            ..System::default()
        }
    }
}

impl<F> System<F> {
    /// How a core is used.
    #[must_use]
    pub fn core(&self, core: usize) -> CoreSchedule {
        self.cores.get(core).copied().unwrap_or_default()
    }
}

impl<F> Vm<F> {
    /// A vCPU's share of its core, if that is time-shared.
    #[must_use]
    pub fn share(&self, vcpu: usize) -> Share {
        self.shares.get(vcpu).copied().unwrap_or_default()
    }
}

/// A file in guest memory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Placed<F = File> {
    /// The guest-physical address.
    pub address: u32,
    /// The file.
    pub file: F,
}

/// How a vCPU starts: in Supervisor mode, with MMU and caches off.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The first instruction.
    pub pc: u32,
    /// In T32.
    pub thumb: bool,
    /// r0 to r2.
    pub registers: [u32; 3],
}

/// Why bytes aren't a bundle. Shown to the user as it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// No magic number.
    #[error("this isn't a bundle: it does not start with SKEPBNDL")]
    Magic,
    /// A format of another time.
    #[error("this bundle has format {0}; this hypervisor reads format {VERSION}: pack it again")]
    Version(u32),
    /// Shorter than it says.
    #[error("this bundle is truncated: it has {found} bytes instead of {expected}")]
    Truncated {
        /// Bytes that the header says.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// The description can't be read.
    #[error("this bundle is damaged: {0}; pack it again")]
    Damaged(&'static str),
}

/// An opened bundle.
pub struct Bundle<'a> {
    bytes: &'a [u8],
    /// The description, whose files are all inside the bundle.
    pub system: System,
}

impl<'a> Bundle<'a> {
    /// Reads a bundle; bytes behind it are ignored.
    ///
    /// # Errors
    ///
    /// The bytes aren't a bundle, or not a whole one.
    pub fn open(bytes: &'a [u8]) -> Result<Self, BundleError> {
        let word = |at: usize| {
            let bytes = bytes.get(at..at + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        if !bytes.starts_with(&MAGIC) {
            return Err(BundleError::Magic);
        }
        let truncated = |expected: u64| BundleError::Truncated {
            expected,
            found: bytes.len() as u64,
        };
        let header = || truncated(HEADER as u64);
        let version = word(8).ok_or_else(header)?;
        if version != VERSION {
            return Err(BundleError::Version(version));
        }
        let length = word(12).ok_or_else(header)? as usize;
        let crc = word(16).ok_or_else(header)?;
        let total = word(20).ok_or_else(header)?;
        let bytes = bytes
            .get(..total as usize)
            .ok_or_else(|| truncated(total.into()))?;
        let description = bytes
            .get(HEADER..)
            .and_then(|rest| rest.get(..length))
            .ok_or(BundleError::Damaged("its description is longer than it"))?;
        if checksum(description) != crc {
            return Err(BundleError::Damaged("its description's checksum is wrong"));
        }
        let system: System = postcard::from_bytes(description)
            .map_err(|_| BundleError::Damaged("its description can't be read"))?;
        for &file in system.vms.iter().flat_map(Vm::all_files) {
            if bytes.get(range(file)).is_none() {
                return Err(BundleError::Damaged("a file is not inside it"));
            }
        }
        Ok(Bundle { bytes, system })
    }

    /// A file's contents.
    #[must_use]
    pub fn file(&self, file: File) -> &'a [u8] {
        self.bytes.get(range(file)).unwrap_or_default()
    }
}

/// CRC-32, without a table: descriptions are short, and the hypervisor is to be small.
fn checksum(bytes: &[u8]) -> u32 {
    crc::Crc::<u32, crc::NoTable>::new(&crc::CRC_32_ISO_HDLC).checksum(bytes)
}

fn range(file: File) -> Range<usize> {
    let start = file.offset as usize;
    start..start.saturating_add(file.size as usize)
}

/// Packs a system whose files are bytes.
///
/// # Errors
///
/// It would have 4 GiB or more.
pub fn pack<F: AsRef<[u8]>>(system: &System<F>) -> Result<Vec<u8>, BundleError> {
    let too_large = || BundleError::Damaged("it would be larger than 4 GiB");
    // The description's length depends on the offsets in it, which depend on it: offsets from the
    // start of the files first, at their largest.
    let described = |base: usize| -> Result<(System, Vec<u8>), BundleError> {
        let mut next = base;
        let mut place = |file: &F| {
            let size = file.as_ref().len();
            let placed = File {
                offset: u32::try_from(next).map_err(|_| too_large())?,
                size: u32::try_from(size).map_err(|_| too_large())?,
            };
            next = next
                .checked_add(size)
                .and_then(|end| end.checked_next_multiple_of(PAGE))
                .ok_or_else(too_large)?;
            Ok(placed)
        };
        let vms = system.vms.iter().map(|vm| vm.map_files(&mut place));
        let system = System {
            vms: vms.collect::<Result<_, BundleError>>()?,
            cores: system.cores.clone(),
            channels: system.channels.clone(),
        };
        let bytes = postcard::to_allocvec(&system).map_err(|_| too_large())?;
        Ok((system, bytes))
    };
    // An offset takes at most five bytes where it took one: so much room at the most.
    let files = system.vms.iter().flat_map(Vm::all_files).count();
    let room = described(0)?.1.len() + 4 * files;
    let base = (HEADER + room).next_multiple_of(PAGE);
    let (placed, description) = described(base)?;
    let mut out = Vec::new();
    out.extend(MAGIC);
    let mut total = base;
    for &file in placed.vms.iter().flat_map(Vm::all_files) {
        total = total.max(range(file).end);
    }
    let total = u32::try_from(total.next_multiple_of(PAGE)).map_err(|_| too_large())?;
    for word in [
        VERSION,
        u32::try_from(description.len()).map_err(|_| too_large())?,
        checksum(&description),
        total,
    ] {
        out.extend(word.to_le_bytes());
    }
    out.extend(description);
    let from = system.vms.iter().flat_map(Vm::all_files);
    let to = placed.vms.iter().flat_map(Vm::all_files);
    for (from, to) in from.zip(to) {
        out.resize(to.offset as usize, 0);
        out.extend(from.as_ref());
    }
    out.resize(total as usize, 0);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn system(files: &[Vec<u8>]) -> System<Vec<u8>> {
        let place = |(n, file): (usize, &Vec<u8>)| Placed {
            address: 0x4000_0000 + 0x10_0000 * n as u32,
            file: file.clone(),
        };
        let vm = Vm {
            name: "one".into(),
            memory_mib: 64,
            cores: vec![0, 1],
            shares: vec![Share {
                priority: 7,
                budget_us: 2_000,
                period_us: 10_000,
            }],
            policies: Policies {
                fault: Policy::Reset { limit: Some(3) },
                ..Policies::default()
            },
            halted: false,
            files: files.iter().enumerate().map(place).collect(),
            entry: Entry {
                pc: 0x4001_0000,
                thumb: false,
                registers: [0, u32::MAX, 0x4800_0000],
            },
            console: Console::Virtio,
            disks: vec![
                Disk {
                    contents: Contents::Board {
                        disk: 1,
                        start: 512,
                        size: 1 << 33,
                    },
                    read_only: true,
                },
                Disk {
                    contents: Contents::Memory {
                        file: vec![9; 700],
                        size: 4096,
                    },
                    read_only: false,
                },
            ],
            devices: vec![Device {
                path: "/pl031@9010000".into(),
                ..Device::default()
            }],
        };
        let second = Vm {
            name: "two".into(),
            ..vm.clone()
        };
        System {
            vms: vec![vm, second],
            cores: vec![
                CoreSchedule::Partitioned,
                CoreSchedule::Shared { slice_us: 1_000 },
            ],
            channels: vec![Channel {
                name: "pipe".into(),
                ..Channel::default()
            }],
        }
    }

    #[test]
    fn what_is_packed_can_be_opened() {
        let packed = pack(&system(&[vec![1; 5000], vec![2; 3]])).unwrap();
        let bundle = Bundle::open(&packed).unwrap();
        let vm = &bundle.system.vms[1];
        assert_eq!((vm.name.as_str(), vm.memory_mib), ("two", 64));
        assert_eq!(vm.cores, [0, 1]);
        assert_eq!((vm.share(0).priority, vm.share(1)), (7, Share::default()));
        assert_eq!(vm.policies.fault, Policy::Reset { limit: Some(3) });
        let core = |n| bundle.system.core(n);
        assert_eq!(core(1), CoreSchedule::Shared { slice_us: 1_000 });
        assert_eq!(core(2), CoreSchedule::Partitioned);
        assert_eq!(bundle.file(vm.files[0].file), [1; 5000]);
        assert_eq!(bundle.file(vm.files[1].file), [2; 3]);
        assert_eq!(vm.files[1].address, 0x4010_0000);
        assert_eq!(vm.files[0].file.offset % 4096, 0);
        assert_eq!(vm.entry.registers, [0, u32::MAX, 0x4800_0000]);
        assert_eq!((vm.console, vm.disks.len()), (Console::Virtio, 2));
        let Contents::Memory { file, size: 4096 } = vm.disks[1].contents else {
            panic!("{:?}", vm.disks[1]);
        };
        assert_eq!(bundle.file(file), [9; 700]);
        assert_eq!(vm.devices[0].path, "/pl031@9010000");
        assert_eq!(bundle.system.channels[0].name, "pipe");
    }

    #[test]
    fn damage_is_noticed() {
        let packed = pack(&system(&[vec![1; 100]])).unwrap();
        let open = |bytes: &[u8]| Bundle::open(bytes).err();
        assert_eq!(open(b"zImage"), Some(BundleError::Magic));
        let truncated = open(&packed[..packed.len() - 1]);
        assert!(matches!(truncated, Some(BundleError::Truncated { .. })));
        let mut other = packed.clone();
        other[8] = 9;
        assert_eq!(open(&other), Some(BundleError::Version(9)));
        let mut other = packed.clone();
        other[HEADER + 1] ^= 1;
        assert!(matches!(open(&other), Some(BundleError::Damaged(_))));
    }

    proptest! {
        #[test]
        fn files_keep_their_contents(files: Vec<Vec<u8>>) {
            let packed = pack(&system(&files)).unwrap();
            let bundle = Bundle::open(&packed).unwrap();
            for vm in &bundle.system.vms {
                let found: Vec<_> = vm.files.iter().map(|f| bundle.file(f.file).to_vec()).collect();
                prop_assert_eq!(&found, &files);
            }
        }

        #[test]
        fn no_bytes_make_it_fail(mut bytes: Vec<u8>, fix: bool) {
            if fix && bytes.len() >= 12 {
                bytes[..8].copy_from_slice(&MAGIC);
                bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
            }
            let _ = Bundle::open(&bytes);
        }
    }
}
