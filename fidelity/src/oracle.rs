//! QEMU: the runner, compiled from this crate's source, in a `qemu-arm` process.

use crate::generate::Batch;
use crate::wire::{Header, SCRATCH_SIZE, State, WINDOW_SIZE, Window};
use bytemuck::Zeroable;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use thiserror::Error;

/// Why the oracle does not answer.
#[derive(Debug, Error)]
pub enum OracleError {
    /// A program that the oracle needs does not start.
    #[error("{0} could not start: {1}; install qemu-user and gcc-arm-linux-gnueabihf")]
    Missing(&'static str, std::io::Error),
    /// The runner does not compile.
    #[error("the runner does not compile:\n{0}")]
    Compile(String),
    /// The runner ended in the middle of a batch: a case reached what is the runner's own.
    #[error("the runner under qemu-arm ended in batch {batch}: {error}")]
    Died {
        /// The batch.
        batch: u64,
        /// What reading its results came to.
        error: std::io::Error,
    },
    /// The host does not do as asked.
    #[error("the oracle: {0}")]
    Host(#[from] std::io::Error),
}

/// A compiler for ARM, of Debian's package gcc-arm-linux-gnueabihf.
const COMPILER: &str = "arm-linux-gnueabihf-gcc";
const QEMU: &str = "qemu-arm";

const SOURCES: [(&str, &str); 3] = [
    ("runner.c", include_str!("../runner/runner.c")),
    ("switch.S", include_str!("../runner/switch.S")),
    ("runner.ld", include_str!("../runner/runner.ld")),
];

const FLAGS: &str = "-marm -mcpu=cortex-a15 -mgeneral-regs-only -O2 -Wall -Wextra -Werror \
    -ffreestanding -fno-builtin -fno-stack-protector -fno-pic -no-pie -nostdlib -static \
    -Wl,-T,runner.ld -Wl,--build-id=none -Wl,--no-warn-rwx-segments";

/// A running oracle.
pub struct Oracle {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    /// Holds the runner while it runs.
    _dir: tempfile::TempDir,
}

/// What the oracle (or an engine) makes of a batch.
#[derive(Clone, Default)]
pub struct Results {
    /// The cases' final states.
    pub states: Vec<State>,
    /// The final contents of the windows of those that have one.
    pub windows: Vec<Window>,
    /// All data after the last case.
    pub scratch: Vec<u8>,
}

impl Oracle {
    /// Compiles the runner and starts it.
    ///
    /// # Errors
    /// When the compiler or QEMU is not installed.
    pub fn start() -> Result<Self, OracleError> {
        let dir = tempfile::tempdir()?;
        compile(dir.path())?;
        let mut child = Command::new(QEMU)
            .args(["-cpu", "cortex-a15"])
            .arg(dir.path().join("runner"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| OracleError::Missing(QEMU, error))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        match (input, output) {
            (Some(input), Some(output)) => Ok(Oracle {
                child,
                input,
                output,
                _dir: dir,
            }),
            _ => Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()),
        }
    }

    /// Runs a batch.
    ///
    /// # Errors
    /// When the runner ends, which a case outside its bounds can make it do.
    pub fn run(&mut self, batch: &Batch) -> Result<Results, OracleError> {
        self.exchange(batch).map_err(|error| OracleError::Died {
            batch: batch.number,
            error,
        })
    }

    fn exchange(&mut self, batch: &Batch) -> std::io::Result<Results> {
        let header = Header {
            magic: Header::MAGIC,
            cases: batch.states.len() as u32,
            windows: batch.windows.len() as u32,
            reserved: 0,
        };
        self.input.write_all(bytemuck::bytes_of(&header))?;
        self.input.write_all(&batch.code)?;
        self.input.write_all(bytemuck::cast_slice(&batch.states))?;
        self.input.write_all(bytemuck::cast_slice(&batch.windows))?;
        self.input.flush()?;
        let mut results = Results {
            states: vec![State::zeroed(); batch.states.len()],
            windows: vec![Window([0; WINDOW_SIZE / 8]); batch.windows.len()],
            scratch: vec![0; SCRATCH_SIZE as usize],
        };
        self.output
            .read_exact(bytemuck::cast_slice_mut(&mut results.states))?;
        self.output
            .read_exact(bytemuck::cast_slice_mut(&mut results.windows))?;
        self.output.read_exact(&mut results.scratch)?;
        Ok(results)
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // It may be waiting for a batch, or be stuck in one: nothing of it matters any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn compile(dir: &Path) -> Result<(), OracleError> {
    for (name, text) in SOURCES {
        std::fs::write(dir.join(name), text)?;
    }
    let output = Command::new(COMPILER)
        .args(FLAGS.split_whitespace())
        .args(["runner.c", "switch.S", "-o", "runner"])
        .current_dir(dir)
        .output()
        .map_err(|error| OracleError::Missing(COMPILER, error))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(OracleError::Compile(
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    }
}
