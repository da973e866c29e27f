//! How a command gets into the guest: files that are added to the initial RAM disk for one start.
//!
//! The guest's side is `guest/init`.

use crate::cpio::Archive;

/// The archive that makes the guest's `/init` run a command, to be appended to the initial RAM
/// disk. The output is marked with `token`, a fresh random word of letters and digits, for
/// [`CommandOutput`](crate::CommandOutput). With `stdin` the command reads what comes in the form
/// of [`encode_input`](crate::encode_input), otherwise nothing.
pub fn command_overlay(argv: &[impl AsRef<[u8]>], token: &str, stdin: bool) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.directory("skep");
    archive.file("skep/token", 0o400, format!("{token}\n").as_bytes());
    archive.file("skep/run", 0o400, &script(argv));
    if stdin {
        archive.file("skep/stdin", 0o400, b"");
    }
    archive.finish()
}

/// The archive that tells the guest's shell the size of the terminal on its serial port, to be
/// appended to the initial RAM disk.
pub fn terminal_overlay(columns: u16, rows: u16) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.directory("skep");
    let size = format!("columns {columns} rows {rows}\n");
    archive.file("skep/terminal", 0o400, size.as_bytes());
    archive.finish()
}

/// A shell script that becomes the command. Arguments are bytes: Unix asks for no encoding.
pub(crate) fn script(argv: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut script = b"exec --".to_vec();
    for word in argv {
        script.extend(b" '");
        for &byte in word.as_ref() {
            match byte {
                b'\'' => script.extend(br"'\''"),
                _ => script.push(byte),
            }
        }
        script.push(b'\'');
    }
    script.push(b'\n');
    script
}
