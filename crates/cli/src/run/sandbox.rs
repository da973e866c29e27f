//! Takes from the process what the VM does not need, once everything is open.

use crate::Error;
use crate::run::terminal;
use skep_sandbox::{Needs, before_death, restrict_calls, restrict_files};
use std::io::Write;

/// Enters the sandbox, unless the user wants none. With `internet`, the guest's connections are opened
/// as it asks for them.
pub fn enter(unwanted: bool, internet: bool) -> Result<(), Error> {
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
    let needs = Needs {
        internet,
        ..Needs::default()
    };
    if !restrict_files(&needs)? {
        tell("this kernel has no Landlock: the sandbox consists of seccomp alone");
    }
    before_death(terminal::give_back);
    restrict_calls(&needs)?;
    Ok(())
}
