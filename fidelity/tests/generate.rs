//! The generator: the same cases for the same seed, for every row, and cases that do something.

use skep_arm::decode::rows;
use skep_fidelity::engine;
use skep_fidelity::exempt;
use skep_fidelity::generate::Generator;
use skep_fidelity::wire::*;
use std::collections::BTreeSet;

#[test]
fn a_seed_gives_the_same_cases() {
    let batch = |seed| Generator::new(seed, 2, |_| true).batch(3);
    let (a, b, other) = (batch(7), batch(7), batch(8));
    assert_eq!(a.code, b.code);
    assert_eq!(a.states, b.states);
    assert_eq!(a.windows, b.windows);
    assert_ne!(a.code, other.code);
    assert_ne!(a.states, other.states);
}

#[test]
fn every_row_that_is_not_exempt_gets_its_turn() {
    let generator = Generator::new(1, 1, |_| true);
    let batches = rows().len() as u64 / u64::from(SLOTS) + 1;
    let made: BTreeSet<u16> = (0..batches)
        .flat_map(|number| generator.batch(number).programs)
        .map(|program| program.main().decoded.row)
        .collect();
    let wrong: Vec<&str> = (0u16..)
        .zip(rows())
        .filter(|(number, row)| made.contains(number) != exempt::row(row).is_none())
        .map(|(_, row)| row.name)
        .collect();
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn programs_stay_in_their_slots() {
    let generator = Generator::new(5, 1, |_| true);
    for program in (0..8).flat_map(|number| generator.batch(number).programs) {
        assert_eq!(program.start() % SLOT, 0);
        assert!(program.code().len() <= LONGEST as usize);
    }
}

#[test]
fn most_cases_reach_their_end() {
    let generator = Generator::new(9, 4, |_| true);
    let mut subject = engine::start("interp").expect("there is such an engine");
    let (mut cases, mut finished, mut loads) = (0, 0, [0, 0]);
    for number in 0..4 {
        let batch = generator.batch(number);
        let ends = subject.run_all(&batch.code, &batch.states, &batch.windows);
        for (before, after) in batch.states.iter().zip(&ends.states) {
            let done = after.outcome == Outcome::Finished as u32;
            cases += 1;
            finished += u32::from(done);
            if before.outcome != 0 {
                loads[usize::from(done)] += 1;
            }
            assert_ne!(after.outcome, Outcome::Other as u32);
        }
    }
    assert!(finished * 10 > cases * 8, "{finished} of {cases}");
    assert!(loads[1] > loads[0] * 4, "{loads:?}");
}

#[test]
fn floating_point_meets_every_kind_of_number_and_exception() {
    let generator = Generator::new(2, 16, |name| {
        [
            "VADD (floating-point) A2",
            "VDIV A1",
            "VMUL (floating-point) A2",
            "VSQRT A1",
        ]
        .contains(&name)
    });
    let mut subject = engine::start("interp").expect("there is such an engine");
    let batch = generator.batch(0);
    let ends = subject.run_all(&batch.code, &batch.states, &batch.windows);
    // For single and double precision: zero, denormal, normal, infinity, NaN.
    let (mut flags, mut kinds) = (0, [[0u32; 5]; 2]);
    for (before, after) in batch.states.iter().zip(&ends.states) {
        flags |= after.fpscr & !before.fpscr;
        for (old, new) in before.d.iter().zip(&after.d) {
            let changed = old ^ new;
            if changed >> 32 != 0 && changed as u32 != 0 {
                let class = f64::from_bits(*new).classify();
                kinds[1][kind(class)] += 1;
            } else if changed as u32 != 0 {
                kinds[0][kind(f32::from_bits(*new as u32).classify())] += 1;
            }
        }
    }
    // IOC, DZC, OFC, UFC, IXC, IDC.
    assert_eq!(flags & 0x9f, 0x9f, "{flags:08x}");
    assert!(kinds.iter().flatten().all(|count| *count > 0), "{kinds:?}");
}

fn kind(class: std::num::FpCategory) -> usize {
    use std::num::FpCategory::*;
    match class {
        Zero => 0,
        Subnormal => 1,
        Normal => 2,
        Infinite => 3,
        Nan => 4,
    }
}

#[test]
fn the_runner_has_the_same_memory_map() {
    let runner = include_str!("../runner/runner.c");
    let script = include_str!("../runner/runner.ld");
    let switch = include_str!("../runner/switch.S");
    for (name, value) in [
        ("CODE_BASE", CODE_BASE),
        ("CODE_SIZE", CODE_SIZE),
        ("SCRATCH_BASE", SCRATCH_BASE),
        ("SCRATCH_SIZE", SCRATCH_SIZE),
        ("SIGNAL_STACK", SIGNAL_STACK.start),
        ("MAGIC", Header::MAGIC),
    ] {
        assert!(
            runner.contains(&format!("{name} = {value:#010x},"))
                || runner.contains(&format!("{name} = {value:#x},")),
            "{name}"
        );
    }
    assert!(runner.contains(&format!("WINDOW_SIZE = {WINDOW_SIZE},")));
    assert!(runner.contains(&format!("MAX_CASES = {MAX_CASES},")));
    assert!(script.contains(&format!(". = {:#x};", EXIT_A32 & !0xfff)));
    assert!(switch.contains(&format!(".org    {:#x}", EXIT_A32 & 0xfff)));
    assert!(switch.contains(&format!(".org    {:#x}", EXIT_T32 & 0xfff)));
}
