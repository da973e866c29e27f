//! What the machine's consoles are connected to.

use super::machine::Machine;
use skep_config::consoles::Backend;
use skep_vmm::Vm;
use std::io::{IsTerminal, Write};

/// A connection, as the library has it.
pub fn backend(backend: &Backend) -> skep_vmm::Backend {
    match backend {
        Backend::Stdio => skep_vmm::Backend::Main,
        Backend::Null => skep_vmm::Backend::Null,
        Backend::File { path, append } => skep_vmm::Backend::File {
            path: path.clone(),
            append: *append,
        },
        Backend::Socket(path) => skep_vmm::Backend::Socket(path.clone()),
        Backend::Pty(link) => skep_vmm::Backend::Pty(link.clone()),
    }
}

/// Whether clients connect to a console.
pub fn accepts(machine: &Machine) -> bool {
    std::iter::once(&machine.serial)
        .chain(&machine.consoles)
        .any(|backend| matches!(backend, Backend::Socket(_)))
}

/// Says which terminals are consoles, and that this one is none, unless `has_terminal`.
pub fn announce(vm: &Vm, has_terminal: bool) {
    for (name, terminal) in vm.terminals() {
        let _ = writeln!(
            std::io::stderr(),
            "skep: the console {name} is {}",
            terminal.display()
        );
    }
    if !has_terminal && std::io::stdin().is_terminal() {
        let _ = writeln!(
            std::io::stderr(),
            "skep: no console is connected to this terminal; Ctrl-C ends the virtual machine"
        );
    }
}
