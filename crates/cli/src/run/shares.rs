//! Shared directories: as they are written on the command line, and what the guest is told of them.

use skep_config::shares::check_mount;
use skep_config::value::{COMMAS, split_options};
use skep_image::Mount;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A shared directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Share {
    pub directory: PathBuf,
    /// Where the default guest mounts it, if that was said.
    pub mount: Option<String>,
    pub read_only: bool,
}

/// A directory as it is written: `HOSTDIR[:GUESTDIR][,ro]`. The last `:/` is where GUESTDIR begins. A
/// comma in a directory's name is written twice.
pub fn parse(text: OsString) -> Result<Share, String> {
    let (rest, words) = split_options(text.as_bytes());
    let known = |word: &&Vec<u8>| matches!(word.as_slice(), b"ro" | b"readonly");
    if let Some(word) = words.iter().find(|word| !known(word)) {
        let word = String::from_utf8_lossy(word);
        return Err(format!(
            "{word:?} is not an option of a shared directory; there is ro, and {COMMAS}"
        ));
    }
    let colon = rest.windows(2).rposition(|pair| pair == b":/");
    let (directory, mount) = match colon {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest.as_slice(), None),
    };
    if directory.is_empty() {
        return Err("the directory's name is missing; write for instance --share . ".into());
    }
    let mount = mount
        .map(|mount| {
            let path = str::from_utf8(mount).map_err(|_| "it is no text in UTF-8");
            let path = path.and_then(|path| check_mount(path).map(|()| path.to_owned()));
            path.map_err(|why| {
                format!("the guest's directory can't be this: {why}; write for instance :/src")
            })
        })
        .transpose()?;
    Ok(Share {
        directory: OsStr::from_bytes(directory).into(),
        mount,
        read_only: !words.is_empty(),
    })
}

/// The devices: each has the name of its directory, and a number if another one has that already.
pub fn devices(shares: &[Share]) -> Vec<skep_vmm::Share> {
    let mut devices: Vec<skep_vmm::Share> = Vec::new();
    for share in shares {
        let name = name(&share.directory);
        let taken = |tag: &str| devices.iter().any(|device| device.tag == tag);
        let mut tag = name.clone();
        let mut number = 2;
        while taken(&tag) {
            tag = format!("{name}-{number}");
            number += 1;
        }
        devices.push(skep_vmm::Share {
            path: share.directory.clone(),
            tag,
            read_only: share.read_only,
        });
    }
    devices
}

/// A directory's name, with what a shell, a command line and a device take.
fn name(directory: &Path) -> String {
    /// A device has room for 36 bytes; a number may follow.
    const LONGEST: usize = 32;
    let full = std::fs::canonicalize(directory);
    let full = full.as_deref().unwrap_or(directory);
    let name = full.file_name().unwrap_or(OsStr::new("root")).as_bytes();
    let plain = |byte: &u8| match byte {
        b'.' | b'_' | b'-' => char::from(*byte),
        _ if byte.is_ascii_alphanumeric() => char::from(*byte),
        _ => '-',
    };
    name.iter().take(LONGEST).map(plain).collect()
}

/// Where the default guest mounts them.
pub fn mounts(shares: &[Share]) -> Vec<Mount> {
    let mounts = shares.iter().zip(devices(shares));
    mounts
        .map(|(share, device)| Mount {
            directory: match &share.mount {
                Some(directory) => directory.clone(),
                None => format!("/mnt/{}", device.tag),
            },
            tag: device.tag,
            read_only: device.read_only,
        })
        .collect()
}

/// Where the default guest starts, if not at home: in the only directory that it was not said of
/// where it goes.
pub fn start(shares: &[Share]) -> Option<String> {
    let mounts = mounts(shares).into_iter().zip(shares);
    let mut unsaid = mounts.filter(|(_, share)| share.mount.is_none());
    match (unsaid.next(), unsaid.next()) {
        (Some((mount, _)), None) => Some(mount.directory),
        _ => None,
    }
}

/// Two shares that the default guest would mount at one place: that place.
pub fn collision(shares: &[Share]) -> Option<String> {
    let mut seen = Vec::new();
    for mount in mounts(shares) {
        let place: Vec<String> = mount
            .directory
            .split('/')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        if seen.contains(&place) {
            return Some(mount.directory);
        }
        seen.push(place);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(text: &str) -> Share {
        parse(text.into()).expect("a share")
    }

    #[test]
    fn all_forms() {
        let plain = |directory: &str, mount: Option<&str>, read_only| Share {
            directory: directory.into(),
            mount: mount.map(str::to_owned),
            read_only,
        };
        assert_eq!(share("."), plain(".", None, false));
        assert_eq!(share("a b,ro"), plain("a b", None, true));
        assert_eq!(share("/a:/b"), plain("/a", Some("/b"), false));
        assert_eq!(share("a:b:/c d,ro"), plain("a:b", Some("/c d"), true));
        assert_eq!(share("a:b"), plain("a:b", None, false));
        assert_eq!(
            share("a,,b:/c,,d,readonly"),
            plain("a,b", Some("/c,d"), true)
        );
    }

    #[test]
    fn unknown_options_are_named() {
        for (wrong, word) in [("a,rw", "rw"), ("a,b:/c", "b:/c"), ("a,ro,", "")] {
            let error = parse(wrong.into()).expect_err(wrong);
            let start = format!("{word:?} is not an option of a shared directory; there is ro,");
            assert!(error.starts_with(&start), "{error}");
        }
    }

    #[test]
    fn places_that_are_none() {
        for wrong in ["", ",ro", ":/a", "a:/", "a:/b/../c", "a:/b\nc"] {
            assert!(parse(wrong.into()).is_err(), "{wrong:?}");
        }
        assert!(parse(OsStr::from_bytes(b"a:/\xff").into()).is_err());
    }

    #[test]
    fn each_has_a_name_and_a_place() {
        let base = tempfile::tempdir().expect("a directory");
        let path = |name: &str| {
            let path = base.path().join(name);
            std::fs::create_dir_all(&path).expect("writable");
            path.into_os_string()
        };
        let shares: Vec<Share> = ["x/s r\u{e9}", "y/s r\u{e9}", "z"]
            .map(|name| parse(path(name)).expect("a share"))
            .into();
        let mounts = mounts(&shares);
        let seen: Vec<_> = mounts
            .iter()
            .map(|mount| (mount.tag.as_str(), mount.directory.as_str()))
            .collect();
        let expected = [
            ("s-r--", "/mnt/s-r--"),
            ("s-r---2", "/mnt/s-r---2"),
            ("z", "/mnt/z"),
        ];
        assert_eq!(seen, expected);
        assert_eq!(name(Path::new("/")), "root");
    }

    #[test]
    fn the_guest_starts_in_the_only_one_without_a_place() {
        assert_eq!(start(&[]), None);
        assert_eq!(start(&[share("/no/a")]).as_deref(), Some("/mnt/a"));
        assert_eq!(start(&[share("/no/a"), share("/no/b")]), None);
        let placed = [share("/no/a:/b"), share("/no/c")];
        assert_eq!(start(&placed).as_deref(), Some("/mnt/c"));
        assert_eq!(start(&[share("/no/a:/b")]), None);
    }

    #[test]
    fn two_at_one_place_are_noticed() {
        assert_eq!(collision(&[share("/no/a"), share("/no/b")]), None);
        let twice = [share("/no/a"), share("/no/b://mnt/a/")];
        assert_eq!(collision(&twice).as_deref(), Some("//mnt/a/"));
    }
}
