//! The system's apt client, with a private state: the system's sources, keys and proxies are used,
//! nothing of the system is changed, and root is not needed.

use crate::package::unusable;
use crate::{Error, Progress};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// How often the lists are fetched: a mirror that is being updated is consistent a moment later.
const UPDATES: u32 = 3;

/// The pause before another try.
const PAUSE: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 3 });

/// What apt says of a suite that a repository does not have.
pub const NO_SUITE: &str = "does not have a Release file";

/// What apt says of that and of a full disk, to which a moment makes no difference.
const LASTING: [&str; 4] = [
    NO_SUITE,
    "No space left on device",
    "enough free space",
    "quota exceeded",
];

/// How often a download's size is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What a package consists of.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// What it puts into the system.
    Files,
    /// What dpkg knows of it, and its scripts.
    Control,
}

impl Part {
    fn option(self) -> &'static str {
        match self {
            Part::Files => "--fsys-tarfile",
            Part::Control => "--ctrl-tarfile",
        }
    }
}

/// apt with its own state, and dpkg.
pub struct Apt<'a> {
    state: PathBuf,
    config: PathBuf,
    downloads: PathBuf,
    /// Where programs are looked for, if not where this process's environment says.
    path: Option<OsString>,
    progress: &'a dyn Progress,
}

/// The fetched package files.
pub struct Packages {
    /// The kernel's.
    pub kernel: PathBuf,
    /// Busybox's.
    pub busybox: PathBuf,
}

impl<'a> Apt<'a> {
    /// Makes the private state in `directory`, an absolute path.
    pub fn new(
        directory: &Path,
        path: Option<OsString>,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        let state = directory.join("apt");
        let downloads = directory.join("packages");
        let lists = state.join("lists/partial");
        let archives = state.join("cache/archives/partial");
        for needed in [&lists, &archives, &state.join("parts"), &downloads] {
            fs::create_dir_all(needed).map_err(Error::cache(needed))?;
        }
        let status = state.join("status");
        fs::write(&status, "").map_err(Error::cache(&status))?;
        let config = state.join("apt.conf");
        let apt = Apt {
            state,
            config,
            downloads,
            path,
            progress,
        };
        // Before anything is fetched.
        for tool in ["apt-config", "apt-get", "apt-cache", "dpkg-deb"] {
            if !apt.has(tool) {
                return Err(Error::NoTool(tool));
            }
        }
        let text = apt.configuration()?;
        fs::write(&apt.config, text).map_err(Error::cache(&apt.config))?;
        Ok(apt)
    }

    /// Where the system's package lists are: lines that begin with a URI in quotes.
    pub fn lists(&self) -> Result<String, Error> {
        let output = self.run("apt-get", ["update", "--print-uris"])?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Has apt use these sources, lines of a `sources.list`, and not the system's.
    pub fn use_sources(&self, list: &str) -> Result<(), Error> {
        let path = self.state.join("sources.list");
        fs::write(&path, list).map_err(Error::cache(&path))?;
        let path = path.display();
        let mut text = self.configuration()?;
        text.push_str(&format!(
            "Dir::Etc::SourceList \"{path}\";\nDir::Etc::SourceParts \"/dev/null\";\n\
             Dir::Cache::pkgcache \"pkgcache.bin\";\n"
        ));
        fs::write(&self.config, text).map_err(Error::cache(&self.config))
    }

    /// What apt would do to install packages.
    pub fn simulate(&self, packages: &[&str]) -> Result<String, Error> {
        let mut command = self.command("apt-get");
        command
            .args(["install", "--simulate", "--no-install-recommends"])
            // It would configure each essential package before the next one.
            .args(["-o", "APT::Immediate-Configure=false", "--"])
            .args(packages);
        let output = self.finish("apt-get", &mut command)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let unknown = ["E: Unable to locate package ", "E: Package '"];
        let unknown = stderr.lines().find_map(|line| {
            let rest = unknown.iter().find_map(|start| line.strip_prefix(start))?;
            Some(rest.split(['\'', ' ']).next()?.to_owned())
        });
        Err(match unknown {
            Some(package) => Error::UnknownPackage(package),
            None => Error::Fetch {
                what: packages.join(", "),
                detail: complaints(&output),
            },
        })
    }

    /// Downloads what an installation of packages needs, and tells where it is.
    pub fn download_all(&self, packages: &[&str]) -> Result<PathBuf, Error> {
        let archives = self.state.join("cache/archives");
        let install = |option: &str| {
            let mut command = self.command("apt-get");
            command
                .args(["install", option, "--no-install-recommends"])
                .args(["--quiet=2", "--yes", "--"])
                .args(packages);
            command
        };
        // What is there already is not among them.
        let output = self.finish("apt-get", &mut install("--print-uris"))?;
        let total = sizes(&output).sum();
        let before = size_below(&archives);
        self.progress.stage("Fetching the packages");
        let mut child = self.spawn("apt-get", &mut install("--download-only"))?;
        let start = |source| Error::Run {
            program: "apt-get",
            source,
        };
        while child.try_wait().map_err(start)?.is_none() {
            std::thread::sleep(LOOK);
            let done = size_below(&archives).saturating_sub(before);
            self.progress.bytes(done, Some(total));
        }
        let output = child.wait_with_output().map_err(start)?;
        if !output.status.success() {
            return Err(Error::Fetch {
                what: "the packages".to_owned(),
                detail: complaints(&output),
            });
        }
        Ok(archives)
    }

    /// Removes downloaded packages that no source has any more.
    pub fn clean(&self) -> Result<(), Error> {
        self.run("apt-get", ["autoclean", "--quiet=2"]).map(|_| ())
    }

    fn has(&self, tool: &str) -> bool {
        let path = self.path.clone().or_else(|| std::env::var_os("PATH"));
        std::env::split_paths(&path.unwrap_or_default())
            .any(|directory| directory.join(tool).is_file())
    }

    /// Fetches the kernel that the package `kernel` depends on, and the package `busybox`.
    pub fn fetch(&self, kernel: &str, busybox: &str) -> Result<Packages, Error> {
        self.with_lists(|| self.resolve_and_download(kernel, busybox))
    }

    /// Fetches packages and all that they depend on.
    pub fn fetch_all(&self, packages: &[&str]) -> Result<Vec<PathBuf>, Error> {
        self.with_lists(|| {
            self.progress
                .stage(&format!("Fetching {}", packages.join(", ")));
            let mut command = self.command("apt-get");
            command
                .args(["install", "--download-only", "--no-install-recommends"])
                .args(["--quiet=2", "--yes"])
                .args(packages);
            let output = self
                .spawn("apt-get", &mut command)?
                .wait_with_output()
                .map_err(|source| Error::Run {
                    program: "apt-get",
                    source,
                })?;
            if !output.status.success() {
                return Err(Error::Fetch {
                    what: packages.join(", "),
                    detail: complaints(&output),
                });
            }
            let archives = self.state.join("cache/archives");
            let entries = fs::read_dir(&archives).map_err(Error::cache(&archives))?;
            let mut files: Vec<PathBuf> = entries
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .filter(|path| path.extension() == Some(OsStr::new("deb")))
                .collect();
            files.sort();
            Ok(files)
        })
    }

    /// Does something with the newest package lists: again with newer ones, if it could not fetch
    /// what they tell of.
    pub fn with_lists<T>(&self, fetch: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        let mut update = 0;
        loop {
            update += 1;
            self.progress.stage("Fetching Debian's package lists");
            // One source's failure doesn't matter while the packages are in the others.
            let trouble = complaints(&self.run("apt-get", ["update"])?);
            match fetch() {
                Err(Error::Fetch { what, detail }) => {
                    // The lists' trouble explains what came of it.
                    let detail = [trouble, detail]
                        .into_iter()
                        .find(|text| !text.is_empty())
                        .unwrap_or_else(|| format!("no source has {what}"));
                    if update == UPDATES || LASTING.iter().any(|words| detail.contains(words)) {
                        return Err(Error::Fetch { what, detail });
                    }
                    std::thread::sleep(PAUSE);
                }
                other => return other,
            }
        }
    }

    fn resolve_and_download(&self, kernel: &str, busybox: &str) -> Result<Packages, Error> {
        let output = self.run("apt-cache", ["depends", "--important", kernel])?;
        let text = String::from_utf8_lossy(&output.stdout);
        let concrete = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .find(|name| name.starts_with("linux-image-"))
            .ok_or_else(|| Error::Fetch {
                what: kernel.to_owned(),
                detail: complaints(&output),
            })?;
        Ok(Packages {
            busybox: self.download(busybox)?,
            kernel: self.download(concrete)?,
        })
    }

    /// Downloads the newest version of a package; apt checks its signed hash.
    fn download(&self, package: &str) -> Result<PathBuf, Error> {
        self.progress.stage(&format!("Fetching {package}"));
        let total = self.size(package)?;
        let mut command = self.command("apt-get");
        command
            .args(["download", "--quiet=2", package])
            .current_dir(&self.downloads);
        // Standard error is read when the program has ended: it's a few lines, far from a pipe's
        // capacity.
        let mut child = self.spawn("apt-get", &mut command)?;
        let start = |source| Error::Run {
            program: "apt-get",
            source,
        };
        while child.try_wait().map_err(start)?.is_none() {
            std::thread::sleep(LOOK);
            self.progress.bytes(self.downloaded(package), total);
        }
        let output = child.wait_with_output().map_err(start)?;
        let found = self
            .files(package)
            .find(|path| path.extension() == Some(OsStr::new("deb")));
        match found {
            Some(file) if output.status.success() => Ok(file),
            _ => Err(Error::Fetch {
                what: package.to_owned(),
                detail: complaints(&output),
            }),
        }
    }

    /// A package's size, from `apt-get download --print-uris`: `'URI' FILE SIZE HASH`.
    fn size(&self, package: &str) -> Result<Option<u64>, Error> {
        let output = self.run("apt-get", ["download", "--print-uris", package])?;
        Ok(sizes(&output).next())
    }

    /// The package's files, finished or not, among the downloads.
    fn files(&self, package: &str) -> impl Iterator<Item = PathBuf> {
        let start = format!("{package}_");
        let directories = [self.downloads.clone(), self.downloads.join("partial")];
        directories
            .into_iter()
            .filter_map(|directory| fs::read_dir(directory).ok())
            .flatten()
            .filter_map(Result::ok)
            .filter(move |entry| entry.file_name().to_string_lossy().starts_with(&start))
            .map(|entry| entry.path())
    }

    fn downloaded(&self, package: &str) -> u64 {
        self.files(package)
            .filter_map(|path| fs::metadata(path).ok())
            .map(|data| data.len())
            .max()
            .unwrap_or(0)
    }

    /// Calls `take` with a package's contents, a tar archive.
    pub fn with_contents(
        &self,
        package: &Path,
        take: impl FnOnce(&mut dyn Read) -> io::Result<()>,
    ) -> Result<(), Error> {
        self.with_part(package, Part::Files, take)
    }

    /// Calls `take` with a part of a package, a tar archive.
    pub fn with_part(
        &self,
        package: &Path,
        part: Part,
        take: impl FnOnce(&mut dyn Read) -> io::Result<()>,
    ) -> Result<(), Error> {
        let mut command = self.command("dpkg-deb");
        command.arg(part.option()).arg(package);
        let mut child = self.spawn("dpkg-deb", &mut command)?;
        let Some(stdout) = child.stdout.take() else {
            return Err(unusable(package, "it can't be read"));
        };
        let mut stdout = BufReader::with_capacity(1 << 18, stdout);
        let taken = take(&mut stdout)
            // Padding may follow the archive's end.
            .and_then(|()| io::copy(&mut stdout, &mut io::sink()));
        drop(stdout);
        let output = child.wait_with_output().map_err(|source| Error::Run {
            program: "dpkg-deb",
            source,
        })?;
        if !output.status.success() && taken.is_ok() {
            return Err(unusable(package, &complaints(&output)));
        }
        taken
            .map(|_| ())
            .map_err(|error| unusable(package, &error.to_string()))
    }

    /// How the system reaches which sources (proxies and the like), and our own settings.
    fn configuration(&self) -> Result<String, Error> {
        let mut command = self.command("apt-config");
        command.arg("dump");
        match std::env::var_os("APT_CONFIG") {
            Some(config) => command.env("APT_CONFIG", config),
            None => command.env_remove("APT_CONFIG"),
        };
        let child = self.spawn("apt-config", &mut command)?;
        let dump = child.wait_with_output().map_err(|source| Error::Run {
            program: "apt-config",
            source,
        })?;
        let mut text: String = String::from_utf8_lossy(&dump.stdout)
            .lines()
            .filter(|line| {
                ["Acquire::", "Dir::Etc"]
                    .iter()
                    .any(|key| line.starts_with(key))
            })
            // Further indexes, of icons and the like, that other programs want.
            .filter(|line| !line.starts_with("Acquire::IndexTargets"))
            .flat_map(|line| [line, "\n"])
            .collect();
        let state = self.state.display();
        text.push_str(&format!(
            "#clear Acquire::Languages;\n\
             Acquire::Languages \"none\";\n\
             APT::Architecture \"armhf\";\n\
             APT::Architectures {{ \"armhf\"; }};\n\
             APT::Sandbox::User \"root\";\n\
             Dir::State \"{state}\";\n\
             Dir::State::status \"{state}/status\";\n\
             Dir::Cache \"{state}/cache\";\n\
             Dir::Cache::pkgcache \"\";\n\
             Dir::Cache::srcpkgcache \"\";\n\
             Acquire::Retries \"0\";\n\
             Dir::Log \"{state}\";\n\
             Dir::Etc::Main \"/dev/null\";\n\
             Dir::Etc::Parts \"{state}/parts\";\n"
        ));
        Ok(text)
    }

    fn command(&self, program: &'static str) -> Command {
        let mut command = Command::new(program);
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command
            .env("APT_CONFIG", &self.config)
            .env("LC_ALL", "C")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn spawn(&self, program: &'static str, command: &mut Command) -> Result<Child, Error> {
        command.spawn().map_err(|source| match source.kind() {
            ErrorKind::NotFound => Error::NoTool(program),
            _ => Error::Run { program, source },
        })
    }

    fn run<const N: usize>(
        &self,
        program: &'static str,
        arguments: [&str; N],
    ) -> Result<Output, Error> {
        self.finish(program, self.command(program).args(arguments))
    }

    fn finish(&self, program: &'static str, command: &mut Command) -> Result<Output, Error> {
        self.spawn(program, command)?
            .wait_with_output()
            .map_err(|source| Error::Run { program, source })
    }
}

/// The sizes of the files that `--print-uris` lists: `'URI' FILE SIZE HASH`.
fn sizes(output: &Output) -> impl Iterator<Item = u64> {
    let text = String::from_utf8_lossy(&output.stdout);
    let sizes: Vec<u64> = text
        .lines()
        .filter(|line| line.starts_with('\''))
        .filter_map(|line| line.split_whitespace().nth(2)?.parse().ok())
        .collect();
    sizes.into_iter()
}

/// Bytes of the files in a directory and in its subdirectory `partial`.
fn size_below(directory: &Path) -> u64 {
    let entries = [directory.to_owned(), directory.join("partial")]
        .into_iter()
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flatten()
        .filter_map(Result::ok);
    let files = entries.filter_map(|entry| entry.metadata().ok());
    files
        .filter(fs::Metadata::is_file)
        .map(|file| file.len())
        .sum()
}

/// What a program complained of, on one line: what apt marks as error or warning, or else the last
/// line. Empty if it said nothing.
fn complaints(output: &Output) -> String {
    /// More would bury the sentence around it.
    const LINES: usize = 2;
    /// Says no more than that there are other complaints.
    const SUMMARY: &str = "Some index files failed to download";
    let text = String::from_utf8_lossy(&output.stderr);
    let marked: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("E: ").or(line.strip_prefix("W: ")))
        .filter(|line| !line.starts_with(SUMMARY))
        .map(str::trim)
        .take(LINES)
        .collect();
    if marked.is_empty() {
        return text.lines().next_back().unwrap_or_default().trim().into();
    }
    marked.join("; ")
}
