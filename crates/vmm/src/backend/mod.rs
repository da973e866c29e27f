//! The host's ends of consoles: what the guest's output goes to, and where its input comes from.
//!
//! What a backend uses of the host's names is opened with the VM, so that it runs in a sandbox. Sockets and
//! links to terminals are removed at the end by a [helper](skep_helper), and the next one to use the name takes
//! the place of what was left nevertheless.

mod file;
mod pty;
mod ring;
mod stream;

use crate::board::{Output, Port};
use crate::config::{Backend, Warn};
use crate::error::Error;
use crate::standstill::Standstill;
use file::FileOutput;
use ring::Ring;
use skep_helper::{Access, Name, NameError, Tasks};
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stream::{Source, Stream};

/// Why a console can't be connected. Each message says what happened and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsoleError {
    /// The file for a console's output can't be created.
    #[error(
        "the file {path:?} for a console's output can't be created ({source}); check the path and its permissions"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// The host's error.
        source: io::Error,
    },
    /// The file is a device, a pipe, or the like.
    #[error(
        "{0:?} is not a regular file, and can't take a console's output; for other programs, give the console a socket or a pty"
    )]
    NotAFile(PathBuf),
    /// A socket can't be made.
    #[error(
        "the socket {path:?} for a console can't be made ({source}); check the path and its permissions, and keep it below 108 bytes"
    )]
    Socket {
        /// The socket.
        path: PathBuf,
        /// The host's error.
        source: io::Error,
    },
    /// Another program has the socket.
    #[error(
        "another program listens on the socket {0:?} already; stop it, or give the console another one"
    )]
    SocketInUse(PathBuf),
    /// The name is that of something else.
    #[error(
        "{0:?} exists already, and is no {1} of a console; remove it, or give the console another name"
    )]
    Taken(PathBuf, &'static str),
    /// There is no terminal to be had.
    #[error(
        "the host has no pseudo-terminal for a console ({0}); check that /dev/pts is mounted, or give the console a socket"
    )]
    Pty(#[source] io::Error),
    /// The link to a terminal can't be made.
    #[error(
        "the link {path:?} to a console's terminal can't be made ({source}); check the path and its permissions"
    )]
    Link {
        /// The link.
        path: PathBuf,
        /// The host's error.
        source: io::Error,
    },
    /// There is nothing for threads to wake each other with.
    #[error(
        "the host has no event descriptor for a console ({0}); raise the limit on open files (ulimit -n)"
    )]
    Bell(#[source] io::Error),
    /// Two consoles are the one that the VM's user has.
    #[error(
        "two consoles can't both be connected to standard input and output; give one another backend"
    )]
    TwoMain,
}

/// What a console is connected to, once it is open.
pub(crate) struct End(Kind);

enum Kind {
    /// The VM's user.
    Main,
    /// Nothing.
    Null,
    /// What a thread works for.
    Work(Work, Option<PathBuf>),
}

/// What a thread does for a console.
enum Work {
    File(Arc<FileOutput>),
    Stream(Source, Arc<Ring>),
}

/// All consoles of a VM, as the host has them.
pub(crate) struct Consoles {
    /// The output of the VM's user, until a console has it.
    output: Option<Output>,
    warn: Warn,
    main: Option<Port>,
    terminals: Vec<(String, PathBuf)>,
    /// Those whose threads wait for the VM to run.
    ready: Vec<(Work, Port)>,
    running: Vec<Thread>,
}

impl Consoles {
    /// None yet. `output` is that of the VM's user.
    pub fn new(output: Output, warn: Warn) -> Self {
        Consoles {
            output: Some(output),
            warn,
            main: None,
            terminals: Vec::new(),
            ready: Vec::new(),
            running: Vec::new(),
        }
    }

    /// Opens a backend: where the guest's output goes, and what else is to be [connected](Consoles::connect).
    /// `tasks` are those of the helper.
    pub fn open(
        &mut self,
        backend: &Backend,
        tasks: &mut Tasks,
    ) -> Result<(Output, End), ConsoleError> {
        Ok(match backend {
            Backend::Main => {
                let output = self.output.take().ok_or(ConsoleError::TwoMain)?;
                (output, End(Kind::Main))
            }
            Backend::Null => (Box::new(|_| ()), End(Kind::Null)),
            Backend::File { path, append } => {
                let file = Arc::new(FileOutput::open(path, *append, self.warn.clone())?);
                let sink = file.clone();
                let end = End(Kind::Work(Work::File(file), None));
                (Box::new(move |byte| sink.put(byte)), end)
            }
            Backend::Socket(path) => {
                let (listener, name) = socket(path)?;
                tasks.remove(name);
                stream(Source::Socket(listener), None)?
            }
            Backend::Pty(link) => {
                let (terminal, path) = pty::open().map_err(ConsoleError::Pty)?;
                if let Some(link) = link {
                    tasks.remove(point(link, &path)?);
                }
                stream(Source::Terminal(terminal), Some(path))?
            }
        })
    }

    /// Connects a backend with the guest's side. `name` is what a guest calls it.
    pub fn connect(&mut self, end: End, name: &str, port: Port) {
        match end.0 {
            Kind::Main => self.main = Some(port),
            Kind::Null => {}
            Kind::Work(work, terminal) => {
                let terminal = terminal.map(|terminal| (name.to_owned(), terminal));
                self.terminals.extend(terminal);
                self.ready.push((work, port));
            }
        }
    }

    /// The console that the VM's user has.
    pub fn main(&self) -> Option<&Port> {
        self.main.as_ref()
    }

    /// The consoles that are terminals of the host: what a guest calls them, and the terminals' names.
    pub fn terminals(&self) -> &[(String, PathBuf)] {
        &self.terminals
    }

    /// What has the readers get the last of the output when the VM ends.
    pub fn at_end(&self) -> Vec<Box<dyn Fn() + Send + Sync>> {
        let ready = self.ready.iter();
        ready
            .map(|(work, _)| -> Box<dyn Fn() + Send + Sync> {
                match work {
                    Work::File(file) => {
                        let file = file.clone();
                        Box::new(move || file.finish())
                    }
                    Work::Stream(_, ring) => {
                        let ring = ring.clone();
                        Box::new(move || ring.finish())
                    }
                }
            })
            .collect()
    }

    /// Starts the threads, unless they run. They are in whatever sandbox the caller is in.
    pub fn start(&mut self, standstill: &Arc<Standstill>) -> Result<(), Error> {
        for (work, port) in self.ready.drain(..) {
            let (run, stop): (Box<dyn FnOnce() + Send>, Stop) = match work {
                Work::File(file) => {
                    let writer = file.clone();
                    (
                        Box::new(move || writer.write()),
                        Box::new(move || file.stop()),
                    )
                }
                Work::Stream(source, ring) => {
                    let mut stream = Stream::new(source, ring.clone(), port, standstill.clone());
                    (
                        Box::new(move || stream.run()),
                        Box::new(move || ring.stop()),
                    )
                }
            };
            let thread = std::thread::Builder::new().name("console".into());
            let thread = thread.spawn(run).map_err(Error::Thread)?;
            self.running.push(Thread {
                stop,
                thread: Some(thread),
            });
        }
        Ok(())
    }
}

/// Listens on a socket of this name, which only the user may connect to.
fn socket(path: &Path) -> Result<(UnixListener, Name), ConsoleError> {
    skep_helper::listen(path, Access::Private).map_err(|error| match error {
        NameError::Taken => ConsoleError::Taken(path.to_owned(), "socket"),
        NameError::InUse => ConsoleError::SocketInUse(path.to_owned()),
        NameError::Host(source) => ConsoleError::Socket {
            path: path.to_owned(),
            source,
        },
    })
}

/// Makes a link to a terminal.
fn point(link: &Path, terminal: &Path) -> Result<Name, ConsoleError> {
    skep_helper::link(link, terminal).map_err(|error| match error {
        NameError::Taken | NameError::InUse => ConsoleError::Taken(link.to_owned(), "link"),
        NameError::Host(source) => ConsoleError::Link {
            path: link.to_owned(),
            source,
        },
    })
}

/// A backend whose reader may come and go.
fn stream(source: Source, terminal: Option<PathBuf>) -> Result<(Output, End), ConsoleError> {
    let ring = Arc::new(Ring::new().map_err(ConsoleError::Bell)?);
    let sink = ring.clone();
    let end = End(Kind::Work(Work::Stream(source, ring), terminal));
    Ok((Box::new(move |byte| sink.put(byte)), end))
}

type Stop = Box<dyn Fn() + Send>;

/// A thread, which ends when this is dropped.
struct Thread {
    stop: Stop,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        (self.stop)();
        if let Some(thread) = self.thread.take() {
            // One that panicked has told so.
            let _ = thread.join();
        }
    }
}
