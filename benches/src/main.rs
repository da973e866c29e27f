//! Compares Skep with `qemu-system-arm` and with the host: `cargo xtask bench`.
//!
//! Both emulators boot the same kernel and the same archive, in turn, and the archive's init
//! (`guest/bench.c`) prints nanoseconds for every row. The host runs the same source.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

const USAGE: &str = "\
usage: cargo xtask bench [--kernel FILE] [--engine ENGINE] [--rounds N] [--skep FILE]
                         [--history FILE] [--save FILE]";

/// A run that takes longer is lost.
const LIMIT: Duration = Duration::from_secs(300);

/// What went wrong, as a sentence.
type Failure = String;

/// Nanoseconds per iteration (for `boot`: until init's first line) of every row.
type Times = BTreeMap<String, f64>;

struct Options {
    kernel: PathBuf,
    skep: PathBuf,
    engine: String,
    rounds: u32,
    history: PathBuf,
    save: Option<PathBuf>,
}

fn main() -> std::process::ExitCode {
    match options().and_then(|options| compare(&options)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("skep-bench: {failure}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, Failure> {
    let mut options = Options {
        kernel: PathBuf::new(),
        skep: "target/release/skep".into(),
        engine: "jit".into(),
        rounds: 1,
        history: concat!(env!("CARGO_MANIFEST_DIR"), "/results/best.txt").into(),
        save: None,
    };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().ok_or(USAGE)?;
        match name.as_str() {
            "--kernel" => options.kernel = value.into(),
            "--skep" => options.skep = value.into(),
            "--engine" => options.engine = value,
            "--rounds" => options.rounds = value.parse().map_err(|_| USAGE)?,
            "--history" => options.history = value.into(),
            "--save" => options.save = Some(value.into()),
            _ => return Err(USAGE.into()),
        }
    }
    if options.kernel.as_os_str().is_empty() {
        // The default guest's, fetched if need be.
        let guest = skep_image::ensure(&skep_image::Options::default(), &skep_image::Silent);
        options.kernel = guest.map_err(|error| error.to_string())?.kernel;
    }
    Ok(options)
}

fn compare(options: &Options) -> Result<(), Failure> {
    let directory = std::env::temp_dir().join(format!("skep-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
    let result = compare_in(options, &directory);
    // The files are small, and the result matters more.
    let _ = std::fs::remove_dir_all(&directory);
    result
}

fn compare_in(options: &Options, directory: &Path) -> Result<(), Failure> {
    let initrd = directory.join("initrd");
    std::fs::write(&initrd, archive(directory)?).map_err(|error| error.to_string())?;
    let host = compile("gcc", &[], &directory.join("host"))?;
    let native = times(&mut Command::new(host))?;
    let (mut qemu, mut skep) = (Times::new(), Times::new());
    for _ in 0..options.rounds {
        let mut command = Command::new("qemu-system-arm");
        command.args([
            "-M",
            "virt",
            "-cpu",
            "cortex-a15",
            "-m",
            "512",
            "-nographic",
        ]);
        command.arg("-kernel").arg(&options.kernel);
        command.arg("-initrd").arg(&initrd);
        command.args(["-append", "console=ttyAMA0 quiet"]);
        keep_best(&mut qemu, guest_times(&mut command)?);
        let mut command = Command::new(&options.skep);
        command.args(["run", "--engine", &options.engine]);
        command.arg("--kernel").arg(&options.kernel);
        command.arg("--initrd").arg(&initrd);
        command.args(["--append", "console=ttyAMA0 quiet"]);
        keep_best(&mut skep, guest_times(&mut command)?);
    }
    let history = read_history(&options.history);
    print!("{}", table(&qemu, &skep, &native, &history));
    if let Some(file) = &options.save {
        let text: String = skep
            .iter()
            .map(|(name, ns)| format!("{name} {ns:.3}\n"))
            .collect();
        std::fs::write(file, text).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn keep_best(best: &mut Times, new: Times) {
    for (name, ns) in new {
        let kept = best.entry(name).or_insert(ns);
        *kept = kept.min(ns);
    }
}

fn compile(compiler: &str, flags: &[&str], output: &Path) -> Result<PathBuf, Failure> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/guest/bench.c");
    let mut command = Command::new(compiler);
    command
        .args(["-static", "-O2", source, "-lm", "-o"])
        .arg(output)
        .args(flags);
    match command.status() {
        Ok(status) if status.success() => Ok(output.into()),
        Ok(status) => Err(format!("{compiler}: {status}")),
        Err(error) => Err(format!("{compiler}: {error}")),
    }
}

/// The archive of the guest: init in A32, and the same program in T32.
fn archive(directory: &Path) -> Result<Vec<u8>, Failure> {
    let mut archive = skep_image::cpio::Archive::default();
    archive.directory("dev");
    archive.device("dev/console", 0o600, 5, 1);
    for (name, state) in [("init", "-marm"), ("t32", "-mthumb")] {
        let flags = [state, "-mfpu=neon-vfpv4"];
        let file = compile("arm-linux-gnueabihf-gcc", &flags, &directory.join(name))?;
        let contents = std::fs::read(file).map_err(|error| error.to_string())?;
        archive.file(name, 0o755, &contents);
    }
    Ok(archive.finish())
}

fn guest_times(command: &mut Command) -> Result<Times, Failure> {
    let times = times(command)?;
    if times.contains_key("end") {
        Ok(times
            .into_iter()
            .filter(|(name, _)| name != "end")
            .collect())
    } else {
        Err(format!("{command:?} ended before its last row: {times:?}"))
    }
}

/// Runs a command and collects its rows.
fn times(command: &mut Command) -> Result<Times, Failure> {
    let started = Instant::now();
    let mut child: Child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let output = child.stdout.take().ok_or("no output")?;
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if send.send((line, started.elapsed())).is_err() {
                break;
            }
        }
    });
    let mut times = Times::new();
    loop {
        match lines.recv_timeout(LIMIT.saturating_sub(started.elapsed())) {
            Ok((line, elapsed)) => {
                let mut words = line
                    .split_whitespace()
                    .skip_while(|word| *word != "row")
                    .skip(1);
                if let (Some(name), Some(Ok(ns))) = (words.next(), words.next().map(str::parse)) {
                    let boot = elapsed.as_secs_f64() * 1e9;
                    times.insert(name.into(), if name == "boot" { boot } else { ns });
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                // Ended already, perhaps.
                let _ = child.kill();
                break;
            }
        }
    }
    child.wait().map_err(|error| error.to_string())?;
    Ok(times)
}

/// The rows of an earlier version; none if there is no such file.
fn read_history(file: &Path) -> Times {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, ns)| Some((name.to_owned(), ns.parse().ok()?)))
        .collect()
}

fn table(qemu: &Times, skep: &Times, native: &Times, history: &Times) -> String {
    let mut text = format!(
        "{:<18}{:>14}{:>14}{:>14}{:>10}{:>9}{:>14}\n",
        "ns", "QEMU", "Skep", "native", "QEMU/Skep", "native%", "best before"
    );
    let mut logarithms = 0.0;
    let mut count = 0.0;
    let mut worst = ("", f64::INFINITY);
    for (name, &ours) in skep {
        let Some(&theirs) = qemu.get(name) else {
            continue;
        };
        let ratio = theirs / ours;
        logarithms += ratio.ln();
        count += 1.0;
        if ratio < worst.1 {
            worst = (name, ratio);
        }
        let host = native.get(name.trim_end_matches("-t32"));
        let show = |ns: Option<&f64>| ns.map_or("-".into(), |ns| format!("{ns:.1}"));
        let share = host.map_or("-".into(), |ns| format!("{:.1}", ns / ours * 100.0));
        text += &format!(
            "{name:<18}{theirs:>14.1}{ours:>14.1}{:>14}{ratio:>10.2}{share:>9}{:>14}\n",
            show(host),
            show(history.get(name))
        );
    }
    let mean = f64::exp(logarithms / count);
    text + &format!(
        "geometric mean {mean:.2}, worst row {} ({:.2})\n",
        worst.0, worst.1
    )
}
