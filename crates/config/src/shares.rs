//! Shared directories: `shares` of `[vm.NAME]`.

use crate::diagnostic::{Diagnostic, Report};
use crate::files::{Files, Kind};
use crate::model::{At, Share, Vm};
use crate::schema;
use crate::table::Table;
use std::path::{Path, PathBuf};

/// Whether the default guest can mount a directory here.
///
/// # Errors
///
/// Why not.
pub fn check_mount(path: &str) -> Result<(), &'static str> {
    match path.strip_prefix('/') {
        None => Err("it does not begin with /"),
        Some("") => Err("the guest's root is not there to be replaced"),
        // The guest reads it as a line.
        Some(_) if path.chars().any(char::is_control) => Err("it has control characters"),
        Some(rest) if rest.split('/').any(|name| matches!(name, "." | "..")) => {
            Err("it has . or .. in it")
        }
        Some(_) => Ok(()),
    }
}

/// Reads the list.
pub(crate) fn read(
    name: &At<String>,
    table: &Table<'_, '_>,
    base: &Path,
    report: &mut Report,
) -> Vec<Share> {
    let Some(items) = table.list("shares", report) else {
        return Vec::new();
    };
    let mut shares = Vec::new();
    for item in items.get_ref() {
        let what = format!("a share of the virtual machine `{}`", name.get_ref());
        let Some(share) = item.table(what.clone(), schema::SHARE) else {
            let directory = table.item_path(item, base, report);
            shares.extend(directory.map(|directory| Share {
                directory,
                mount: None,
                read_only: false,
            }));
            continue;
        };
        share.check_keys(report);
        if !share.table.contains_key("directory") {
            report.add(share.missing("directory"));
        }
        let mount = share.text("mount", report);
        if let Some(mount) = &mount
            && let Err(why) = check_mount(mount.get_ref())
        {
            report.add(Diagnostic::error(
                format!("`mount` of {what} can't be this"),
                mount.span(),
                why,
                "write for instance mount = \"/src\"",
            ));
        }
        let read_only = share.boolean("readonly", report);
        let directory = share.path("directory", base, report);
        shares.extend(directory.map(|directory| Share {
            directory,
            mount,
            read_only: read_only.is_some_and(At::into_inner),
        }));
    }
    shares
}

/// Checks that the directories are there.
pub(crate) fn check(vm: &Vm, what: &str, files: &dyn Files, report: &mut Report) {
    for share in &vm.shares {
        let path: &At<PathBuf> = &share.directory;
        let name = path.get_ref().display();
        let (why, help) = match files.look(path.get_ref()) {
            Ok(found) if found.kind == Kind::Directory => continue,
            Ok(_) => (format!("{name} is not a directory"), "name a directory"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (
                format!("{name} does not exist"),
                "check the path; it starts from this file's directory",
            ),
            Err(error) => (
                format!("{name}: {error}"),
                "check the path and its permissions",
            ),
        };
        report.add(Diagnostic::error(
            format!("`shares` of {what} can't be used"),
            path.span(),
            why,
            help,
        ));
    }
}

/// What the bare-metal hypervisor says of them.
pub(crate) fn refuse(vm: &Vm, report: &mut Report) {
    for share in &vm.shares {
        report.add(Diagnostic::error(
            format!(
                "`shares` of the virtual machine `{}` is for skep run only",
                vm.name.get_ref()
            ),
            share.directory.span(),
            "there are no directories on the board",
            "put the files into the initial RAM disk or on a disk, and remove shares",
        ));
    }
}
