//! The files that a configuration names, and whether they are what they should be.

use crate::diagnostic::{Diagnostic, Report, similar};
use crate::model::{At, Disk, Vm};
use skep_board::map;
use skep_disk::Format;
use skep_loader::{Kernel, fdt, plan};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The largest file that is read whole, bytes: more can't be guest memory.
const LARGEST: u64 = 4 << 30;
/// A disk is a whole number of these, bytes.
const SECTOR: u64 = 512;
/// What a device tree takes at most, roughly, bytes.
const TREE: u64 = 64 << 10;

/// What is at a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// What kind.
    pub kind: Kind,
    /// Bytes, of a file.
    pub size: u64,
    /// The first bytes, of a file.
    pub head: Vec<u8>,
}

/// What kind of thing is at a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A block device.
    BlockDevice,
    /// Something else: a pipe, say.
    Other,
}

/// Where files are: the host, or a test's idea of it.
pub trait Files {
    /// What is at a path.
    ///
    /// # Errors
    ///
    /// The host's.
    fn look(&self, path: &Path) -> io::Result<Found>;

    /// A file's contents.
    ///
    /// # Errors
    ///
    /// The host's.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names in a directory, as far as they can be had.
    fn names(&self, directory: &Path) -> Vec<String>;
}

/// The host's files.
#[derive(Clone, Copy, Default, Debug)]
pub struct Host;

impl Files for Host {
    fn look(&self, path: &Path) -> io::Result<Found> {
        use std::os::unix::fs::FileTypeExt;
        let metadata = std::fs::metadata(path)?;
        let kind = match metadata.file_type() {
            kind if kind.is_file() => Kind::File,
            kind if kind.is_dir() => Kind::Directory,
            kind if kind.is_block_device() => Kind::BlockDevice,
            _ => Kind::Other,
        };
        let mut head = Vec::new();
        if kind == Kind::File {
            File::open(path)?.take(SECTOR).read_to_end(&mut head)?;
        }
        Ok(Found {
            kind,
            size: metadata.len(),
            head,
        })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn names(&self, directory: &Path) -> Vec<String> {
        // The path of a file in the current directory has no parent with a name.
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }
}

/// Looks at a file that `key` of `what` names, and reports if it is none.
pub fn look(
    path: &At<PathBuf>,
    key: &str,
    what: &str,
    files: &dyn Files,
    report: &mut Report,
) -> Option<Found> {
    let name = path.get_ref().display();
    let mut problem = |why: String, help: String| {
        let title = format!("`{key}` of {what} can't be used");
        report.add(Diagnostic::error(title, path.span(), why, help));
    };
    match files.look(path.get_ref()) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let directory = path.get_ref().parent().unwrap_or(Path::new(""));
            let names = files.names(directory);
            let wanted = path.get_ref().file_name().unwrap_or_default();
            let near = similar(&wanted.to_string_lossy(), names.iter().map(String::as_str));
            let help = match near {
                Some(near) => format!("{near} is there; or check the path"),
                None => "check the path; it starts from this file's directory".into(),
            };
            problem(format!("{name} does not exist"), help);
            None
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            problem(
                format!("you may not read {name}"),
                "check its permissions (ls -l)".into(),
            );
            None
        }
        Err(error) => {
            problem(format!("{name}: {error}"), "check the file".into());
            None
        }
        Ok(found) if found.kind == Kind::Directory => {
            problem(format!("{name} is a directory"), "name a file".into());
            None
        }
        Ok(found) => Some(found),
    }
}

/// Reads such a file whole.
pub fn read(
    path: &At<PathBuf>,
    key: &str,
    what: &str,
    files: &dyn Files,
    report: &mut Report,
) -> Option<Vec<u8>> {
    let found = look(path, key, what, files, report)?;
    let name = path.get_ref().display();
    let mut problem = |why: String, help: &str| {
        let title = format!("`{key}` of {what} can't be used");
        report.add(Diagnostic::error(title, path.span(), why, help));
        None
    };
    if found.kind != Kind::File {
        return problem(
            format!("{name} is not a file"),
            "copy what it holds to a file",
        );
    }
    if found.size == 0 {
        return problem(format!("{name} is empty"), "name a file with contents");
    }
    if found.size > LARGEST {
        return problem(
            format!("{name} is larger than 4 GiB"),
            "name a smaller file",
        );
    }
    match files.read(path.get_ref()) {
        Ok(bytes) => Some(bytes),
        Err(error) => problem(format!("{name}: {error}"), "check the file"),
    }
}

/// Checks the files of a virtual machine, but for the keys in `without`.
pub fn check_vm(vm: &Vm, files: &dyn Files, without: &[&str], report: &mut Report) {
    let what = format!("the virtual machine `{}`", vm.name.get_ref());
    let wanted = |key: &str| !without.contains(&key);
    let mut bytes = |key: &str, path: &Option<At<PathBuf>>| {
        let path = path.as_ref().filter(|_| wanted(key))?;
        read(path, key, &what, files, report)
    };
    let kernel = bytes("kernel", &vm.kernel);
    let initrd = bytes("initrd", &vm.initrd);
    let tree = bytes("dtb", &vm.dtb);
    let bios = bytes("bios", &vm.bios);
    if let (Some(path), Some(kernel)) = (&vm.kernel, &kernel) {
        let initrd = initrd.as_ref().map(|bytes| bytes.len() as u64);
        check_kernel(vm, path, kernel, initrd, &what, report);
    }
    if let (Some(path), Some(bytes)) = (&vm.dtb, &tree)
        && let Err(error) = fdt::Tree::parse(bytes)
    {
        report.add(Diagnostic::error(
            format!("`dtb` of {what} is no device tree"),
            path.span(),
            error.to_string(),
            "name a compiled device tree (.dtb), such as dtc makes",
        ));
    }
    if let (Some(path), Some(bytes)) = (&vm.bios, &bios)
        && bytes.len() as u64 > map::FLASH_BANK
    {
        report.add(Diagnostic::error(
            format!("`bios` of {what} does not fit into flash"),
            path.span(),
            format!("{} bytes, and flash has {}", bytes.len(), map::FLASH_BANK),
            "name a smaller image",
        ));
    }
    if wanted("disks") {
        for (index, disk) in vm.disks.iter().enumerate() {
            check_disk(disk, &what, files, report);
            check_disk_once(disk, &vm.disks, index, &what, report);
        }
    }
    crate::shares::check(vm, &what, files, report);
    crate::consoles::check_files(vm, &what, files, report);
    crate::vsock::check(vm, &what, files, report);
}

/// Checks that a virtual machine has nothing that is for boards only and can't be left out.
pub fn check_hosted(vm: &Vm, report: &mut Report) {
    for disk in vm.disks.iter().filter(|disk| disk.file.is_none()) {
        report.add(Diagnostic::error(
            format!(
                "a disk of the virtual machine `{}` is for boards only",
                vm.name.get_ref()
            ),
            disk.span.clone(),
            "skep run has disks of files",
            "add for instance file = \"disk.img\"",
        ));
    }
}

fn check_kernel(
    vm: &Vm,
    path: &At<PathBuf>,
    bytes: &[u8],
    initrd: Option<u64>,
    what: &str,
    report: &mut Report,
) {
    let kernel = match Kernel::parse(bytes) {
        Ok(kernel) => kernel,
        Err(error) => {
            let (why, help) = split(&error.to_string());
            report.add(Diagnostic::error(
                format!("`kernel` of {what} is none for this machine"),
                path.span(),
                why,
                help,
            ));
            return;
        }
    };
    let memory = fdt::Range {
        base: map::RAM_BASE,
        size: vm.memory(),
    };
    if let Err(error) = plan(memory, &kernel, initrd, TREE) {
        let (why, help) = split(&error.to_string());
        let span = vm.memory.as_ref().map_or(path.span(), At::span);
        report.add(Diagnostic::error(
            format!("{what} has no room for its files"),
            span,
            why,
            help,
        ));
    }
}

/// A sentence with a remedy, as libraries have them, in its two parts.
fn split(sentence: &str) -> (String, String) {
    match sentence.split_once("; ") {
        Some((why, help)) => (why.into(), help.into()),
        None => (sentence.into(), "name another file".into()),
    }
}

fn check_disk(disk: &Disk, what: &str, files: &dyn Files, report: &mut Report) {
    let Some(path) = &disk.file else {
        return;
    };
    let Some(found) = look(path, "disks", what, files, report) else {
        return;
    };
    let mut problem = |why: String, help: String| {
        let title = format!("a disk of {what} can't be used");
        report.add(Diagnostic::error(title, path.span(), why, help));
    };
    let name = path.get_ref().display();
    // The magic number of QEMU's format.
    let looks_qcow2 = found.head.starts_with(b"QFI\xfb");
    let format = disk.format().unwrap_or_default();
    let sectors = found.size != 0 && found.size.is_multiple_of(SECTOR);
    if found.kind == Kind::Other {
        problem(format!("{name} is not a file"), "name an image file".into());
    } else if found.kind == Kind::BlockDevice {
        // Nothing is known of it before it is opened.
    } else if format == Format::Qcow2 && !looks_qcow2 {
        problem(
            "this is no qcow2 image".into(),
            "make one with skep image create, or add format = \"raw\"".into(),
        );
    } else if format == Format::Raw && disk.format.is_none() && looks_qcow2 {
        problem(
            "this is raw by its name, and begins as a qcow2 image does".into(),
            "say which it is: add format = \"qcow2\", or format = \"raw\"".into(),
        );
    } else if format == Format::Raw && !sectors {
        problem(
            format!(
                "its {} bytes are not a whole number of sectors of {SECTOR} bytes",
                found.size
            ),
            "lengthen it with truncate -s".into(),
        );
    }
}

/// Reports a file that is a disk before, and is written.
fn check_disk_once(disk: &Disk, disks: &[Disk], index: usize, what: &str, report: &mut Report) {
    let Some(path) = &disk.file else {
        return;
    };
    for first in disks.iter().take(index) {
        if let Some(before) = &first.file
            && before.get_ref() == path.get_ref()
            && (disk.writes_file() || first.writes_file())
        {
            report.add(
                Diagnostic::error(
                    format!("a file is two disks of {what}"),
                    path.span(),
                    "here again",
                    "make both readonly or temporary, or copy the file",
                )
                .and(before.span(), "here first"),
            );
        }
    }
}
