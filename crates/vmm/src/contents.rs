//! Files for the guest, such as its kernel.

use crate::error::Error;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::Arc;

/// The largest file that is read: more can't be guest memory.
const LARGEST: u64 = 4 << 30;

/// What is put into the guest's memory when it is loaded. A file takes no memory of the host's
/// meanwhile: it is read again when the guest resets.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    file: Option<Arc<File>>,
    /// Behind the file's.
    bytes: Vec<u8>,
}

impl From<Vec<u8>> for Contents {
    fn from(bytes: Vec<u8>) -> Self {
        Contents { file: None, bytes }
    }
}

impl Contents {
    /// Those of a regular file.
    pub fn of_file(file: File) -> Self {
        Contents {
            file: Some(Arc::new(file)),
            bytes: Vec::new(),
        }
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The bytes.
    pub(crate) fn read(&self) -> Result<Cow<'_, [u8]>, Error> {
        let Some(file) = &self.file else {
            return Ok(Cow::Borrowed(&self.bytes));
        };
        let read = || -> io::Result<Vec<u8>> {
            let mut file = &**file;
            file.rewind()?;
            let len = file.metadata()?.len();
            // Exactly as much as is needed.
            let room = usize::try_from(len.min(LARGEST)).unwrap_or(0);
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(room.saturating_add(self.bytes.len()))?;
            file.take(len.min(LARGEST)).read_to_end(&mut bytes)?;
            bytes.extend(&self.bytes);
            Ok(bytes)
        };
        read().map(Cow::Owned).map_err(Error::Contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_read_whenever_it_is_asked_for() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"kernel").expect("room");
        let mut contents = Contents::of_file(file);
        contents.append(b" and more");
        for _ in 0..2 {
            assert_eq!(
                &*contents.clone().read().expect("a file"),
                b"kernel and more"
            );
        }
    }

    #[test]
    fn what_is_no_file_is_an_error() {
        let directory = File::open("/").expect("a directory");
        let error = Contents::of_file(directory).read().expect_err("no file");
        assert!(error.to_string().contains("check the file"), "{error}");
    }

    #[test]
    fn bytes_are_not_copied() {
        let contents = Contents::from(b"kernel".to_vec());
        assert!(matches!(contents.read(), Ok(Cow::Borrowed(b"kernel"))));
    }
}
