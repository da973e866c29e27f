//! `cargo xtask fidelity`: compares an engine with QEMU, instruction by instruction.

use clap::Parser;
use skep_arm::decode::rows;
use skep_fidelity::blocks;
use skep_fidelity::check::{Bench, same};
use skep_fidelity::engine;
use skep_fidelity::exempt::{EXEMPTIONS, Scope};
use skep_fidelity::generate::Generator;
use skep_fidelity::oracle::{Oracle, OracleError};
use skep_fidelity::run::{self, Difference, Limits};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Compares a processor engine with QEMU's user mode on random instances of every instruction.
#[derive(Parser)]
#[command(name = "skep-fidelity")]
struct Args {
    #[command(subcommand)]
    task: Option<Task>,
    /// The engine under test
    #[arg(long, default_value = "interp", value_parser = engine::ENGINES)]
    engine: String,
    /// What the random numbers come from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run about so many cases
    #[arg(long, default_value_t = 10_000_000)]
    cases: u64,
    /// Stop after so many seconds
    #[arg(long, default_value_t = 86_400)]
    seconds: u64,
    /// Only rows whose name contains this
    #[arg(long, default_value = "")]
    rows: String,
    /// States that each program is run in
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=32))]
    states: u32,
    /// Run one case, by its number
    #[arg(long)]
    case: Option<u64>,
    /// Print the number of cases of every row
    #[arg(long)]
    table: bool,
    /// Fail if a row has fewer cases than this
    #[arg(long, default_value_t = 0)]
    least: u64,
    /// Print the exemptions
    #[arg(long)]
    exemptions: bool,
    /// Explain at most so many differences
    #[arg(long, default_value_t = 20)]
    explain: usize,
}

/// What to do other than comparing instructions with QEMU.
#[derive(clap::Subcommand)]
enum Task {
    /// Compares the translator with the interpreter on random programs
    Blocks(BlocksArgs),
}

#[derive(clap::Args)]
struct BlocksArgs {
    /// What the random numbers come from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run so many programs
    #[arg(long, default_value_t = u64::MAX)]
    cases: u64,
    /// Stop after so many seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Run one program, by its number
    #[arg(long)]
    case: Option<u64>,
    /// Explain at most so many differences
    #[arg(long, default_value_t = 5)]
    explain: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(Task::Blocks(args)) = &args.task {
        return match compare_blocks(args) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("fidelity: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let result = if args.exemptions {
        print_exemptions();
        Ok(true)
    } else if let Some(number) = args.case {
        replay(&args, number)
    } else {
        compare(&args)
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fidelity: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print_exemptions() {
    for exemption in EXEMPTIONS {
        let scope = match exemption.scope {
            Scope::Row(holds) => {
                let count = rows().iter().filter(|row| holds(row)).count();
                format!("{count} rows")
            }
            Scope::Instance(_) => "instances".to_owned(),
            Scope::Result(_) => "results".to_owned(),
        };
        println!(
            "{} ({}; {scope}): {}",
            exemption.what, exemption.section, exemption.reason
        );
    }
}

fn generator(args: &Args) -> Generator {
    Generator::new(args.seed, args.states, |name| name.contains(&args.rows))
}

/// Prints one case; true if both sides agree.
fn replay(args: &Args, number: u64) -> Result<bool, OracleError> {
    let generator = generator(args);
    let Some(mut subject) = engine::start(&args.engine) else {
        return Ok(false);
    };
    let mut oracle = Oracle::start()?;
    let case = run::case(&generator, number);
    let mut bench = Bench {
        subject: &mut subject,
        oracle: &mut oracle,
    };
    print!("{}", case.listing());
    let Some((ours, theirs)) = bench.run(&case)? else {
        println!("the oracle cannot run it");
        return Ok(true);
    };
    print!("{}", case.table(&ours, &theirs));
    let agree = same(&ours, &theirs);
    if !agree {
        let difference = Difference {
            number,
            case,
            ends: (ours, theirs),
        };
        println!("smallest form:\n{}", run::explain(&mut bench, &difference)?);
    }
    Ok(agree)
}

/// Compares batches; true if there is no difference.
fn compare(args: &Args) -> Result<bool, OracleError> {
    let generator = generator(args);
    if generator.is_empty() {
        eprintln!("fidelity: no row is called {:?}", args.rows);
        return Ok(false);
    }
    let Some(mut subject) = engine::start(&args.engine) else {
        return Ok(false);
    };
    let limits = Limits {
        cases: args.cases,
        time: Duration::from_secs(args.seconds),
    };
    let started = Instant::now();
    let mut shown = started;
    let result = run::run(&generator, &mut subject, limits, |report| {
        if shown.elapsed() > Duration::from_secs(10) {
            shown = Instant::now();
            eprintln!(
                "{:.0} s: {} cases, {} differences",
                started.elapsed().as_secs_f32(),
                report.cases,
                report.differing()
            );
        }
    });
    if let Err(OracleError::Died { batch, .. }) = &result
        && let Some(case) = run::fatal_case(&generator, &mut subject, *batch)?
    {
        eprint!("the runner does not survive\n{}", case.listing());
    }
    let (run, mut oracle) = result?;
    let seconds = started.elapsed().as_secs_f64();
    let mut bench = Bench {
        subject: &mut subject,
        oracle: &mut oracle,
    };
    for difference in run.differences.iter().take(args.explain) {
        let main = difference.case.program.main();
        let row = &rows()[usize::from(main.decoded.row)];
        println!(
            "difference in {} ({:?}); again: cargo xtask fidelity --engine {} --seed {} --states {} --rows {:?} --case {}",
            row.name, row.set, args.engine, args.seed, args.states, args.rows, difference.number
        );
        println!("{}", run::explain(&mut bench, difference)?);
    }
    if args.table {
        print!("{}", run.report.coverage());
    }
    print!("{}", run.report);
    println!(
        "  time: {seconds:.1} s, {:.0} cases a second",
        run.report.cases as f64 / seconds
    );
    for (row, count) in &run.report.differences {
        let row = &rows()[usize::from(*row)];
        println!("  {count:8} differences: {:?} {}", row.set, row.name);
    }
    let missing = run.report.missing(generator.rows(), args.least);
    for row in &missing {
        let row = &rows()[usize::from(*row)];
        println!("  too few cases: {:?} {}", row.set, row.name);
    }
    Ok(run.report.agrees() && missing.is_empty())
}

/// Compares the engines on programs; true if there is no difference.
fn compare_blocks(args: &BlocksArgs) -> std::io::Result<bool> {
    let generator = blocks::generate::Generator::new(args.seed);
    let mut bench = blocks::check::Bench::new()?;
    let numbers = match args.case {
        Some(number) => number..number + 1,
        None => 0..args.cases,
    };
    let started = Instant::now();
    let time = Duration::from_secs(args.seconds);
    let (tally, differences) =
        blocks::check::run(&mut bench, &generator, numbers, time, args.explain);
    for difference in &differences {
        println!(
            "difference; again: cargo xtask fidelity blocks --seed {} --case {}\n{}",
            args.seed, difference.number, difference.text
        );
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "blocks: {} programs in {seconds:.1} s ({:.0} a second), {} instructions ({:.1} million a \
         minute), {} programs without an end, {} differences",
        tally.programs,
        tally.programs as f64 / seconds,
        tally.instructions,
        tally.instructions as f64 / seconds * 60e-6,
        tally.endless,
        differences.len()
    );
    let [_, undefined, calls, prefetch, data, _, irq, fiq] = tally.exceptions;
    println!(
        "  exceptions: {undefined} Undefined Instruction, {calls} Supervisor Call, {prefetch} \
         Prefetch Abort, {data} Data Abort, {irq} IRQ, {fiq} FIQ; {} FIQs without a trace",
        tally.fast
    );
    for stats in bench.stats() {
        println!(
            "  translator: {} blocks, {} copied, {} dropped, {} flushes, {} instructions handed over, {} \
             interpreted, {} windows with {} mappings, leaves {:?}",
            stats.translated,
            stats.copied,
            stats.invalidated,
            stats.flushes,
            stats.handed_over,
            stats.interpreted,
            stats.windows,
            stats.mappings,
            stats.leaves
        );
    }
    Ok(differences.is_empty())
}
