//! The programs of `guest/`, compiled, and the archives that a guest boots.

use crate::{Failure, programs};
use skep_image::cpio::Archive;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The sources, each with what it is compiled with.
const SOURCES: [(&str, &[&str]); 7] = [
    ("main", &["-O2"]),
    ("programs", &["-O2"]),
    ("scalar", &["-O2"]),
    ("memory", &["-O2"]),
    ("float", &["-O2"]),
    ("vector", &["-O3", "-ffast-math"]),
    ("system", &["-O2"]),
];

/// The bench program for the host and, in both instruction sets, for the guest.
pub struct Programs {
    /// Native.
    pub host: PathBuf,
    /// A32.
    a32: Vec<u8>,
    /// T32.
    t32: Vec<u8>,
}

impl Programs {
    /// Compiles them.
    pub fn compile(directory: &Path) -> Result<Self, Failure> {
        let arm = |name: &str, state: &str| {
            let flags = [state, "-mfpu=neon-vfpv4"];
            let file = program("arm-linux-gnueabihf-gcc", &flags, directory, name)?;
            std::fs::read(file).map_err(|error| error.to_string())
        };
        Ok(Programs {
            host: program("gcc", &[], directory, "host")?,
            a32: arm("a32", "-marm")?,
            t32: arm("t32", "-mthumb")?,
        })
    }

    /// The archive for the rows of the bench program itself.
    pub fn archive(&self) -> Vec<u8> {
        let mut archive = base(&self.a32);
        archive.file("t32", 0o755, &self.t32);
        archive.finish()
    }

    /// The archive for rows that are other programs, to follow the one with these.
    pub fn archive_for_programs(&self) -> Vec<u8> {
        let mut archive = base(&self.a32);
        archive.file("rows", 0o644, programs::list().as_bytes());
        programs::add_files(&mut archive);
        archive.finish()
    }
}

fn base(init: &[u8]) -> Archive {
    let mut archive = Archive::default();
    archive.directory("dev");
    archive.device("dev/console", 0o600, 5, 1);
    archive.device("dev/null", 0o666, 1, 3);
    archive.file("init", 0o755, init);
    archive
}

/// Compiles the bench program.
fn program(
    compiler: &str,
    flags: &[&str],
    directory: &Path,
    name: &str,
) -> Result<PathBuf, Failure> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest");
    let mut objects = Vec::new();
    for (source, own) in SOURCES {
        let object = directory.join(format!("{name}-{source}.o"));
        let mut command = Command::new(compiler);
        command.args(["-Wall", "-Wextra", "-Wno-missing-field-initializers"]);
        command.arg("-ffunction-sections");
        command.args(flags).args(own).arg("-c");
        command.arg(sources.join(source).with_extension("c"));
        finish(command.arg("-o").arg(&object))?;
        objects.push(object);
    }
    let program = directory.join(name);
    let mut command = Command::new(compiler);
    command.args(flags).arg("-static").args(objects);
    command.arg("-T").arg(sources.join("rows.ld"));
    finish(command.args(["-lm", "-o"]).arg(&program))?;
    Ok(program)
}

fn finish(command: &mut Command) -> Result<(), Failure> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}
