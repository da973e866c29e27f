//! The process beside a virtual machine's, for what that can't do in its sandbox.
//!
//! It removes the [`Name`]s that the VM made of sockets and links, when the VM's process ends in whatever way,
//! and connects to programs of the host's that listen at `PATH_PORT` ([`Connector`]). What it can be asked is
//! said when it starts, before the VM's process enters the sandbox: from then on a question is a number.

mod name;
mod process;

pub use name::{Access, Name, NameError, link, listen};
pub use process::{Connector, Helper, Tasks, run};
