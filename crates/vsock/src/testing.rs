//! A host that does what it is told, for tests and fuzzing: its programs are memory.

use crate::host::{Host, Stream};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::rc::Rc;

/// A port that the host won't connect to.
pub const REFUSED: u32 = 0;

/// A program of the host's, at the other end of a stream.
#[derive(Default, Debug)]
pub struct Program {
    /// What the guest reads.
    pub sends: VecDeque<u8>,
    /// What the guest wrote.
    pub received: Vec<u8>,
    /// It takes so many more bytes.
    pub takes: usize,
    /// It sends no more.
    pub ended: bool,
    /// It has closed its end.
    pub closed: bool,
    /// It was told that the guest sends no more.
    pub finished: bool,
    /// It was told that the guest receives no more.
    pub refused: bool,
    /// It was told that the guest is gone.
    pub dropped: bool,
}

/// A program that whoever tells it what to do has, too.
pub type Shared = Rc<RefCell<Program>>;

/// A connection to a program.
#[derive(Debug)]
pub struct Pipe(pub Shared);

impl Drop for Pipe {
    fn drop(&mut self) {
        self.0.borrow_mut().dropped = true;
    }
}

impl Stream for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        assert!(!buf.is_empty(), "nothing is asked for");
        let mut program = self.0.borrow_mut();
        if program.sends.is_empty() && !program.ended && !program.closed {
            return Err(ErrorKind::WouldBlock.into());
        }
        let len = buf.len().min(program.sends.len());
        for (to, from) in buf.iter_mut().zip(program.sends.drain(..len)) {
            *to = from;
        }
        Ok(len)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut program = self.0.borrow_mut();
        assert!(!program.finished, "a write after the end");
        if program.closed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let len = bytes.len().min(program.takes);
        if len == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        program.takes -= len;
        program.received.extend(bytes.iter().take(len));
        Ok(len)
    }

    fn finish(&mut self) {
        self.0.borrow_mut().finished = true;
    }

    fn refuse(&mut self) {
        self.0.borrow_mut().refused = true;
    }

    fn closed(&self) -> bool {
        self.0.borrow().closed
    }
}

/// Remembers what it was asked: ports, with the connections' numbers.
#[derive(Default, Debug)]
pub struct Asked(pub VecDeque<(u32, u64)>);

impl Host for Asked {
    type Stream = Pipe;

    fn connect(&mut self, port: u32, id: u64) -> io::Result<()> {
        if port == REFUSED {
            return Err(ErrorKind::OutOfMemory.into());
        }
        self.0.push_back((port, id));
        Ok(())
    }
}
