//! Threads that serve the requests of a device while its guest goes on.
//!
//! A device takes requests from its queues when the driver notifies, and [submits](Workers::submit)
//! them as jobs. A thread does a job part by part ([`Server::step`]), without the device's lock; then
//! it locks the device and hands the request back ([`Server::finish`]), which raises the interrupt.
//! Jobs are begun in order and end in any.
//!
//! The driver may stop using a queue at any time: [`Workers::cancel`] forgets the queue's jobs, and
//! once it returns, none writes to guest memory any more, since a job sees guest memory through a gate
//! only. It waits for a part's copy at most, never for the host's input or output. While the VM is to
//! stand still, jobs stop after the part that they are at, and go on with the next afterwards.

use crate::bus::lock;
use crate::memory::GuestRam;
use crate::standstill::Standstill;
use skep_board::virtio::{Progress, QueueError};
use skep_board::{BadAddress, GuestMemory};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, Weak};
use std::thread::JoinHandle;

/// What a thread does with jobs. Each thread has a value of its own.
pub(crate) trait Server: Send + 'static {
    /// A request, with what has been done of it.
    type Job: Send + 'static;

    /// Does the next part of a job: what takes no more than some milliseconds.
    fn step(
        &mut self,
        job: &mut Self::Job,
        memory: &dyn GuestMemory,
    ) -> Result<Progress, QueueError>;

    /// Hands the request back, under the device's lock; an error is what was wrong with its queue.
    fn finish(&mut self, job: Self::Job, result: Result<(), QueueError>);
}

/// The threads of a device.
pub(crate) struct Workers<S: Server> {
    pool: Arc<Pool<S>>,
}

struct Pool<S: Server> {
    name: String,
    limit: usize,
    make: Box<dyn Fn() -> S + Send + Sync>,
    ram: Arc<GuestRam>,
    standstill: Arc<Standstill>,
    /// For each queue, how often it was cancelled.
    gates: Vec<RwLock<u64>>,
    state: Mutex<State<S::Job>>,
    submitted: Condvar,
    ended: AtomicBool,
}

struct State<J> {
    waiting: VecDeque<Entry<J>>,
    /// Threads that wait for a job.
    idle: usize,
    threads: Vec<JoinHandle<()>>,
}

struct Entry<J> {
    job: J,
    queue: usize,
    /// The gate's count when the job was submitted.
    count: u64,
}

/// Guest memory as long as a queue is not cancelled.
struct Gated<'a> {
    ram: &'a GuestRam,
    gate: &'a RwLock<u64>,
    count: u64,
}

impl Gated<'_> {
    /// Does something that changes guest memory. What a cancelled job does has no effect.
    fn change(
        &self,
        act: impl FnOnce(&GuestRam) -> Result<(), BadAddress>,
    ) -> Result<(), BadAddress> {
        let gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        if *gate == self.count {
            act(self.ram)
        } else {
            Ok(())
        }
    }
}

impl GuestMemory for Gated<'_> {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), BadAddress> {
        self.ram.read(addr, buf)
    }

    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), BadAddress> {
        self.change(|ram| ram.write(addr, buf))
    }

    fn read_u16_acquire(&self, addr: u64) -> Result<u16, BadAddress> {
        self.ram.read_u16_acquire(addr)
    }

    fn write_u16_release(&self, addr: u64, value: u16) -> Result<(), BadAddress> {
        self.change(|ram| ram.write_u16_release(addr, value))
    }
}

impl<S: Server> Workers<S> {
    /// Up to `limit` threads for a device with so many queues, each with a server from `make`. They
    /// are started when there are jobs for them. The name is for people who look at threads.
    pub fn new(
        name: String,
        limit: usize,
        queues: usize,
        ram: Arc<GuestRam>,
        standstill: Arc<Standstill>,
        make: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        Workers {
            pool: Arc::new(Pool {
                name,
                limit,
                make: Box::new(make),
                ram,
                standstill,
                gates: (0..queues).map(|_| RwLock::new(0)).collect(),
                state: Mutex::new(State {
                    waiting: VecDeque::new(),
                    idle: 0,
                    threads: Vec::new(),
                }),
                submitted: Condvar::new(),
                ended: AtomicBool::new(false),
            }),
        }
    }

    /// Has a thread serve a job. It comes back if there is no thread and the host can't start one.
    pub fn submit(&self, queue: usize, job: S::Job) -> Result<(), S::Job> {
        let pool = &self.pool;
        let Some(gate) = pool.gates.get(queue) else {
            return Err(job);
        };
        let count = *gate.read().unwrap_or_else(PoisonError::into_inner);
        let mut state = lock(&pool.state);
        if state.idle <= state.waiting.len() && state.threads.len() < pool.limit {
            let thread = std::thread::Builder::new().name(pool.name.clone());
            let worker = pool.clone();
            match thread.spawn(move || worker.run()) {
                Ok(thread) => state.threads.push(thread),
                Err(_) if state.threads.is_empty() => return Err(job),
                Err(_) => {}
            }
        }
        state.waiting.push_back(Entry { job, queue, count });
        drop(state);
        pool.submitted.notify_one();
        Ok(())
    }

    /// Forgets all jobs of a queue. Once this returns, they leave guest memory alone.
    pub fn cancel(&self, queue: usize) {
        if let Some(gate) = self.pool.gates.get(queue) {
            *gate.write().unwrap_or_else(PoisonError::into_inner) += 1;
        }
        lock(&self.pool.state)
            .waiting
            .retain(|entry| entry.queue != queue);
    }
}

impl<S: Server> Drop for Workers<S> {
    /// Ends the threads after the parts that they are at.
    fn drop(&mut self) {
        self.pool.ended.store(true, SeqCst);
        let mut state = lock(&self.pool.state);
        state.waiting.clear();
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        self.pool.submitted.notify_all();
        self.pool.standstill.look_again();
        for thread in threads {
            // One of them may be who drops the device.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl<S: Server> Pool<S> {
    fn ended(&self) -> bool {
        self.ended.load(SeqCst)
    }

    /// A thread's life.
    fn run(&self) {
        let mut server = (self.make)();
        while let Some(entry) = self.next() {
            self.serve(&mut server, entry);
        }
    }

    /// Waits for a job; None when the threads are to end.
    fn next(&self) -> Option<Entry<S::Job>> {
        let mut state = lock(&self.state);
        loop {
            if self.ended() {
                return None;
            }
            if let Some(entry) = state.waiting.pop_front() {
                return Some(entry);
            }
            state.idle += 1;
            state = self
                .submitted
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn serve(&self, server: &mut S, entry: Entry<S::Job>) {
        let Entry {
            mut job,
            queue,
            count,
        } = entry;
        let Some(gate) = self.gates.get(queue) else {
            return;
        };
        let memory = Gated {
            ram: &self.ram,
            gate,
            count,
        };
        loop {
            let Some(_at_work) = self.standstill.work(|| self.ended()) else {
                return;
            };
            if *gate.read().unwrap_or_else(PoisonError::into_inner) != count {
                return;
            }
            let result = match server.step(&mut job, &memory) {
                Ok(Progress::More) => continue,
                Ok(Progress::Done) => Ok(()),
                Err(error) => Err(error),
            };
            return server.finish(job, result);
        }
    }
}

/// Reaches a device from its threads, without keeping it alive.
pub(crate) struct Device<D: ?Sized>(Weak<Mutex<D>>);

impl<D> Device<D> {
    /// The device that is being built.
    pub fn new(weak: &Weak<Mutex<D>>) -> Self {
        Device(weak.clone())
    }

    /// Does something with the device, if it is still there.
    pub fn with<R>(&self, act: impl FnOnce(&mut D) -> R) -> Option<R> {
        let device = self.0.upgrade()?;
        let result = act(&mut lock(&device));
        Some(result)
    }
}

impl<D> Clone for Device<D> {
    fn clone(&self) -> Self {
        Device(self.0.clone())
    }
}

#[cfg(test)]
mod tests;
