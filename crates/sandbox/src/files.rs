//! What of the file system can be opened (Linux, Documentation/userspace-api/landlock.rst).

use crate::{Directory, Error, Needs};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

/// The newest version whose rights are used. An older kernel enforces those that it knows.
const VERSION: ABI = ABI::V6;

/// What a guest may have done in a directory: no device, no socket and no program of the host's.
fn rights(directory: &Directory) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    if directory.read_only {
        return read;
    }
    let special =
        AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::MakeSock | AccessFs::IoctlDev;
    read | (AccessFs::from_write(VERSION) & !special)
}

/// From now on this thread, and threads that it starts, open nothing by path but what is in these
/// directories, and send no signal to other processes. Returns false if the kernel has no Landlock:
/// then only [`restrict_calls`](crate::restrict_calls) stands between the process and the host's
/// files.
///
/// # Errors
///
/// A directory can't be opened, or the kernel refuses.
pub fn restrict_files(needs: &Needs) -> Result<bool, Error> {
    let refused = |error: landlock::RulesetError| Error::Kernel(error.to_string());
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(VERSION))
        .map_err(refused)?
        .scope(Scope::from_all(VERSION))
        .map_err(refused)?;
    if !needs.internet {
        ruleset = ruleset
            .handle_access(AccessNet::from_all(VERSION))
            .map_err(refused)?;
    }
    let mut ruleset = ruleset.create().map_err(refused)?;
    for directory in &needs.directories {
        let opened = PathFd::new(&directory.path).map_err(|error| Error::Directory {
            path: directory.path.clone(),
            reason: error.to_string(),
        })?;
        ruleset = ruleset
            .add_rule(PathBeneath::new(opened, rights(directory)))
            .map_err(refused)?;
    }
    let status = ruleset.restrict_self().map_err(refused)?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}
