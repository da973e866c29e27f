//! Debian packages that tests need.

use crate::{Failure, step};
use std::path::Path;
use std::process::Command;

/// Makes sure that packages are installed: each with a file that it brings. As root on a system
/// with apt, installs what is missing.
pub fn require(packages: &[(&str, &str)]) -> Result<(), Failure> {
    let missing: Vec<&str> = packages
        .iter()
        .filter(|(_, file)| !Path::new(file).exists())
        .map(|(package, _)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !is_root() || !Path::new("/usr/bin/apt-get").exists() {
        return Err(format!(
            "tests need packages that are not installed: sudo apt-get install {list}"
        ));
    }
    // One source that can't be reached need not matter: the installation tells.
    let _ = step(Command::new("apt-get").args(["update", "-qq"]));
    step(
        Command::new("apt-get")
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(&missing)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
    .map_err(|failure| format!("{failure}; install by hand: apt-get install {list}"))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
