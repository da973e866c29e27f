//! Instructions per second of the interpreter in bare-metal loops, and the time that the default
//! guest takes from start to its first program.

use skep_vmm::{Outcome, Vm, VmConfig};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Runs of each measurement; the fastest counts, since other programs only ever slow one down.
const RUNS: u32 = 3;

/// Arithmetic: 50 million rounds of add, eor (shifted), add (rotated), and, orr, sub, subs, bne;
/// then PSCI SYSTEM_OFF by HVC.
const INTEGER: [u32; 15] = [
    0xe59f_402c,
    0xe3a0_0000,
    0xe3a0_1001,
    0xe080_0001,
    0xe021_1180,
    0xe080_23e1,
    0xe202_30ff,
    0xe180_0003,
    0xe041_1003,
    0xe254_4001,
    0x1aff_fff7,
    0xe59f_0004,
    0xe140_0070,
    0x02fa_f080,
    0x8400_0008,
];

/// Loads, stores and calls: 20 million rounds of ldr, add, str, ldrb, bl, cmp, addne, bx, subs, bne.
const MEMORY: [u32; 17] = [
    0xe3a0_5101,
    0xe385_5602,
    0xe59f_402c,
    0xe595_0004,
    0xe280_0001,
    0xe585_0004,
    0xe7d5_1c20,
    0xeb00_0003,
    0xe254_4001,
    0x1aff_fff8,
    0xe59f_0010,
    0xe140_0070,
    0xe150_0001,
    0x1282_2001,
    0xe12f_ff1e,
    0x0131_2d00,
    0x8400_0008,
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (name, words) in [
        ("integer loop", &INTEGER[..]),
        ("memory and calls", &MEMORY[..]),
    ] {
        let mut best = 0.0f64;
        for _ in 0..RUNS {
            best = best.max(instructions_per_second(words)?);
        }
        println!(
            "{name:<24} {:>8.0} million instructions a second",
            best / 1e6
        );
    }
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        best = best.min(boot()?);
    }
    println!("{:<24} {:>8.1} s", "start to init", best.as_secs_f64());
    Ok(())
}

fn instructions_per_second(words: &[u32]) -> Result<f64, Box<dyn std::error::Error>> {
    let kernel: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let config = VmConfig {
        kernel: Some(kernel.into()),
        count: true,
        ..VmConfig::default()
    };
    let mut vm = Vm::new(config, Box::new(|_| {}))?;
    let started = Instant::now();
    let outcome = vm.run()?;
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(outcome, Outcome::PoweredOff);
    let executed: u64 = vm
        .stats()
        .vcpus
        .iter()
        .map(|vcpu| vcpu.engine.common.instructions)
        .sum();
    Ok(executed as f64 / seconds)
}

/// From the start of the VM until the kernel says that it runs init.
fn boot() -> Result<Duration, Box<dyn std::error::Error>> {
    let guest = skep_image::ensure(&skep_image::Options::default(), &skep_image::Silent)?;
    let config = VmConfig {
        kernel: Some(std::fs::read(guest.kernel)?.into()),
        initrd: Some(std::fs::read(guest.initrd)?.into()),
        command_line: "console=ttyAMA0".into(),
        ..VmConfig::default()
    };
    let (sender, receiver) = channel();
    let mut line = Vec::new();
    let output = move |byte| {
        line.push(byte);
        if byte == b'\n' {
            if String::from_utf8_lossy(&line).contains("Run /init") {
                // The receiver is gone once the first such line has come.
                let _ = sender.send(Instant::now());
            }
            line.clear();
        }
    };
    let mut vm = Vm::new(config, Box::new(output))?;
    let handle = vm.handle();
    let started = Instant::now();
    let waiter = std::thread::spawn(move || {
        let seen = receiver.recv();
        handle.stop();
        seen
    });
    vm.run()?;
    let seen = waiter
        .join()
        .map_err(|_| "the waiting thread ended early")??;
    Ok(seen - started)
}
