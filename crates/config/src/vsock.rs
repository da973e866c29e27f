//! Socket devices as they are written: `vsock` of `[vm.NAME]`, and `--vsock`.

use crate::diagnostic::{Diagnostic, Report};
use crate::files::{Files, Kind};
use crate::model::{At, Vm};
use crate::schema;
use crate::table::Table;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A guest's CID, unless it is given another one.
pub const DEFAULT_CID: u32 = 3;
/// The largest CID of a guest.
const MAX_CID: u32 = 0xffff_fffe;
/// The longest path of a socket, bytes: that of an address on Linux, without the number of a port.
const MAX_PATH: usize = 96;

/// What a socket device is connected to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vsock {
    /// The socket by which programs of the host's reach the guest.
    pub path: PathBuf,
    /// The guest's CID.
    pub cid: u32,
}

fn check_cid(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(cid @ DEFAULT_CID..=MAX_CID) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(cid)
        }
        _ => Err(format!(
            "{text:?} is not a guest's CID, which is a number from 3 to 4294967294; write for instance cid=3"
        )),
    }
}

/// Reads `PATH[,cid=N]`.
///
/// # Errors
///
/// The text says nothing of that kind.
pub fn parse_vsock(text: &OsStr) -> Result<Vsock, String> {
    const CID: &[u8] = b",cid=";
    let bytes = text.as_bytes();
    let at = bytes.windows(CID.len()).rposition(|part| part == CID);
    let (path, cid) = match at {
        Some(at) => {
            let (path, cid) = bytes.split_at(at);
            let cid = cid.get(CID.len()..).unwrap_or_default();
            (path, check_cid(&String::from_utf8_lossy(cid))?)
        }
        None => (bytes, DEFAULT_CID),
    };
    if path.is_empty() {
        return Err("the socket's path is missing; write for instance vm.sock".into());
    }
    let path = PathBuf::from(OsStr::from_bytes(path));
    Ok(Vsock { path, cid })
}

/// Reads the key: a path, or a table.
pub(crate) fn read(
    name: &At<String>,
    table: &Table<'_, '_>,
    base: &Path,
    report: &mut Report,
) -> Option<At<Vsock>> {
    let what = format!("vsock of the virtual machine `{}`", name.get_ref());
    let item = table.item("vsock")?;
    let (path, cid) = match item.table(what, schema::VSOCK) {
        None => (table.path("vsock", base, report), None),
        Some(vsock) => {
            vsock.check_keys(report);
            if !vsock.table.contains_key("path") {
                report.add(vsock.missing("path"));
            }
            let limits = u64::from(DEFAULT_CID)..=u64::from(MAX_CID);
            let cid = vsock.number("cid", limits, report);
            (vsock.path("path", base, report), cid)
        }
    };
    let path = path?;
    let cid = cid.map_or(DEFAULT_CID, At::into_inner);
    Some(At::new(
        path.span(),
        Vsock {
            path: path.into_inner(),
            cid,
        },
    ))
}

/// Checks that the socket can be made.
pub(crate) fn check(vm: &Vm, what: &str, files: &dyn Files, report: &mut Report) {
    let Some(vsock) = &vm.vsock else {
        return;
    };
    let path = &vsock.get_ref().path;
    let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
    let is_directory = |path| {
        files
            .look(path)
            .is_ok_and(|found| found.kind == Kind::Directory)
    };
    let (why, help) = if path.as_os_str().len() > MAX_PATH {
        (
            format!("the path is longer than {MAX_PATH} bytes"),
            "name a shorter one, as in /tmp",
        )
    } else if directory.is_some_and(|path| !is_directory(path)) {
        (
            "its directory does not exist".to_owned(),
            "make the directory, or check the path",
        )
    } else if files
        .look(path)
        .is_ok_and(|found| found.kind != Kind::Other)
    {
        (
            format!("{} exists and is not a socket", path.display()),
            "name another path, or remove it",
        )
    } else {
        return;
    };
    report.add(Diagnostic::error(
        format!("the socket `vsock` of {what} can't be made"),
        vsock.span(),
        why,
        help,
    ));
}

/// What the bare-metal hypervisor says of it.
pub(crate) fn refuse(vm: &Vm, report: &mut Report) {
    if let Some(vsock) = &vm.vsock {
        report.add(Diagnostic::error(
            format!(
                "`vsock` of the virtual machine `{}` is for skep run only",
                vm.name.get_ref()
            ),
            vsock.span(),
            "there are no programs of a host on the board",
            "let virtual machines talk over a [channel.NAME], and remove vsock",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sockets() {
        let parse = |text: &str| parse_vsock(OsStr::new(text));
        let vsock = |path: &str, cid| {
            let path = path.into();
            Ok(Vsock { path, cid })
        };
        assert_eq!(parse("vm.sock"), vsock("vm.sock", 3));
        assert_eq!(parse("a/b,cid=42"), vsock("a/b", 42));
        assert_eq!(parse("a,cid=x,cid=4294967294"), vsock("a,cid=x", MAX_CID));
        assert_eq!(parse("a,b"), vsock("a,b", 3));
        for wrong in [
            "",
            ",cid=3",
            "a,cid=",
            "a,cid=2",
            "a,cid=+3",
            "a,cid=4294967295",
            "a,cid=three",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(bytes: Vec<u8>) {
            let _ = parse_vsock(OsStr::from_bytes(&bytes));
        }
    }
}
