//! A pseudo-terminal of the host's.

use super::ConsoleError;
use rustix::fs::{Mode, OFlags, fcntl_setfl, open as open_file};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Where the host has its pseudo-terminals.
const DIRECTORY: &str = "/dev/pts/";

/// Opens a terminal, with a link to it if one is wanted: the end that has the keyboard and the screen,
/// which does not wait in reads and writes, and the name of the other one.
pub(super) fn open(link: Option<&Path>) -> Result<(OwnedFd, PathBuf), ConsoleError> {
    let (terminal, name) = pair().map_err(ConsoleError::Pty)?;
    if let Some(link) = link {
        point(link, &name)?;
    }
    Ok((terminal, name))
}

fn pair() -> io::Result<(OwnedFd, PathBuf)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = openpt(flags)?;
    grantpt(&terminal)?;
    unlockpt(&terminal)?;
    let name = OsString::from_vec(ptsname(&terminal, Vec::new())?.into_bytes());
    // Opened and closed once, it tells from then on whether somebody has it open.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let other = open_file(&name, flags, Mode::empty())?;
    // Who attaches with a program that leaves the settings alone gets what the guest sends as it is, and
    // the guest gets no echo of it.
    let mut settings = tcgetattr(&other)?;
    settings.make_raw();
    tcsetattr(&other, OptionalActions::Now, &settings)?;
    fcntl_setfl(&terminal, OFlags::NONBLOCK)?;
    Ok((terminal, name.into()))
}

/// Makes a link to a terminal, in place of one that was left there.
fn point(link: &Path, name: &Path) -> Result<(), ConsoleError> {
    let problem = |source| ConsoleError::Link {
        path: link.to_owned(),
        source,
    };
    match std::fs::read_link(link) {
        Ok(target) if target.starts_with(DIRECTORY) => {
            std::fs::remove_file(link).map_err(problem)?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        // What is no link is an invalid argument.
        Err(error) if error.kind() != ErrorKind::InvalidInput => return Err(problem(error)),
        Ok(_) | Err(_) => return Err(ConsoleError::Taken(link.to_owned(), "link")),
    }
    std::os::unix::fs::symlink(name, link).map_err(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_terminal() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let link = directory.path().join("tty");
        for _ in 0..2 {
            let (_, name) = open(Some(&link)).expect("a terminal");
            assert_eq!(std::fs::read_link(&link).expect("a link"), name);
        }
    }

    #[test]
    fn only_a_link_to_a_terminal_is_replaced() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("tty");
        std::fs::write(&path, "precious").expect("a file");
        let error = open(Some(&path)).expect_err("a file is there");
        assert!(error.to_string().contains("remove it"), "{error}");
        std::fs::remove_file(&path).expect("it is there");
        std::os::unix::fs::symlink("/etc/passwd", &path).expect("a link");
        assert!(open(Some(&path)).is_err());
        assert!(open(Some(&directory.path().join("no/such"))).is_err());
    }
}
