//! Interrupt wiring: devices' lines to the interrupt controller, its outputs to the vCPUs.

use skep_board::IrqLine;
use skep_board::gic::Gic;
use skep_interp::Cluster;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

/// The interrupt controller with its outputs connected.
pub struct Interrupts {
    gic: Mutex<Wired>,
    cluster: Arc<Cluster>,
    sleepers: Vec<Mutex<Option<Thread>>>,
}

struct Wired {
    gic: Gic,
    /// The IRQ and FIQ outputs as last driven, a bit for each CPU.
    irq: u8,
    fiq: u8,
}

impl Interrupts {
    /// A controller for the vCPUs of `cluster`.
    pub fn new(cpus: usize, cluster: Arc<Cluster>) -> Arc<Self> {
        Arc::new(Interrupts {
            gic: Mutex::new(Wired {
                gic: Gic::new(cpus),
                irq: 0,
                fiq: 0,
            }),
            cluster,
            sleepers: (0..cpus).map(|_| Mutex::new(None)).collect(),
        })
    }

    /// Does something with the controller, then drives its outputs.
    pub fn with<R>(&self, f: impl FnOnce(&mut Gic) -> R) -> R {
        let mut wired = self.gic.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(&mut wired.gic);
        let (irq, fiq) = (wired.gic.irq_outputs(), wired.gic.fiq_outputs());
        let mut changed = (irq ^ wired.irq) | (fiq ^ wired.fiq);
        (wired.irq, wired.fiq) = (irq, fiq);
        while changed != 0 {
            let cpu = changed.trailing_zeros() as usize;
            changed &= changed - 1;
            if let Some(control) = self.cluster.control(cpu) {
                control.set_irq(irq >> cpu & 1 != 0);
                control.set_fiq(fiq >> cpu & 1 != 0);
            }
            if (irq | fiq) >> cpu & 1 != 0 {
                self.wake(cpu);
            }
        }
        result
    }

    /// Names the thread that runs a vCPU, so that an interrupt ends its sleep.
    pub fn set_sleeper(&self, cpu: usize, thread: Option<Thread>) {
        if let Some(slot) = self.sleepers.get(cpu) {
            *lock(slot) = thread;
        }
    }

    /// Ends the sleep of a vCPU's thread.
    pub fn wake(&self, cpu: usize) {
        if let Some(slot) = self.sleepers.get(cpu)
            && let Some(thread) = &*lock(slot)
        {
            thread.unpark();
        }
    }

    /// Makes every vCPU leave the interpreter, and ends its sleep.
    pub fn kick_all(&self) {
        for (cpu, control) in self.cluster.controls().enumerate() {
            control.kick();
            self.wake(cpu);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A device's interrupt line to a shared peripheral interrupt.
#[derive(Clone)]
pub struct Spi {
    /// The controller.
    pub interrupts: Arc<Interrupts>,
    /// The SPI's number (interrupt ID minus 32).
    pub number: u32,
}

impl IrqLine for Spi {
    fn set(&self, level: bool) {
        self.interrupts.with(|gic| gic.set_spi(self.number, level));
    }
}
