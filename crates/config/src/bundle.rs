//! From virtual machines in their places to a bundle.

use crate::diagnostic::{Diagnostic, Report};
use crate::files::{Files, read};
use crate::model::{At, Channel, Device, Disk, Guest, Policy, Vm};
use crate::place::{Placed, System};
use skep_bundle::{BundleError, CoreSchedule, Policies, Share, pack};
use skep_hyp::guest::{ChannelRequest, DeviceRequest, Request, SystemRequest, describe_system};

/// The files of a default guest, which whoever has them brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuestFiles {
    /// The kernel.
    pub kernel: Vec<u8>,
    /// The initial RAM disk.
    pub initrd: Vec<u8>,
    /// The command line, without the file's `cmdline`.
    pub cmdline: String,
}

/// Packs a system. None when it can't be packed: the report says why. `guests` brings a default
/// guest's files for a machine.
///
/// # Errors
///
/// Those of `guests`.
pub fn bundle<E>(
    system: &System<'_>,
    files: &dyn Files,
    mut guests: impl FnMut(Guest, &Vm) -> Result<GuestFiles, E>,
    report: &mut Report,
) -> Result<Option<Vec<u8>>, E> {
    let errors = report.errors();
    let mut contents = Vec::new();
    for placed in &system.vms {
        let default_guest = match placed.vm.guest() {
            Some(guest) => Some(guests(guest, placed.vm)?),
            None => None,
        };
        contents.extend(read_all(placed.vm, default_guest, files, report));
    }
    if report.errors() > errors {
        return Ok(None);
    }
    let described = hand_over(system, &contents);
    let packed = described.and_then(|system| {
        let too_large = |error: BundleError| {
            let help = "use fewer or smaller files";
            Diagnostic::error("the bundle can't be packed", 0..0, error.to_string(), help)
        };
        pack(&system).map_err(too_large)
    });
    Ok(packed.map_err(|error| report.add(error)).ok())
}

/// What a virtual machine is loaded with.
struct Contents {
    kernel: Vec<u8>,
    initrd: Option<Vec<u8>>,
    cmdline: String,
    disks: Vec<skep_bundle::Disk<Vec<u8>>>,
}

/// Reads the files of a virtual machine; None when there are errors.
fn read_all(
    vm: &Vm,
    default_guest: Option<GuestFiles>,
    files: &dyn Files,
    report: &mut Report,
) -> Option<Contents> {
    let what = format!("the virtual machine `{}`", vm.name.get_ref());
    let given = vm.cmdline.as_ref().map(|text| text.get_ref().as_str());
    let disks = vm.disks.iter();
    let disks = disks
        .map(|disk| read_disk(disk, &what, files, report))
        .collect::<Option<_>>()?;
    if let Some(guest) = default_guest {
        let cmdline = [Some(guest.cmdline.as_str()), given];
        return Some(Contents {
            kernel: guest.kernel,
            initrd: Some(guest.initrd),
            cmdline: cmdline.into_iter().flatten().collect::<Vec<_>>().join(" "),
            disks,
        });
    }
    let initrd = match &vm.initrd {
        Some(path) => Some(read(path, "initrd", &what, files, report)?),
        None => None,
    };
    Some(Contents {
        kernel: read(vm.kernel.as_ref()?, "kernel", &what, files, report)?,
        initrd,
        cmdline: given.unwrap_or(vm.board_console_option()).to_owned(),
        disks,
    })
}

/// A disk, with the contents of one that is in RAM.
fn read_disk(
    disk: &Disk,
    what: &str,
    files: &dyn Files,
    report: &mut Report,
) -> Option<skep_bundle::Disk<Vec<u8>>> {
    let size = disk.size.as_ref().map(|size| *size.get_ref());
    let contents = match &disk.board_disk {
        Some(number) => skep_bundle::Contents::Board {
            disk: *number.get_ref(),
            start: disk.start.as_ref().map_or(0, |start| *start.get_ref()),
            size: size.unwrap_or(0),
        },
        None => {
            let file = match &disk.file {
                Some(path) => read(path, "disks", what, files, report)?,
                None => Vec::new(),
            };
            let size = size.unwrap_or(file.len() as u64);
            skep_bundle::Contents::Memory {
                // Less than 4 GiB, by the checks of sizes and files.
                size: u32::try_from(size).unwrap_or(u32::MAX),
                file,
            }
        }
    };
    Some(skep_bundle::Disk {
        contents,
        read_only: disk.read_only,
    })
}

/// What the file says, as the bundle has it.
fn hand_over(
    system: &System<'_>,
    contents: &[Contents],
) -> Result<skep_bundle::System<Vec<u8>>, Diagnostic> {
    let devices: Vec<Vec<DeviceRequest<'_>>> = system.vms.iter().map(devices).collect();
    let vms = system.vms.iter().zip(contents).zip(&devices);
    let vms: Vec<Request<'_>> = vms
        .map(|((placed, contents), devices)| Request {
            name: placed.vm.name.get_ref(),
            memory_mib: u32::try_from(placed.vm.memory() >> 20).unwrap_or(u32::MAX),
            cores: &placed.cores,
            kernel: &contents.kernel,
            initrd: contents.initrd.as_deref(),
            cmdline: &contents.cmdline,
            console: match placed.vm.has_virtio_terminal() {
                false => skep_bundle::Console::Pl011,
                true => skep_bundle::Console::Virtio,
            },
            disks: &contents.disks,
            devices,
        })
        .collect();
    let ends: Vec<Vec<(usize, bool)>> = system
        .channels
        .iter()
        .map(|channel| ends(system, channel))
        .collect();
    let channels = system.channels.iter().zip(&ends);
    let channels: Vec<ChannelRequest<'_>> = channels
        .map(|(channel, ends)| ChannelRequest {
            name: channel.name.get_ref(),
            size: *channel.size.get_ref(),
            ends,
        })
        .collect();
    let request = SystemRequest {
        vms: &vms,
        channels: &channels,
        board: Some(&system.board.tree),
    };
    let mut described = describe_system(&request).map_err(|error| {
        let span = system.vms.first().map(|placed| placed.vm.name.span());
        let title = "the machines can't be packed";
        let help = "change what this names";
        Diagnostic::error(title, span.unwrap_or_default(), error.to_string(), help)
    })?;
    for (vm, placed) in described.vms.iter_mut().zip(&system.vms) {
        schedule(vm, placed);
    }
    let last = system.cores.iter().map(|core| *core.number.get_ref()).max();
    described.cores = (0..=last.unwrap_or(0))
        .map(|number| {
            let mut sections = system.cores.iter();
            let section = sections.find(|core| *core.number.get_ref() == number && core.shared);
            section.map_or(CoreSchedule::Partitioned, |core| CoreSchedule::Shared {
                slice_us: core
                    .slice
                    .as_ref()
                    .map_or(CoreSchedule::SLICE_US, |slice| *slice.get_ref()),
            })
        })
        .collect();
    Ok(described)
}

fn devices<'p>(placed: &'p Placed<'_>) -> Vec<DeviceRequest<'p>> {
    let devices = placed.vm.devices.iter();
    let request = |device: &'p Device| DeviceRequest {
        path: device.path.get_ref(),
        dma_trusted: device.dma_trusted,
    };
    devices.map(request).collect()
}

/// Who has a channel, and whether it can only read: places in the list of machines.
fn ends(system: &System<'_>, channel: &Channel) -> Vec<(usize, bool)> {
    let index = |name: &At<String>| {
        let mut vms = system.vms.iter();
        let index = vms.position(|placed| placed.vm.name.get_ref() == name.get_ref())?;
        let mut read_only = channel.read_only.iter();
        let read_only = read_only.any(|other| other.get_ref() == name.get_ref());
        Some((index, read_only))
    };
    channel.vms.iter().filter_map(index).collect()
}

/// Shares of cores, and what becomes of the machine.
fn schedule(vm: &mut skep_bundle::Vm<Vec<u8>>, placed: &Placed<'_>) {
    let model = placed.vm;
    let default = Share::default();
    let given = |given: &Option<At<u32>>| given.as_ref().map_or(0, |time| *time.get_ref());
    let share = Share {
        priority: model
            .priority
            .as_ref()
            .map_or(default.priority, |priority| *priority.get_ref()),
        budget_us: given(&model.budget),
        period_us: given(&model.period),
    };
    vm.shares = vec![share; placed.cores.len()];
    let policy = |given: &Option<At<Policy>>, limit, default| match given.as_ref().map(At::get_ref)
    {
        Some(Policy::Stop) => skep_bundle::Policy::Stop,
        Some(Policy::Reset) => skep_bundle::Policy::Reset { limit },
        None => default,
    };
    let limit = model.restarts.as_ref().map(|restarts| *restarts.get_ref());
    vm.policies = Policies {
        fault: policy(&model.on_fault, limit, vm.policies.fault),
        reset: policy(&model.on_reset, None, vm.policies.reset),
        off: policy(&model.on_poweroff, None, vm.policies.off),
    };
    vm.halted = model
        .autostart
        .as_ref()
        .is_some_and(|start| !start.get_ref());
}
