//! Packages on a disk for a guest: a tar archive of them, without their own compression, which takes
//! the guest much longer than the host.

use super::plan::Plan;
use crate::apt::{Apt, Part};
use crate::{Error, Progress};
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// What begins an archive of ar(1), which a package is.
const MAGIC: &[u8] = b"!<arch>\n";
/// Where a member's header has the size of what follows: ten decimal digits.
const SIZE: u64 = 48;

/// What a tar archive consists of, bytes.
const BLOCK: u64 = 512;

/// How much there is, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Sizes {
    /// The archive.
    pub archive: u64,
    /// What the packages put into the system.
    pub files: u64,
}

/// Writes an archive of the packages, whose files are in `archives`, named by their numbers.
pub fn pack(
    apt: &Apt,
    archives: &Path,
    plan: &Plan,
    mut into: File,
    path: &Path,
    progress: &dyn Progress,
) -> Result<Sizes, Error> {
    let mut sizes = Sizes::default();
    progress.stage("Unpacking the packages");
    for (number, package) in plan.packages.iter().enumerate() {
        progress.steps(number, plan.packages.len());
        let file = archives.join(&package.file);
        let mut result = Ok(());
        entry(&mut into, &number.to_string(), |out| {
            result = plain(apt, &file, out).map(|size| sizes.files += size);
            Ok(())
        })
        .map_err(Error::cache(path))?;
        result?;
    }
    // Two empty blocks end an archive.
    into.write_all(&[0; 2 * BLOCK as usize])
        .and_then(|()| into.flush())
        .map_err(Error::cache(path))?;
    sizes.archive = into.stream_position().map_err(Error::cache(path))?;
    Ok(sizes)
}

/// Adds a file to a tar archive.
fn entry<W: Write + Seek>(
    out: &mut W,
    name: &str,
    write: impl FnOnce(&mut W) -> io::Result<()>,
) -> io::Result<()> {
    let at = out.stream_position()?;
    let mut header = tar::Header::new_ustar();
    out.write_all(header.as_bytes())?;
    let start = out.stream_position()?;
    write(out)?;
    let end = out.stream_position()?;
    header.set_path(name)?;
    header.set_mode(0o644);
    header.set_size(end.saturating_sub(start));
    header.set_cksum();
    out.seek(SeekFrom::Start(at))?;
    out.write_all(header.as_bytes())?;
    out.seek(SeekFrom::Start(end))?;
    let pad = end.next_multiple_of(BLOCK) - end;
    out.write_all(&[0; BLOCK as usize][..pad as usize])
}

/// Writes a package without compression. Returns the size of the archive of its files.
fn plain(apt: &Apt, package: &Path, out: &mut File) -> Result<u64, Error> {
    let broken = |error: io::Error| crate::package::unusable(package, &error.to_string());
    out.write_all(MAGIC).map_err(broken)?;
    member(out, "debian-binary", |out| out.write_all(b"2.0\n")).map_err(broken)?;
    let mut size = 0;
    for (name, part) in [("control.tar", Part::Control), ("data.tar", Part::Files)] {
        apt.with_part(package, part, |tar| {
            size = member(out, name, |out| copy(tar, out))?;
            Ok(())
        })?;
    }
    Ok(size)
}

fn copy(from: &mut dyn Read, to: &mut File) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(1 << 18, to);
    io::copy(from, &mut to)?;
    to.flush()
}

/// Adds a member to an archive. Returns its size.
fn member<W: Write + Seek>(
    out: &mut W,
    name: &str,
    write: impl FnOnce(&mut W) -> io::Result<()>,
) -> io::Result<u64> {
    let header = out.stream_position()?;
    // Time, owner, group, permissions, and the size, which is not known yet.
    writeln!(
        out,
        "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`",
        0, 0, 0, 100_644, 0
    )?;
    let start = out.stream_position()?;
    write(out)?;
    let end = out.stream_position()?;
    let size = end.saturating_sub(start);
    let digits = format!("{size:<10}");
    if digits.len() > 10 {
        return Err(ErrorKind::FileTooLarge.into());
    }
    out.seek(SeekFrom::Start(header + SIZE))?;
    out.write_all(digits.as_bytes())?;
    out.seek(SeekFrom::Start(end))?;
    if size % 2 == 1 {
        out.write_all(b"\n")?;
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn entries_are_as_tar_has_them() {
        let mut out = Cursor::new(Vec::new());
        let files = [("0", vec![7; 511]), ("1", Vec::new()), ("2", vec![8; 513])];
        for (name, contents) in &files {
            entry(&mut out, name, |out| out.write_all(contents)).unwrap();
        }
        let mut bytes = out.into_inner();
        assert_eq!(bytes.len(), 6 * 512);
        bytes.extend([0; 1024]);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let read = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).unwrap();
            (entry.path().unwrap().display().to_string(), contents)
        });
        let files = files.map(|(name, contents)| (name.to_owned(), contents));
        assert_eq!(read.collect::<Vec<_>>(), files);
    }

    #[test]
    fn members_are_as_ar_has_them() {
        let mut out = Cursor::new(Vec::new());
        for contents in ["odd", "even"] {
            member(&mut out, contents, |out| out.write_all(contents.as_bytes())).unwrap();
        }
        let text = String::from_utf8(out.into_inner()).unwrap();
        let owner = "0           0     0     100644  ";
        assert_eq!(
            text,
            format!(
                "odd             {owner}3         `\nodd\neven            {owner}4         `\neven"
            )
        );
    }
}
