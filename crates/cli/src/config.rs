//! Configuration files: reading them, and telling what is wrong with them.

use crate::args::ConfigCommand;
use crate::{Error, STATUS_ERROR};
use skep_config::model::Vm;
use skep_config::{Document, EXAMPLE, FILE, Host, Level, effective, place, similar};
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Exit status of `skep check` when there are errors.
const STATUS_WRONG: u8 = 1;

/// Prints what is wrong with a file, warnings only if they are wanted, and a line that counts the
/// errors. Whether there are none.
pub fn report(document: &mut Document, warnings: bool) -> bool {
    let errors = document.report.errors();
    let found = &mut document.report.diagnostics;
    found.retain(|found| warnings || found.level == Level::Error);
    let styled = std::io::stderr().is_terminal();
    let mut text = document.render(styled);
    if errors > 0 {
        let path = document.path.display();
        let s = if errors == 1 { "" } else { "s" };
        text.push_str(&format!("skep: {path} has {errors} error{s}\n"));
    }
    // Standard error may be closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
    errors == 0
}

/// `skep check`.
pub fn check(path: &Path, json: bool) -> Result<u8, Error> {
    let mut document = Document::load(path)?;
    document.check(&Host);
    if json {
        let findings = document.report.findings(&document.text);
        let errors = document.report.errors();
        let object = serde_json::json!({
            "file": path.to_string_lossy(),
            "errors": errors,
            "warnings": findings.len() - errors,
            "findings": findings,
            "vms": document.config.names().collect::<Vec<_>>(),
            "board": document.config.has_board(),
        });
        let printed = print(&format!("{object}\n"))?;
        return Ok(if errors > 0 { STATUS_WRONG } else { printed });
    }
    if !report(&mut document, true) {
        return Ok(STATUS_WRONG);
    }
    let count = document.config.vms.len();
    let s = if count == 1 { "" } else { "s" };
    let board = match document.config.has_board() {
        true => ", and the board",
        false => "; it has no [board], so that skep bundle would check more",
    };
    print(&format!(
        "{}: {count} virtual machine{s}{board}\n",
        path.display()
    ))
}

/// `skep init`.
pub fn init(path: &Path) -> Result<u8, Error> {
    let name = path.display();
    let created = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path);
    let mut file = created.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => format!(
            "{name} exists already, and is left as it is; give another name, or remove it first"
        ),
        _ => format!("{name} can't be written ({error}); check the path and its permissions"),
    })?;
    file.write_all(EXAMPLE.as_bytes()).map_err(|error| {
        format!("{name} can't be written ({error}); check the disk, and remove the file")
    })?;
    let at = if path == Path::new(FILE) {
        String::new()
    } else {
        format!(" --config {name}")
    };
    print(&format!(
        "{name} is written: skep run demo{at} boots its virtual machine\n"
    ))
}

/// `skep config`.
pub fn config(command: ConfigCommand) -> Result<u8, Error> {
    let ConfigCommand::Show { name, config, json } = command;
    let mut document = Document::load(&config)?;
    if !report(&mut document, false) {
        return Ok(STATUS_ERROR);
    }
    if let Some(name) = &name {
        find(&document, name)?;
    }
    let here = std::env::current_dir().unwrap_or_default();
    // Where vCPUs run is shown if they can run.
    let mut unused = skep_config::Report::default();
    let system = document
        .config
        .has_board()
        .then(|| place(&document.config, &Host, &mut unused))
        .flatten();
    let shown = effective(&document.config, system.as_ref(), name.as_deref(), &here);
    let path = |error: &dyn std::fmt::Display| {
        format!(
            "a path in it is not text ({error}); move the file to a directory with another name"
        )
    };
    print(&if json {
        let text = serde_json::to_string(&shown).map_err(|error| path(&error))?;
        format!("{text}\n")
    } else {
        shown.to_toml().map_err(|error| path(&error))?
    })
}

/// The virtual machine that `skep run` means: `name`, or without one the only one of the file `path`.
/// None: the default guest. The Err of the result inside is an exit status.
pub fn machine(
    name: Option<&str>,
    path: Option<PathBuf>,
    without: &[&str],
) -> Result<Result<Option<Vm>, u8>, Error> {
    if name.is_none() && path.is_none() {
        return Ok(Ok(None));
    }
    let given = path.is_some();
    let path = path.unwrap_or(FILE.into());
    if let Some(name) = name
        && !given
        && !path.exists()
    {
        return Err(format!(
            "there is no {FILE} here, which would say what the virtual machine {name:?} is; skep \
             init writes one, --config FILE names another; a kernel is given with --kernel FILE, \
             and a command for the default guest after --"
        )
        .into());
    }
    let mut document = Document::load(&path)?;
    if !report(&mut document, false) {
        return Ok(Err(STATUS_ERROR));
    }
    let vm = match name {
        Some(name) => find(&document, name)?.clone(),
        None => match document.config.vms.as_slice() {
            [vm] => vm.clone(),
            [] => {
                let path = path.display();
                return Err(format!("{path} has no virtual machine; add [vm.NAME]").into());
            }
            _ => {
                return Err(format!(
                    "{} has several virtual machines; name one of {}",
                    path.display(),
                    document.config.names().collect::<Vec<_>>().join(", ")
                )
                .into());
            }
        },
    };
    skep_config::files::check_vm(&vm, &Host, without, &mut document.report);
    skep_config::files::check_hosted(&vm, &mut document.report);
    if !report(&mut document, false) {
        return Ok(Err(STATUS_ERROR));
    }
    Ok(Ok(Some(vm)))
}

/// The virtual machine with a name.
fn find<'d>(document: &'d Document, name: &str) -> Result<&'d Vm, Error> {
    let path = document.path.display();
    document.config.vm(name).ok_or_else(|| {
        let names: Vec<&str> = document.config.names().collect();
        let which = match (similar(name, names.iter().copied()), names.as_slice()) {
            (Some(meant), _) => format!("did you mean {meant}?"),
            (None, []) => "it has none: add [vm.NAME]".to_owned(),
            (None, names) => format!("it has {}", names.join(", ")),
        };
        format!("{path} has no virtual machine {name:?}; {which}").into()
    })
}

/// Prints on standard output.
pub fn print(text: &str) -> Result<u8, Error> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(crate::STATUS_CLOSED),
        Err(error) => {
            Err(format!("standard output can't be written ({error}); check where it goes").into())
        }
    }
}
