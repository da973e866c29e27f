//! The project's build tool: `cargo xtask test` is everything that a change must pass.

mod bare_metal;
mod fuzz;
mod packages;

use std::process::{Command, ExitCode};
use std::time::Instant;

/// The crates of the model and the interpreter: they compile for bare metal.
const BARE_METAL_CRATES: [&str; 4] = ["skep-arm", "skep-board", "skep-loader", "skep-interp"];

const USAGE: &str = "\
usage: cargo xtask TASK

tasks:
  test         everything: format, lints, tests, bare metal, QEMU, end to end (what CI runs)
  quick        format, lints and tests, without the boots of real guests
  bare-metal   compile the model crates for armv7a-none-eabi, and lint the hypervisor
  guests       compile the bare-metal guests of the tests
  hyp          build the bare-metal hypervisor's image, target/hyp/skep-hyp.img
  bench-hyp    what the bare-metal hypervisor costs, in instructions and exits
  e2e          boot real guests
  fuzz         run the fuzz targets guided by coverage: fuzz [TARGET] [--seconds N]
  fidelity     compare the processor with QEMU, or (fidelity blocks) the engines: --help
  bench        compare with QEMU and the host: bench [--quick] [--rows LIST] [--rounds N]
               [--engine ENGINE] [--stats] [--record] (bench --interp: the interpreter alone)";

/// A step that failed, as a sentence.
type Failure = String;

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let started = Instant::now();
    let result = match task.as_str() {
        "test" => quick()
            .and_then(|()| bare_metal())
            .and_then(|()| fidelity_share())
            .and_then(|()| e2e()),
        "quick" => quick(),
        "bare-metal" => bare_metal(),
        "guests" => bare_metal::guests(),
        "hyp" => bare_metal::hyp().map(|image| println!("{}", image.display())),
        "bench-hyp" => bench_hyp(),
        "e2e" => e2e(),
        "fuzz" => fuzz::run(std::env::args().skip(2)),
        "fidelity" => fidelity(std::env::args().skip(2).collect()),
        "bench" => bench(std::env::args().skip(2).collect()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => {
            println!("xtask {task}: passed in {} s", started.elapsed().as_secs());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("xtask {task}: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs cargo with the toolchain that runs xtask.
fn cargo(args: &[&str]) -> Result<(), Failure> {
    step(Command::new(env!("CARGO")).args(args))
}

/// Runs one command, with its output shown.
fn step(command: &mut Command) -> Result<(), Failure> {
    let shown = format!("{command:?}");
    println!("== {shown}");
    let started = Instant::now();
    let status = command
        .status()
        .map_err(|error| format!("{shown} could not start: {error}"))?;
    println!("== {:.0} s", started.elapsed().as_secs_f32());
    if status.success() {
        Ok(())
    } else {
        Err(format!("{shown} failed with {status}"))
    }
}

fn quick() -> Result<(), Failure> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&[
        "fmt",
        "--manifest-path",
        "guests/Cargo.toml",
        "--all",
        "--check",
    ])?;
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        "skep-fuzz/libfuzzer",
        "--",
        "-D",
        "warnings",
    ])?;
    cargo(&["test", "--workspace", "--exclude", "skep-tests"])
}

fn bare_metal() -> Result<(), Failure> {
    bare_metal::check(&BARE_METAL_CRATES)?;
    bare_metal::lint_hyp()
}

fn e2e() -> Result<(), Failure> {
    packages::require(&[
        ("binutils-arm-none-eabi", "/usr/bin/arm-none-eabi-as"),
        ("qemu-system-arm", "/usr/bin/qemu-system-arm"),
        ("u-boot-qemu", "/usr/lib/u-boot/qemu_arm/u-boot.bin"),
        ("u-boot-tools", "/usr/bin/mkimage"),
        (
            "gcc-arm-linux-gnueabihf",
            "/usr/bin/arm-linux-gnueabihf-gcc",
        ),
    ])?;
    bare_metal::guests()?;
    bare_metal::hyp()?;
    cargo(&["build", "--release", "--package", "skep-cli"])?;
    // One guest at a time: two vCPU threads each would fight for the cores.
    let test = |more: &[&str], engine: &str| {
        let mut command = Command::new(env!("CARGO"));
        command
            .args(["test", "--release", "--package", "skep-tests"])
            .args(more)
            .args(["--", "--test-threads=1"])
            .env("SKEP_ENGINE", engine);
        step(&mut command)
    };
    test(&[], "auto")?;
    // What only privileged code sees, in the other engine, too.
    test(&["--test", "system"], "interp")
}

/// The figures of the bare-metal hypervisor.
fn bench_hyp() -> Result<(), Failure> {
    packages::require(&[("qemu-system-arm", "/usr/bin/qemu-system-arm")])?;
    bare_metal::guests()?;
    bare_metal::hyp()?;
    cargo(&["build", "--release", "--package", "skep-cli"])?;
    let test = [
        "test",
        "--release",
        "--package",
        "skep-tests",
        "--test",
        "hyp",
    ];
    cargo(&[&test[..], &["--", "--ignored", "--nocapture", "figures"]].concat())
}

/// What comparing with QEMU needs.
fn fidelity_packages() -> Result<(), Failure> {
    packages::require(&[
        ("qemu-user", "/usr/bin/qemu-arm"),
        (
            "gcc-arm-linux-gnueabihf",
            "/usr/bin/arm-linux-gnueabihf-gcc",
        ),
    ])
}

/// The comparison with QEMU, with its own arguments.
fn fidelity(args: Vec<String>) -> Result<(), Failure> {
    fidelity_packages()?;
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--release", "--package", "skep-fidelity", "--"]);
    step(command.args(args))
}

/// The share of the comparisons that every change must pass.
fn fidelity_share() -> Result<(), Failure> {
    fidelity_packages()?;
    let test = ["test", "--release", "--package", "skep-fidelity"];
    let one_by_one = ["--", "--test-threads=1"];
    // The translator against the interpreter, and several vCPUs on one memory.
    cargo(
        &[
            &test[..],
            &["--test", "blocks", "--test", "litmus"],
            &one_by_one,
        ]
        .concat(),
    )?;
    cargo(
        &[
            &test[..],
            &["--test", "oracle"],
            &one_by_one,
            &["--ignored"],
        ]
        .concat(),
    )
}

/// The comparison with QEMU and the host; `--interp` instead measures the interpreter alone.
fn bench(args: Vec<String>) -> Result<(), Failure> {
    if args == ["--interp"] {
        return cargo(&["bench", "--package", "skep-benches", "--bench", "interp"]);
    }
    packages::require(&[
        ("gcc", "/usr/bin/gcc"),
        ("qemu-system-arm", "/usr/bin/qemu-system-arm"),
        (
            "gcc-arm-linux-gnueabihf",
            "/usr/bin/arm-linux-gnueabihf-gcc",
        ),
    ])?;
    bare_metal::guests()?;
    cargo(&["build", "--release", "--package", "skep-cli"])?;
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--release", "--package", "skep-benches", "--"]);
    step(command.args(args))
}
