//! Files that the user names.

use crate::Error;
use skep_vmm::{Contents, Disk};
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

/// A disk as written on the command line: a path, and `,readonly` to protect it.
pub fn disk(text: &OsStr) -> Disk {
    let bytes = text.as_bytes();
    let protected = bytes
        .strip_suffix(b",readonly")
        .or_else(|| bytes.strip_suffix(b",ro"));
    Disk {
        path: OsStr::from_bytes(protected.unwrap_or(bytes)).into(),
        read_only: protected.is_some(),
    }
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
        assert_eq!(
            disk(OsStr::new("a.img")),
            Disk {
                path: "a.img".into(),
                read_only: false
            }
        );
        assert_eq!(
            disk(OsStr::new("a,b.img,readonly")),
            Disk {
                path: "a,b.img".into(),
                read_only: true
            }
        );
    }
}
