//! Which shared directories the guest mounts, and where it starts. The guest's side is `guest/init`.

use crate::Error;
use crate::cpio::Archive;
use std::fmt::Write;

/// The longest name of a unit of systemd, bytes, and of a file.
const MAX_UNIT: usize = 255;

/// A shared directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// Its device's name, without white space.
    pub tag: String,
    /// Where it is mounted: an absolute path without control characters.
    pub directory: String,
    /// Nothing in it can be changed.
    pub read_only: bool,
}

/// The archive that has the guest mount these directories and start its command, or shell, in the
/// directory `start`, to be appended to the initial RAM disk.
pub fn mount_overlay(mounts: &[Mount], start: Option<&str>) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.directory("skep");
    let lines: String = mounts
        .iter()
        .map(|mount| {
            let access = if mount.read_only { "ro" } else { "rw" };
            format!("{} {access} {}\n", mount.tag, mount.directory)
        })
        .collect();
    archive.file("skep/mounts", 0o400, lines.as_bytes());
    if let Some(start) = start {
        archive.file("skep/start", 0o400, format!("{start}\n").as_bytes());
    }
    archive.finish()
}

/// The archive that makes the guest's `/init` start the system on a disk, to be appended to the
/// initial RAM disk. It gives these directories to the system as units of systemd (systemd.mount(5)),
/// which mounts them with the local file systems, and goes on where that fails.
///
/// # Errors
/// A directory's path is too long for a unit.
pub fn boot_overlay(mounts: &[Mount]) -> Result<Vec<u8>, Error> {
    const WANTS: &str = "skep/units/local-fs.target.wants";
    let mut archive = Archive::default();
    archive.directory("skep");
    archive.file("skep/boot", 0o400, b"");
    if !mounts.is_empty() {
        archive.directory("skep/units");
        archive.directory(WANTS);
    }
    for mount in mounts {
        let unit = unit_name(&mount.directory);
        if unit.len() > MAX_UNIT {
            return Err(Error::MountPoint(mount.directory.clone()));
        }
        let access = if mount.read_only { "ro" } else { "rw" };
        // With a slash at its end, a path may end in white space or a backslash.
        let text = format!(
            "[Unit]\nDescription=Shared directory {tag}\n\n[Mount]\nWhat={tag}\nWhere={place}/\n\
             Type=virtiofs\nOptions={access},nosuid,nodev\n",
            tag = mount.tag,
            place = mount.directory.replace('%', "%%"),
        );
        archive.file(&format!("skep/units/{unit}"), 0o644, text.as_bytes());
        archive.symlink(&format!("{WANTS}/{unit}"), &format!("../{unit}"));
    }
    Ok(archive.finish())
}

/// The name of the unit that mounts something at a path (systemd.unit(5), "String escaping").
fn unit_name(path: &str) -> String {
    let names = path.split('/').filter(|name| !name.is_empty());
    let path = names.collect::<Vec<_>>().join("/");
    let mut unit = String::new();
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            b'/' => unit.push('-'),
            b'.' if at == 0 => unit.push_str(r"\x2e"),
            b':' | b'_' | b'.' => unit.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => unit.push(byte.into()),
            // Writing to a string does not fail.
            _ => drop(write!(unit, r"\x{byte:02x}")),
        }
    }
    unit + ".mount"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_named_as_systemd_does() {
        for (path, name) in [
            ("/src", "src.mount"),
            ("//mnt/a-b//", r"mnt-a\x2db.mount"),
            ("/.a/.b c", r"\x2ea-.b\x20c.mount"),
            ("/caf\u{e9}%_:\\", r"caf\xc3\xa9\x25_:\x5c.mount"),
        ] {
            assert_eq!(unit_name(path), name);
        }
    }

    #[test]
    fn a_unit_keeps_to_what_systemd_takes() {
        let mount = |directory: String| Mount {
            tag: "t".into(),
            directory,
            read_only: true,
        };
        let archive = boot_overlay(&[mount("/50% ".into())]).unwrap();
        let text = String::from_utf8_lossy(&archive);
        for part in [
            "skep/boot\0",
            "skep/units/50\\x25\\x20.mount\0",
            "What=t\nWhere=/50%% /\nType=virtiofs\nOptions=ro,nosuid,nodev\n",
            "skep/units/local-fs.target.wants/50\\x25\\x20.mount\0",
            "../50\\x25\\x20.mount",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
        let error = boot_overlay(&[mount(format!("/{}", "\u{e9}".repeat(40)))]).unwrap_err();
        assert!(matches!(error, Error::MountPoint(_)), "{error}");
        let archive = boot_overlay(&[]).unwrap();
        assert!(!String::from_utf8_lossy(&archive).contains("units"));
    }
}
