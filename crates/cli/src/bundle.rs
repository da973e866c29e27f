//! `skep bundle`: the bare-metal hypervisor and its virtual machines in one image.

use crate::Error;
use crate::args::HypervisorArgs;
use crate::config;
use crate::run::guest;
use skep_bundle::image;
use skep_config::model::Vm;
use skep_config::value::show_size;
use skep_config::{Document, Emulated, GuestFiles, Host, bundle_size, check_memory, place};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The image's usual name.
const IMAGE: &str = "skep-hyp.img";

/// An image that boots, and what is in it.
pub struct Image {
    /// The file's contents.
    pub bytes: Vec<u8>,
    /// How QEMU emulates the board, if it does.
    pub emulated: Option<Emulated>,
    /// How many disks the board has at least: machines have parts of them.
    pub board_disks: usize,
    /// The virtual machines in the order of their consoles.
    pub vms: Vec<Listed>,
}

/// A virtual machine of an image.
pub struct Listed {
    pub name: String,
    /// Bytes.
    memory: u64,
    cores: Vec<u8>,
}

impl Listed {
    /// What it is, for people.
    pub fn describe(&self) -> String {
        let cores: Vec<String> = self.cores.iter().map(u8::to_string).collect();
        let s = if cores.len() == 1 { "" } else { "s" };
        format!("{}, core{s} {}", show_size(self.memory), cores.join(", "))
    }
}

/// Makes the image. None when the file is wrong, which has been said.
pub fn make(path: &Path, hypervisor: &HypervisorArgs) -> Result<Option<Image>, Error> {
    let mut document = Document::load(path)?;
    let config = document.config.clone();
    for vm in &config.vms {
        skep_config::files::check_vm(vm, &Host, &[], &mut document.report);
    }
    let system = place(&config, &Host, &mut document.report);
    if let Some(system) = &system {
        let size = bundle_size(system, &Host);
        check_memory(system, size, &Host, &mut document.report);
    }
    let right = config::report(&mut document, true);
    let Some(system) = system.filter(|_| right) else {
        return Ok(None);
    };
    // Warnings are not said again.
    document.report.diagnostics.clear();
    let own = hypervisor_image(hypervisor)?;
    let report = &mut document.report;
    let bundle = skep_config::bundle(&system, &Host, default_guest, report)?;
    if let Some(bundle) = &bundle {
        check_memory(&system, bundle.len() as u64, &Host, report);
    }
    let right = config::report(&mut document, true);
    let Some(bundle) = bundle.filter(|_| right) else {
        return Ok(None);
    };
    let bytes = image::append(&own.bytes, &bundle)
        .map_err(|error| format!("{}: {error}", own.path.display()))?;
    let vms = system.vms.iter().map(|placed| Listed {
        name: placed.vm.name.get_ref().clone(),
        memory: placed.vm.memory(),
        cores: placed.cores.clone(),
    });
    Ok(Some(Image {
        bytes,
        emulated: system.board.emulated,
        board_disks: system
            .vms
            .iter()
            .flat_map(|placed| &placed.vm.disks)
            .filter_map(|disk| disk.board_disk.as_ref())
            .map(|number| usize::from(*number.get_ref()) + 1)
            .max()
            .unwrap_or(0),
        vms: vms.collect(),
    }))
}

/// `skep bundle`.
pub fn bundle(
    path: &Path,
    output: &Path,
    json: bool,
    hypervisor: &HypervisorArgs,
) -> Result<u8, Error> {
    let name = output.display();
    let same = |one: &Path, two: &Path| {
        let (one, two) = (std::fs::canonicalize(one), std::fs::canonicalize(two));
        matches!((one, two), (Ok(one), Ok(two)) if one == two)
    };
    if same(path, output) {
        return Err(
            format!("{name} is the configuration file; give another name for the image").into(),
        );
    }
    let Some(image) = make(path, hypervisor)? else {
        return Ok(crate::STATUS_ERROR);
    };
    std::fs::write(output, &image.bytes).map_err(|error| {
        // Half an image is worse than none.
        let _ = std::fs::remove_file(output);
        format!("{name} can't be written ({error}); check the path and the disk")
    })?;
    if json {
        let vms = image.vms.iter().map(
            |vm| serde_json::json!({ "name": vm.name, "memory": vm.memory, "cores": vm.cores }),
        );
        let object = serde_json::json!({
            "image": output.to_string_lossy(),
            "size": image.bytes.len(),
            "vms": vms.collect::<Vec<_>>(),
        });
        return config::print(&format!("{object}\n"));
    }
    let mut text = format!("{name}: {} KiB\n", image.bytes.len().div_ceil(1024));
    for (index, vm) in image.vms.iter().enumerate() {
        let _ = writeln!(text, "  {index}  {}: {}", vm.name, vm.describe());
    }
    config::print(&text)
}

/// The files of a default guest.
fn default_guest(flavour: skep_config::model::Guest, vm: &Vm) -> Result<GuestFiles, Error> {
    let files = guest::ensure(flavour)?;
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| {
            format!(
                "the default guest's file {} can't be read: {error}",
                path.display()
            )
        })
    };
    let console = vm.board_console_option();
    let devices = guest::Devices {
        consoles: console == "console=hvc0",
        disks: !vm.disks.is_empty(),
        ..guest::Devices::default()
    };
    Ok(GuestFiles {
        // As Debian has it: smaller than what it unpacks to.
        kernel: read(&files.kernel)?,
        initrd: read(&files.initrd)?,
        cmdline: guest::command_line(console, devices),
    })
}

/// The hypervisor's own image, and where it was found.
struct Own {
    path: PathBuf,
    bytes: Vec<u8>,
}

fn hypervisor_image(args: &HypervisorArgs) -> Result<Own, Error> {
    let path = match &args.hypervisor {
        Some(path) => path.clone(),
        None => find()?,
    };
    let bytes = std::fs::read(&path).map_err(|error| {
        format!(
            "the hypervisor's image {} can't be read ({error}); check the path, or build it in a \
             clone of Skep's repository with cargo xtask hyp",
            path.display()
        )
    })?;
    Ok(Own { path, bytes })
}

/// Looks where the hypervisor's image may be.
fn find() -> Result<PathBuf, Error> {
    let program = std::env::current_exe().unwrap_or_default();
    let beside = program.parent().unwrap_or(Path::new(""));
    let variable = |name: &str| std::env::var_os(name);
    let data = skep_image::base_directory(variable, "XDG_DATA_HOME", ".local/share");
    let places = [
        Some(beside.join(IMAGE)),
        Some(beside.join("../lib/skep").join(IMAGE)),
        // target/PROFILE/skep and target/hyp/skep-hyp.img of a clone.
        Some(beside.join("../hyp").join(IMAGE)),
        data.map(|data| data.join("skep").join(IMAGE)),
    ];
    let found = places.into_iter().flatten().find(|path| path.is_file());
    found.ok_or_else(|| {
        format!(
            "the bare-metal hypervisor's image {IMAGE} is not installed; build it in a clone of \
             Skep's repository with cargo xtask hyp, and give --hypervisor target/hyp/{IMAGE}, or \
             copy it to ~/.local/share/skep"
        )
        .into()
    })
}
