//! Consoles as they are written: `serial` and `consoles` of `[vm.NAME]`, `--serial` and `--console`.

use crate::diagnostic::{Diagnostic, Report};
use crate::files::{Files, Kind};
use crate::model::{At, Vm};
use std::fmt;
use std::path::{Path, PathBuf};

/// What a console is connected to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Backend {
    /// Standard input and output; on a board, the board's console.
    #[default]
    Stdio,
    /// Nothing.
    Null,
    /// A file for the output.
    File {
        /// The file.
        path: PathBuf,
        /// It is gone on with, rather than emptied.
        append: bool,
    },
    /// A Unix socket that listens.
    Socket(PathBuf),
    /// A pseudo-terminal, with a link to it.
    Pty(Option<PathBuf>),
}

impl Backend {
    /// The same, with a relative path joined with a directory.
    #[must_use]
    pub fn within(self, directory: &Path) -> Self {
        match self {
            Backend::File { path, append } => Backend::File {
                path: directory.join(path),
                append,
            },
            Backend::Socket(path) => Backend::Socket(directory.join(path)),
            Backend::Pty(link) => Backend::Pty(link.map(|link| directory.join(link))),
            other => other,
        }
    }

    /// Somebody may type there.
    #[must_use]
    pub fn takes_input(&self) -> bool {
        matches!(self, Backend::Stdio | Backend::Socket(_) | Backend::Pty(_))
    }

    /// The name that it is to have in a directory, if it has one.
    fn path(&self) -> Option<&Path> {
        match self {
            Backend::File { path, .. } | Backend::Socket(path) => Some(path),
            Backend::Pty(link) => link.as_deref(),
            Backend::Stdio | Backend::Null => None,
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Backend::Stdio => f.write_str("stdio"),
            Backend::Null => f.write_str("null"),
            Backend::File { path, append } => {
                let append = if *append { ",append" } else { "" };
                write!(f, "file={}{append}", path.display())
            }
            Backend::Socket(path) => write!(f, "socket={}", path.display()),
            Backend::Pty(None) => f.write_str("pty"),
            Backend::Pty(Some(link)) => write!(f, "pty={}", link.display()),
        }
    }
}

/// Reads what a console is connected to.
///
/// # Errors
///
/// The text says nothing of that kind.
pub fn parse_backend(text: &str) -> Result<Backend, String> {
    let (kind, value) = match text.split_once('=') {
        Some((kind, value)) => (kind, Some(value)),
        None => (text, None),
    };
    match (kind, value) {
        ("stdio", None) => Ok(Backend::Stdio),
        ("null", None) => Ok(Backend::Null),
        ("pty", None) => Ok(Backend::Pty(None)),
        ("file" | "socket" | "pty", Some("")) => Err(format!(
            "the name after {kind}= is missing; write for instance {kind}=console"
        )),
        ("pty", Some(link)) => Ok(Backend::Pty(Some(link.into()))),
        ("socket", Some(path)) => Ok(Backend::Socket(path.into())),
        ("file", Some(path)) => Ok(match path.strip_suffix(",append") {
            Some("") => return Err("the name after file= is missing".into()),
            Some(path) => Backend::File {
                path: path.into(),
                append: true,
            },
            None => Backend::File {
                path: path.into(),
                append: false,
            },
        }),
        _ => Err(format!(
            "{text:?} is nothing that a console can be connected to; write stdio, null, \
             file=PATH[,append], socket=PATH or pty[=LINK]"
        )),
    }
}

/// What the serial port is connected to: standard input and output, unless a virtio console is.
#[must_use]
pub fn serial(given: Option<&Backend>, consoles: &[Backend]) -> Backend {
    match given {
        Some(given) => given.clone(),
        None if consoles.contains(&Backend::Stdio) => Backend::Null,
        None => Backend::Stdio,
    }
}

/// What Linux calls the console that is the machine's first: the one on standard input and output, or
/// else the first that is connected to anything.
#[must_use]
pub fn main(serial: &Backend, consoles: &[Backend]) -> String {
    let hvc = |wanted: fn(&Backend) -> bool| consoles.iter().position(wanted);
    let found = match serial {
        Backend::Stdio => None,
        Backend::Null => hvc(|backend| *backend == Backend::Stdio)
            .or_else(|| hvc(|backend| *backend != Backend::Null)),
        _ => hvc(|backend| *backend == Backend::Stdio),
    };
    found.map_or_else(|| "ttyAMA0".into(), |index| format!("hvc{index}"))
}

/// What Linux calls the other consoles at which somebody may type.
#[must_use]
pub fn others(serial: &Backend, consoles: &[Backend]) -> Vec<String> {
    let main = main(serial, consoles);
    let names = (0..).map(|index| format!("hvc{index}"));
    std::iter::once(("ttyAMA0".to_owned(), serial))
        .chain(names.zip(consoles))
        .filter(|(name, backend)| backend.takes_input() && *name != main)
        .map(|(name, _)| name)
        .collect()
}

/// The consoles of a virtual machine: the serial port's, and the virtio consoles'.
fn all(vm: &Vm) -> impl Iterator<Item = &At<Backend>> {
    vm.serial.iter().chain(&vm.consoles)
}

/// Checks what the file says.
pub(crate) fn check(vm: &Vm, report: &mut Report) {
    let mut stdio = all(vm).filter(|backend| *backend.get_ref() == Backend::Stdio);
    if let (Some(first), Some(second)) = (stdio.next(), stdio.next()) {
        report.add(
            Diagnostic::error(
                format!(
                    "two consoles of the virtual machine `{}` are connected to standard input and output",
                    vm.name.get_ref()
                ),
                second.span(),
                "here again",
                "connect one of them to a socket or a pty",
            )
            .and(first.span(), "here first"),
        );
    }
}

/// Checks that the names can be made.
pub(crate) fn check_files(vm: &Vm, what: &str, files: &dyn Files, report: &mut Report) {
    for backend in all(vm) {
        let directory = backend.get_ref().path().and_then(Path::parent);
        let directory = directory.filter(|directory| !directory.as_os_str().is_empty());
        let there = directory.is_none_or(|directory| {
            let found = files.look(directory);
            found.is_ok_and(|found| found.kind == Kind::Directory)
        });
        if !there {
            report.add(Diagnostic::error(
                format!("a console of {what} can't be connected"),
                backend.span(),
                "the directory does not exist",
                "make the directory, or check the path",
            ));
        }
    }
}

/// What the bare-metal hypervisor says of them: it has the console that all machines share.
pub(crate) fn warn_board(vm: &Vm, report: &mut Report) {
    let elsewhere = |backend: &&At<Backend>| *backend.get_ref() != Backend::Stdio;
    if let Some(serial) = vm.serial.as_ref().filter(elsewhere) {
        let warning = Diagnostic::error(
            format!(
                "`serial` of the virtual machine `{}` is for skep run only",
                vm.name.get_ref()
            ),
            serial.span(),
            "on a board, the serial port's output is on the board's console",
            "nothing has to be done",
        );
        report.add(warning.warning());
    }
    if let Some(console) = vm.consoles.iter().find(elsewhere) {
        let warning = Diagnostic::error(
            format!(
                "a console of the virtual machine `{}` is for skep run only",
                vm.name.get_ref()
            ),
            console.span(),
            "on a board there is the board's console only (stdio): this one will not be there",
            "nothing has to be done if the guest does without it",
        );
        report.add(warning.warning());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in [
            "stdio",
            "null",
            "pty",
            "pty=a=b",
            "file=log",
            "file=a,b,append",
            "socket=dir/x,y",
        ] {
            assert_eq!(parse_backend(text).unwrap().to_string(), text);
        }
        for (text, part) in [
            ("", "nothing that a console"),
            ("stdio=", "nothing that a console"),
            ("tty", "socket=PATH"),
            ("file", "nothing"),
            ("file=", "missing"),
            ("file=,append", "missing"),
            ("socket=", "socket=console"),
            ("pty=", "missing"),
        ] {
            let error = parse_backend(text).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_main_console_is_where_the_user_is() {
        use Backend::{Null, Pty, Stdio};
        let pty = Pty(None);
        for (given, consoles, name, others_are) in [
            (None, vec![], "ttyAMA0", vec![]),
            (None, vec![Stdio], "hvc0", vec![]),
            (None, vec![pty.clone(), Null, Stdio], "hvc2", vec!["hvc0"]),
            (Some(pty.clone()), vec![Stdio], "hvc0", vec!["ttyAMA0"]),
            (
                Some(pty.clone()),
                vec![pty.clone()],
                "ttyAMA0",
                vec!["hvc0"],
            ),
            (Some(Null), vec![Null, pty.clone()], "hvc1", vec![]),
            (Some(Null), vec![Null], "ttyAMA0", vec![]),
            (None, vec![Null, pty.clone()], "ttyAMA0", vec!["hvc1"]),
        ] {
            let serial = serial(given.as_ref(), &consoles);
            assert_eq!(main(&serial, &consoles), name, "{given:?} {consoles:?}");
            assert_eq!(others(&serial, &consoles), others_are);
        }
    }
}
