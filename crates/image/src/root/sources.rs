//! Where Debian's packages come from: for the build, and for the new system.

use crate::Error;
use std::path::{Path, PathBuf};

/// Debian's mirror for everybody.
const MIRROR: &str = "http://deb.debian.org/debian";
/// The same for security updates.
const SECURITY: &str = "http://deb.debian.org/debian-security";
/// The suite where the system's own sources name none of Debian.
const SUITE: &str = "trixie";
/// Debian's keys, as the package debian-archive-keyring has them.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Suites without updates: they are where updates come from.
const ROLLING: [&str; 3] = ["sid", "unstable", "experimental"];

/// Repositories of one suite.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sources {
    /// The suite's name, such as `bookworm`.
    pub suite: String,
    mirror: String,
    security: String,
    /// The keys that sign it; without, those that the system's apt trusts.
    keyring: Option<PathBuf>,
}

impl Sources {
    /// The user's choice, or else what the system's own sources have. `system` is what
    /// `apt-get update --print-uris` says of them.
    ///
    /// # Errors
    /// A name that is none, and keys that are not there.
    pub fn choose(
        suite: Option<&str>,
        mirror: Option<&str>,
        system: &str,
        exists: impl Fn(&Path) -> bool,
    ) -> Result<Self, Error> {
        let targets: Vec<Target> = system.lines().filter_map(Target::new).collect();
        let find = |end: &str| {
            targets
                .iter()
                .find(|target| target.repository.ends_with(end))
        };
        let main = find("/debian");
        let suite = suite
            .or(main.map(|target| target.suite))
            .unwrap_or(SUITE)
            .to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-./_".contains(c);
        if !suite.starts_with(|c: char| c.is_ascii_alphanumeric()) || !suite.chars().all(plain) {
            return Err(Error::SuiteName(suite));
        }
        if let Some(mirror) = mirror {
            let known = ["http://", "https://", "file:/"];
            let is_url = known.iter().any(|start| mirror.starts_with(start));
            let whole = mirror
                .chars()
                .all(|c| c.is_ascii_graphic() && !"[]#\"'\\".contains(c));
            if !is_url || !whole {
                return Err(Error::Mirror(mirror.to_owned()));
            }
        }
        let keyring = Some(PathBuf::from(KEYRING)).filter(|path| exists(path));
        // What the system uses itself, it has keys for.
        if keyring.is_none() && (mirror.is_some() || main.is_none()) {
            return Err(Error::NoKeyring(KEYRING.into()));
        }
        let security = find("/debian-security").map_or(SECURITY, |target| target.repository);
        let of_system = main.map_or(MIRROR, |target| target.repository);
        Ok(Sources {
            suite,
            mirror: mirror.unwrap_or(of_system).to_owned(),
            security: security.to_owned(),
            keyring,
        })
    }

    /// For the build: lines of a `sources.list`.
    pub fn list(&self) -> String {
        let keys = self.keyring.as_deref().map(Path::display);
        let keys = keys.map_or(String::new(), |path| format!(" [signed-by={path}]"));
        let (mirror, security) = (&self.mirror, &self.security);
        let lines = suites(&self.suite).map(|(suite, secure)| {
            let repository = if secure { security } else { mirror };
            format!("deb{keys} {repository} {suite} main\n")
        });
        lines.collect()
    }

    /// For the new system, a file of `sources.list.d`. Names Debian's own mirrors, unless the user
    /// has chosen one: the one that this host has may be reachable from here only.
    pub fn of_guest(&self, mirror: Option<&str>) -> String {
        let mirror = mirror.unwrap_or(MIRROR);
        let mut text = String::new();
        for secure in [false, true] {
            let names: Vec<String> = suites(&self.suite)
                .filter(|(_, of)| *of == secure)
                .map(|(suite, _)| suite)
                .collect();
            if names.is_empty() {
                continue;
            }
            let repository = if secure { SECURITY } else { mirror };
            let end = if text.is_empty() { "" } else { "\n" };
            text.push_str(&format!(
                "{end}Types: deb\nURIs: {repository}\nSuites: {}\nComponents: main\n\
                 Signed-By: {KEYRING}\n",
                names.join(" ")
            ));
        }
        text
    }
}

/// A suite with those that hold its updates, and whether that is the one for security.
fn suites(suite: &str) -> impl Iterator<Item = (String, bool)> {
    let updates = !ROLLING.contains(&suite);
    let kinds = [
        ("", false, true),
        ("-updates", false, updates),
        ("-security", true, updates),
    ];
    let suite = suite.to_owned();
    kinds
        .into_iter()
        .filter(|(_, _, wanted)| *wanted)
        .map(move |(end, secure, _)| (format!("{suite}{end}"), secure))
}

/// A suite of a repository of the system.
struct Target<'a> {
    repository: &'a str,
    suite: &'a str,
}

impl<'a> Target<'a> {
    /// Of a line `'REPOSITORY/dists/SUITE/InRelease' ...`.
    fn new(line: &'a str) -> Option<Self> {
        let (uri, _) = line.strip_prefix('\'')?.split_once('\'')?;
        let (repository, rest) = uri.split_once("/dists/")?;
        let (suite, _) = rest.rsplit_once('/')?;
        Some(Target { repository, suite })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: &str = "'https://nodes.example/x/dists/nodistro/InRelease' nodes 0 \n\
        'http://mirror.corp.example/debian/dists/bookworm/InRelease' x 0 \n\
        'http://mirror.corp.example/debian/dists/bookworm-updates/InRelease' x 0 \n\
        'http://mirror.corp.example/debian-security/dists/bookworm-security/InRelease' x 0 \n";

    const KEY: &str = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";

    fn choose(suite: Option<&str>, mirror: Option<&str>, system: &str) -> Result<Sources, Error> {
        Sources::choose(suite, mirror, system, |_| true)
    }

    #[test]
    fn the_systems_mirror_serves_the_build_but_does_not_get_into_the_guest() {
        let sources = choose(None, None, SYSTEM).unwrap();
        assert_eq!(
            sources.list(),
            format!(
                "{KEY} http://mirror.corp.example/debian bookworm main\n\
                 {KEY} http://mirror.corp.example/debian bookworm-updates main\n\
                 {KEY} http://mirror.corp.example/debian-security bookworm-security main\n"
            )
        );
        let guest = sources.of_guest(None);
        assert!(!guest.contains("corp"), "{guest}");
        assert_eq!(
            guest,
            "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm bookworm-updates\n\
             Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
             Types: deb\nURIs: http://deb.debian.org/debian-security\nSuites: bookworm-security\n\
             Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        );
    }

    #[test]
    fn the_users_choice_is_stronger() {
        let sources = choose(Some("sid"), Some("https://m.example/d"), SYSTEM).unwrap();
        let key = format!("deb [signed-by={KEYRING}]");
        assert_eq!(
            sources.list(),
            format!("{key} https://m.example/d sid main\n")
        );
        let guest = sources.of_guest(Some("https://m.example/d"));
        assert!(
            guest.contains("URIs: https://m.example/d\nSuites: sid\n"),
            "{guest}"
        );
        assert!(!guest.contains("security"), "{guest}");
    }

    #[test]
    fn a_system_without_debians_sources_uses_debians_mirror() {
        let system = "'http://archive.ubuntu.com/ubuntu/dists/noble/InRelease' x 0 \n";
        let sources = choose(None, None, system).unwrap();
        let list = sources.list();
        assert!(
            list.contains("http://deb.debian.org/debian trixie main\n"),
            "{list}"
        );
        assert!(
            list.contains("debian-security trixie-security main\n"),
            "{list}"
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for suite in ["", "a b", "-x", "a\nb", "a;b", "[x]"] {
            let error = choose(Some(suite), None, "").unwrap_err().to_string();
            assert!(error.contains("is no name of a suite"), "{error}");
        }
        for mirror in [
            "deb.debian.org",
            "http://a b",
            "http://x [y]",
            "ftp://x",
            "http://a\n",
        ] {
            let error = choose(None, Some(mirror), "").unwrap_err().to_string();
            assert!(error.contains("is no address of a mirror"), "{error}");
        }
    }

    #[test]
    fn the_systems_mirror_may_have_other_keys() {
        let sources = Sources::choose(None, None, SYSTEM, |_| false).unwrap();
        let list = sources.list();
        assert!(
            list.starts_with("deb http://mirror.corp.example/debian bookworm main\n"),
            "{list}"
        );
        assert!(Sources::choose(None, Some("http://m.example"), SYSTEM, |_| false).is_err());
    }

    #[test]
    fn keys_that_are_missing_are_named() {
        let error = Sources::choose(None, None, "", |_| false)
            .unwrap_err()
            .to_string();
        assert!(error.contains(KEYRING), "{error}");
        assert!(error.contains("install debian-archive-keyring"), "{error}");
    }
}
