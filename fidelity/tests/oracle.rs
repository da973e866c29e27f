//! The engine against QEMU. These tests need `qemu-arm` and a compiler for ARM: `cargo xtask test`
//! installs them and runs the tests.

use skep_arm::state::{CpuState, psr};
use skep_fidelity::engine::{self, Bare, Engine};
use skep_fidelity::generate::Generator;
use skep_fidelity::run::{self, Limits};
use skep_interp::{Cluster, Vcpu};
use std::time::Duration;

/// The share of the comparison that every change must pass, for each engine.
const CASES: u64 = 4_000_000;
const SEED: u64 = 20;

fn agrees_with_qemu_on_every_row(name: &str) {
    let generator = Generator::new(SEED, 16, |_| true);
    let mut subject = engine::start(name).expect("there is such an engine");
    let limits = Limits {
        cases: CASES,
        time: Duration::from_secs(600),
    };
    let (run, _) = run::run(&generator, &mut subject, limits, |_| {}).expect("the oracle runs");
    println!("{}", run.report);
    assert!(
        run.report.agrees(),
        "see cargo xtask fidelity --engine {name} --seed {SEED} --cases {CASES}"
    );
    assert!(run.report.cases > CASES * 9 / 10);
    assert_eq!(run.report.missing(generator.rows(), 1000), []);
}

#[test]
#[ignore = "needs qemu-arm"]
fn the_interpreter_agrees_with_qemu() {
    agrees_with_qemu_on_every_row("interp");
}

#[test]
#[ignore = "needs qemu-arm"]
fn the_translator_agrees_with_qemu() {
    agrees_with_qemu_on_every_row("jit");
}

#[test]
#[ignore = "needs qemu-arm"]
fn the_translator_agrees_with_qemu_through_windows() {
    agrees_with_qemu_on_every_row("window");
}

/// An engine with one mistake: saturation does not set Q.
struct Forgetful(Vcpu<Bare>);

impl Engine for Forgetful {
    fn state(&mut self) -> &mut CpuState {
        self.0.state_mut()
    }

    fn run(&mut self) -> bool {
        let q = self.state().cpsr & psr::Q;
        let ended = Engine::run(&mut self.0);
        if ended && self.state().privileged() {
            let spsr = self.state().spsr();
            self.state().set_spsr(spsr & !psr::Q | q);
        }
        ended
    }
}

#[test]
#[ignore = "needs qemu-arm"]
fn a_mistake_is_found_and_made_small() {
    let generator = Generator::new(SEED, 16, |name| name == "QADD A1" || name == "SADD16 A1");
    let mut subject = engine::with(|state, machine| {
        Box::new(Forgetful(Vcpu::new(state, machine, Cluster::new(1))))
    });
    let limits = Limits {
        cases: 8192,
        time: Duration::from_secs(60),
    };
    let (run, mut oracle) =
        run::run(&generator, &mut subject, limits, |_| {}).expect("the oracle runs");
    // Only one of the two rows saturates.
    assert_eq!(run.report.differences.len(), 1);
    let mut bench = skep_fidelity::check::Bench {
        subject: &mut subject,
        oracle: &mut oracle,
    };
    let difference = &run.differences[0];
    let case = bench
        .shrink(difference.case.clone())
        .expect("the oracle runs");
    assert_eq!(case.program.insns.len(), 1);
    assert_eq!(case.state.d, [0; 32]);
    let text = run::explain(&mut bench, difference).expect("the oracle runs");
    assert!(text.contains("qadd"), "{text}");
    assert!(text.contains("* cpsr"), "{text}");
    // The case can be had again from its number.
    let again = run::case(&generator, difference.number);
    assert_eq!(again.state.regs, difference.case.state.regs);
}
