//! Virtual machines on a board: who runs where, and whether all of it fits.

use crate::board::Facts;
use crate::consoles;
use crate::diagnostic::{Diagnostic, Report, similar};
use crate::files::Files;
use crate::model::{At, Channel, Config, Core, Disk, Virtio, Vm, Watchdog};
use crate::net::Net;
use crate::table::list;
use crate::value::show_size;
use skep_board::map;
use skep_disk::Format;
use skep_hyp::platform::{Conduit, Range};
use skep_hyp::ram::Ram;
use skep_hyp::{bus, passed};
use std::path::PathBuf;

/// Where Hyp mode's own addresses begin: RAM from there on is not used.
const RAM_LIMIT: u64 = 0xf000_0000;
/// What the image takes at most with its memory, bytes.
const IMAGE: u64 = 2 << 20;
/// What is kept free for the board's device tree, bytes.
const TREE: u64 = 2 << 20;
/// Guest memory begins at a multiple of this.
const ALIGNMENT: u64 = skep_hyp::tables::BLOCK_2;
/// The most channels of a virtual machine, and bytes of their memory together.
const CHANNELS: (usize, u64) = (map::CHANNELS, map::CHANNEL_MEMORY.size);

/// A system: virtual machines in their places on a board.
#[derive(Debug)]
pub struct System<'c> {
    /// The board.
    pub board: Facts,
    /// The virtual machines, in the order of their consoles.
    pub vms: Vec<Placed<'c>>,
    /// The cores that have a section.
    pub cores: &'c [Core],
    /// The channels.
    pub channels: &'c [Channel],
}

/// A virtual machine in its place.
#[derive(Debug)]
pub struct Placed<'c> {
    /// What the file says of it.
    pub vm: &'c Vm,
    /// For each vCPU, its core.
    pub cores: Vec<u8>,
}

/// Places the virtual machines on the board; None when that is impossible.
pub fn place<'c>(config: &'c Config, files: &dyn Files, report: &mut Report) -> Option<System<'c>> {
    let errors = report.errors();
    let vms = chosen(config, report);
    if vms.is_empty() && report.errors() == errors {
        report.add(Diagnostic::error(
            "there is no virtual machine",
            0..0,
            "the board would have nothing to run",
            "add one, for instance with the line [vm.one]",
        ));
    }
    for vm in &vms {
        check_for_board(vm, report);
    }
    check_channels(config, &vms, report);
    let board = Facts::of(config, files, report)?;
    for core in &config.cores {
        check_core(*core.number.get_ref(), core.number.span(), &board, report);
    }
    let cores = place_on_cores(config, &vms, &board, report);
    check_model(&vms, &board, report);
    check_devices(&vms, &board, report);
    check_board_disks(&vms, report);
    if report.errors() > errors {
        return None;
    }
    let vms = vms.into_iter().zip(cores);
    Some(System {
        board,
        vms: vms.map(|(vm, cores)| Placed { vm, cores }).collect(),
        cores: &config.cores,
        channels: &config.channels,
    })
}

/// The virtual machines of the board.
fn chosen<'c>(config: &'c Config, report: &mut Report) -> Vec<&'c Vm> {
    let wanted = config.board.as_ref().and_then(|board| board.vms.as_ref());
    let Some(names) = wanted else {
        return config.vms.iter().collect();
    };
    crate::parse::twice(names, "the board", report);
    let find = |name: &At<String>| {
        let found = config.vm(name.get_ref());
        if found.is_none() {
            report.add(unknown_vm(config, name, "the board"));
        }
        found
    };
    names.iter().filter_map(find).collect()
}

/// A name that no virtual machine has.
fn unknown_vm(config: &Config, name: &At<String>, what: &str) -> Diagnostic {
    let text = name.get_ref();
    let why = match (similar(text, config.names()), config.vms.len()) {
        (Some(meant), _) => format!("did you mean {meant:?}?"),
        (None, 1) => format!("there is only {}", list(config.names())),
        (None, _) => format!("there are {}", list(config.names())),
    };
    Diagnostic::error(
        format!("{what} names a virtual machine `{text}`, which does not exist"),
        name.span(),
        why,
        format!("correct the name, or add [vm.{text}]"),
    )
}

/// What the bare-metal hypervisor does not have, or does not look at.
fn check_for_board(vm: &Vm, report: &mut Report) {
    let name = vm.name.get_ref();
    let hosted =
        |key: &str| format!("`{key}` of the virtual machine `{name}` is for skep run only");
    crate::shares::refuse(vm, report);
    crate::vsock::refuse(vm, report);
    if let Some(bios) = &vm.bios
        && vm.kernel.is_none()
    {
        report.add(Diagnostic::error(
            hosted("bios"),
            bios.span(),
            "the bare-metal hypervisor starts kernels, not firmware",
            "give it a kernel, or leave it out of vms = [...] in [board]",
        ));
    }
    if let Some(dtb) = &vm.dtb {
        report.add(Diagnostic::error(
            hosted("dtb"),
            dtb.span(),
            "the bare-metal hypervisor's guests get a device tree that is made for them",
            "remove dtb, or leave the machine out of vms = [...] in [board]",
        ));
    }
    if let Some(boot) = &vm.boot {
        report.add(Diagnostic::error(
            hosted("boot"),
            boot.span(),
            "on a board, the default guest is always its own",
            "give it a kernel and an initial RAM disk that start the system, and remove boot",
        ));
    }
    if let Some(virtio) = &vm.virtio
        && *virtio.get_ref() == Virtio::Legacy
    {
        report.add(Diagnostic::error(
            hosted("virtio = \"legacy\""),
            virtio.span(),
            "the bare-metal hypervisor has the register interface of virtio 1.0",
            "use a guest with a driver for it, and remove virtio",
        ));
    }
    let net = vm.net.as_ref().filter(|net| *net.get_ref() != Net::None);
    let publish = vm.publish.first();
    for (key, span) in [
        ("net", net.map(At::span)),
        ("publish", publish.map(At::span)),
    ] {
        if let Some(span) = span {
            report.add(Diagnostic::error(
                hosted(key),
                span,
                "the bare-metal hypervisor has no network",
                format!("remove {key}, or leave the machine out of vms = [...] in [board]"),
            ));
        }
    }
    consoles::warn_board(vm, report);
    if let Some(watchdog) = &vm.watchdog
        && *watchdog.get_ref() != Watchdog::None
    {
        let warning = Diagnostic::error(
            hosted("watchdog"),
            watchdog.span(),
            "the bare-metal hypervisor's guests have no watchdog",
            "nothing has to be done if the guest does without it",
        );
        report.add(warning.warning());
    }
    for disk in &vm.disks {
        if disk.temporary {
            report.add(Diagnostic::error(
                hosted("temporary"),
                disk.span.clone(),
                "on a board, what is written to a disk in RAM is lost at the end anyway",
                "remove temporary",
            ));
        }
        if let (Some(file), Some(Format::Qcow2), None) =
            (&disk.file, disk.format(), &disk.board_disk)
        {
            let name = file.get_ref().display();
            report.add(Diagnostic::error(
                format!(
                    "a disk of the virtual machine `{name}` is a qcow2 image",
                    name = vm.name.get_ref()
                ),
                file.span(),
                "on a board, disks are raw",
                format!("convert it: qemu-img convert -O raw {name} disk.img"),
            ));
        }
    }
    let in_ram = vm.disks.iter().filter(|disk| disk.board_disk.is_none());
    for size in in_ram.filter_map(|disk| disk.size.as_ref()) {
        if *size.get_ref() > u64::from(u32::MAX) {
            report.add(Diagnostic::error(
                format!("a disk of the virtual machine `{name}` is too large"),
                size.span(),
                "a disk in RAM has less than 4G",
                "make it smaller",
            ));
        }
    }
}

fn check_channels(config: &Config, vms: &[&Vm], report: &mut Report) {
    for channel in &config.channels {
        for name in &channel.vms {
            let what = format!("the channel `{}`", channel.name.get_ref());
            if config.vm(name.get_ref()).is_none() {
                report.add(unknown_vm(config, name, &what));
            } else if !vms.iter().any(|vm| vm.name.get_ref() == name.get_ref()) {
                let vm = name.get_ref();
                report.add(Diagnostic::error(
                    format!("{what} names the virtual machine `{vm}`, which is not on the board"),
                    name.span(),
                    "vms of [board] does not have it",
                    "add it there, or take it out here",
                ));
            }
        }
    }
    for vm in vms {
        let name = vm.name.get_ref();
        let own = |channel: &&Channel| channel.vms.iter().any(|vm| vm.get_ref() == name);
        let own: Vec<&Channel> = config.channels.iter().filter(own).collect();
        let bytes: u64 = own
            .iter()
            .map(|channel| u64::from(*channel.size.get_ref()))
            .sum();
        if own.len() > CHANNELS.0 || bytes > CHANNELS.1 {
            report.add(Diagnostic::error(
                format!("the virtual machine `{name}` has too many channels"),
                vm.name.span(),
                format!(
                    "{} with {} of memory together; {} with {} are possible",
                    own.len(),
                    show_size(bytes),
                    CHANNELS.0,
                    show_size(CHANNELS.1)
                ),
                "make them smaller, or put several uses into one",
            ));
        }
    }
}

/// Reports a core that the board does not have; whether it has it.
fn check_core(core: u8, span: std::ops::Range<usize>, board: &Facts, report: &mut Report) -> bool {
    let count = board.platform.cpus.len();
    if usize::from(core) >= count {
        let (is, remedy) = match (count, board.emulated) {
            (1, Some(_)) => (
                "its only one is 0".to_owned(),
                "or give it more: cores in [board]",
            ),
            (1, None) => ("its only one is 0".to_owned(), "or check the device tree"),
            (_, Some(_)) => (
                format!("it has 0 to {}", count - 1),
                "or give it more: cores in [board]",
            ),
            (_, None) => (
                format!("it has 0 to {}", count - 1),
                "or check the device tree",
            ),
        };
        report.add(Diagnostic::error(
            format!("the board has no core {core}"),
            span,
            is,
            format!("name a core that there is, {remedy}"),
        ));
        return false;
    }
    if core > 0 && !starts_cores(board) {
        report.add(Diagnostic::error(
            format!("the core {core} can't be started"),
            span,
            "the board's device tree has no PSCI by SMC, by which cores are started",
            "use core 0 only, or firmware with PSCI",
        ));
        return false;
    }
    true
}

/// Whether the hypervisor can start other cores than the first.
fn starts_cores(board: &Facts) -> bool {
    board.platform.psci == Some(Conduit::Smc) || board.platform.pen.is_some()
}

/// Gives each vCPU its core: the one that the file says, or one that nobody has.
fn place_on_cores(
    config: &Config,
    vms: &[&Vm],
    board: &Facts,
    report: &mut Report,
) -> Vec<Vec<u8>> {
    let shared = |core: u8| {
        let section = config
            .cores
            .iter()
            .find(|section| *section.number.get_ref() == core);
        section.is_some_and(|section| section.shared)
    };
    // Who has each core first.
    let mut owners: Vec<Option<(&Vm, std::ops::Range<usize>)>> = vec![None; 256];
    for vm in vms {
        for core in vm.cores.iter().flat_map(At::get_ref) {
            let number = *core.get_ref();
            if !check_core(number, core.span(), board, report) || shared(number) {
                continue;
            }
            let Some(owner) = owners.get_mut(usize::from(number)) else {
                continue;
            };
            match owner {
                None => *owner = Some((vm, core.span())),
                Some((first, span)) => report.add(
                    Diagnostic::error(
                        format!("the core {number} is given twice"),
                        core.span(),
                        format!("here to a vCPU of `{}`", vm.name.get_ref()),
                        format!(
                            "choose another core, or let them take turns: [core.{number}] with \
                             schedule = \"shared\""
                        ),
                    )
                    .and(
                        span.clone(),
                        format!("here to a vCPU of `{}`", first.name.get_ref()),
                    ),
                ),
            }
        }
        check_shares(vm, shared, report);
    }
    let usable = |core: &u8| *core == 0 || starts_cores(board);
    let count = u8::try_from(board.platform.cpus.len()).unwrap_or(u8::MAX);
    let free = |core: &u8| owners.get(usize::from(*core)).is_none_or(Option::is_none);
    let mut free = (0..count)
        .filter(usable)
        .filter(|core| !shared(*core))
        .filter(free);
    let mut placed = Vec::new();
    for vm in vms {
        let wanted = usize::from(vm.cpus());
        let cores: Vec<u8> = match &vm.cores {
            Some(cores) => cores.get_ref().iter().map(|core| *core.get_ref()).collect(),
            None => free.by_ref().take(wanted).collect(),
        };
        if vm.cores.is_none() && cores.len() < wanted {
            report.add(Diagnostic::error(
                format!(
                    "there is no core left for the virtual machine `{}`",
                    vm.name.get_ref()
                ),
                vm.name.span(),
                format!(
                    "it has {wanted} vCPU{}, and the board {count} core{}",
                    s(wanted),
                    s(count.into())
                ),
                "give some machines the same cores, for instance cores = [1], and [core.1] with \
                 schedule = \"shared\"",
            ));
        }
        placed.push(cores);
    }
    placed
}

fn s(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Priority and budget mean something on shared cores only.
fn check_shares(vm: &Vm, shared: impl Fn(u8) -> bool, report: &mut Report) {
    let on_shared = vm
        .cores
        .iter()
        .flat_map(At::get_ref)
        .any(|core| shared(*core.get_ref()));
    if on_shared {
        return;
    }
    for (key, span) in [
        ("priority", vm.priority.as_ref().map(At::span)),
        ("budget", vm.budget.as_ref().map(At::span)),
    ] {
        if let Some(span) = span {
            let name = vm.name.get_ref();
            report.add(
                Diagnostic::error(
                    format!("`{key}` of the virtual machine `{name}` has no effect"),
                    span,
                    "its vCPUs have their cores for themselves",
                    format!("remove {key}, or give it shared cores"),
                )
                .warning(),
            );
        }
    }
}

/// Devices that guests have for themselves: that they are there, each once, and can be given away.
fn check_devices(vms: &[&Vm], board: &Facts, report: &mut Report) {
    let all = bus::devices(&board.tree.root);
    let mut before: Vec<(&Vm, &At<String>)> = Vec::new();
    for vm in vms {
        let mut places = passed::Places::default();
        let mut own = Vec::new();
        for device in &vm.devices {
            let path = &device.path;
            let name = path.get_ref();
            let Some((node, found)) = all.iter().find(|(_, found)| found.path == *name) else {
                let near = similar(name, all.iter().map(|(_, found)| found.path.as_str()));
                let why = match near {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => "the board's device tree has no such node".into(),
                };
                report.add(Diagnostic::error(
                    format!("the device `{name}` does not exist"),
                    path.span(),
                    why,
                    "write its path in the board's device tree, such as \"/pl031@9010000\"",
                ));
                continue;
            };
            if let Some((other, first)) = before.iter().find(|(_, first)| first.get_ref() == name) {
                report.add(
                    Diagnostic::error(
                        format!("the device `{name}` is given twice"),
                        path.span(),
                        format!("here to `{}`", vm.name.get_ref()),
                        "give it to one machine only",
                    )
                    .and(first.span(), format!("here to `{}`", other.name.get_ref())),
                );
                continue;
            }
            before.push((vm, path));
            match passed::describe((node, found), device.dma_trusted, &mut places) {
                Ok((described, _)) => own.push((path, described)),
                Err(why) => report.add(not_passed(path, why)),
            }
        }
        let devices: Vec<_> = own.iter().map(|(_, device)| device.clone()).collect();
        for (path, device) in &own {
            if let Err(why) = passed::check(device, &devices, &board.platform) {
                report.add(not_passed(path, why));
            }
        }
    }
}

/// A device that can't be given away.
fn not_passed(path: &At<String>, why: String) -> Diagnostic {
    Diagnostic::error(
        format!("the device `{}` can't be given to a guest", path.get_ref()),
        path.span(),
        why,
        "take it out of devices, or do what this says",
    )
}

/// Parts of the board's disks: none is written by one machine and used by another.
fn check_board_disks(vms: &[&Vm], report: &mut Report) {
    let mut before: Vec<(&Vm, &At<u8>, Range, bool)> = Vec::new();
    for vm in vms {
        for disk in &vm.disks {
            let Some(number) = &disk.board_disk else {
                continue;
            };
            let bytes = |given: &Option<At<u64>>, default| {
                given.as_ref().map_or(default, |at| *at.get_ref())
            };
            let part = Range {
                base: bytes(&disk.start, 0),
                size: bytes(&disk.size, u64::MAX),
            };
            for (other, first, range, read_only) in &before {
                if first.get_ref() == number.get_ref()
                    && part.overlaps(*range)
                    && !(disk.read_only && *read_only)
                {
                    report.add(
                        Diagnostic::error(
                            format!("parts of the board's disk {} overlap", number.get_ref()),
                            number.span(),
                            format!("`{}` has this part", vm.name.get_ref()),
                            "give start and size so that they don't, or make both readonly",
                        )
                        .and(
                            first.span(),
                            format!("`{}` has this one", other.name.get_ref()),
                        ),
                    );
                }
            }
            before.push((vm, number, part, disk.read_only));
        }
    }
}

/// Checks that the board has memory for all virtual machines, beside the hypervisor and a bundle of
/// so many bytes. It is given away as the hypervisor does it.
pub fn check_memory(system: &System<'_>, bundle: u64, files: &dyn Files, report: &mut Report) {
    let platform = &system.board.platform;
    let mut ram = Ram::new(&platform.memory, RAM_LIMIT);
    for range in &platform.reserved {
        ram.reserve(*range);
    }
    let all = ram.available();
    let own = (IMAGE + bundle).next_multiple_of(ALIGNMENT);
    let mut used = vec![format!(
        "{} for the hypervisor and all files",
        show_size(own + TREE)
    )];
    let mut fits = ram.allocate(own, ALIGNMENT).is_some();
    match (&system.board.emulated, platform.memory.first()) {
        // QEMU puts the device tree here.
        (Some(_), Some(memory)) => {
            let at = memory.base + (memory.size / 2).min(128 << 20).max(own);
            ram.reserve(Range {
                base: at,
                size: TREE,
            });
        }
        _ => fits &= ram.allocate(TREE, ALIGNMENT).is_some(),
    }
    let channels = system
        .channels
        .iter()
        .map(|channel| u64::from(*channel.size.get_ref()));
    let mut others = vec![("channels", channels.sum())];
    let in_ram = |vm: &Vm| -> u64 {
        let disks = vm
            .disks
            .iter()
            .filter(|disk| disk.board_disk.is_none() && !disk.read_only);
        disks.map(|disk| disk_size(disk, files)).sum()
    };
    others.push((
        "disks",
        system.vms.iter().map(|placed| in_ram(placed.vm)).sum(),
    ));
    for (what, size) in others {
        if size > 0 {
            used.push(format!("{} of {what}", show_size(size)));
            fits &= ram
                .allocate(size.next_multiple_of(ALIGNMENT), ALIGNMENT)
                .is_some();
        }
    }
    for Placed { vm, .. } in &system.vms {
        let size = vm.memory();
        if fits && ram.allocate(size, ALIGNMENT).is_some() {
            used.push(format!("{} of `{}`", show_size(size), vm.name.get_ref()));
            continue;
        }
        let used = list(used.iter().map(String::as_str));
        let mut why = format!("of {} there are used {used}", show_size(all));
        if vm.memory.is_none() {
            why = format!("it has {} without the key `memory`; {why}", show_size(size));
        }
        let name = vm.name.get_ref();
        report.add(Diagnostic::error(
            format!("the virtual machine `{name}` does not fit into the board's memory"),
            vm.memory.as_ref().map_or(vm.name.span(), At::span),
            why,
            "give the machines less memory; if the board has more, say so with memory in [board]",
        ));
        return;
    }
}

/// Bytes of a disk in RAM.
fn disk_size(disk: &Disk, files: &dyn Files) -> u64 {
    match (&disk.size, &disk.file) {
        (Some(size), _) => *size.get_ref(),
        (None, Some(path)) => files.look(path.get_ref()).map_or(0, |found| found.size),
        (None, None) => 0,
    }
}

/// The size that a bundle has at least, as far as that can be said without packing it: that of the
/// files that go into it.
pub fn bundle_size(system: &System<'_>, files: &dyn Files) -> u64 {
    let size = |path: &At<PathBuf>| files.look(path.get_ref()).map_or(0, |found| found.size);
    let vms = system.vms.iter().map(|placed| placed.vm);
    vms.map(|vm| {
        let disks = vm.disks.iter().filter(|disk| disk.board_disk.is_none());
        let disks = disks.filter_map(|disk| disk.file.as_ref());
        let own = vm.kernel.iter().chain(&vm.initrd).chain(disks);
        own.map(size).sum::<u64>()
    })
    .sum()
}

/// Warns of a model of processor that the board's is not.
fn check_model(vms: &[&Vm], board: &Facts, report: &mut Report) {
    let Some(emulated) = board.emulated else {
        return;
    };
    for vm in vms {
        if let Some(cpu) = &vm.cpu
            && *cpu.get_ref() != emulated.cpu
        {
            report.add(
                Diagnostic::error(
                    format!(
                        "`cpu` of the virtual machine `{}` is not the board's",
                        vm.name.get_ref()
                    ),
                    cpu.span(),
                    format!("on the board it is a {}", emulated.cpu.name()),
                    "give the board another one with cpu in [board], or remove cpu",
                )
                .warning(),
            );
        }
    }
}
