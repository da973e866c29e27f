//! Files that the user names.

use crate::Error;
use crate::image::store;
use skep_config::value::{COMMAS, split_options};
use skep_vmm::{Access, Contents, Disk, Format};
use std::ffi::OsStr;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// The largest file that is read whole: more can't be guest memory.
const LARGEST: u64 = 4 << 30;

/// Opens a file, or reads a pipe whole. `what` names it in messages.
pub fn read(path: &Path, what: &str) -> Result<Contents, Error> {
    let name = path.display();
    let problem = |reason: &str, remedy: &str| -> Error {
        format!("the {what} {name} {reason}; {remedy}").into()
    };
    let host = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => problem("does not exist", "check the path"),
        ErrorKind::PermissionDenied => {
            problem("may not be read by you", "check its permissions (ls -l)")
        }
        _ => problem(&format!("can't be read ({error})"), "check the file"),
    };
    let metadata = std::fs::metadata(path).map_err(host)?;
    if metadata.is_dir() {
        return Err(problem("is a directory", "name a file"));
    }
    let kind = metadata.file_type();
    // /dev/zero has no end, and a terminal none that a user would expect.
    if kind.is_char_device() || kind.is_block_device() {
        return Err(problem("is a device", "copy what it holds to a file"));
    }
    if metadata.len() > LARGEST {
        return Err(problem("is larger than 4 GiB", "name a smaller file"));
    }
    let mut file = std::fs::File::open(path).map_err(host)?;
    if kind.is_file() {
        // Some say only now that they can't be read.
        if file.read(&mut [0]).map_err(host)? == 0 {
            return Err(problem("is empty", "name a file with contents"));
        }
        return Ok(Contents::of_file(file));
    }
    // A pipe has no size, and may have no end.
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(host)?;
    if bytes.len() as u64 > LARGEST {
        return Err(problem("is larger than 4 GiB", "name a smaller file"));
    }
    if bytes.is_empty() {
        return Err(problem("is empty", "name a file with contents"));
    }
    Ok(bytes.into())
}

/// A disk as written on the command line: a path, and what is said of it after commas. A comma in the
/// path is written twice.
///
/// # Errors
/// What is said has no meaning, or contradicts itself.
pub fn disk(text: &OsStr) -> Result<Disk, String> {
    let mut disk = Disk::default();
    let (path, words) = split_options(text.as_bytes());
    if path.is_empty() {
        return Err("name the image file, before the first comma".into());
    }
    for word in words {
        let word = String::from_utf8_lossy(&word);
        match (&*word, word.split_once('=')) {
            ("readonly" | "ro", _) => set_access(&mut disk, Access::ReadOnly)?,
            ("temporary", _) => set_access(&mut disk, Access::Temporary)?,
            ("backing=allow", _) => disk.backing = true,
            ("backing=refuse", _) => disk.backing = false,
            (_, Some(("format", name))) => {
                disk.format = Some(Format::named(name).ok_or_else(|| {
                    format!("{name:?} is no format of disks; write format=raw or format=qcow2")
                })?);
            }
            (_, Some(("backing", _))) => {
                return Err("write backing=allow or backing=refuse".into());
            }
            _ => {
                return Err(format!(
                    "{word:?} is not an option of a disk; there are readonly, temporary, format=raw, \
                     format=qcow2 and backing=allow, and {COMMAS}"
                ));
            }
        }
    }
    disk.path = store::resolve(OsStr::from_bytes(&path))?;
    Ok(disk)
}

fn set_access(disk: &mut Disk, access: Access) -> Result<(), String> {
    if disk.access != Access::Write && disk.access != access {
        return Err("a disk is readonly or temporary, not both".into());
    }
    disk.access = access;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_sentences_with_a_remedy() {
        let error = |path: &str| read(Path::new(path), "kernel").unwrap_err().to_string();
        assert_eq!(
            error("/no/such/file"),
            "the kernel /no/such/file does not exist; check the path"
        );
        assert_eq!(error("/"), "the kernel / is a directory; name a file");
        for device in ["/dev/zero", "/dev/null"] {
            assert_eq!(
                error(device),
                format!("the kernel {device} is a device; copy what it holds to a file")
            );
        }
    }

    #[test]
    fn disks() {
        let disk = |text: &str| disk(OsStr::new(text));
        assert_eq!(disk("a.img"), Ok(Disk::new("a.img")));
        let read_only = Disk {
            access: Access::ReadOnly,
            ..Disk::new("a,b.img")
        };
        assert_eq!(disk("a,,b.img,readonly"), Ok(read_only.clone()));
        assert_eq!(disk("a,,b.img,ro"), Ok(read_only));
        assert_eq!(
            disk("a.img,format=qcow2,temporary,backing=allow"),
            Ok(Disk {
                path: "a.img".into(),
                format: Some(Format::Qcow2),
                access: Access::Temporary,
                backing: true,
            })
        );
        for (text, remedy) in [
            ("a.img,format=vmdk", "format=raw or format=qcow2"),
            ("a.img,backing=yes", "backing=allow"),
            ("a.img,readonly,temporary", "not both"),
            (
                "a.img,snapshot=on",
                "\"snapshot=on\" is not an option of a disk; there are readonly, ",
            ),
            ("a,b.img,readonly", "\"b.img\" is not an option of a disk"),
            ("a,b.img", "is written twice (,,)"),
            ("a.img,", "\"\" is not an option"),
            (",readonly", "name the image file"),
            ("", "name the image file"),
        ] {
            let error = disk(text).unwrap_err();
            assert!(error.contains(remedy), "{text}: {error}");
        }
    }
}
