//! Fuzz targets: functions that take any bytes, do with them what a guest, a file or a user could,
//! and panic when something is wrong. What each checks stands at the top of its module.
//!
//! libFuzzer calls them (`cargo xtask fuzz`), and so does a plain test, with the corpus and with
//! inputs from a seeded generator. So a target's outcome depends on its input only: no time, no
//! thread, no state that survives a call (`machine` and `translator` use their machine again, reset;
//! how far a program gets in the translator that never gives way is a matter of time).

mod config;
mod decoder;
mod devices;
mod float;
mod gic;
mod image;
mod input;
mod loader;
mod machine;
mod memory;
mod mutate;
mod network;
mod processor;
mod qcow2;
mod share;
mod translation;
mod tree;
mod virtio;
mod vsock;

pub use mutate::{Mutator, Random};

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: the argument of `cargo xtask fuzz`, and its directory in the corpus.
    pub name: &'static str,
    /// Takes one input; panics when a check fails.
    pub run: fn(&[u8]),
    /// The length in bytes beyond which inputs bring nothing new.
    pub max_len: usize,
    /// How many generated inputs the plain test runs: one to three seconds' worth.
    pub cases: u32,
}

macro_rules! targets {
    ($($name:literal $run:path, max_len $max_len:literal, cases $cases:literal;)*) => {
        &[$(Target { name: $name, run: $run, max_len: $max_len, cases: $cases }),*]
    };
}

/// All targets.
pub const TARGETS: &[Target] = targets! {
    "config" config::run, max_len 512, cases 5_000;
    "decoder" decoder::run, max_len 256, cases 400_000;
    "device-tree" tree::run, max_len 1024, cases 100_000;
    "devices" devices::run, max_len 1024, cases 150_000;
    "float" float::run, max_len 64, cases 100_000;
    "gic" gic::run, max_len 1024, cases 80_000;
    "image" image::run, max_len 512, cases 200_000;
    "loader" loader::run, max_len 1024, cases 100_000;
    "machine" machine::run, max_len 2048, cases 100_000;
    "network" network::run, max_len 1024, cases 30_000;
    "processor" processor::run, max_len 512, cases 150_000;
    "qcow2" qcow2::run, max_len 256, cases 5_000;
    "share" share::run, max_len 512, cases 8_000;
    "translation" translation::run, max_len 512, cases 400_000;
    "translator" machine::translated, max_len 2048, cases 8_000;
    "virtio" virtio::registers, max_len 1024, cases 100_000;
    "virtqueue" virtio::queues, max_len 2048, cases 100_000;
    "vsock" vsock::run, max_len 1024, cases 50_000;
};

/// The target with a name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
