//! qcow2 images, and the overlays of temporary disks, which are such images.

use crate::check::check;
use crate::contents::Contents;
use crate::header::Header;
use crate::{Access, Disk, Error, Format, info, raw};
use imago::file::File as Storage;
use imago::format::PreallocateMode;
use imago::qcow2::Qcow2 as Layer;
use imago::raw::Raw;
use imago::{
    DenyImplicitOpenGate, FormatAccess, FormatCreateBuilder, FormatDriverBuilder, ShallowMapping,
    StorageOpenOptions,
};
use rustix::fs::FallocateFlags;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock};

/// The longest chain of backing files. One could be its own.
const MAX_DEPTH: u32 = 16;
/// How much of a range is discarded at once, bytes: whole clusters of any size. Others wait for it.
const DISCARD: u64 = 64 << 20;

type Image = FormatAccess<Storage>;
type Builder = imago::qcow2::Qcow2OpenBuilder<Storage, Image>;

/// A qcow2 image.
pub struct Qcow2 {
    /// Discards need it alone. It is there until this is dropped.
    image: Option<RwLock<Image>>,
    /// The file, to be synchronised without the image's own lock.
    file: File,
    len: u64,
    /// What is written need not survive: the file has no name.
    temporary: bool,
    /// The library panicked, and what it holds may contradict the file.
    broken: AtomicBool,
    /// The file system can punch holes, as far as is known.
    holes: AtomicBool,
}

fn metadata(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound => Error::Host(error),
        _ => Error::Metadata(error),
    }
}

/// Calls the library, which reads what a file holds: should it panic, that is an error.
fn guarded<R>(act: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
    catch_unwind(AssertUnwindSafe(act))
        .unwrap_or_else(|_| Err(io::Error::other("the qcow2 library failed")))
}

impl Qcow2 {
    /// Opens the image of a disk that is read only, or written.
    pub fn open(file: File, disk: &Disk) -> Result<Self, Error> {
        let write = disk.access == Access::Write;
        let sync = file.try_clone()?;
        let image = layer(file, &disk.path, write, disk.backing, 0)?;
        Ok(Qcow2::new(image, sync, false))
    }

    /// Opens a temporary disk on the image `base`: what is written goes to a file without a name in
    /// the host's directory for temporary files.
    pub fn temporary(base: File, disk: &Disk) -> Result<Self, Error> {
        let base = open_base(base, &disk.path, disk.format(), disk.backing, 0)?;
        let directory = std::env::temp_dir();
        let problem = |source| Error::Temporary {
            directory: directory.clone(),
            source,
        };
        let file = tempfile::tempfile_in(&directory).map_err(problem)?;
        let sync = file.try_clone()?;
        let image = guarded(|| {
            let storage = Storage::try_from(file.try_clone()?)?;
            Layer::<Storage, Image>::create_builder(storage)
                .size(base.size())
                .create()?;
            let storage = Storage::try_from(file)?;
            let builder = Builder::new(storage).write(true).backing(Some(base));
            Ok(Image::new(builder.open(DenyImplicitOpenGate::default())?))
        });
        Ok(Qcow2::new(image.map_err(problem)?, sync, true))
    }

    fn new(image: Image, file: File, temporary: bool) -> Self {
        Qcow2 {
            len: image.size(),
            image: Some(RwLock::new(image)),
            file,
            temporary,
            broken: AtomicBool::new(false),
            holes: AtomicBool::new(true),
        }
    }

    fn guarded<R>(&self, act: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        if self.broken.load(Relaxed) {
            return Err(io::Error::other("the qcow2 library failed before"));
        }
        catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| {
            self.broken.store(true, Relaxed);
            Err(io::Error::other("the qcow2 library failed"))
        })
    }

    fn shared<R>(&self, act: impl FnOnce(&Image) -> io::Result<R>) -> io::Result<R> {
        let image = self.image.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let image = image.read().unwrap_or_else(PoisonError::into_inner);
        self.guarded(|| act(&image))
    }

    fn alone<R>(&self, act: impl FnOnce(&mut Image) -> io::Result<R>) -> io::Result<R> {
        let image = self.image.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let mut image = image.write().unwrap_or_else(PoisonError::into_inner);
        self.guarded(|| act(&mut image))
    }

    /// Discards a range by `act`, after the file gave back the room that the range takes: the library
    /// makes clusters free for what is written next, but leaves them as they are. Between the two the
    /// range reads as zero, which is what it becomes, or does not matter.
    fn give_back(
        &self,
        mut offset: u64,
        mut len: u64,
        act: impl Fn(&mut Image, u64, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        while len > 0 {
            let part = len.min(DISCARD - offset % DISCARD);
            self.alone(|image| {
                self.punch(image, offset, part);
                act(image, offset, part)
            })?;
            offset += part;
            len -= part;
        }
        Ok(())
    }

    /// Makes a hole of what a range takes in the image's own file. Nobody else is at the image. Failing,
    /// which leaves the file as large as it is, is no error.
    fn punch(&self, image: &Image, mut offset: u64, mut len: u64) {
        while len > 0 {
            let Ok((mapping, mapped)) = image.get_shallow_mapping(offset, len) else {
                return;
            };
            if let ShallowMapping::Raw { offset: at, .. } = mapping {
                let punched = raw::allocate(
                    &self.file,
                    &self.holes,
                    FallocateFlags::PUNCH_HOLE,
                    at,
                    mapped,
                );
                if !punched.is_ok_and(|punched| punched) {
                    return;
                }
            }
            if mapped == 0 {
                return;
            }
            offset += mapped;
            len -= mapped;
        }
    }
}

impl Drop for Qcow2 {
    /// The library writes back what it holds when it is dropped: not if it failed before, and never so
    /// that a failure goes on from here.
    fn drop(&mut self) {
        let image = self.image.take();
        if self.broken.load(Relaxed) {
            std::mem::forget(image);
        } else {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(image)));
        }
    }
}

/// Opens an image that others are based on, which is only read.
fn open_base(
    file: File,
    path: &Path,
    format: Format,
    backing: bool,
    depth: u32,
) -> Result<Image, Error> {
    match format {
        Format::Raw => guarded(|| {
            let raw = Raw::builder(Storage::try_from(file)?);
            Ok(Image::new(raw.open(DenyImplicitOpenGate::default())?))
        })
        .map_err(metadata),
        Format::Qcow2 => layer(file, path, false, backing, depth),
    }
}

/// Opens a qcow2 image, with what it is based on if that is allowed.
fn layer(file: File, path: &Path, write: bool, backing: bool, depth: u32) -> Result<Image, Error> {
    let header = Header::read(|buf, offset| info::read_padded(&file, buf, offset))?;
    if write {
        check(&file, &header)?;
    }
    let base = match info::backing(&file, &header)? {
        None => None,
        Some(base) if !backing => return Err(Error::Backing(base.name)),
        Some(_) if depth == MAX_DEPTH => return Err(Error::Depth),
        Some(base) => {
            let directory = path.parent().unwrap_or(Path::new(""));
            let name = directory.join(&base.name);
            let in_chain = |error: Error| Error::Base {
                path: name.clone(),
                error: Box::new(error),
            };
            let format = match base.format.as_deref() {
                None => Format::of_name(&name),
                Some(format) => Format::named(format).ok_or_else(|| in_chain(Error::BaseFormat))?,
            };
            let file = info::open(&name, false).map_err(in_chain)?;
            info::lock(&file, false).map_err(in_chain)?;
            Some(open_base(file, &name, format, true, depth + 1).map_err(in_chain)?)
        }
    };
    guarded(|| {
        let options = StorageOpenOptions::new().filename(path).write(write);
        let storage = Storage::from_open_file(file, options)?;
        let builder = Builder::new(storage)
            .write(write)
            .backing(base)
            .data_file(None);
        Ok(Image::new(builder.open(DenyImplicitOpenGate::default())?))
    })
    .map_err(metadata)
}

/// Makes an image larger; what is new is zero. What it is based on is not looked at.
pub fn grow(file: File, path: &Path, header: &Header, size: u64) -> Result<(), Error> {
    check(&file, header)?;
    // A longer backing file would be seen where this image has nothing of its own.
    let mode = match header.backing {
        Some(_) => PreallocateMode::Zero,
        None => PreallocateMode::None,
    };
    guarded(|| {
        let options = StorageOpenOptions::new().filename(path).write(true);
        let storage = Storage::from_open_file(file, options)?;
        let builder = Builder::new(storage).write(true).backing(None);
        let image = Image::new(
            builder
                .data_file(None)
                .open(DenyImplicitOpenGate::default())?,
        );
        image.resize_grow(size, mode)?;
        image.flush()
    })
    .map_err(metadata)
}

impl Contents for Qcow2 {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.shared(|image| image.read(buf, offset))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.shared(|image| image.write(buf, offset))
    }

    fn write_back(&self) -> io::Result<()> {
        if self.temporary {
            return Ok(());
        }
        self.shared(Image::flush)
    }

    fn sync(&self) -> io::Result<()> {
        if self.temporary {
            return Ok(());
        }
        self.file.sync_data()
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        match self.give_back(offset, len, Image::discard_to_any) {
            // Version 2 has no clusters that read as zero.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            result => result,
        }
    }

    fn write_zeroes(&self, offset: u64, len: u64, unmap: bool) -> io::Result<()> {
        if unmap {
            match self.give_back(offset, len, Image::discard_to_zero) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
                result => return result,
            }
        }
        self.shared(|image| image.write_zeroes(offset, len))
    }
}
