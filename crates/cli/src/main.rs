//! The `skep` command.

mod args;
mod bundle;
mod config;
mod emulate;
mod image;
mod run;
mod usage;

use args::{Cli, Command, RunCommand};
use clap::CommandFactory;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Exit status when the command line is wrong.
const STATUS_USAGE: u8 = 2;
/// Exit status when the guest can't go on.
const STATUS_FAULT: u8 = 124;
/// Exit status when Skep itself fails.
const STATUS_ERROR: u8 = 125;
/// Exit status when nobody reads standard output any more: that of a program that SIGPIPE ends.
const STATUS_CLOSED: u8 = 141;
/// Exit status after a signal, or the loss of the terminal.
const STATUS_SIGNAL: u8 = 130;

fn main() -> ExitCode {
    if skep_helper::run() {
        return ExitCode::SUCCESS;
    }
    let cli = usage::parse();
    let result = match cli.command {
        None => run::run(cli.run, None),
        Some(Command::Run(command)) => run(*command),
        Some(Command::Check { file, json }) => config::check(&file, json),
        Some(Command::Init { file }) => config::init(&file),
        Some(Command::Config { command }) => config::config(command),
        Some(Command::Bundle {
            file,
            output,
            json,
            hypervisor,
        }) => bundle::bundle(&file, &output, json, &hypervisor),
        Some(Command::Emulate {
            file,
            hypervisor,
            board_disk,
            qemu,
        }) => emulate::emulate(&file, &hypervisor, &board_disk, &qemu),
        Some(Command::Image { command }) => image::image(command),
        Some(Command::Completions { shell }) => completions(shell),
        Some(Command::Man { directory }) => man_pages(&directory),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // A closed standard error leaves the status to tell.
            let _ = writeln!(std::io::stderr(), "skep: {error}");
            ExitCode::from(STATUS_ERROR)
        }
    }
}

/// An error as the user reads it: a sentence with a remedy.
type Error = Box<dyn std::error::Error>;

/// `skep run`.
fn run(command: RunCommand) -> Result<u8, Error> {
    let RunCommand { name, config, run } = command;
    let without = run::machine::overridden(&run);
    match config::machine(name.as_deref(), config, &without)? {
        Ok(vm) => run::run(run, vm.as_ref()),
        Err(status) => Ok(status),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<u8, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "skep", &mut script);
    std::io::stdout().write_all(&script).map_err(|error| {
        format!("the completions could not be printed: {error}; check where they go")
    })?;
    Ok(0)
}

fn man_pages(directory: &Path) -> Result<u8, Error> {
    clap_mangen::generate_to(Cli::command(), directory).map_err(|error| {
        format!(
            "the man pages could not be written to {}: {error}; name an existing directory that \
             you may write to",
            directory.display()
        )
    })?;
    Ok(0)
}
