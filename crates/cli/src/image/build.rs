//! `skep image build`: a root file system, installed by a guest.

use super::install::Process;
use super::show::Show;
use super::{human, store};
use crate::run::guest;
use crate::run::sandbox;
use crate::{Error, STATUS_SIGNAL, config};
use clap::{Args, ValueEnum};
use skep_config::model::Guest;
use skep_config::value::parse_size;
use skep_disk::Format;
use skep_image::root::{self, Prepared, Recipe, Report};
use skep_image::{CommandOutput, Options, Progress};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// The disk's size, bytes.
const SIZE: &str = "2G";
/// Lines of the guest's kernel that are kept to explain a failure.
const CONSOLE_LINES: usize = 6;
/// Bytes of such a line.
const CONSOLE_LINE: usize = 300;

pub const HELP: &str = "\
The image is written as a raw or (.qcow2) qcow2 image. Without --output it goes to the image store,
under the name that --name has; skep run --disk image:NAME boots it, and skep image ls lists it.

Examples:
  skep image build debian -o disk.qcow2
  skep image build debian -o disk.img --size 4G --include openssh-server,python3 --hostname bee
  skep run --disk disk.qcow2";

/// Systems that can be built.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum System {
    /// Debian for armhf
    Debian,
}

/// `skep image build`.
#[derive(Args, Debug)]
pub struct BuildArgs {
    /// What to build
    pub system: System,
    /// The image to write, which must not exist
    #[arg(long, short, value_name = "FILE", conflicts_with = "name")]
    pub output: Option<PathBuf>,
    /// Its name in the image store, without --output
    #[arg(long, value_name = "NAME", default_value = "debian")]
    pub name: String,
    /// Size of the disk, with a suffix K, M or G (without one, MiB)
    #[arg(long, short, value_name = "SIZE", default_value = SIZE, value_parser = parse_size)]
    pub size: u64,
    /// Debian's suite, such as trixie [default: that of this system's apt sources]
    #[arg(long, value_name = "SUITE")]
    pub suite: Option<String>,
    /// Debian's mirror, for the build and the new system [default: this system's for the build,
    /// http://deb.debian.org/debian for the new system]
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
    /// Further packages (may be repeated)
    #[arg(long, value_name = "PACKAGE,...", value_delimiter = ',')]
    pub include: Vec<String>,
    /// Its host name
    #[arg(long, value_name = "NAME", default_value = "skep")]
    pub hostname: String,
    /// The password of root; none: root logs in without
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "SKEP_ROOT_PASSWORD",
        hide_env_values = true,
        default_value = "none"
    )]
    pub root_password: String,
    /// Leave the process of the guest that installs the packages all that you may do
    #[arg(long)]
    pub no_sandbox: bool,
}

impl BuildArgs {
    fn recipe(&self) -> Recipe {
        let password = (self.root_password != "none").then(|| self.root_password.clone());
        Recipe {
            suite: self.suite.clone(),
            mirror: self.mirror.clone(),
            include: self.include.clone(),
            hostname: self.hostname.clone(),
            password,
            size: self.size,
        }
    }
}

/// Builds an image. Whatever goes wrong, no half one is left.
pub fn build(args: &BuildArgs) -> Result<u8, Error> {
    let recipe = args.recipe();
    recipe.check()?;
    if args.no_sandbox {
        sandbox::tell_of_none();
    }
    let output = match &args.output {
        Some(output) => output.clone(),
        None => store::new(&args.name)?,
    };
    let place = Place::new(&output)?;
    let show = Show::new();
    let session = guest::ensure_with(Guest::Debian, show.as_ref())?;
    let token = guest::token();
    let prepared = root::prepare(&Options::default(), &recipe, &token, show.as_ref())?;
    skep_disk::create(&place.path, recipe.size, Format::of_name(&output))
        .map_err(|error| format!("the image {} can't be made: {error}", output.display()))?;

    let (suite, count) = (prepared.suite.clone(), prepared.count);
    let end = install(&session, prepared, &place, &token, args.no_sandbox, &show)?;
    if end == End::Interrupted {
        return Ok(STATUS_SIGNAL);
    }
    show.done();
    place.keep()?;
    let allocated = skep_disk::info(&output, None).map(|info| human(info.allocated));
    let name = match &args.output {
        Some(output) => output.display().to_string(),
        None => format!("image:{}", args.name),
    };
    config::print(&format!(
        "{name}: Debian {suite}, {count} packages, {} ({} allocated)\nskep run --disk {name} boots \
         it\n",
        human(recipe.size),
        allocated.unwrap_or_default(),
    ))
}

/// Where the image is written until it is complete: beside the place where it goes.
struct Place {
    output: PathBuf,
    path: PathBuf,
    format: Format,
    /// It vanishes with what is in it.
    _directory: tempfile::TempDir,
}

impl Place {
    fn new(output: &Path) -> Result<Self, Error> {
        let name = output.display();
        if output.symlink_metadata().is_ok() {
            return Err(format!("{name} exists; remove it first, or give another name").into());
        }
        let parent = match output.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let directory = tempfile::Builder::new()
            .prefix(".skep-image-")
            .tempdir_in(parent)
            .map_err(|error| {
                format!(
                    "the image {name} can't be written ({}); check its directory",
                    error.kind()
                )
            })?;
        Ok(Place {
            output: output.to_owned(),
            path: directory.path().join("image"),
            format: Format::of_name(output),
            _directory: directory,
        })
    }

    /// Puts the complete image into its place, unless something has come there meanwhile.
    fn keep(&self) -> Result<(), Error> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        let (from, to) = (&self.path, &self.output);
        let renamed = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Not every file system can.
            Err(Errno::INVAL | Errno::NOSYS) if !to.exists() => std::fs::rename(from, to),
            renamed => renamed.map_err(std::io::Error::from),
        };
        renamed.map_err(|error| {
            let name = to.display();
            format!("the image {name} could not be put into its place ({error}); build it again")
                .into()
        })
    }
}

/// How an installation ended that did not fail.
#[derive(PartialEq, Eq)]
enum End {
    Complete,
    Interrupted,
}

/// What the guest says: its kernel, and the program that installs.
struct Listener {
    output: CommandOutput,
    report: Report,
    /// The last lines beside the program's output.
    console: Vec<Vec<u8>>,
}

impl Listener {
    fn feed(&mut self, byte: u8, show: &Show) {
        let mut said = Vec::new();
        self.output.feed(byte, &mut said);
        if !self.output.started() || self.output.status().is_some() {
            self.keep(byte);
        }
        for byte in said {
            if self.report.feed(byte) {
                let (done, total) = self.report.steps();
                show.guest(self.report.phase(), done, total);
            }
        }
    }

    fn keep(&mut self, byte: u8) {
        match (byte, self.console.last_mut()) {
            (b'\r', _) => {}
            (b'\n', _) | (_, None) => {
                if self.console.len() == CONSOLE_LINES {
                    self.console.remove(0);
                }
                self.console.push(Vec::new());
            }
            (byte, Some(line)) if line.len() < CONSOLE_LINE => {
                line.push(if byte.is_ascii_control() { b' ' } else { byte });
            }
            _ => {}
        }
    }
}

/// Has a guest install the system, in a process of its own.
fn install(
    session: &skep_image::Guest,
    prepared: Prepared,
    place: &Place,
    token: &str,
    no_sandbox: bool,
    show: &Arc<Show>,
) -> Result<End, Error> {
    let mut listener = Listener {
        output: CommandOutput::new(token),
        report: Report::new(prepared.count),
        console: Vec::new(),
    };
    let process = Process::start(session, &prepared, &place.path, place.format, no_sandbox)?;
    show.stage("Starting the guest that installs the packages");
    let interrupted = stop_at_signals(&process)?;
    let end = process.listen(prepared, |byte| listener.feed(byte, show))?;
    if interrupted.load(SeqCst) {
        return Ok(End::Interrupted);
    }
    if end.success && listener.report.finished() && listener.output.status() == Some(0) {
        return Ok(End::Complete);
    }
    show.done();
    Err(explain(&listener, end.trouble.as_deref()))
}

/// Makes the signals that end a program end the installation.
fn stop_at_signals(process: &Process) -> Result<Arc<AtomicBool>, Error> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let (flag, stop) = (interrupted.clone(), process.stopper());
    std::thread::spawn(move || {
        for _ in signals.forever() {
            flag.store(true, SeqCst);
            stop();
        }
    });
    Ok(interrupted)
}

/// Why there is no system.
fn explain(listener: &Listener, trouble: Option<&str>) -> Error {
    let log = listener.report.log();
    let full = |line: &String| line.contains("No space left on device");
    let what = match listener.report.failed() {
        Some(what) => format!("failed at {what}"),
        None => "ended before it was done".to_owned(),
    };
    let remedy = match (trouble, log.iter().any(full)) {
        (Some(trouble), _) => trouble,
        (None, true) => "the disk is full; give it a larger --size",
        (None, false) => "build it again, or without some packages of --include",
    };
    let mut text = format!("the guest that installs the packages {what}; {remedy}");
    let console: Vec<String>;
    let lines = if listener.report.failed().is_some() {
        log
    } else {
        let lines = listener.console.iter().filter(|line| !line.is_empty());
        console = lines
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        console.as_slice()
    };
    if !lines.is_empty() {
        text.push_str("\nthe last lines that it printed:");
    }
    for line in lines {
        text.push_str("\n  ");
        text.push_str(line);
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(text: &str) -> Listener {
        let mut listener = Listener {
            output: CommandOutput::new("t"),
            report: Report::new(1),
            console: Vec::new(),
        };
        let show = Show::new();
        for byte in text.bytes() {
            listener.feed(byte, &show);
        }
        listener
    }

    #[test]
    fn a_failure_is_told_with_its_last_lines_and_a_remedy() {
        let listener = listener(
            "\x1eskep-begin-t\nphase Installing packages\nlog tar: write error: No space left on \
             device\nfailed extracting a package\n\x1eskep-end-t-1\n",
        );
        let error = explain(&listener, None).to_string();
        assert_eq!(
            error,
            "the guest that installs the packages failed at extracting a package; the disk is full; \
             give it a larger --size\nthe last lines that it printed:\n  tar: write error: No space \
             left on device"
        );
        let error = explain(&listener, Some("the host's disk is full"));
        assert!(
            error.to_string().contains("; the host's disk is full\n"),
            "{error}"
        );
    }

    #[test]
    fn a_guest_that_dies_is_told_with_its_kernels_last_lines() {
        let listener = listener("a\r\nKernel panic\x1b[0m - not syncing\r\n");
        let error = explain(&listener, None).to_string();
        assert!(
            error.contains("ended before it was done; build it again"),
            "{error}"
        );
        assert!(
            error.ends_with("\n  Kernel panic [0m - not syncing"),
            "{error}"
        );
    }

    #[test]
    fn an_image_appears_complete_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("disk.img");
        let files = || std::fs::read_dir(directory.path()).unwrap().count();
        let place = Place::new(&output).unwrap();
        std::fs::write(&place.path, "half").unwrap();
        drop(place);
        assert_eq!(files(), 0);

        let place = Place::new(&output).unwrap();
        std::fs::write(&place.path, "whole").unwrap();
        place.keep().unwrap();
        drop(place);
        assert_eq!(
            (files(), std::fs::read(&output).unwrap()),
            (1, b"whole".to_vec())
        );

        let error = Place::new(&output).err().unwrap().to_string();
        assert!(error.contains("exists; remove it first"), "{error}");
        let error = Place::new(Path::new("/no/such/disk.img")).err().unwrap();
        assert!(error.to_string().contains("check its directory"), "{error}");
    }

    #[test]
    fn what_has_come_meanwhile_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("disk.img");
        let place = Place::new(&output).unwrap();
        std::fs::write(&place.path, "new").unwrap();
        std::fs::write(&output, "other").unwrap();
        assert!(place.keep().is_err());
        assert_eq!(std::fs::read(&output).unwrap(), b"other");
    }
}
