//! Root file systems: Debian on a disk, installed by a guest.
//!
//! [`prepare`] resolves and fetches the packages with the host's apt, and makes what a guest needs to
//! install them: a disk with the packages, and an archive for the initial RAM disk with
//! `guest/build`, which does it. [`Report`] reads what that prints.

mod files;
mod pack;
mod plan;
mod report;
mod sources;

pub use report::Report;

use crate::apt::{Apt, NO_SUITE};
use crate::cpio::Archive;
use crate::{Error, Options, Progress, cache, command};
use plan::{Plan, words};
use sources::Sources;
use std::fs::{self, File};
use std::path::Path;

/// What the guest executes.
const BUILD: &str = include_str!("../../guest/build");
/// The directory of package lists and packages in the cache.
const DIRECTORY: &str = "debian";

/// How the names begin of disks that last as long as a build.
const UNFINISHED: &str = "disk-";

/// The packages of every system. Patterns may fit nothing: not every suite has all of them.
const PACKAGES: [&str; 16] = [
    "?essential",
    "?priority(required)",
    // The file system is made that way.
    "?exact-name(usr-is-merged)",
    "apt",
    "dbus",
    "debian-archive-keyring",
    "e2fsprogs",
    "iproute2",
    "iputils-ping",
    "kmod",
    "libpam-systemd",
    "nano",
    "netbase",
    "procps",
    "?exact-name(systemd-resolved)",
    "systemd-sysv",
];
/// A device manager, without which systemd waits for disks in vain.
const UDEV: &str = "udev";
/// What makes a file system.
const TOOLS: &str = "e2fsprogs";

/// Memory of the guest beside the packages, bytes: what it writes passes through there.
const MEMORY: u64 = 768 << 20;
/// More would be beyond what most kernels address.
const MOST_MEMORY: u64 = 3 << 30;

/// Room that building takes in the cache, bytes: lists, packages, and these without compression.
const SPACE: u64 = 400 << 20;
/// A file system's own room: a share of the disk, and what its journal takes, bytes.
const OVERHEAD: u64 = 96 << 20;

/// A system that is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recipe {
    /// Debian's suite; without, the one of the system's apt sources.
    pub suite: Option<String>,
    /// Debian's mirror; without, the build uses the system's, and the new system Debian's own.
    pub mirror: Option<String>,
    /// Further packages.
    pub include: Vec<String>,
    /// The host name.
    pub hostname: String,
    /// The password of root; without, root needs none to log in on the console.
    pub password: Option<String>,
    /// Size of the disk, bytes.
    pub size: u64,
}

impl Recipe {
    /// Looks at what needs no network.
    ///
    /// # Errors
    /// Names that are none, a password that can't be set.
    pub fn check(&self) -> Result<(), Error> {
        let host = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let name = &self.hostname;
        let edges = [name.chars().next(), name.chars().next_back()];
        if !(1..=63).contains(&name.len()) || !name.chars().all(host) || edges.contains(&Some('-'))
        {
            return Err(Error::HostName(name.clone()));
        }
        // Debian Policy, 5.6.1.
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let package = |name: &&String| {
            name.len() < 2
                || !name.starts_with(letter)
                || !name.chars().all(|c| letter(c) || "+-.".contains(c))
        };
        if let Some(name) = self.include.iter().find(package) {
            return Err(Error::PackageName(name.clone()));
        }
        let password = self.password.as_deref().unwrap_or("any");
        if password.is_empty() || password.contains(['\n', '\0']) {
            return Err(Error::Password);
        }
        Ok(())
    }
}

/// What a guest installs a system with.
#[derive(Debug)]
pub struct Prepared {
    /// A disk with the packages. It vanishes with this, and must be open by then.
    pub packages: tempfile::NamedTempFile,
    /// Who prepares the next one removes what nobody has locked.
    _lock: File,
    /// Archives to be added to the default guest's initial RAM disk.
    pub overlay: Vec<u8>,
    /// Memory of the guest, bytes.
    pub memory: u64,
    /// The number of packages.
    pub count: usize,
    /// Debian's suite.
    pub suite: String,
}

/// Resolves and fetches the packages of a system, and makes of them what a guest needs. `token`, a
/// fresh random word, marks what the guest says for [`CommandOutput`](crate::CommandOutput). Packages
/// that were fetched before are in the cache; without a network they are enough.
///
/// # Errors
/// See [`Error`].
pub fn prepare(
    options: &Options,
    recipe: &Recipe,
    token: &str,
    progress: &dyn Progress,
) -> Result<Prepared, Error> {
    recipe.check()?;
    let directory = options.directory()?.join(DIRECTORY);
    fs::create_dir_all(&directory).map_err(Error::cache(&directory))?;
    // apt wants absolute paths.
    let directory = fs::canonicalize(&directory).map_err(Error::cache(&directory))?;
    let lock = cache::lock(&directory, progress)?;
    cache::require_space(&directory, SPACE)?;
    // What a process left that was killed.
    cache::sweep(&directory, |entry| entry.starts_with(UNFINISHED));
    let apt = Apt::new(&directory, None, progress)?;
    prepare_with(&apt, &directory, lock, recipe, token, progress)
}

fn prepare_with(
    apt: &Apt,
    directory: &Path,
    lock: File,
    recipe: &Recipe,
    token: &str,
    progress: &dyn Progress,
) -> Result<Prepared, Error> {
    let system = apt.lists()?;
    let (suite, mirror) = (recipe.suite.as_deref(), recipe.mirror.as_deref());
    let sources = Sources::choose(suite, mirror, &system, Path::exists)?;
    apt.use_sources(&sources.list())?;

    let mut wanted = PACKAGES.to_vec();
    wanted.push(UDEV);
    wanted.extend(recipe.include.iter().map(String::as_str));
    let (plan, archives) = apt
        .with_lists(|| resolve(apt, &wanted, progress))
        .map_err(|error| explain(error, &sources.suite))?;

    let packages = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(directory)
        .map_err(Error::cache(directory))?;
    let file = open(packages.path())?;
    let sizes = pack::pack(apt, &archives, &plan, file, packages.path(), progress)?;
    let memory = (MEMORY + sizes.archive).next_multiple_of(1 << 20);
    if memory > MOST_MEMORY {
        return Err(Error::TooManyPackages(sizes.archive >> 20));
    }
    let needed = sizes.files + sizes.files / 8 + OVERHEAD;
    if recipe.size < needed {
        return Err(Error::DiskTooSmall {
            size: recipe.size >> 20,
            needed: needed.div_ceil(1 << 20),
        });
    }
    apt.clean()?;
    let mut overlay = overlay(recipe, &plan, &sources);
    overlay.extend(command::command_overlay(
        &["sh", "/skep/build"],
        token,
        false,
    ));
    Ok(Prepared {
        packages,
        _lock: lock,
        overlay,
        memory,
        count: plan.packages.len(),
        suite: sources.suite,
    })
}

fn open(path: &Path) -> Result<File, Error> {
    let mut options = File::options();
    options.read(true).write(true);
    options.open(path).map_err(Error::cache(path))
}

/// The plan, and the directory of the packages.
fn resolve(
    apt: &Apt,
    wanted: &[&str],
    progress: &dyn Progress,
) -> Result<(Plan, std::path::PathBuf), Error> {
    progress.stage("Resolving the packages");
    let essential = apt.simulate(&["?essential"])?;
    // What the lists' trouble explains.
    let no_lists = || Error::Fetch {
        what: "Debian's package lists".into(),
        detail: String::new(),
    };
    if !plan::has_packages(&essential) {
        return Err(no_lists());
    }
    let (all, tools) = (apt.simulate(wanted)?, apt.simulate(&[TOOLS])?);
    let plan = Plan::new(&all, &essential, &tools).ok_or_else(no_lists)?;
    Ok((plan, apt.download_all(wanted)?))
}

/// An error as the user of a root file system can make use of it.
fn explain(error: Error, suite: &str) -> Error {
    match error {
        Error::Fetch { detail, .. } if detail.contains(NO_SUITE) => Error::Suite {
            suite: suite.to_owned(),
            detail,
        },
        Error::Fetch { what, detail } => Error::FetchRoot { what, detail },
        other => other,
    }
}

/// What the guest needs, but for the packages.
fn overlay(recipe: &Recipe, plan: &Plan, sources: &Sources) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.directory("skep");
    archive.file("skep/build", 0o755, BUILD.as_bytes());
    let (tools, essential) = (words(&plan.tools), words(&plan.essential));
    let variables = format!("tools='{tools}'\nessential='{essential}'\n");
    archive.file("skep/recipe", 0o600, variables.as_bytes());
    archive.file("skep/plan", 0o600, plan.lines().as_bytes());
    let password = recipe.password.as_deref();
    let password = password.map_or(String::new(), |text| format!("root:{text}\n"));
    archive.file("skep/password", 0o600, password.as_bytes());
    files::add(&mut archive, "skep/files", recipe, sources);
    archive.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe {
            suite: None,
            mirror: None,
            include: vec!["g++-12".into(), "libc6".into()],
            hostname: "a-b1".into(),
            password: None,
            size: 1 << 30,
        }
    }

    #[test]
    fn what_is_no_name_is_refused_before_anything_is_fetched() {
        assert!(recipe().check().is_ok());
        for hostname in ["", "-a", "a-", "a.b", "a b", "é", &"a".repeat(64)] {
            let hostname = hostname.to_owned();
            let error = Recipe {
                hostname,
                ..recipe()
            }
            .check()
            .unwrap_err();
            assert!(matches!(error, Error::HostName(_)), "{error}");
        }
        for name in [
            "",
            "a",
            "A-b",
            "--yes",
            "?essential",
            "a/b",
            "a b",
            "a=1",
            "a_b",
        ] {
            let include = vec!["libc6".to_owned(), name.to_owned()];
            let error = Recipe {
                include,
                ..recipe()
            }
            .check()
            .unwrap_err();
            assert!(matches!(error, Error::PackageName(_)), "{name}: {error}");
        }
        for password in ["", "a\nroot:b", "a\0"] {
            let password = Some(password.to_owned());
            let error = Recipe {
                password,
                ..recipe()
            }
            .check()
            .unwrap_err();
            assert!(matches!(error, Error::Password), "{error}");
        }
    }

    #[test]
    fn apts_trouble_is_told_with_what_can_be_done() {
        let fetch = |detail: &str| Error::Fetch {
            what: "the packages".into(),
            detail: detail.into(),
        };
        let text = explain(
            fetch("The repository 'x' does not have a Release file."),
            "nosuch",
        );
        assert!(text.to_string().contains("no suite \"nosuch\""), "{text}");
        let text = explain(fetch("Could not resolve 'deb.debian.org'"), "sid").to_string();
        assert!(
            text.contains("(Could not resolve 'deb.debian.org'); check the network"),
            "{text}"
        );
        let text = explain(Error::UnknownPackage("x".into()), "sid").to_string();
        assert!(text.contains("no package \"x\""), "{text}");
    }

    #[test]
    fn the_guest_gets_the_users_wishes() {
        let plan = Plan {
            essential: vec![0, 2],
            tools: vec![1],
            ..Plan::default()
        };
        let sources = Sources::choose(Some("sid"), None, "", |_| true).unwrap();
        let password = Some("a b'c".to_owned());
        let archive = overlay(
            &Recipe {
                password,
                ..recipe()
            },
            &plan,
            &sources,
        );
        let text = String::from_utf8_lossy(&archive);
        for part in [
            "tools='1'\nessential='0 2'\n",
            "root:a b'c\n",
            "skep/files/etc/hostname\0",
            "a-b1\n",
            "Suites: sid\n",
            "DHCP=yes\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in the archive");
        }
        let archive = overlay(&recipe(), &plan, &sources);
        assert!(!String::from_utf8_lossy(&archive).contains("root:"));
    }
}
