//! What the hypervisor costs: `cargo xtask bench-hyp` prints the table that docs/hyp.md has.
//!
//! QEMU counts one instruction as one nanosecond (or eight, where a guest is to live for seconds), so
//! that figures are numbers of instructions and the same each time.

use std::time::Duration;

use super::*;

/// Nanoseconds of an instruction where Linux is measured, as a power of two.
const SLOW: u32 = 3;

/// A board that counts instructions, with idle time skipped.
fn counting(system: &System<Vec<u8>>, shift: u32) -> (Session, tempfile::TempDir) {
    let (path, directory) = written(system);
    let mut command = board(VIRT, Some(&path));
    command.args(["-icount", &format!("shift={shift},sleep=off")]);
    (Session::spawn(command), directory)
}

/// A VM that waits, so that the board stays on.
fn waiting() -> Vm<Vec<u8>> {
    let mut vm = bare_metal("hyp_crash", &[0]);
    (vm.halted, vm.memory_mib) = (true, 8);
    vm
}

fn row(what: &str, value: impl std::fmt::Display) {
    println!("| {what} | {value} |");
}

/// The first number behind some text, in what was expected to contain it.
fn number(text: &str, behind: &str) -> u64 {
    let rest = text.split_once(behind).map_or("", |(_, rest)| rest);
    let digits = rest.trim_start().split(|c: char| !c.is_ascii_digit());
    let number = digits
        .into_iter()
        .next()
        .and_then(|digits| digits.parse().ok());
    number.unwrap_or_else(|| panic!("no number behind {behind:?} in {text}"))
}

/// What a command of the shell prints; the shell has the focus.
fn ask(session: &mut Session, command: &str) -> String {
    session.send(format!("{command}\n").as_bytes());
    session.expect(&format!("{command}\r\n"));
    session.until("skep> ")
}

/// What the guest measures, with its vCPUs on cores that are shared or its own.
fn costs(name: &str, on_shared: bool) {
    let vms = vec![bare_metal("hyp_cost", &[0, 1])];
    let system = if on_shared { shared(vms) } else { vms.into() };
    let (session, _directory) = counting(&system, 0);
    for line in lines("hyp_cost", &session.finish()) {
        if let Some((what, instructions)) = line.split_once(": ")
            && let Some(count) = instructions.strip_suffix(" instructions")
        {
            row(&format!("{what}, {name}"), count);
        }
    }
}

fn world_switch() {
    let mut system = shared(vec![
        bare_metal("hyp_share", &[1]),
        bare_metal("hyp_share", &[1]),
        waiting(),
    ]);
    system.cores[1] = CoreSchedule::Shared { slice_us: 500 };
    for (vm, name) in system.vms.iter_mut().zip(["first", "second", "waiting"]) {
        (vm.name, vm.memory_mib) = (name.into(), 8);
    }
    let (mut session, _directory) = counting(&system, 0);
    session.expect(": off").expect(": off");
    session.send(b"\x01h");
    session.expect("skep> ");
    let cores = ask(&mut session, "cores");
    let cores = cores.split("1: time-shared").nth(1).expect("core 1");
    let (switches, ticks) = (number(cores, "500 us,"), number(cores, "took"));
    assert!(switches > 500, "{cores}");
    row(
        "world switch, two guests that compute",
        ticks * 16 / switches,
    );
}

/// Exits of a Linux guest in a second, idle and busy.
fn exits(name: &str, on_shared: bool) {
    let mut system = System::from(vec![waiting(), linux("linux", &[1])]);
    if on_shared {
        system = shared(system.vms);
    }
    let (mut session, _directory) = counting(&system, SLOW);
    session.expect("[linux] BusyBox");
    for (what, command) in [("idle", ""), ("busy", "while :; do :; done")] {
        session.send(b"\x011");
        session.expect("console of linux");
        session.send(format!("{command}\n\x01h").as_bytes());
        session.expect("skep> ");
        // What was typed is over when it counts.
        std::thread::sleep(Duration::from_secs(2));
        let before = ask(&mut session, "exits linux");
        std::thread::sleep(Duration::from_secs(4));
        let after = ask(&mut session, "exits linux");
        let time = |text: &str| {
            let (_, time) = text.split_once("linux: ").expect("a time");
            let seconds: f64 = time
                .split(' ')
                .next()
                .and_then(|s| s.parse().ok())
                .expect("seconds");
            seconds
        };
        let seconds = time(&after) - time(&before);
        let counts = |text: &str, reason: &str| -> f64 {
            let line = text.lines().find(|line| line.trim_end().ends_with(reason));
            let count = line.and_then(|line| line.split_whitespace().nth(2));
            count.and_then(|count| count.parse().ok()).unwrap_or(0.0)
        };
        let rates: Vec<String> = ["interrupt", "data abort", "WFI or WFE", "HVC", "CP15"]
            .into_iter()
            .map(|reason| {
                let rate = (counts(&after, reason) - counts(&before, reason)) / seconds;
                format!("{reason} {rate:.1}")
            })
            .collect();
        row(
            &format!("exits in a second, {what} Linux, {name} ({seconds:.1} s)"),
            rates.join(", "),
        );
    }
}

/// Heap that a further VM takes beyond its tables, bytes; rounded to 1 KiB by the shell.
fn memory() {
    let of = |count: usize| {
        let mut vms = vec![waiting()];
        for n in 0..count {
            let mut vm = bare_metal("hyp_crash", &[1]);
            (vm.name, vm.memory_mib, vm.halted) = (format!("vm{n}"), 8, true);
            vms.push(vm);
        }
        let (mut session, _directory) = start_system(&shared(vms));
        session.expect("heap used");
        session.send(b"\x01h");
        session.expect("skep> ");
        let memory = ask(&mut session, "mem");
        let tables: u64 = memory
            .split("; ")
            .skip(1)
            .map(|rest| number(rest, ""))
            .sum();
        number(&memory, "heap:") - tables
    };
    row(
        "RAM of a VM of one vCPU beyond guest memory and tables, KiB",
        (of(9) - of(1)) / 8,
    );
}

/// Lines, and blocks of unsafe code, of the hypervisor's sources.
fn sources() {
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/hyp/src")];
    let (mut lines, mut blocks) = (0, 0);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("the sources are there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source");
            // Tests are at the end of a file, or in one of their own.
            let code = text
                .split("#[cfg(test)]\nmod tests {")
                .next()
                .unwrap_or_default();
            if !path.ends_with("tests.rs") {
                lines += code.lines().count();
                blocks += code.matches("unsafe {").count();
            }
        }
    }
    row("lines of the hypervisor's own code", lines);
    row("unsafe blocks", blocks);
}

fn image() {
    let elf = target().join("hyp/thumbv7a-none-eabi/image/skep-hyp");
    let output = Command::new("arm-none-eabi-nm").arg(elf).output();
    let output = String::from_utf8_lossy(&output.expect("binutils").stdout).into_owned();
    let address = |symbol: &str| {
        let line = output.lines().find(|line| line.ends_with(symbol));
        let address = line.and_then(|line| line.split(' ').next());
        let address = address.and_then(|address| u64::from_str_radix(address, 16).ok());
        address.unwrap_or_else(|| panic!("no {symbol}"))
    };
    let text = address(" __text_used") - address(" __image_start");
    let constants = address(" __rodata_used") - address(" __text_end");
    row(
        "image: code and constants, KiB",
        format!("{:.1}", (text + constants) as f64 / 1024.0),
    );
}

#[test]
#[ignore = "takes minutes: cargo xtask bench-hyp"]
fn figures() {
    println!("| what | figure |\n|---|---|");
    costs("own cores", false);
    costs("shared cores", true);
    world_switch();
    exits("own core", false);
    exits("shared core", true);
    memory();
    image();
    sources();
}
