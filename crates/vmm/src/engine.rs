//! The engines that execute a vCPU, behind one face.

use crate::bus::Bus;
use crate::config::VmConfig;
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

/// What an engine did for a vCPU since the VM was built.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct EngineStats {
    /// What every engine counts.
    pub common: Stats,
    /// What only the translator counts.
    pub translator: Option<TranslatorStats>,
}

/// What the translator counts.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TranslatorStats {
    /// Instructions are counted ([`VmConfig::count`]): all, rather than those that the interpreter
    /// executed.
    pub counts: bool,
    /// Blocks translated, and the guest instructions in them.
    pub blocks: (u64, u64),
    /// Blocks copied from those of the same code at another address.
    pub copied: u64,
    /// Bytes of host code in the cache.
    pub code_bytes: u64,
    /// Times that the cache was full and was emptied.
    pub flushes: u64,
    /// Blocks dropped because their code was written.
    pub invalidated: u64,
    /// Instructions that the interpreter executed in blocks of its own, before they were translated.
    pub interpreted: u64,
    /// Instructions that translated blocks handed to the interpreter.
    pub handed_over: u64,
    /// Entries made in the tables that loads and stores look at.
    pub fills: u64,
    /// Contexts that got a window, because they executed long.
    pub windows: u64,
    /// Mappings made in windows.
    pub mappings: u64,
    /// Accesses that did not find their page in a window.
    pub window_faults: u64,
    /// Floating-point instructions at which the host raised an exception.
    pub float_exceptions: u64,
    /// Returns of generated code.
    pub leaves: Leaves,
    /// The instructions that were handed over most: the manual's name, and how often; most first.
    pub most_handed_over: Vec<(&'static str, u64)>,
}

/// How often generated code returned, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Leaves {
    /// An input of the vCPU, or a page that is mapped elsewhere now.
    pub inputs: u64,
    /// A jump that is not linked.
    pub unlinked: u64,
    /// An indirect branch whose target the jump cache does not know.
    pub indirect: u64,
    /// An instruction that the interpreter executed went elsewhere than to the next.
    pub after_interpreter: u64,
    /// A block that the interpreter is to execute.
    pub to_interpreter: u64,
}

/// How many instructions [`TranslatorStats::most_handed_over`] has at most.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
const MOST_HANDED_OVER: usize = 10;

/// A vCPU in its engine.
pub(crate) enum Vcpu {
    Interp(Box<skep_interp::Vcpu<Bus>>),
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Jit(skep_jit::Vcpu<Bus>),
}

impl Vcpu {
    /// A vCPU with this state, in the engine of a configuration.
    ///
    /// # Errors
    /// [`Error::Engine`]: the host can't run this engine.
    pub fn new(
        config: &VmConfig,
        state: CpuState,
        bus: Arc<Bus>,
        cluster: Arc<Cluster>,
    ) -> Result<Self, Error> {
        match config.engine {
            Engine::Interp => {}
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Engine::Auto | Engine::Jit => {
                let config = skep_jit::Config {
                    count: config.count,
                    for_profiler: config.perf_map,
                    ..skep_jit::Config::default()
                };
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

    /// Instructions executed.
    pub fn instructions(&self) -> u64 {
        match self {
            Vcpu::Interp(vcpu) => vcpu.stats().instructions,
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Vcpu::Jit(vcpu) => vcpu.stats().common.instructions,
        }
    }

    pub fn stats(&self) -> EngineStats {
        match self {
            Vcpu::Interp(vcpu) => EngineStats {
                common: vcpu.stats(),
                translator: None,
            },
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Vcpu::Jit(vcpu) => {
                let stats = vcpu.stats();
                let [
                    inputs,
                    unlinked,
                    indirect,
                    after_interpreter,
                    to_interpreter,
                ] = stats.leaves;
                EngineStats {
                    common: stats.common,
                    translator: Some(TranslatorStats {
                        counts: vcpu.counts(),
                        blocks: (stats.translated, stats.translated_instructions),
                        copied: stats.copied,
                        code_bytes: stats.code,
                        flushes: stats.flushes,
                        invalidated: stats.invalidated,
                        interpreted: stats.interpreted,
                        handed_over: stats.handed_over,
                        fills: stats.fills,
                        windows: stats.windows,
                        mappings: stats.mappings,
                        window_faults: stats.window_faults,
                        float_exceptions: stats.float_exceptions,
                        leaves: Leaves {
                            inputs,
                            unlinked,
                            indirect,
                            after_interpreter,
                            to_interpreter,
                        },
                        most_handed_over: vcpu.most_handed_over(MOST_HANDED_OVER),
                    }),
                }
            }
        }
    }
}
