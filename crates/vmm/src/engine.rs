//! The engines that execute a vCPU, behind one face.

use crate::bus::Bus;
use crate::error::Error;
use skep_arm::state::CpuState;
use skep_interp::{Cluster, Exit, Stats};
use std::sync::Arc;

/// How guest code is executed. What a guest can see is the same; how fast it runs differs.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Engine {
    /// The fastest that the host has: translation on x86-64, interpretation elsewhere.
    #[default]
    Auto,
    /// Interpretation.
    Interp,
    /// Translation to the host's code; x86-64 only.
    Jit,
}

/// A vCPU in its engine.
pub(crate) enum Vcpu {
    Interp(Box<skep_interp::Vcpu<Bus>>),
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Jit(skep_jit::Vcpu<Bus>),
}

impl Vcpu {
    /// A vCPU with this state.
    ///
    /// # Errors
    /// [`Error::Engine`]: the host can't run this engine.
    pub fn new(
        engine: Engine,
        state: CpuState,
        bus: Arc<Bus>,
        cluster: Arc<Cluster>,
    ) -> Result<Self, Error> {
        match engine {
            Engine::Interp => {}
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Engine::Auto | Engine::Jit => {
                let config = skep_jit::Config::default();
                return skep_jit::Vcpu::new(state, bus, cluster, config)
                    .map(Vcpu::Jit)
                    .map_err(Error::Engine);
            }
            #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
            Engine::Auto => {}
            #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
            Engine::Jit => return Err(Error::Engine(std::io::ErrorKind::Unsupported.into())),
        }
        Ok(Vcpu::Interp(Box::new(skep_interp::Vcpu::new(
            state, bus, cluster,
        ))))
    }

    /// Runs for about `budget` instructions, or, in the translator, until a tick.
    pub fn run(&mut self, budget: u64) -> Exit {
        match self {
            Vcpu::Interp(vcpu) => vcpu.run(budget),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Vcpu::Jit(vcpu) => vcpu.run(u64::MAX),
        }
    }

    /// It counts no budget: [`crate::ticker`] must interrupt it.
    pub fn needs_ticks(&self) -> bool {
        !matches!(self, Vcpu::Interp(_))
    }

    pub fn state(&self) -> &CpuState {
        match self {
            Vcpu::Interp(vcpu) => vcpu.state(),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Vcpu::Jit(vcpu) => vcpu.state(),
        }
    }

    pub fn state_mut(&mut self) -> &mut CpuState {
        match self {
            Vcpu::Interp(vcpu) => vcpu.state_mut(),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Vcpu::Jit(vcpu) => vcpu.state_mut(),
        }
    }

    pub fn stats(&self) -> Stats {
        match self {
            Vcpu::Interp(vcpu) => vcpu.stats(),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Vcpu::Jit(vcpu) => vcpu.stats().common,
        }
    }
}
