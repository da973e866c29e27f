//! What a file comes to, with every default filled in: a file of the same format, or JSON.

use crate::model::{At, Boot, Config, Cpu, Guest, KnownBoard, Policy, Virtio, Vm, Watchdog, value};
use crate::place::System;
use crate::value::{show_size, show_time};
use serde::Serialize;
use skep_disk::Format;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The priority of vCPUs on shared cores.
const PRIORITY: u8 = 100;
/// How long a vCPU of a shared core runs, microseconds.
const SLICE: u64 = 5000;

/// A file with every default filled in.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Effective {
    /// By name.
    pub vm: BTreeMap<String, EffectiveVm>,
    /// The board, if the file has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<EffectiveBoard>,
    /// By number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub core: BTreeMap<String, EffectiveCore>,
    /// By name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub channel: BTreeMap<String, EffectiveChannel>,
}

/// A virtual machine with every default filled in; those of what only boards have where there is a
/// board.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EffectiveVm {
    #[serde(skip_serializing_if = "Option::is_none")]
    guest: Option<Guest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot: Option<Boot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initrd: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dtb: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bios: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmdline: Option<String>,
    cpus: u8,
    cpu: Cpu,
    memory: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    net: Option<String>,
    publish: Vec<String>,
    serial: String,
    consoles: Vec<String>,
    watchdog: Watchdog,
    virtio: Virtio,
    #[serde(skip_serializing_if = "Option::is_none")]
    cores: Option<Vec<u8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_fault: Option<Policy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restarts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_reset: Option<Policy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_poweroff: Option<Policy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    autostart: Option<bool>,
    disks: Vec<EffectiveDisk>,
    shares: Vec<EffectiveShare>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vsock: Option<EffectiveVsock>,
    devices: Vec<EffectiveDevice>,
}

/// A disk.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EffectiveDisk {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    readonly: bool,
    temporary: bool,
    backing: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    board_disk: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<String>,
}

/// A shared directory.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EffectiveShare {
    directory: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    mount: Option<String>,
    readonly: bool,
}

/// What the socket device is connected to.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct EffectiveVsock {
    path: PathBuf,
    cid: u32,
}

/// A device of the board.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EffectiveDevice {
    path: String,
    dma: &'static str,
}

/// The board with every default filled in.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EffectiveBoard {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<KnownBoard>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_tree: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cores: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<Cpu>,
    vms: Vec<String>,
}

/// A core.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct EffectiveCore {
    schedule: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    slice: Option<String>,
}

/// A channel.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct EffectiveChannel {
    size: String,
    vms: Vec<String>,
    readonly: Vec<String>,
}

/// What a file comes to, or of it one virtual machine. `system` has the cores of vCPUs, where they
/// have been placed; relative paths are joined with `directory`.
#[must_use]
pub fn effective(
    config: &Config,
    system: Option<&System<'_>>,
    name: Option<&str>,
    directory: &Path,
) -> Effective {
    let wanted = |vm: &&Vm| name.is_none_or(|name| vm.name.get_ref() == name);
    let vms = config.vms.iter().filter(wanted).map(|vm| {
        let placed = system.and_then(|system| {
            let mut placed = system.vms.iter();
            placed.find(|placed| placed.vm.name.get_ref() == vm.name.get_ref())
        });
        let cores = match placed {
            Some(placed) => Some(placed.cores.clone()),
            None => vm.cores.as_ref().map(|cores| {
                let cores = cores.get_ref().iter();
                cores.map(|core| *core.get_ref()).collect()
            }),
        };
        (
            vm.name.get_ref().clone(),
            effective_vm(vm, config, cores, directory),
        )
    });
    let mut effective = Effective {
        vm: vms.collect(),
        board: None,
        core: BTreeMap::new(),
        channel: BTreeMap::new(),
    };
    if name.is_some() {
        return effective;
    }
    effective.board = config.board.as_ref().map(|board| {
        let known = board.device_tree.is_none();
        let memory = board.memory.as_ref().map(|memory| *memory.get_ref());
        let memory = memory.or(known.then_some(crate::board::DEFAULT_MEMORY));
        let cores = board.cores.as_ref().map(|cores| *cores.get_ref());
        let vms = match &board.vms {
            Some(vms) => vms.iter().map(|vm| vm.get_ref().clone()).collect(),
            None => config.names().map(str::to_owned).collect(),
        };
        EffectiveBoard {
            name: known.then_some(value(&board.name)),
            device_tree: board
                .device_tree
                .as_ref()
                .map(|path| directory.join(path.get_ref())),
            memory: memory.map(show_size),
            cores: known.then_some(cores.unwrap_or(crate::board::DEFAULT_CORES)),
            cpu: known.then_some(value(&board.cpu)),
            vms,
        }
    });
    for core in &config.cores {
        let slice = core
            .slice
            .as_ref()
            .map_or(SLICE, |slice| (*slice.get_ref()).into());
        let shown = EffectiveCore {
            schedule: if core.shared { "shared" } else { "partitioned" },
            slice: core.shared.then(|| show_time(slice)),
        };
        effective
            .core
            .insert(core.number.get_ref().to_string(), shown);
    }
    for channel in &config.channels {
        let names =
            |names: &[At<String>]| names.iter().map(|name| name.get_ref().clone()).collect();
        let shown = EffectiveChannel {
            size: show_size((*channel.size.get_ref()).into()),
            vms: names(&channel.vms),
            readonly: names(&channel.read_only),
        };
        effective
            .channel
            .insert(channel.name.get_ref().clone(), shown);
    }
    effective
}

fn effective_vm(vm: &Vm, config: &Config, cores: Option<Vec<u8>>, directory: &Path) -> EffectiveVm {
    let board = config.has_board();
    let is_shared = |core: &u8| {
        let mut sections = config.cores.iter();
        sections.any(|section| section.number.get_ref() == core && section.shared)
    };
    let shared = cores.iter().flatten().any(is_shared);
    let path =
        |given: &Option<At<PathBuf>>| given.as_ref().map(|path| directory.join(path.get_ref()));
    let time = |given: &Option<At<u32>>| {
        given
            .as_ref()
            .map(|time| show_time((*time.get_ref()).into()))
    };
    let size = |given: &Option<At<u64>>| given.as_ref().map(|size| show_size(*size.get_ref()));
    let policy = |given: &Option<At<Policy>>, default| {
        let given = given.as_ref().map(|policy| *policy.get_ref());
        given.or(board.then_some(default))
    };
    let guest = vm.guest();
    let cmdline = vm.cmdline.as_ref().map(|text| text.get_ref().clone());
    // A default guest has a command line of its own.
    let default = (guest.is_none() && vm.kernel.is_some()).then(|| vm.console_option());
    EffectiveVm {
        guest,
        boot: vm.boot.as_ref().map(|boot| *boot.get_ref()),
        kernel: path(&vm.kernel),
        initrd: path(&vm.initrd),
        dtb: path(&vm.dtb),
        bios: path(&vm.bios),
        cmdline: cmdline.or(default),
        cpus: vm.cpus(),
        cpu: value(&vm.cpu),
        memory: show_size(vm.memory()),
        // A board has none, and refuses one.
        net: (vm.net.is_some() || !board).then(|| vm.net().within(directory).to_string()),
        publish: vm
            .publish
            .iter()
            .map(|publish| publish.get_ref().to_string())
            .collect(),
        serial: vm.serial().within(directory).to_string(),
        consoles: vm
            .consoles()
            .into_iter()
            .map(|backend| backend.within(directory).to_string())
            .collect(),
        watchdog: value(&vm.watchdog),
        virtio: value(&vm.virtio),
        cores,
        priority: vm
            .priority
            .as_ref()
            .map(|priority| *priority.get_ref())
            .or(shared.then_some(PRIORITY)),
        budget: time(&vm.budget),
        period: time(&vm.period),
        on_fault: policy(&vm.on_fault, Policy::Stop),
        restarts: vm.restarts.as_ref().map(|restarts| *restarts.get_ref()),
        on_reset: policy(&vm.on_reset, Policy::Reset),
        on_poweroff: policy(&vm.on_poweroff, Policy::Stop),
        autostart: vm
            .autostart
            .as_ref()
            .map(|autostart| *autostart.get_ref())
            .or(board.then_some(true)),
        disks: vm
            .disks
            .iter()
            .map(|disk| EffectiveDisk {
                file: path(&disk.file),
                format: disk.format().map(Format::name),
                readonly: disk.read_only,
                temporary: disk.temporary,
                backing: if disk.backing { "allow" } else { "refuse" },
                board_disk: disk.board_disk.as_ref().map(|disk| *disk.get_ref()),
                start: size(&disk.start),
                size: size(&disk.size),
            })
            .collect(),
        shares: vm
            .shares
            .iter()
            .map(|share| EffectiveShare {
                directory: directory.join(share.directory.get_ref()),
                mount: share.mount.as_ref().map(|mount| mount.get_ref().clone()),
                readonly: share.read_only,
            })
            .collect(),
        vsock: vm.vsock.as_ref().map(|vsock| EffectiveVsock {
            path: directory.join(&vsock.get_ref().path),
            cid: vsock.get_ref().cid,
        }),
        devices: vm
            .devices
            .iter()
            .map(|device| EffectiveDevice {
                path: device.path.get_ref().clone(),
                dma: if device.dma_trusted {
                    "trusted"
                } else {
                    "none"
                },
            })
            .collect(),
    }
}

impl Effective {
    /// As a file.
    ///
    /// # Errors
    ///
    /// A path is no text in UTF-8: the file's own directory has such a name.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}
