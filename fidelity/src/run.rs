//! A run: batch after batch through the engine and the oracle, side by side.

use crate::check::{Bench, Case, Final, same, same_state, touches_oracle};
use crate::engine::{Engine, Subject};
use crate::exempt;
use crate::generate::{Batch, Generator};
use crate::oracle::{Oracle, OracleError, Results};
use crate::report::Report;
use crate::wire::{SCRATCH_BASE, WINDOW_BASE, WINDOW_SIZE};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How much to run.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Cases, rounded up to whole batches.
    pub cases: u64,
    /// Time.
    pub time: Duration,
}

/// A difference, as found.
pub struct Difference {
    /// The case's number: with the seed, all there is to say.
    pub number: u64,
    /// The case.
    pub case: Case,
    /// What the engine and the oracle made of it in its batch.
    pub ends: (Final, Final),
}

/// What a run came to.
pub struct Run {
    /// The figures.
    pub report: Report,
    /// The first difference of each row.
    pub differences: Vec<Difference>,
}

type Answer = (Batch, Result<Results, OracleError>);

/// Compares batches until a limit is reached. Generation and the engine work on one batch while the
/// oracle works on the one before.
///
/// # Errors
/// When the oracle ended.
pub fn run(
    generator: &Generator,
    subject: &mut Subject<dyn Engine>,
    limits: Limits,
    mut progress: impl FnMut(&Report),
) -> Result<(Run, Oracle), OracleError> {
    let mut oracle = Oracle::start()?;
    let (send, work) = sync_channel::<Batch>(1);
    let (answer, results) = sync_channel::<Answer>(1);
    let worker = thread::spawn(move || {
        for batch in work {
            let result = oracle.run(&batch);
            if answer.send((batch, result)).is_err() {
                break;
            }
        }
        oracle
    });
    let outcome = drive(generator, subject, limits, send, results, &mut progress);
    // The worker ends with the channel; it does not panic.
    let oracle = worker
        .join()
        .map_err(|_| OracleError::Host(std::io::Error::other("the oracle's thread stopped")))?;
    outcome.map(|run| (run, oracle))
}

fn drive(
    generator: &Generator,
    subject: &mut Subject<dyn Engine>,
    limits: Limits,
    send: SyncSender<Batch>,
    results: Receiver<Answer>,
    progress: &mut impl FnMut(&Report),
) -> Result<Run, OracleError> {
    let mut run = Run {
        report: Report::default(),
        differences: Vec::new(),
    };
    let started = Instant::now();
    let batches = limits.cases.div_ceil(generator.cases_per_batch());
    let mut waiting: Option<Results> = None;
    let stopped = || OracleError::Host(std::io::Error::other("the oracle's thread stopped"));
    for number in 0.. {
        let more = number < batches && started.elapsed() < limits.time;
        let next = more.then(|| {
            let mut batch = generator.batch(number);
            let ours = prepare(&mut batch, subject, &mut run.report);
            (batch, ours)
        });
        if let Some(ours) = waiting.take() {
            let (batch, theirs) = results.recv().map_err(|_| stopped())?;
            let theirs = theirs?;
            compare(generator, &batch, &ours, &theirs, &mut run);
            if stray_store(&ours.scratch, &theirs.scratch) {
                run.report.stray.push(batch.number);
            }
            progress(&run.report);
        }
        let Some((batch, ours)) = next else { break };
        waiting = Some(ours);
        send.send(batch).map_err(|_| stopped())?;
    }
    Ok(run)
}

/// Runs a batch in the engine, and takes out of it what the oracle cannot run.
fn prepare(batch: &mut Batch, subject: &mut Subject<dyn Engine>, report: &mut Report) -> Results {
    let all = subject.run_all(&batch.code, &batch.states, &batch.windows);
    let mut ours = Results {
        scratch: all.scratch,
        ..Results::default()
    };
    let before = std::mem::take(&mut batch.states);
    let windows = std::mem::take(&mut batch.windows);
    let origins = std::mem::take(&mut batch.origins);
    for ((mut state, after), origin) in before.into_iter().zip(all.states).zip(origins) {
        if touches_oracle(&after) {
            report.dropped += 1;
            continue;
        }
        if let Some(at) = (state.outcome as usize).checked_sub(1) {
            batch.windows.push(windows[at]);
            ours.windows.push(all.windows[at]);
            state.outcome = batch.windows.len() as u32;
        }
        batch.states.push(state);
        batch.origins.push(origin);
        ours.states.push(after);
    }
    ours
}

fn compare(generator: &Generator, batch: &Batch, ours: &Results, theirs: &Results, run: &mut Run) {
    for (at, (a, b)) in ours.states.iter().zip(&theirs.states).enumerate() {
        let main = &batch.program(at).main().decoded;
        run.report.count(main.row, &main.insn, a.outcome);
        let window = (batch.states[at].outcome as usize).checked_sub(1);
        let same_window = window.is_none_or(|w| ours.windows[w] == theirs.windows[w]);
        if same_state(a, b) && same_window {
            continue;
        }
        if exempt::result(batch.program(at).main(), a, b).is_some() {
            run.report.exempt += 1;
            continue;
        }
        let of_row = run.report.differences.entry(main.row).or_default();
        *of_row += 1;
        if *of_row == 1 {
            let end = |results: &Results| Final {
                state: results.states[at],
                window: window.map(|w| results.windows[w]),
            };
            run.differences.push(Difference {
                ends: (end(ours), end(theirs)),
                number: batch.number * generator.cases_per_batch() + u64::from(batch.origins[at].0),
                case: Case::of(batch, at),
            });
        }
    }
}

/// Whether one of the two wrote to data outside the window, in this batch or an earlier one: nothing
/// puts back what was there.
fn stray_store(ours: &[u8], theirs: &[u8]) -> bool {
    let window = (WINDOW_BASE - SCRATCH_BASE) as usize;
    let end = window + WINDOW_SIZE;
    ours[..window] != theirs[..window] || ours[end..] != theirs[end..]
}

/// A case by its number, as it was generated.
pub fn case(generator: &Generator, number: u64) -> Case {
    let batch = generator.batch(number / generator.cases_per_batch());
    Case::of(&batch, (number % generator.cases_per_batch()) as usize)
}

/// The first case of a batch on which the oracle ends.
///
/// # Errors
/// When the oracle does not start.
pub fn fatal_case(
    generator: &Generator,
    subject: &mut Subject<dyn Engine>,
    batch: u64,
) -> Result<Option<Case>, OracleError> {
    let mut oracle = Oracle::start()?;
    let batch = generator.batch(batch);
    for at in 0..batch.states.len() {
        let case = Case::of(&batch, at);
        let mut bench = Bench {
            subject,
            oracle: &mut oracle,
        };
        match bench.run(&case) {
            Err(OracleError::Died { .. }) => return Ok(Some(case)),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    Ok(None)
}

/// A difference as text: the smallest form of the case, and both ends. A case that differs only
/// where it was, after the cases before it, is given as it is.
///
/// # Errors
/// When the oracle ended.
pub fn explain(bench: &mut Bench<'_>, difference: &Difference) -> Result<String, OracleError> {
    let case = bench.shrink(difference.case.clone())?;
    if let Some((ours, theirs)) = bench.run(&case)?
        && !same(&ours, &theirs)
    {
        return Ok(format!("{}{}", case.listing(), case.table(&ours, &theirs)));
    }
    let case = &difference.case;
    let (ours, theirs) = &difference.ends;
    Ok(format!(
        "{}{}    not alone, only after the batch's cases before it\n",
        case.listing(),
        case.table(ours, theirs)
    ))
}
