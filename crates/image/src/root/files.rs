//! The new system's settings: files that no package has.

use super::Recipe;
use super::sources::Sources;
use crate::cpio::Archive;
use std::collections::BTreeSet;

/// Any network card gets its address by DHCP.
const NETWORK: &str = "\
[Match]
Name=en* eth*

[Network]
DHCP=yes
";

/// What waits for the network must not wait for ever where there is none.
const NETWORK_WAIT: &str = "\
[Service]
ExecStart=
ExecStart=/lib/systemd/systemd-networkd-wait-online --any --timeout=10
";

/// A disk is small, and may be on a laptop's.
const JOURNAL: &str = "\
[Journal]
SystemMaxUse=64M
RuntimeMaxUse=16M
";

/// Adds the files below `directory`.
pub fn add(archive: &mut Archive, directory: &str, recipe: &Recipe, sources: &Sources) {
    let host = &recipe.hostname;
    let files = [
        ("etc/hostname", format!("{host}\n")),
        (
            "etc/hosts",
            format!("127.0.0.1 localhost\n127.0.1.1 {host}\n::1 localhost ip6-localhost\n"),
        ),
        ("etc/default/locale", "LANG=C.UTF-8\n".into()),
        (
            "etc/apt/sources.list.d/debian.sources",
            sources.of_guest(recipe.mirror.as_deref()),
        ),
        ("etc/systemd/network/80-skep.network", NETWORK.into()),
        (
            "etc/systemd/system/systemd-networkd-wait-online.service.d/skep.conf",
            NETWORK_WAIT.into(),
        ),
        ("etc/systemd/journald.conf.d/skep.conf", JOURNAL.into()),
    ];
    let mut made = BTreeSet::new();
    archive.directory(directory);
    for (path, contents) in files {
        for (slash, _) in path.match_indices('/') {
            if made.insert(&path[..slash]) {
                archive.directory(&format!("{directory}/{}", &path[..slash]));
            }
        }
        archive.file(&format!("{directory}/{path}"), 0o644, contents.as_bytes());
    }
}
