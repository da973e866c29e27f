//! What to boot: the user's files, or the default guest.

use crate::Error;
use crate::args::{Console, Guest, RunArgs};
use crate::run::files;
use crate::run::progress::Bar;
use skep_image::{CommandOutput, Flavour, Options};
use skep_vmm::VmHandle;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// A guest, and how its serial port is connected.
pub struct Session {
    pub kernel: Option<Vec<u8>>,
    pub initrd: Option<Vec<u8>>,
    pub dtb: Option<Vec<u8>>,
    pub command_line: String,
    /// One command runs in the guest.
    pub command: bool,
    pub output: Output,
    /// Turns bytes of standard input into what the guest is sent.
    pub encode: fn(&[u8]) -> Vec<u8>,
    /// What happens at the end of standard input.
    pub at_end: fn(&VmHandle),
}

/// Where the guest's output goes.
pub enum Output {
    /// To standard output as it is.
    Plain,
    /// Only the output of the command, or of the shell that reads a pipe.
    Command(CommandOutput),
}

impl Output {
    /// Takes a byte from the guest.
    pub fn put(&mut self, byte: u8) {
        // A closed standard output must not disturb the guest.
        let mut stdout = std::io::stdout();
        match self {
            Output::Plain => {
                let _ = stdout.write_all(&[byte]).and_then(|()| stdout.flush());
            }
            Output::Command(filter) => {
                let mut out = Vec::new();
                filter.feed(byte, &mut out);
                if !out.is_empty() {
                    let _ = stdout.write_all(&out).and_then(|()| stdout.flush());
                }
            }
        }
    }

    /// The guest takes input.
    pub fn started(&self) -> bool {
        match self {
            Output::Plain => true,
            Output::Command(filter) => filter.started(),
        }
    }

    /// The command's exit status, once it has ended.
    pub fn status(&self) -> Option<u8> {
        match self {
            Output::Plain => None,
            Output::Command(filter) => filter.status(),
        }
    }
}

/// What makes the terminal the kernel's console.
pub fn console(args: &RunArgs) -> &'static str {
    match args.console {
        Console::Pl011 => "console=ttyAMA0",
        Console::Virtio => "console=hvc0",
    }
}

/// Decides what to boot.
pub fn choose(args: &RunArgs) -> Result<Session, Error> {
    let read = |path: &Option<std::path::PathBuf>, what| {
        path.as_deref()
            .map(|path| files::read(path, what))
            .transpose()
    };
    if args.kernel.is_none() && args.bios.is_none() {
        return default_guest(args);
    }
    Ok(Session {
        kernel: read(&args.kernel, "kernel")?,
        initrd: read(&args.initrd, "initial RAM disk")?,
        dtb: read(&args.dtb, "device tree")?,
        command_line: args.append.clone().unwrap_or_else(|| console(args).into()),
        command: false,
        output: Output::Plain,
        encode: <[u8]>::to_vec,
        at_end: end_of_plain_input,
    })
}

fn default_guest(args: &RunArgs) -> Result<Session, Error> {
    let options = Options {
        flavour: match args.guest {
            Guest::Debian => Flavour::Armmp,
            Guest::DebianLpae => Flavour::ArmmpLpae,
        },
        ..Options::default()
    };
    let guest = skep_image::ensure(&options, &Bar::new())?;
    let kernel = files::read(&guest.kernel, "kernel")?;
    let mut initrd = files::read(&guest.initrd, "initial RAM disk")?;

    let command = !args.command.is_empty();
    let piped = !std::io::stdin().is_terminal();
    let mut command_line = vec![console(args).to_owned()];
    let mut modules = vec!["virtio-rng"];
    if args.console == Console::Virtio || !args.console_file.is_empty() {
        modules.push("virtio_console");
    }
    if !args.disk.is_empty() {
        modules.push("virtio_blk");
    }
    command_line.push(format!("skep.modules={}", modules.join(",")));
    let mut output = Output::Plain;
    let token = token();
    if command {
        initrd.extend(skep_image::command_overlay(&args.command, &token, piped));
        output = Output::Command(CommandOutput::new(&token));
    } else if piped {
        initrd.extend(skep_image::pipe_overlay(&token));
        output = Output::Command(CommandOutput::new(&token));
    }
    if command || piped {
        command_line.push("quiet loglevel=0".into());
    }
    command_line.extend(args.append.clone());
    Ok(Session {
        kernel: Some(kernel),
        initrd: Some(initrd),
        dtb: None,
        command_line: command_line.join(" "),
        command,
        output,
        encode: if command {
            skep_image::encode_input
        } else {
            <[u8]>::to_vec
        },
        at_end: if command {
            end_of_command_input
        } else {
            end_of_shell_input
        },
    })
}

/// A word that no guest prints by chance.
fn token() -> String {
    let mut bytes = [0u8; 16];
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn end_of_command_input(vm: &VmHandle) {
    vm.input(&skep_image::end_of_input());
}

/// The default guest's shell ends at the end-of-file character, and the guest with it.
fn end_of_shell_input(vm: &VmHandle) {
    vm.input(b"\n\x04");
}

/// Any other guest: it gets the end-of-file character, and time to react to it. When it has taken
/// all input and prints nothing more, the session is over.
fn end_of_plain_input(vm: &VmHandle) {
    const QUIET: Duration = Duration::from_secs(3);
    vm.input(b"\x04");
    let mut sent = vm.output_count();
    loop {
        std::thread::sleep(QUIET);
        let now = vm.output_count();
        if now == sent && now > 0 {
            vm.stop();
            return;
        }
        sent = now;
    }
}
