//! The guest that installs a system, in a process of its own: its VM is in a sandbox, and what
//! `skep image build` does before and after is not.
//!
//! The process is this program with a command that is not shown to users. It reads an archive for the
//! initial RAM disk from standard input, and writes a byte once it has opened all files, then what the
//! guest's console says. What goes wrong is in lines on standard error.

use crate::run::{files, guest, sandbox};
use crate::{Error, STATUS_CLOSED, STATUS_FAULT};
use clap::Args;
use skep_disk::{Access, Disk, Format};
use skep_image::root::Prepared;
use skep_vmm::{Contents, Outcome, Vm, VmConfig, Warn, Watchdog};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// No more vCPUs are of use.
const CPUS: usize = 2;
/// How much of what the process says on standard error is kept, bytes.
const TROUBLE: u64 = 4096;

/// `skep image install`.
#[derive(Args, Debug)]
pub struct InstallArgs {
    #[arg(long)]
    kernel: PathBuf,
    #[arg(long)]
    initrd: PathBuf,
    /// Bytes
    #[arg(long)]
    memory: u64,
    /// Where the system is installed
    #[arg(long)]
    image: PathBuf,
    #[arg(long)]
    qcow2: bool,
    #[arg(long)]
    packages: PathBuf,
    #[arg(long)]
    no_sandbox: bool,
}

/// The process of the guest.
pub fn install(args: &InstallArgs) -> Result<u8, Error> {
    // Whoever builds the image throws it away when that ends early.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let mut overlay = Vec::new();
    std::io::stdin().read_to_end(&mut overlay)?;
    let mut initrd: Contents = files::read(&args.initrd, "initial RAM disk")?;
    initrd.append(&overlay);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let devices = guest::Devices {
        disks: true,
        ..guest::Devices::default()
    };
    let command_line = guest::command_line("console=ttyAMA0", devices);
    let format = |qcow2| if qcow2 { Format::Qcow2 } else { Format::Raw };
    let config = VmConfig {
        memory: args.memory,
        cpus: cpus.min(CPUS),
        kernel: Some(files::read(&args.kernel, "kernel")?),
        initrd: Some(initrd),
        command_line: format!("{command_line} quiet loglevel=1 panic=-1"),
        disks: vec![
            Disk {
                format: Some(format(args.qcow2)),
                ..Disk::new(&args.image)
            },
            Disk {
                format: Some(Format::Raw),
                access: Access::ReadOnly,
                ..Disk::new(&args.packages)
            },
        ],
        no_restart: true,
        watchdog: Watchdog::None,
        warn: Warn::new(|text| {
            let _ = writeln!(std::io::stderr(), "skep: {text}");
        }),
        ..VmConfig::default()
    };
    let mut vm = Vm::new(config, Box::new(|byte| write(&[byte])))?;
    if !args.no_sandbox {
        sandbox::restrict(false, false, &[])?;
    }
    write(b"\n");
    match vm.run()? {
        Outcome::Fault(record) => {
            let _ = writeln!(std::io::stderr(), "skep: the guest can't go on. {record}");
            Ok(STATUS_FAULT)
        }
        // It has no watchdog.
        Outcome::PoweredOff | Outcome::Stopped | Outcome::Watchdog => Ok(0),
    }
}

/// Writes to standard output, a line at a time.
fn write(bytes: &[u8]) {
    if std::io::stdout().write_all(bytes).is_err() {
        std::process::exit(STATUS_CLOSED.into());
    }
}

/// The process, from outside.
pub struct Process {
    child: Arc<Mutex<Child>>,
    output: ChildStdout,
    trouble: JoinHandle<String>,
}

/// How it ended.
pub struct End {
    pub success: bool,
    /// What went wrong on the host's side, a sentence.
    pub trouble: Option<String>,
}

impl Process {
    /// Starts the guest that installs on the disk at `image`.
    pub fn start(
        session: &skep_image::Guest,
        prepared: &Prepared,
        image: &Path,
        format: Format,
        no_sandbox: bool,
    ) -> Result<Self, Error> {
        // This program, also if its file was replaced meanwhile.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("skep").args(["image", "install", "--kernel"]);
        command.arg(&session.boot).arg("--initrd");
        command.arg(&session.initrd).arg("--image").arg(image);
        command.arg("--packages").arg(prepared.packages.path());
        command.args(["--memory", &prepared.memory.to_string()]);
        let flags = [
            ("--qcow2", format == Format::Qcow2),
            ("--no-sandbox", no_sandbox),
        ];
        command.args(flags.iter().filter(|flag| flag.1).map(|flag| flag.0));
        // Ctrl-C is for this process, which ends that one.
        command.process_group(0);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let started = piped.stderr(Stdio::piped()).spawn();
        let mut child = started.map_err(|error| {
            format!("the guest that installs the packages can't be started ({error}); try again")
        })?;
        let (Some(mut input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err("the guest that installs the packages has no pipes; try again".into());
        };
        let trouble = std::thread::spawn(move || {
            let mut errors = errors;
            let mut text = Vec::new();
            let _ = errors.by_ref().take(TROUBLE).read_to_end(&mut text);
            let _ = std::io::copy(&mut errors, &mut std::io::sink());
            String::from_utf8_lossy(&text).into_owned()
        });
        // If it has ended already, it says why.
        let _ = input.write_all(&prepared.overlay);
        Ok(Process {
            child: Arc::new(Mutex::new(child)),
            output,
            trouble,
        })
    }

    /// What ends it.
    pub fn stopper(&self) -> impl Fn() + Send + 'static {
        let child = self.child.clone();
        move || {
            let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
            // It may have ended by itself.
            let _ = child.kill();
        }
    }

    /// Takes what the guest says until the end. `prepared` is kept until the process has opened it.
    pub fn listen(mut self, prepared: Prepared, mut hear: impl FnMut(u8)) -> Result<End, Error> {
        let mut buffer = [0; 4096];
        let mut prepared = Some(prepared);
        loop {
            let len = match self.output.read(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                // Its status tells.
                Ok(0) | Err(_) => break,
                Ok(len) => len,
            };
            let said = buffer.get(..len).unwrap_or_default();
            let first = usize::from(prepared.take().is_some());
            said.iter().skip(first).for_each(|&byte| hear(byte));
        }
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let status = child.wait()?;
        let trouble = self.trouble.join().unwrap_or_default();
        let line = trouble.lines().next_back();
        Ok(End {
            success: status.success(),
            trouble: line.map(|line| line.strip_prefix("skep: ").unwrap_or(line).to_owned()),
        })
    }
}
