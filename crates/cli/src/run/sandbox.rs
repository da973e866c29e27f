//! Takes from the process what the VM does not need, once everything is open.

use crate::Error;
use crate::run::shares::Share;
use crate::run::terminal;
use skep_sandbox::{Directory, Needs, before_death, restrict_calls, restrict_files};
use std::io::Write;

/// Enters the sandbox, unless the user wants none. The guest's shares can be used in it, and with
/// `internet` the guest's connections are opened as it asks for them; with `accept` those of the host's
/// programs are accepted.
pub fn enter(unwanted: bool, internet: bool, accept: bool, shares: &[Share]) -> Result<(), Error> {
    let tell = |what: &str| {
        let _ = writeln!(std::io::stderr(), "skep: {what}");
    };
    if unwanted {
        tell(
            "no sandbox: a guest that breaks out of its VM can use your files, your network and your \
             programs",
        );
        return Ok(());
    }
    let directories = shares.iter().map(|share| Directory {
        path: share.directory.clone(),
        read_only: share.read_only,
    });
    let needs = Needs {
        directories: directories.collect(),
        internet,
        accept,
    };
    if !restrict_files(&needs)? {
        tell("this kernel has no Landlock: the sandbox consists of seccomp alone");
    }
    before_death(terminal::give_back);
    restrict_calls(&needs)?;
    Ok(())
}
