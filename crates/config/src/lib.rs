//! The configuration file: virtual machines, and the board that they run on.
//!
//! A [`Document`] is a file that was read: what it says, each value with its place, and what is wrong
//! with it. [`Document::check`] looks at all that the file names; [`place()`] puts the virtual machines on
//! the board, and [`bundle()`] packs them for it. [`effective`] shows what a file comes to.
//!
//! What is wrong is said with the place, what and why it is, and what to do ([`Diagnostic`]), all at
//! once.
#![forbid(unsafe_code)]

mod board;
mod bundle;
pub mod consoles;
pub mod diagnostic;
pub mod files;
pub mod model;
pub mod net;
mod parse;
mod place;
pub mod schema;
pub mod shares;
mod show;
mod table;
pub mod value;
pub mod vsock;

pub use board::{Emulated, Facts};
pub use bundle::{GuestFiles, bundle};
pub use diagnostic::{Diagnostic, Level, Report, similar};
pub use files::{Files, Host};
pub use model::Config;
pub use parse::parse;
pub use place::{Placed, System, bundle_size, check_memory, place};
pub use show::{Effective, effective};

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The file's usual name.
pub const FILE: &str = "skep.toml";

/// A file to begin with: its virtual machine boots as it is, and what else can be is in comments.
pub const EXAMPLE: &str = include_str!("example.toml");

/// The largest file, bytes.
const LARGEST: u64 = 1 << 20;

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where it is.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// What it says.
    pub config: Config,
    /// What is wrong with it.
    pub report: Report,
}

impl Document {
    /// Reads a file. What is wrong with what it says is in its report.
    ///
    /// # Errors
    ///
    /// The file can't be read: a sentence with a remedy.
    pub fn load(path: &Path) -> Result<Self, String> {
        let name = path.display();
        let problem = |reason: &str, remedy: &str| Err(format!("{name} {reason}; {remedy}"));
        let found = match Host.look(path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return problem("does not exist", "skep init writes one to begin with");
            }
            Err(error) => return problem(&format!("can't be read ({error})"), "check the file"),
        };
        match found.kind {
            files::Kind::File => {}
            files::Kind::Directory => return problem("is a directory", "name the file in it"),
            _ => return problem("is not a file", "name a file"),
        }
        if found.size > LARGEST {
            return problem(
                "is larger than 1 MiB",
                "name a file as skep init writes one",
            );
        }
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => return problem(&format!("can't be read ({error})"), "check the file"),
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Document::new(path, text)),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let before = error.as_bytes().get(..good).unwrap_or_default();
                let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
                problem(
                    &format!("is not a text in UTF-8: line {line} has other bytes"),
                    "save it as UTF-8",
                )
            }
        }
    }

    /// Reads a file's text.
    #[must_use]
    pub fn new(path: &Path, text: String) -> Self {
        let (config, report) = parse(&text, path.parent().unwrap_or(Path::new("")));
        Document {
            path: path.into(),
            text,
            config,
            report,
        }
    }

    /// Checks everything that the file names: files, and, if it has one, the board with all that runs
    /// on it.
    pub fn check(&mut self, files: &dyn Files) {
        let report = &mut self.report;
        for vm in &self.config.vms {
            files::check_vm(vm, files, &[], report);
        }
        if self.config.has_board() {
            let report = &mut self.report;
            if let Some(system) = place(&self.config, files, report) {
                let bundle = bundle_size(&system, files);
                check_memory(&system, bundle, files, report);
            }
        }
    }

    /// What is wrong, as text; `styled` puts colours in, for a terminal.
    #[must_use]
    pub fn render(&self, styled: bool) -> String {
        let path = self.path.display().to_string();
        self.report.render(&path, &self.text, styled)
    }
}
