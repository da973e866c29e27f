//! Shared directories: the thread that serves one.
//!
//! It is started when the guest first asks for something: then the VM runs, and what its process has
//! given up by then, its threads have given up, too.

use crate::bus::lock;
use crate::config::Share;
use crate::error::Error;
use crate::irq::Spi;
use crate::memory::GuestRam;
use crate::standstill::Standstill;
use skep_board::virtio::Transport;
use skep_board::virtio::fs::{Fs, Wake};
use skep_share::wire::{MAX_IO, MAX_MESSAGE, OUT_HEADER};
use skep_share::{Limits, Server};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

/// A shared directory's device.
pub(super) type Device = Transport<Fs<Bell>, GuestRam, Spi>;

/// What the device tells its thread.
#[derive(Default)]
struct Wanted {
    /// There may be requests.
    requests: bool,
    /// The device is gone.
    end: bool,
}

#[derive(Default)]
struct Signal {
    wanted: Mutex<Wanted>,
    changed: Condvar,
    /// What has no thread yet.
    worker: Mutex<Option<Worker>>,
}

/// Wakes the thread, and ends it when the device is dropped.
pub(super) struct Bell(Arc<Signal>);

impl Bell {
    fn ring(&self, set: impl FnOnce(&mut Wanted)) {
        set(&mut lock(&self.0.wanted));
        self.0.changed.notify_one();
    }
}

impl Wake for Bell {
    fn wake(&self) {
        self.ring(|wanted| wanted.requests = true);
        if let Some(worker) = &*lock(&self.0.worker) {
            let thread = std::thread::Builder::new().name(worker.name.clone());
            let signal = self.0.clone();
            // Should the host have no thread now, the guest's next request finds one, maybe.
            let _ = thread.spawn(move || {
                let worker = lock(&signal.worker).take();
                if let Some(worker) = worker {
                    worker.run();
                }
            });
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.ring(|wanted| wanted.end = true);
        // It has the signal, too.
        lock(&self.0.worker).take();
    }
}

/// A shared directory's device, which a thread serves for as long as it is there. The transport is made
/// around what it is given.
pub(super) fn device(
    share: &Share,
    limits: Limits,
    ram: &Arc<GuestRam>,
    standstill: &Arc<Standstill>,
    transport: impl FnOnce(Fs<Bell>) -> Device,
) -> Result<Arc<Mutex<Device>>, Error> {
    let server =
        Server::new(&share.path, share.read_only, limits).map_err(|source| Error::Share {
            path: share.path.clone(),
            source,
        })?;
    let signal = Arc::new(Signal::default());
    let fs = Fs::new(&share.tag, Bell(signal.clone()));
    let device = Arc::new(Mutex::new(transport(fs)));
    let worker = Worker {
        name: format!("share {}", share.tag),
        signal: signal.clone(),
        device: Arc::downgrade(&device),
        ram: ram.clone(),
        standstill: standstill.clone(),
        server,
        session: 0,
        message: Vec::new(),
        reply: Vec::new(),
    };
    *lock(&signal.worker) = Some(worker);
    Ok(device)
}

/// What the thread has.
struct Worker {
    /// The thread's.
    name: String,
    signal: Arc<Signal>,
    device: Weak<Mutex<Device>>,
    ram: Arc<GuestRam>,
    standstill: Arc<Standstill>,
    server: Server,
    session: u64,
    message: Vec<u8>,
    reply: Vec<u8>,
}

impl Worker {
    fn run(mut self) {
        while self.wait() {
            while self.may_work() && self.step() {}
        }
    }

    /// Waits while the VM is to stand still; false when the device is gone.
    fn may_work(&self) -> bool {
        /// How often the end of a standstill is looked for.
        const LOOK: Duration = Duration::from_millis(10);
        let mut wanted = lock(&self.signal.wanted);
        while !wanted.end && self.standstill.put_off() {
            let waited = self.signal.changed.wait_timeout(wanted, LOOK);
            (wanted, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        !wanted.end
    }

    /// Waits for requests; false when there will be none any more.
    fn wait(&self) -> bool {
        let mut wanted = lock(&self.signal.wanted);
        loop {
            if wanted.end {
                return false;
            }
            if std::mem::take(&mut wanted.requests) {
                return true;
            }
            wanted = self
                .signal
                .changed
                .wait(wanted)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Serves a request; false if there is none.
    fn step(&mut self) -> bool {
        let Some(device) = self.device.upgrade() else {
            return false;
        };
        let Some(request) = lock(&device).take() else {
            return false;
        };
        if request.session() != self.session {
            self.session = request.session();
            self.server.reset();
        }
        // The device is free while the host's files are not.
        if let Err(error) = request.read(&*self.ram, MAX_MESSAGE, &mut self.message) {
            lock(&device).refuse(error);
            return false;
        }
        let room = request.room().min((OUT_HEADER + MAX_IO) as u64) as usize;
        self.server.serve(&self.message, room, &mut self.reply);
        lock(&device).finish(request, &self.reply);
        true
    }
}
