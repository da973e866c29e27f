//! Programs of a few instructions that run on the bare machine.

use crate::PATIENCE;
use skep_vmm::{Outcome, Vm, VmConfig, VmHandle};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Macros for programs: `put` prints a character, `call` calls PSCI, `off` switches the machine
/// off; `gic_on` enables the interrupt controller and the private interrupt `id`.
const MACROS: &str = r"
        .arch   armv7ve
        .syntax unified
        .equ    UART, 0x09000000
        .equ    GICD, 0x08000000
        .equ    GICC, 0x08010000
        .macro  put char
        ldr     r12, =UART
        mov     r11, #\char
        str     r11, [r12]
        .endm
        .macro  call function
        ldr     r0, =\function
        hvc     #0
        .endm
        .macro  off
        call    0x84000008
        .endm
        .macro  gic_on id
        ldr     r12, =GICD
        mov     r11, #1
        str     r11, [r12]
        ldr     r11, =1 << \id
        str     r11, [r12, #0x100]
        ldr     r12, =GICC
        mov     r11, #0xff
        str     r11, [r12, #4]
        mov     r11, #1
        str     r11, [r12]
        .endm
        .text
        .globl  _start
_start:
";

/// A program as an ELF file, linked at `address`.
pub fn elf(source: &str, address: u32) -> Vec<u8> {
    build(source, address, "elf")
}

/// A program's bytes, linked at `address`.
pub fn raw(source: &str, address: u32) -> Vec<u8> {
    build(source, address, "bin")
}

fn build(source: &str, address: u32, kind: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    let text = format!("{MACROS}\n{source}\n        .ltorg\n");
    std::fs::write(path("a.s"), text).expect("the directory is writable");
    tool("as", &["-o".as_ref(), &path("a.o"), &path("a.s")]);
    let at = format!("-Ttext={address:#x}");
    let (elf, object) = (path("a.elf"), path("a.o"));
    tool("ld", &[at.as_ref(), "-o".as_ref(), &elf, &object]);
    tool(
        "objcopy",
        &["-O".as_ref(), "binary".as_ref(), &elf, &path("a.bin")],
    );
    std::fs::read(path(&format!("a.{kind}"))).expect("the tools made it")
}

fn tool(name: &str, arguments: &[&Path]) {
    let status = Command::new(format!("arm-none-eabi-{name}"))
        .args(arguments)
        .status()
        .expect("binutils-arm-none-eabi is installed");
    assert!(status.success(), "arm-none-eabi-{name} failed");
}

/// A machine in this process, and what it printed so far.
pub struct Machine {
    /// The machine.
    pub vm: Vm,
    printed: Arc<Mutex<Vec<u8>>>,
}

impl Machine {
    /// A machine with this kernel, and 16 MiB of memory.
    pub fn new(kernel: Vec<u8>, cpus: usize) -> Self {
        Machine::with(VmConfig {
            kernel: Some(kernel.into()),
            memory: 16 << 20,
            cpus,
            count: true,
            ..VmConfig::default()
        })
    }

    /// A machine as configured.
    pub fn with(config: VmConfig) -> Self {
        let printed = Arc::new(Mutex::new(Vec::new()));
        let sink = {
            let printed = printed.clone();
            move |byte| printed.lock().expect("no panic").push(byte)
        };
        let vm = Vm::new(config, Box::new(sink)).expect("a valid configuration");
        Machine { vm, printed }
    }

    /// What the guest printed.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&self.printed.lock().expect("no panic")).into_owned()
    }

    /// Runs until the guest ends, while `meanwhile` does something to it. A guest that takes longer
    /// than [`PATIENCE`] is stopped.
    pub fn run_while(&mut self, meanwhile: impl FnOnce(VmHandle) + Send) -> Outcome {
        let handle = self.vm.handle();
        let (ended, watched) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let patient = handle.clone();
            scope.spawn(move || {
                if watched.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
                {
                    patient.stop();
                }
            });
            scope.spawn(move || meanwhile(handle));
            let outcome = self.vm.run().expect("the host has threads");
            drop(ended);
            outcome
        })
    }

    /// Runs until the guest has printed so many bytes, since the machine was made, and stops it.
    pub fn run_until_printed(&mut self, bytes: u64) {
        let outcome = self.run_while(|vm| {
            while vm.output_count() < bytes {
                std::thread::sleep(Duration::from_millis(1));
            }
            vm.stop();
        });
        assert_eq!(outcome, Outcome::Stopped, "{}", self.printed());
    }

    /// Runs until the guest ends.
    pub fn run(&mut self) -> Outcome {
        self.run_while(|_| ())
    }
}

/// Runs a program on a machine with one CPU until it switches that off; returns what it printed.
pub fn run(source: &str) -> String {
    let mut machine = Machine::new(raw(source, 0), 1);
    let outcome = machine.run();
    assert_eq!(outcome, Outcome::PoweredOff, "{}", machine.printed());
    machine.printed()
}
