//! From virtual machines in their places to a bundle.

use crate::diagnostic::{Diagnostic, Report};
use crate::files::{Files, read};
use crate::model::{Console, Guest, Vm, value};
use crate::place::System;
use skep_bundle::{BundleError, pack};
use skep_hyp::guest::{Request, describe};

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
    not_yet(system, report);
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
    if let Some(guest) = default_guest {
        let cmdline = [Some(guest.cmdline.as_str()), given];
        return Some(Contents {
            kernel: guest.kernel,
            initrd: Some(guest.initrd),
            cmdline: cmdline.into_iter().flatten().collect::<Vec<_>>().join(" "),
        });
    }
    let initrd = match &vm.initrd {
        Some(path) => Some(read(path, "initrd", &what, files, report)?),
        None => None,
    };
    Some(Contents {
        kernel: read(vm.kernel.as_ref()?, "kernel", &what, files, report)?,
        initrd,
        cmdline: given.unwrap_or(vm.console_option()).to_owned(),
    })
}

/// THE HAND-OVER: what the file says, as the bundle has it.
fn hand_over(
    system: &System<'_>,
    contents: &[Contents],
) -> Result<skep_bundle::System<Vec<u8>>, Diagnostic> {
    let vms = system.vms.iter().zip(contents).map(|(placed, contents)| {
        let name = placed.vm.name.get_ref();
        let request = Request {
            name,
            memory_mib: u32::try_from(placed.vm.memory() >> 20).unwrap_or(u32::MAX),
            cores: &placed.cores,
            kernel: &contents.kernel,
            initrd: contents.initrd.as_deref(),
            cmdline: &contents.cmdline,
        };
        describe(&request).map_err(|error| {
            let title = format!("the virtual machine `{name}` can't be packed");
            let help = "change its kernel, initrd or memory";
            Diagnostic::error(title, placed.vm.name.span(), error.to_string(), help)
        })
    });
    Ok(skep_bundle::System {
        vms: vms.collect::<Result<_, _>>()?,
    })
}

/// Reports what a bundle has no fields for yet.
fn not_yet(system: &System<'_>, report: &mut Report) {
    let mut found = Vec::new();
    for core in system.cores.iter().filter(|core| core.shared) {
        found.push(("shared cores", core.number.span()));
    }
    for channel in system.channels {
        found.push(("channels", channel.name.span()));
    }
    for vm in system.vms.iter().map(|placed| placed.vm) {
        if value(&vm.console) == Console::Virtio {
            found.push(("virtio consoles", vm.name.span()));
        }
        let spans = vm.disks.iter().map(|disk| ("disks", disk.span.clone()));
        found.extend(spans);
        let spans = vm
            .devices
            .iter()
            .map(|device| ("passed-through devices", device.path.span()));
        found.extend(spans);
        let keys = [
            (
                "policies for faults",
                vm.on_fault.as_ref().map(toml::Spanned::span),
            ),
            (
                "policies for resets",
                vm.on_reset.as_ref().map(toml::Spanned::span),
            ),
            (
                "policies for switching off",
                vm.on_poweroff.as_ref().map(toml::Spanned::span),
            ),
            (
                "machines that wait",
                vm.autostart.as_ref().map(toml::Spanned::span),
            ),
        ];
        found.extend(
            keys.into_iter()
                .filter_map(|(what, span)| Some((what, span?))),
        );
    }
    for (what, span) in found {
        report.add(Diagnostic::error(
            format!("the bare-metal hypervisor has no {what} yet"),
            span,
            "this would be left out",
            "leave the machine out of vms = [...] in [board], or remove this",
        ));
    }
}
