//! `skep emulate`: the bare-metal hypervisor under QEMU, for development.

use crate::args::HypervisorArgs;
use crate::bundle::{self, Listed};
use crate::run::quit::Quit;
use crate::run::terminal::RawTerminal;
use crate::{Error, STATUS_ERROR};
use skep_config::Emulated;
use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

const QEMU: &str = "qemu-system-arm";
/// Bytes of a sector of a disk.
const SECTOR: u64 = 512;
/// The escape key of the hypervisor's console, Ctrl-A.
const ESCAPE: u8 = 0x01;
/// How often it is looked whether QEMU has ended, or is to.
const LOOK: Duration = Duration::from_millis(20);

/// Boots the virtual machines of a file on an emulated board.
pub fn emulate(
    path: &Path,
    hypervisor: &HypervisorArgs,
    disks: &[PathBuf],
    further: &[OsString],
) -> Result<u8, Error> {
    disks.iter().try_for_each(|disk| check_disk(disk))?;
    let Some(image) = bundle::make(path, hypervisor)? else {
        return Ok(STATUS_ERROR);
    };
    let Some(board) = image.emulated else {
        return Err(format!(
            "{} describes a board by its device tree, which QEMU can't be told to emulate; make a \
             file with name = \"qemu\" in [board], or boot the image of skep bundle there",
            path.display()
        )
        .into());
    };
    // Whoever gives QEMU arguments may give it disks.
    if disks.len() < image.board_disks && further.is_empty() {
        return Err(format!(
            "{} uses the board's disk {}, and there is no such disk; give --board-disk FILE, once for \
             each disk from 0 on",
            path.display(),
            image.board_disks - 1
        )
        .into());
    }
    let directory = tempfile::tempdir()
        .map_err(|error| format!("no temporary directory could be made ({error}); set TMPDIR"))?;
    let file = directory.path().join("skep.img");
    std::fs::write(&file, &image.bytes)
        .map_err(|error| format!("{} can't be written ({error}); set TMPDIR", file.display()))?;
    let mut child = command(&board, &file, disks, further)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                format!("{QEMU} is not installed; on Debian it is in the package qemu-system-arm")
            }
            _ => format!("{QEMU} could not be started ({error})"),
        })?;
    let terminal = match RawTerminal::enter() {
        Ok(terminal) => terminal,
        Err(error) => {
            stop(&mut child);
            return Err(error.into());
        }
    };
    if terminal.is_some() {
        explain(&image.vms);
    }
    let quit = Quit::default();
    let ended = session(&mut child, &quit, terminal.is_some());
    stop(&mut child);
    drop(terminal);
    let ended = ended?;
    match (quit.status(), ended) {
        (Some(status), _) => Ok(status),
        (None, Some(status)) if !status.success() => {
            Err(format!("{QEMU} ended with {status}; its message is above").into())
        }
        _ => Ok(0),
    }
}

/// Refuses what QEMU takes, and the hypervisor has no use for.
fn check_disk(path: &Path) -> Result<(), Error> {
    let name = path.display();
    let length = std::fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .and_then(|file| file.metadata())
        .map_err(|error| format!("the disk {name} can't be used ({error}); check the path"))?
        .len();
    if length == 0 || length % SECTOR != 0 {
        return Err(format!(
            "the disk {name} has {length} bytes; a raw disk has whole sectors of {SECTOR}"
        )
        .into());
    }
    Ok(())
}

fn command(board: &Emulated, image: &Path, disks: &[PathBuf], further: &[OsString]) -> Command {
    let mut command = Command::new(QEMU);
    command
        .args(["-M", "virt,virtualization=on", "-cpu", board.cpu.name()])
        .args(["-smp", &board.cores.to_string()])
        .args(["-m", &format!("{}M", board.memory >> 20)])
        .args(["-display", "none", "-monitor", "none", "-serial", "stdio"])
        .arg("-kernel")
        .arg(image);
    for (number, disk) in disks.iter().enumerate() {
        // The transports' order is that of the disks' numbers. Without it QEMU begins at the end.
        let device = format!("virtio-blk-device,drive=board{number},bus=virtio-mmio-bus.{number}");
        let mut drive = OsString::from(format!("if=none,id=board{number},format=raw,file="));
        drive.push(quoted(disk));
        command.arg("-drive").arg(drive).arg("-device").arg(device);
    }
    command.args(further);
    command
}

/// A path in an option of QEMU's: a comma ends the value, and two are one.
fn quoted(path: &Path) -> OsString {
    let mut bytes = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        bytes.push(byte);
        if byte == b',' {
            bytes.push(byte);
        }
    }
    OsString::from_vec(bytes)
}

/// Says which keys there are.
fn explain(vms: &[Listed]) {
    let mut text = String::from(
        "skep: Ctrl-A x quits, Ctrl-A n goes to the next console, Ctrl-A ? has more\r\n",
    );
    for (index, vm) in vms.iter().enumerate() {
        text.push_str(&format!(
            "skep: Ctrl-A {index}  console of {} ({})\r\n",
            vm.name,
            vm.describe()
        ));
    }
    // Standard error may be closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Carries input and output until QEMU ends, with its status, or is to be ended.
fn session(
    child: &mut Child,
    quit: &Quit,
    interactive: bool,
) -> Result<Option<std::process::ExitStatus>, Error> {
    handle_signals(quit.clone())?;
    let output = child
        .stdout
        .take()
        .map(|from| carry_output(from, quit.clone()));
    if let Some(to) = child.stdin.take() {
        carry_input(to, quit.clone(), interactive);
    }
    while !quit.wanted() {
        if let Some(status) = child.try_wait()? {
            if let Some(output) = output {
                // What it printed last.
                let _ = output.join();
            }
            return Ok(Some(status));
        }
        std::thread::sleep(LOOK);
    }
    Ok(None)
}

/// Ends QEMU, if it has not ended.
fn stop(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn handle_signals(quit: Quit) -> Result<(), Error> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            quit.interrupt();
        }
    });
    Ok(())
}

fn carry_output(mut from: ChildStdout, quit: Quit) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let (mut stdout, mut buffer) = (std::io::stdout(), [0; 4096]);
        loop {
            let read = match from.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => return,
                Ok(read) => read,
            };
            let written = stdout
                .write_all(&buffer[..read])
                .and_then(|()| stdout.flush());
            if written.is_err() {
                quit.interrupt();
                return;
            }
        }
    })
}

/// Starts a thread that carries standard input. On a terminal, `Ctrl-A x` quits; the end of a pipe
/// ends nothing.
fn carry_input(mut to: ChildStdin, quit: Quit, interactive: bool) {
    std::thread::spawn(move || {
        let (mut buffer, mut escaped) = ([0; 4096], false);
        loop {
            let read = match std::io::stdin().read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => {
                    if interactive {
                        // The terminal is gone.
                        quit.interrupt();
                    }
                    return;
                }
                Ok(read) => read,
            };
            let typed = &buffer[..read];
            if interactive && quits(typed, &mut escaped) {
                quit.ask();
                return;
            }
            if to.write_all(typed).and_then(|()| to.flush()).is_err() {
                return;
            }
        }
    });
}

/// Whether `Ctrl-A x` is in typed bytes; `escaped` keeps whether the last was Ctrl-A. All other keys
/// after Ctrl-A are the hypervisor's.
fn quits(typed: &[u8], escaped: &mut bool) -> bool {
    typed.iter().any(|&byte| {
        let command = std::mem::take(escaped);
        *escaped = !command && byte == ESCAPE;
        command && matches!(byte, b'x' | b'X')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_quits_is_found_across_reads() {
        let typed = |chunks: &[&[u8]]| {
            let mut escaped = false;
            chunks.iter().any(|chunk| quits(chunk, &mut escaped))
        };
        assert!(typed(&[b"\x01x"]) && typed(&[b"a\x01", b"X"]));
        assert!(!typed(&[b"x", b"\x01nx"]));
        // Ctrl-A twice is one for the guest.
        assert!(!typed(&[b"\x01\x01", b"x"]));
        assert!(typed(&[b"\x01\x01\x01x"]));
    }
}
