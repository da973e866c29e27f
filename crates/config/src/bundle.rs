//! From virtual machines in their places to a bundle.

use crate::diagnostic::{Diagnostic, Report};
use crate::files::{Files, read};
use crate::model::{Console, Guest, Vm, value};
use crate::place::System;
use skep_bundle::pack;
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
    let mut vms = Vec::new();
    for placed in &system.vms {
        let vm = placed.vm;
        let what = format!("the virtual machine `{}`", vm.name.get_ref());
        let default_guest = match vm.guest() {
            Some(guest) => Some(guests(guest, vm)?),
            None => None,
        };
        let own = |path, key, report: &mut Report| read(path, key, &what, files, report);
        let given = vm.cmdline.as_ref().map(|text| text.get_ref().as_str());
        let (kernel, initrd, cmdline) = match default_guest {
            Some(guest) => {
                let cmdline = [Some(guest.cmdline.as_str()), given];
                let cmdline = cmdline.into_iter().flatten().collect::<Vec<_>>().join(" ");
                (Some(guest.kernel), Some(guest.initrd), cmdline)
            }
            None => (
                vm.kernel
                    .as_ref()
                    .and_then(|path| own(path, "kernel", report)),
                vm.initrd
                    .as_ref()
                    .and_then(|path| own(path, "initrd", report)),
                given.unwrap_or(vm.console_option()).to_owned(),
            ),
        };
        let Some(kernel) = kernel else {
            continue;
        };
        let described = describe(&Request {
            name: vm.name.get_ref(),
            memory_mib: u32::try_from(vm.memory() >> 20).unwrap_or(u32::MAX),
            cores: &placed.cores,
            kernel: &kernel,
            initrd: initrd.as_deref(),
            cmdline: &cmdline,
        });
        match described {
            Ok(vm) => vms.push(vm),
            Err(error) => report.add(Diagnostic::error(
                format!("{what} can't be packed"),
                vm.name.span(),
                error.to_string(),
                "change its kernel, initrd or memory",
            )),
        }
    }
    if report.errors() > errors {
        return Ok(None);
    }
    match pack(&skep_bundle::System { vms }) {
        Ok(packed) => Ok(Some(packed)),
        Err(error) => {
            report.add(Diagnostic::error(
                "the bundle can't be packed",
                0..0,
                error.to_string(),
                "use fewer or smaller files",
            ));
            Ok(None)
        }
    }
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
                "a policy for faults",
                vm.on_fault.as_ref().map(toml::Spanned::span),
            ),
            (
                "a policy for resets",
                vm.on_reset.as_ref().map(toml::Spanned::span),
            ),
            (
                "a policy for switching off",
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
