//! A pseudo-terminal of the host's.

use rustix::fs::{Mode, OFlags, fcntl_setfl, open as open_file};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Opens a terminal: the end that has the keyboard and the screen, which does not wait in reads and writes,
/// and the name of the other one.
pub(super) fn open() -> io::Result<(OwnedFd, PathBuf)> {
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
