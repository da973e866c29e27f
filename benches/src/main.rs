//! Compares Skep with `qemu-system-arm` and with the host: `cargo xtask bench`.
//!
//! Both emulators boot the same kernel and the same archives, in turn, and the archives' init
//! (`guest/main.c`) measures itself and other programs. The host runs the same source.

mod emulator;
mod guest;
mod history;
mod pressure;
mod programs;
mod run;
mod table;
mod waiting;

use emulator::{Emulator, Guest, Unpacked};
use history::History;
use pressure::Pressure;
use run::{Row, Rows};
use std::path::{Path, PathBuf};
use std::process::Command;
use table::Comparison;

const USAGE: &str = "\
usage: cargo xtask bench [OPTION]...

  --quick          a part of the rows, each for a shorter time
  --rows LIST      these rows or groups only, with commas between them
  --rounds N       the best of N rounds (1)
  --engine ENGINE  Skep's engine (jit)
  --skep FILE      Skep's binary (target/release/skep)
  --stats          let Skep print what its engine did
  --record         add the result to benches/results";

/// What went wrong, as a sentence.
type Failure = String;

/// The least time of a row, milliseconds: usually, and to be quick.
const ROW_MS: (u32, u32) = (300, 60);

/// How often boots and programs are repeated, which are no samples: usually. The best counts.
const REPEATS: u32 = 2;

/// How often the host runs programs: they take a tenth of the time.
const NATIVE_ROUNDS: u32 = 3;

/// The bare-metal guest of the rows for single operations: `cargo xtask guests` compiles it.
const BARE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../target/guests/armv7a-none-eabi/release/bench"
);

/// What is measured to be quick: rows and groups.
const QUICK: &str = "integer,sort,states,bytecode,sha256,chase,memcpy,self-modifying,atomic,\
    nbody-f64,simd-f32,simd-integer,getppid,page-fault,fork-exec,pipe,gzip,sqlite3,\
    python3,spawn,boot-kernel,bare";

#[derive(Clone)]
struct Options {
    skep: PathBuf,
    engine: String,
    rounds: u32,
    row_ms: u32,
    repeats: u32,
    rows: Option<String>,
    record: bool,
    stats: bool,
}

fn main() -> std::process::ExitCode {
    match options().and_then(|options| compare(&options)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("skep-bench: {failure}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, Failure> {
    let mut options = Options {
        skep: "target/release/skep".into(),
        engine: "jit".into(),
        rounds: 1,
        row_ms: ROW_MS.0,
        repeats: REPEATS,
        rows: None,
        record: false,
        stats: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let mut value = || args.next().ok_or(USAGE);
        match name.as_str() {
            "--quick" => {
                options.row_ms = ROW_MS.1;
                options.repeats = 1;
                options.rows.get_or_insert_with(|| QUICK.replace(' ', ""));
            }
            "--rows" => options.rows = Some(value()?),
            "--rounds" => options.rounds = value()?.parse().map_err(|_| USAGE)?,
            "--engine" => options.engine = value()?,
            "--skep" => options.skep = value()?.into(),
            "--stats" => options.stats = true,
            "--record" => options.record = true,
            _ => return Err(USAGE.into()),
        }
    }
    if options.record && options.rows.is_some() {
        return Err("a part of the rows is nothing to record".into());
    }
    Ok(options)
}

/// The files that are booted.
struct Files {
    programs: guest::Programs,
    zimage: PathBuf,
    /// The kernel as Skep boots it by default, if it can be unpacked.
    kernel: Option<Unpacked>,
    /// The archive of the bench program.
    own: PathBuf,
    /// The archive with Debian's programs, if they are wanted.
    debian: Option<PathBuf>,
}

impl Files {
    fn new(options: &Options, directory: &Path) -> Result<Self, Failure> {
        // The default guest's kernel, fetched if need be, and so are Debian's programs.
        let image = skep_image::Options::default();
        let guest =
            skep_image::ensure(&image, &skep_image::Silent).map_err(|error| error.to_string())?;
        let programs = guest::Programs::compile(directory)?;
        let own = directory.join("own.cpio");
        std::fs::write(&own, programs.archive()).map_err(|error| error.to_string())?;
        let mut debian = None;
        if options.wants_programs() {
            let file = skep_image::programs(&image, &programs::PACKAGES, &skep_image::Silent)
                .map_err(|error| error.to_string())?;
            let mut archive = std::fs::read(file).map_err(|error| error.to_string())?;
            archive.extend(programs.archive_for_programs());
            let file = directory.join("debian.cpio");
            std::fs::write(&file, archive).map_err(|error| error.to_string())?;
            programs::write_for_host(directory)?;
            debian = Some(file);
        }
        Ok(Files {
            debian,
            programs,
            zimage: guest.kernel,
            kernel: Unpacked::new(&guest.boot, directory)?,
            own,
        })
    }

    /// The kernel for rows that are not about booting.
    fn kernel(&self, emulator: Emulator) -> &Path {
        match (&self.kernel, emulator) {
            (Some(kernel), Emulator::Qemu) => &kernel.raw,
            (Some(kernel), Emulator::Skep { .. }) => &kernel.elf,
            (None, _) => &self.zimage,
        }
    }
}

impl Options {
    /// Whether a row or a group is wanted.
    fn wants(&self, name: &str) -> bool {
        let rows = self.rows.as_deref();
        rows.is_none_or(|rows| rows.split(',').any(|row| row == name))
    }

    /// A name of a row or a group that is wanted, and that none of these has.
    fn missing(&self, rows: &[&Rows]) -> Option<&str> {
        let is_there = |name: &str| {
            let mut rows = rows.iter().flat_map(|rows| &rows.rows);
            rows.any(|row| row.name == name || row.group == name)
        };
        let names = self.rows.as_deref()?.split(',');
        names.into_iter().find(|name| !is_there(name))
    }

    /// Whether a program of Debian's is wanted.
    fn wants_programs(&self) -> bool {
        self.wants("programs") || programs::names().any(|name| self.wants(name))
    }

    /// The variables that tell the bench program what to do.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![("BENCH_MS", self.row_ms.to_string())];
        variables.extend(self.rows.clone().map(|rows| ("BENCH_ROWS", rows)));
        variables
    }
}

fn compare(options: &Options) -> Result<(), Failure> {
    let directory = std::env::temp_dir().join(format!("skep-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
    let result = compare_in(options, &directory);
    // The files are small, and the result matters more.
    let _ = std::fs::remove_dir_all(&directory);
    result
}

fn compare_in(options: &Options, directory: &Path) -> Result<(), Failure> {
    let files = Files::new(options, directory)?;
    let mut host = Command::new(&files.programs.host);
    let mut native = run::rows(host.envs(options.environment()))?;
    if files.debian.is_some() {
        host.arg("rows").current_dir(directory);
        host.env("PATH", programs::PATH);
        for _ in 0..NATIVE_ROUNDS {
            native.keep_best(run::rows(&mut host)?);
        }
    }
    let (mut qemu, mut skep) = (Rows::default(), Rows::default());
    let (mut qemu_pressure, mut skep_pressure) = (Pressure::default(), Pressure::default());
    for _ in 0..options.rounds {
        qemu.keep_best(qemu_pressure.during(|| measure(Emulator::Qemu, options, &files))?);
        let emulator = Emulator::Skep {
            binary: &options.skep,
            engine: &options.engine,
            stats: options.stats,
        };
        skep.keep_best(skep_pressure.during(|| measure(emulator, options, &files))?);
    }
    for (name, rows) in [("QEMU", &qemu), ("Skep", &skep), ("native", &native)] {
        for remark in &rows.remarks {
            println!("{name}: {remark}");
        }
    }
    let history = History::new();
    let best = history.best();
    let comparison = Comparison {
        qemu: &qemu,
        skep: &skep,
        native: &native,
        best: &best,
    };
    print!("{}", comparison.table());
    for (name, pressure) in [("QEMU", qemu_pressure), ("Skep", skep_pressure)] {
        if pressure.is_high() {
            println!(
                "the machine was busy: for {:.0} % of {name}'s time something waited for a processor",
                pressure.share() * 100.0
            );
        }
    }
    if options.record {
        let summary = comparison.summary().ok_or("there are no rows")?;
        if history.record(&summary, &skep)? {
            println!("this version is the best");
        }
    }
    if !best.origin.is_empty() {
        println!("Skep's best: {}", best.origin);
    }
    print!("{}", history.lines());
    Ok(())
}

/// All that one emulator does in a round.
fn measure(emulator: Emulator, options: &Options, files: &Files) -> Result<Rows, Failure> {
    let mut all = boots(emulator, options, files)?;
    let mut others = Rows::default();
    let environment: Vec<String> = options
        .environment()
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut run = |archive: &Path| {
        let rows = run::rows(&mut emulator.command(&Guest {
            kernel: files.kernel(emulator),
            initrd: Some(archive),
            environment: &environment.join(" "),
        }))?;
        others.keep_best(rows);
        Ok::<_, Failure>(())
    };
    run(&files.own)?;
    for _ in 0..options.repeats {
        files.debian.as_deref().map_or(Ok(()), &mut run)?;
    }
    // The bare-metal guest does not know which rows are wanted, nor is known which it has.
    if options.wants("bare") || options.missing(&[&all, &others]).is_some() {
        let mut bare = run::rows(&mut emulator.command(&Guest {
            kernel: Path::new(BARE),
            initrd: None,
            environment: "",
        }))?;
        bare.rows
            .retain(|row| options.wants("bare") || options.wants(&row.name));
        all.keep_best(bare);
    }
    all.keep_best(others);
    if let Some(name) = options.missing(&[&all]) {
        return Err(format!(
            "there is no row or group {name}: give names as the table has them, without -t32"
        ));
    }
    Ok(all)
}

/// From the start of the emulator to init, for both forms of the kernel.
fn boots(emulator: Emulator, options: &Options, files: &Files) -> Result<Rows, Failure> {
    let mut boots = Rows::default();
    let unpacked = files.kernel.as_ref().map(|_| files.kernel(emulator));
    for (name, kernel) in [
        ("boot-zimage", Some(&*files.zimage)),
        ("boot-kernel", unpacked),
    ] {
        let wanted = options.wants(name) || options.wants("boot");
        let Some(kernel) = kernel.filter(|_| wanted) else {
            continue;
        };
        for _ in 0..options.repeats {
            let run = run::rows(&mut emulator.command(&Guest {
                kernel,
                initrd: Some(&files.own),
                environment: "BENCH_ROWS=none",
            }))?;
            let seconds = run.boot.ok_or("init does not say that it runs")?;
            boots.keep_best(Rows {
                rows: vec![Row {
                    group: "boot".into(),
                    name: name.into(),
                    ns: seconds * 1e9,
                }],
                ..Rows::default()
            });
        }
    }
    Ok(boots)
}
