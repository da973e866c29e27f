//! Debian packages through the host's apt client, with a state of its own.

use crate::{Error, Progress};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// How often the package lists are fetched before apt's failure counts: a mirror that is being
/// updated, or one of several sources that does not answer, need not matter.
const UPDATES: u32 = 3;

/// An apt client with private state, for armhf.
pub struct Apt<'a> {
    directory: &'a Path,
    path: Option<&'a OsStr>,
}

impl<'a> Apt<'a> {
    /// Prepares the private state in an empty directory. `path` replaces `$PATH`.
    ///
    /// # Errors
    /// [`Error::NoTool`], and [`Error::Cache`] when the directory can't be written.
    pub fn new(directory: &'a Path, path: Option<&'a OsStr>) -> Result<Self, Error> {
        let apt = Apt { directory, path };
        for tool in ["apt-get", "apt-cache", "dpkg-deb"] {
            if !apt.has(tool) {
                return Err(Error::NoTool(tool));
            }
        }
        let cache = |source| Error::Cache {
            path: directory.to_owned(),
            source,
        };
        for part in ["state/lists/partial", "cache/archives/partial", "packages"] {
            std::fs::create_dir_all(directory.join(part)).map_err(cache)?;
        }
        std::fs::write(directory.join("state/status"), "").map_err(cache)?;
        let base = directory.display();
        // Root's apt would change to a user who can't write here.
        let config = format!(
            "APT::Architecture \"armhf\";\n\
             APT::Architectures {{ \"armhf\"; }};\n\
             APT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::Retries \"2\";\n\
             Dir::State \"{base}/state\";\n\
             Dir::State::status \"{base}/state/status\";\n\
             Dir::Cache \"{base}/cache\";\n\
             Dir::Log \"{base}\";\n"
        );
        std::fs::write(directory.join("apt.conf"), config).map_err(cache)?;
        Ok(apt)
    }

    fn has(&self, tool: &str) -> bool {
        let inherited = std::env::var_os("PATH");
        let path = self
            .path
            .map(OsStr::to_owned)
            .or(inherited)
            .unwrap_or_default();
        std::env::split_paths(&path).any(|directory| directory.join(tool).is_file())
    }

    fn run(&self, program: &'static str, args: &[&str]) -> Result<Output, Error> {
        let mut command = Command::new(program);
        command
            .args(args)
            .env("APT_CONFIG", self.directory.join("apt.conf"))
            .env("LC_ALL", "C")
            .current_dir(self.directory.join("packages"))
            .stdin(std::process::Stdio::null());
        if let Some(path) = self.path {
            command.env("PATH", path);
        }
        command
            .output()
            .map_err(|source| Error::Run { program, source })
    }

    /// Fetches the lists and both packages. Returns their files: the kernel's, BusyBox's.
    ///
    /// # Errors
    /// [`Error::Apt`] with apt's own last words.
    pub fn fetch(
        &self,
        kernel: &str,
        progress: &dyn Progress,
    ) -> Result<(PathBuf, PathBuf), Error> {
        progress.stage("Fetching Debian's package lists");
        let mut last = String::new();
        let mut image = None;
        for _ in 0..UPDATES {
            let output = self.run("apt-get", &["update"])?;
            image = self.dependency(kernel)?;
            if image.is_some() {
                break;
            }
            last = last_words(&output);
        }
        let Some(image) = image else {
            let detail = if last.is_empty() {
                format!("no source offers {kernel} for armhf")
            } else {
                last
            };
            return Err(Error::Apt {
                action: "find the packages",
                detail,
            });
        };
        progress.stage(&format!(
            "Fetching {image} and busybox-static (about 45 MB)"
        ));
        let output = self.run("apt-get", &["download", &image, "busybox-static"])?;
        let find = |package: &str| self.downloaded(package);
        match (find(&image), find("busybox-static")) {
            (Some(image), Some(busybox)) if output.status.success() => Ok((image, busybox)),
            _ => Err(Error::Apt {
                action: "fetch the packages",
                detail: last_words(&output),
            }),
        }
    }

    /// The package with the kernel that the metapackage stands for.
    fn dependency(&self, metapackage: &str) -> Result<Option<String>, Error> {
        let output = self.run("apt-cache", &["depends", metapackage])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .find(|name| name.starts_with("linux-image-"))
            .map(str::to_owned))
    }

    fn downloaded(&self, package: &str) -> Option<PathBuf> {
        let prefix = format!("{package}_");
        std::fs::read_dir(self.directory.join("packages"))
            .ok()?
            .flatten()
            .find_map(|entry| {
                let name = entry.file_name();
                let matches = name.to_str()?.starts_with(&prefix);
                matches.then(|| entry.path())
            })
    }

    /// Unpacks a package.
    ///
    /// # Errors
    /// [`Error::Package`] with dpkg-deb's last words.
    pub fn unpack(&self, package: &Path, into: &Path) -> Result<(), Error> {
        let (from, to) = (package.to_string_lossy(), into.to_string_lossy());
        let output = self.run("dpkg-deb", &["-x", &from, &to])?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Package {
            package: from.into_owned(),
            what: format!("contents that dpkg-deb unpacks ({})", last_words(&output)),
        })
    }
}

/// The last complaint of a program, on one line.
fn last_words(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let complaint = |line: &&str| line.starts_with("E:") || line.starts_with("W:");
    let line = text
        .lines()
        .rev()
        .find(complaint)
        .or(text.lines().next_back());
    line.unwrap_or("it gave no reason").trim().to_owned()
}
