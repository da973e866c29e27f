//! Compiles crates for bare metal, with whichever core library for it is there: rustup's
//! target, rustup's library source, or Debian's packages.

use crate::{Failure, packages, step};
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "armv7a-none-eabi";
/// The hypervisor's image is compiled to T32, which takes a third less memory.
const HYP_TARGET: &str = "thumbv7a-none-eabi";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_CLIPPY: &str = "/usr/bin/cargo-clippy";
const DEBIAN: [(&str, &str); 3] = [
    ("rustc-web", "/usr/bin/rustc"),
    ("cargo-web", DEBIAN_CARGO),
    ("rust-web-src", "/usr/src"),
];
/// What `rust-web-src` brings, wherever its version puts it.
const DEBIAN_LIBRARY: &str = "library/core/Cargo.toml";

/// Where core for the target comes from.
enum Core {
    /// Compiled, with the toolchain.
    Target,
    /// As source, with the toolchain.
    Source,
    /// As source, with Debian's toolchain.
    Debian,
}

/// Checks that the crates compile.
pub fn check(crates: &[&str]) -> Result<(), Failure> {
    let mut command = cargo("check", TARGET, &["core", "alloc"])?;
    command.args(["--target", TARGET, "--target-dir", "target/bare-metal"]);
    for name in crates {
        command.args(["--package", name]);
    }
    step(&mut command)
}

/// Compiles and links the guests of the tests. Their workspace's configuration says how and where.
pub fn guests() -> Result<(), Failure> {
    packages::require(&[("binutils-arm-none-eabi", "/usr/bin/arm-none-eabi-ld")])?;
    let mut command = cargo("build", TARGET, &["core"])?;
    command.arg("--release").current_dir("guests");
    step(&mut command)
}

/// Compiles and links the bare-metal hypervisor, and makes the image of it that boot loaders take.
/// Returns where that is.
pub fn hyp() -> Result<PathBuf, Failure> {
    packages::require(&[("binutils-arm-none-eabi", "/usr/bin/arm-none-eabi-ld")])?;
    let directory = Path::new("target/hyp");
    let mut command = cargo("build", HYP_TARGET, &["core", "alloc"])?;
    command
        .args(["--package", "skep-hyp", "--features", "image"])
        .args(["--profile", "image", "--target", HYP_TARGET, "--target-dir"])
        .arg(directory);
    for setting in [
        "linker = 'arm-none-eabi-ld'",
        // The least of the processors that have Hyp mode; it divides in hardware.
        "rustflags = ['-Ctarget-cpu=cortex-a7', '-Clinker-flavor=ld', '-Clink-arg=-zmax-page-size=4096']",
    ] {
        command.args(["--config", &format!("target.{HYP_TARGET}.{setting}")]);
    }
    step(&mut command)?;
    let elf = directory.join(HYP_TARGET).join("image/skep-hyp");
    let image = directory.join("skep-hyp.img");
    step(
        Command::new("arm-none-eabi-objcopy")
            .args(["-O", "binary"])
            .args([&elf, &image]),
    )?;
    step(Command::new("arm-none-eabi-size").arg("-A").arg(&elf))?;
    Ok(image)
}

/// Lints the bare-metal hypervisor, which compiles for its target only.
pub fn lint_hyp() -> Result<(), Failure> {
    let mut command = cargo("clippy", HYP_TARGET, &["core", "alloc"])?;
    command
        .args(["--package", "skep-hyp", "--features", "image"])
        .args(["--target", HYP_TARGET, "--target-dir", "target/hyp"])
        .args(["--", "-D", "warnings"]);
    step(&mut command)
}

/// A cargo command for a target, which finds or compiles these parts of the library.
fn cargo(task: &str, target: &str, library: &[&str]) -> Result<Command, Failure> {
    let core = find_core(target)?;
    let debian = matches!(core, Core::Debian);
    let (cargo, rustc) = match core {
        Core::Debian => (DEBIAN_CARGO, Some("/usr/bin/rustc")),
        _ => (env!("CARGO"), None),
    };
    let mut command = Command::new(cargo);
    if debian && task == "clippy" {
        // Cargo would take whichever clippy is first in PATH: rustup's, which is for another compiler.
        packages::require(&[("rust-web-clippy", DEBIAN_CLIPPY)])?;
        command = Command::new(DEBIAN_CLIPPY);
    }
    command.arg(task);
    if !matches!(core, Core::Target) {
        command
            .args(["-Z", &format!("build-std={}", library.join(","))])
            .env("RUSTC_BOOTSTRAP", "1");
    }
    if let Some(rustc) = rustc {
        command
            .env("RUSTC", rustc)
            .env_remove("RUSTUP_TOOLCHAIN")
            .env("CARGO", cargo);
    }
    Ok(command)
}

fn find_core(target: &str) -> Result<Core, Failure> {
    let print = |args: &[&str]| -> Option<PathBuf> {
        let output = Command::new("rustc").args(args).output().ok()?;
        output.status.success().then(|| {
            PathBuf::from(
                String::from_utf8_lossy(&output.stdout)
                    .trim_ascii()
                    .to_owned(),
            )
        })
    };
    let library = print(&["--print", "target-libdir", "--target", target]);
    if library.is_some_and(|dir| dir.exists()) {
        return Ok(Core::Target);
    }
    let source = print(&["--print", "sysroot"]);
    if source.is_some_and(|dir| dir.join("lib/rustlib/src/rust/library/core").exists()) {
        return Ok(Core::Source);
    }
    if debian_library() {
        return Ok(Core::Debian);
    }
    packages::require(&[DEBIAN[0], DEBIAN[1], (DEBIAN[2].0, "/nowhere")])
        .map_err(|failure| format!("{failure}; or, with rustup: rustup target add {target}"))?;
    if debian_library() {
        Ok(Core::Debian)
    } else {
        Err(format!(
            "no core library for {target}: run rustup target add {target}"
        ))
    }
}

/// Debian's rustc has its library source where it looks for it.
fn debian_library() -> bool {
    let output = Command::new("/usr/bin/rustc")
        .args(["--print", "sysroot"])
        .output();
    let Ok(output) = output else { return false };
    let sysroot = String::from_utf8_lossy(&output.stdout)
        .trim_ascii()
        .to_owned();
    Path::new(DEBIAN_CARGO).exists()
        && Path::new(&sysroot)
            .join("lib/rustlib/src/rust")
            .join(DEBIAN_LIBRARY)
            .exists()
}
