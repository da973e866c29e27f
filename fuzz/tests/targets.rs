//! Every target over its corpus, and over inputs from a seeded generator: what `cargo xtask fuzz`
//! does for minutes with coverage as its guide, for seconds and on any toolchain.

use skep_fuzz::{Mutator, TARGETS, Target};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// An input that takes longer hangs. The slowest take a hundredth.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// What the targets may add to the memory of this process, bytes.
const MEMORY_LIMIT: u64 = 1 << 30;
const SEED: u64 = 0x5eed;

/// The committed inputs of a target, by name.
fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let entries = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect();
    files.sort();
    files
}

/// Keeps an input that fails, and tells how to look at it.
fn keep(target: &Target, input: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-failure", target.name));
    match std::fs::write(&path, input) {
        Ok(()) => format!(
            "cargo xtask fuzz {} --input {}",
            target.name,
            path.display()
        ),
        Err(error) => format!("{}: {error}; the input is {input:02x?}", path.display()),
    }
}

/// Ends the process when an input that was begun does not end in time: a hang can't be caught.
fn watch(target: &Target, begun: &Mutex<Vec<u8>>, ticks: &Receiver<()>) {
    loop {
        match ticks.recv_timeout(TIME_LIMIT) {
            Ok(()) => {}
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let input = begun.lock().unwrap().clone();
                let kept = keep(target, &input);
                // Not eprintln!, whose output the test harness holds back until a test ends.
                let _ = writeln!(std::io::stderr(), "{}: an input hangs: {kept}", target.name);
                std::process::exit(1);
            }
        }
    }
}

fn run(target: &Target, input: &[u8], begun: &Mutex<Vec<u8>>, tick: &Sender<()>) {
    input.clone_into(&mut begun.lock().unwrap());
    tick.send(()).unwrap();
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        panic!("{}: an input fails: {}", target.name, keep(target, input));
    }
}

/// The most memory that this process has had, where the system tells.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10
}

fn test(name: &str) {
    let target = skep_fuzz::find(name).unwrap();
    let before = peak_memory();
    let begun = Mutex::new(Vec::new());
    let (tick, ticks) = channel();
    let begun = &begun;
    std::thread::scope(|scope| {
        scope.spawn(move || watch(target, begun, &ticks));
        let tick = tick;
        let files = corpus(target);
        assert!(!files.is_empty(), "{name} has no corpus");
        run(target, &[], begun, &tick);
        for (_, bytes) in &files {
            run(target, bytes, begun, &tick);
        }
        let seeds = files.into_iter().map(|(_, bytes)| bytes).collect();
        let mut mutator = Mutator::new(SEED, seeds, target.max_len);
        for _ in 0..target.cases {
            run(target, &mutator.next_input(), begun, &tick);
        }
    });
    // The kernel keeps the peak by thread and adds it up late: it may seem to shrink.
    let grown = peak_memory().saturating_sub(before);
    assert!(grown < MEMORY_LIMIT, "{name} took {grown} bytes");
}

macro_rules! tests {
    ($($test:ident $name:literal,)*) => {
        $(#[test]
        fn $test() {
            test($name);
        })*

        #[test]
        fn every_target_is_tested() {
            let tested = [$($name),*];
            let all: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(tested.as_slice(), all);
        }
    };
}

tests! {
    config "config",
    decoder "decoder",
    device_tree "device-tree",
    devices "devices",
    float "float",
    gic "gic",
    image "image",
    loader "loader",
    machine "machine",
    network "network",
    processor "processor",
    qcow2 "qcow2",
    share "share",
    translation "translation",
    translator "translator",
    virtio "virtio",
    virtqueue "virtqueue",
    vsock "vsock",
}
