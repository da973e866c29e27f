//! Virtual machines as a library: build one from a [`VmConfig`], run, pause, reset and stop it.
//!
//! ```no_run
//! use skep_vmm::{Outcome, Vm, VmConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = VmConfig {
//!     kernel: Some(std::fs::read("vmlinuz")?.into()),
//!     initrd: Some(std::fs::read("initrd.cpio")?.into()),
//!     command_line: "console=ttyAMA0".into(),
//!     ..VmConfig::default()
//! };
//! let mut vm = Vm::new(config, Box::new(|byte| print!("{}", char::from(byte))))?;
//!
//! // Other threads reach the VM through handles.
//! let handle = vm.handle();
//! std::thread::spawn(move || handle.input(b"poweroff\n"));
//!
//! match vm.run()? {
//!     Outcome::PoweredOff => println!("the guest powered off"),
//!     Outcome::Stopped => println!("stopped"),
//!     Outcome::Watchdog => println!("the guest hangs"),
//!     Outcome::Fault(record) => println!("{record}"),
//! }
//! # Ok(())
//! # }
//! ```

mod backend;
mod board;
mod boot;
mod bus;
mod clock;
pub mod config;
mod contents;
mod engine;
mod error;
mod irq;
mod memory;
mod observe;
mod standstill;
mod stats;
mod ticker;
mod vcpu;
mod vm;

pub use backend::ConsoleError;
pub use config::{Backend, Disk, Share, Trace, VmConfig, Warn, Watchdog};
pub use contents::Contents;
pub use engine::{Engine, EngineStats, Leaves, TranslatorStats};
pub use error::Error;
pub use skep_arm::state::{CpuModel, CpuState};
pub use skep_board::virtio::Version as VirtioVersion;
pub use skep_board::virtio::balloon::MemoryUse;
pub use skep_disk::{Access, Format};
pub use skep_interp::Stats;
pub use stats::{DeviceStats, Exits, MemoryStats, VcpuStats, VmStats};
pub use vm::{FaultRecord, Outcome, Vm, VmHandle};
