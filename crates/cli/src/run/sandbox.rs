//! Takes from the process what the VM does not need, once everything is open.

use crate::Error;
use crate::run::shares::Share;
use crate::run::terminal;
use skep_sandbox::{Directory, Needs, before_death, restrict_calls, restrict_files};
use std::io::Write;

fn tell(what: &str) {
    let _ = writeln!(std::io::stderr(), "skep: {what}");
}

/// Tells the user what it means that there is no sandbox.
pub fn tell_of_none() {
    tell(
        "no sandbox: a guest that breaks out of its VM can use your files, your network and your \
         programs",
    );
}

/// Enters the sandbox, unless the user wants none, and tells what is not as usual. The guest's shares can
/// be used in it, with `internet` the guest's connections are opened as it asks for them, and with `accepts`
/// clients connect to sockets that listen.
pub fn enter(unwanted: bool, internet: bool, accepts: bool, shares: &[Share]) -> Result<(), Error> {
    if unwanted {
        tell_of_none();
    } else if !restrict(internet, accepts, shares)? {
        tell("this kernel has no Landlock: the sandbox consists of seccomp alone");
    }
    Ok(())
}

/// Enters the sandbox: whether with Landlock.
pub fn restrict(internet: bool, accepts: bool, shares: &[Share]) -> Result<bool, Error> {
    let directories = shares.iter().map(|share| Directory {
        path: share.directory.clone(),
        read_only: share.read_only,
    });
    let needs = Needs {
        directories: directories.collect(),
        internet,
        accepts,
    };
    let landlock = restrict_files(&needs)?;
    before_death(terminal::give_back);
    restrict_calls(&needs)?;
    Ok(landlock)
}
