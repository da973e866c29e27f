//! Fuzzing guided by coverage: builds the targets with the compiler's instrumentation for it, which
//! stable compilers have as a pass, and runs libFuzzer. No nightly toolchain, no cargo plugin; a C++
//! compiler for libFuzzer itself.

use crate::{Failure, step};
use std::path::{Path, PathBuf};
use std::process::Command;

const USAGE: &str = "usage: cargo xtask fuzz [TARGET] [--seconds N] [--input FILE] [--minimise]

  TARGET         one target; without it, all of them one after another
  --seconds N    how long to run each (default 60)
  --input FILE   run one input, such as one that was found
  --minimise     instead of running: make the committed corpus a small one that covers what it and
                 the inputs found so far cover, as far as 64 files of 16 KiB do; past finds (find-*) stay";

/// What the compiler puts into the code: a counter for each edge of the control flow, the table of
/// their places, and calls at comparisons, by which libFuzzer solves them.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module \
     -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares \
     --cfg=fuzzing";

/// An input that takes longer hangs, seconds.
const TIME_LIMIT: u32 = 10;
/// The size of a target's committed corpus, without past finds: bytes and files.
const COMMITTED_BYTES: u64 = 16 << 10;
const COMMITTED_FILES: usize = 64;
/// A process that takes more memory, with its corpus, leaks: MiB.
const MEMORY_LIMIT: u32 = 1024;

struct Options {
    target: Option<String>,
    seconds: u32,
    input: Option<PathBuf>,
    minimise: bool,
}

/// `cargo xtask fuzz`.
pub fn run(args: impl Iterator<Item = String>) -> Result<(), Failure> {
    let options = parse(args)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."));
    let targets = match &options.target {
        Some(target) if root.join("fuzz/corpus").join(target).is_dir() => vec![target.clone()],
        Some(target) => {
            let all = targets(root)?.join(", ");
            return Err(format!("there is no target {target}; there are {all}"));
        }
        None => targets(root)?,
    };
    let binary = build(root)?;
    for target in targets {
        let fuzzer = Fuzzer {
            root,
            binary: &binary,
            target: &target,
        };
        if let Some(input) = &options.input {
            step(fuzzer.command()?.arg(input))?;
        } else if options.minimise {
            fuzzer.minimise()?;
        } else {
            fuzzer.fuzz(options.seconds)?;
        }
    }
    Ok(())
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, Failure> {
    let mut options = Options {
        target: None,
        seconds: 60,
        input: None,
        minimise: false,
    };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seconds" => {
                let seconds = args.next().and_then(|number| number.parse().ok());
                options.seconds = seconds.ok_or(USAGE)?;
            }
            "--input" => {
                let path = std::path::absolute(args.next().ok_or(USAGE)?);
                options.input = Some(path.map_err(|error| error.to_string())?);
            }
            "--minimise" => options.minimise = true,
            name if !name.starts_with('-') && options.target.is_none() => {
                options.target = Some(arg);
            }
            _ => return Err(USAGE.into()),
        }
    }
    if options.input.is_some() && options.target.is_none() {
        return Err(format!("--input needs a TARGET\n{USAGE}"));
    }
    Ok(options)
}

/// The targets: each has a directory in the corpus.
fn targets(root: &Path) -> Result<Vec<String>, Failure> {
    let mut targets: Vec<String> = files(&root.join("fuzz/corpus"))?
        .iter()
        .filter(|path| path.is_dir())
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    targets.sort();
    Ok(targets)
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error| format!("{}: {error}", directory.display());
    let entries = std::fs::read_dir(directory).map_err(failed)?;
    entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect()
}

/// Builds all targets into one binary, and returns its path.
fn build(root: &Path) -> Result<PathBuf, Failure> {
    let version = Command::new("rustc").arg("-vV").output();
    let version = version.map_err(|error| format!("rustc could not start: {error}"))?;
    let version = String::from_utf8_lossy(&version.stdout);
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .ok_or("rustc -vV names no host")?;
    let directory = root.join("target/fuzz");
    // With a target named, even if it is the host, build scripts are not instrumented.
    step(
        Command::new(env!("CARGO"))
            .current_dir(root)
            .args(["build", "--profile", "fuzz", "--package", "skep-fuzz"])
            .args([
                "--features",
                "link-libfuzzer",
                "--target",
                host,
                "--target-dir",
            ])
            .arg(&directory)
            .env("RUSTFLAGS", INSTRUMENTATION),
    )?;
    Ok(directory.join(host).join("fuzz/skep-fuzz"))
}

struct Fuzzer<'a> {
    root: &'a Path,
    binary: &'a Path,
    target: &'a str,
}

impl Fuzzer<'_> {
    fn committed(&self) -> PathBuf {
        self.root.join("fuzz/corpus").join(self.target)
    }

    /// Where inputs that cover something new are kept: they are not committed.
    fn found(&self) -> Result<PathBuf, Failure> {
        let path = self.root.join("target/fuzz/corpus").join(self.target);
        create(&path)?;
        Ok(path)
    }

    fn command(&self) -> Result<Command, Failure> {
        let artifacts = self.root.join("target/fuzz/artifacts");
        create(&artifacts)?;
        let mut command = Command::new(self.binary);
        command
            .env("SKEP_FUZZ_TARGET", self.target)
            .arg(format!("-timeout={TIME_LIMIT}"))
            .arg(format!("-rss_limit_mb={MEMORY_LIMIT}"))
            .arg(format!(
                "-artifact_prefix={}/{}-",
                artifacts.display(),
                self.target
            ));
        Ok(command)
    }

    fn fuzz(&self, seconds: u32) -> Result<(), Failure> {
        let mut command = self.command()?;
        command
            .arg(format!("-max_total_time={seconds}"))
            .args([
                "-print_final_stats=1",
                "-use_value_profile=1",
                "-max_len=2048",
                "-len_control=0",
            ])
            .arg(self.found()?)
            .arg(self.committed());
        step(&mut command).map_err(|failure| {
            format!(
                "{failure}; run the input again: cargo xtask fuzz {} --input FILE (see above)",
                self.target
            )
        })
    }

    fn minimise(&self) -> Result<(), Failure> {
        let (committed, found) = (self.committed(), self.found()?);
        let small = self.root.join("target/fuzz/minimised").join(self.target);
        // It may hold the files of an earlier time.
        let _ = std::fs::remove_dir_all(&small);
        create(&small)?;
        let mut merge = self.command()?;
        // By edges only: how often each is taken would keep many times as many inputs.
        merge.args(["-set_cover_merge=1", "-use_counters=0"]);
        step(merge.arg(&small).arg(&committed).arg(&found))?;
        let is_find = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with("find-")
        };
        let failed = |error: std::io::Error| format!("{}: {error}", committed.display());
        for path in files(&committed)?.iter().filter(|path| !is_find(path)) {
            std::fs::remove_file(path).map_err(failed)?;
        }
        let size = |path: &PathBuf| std::fs::metadata(path).map_or(u64::MAX, |file| file.len());
        let mut chosen = files(&small)?;
        chosen.sort_by_key(|path| (size(path), path.clone()));
        let mut room = COMMITTED_BYTES;
        // If there are too many, some of every size.
        let every = chosen.len().div_ceil(COMMITTED_FILES).max(1);
        for path in chosen.into_iter().step_by(every) {
            let Some(left) = room.checked_sub(size(&path)) else {
                break;
            };
            room = left;
            let name = path.file_name().unwrap_or_default();
            std::fs::copy(&path, committed.join(name)).map_err(failed)?;
        }
        Ok(())
    }
}

fn create(directory: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
}
