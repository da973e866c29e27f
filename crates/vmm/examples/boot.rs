//! Boots a kernel with the serial port on standard output:
//! `cargo run --release -p skep-vmm --example boot -- KERNEL INITRD [COMMAND LINE]`.

use skep_vmm::{Outcome, Vm, VmConfig};
use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut file = || {
        args.next()
            .map(std::fs::read)
            .transpose()
            .map(|bytes| bytes.map(Into::into))
    };
    let config = VmConfig {
        kernel: file()?,
        initrd: file()?,
        command_line: args.next().unwrap_or_else(|| "console=ttyAMA0".into()),
        count: true,
        ..VmConfig::default()
    };
    let mut stdout = std::io::stdout();
    let output = move |byte: u8| {
        // A closed standard output must not disturb the guest.
        let _ = stdout.write_all(&[byte]).and_then(|()| stdout.flush());
    };
    let mut vm = Vm::new(config, Box::new(output))?;
    let started = std::time::Instant::now();
    match vm.run()? {
        Outcome::PoweredOff => println!("the guest powered off"),
        Outcome::Stopped => println!("stopped"),
        Outcome::Watchdog => println!("the guest hangs"),
        Outcome::Fault(record) => println!("{record}"),
    }
    let instructions: u64 = vm
        .stats()
        .vcpus
        .iter()
        .map(|vcpu| vcpu.engine.common.instructions)
        .sum();
    let seconds = started.elapsed().as_secs_f64();
    println!("{instructions} instructions in {seconds:.1} s");
    Ok(())
}
