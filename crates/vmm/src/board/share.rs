//! Shared directories: the thread that serves one.
//!
//! It is started when the guest first asks for something: then the VM runs, and what its process has
//! given up by then, its threads have given up, too.

use crate::board::worker::{Device, Server as Serve, Workers};
use crate::bus::lock;
use crate::config::Share;
use crate::error::Error;
use crate::irq::Spi;
use crate::memory::GuestRam;
use crate::standstill::Standstill;
use skep_board::GuestMemory;
use skep_board::virtio::fs::{Fs, FsServer, Request};
use skep_board::virtio::{Progress, QueueError, Transport, Version};
use skep_share::wire::{MAX_IO, MAX_MESSAGE, OUT_HEADER};
use skep_share::{Limits, Server};
use std::sync::{Arc, Mutex};

/// A shared directory behind its transport.
pub(super) type ShareDevice = Transport<Fs<Backend>, GuestRam, Spi>;

/// How many requests are served at a time: what a guest does with files is an order of its own.
const THREADS: usize = 1;

/// The device's side.
pub(super) struct Backend(Workers<Worker>);

impl FsServer for Backend {
    fn hand_off(&mut self, request: Request) -> Option<Request> {
        self.0.submit(request.queue(), request).err()
    }

    fn stopped(&mut self, queue: usize) {
        self.0.cancel(queue);
    }
}

/// What the guest knows of the directory, and since when.
struct Session {
    server: Server,
    number: u64,
}

/// The thread's side.
struct Worker {
    session: Arc<Mutex<Session>>,
    device: Device<ShareDevice>,
    message: Vec<u8>,
    reply: Vec<u8>,
}

impl Serve for Worker {
    type Job = Request;

    fn step(
        &mut self,
        job: &mut Request,
        memory: &dyn GuestMemory,
    ) -> Result<Progress, QueueError> {
        job.message(memory, MAX_MESSAGE, &mut self.message)?;
        let room = job.room().min((OUT_HEADER + MAX_IO) as u64) as usize;
        let mut session = lock(&self.session);
        if session.number != job.session() {
            session.number = job.session();
            session.server.reset();
        }
        session.server.serve(&self.message, room, &mut self.reply);
        job.reply(memory, &self.reply)?;
        Ok(Progress::Done)
    }

    fn finish(&mut self, job: Request, result: Result<(), QueueError>) {
        self.device.with(|device| {
            device.serve(|_, queues| job.finish(queues, result));
        });
    }
}

/// Opens a directory, and makes the device for it.
pub(super) fn device(
    share: &Share,
    limits: Limits,
    version: Version,
    ram: &Arc<GuestRam>,
    irq: Spi,
    standstill: &Arc<Standstill>,
) -> Result<Arc<Mutex<ShareDevice>>, Error> {
    let server =
        Server::new(&share.path, share.read_only, limits).map_err(|source| Error::Share {
            path: share.path.clone(),
            source,
        })?;
    let session = Arc::new(Mutex::new(Session { server, number: 0 }));
    Ok(Arc::new_cyclic(|weak| {
        let device = Device::new(weak);
        let worker = move || Worker {
            session: session.clone(),
            device: device.clone(),
            message: Vec::new(),
            reply: Vec::new(),
        };
        let workers = Workers::new(
            format!("share {}", share.tag),
            THREADS,
            2,
            ram.clone(),
            standstill.clone(),
            worker,
        );
        let fs = Fs::new(&share.tag, Backend(workers));
        Mutex::new(Transport::new(version, fs, ram.clone(), irq))
    }))
}
