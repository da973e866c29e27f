//! What the translator shows while it works: listings of code, and the map by which a profiler of
//! the host finds out which guest code it saw.

use crate::bus::lock;
use crate::config::{Trace, VmConfig};
use crate::engine::Vcpu;
use crate::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

type Sink = Arc<Mutex<Box<dyn Write + Send>>>;

/// Has the vCPUs' engines show what the configuration asks for.
///
/// # Errors
/// [`Error::ObserverFile`], [`Error::NothingToObserve`].
pub(crate) fn start(config: &VmConfig, vcpus: &mut [Vcpu]) -> Result<(), Error> {
    if config.trace.is_none() && !config.perf_map {
        return Ok(());
    }
    // Before files are made.
    if vcpus.iter().any(|vcpu| matches!(vcpu, Vcpu::Interp(_))) {
        return Err(Error::NothingToObserve);
    }
    let trace = config.trace.as_ref().map(open_trace).transpose()?;
    let map = config.perf_map.then(open_map).transpose()?;
    for (index, vcpu) in vcpus.iter_mut().enumerate() {
        observe(vcpu, index, trace.clone(), map.clone())?;
    }
    Ok(())
}

fn sink(to: impl Write + Send + 'static) -> Sink {
    Arc::new(Mutex::new(Box::new(to)))
}

fn open_trace(trace: &Trace) -> Result<(std::ops::Range<u64>, Sink), Error> {
    let sink = match &trace.file {
        Some(path) => sink(File::create(path).map_err(|source| failed(path, source))?),
        None => sink(io::stderr()),
    };
    Ok((trace.range.clone(), sink))
}

/// The file where `perf` looks for the names of code that a process made.
fn open_map() -> Result<Sink, Error> {
    let path = PathBuf::from(format!("/tmp/perf-{}.map", std::process::id()));
    // Everybody can write to that directory: never through a link, nor to somebody else's file.
    let create = || OpenOptions::new().write(true).create_new(true).open(&path);
    let file = create().or_else(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            // Of an earlier process with this number.
            std::fs::remove_file(&path)?;
            return create();
        }
        Err(error)
    });
    file.map(sink).map_err(|source| failed(&path, source))
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::ObserverFile {
        path: path.to_owned(),
        source,
    }
}

/// Writes at once, so that lines of several vCPUs do not mix. A full disk of the host must not
/// disturb the guest.
fn write(sink: &Sink, text: &str) {
    let _ = lock(sink).write_all(text.as_bytes());
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn observe(
    vcpu: &mut Vcpu,
    index: usize,
    trace: Option<(std::ops::Range<u64>, Sink)>,
    map: Option<Sink>,
) -> Result<(), Error> {
    let Vcpu::Jit(vcpu) = vcpu else {
        return Err(Error::NothingToObserve);
    };
    if let Some(map) = &map {
        let (address, len) = vcpu.fixed_code();
        write(map, &format!("{address:x} {len:x} skep:fixed\n"));
    }
    vcpu.observe(Box::new(move |block| {
        if let Some(map) = &map {
            let (address, len) = (block.address, block.host_len);
            let line = format!("{address:x} {len:x} guest:{:#010x}\n", block.va);
            write(map, &line);
        }
        let Some((range, sink)) = &trace else {
            return;
        };
        let va = u64::from(block.va);
        if va < range.end && range.start < va + u64::from(block.guest_len) {
            let set = if block.t32 { "T32" } else { "A32" };
            let text = format!(
                "CPU {index}, {set} block at {va:#010x}, host code at {:#x}, {} bytes\n{}\n",
                block.address,
                block.host_len,
                block.text()
            );
            write(sink, &text);
        }
    }));
    Ok(())
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
fn observe(
    _: &mut Vcpu,
    _: usize,
    _: Option<(std::ops::Range<u64>, Sink)>,
    _: Option<Sink>,
) -> Result<(), Error> {
    Err(Error::NothingToObserve)
}
