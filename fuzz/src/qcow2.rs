//! qcow2 images: the header and tables of a small one are overwritten, and it is used as a disk.
//!
//! An image that nobody changed is a disk: it reads as it was written, through discards, being opened
//! again, and growing. Any other can be refused, or fail. What memory it takes is bounded, and no input
//! takes long, whatever sizes it tells.

use crate::input::Input;
use skep_disk::{Access, Disk, Error, Format, Image, grow};
use std::cell::RefCell;
use tempfile::NamedTempFile;

/// Bytes of a cluster: the smallest there are, so that there are many.
const CLUSTER: usize = 512;
/// Clusters of data that the image has.
const DATA: u64 = 8;
/// Size of the disk: what three and a half tables of the second level lead to.
const SIZE: u64 = (3 * 64 + 32) * CLUSTER as u64;
/// Where the parts of the image are, clusters.
const REFCOUNT_TABLE: u64 = 1;
const REFCOUNTS: u64 = 2;
const L1: u64 = 3;
const L2: u64 = 4;
const FIRST: u64 = 5;
/// What marks an entry whose cluster has one user.
const COPIED: u64 = 1 << 63;

thread_local! {
    static FILE: RefCell<Option<NamedTempFile>> = const { RefCell::new(None) };
}

/// An image, whose first clusters are filled with their number plus one.
fn image() -> Vec<u8> {
    let mut bytes = vec![0; (FIRST + DATA) as usize * CLUSTER];
    let mut put = |at: u64, value: &[u8]| {
        let at = at as usize;
        bytes[at..at + value.len()].copy_from_slice(value);
    };
    let cluster = |number: u64| number * CLUSTER as u64;
    put(0, b"QFI\xfb");
    put(4, &3u32.to_be_bytes());
    put(20, &9u32.to_be_bytes());
    put(24, &SIZE.to_be_bytes());
    put(36, &4u32.to_be_bytes());
    put(40, &cluster(L1).to_be_bytes());
    put(48, &cluster(REFCOUNT_TABLE).to_be_bytes());
    put(56, &1u32.to_be_bytes());
    put(96, &4u32.to_be_bytes());
    put(100, &104u32.to_be_bytes());
    put(cluster(REFCOUNT_TABLE), &cluster(REFCOUNTS).to_be_bytes());
    for number in 0..FIRST + DATA {
        put(cluster(REFCOUNTS) + 2 * number, &1u16.to_be_bytes());
    }
    put(cluster(L1), &(cluster(L2) | COPIED).to_be_bytes());
    for number in 0..DATA {
        let entry = cluster(FIRST + number) | COPIED;
        put(cluster(L2) + 8 * number, &entry.to_be_bytes());
        put(cluster(FIRST + number), &[number as u8 + 1; CLUSTER]);
    }
    bytes
}

/// Overwrites a field of the header or an entry of a table.
fn overwrite(bytes: &mut Vec<u8>, input: &mut Input<'_>) {
    let kind = input.u8();
    let (at, width) = match kind & 7 {
        0 => (usize::from(input.u8()) % 26 * 4, 4),
        1 => (usize::from(input.u8()) % 13 * 8, 8),
        2 => ((L1 as usize) * CLUSTER + input.below(4) * 8, 8),
        3 => ((L2 as usize) * CLUSTER + input.below(64) * 8, 8),
        4 => ((REFCOUNT_TABLE as usize) * CLUSTER + input.below(4) * 8, 8),
        5 => ((REFCOUNTS as usize) * CLUSTER + input.below(32) * 2, 2),
        6 => (104 + input.below(64), 1 + input.below(8)),
        _ => return bytes.truncate(usize::from(input.u16()) % (bytes.len() + 1)),
    };
    let value = match kind >> 3 & 3 {
        0 => input.number(),
        1 => input.below(32) as u64 * CLUSTER as u64,
        2 => (input.below(32) as u64 * CLUSTER as u64) | COPIED,
        // Compressed, or zero.
        _ => u64::from(input.u16()) | u64::from(kind >> 5) << 61 | u64::from(kind & 1) << 62,
    };
    if let Some(field) = bytes.get_mut(at..at + width) {
        field.copy_from_slice(&value.to_be_bytes()[8 - width.min(8)..]);
    }
}

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let flags = input.u8();
    let mut bytes = image();
    let changes = usize::from(flags & 7);
    for _ in 0..changes {
        overwrite(&mut bytes, &mut input);
    }
    FILE.with_borrow_mut(|file| {
        let file = match file {
            Some(file) => file,
            // In memory, where flushes take no time.
            None => file.insert(
                NamedTempFile::new_in("/dev/shm")
                    .or_else(|_| NamedTempFile::new())
                    .expect("a temporary file"),
            ),
        };
        std::fs::write(file.path(), &bytes).expect("the file can be written");
        let disk = Disk {
            path: file.path().into(),
            format: Some(Format::Qcow2),
            access: match flags >> 3 & 3 {
                0 => Access::ReadOnly,
                1 => Access::Temporary,
                _ => Access::Write,
            },
            // Whatever file an image names.
            backing: false,
        };
        // What the disk should read as, while nothing was changed.
        let mut model = vec![0; SIZE as usize];
        for (number, cluster) in model.chunks_mut(CLUSTER).take(DATA as usize).enumerate() {
            cluster.fill(number as u8 + 1);
        }
        let mut model = (changes == 0).then_some(model);
        if disk.access != Access::Temporary {
            let again = flags & 0x80 != 0;
            let used = use_disk(&disk, &mut input, &mut model);
            assert!(used || changes > 0, "a good image is refused");
            if !again {
                return;
            }
            if flags & 0x40 != 0 {
                enlarge(&disk, &mut input, &mut model);
            }
        }
        use_disk(&disk, &mut input, &mut model);
    });
}

/// Makes an image larger: what is new is zero.
fn enlarge(disk: &Disk, input: &mut Input<'_>, model: &mut Option<Vec<u8>>) {
    let size = u64::from(input.u16()) * 512;
    let grown = grow(&disk.path, size, disk.format);
    if let Some(model) = model {
        let may = size >= model.len() as u64;
        assert_eq!(grown.ok(), may.then_some(model.len() as u64));
        if may {
            model.resize(size as usize, 0);
        }
    }
}

/// Opens a disk and uses it: false if it is refused.
fn use_disk(disk: &Disk, input: &mut Input<'_>, model: &mut Option<Vec<u8>>) -> bool {
    let image = match Image::open(disk) {
        Ok(image) => image,
        Err(error) => {
            // Only the temporary file itself can be at fault for these.
            assert!(
                !matches!(error, Error::Missing | Error::Locked),
                "the image is not even looked at: {error}"
            );
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let may_write = disk.access != Access::ReadOnly;
    let mut buf = [0; 8 * CLUSTER];
    for _ in 0..16 {
        if input.is_empty() {
            break;
        }
        let kind = input.u8();
        let end = image.len();
        let offset = match kind & 0x80 {
            0 => u64::from(input.u8()) * 512,
            _ => input.number(),
        };
        let len = usize::from(input.u8()) % (8 * CLUSTER / 128) * 128;
        let fits = offset.checked_add(len as u64).is_some_and(|to| to <= end);
        let range = offset as usize..offset as usize + if fits { len } else { 0 };
        let buf = &mut buf[..len];
        let (result, writes) = match kind % 8 {
            0..3 => (image.read_at(buf, offset), false),
            3 | 4 => {
                buf.fill(kind);
                (image.write_at(buf, offset), true)
            }
            5 => (image.write_zeroes(offset, len as u64, kind & 8 != 0), true),
            6 => (image.discard(offset, len as u64), true),
            _ => (image.flush(), false),
        };
        assert!(
            kind % 8 == 7 || result.is_err() || fits && (may_write || !writes),
            "a request that can't be served succeeds"
        );
        let Some(model) = model else {
            continue;
        };
        let allowed = kind % 8 == 7 || fits && (may_write || !writes);
        assert_eq!(result.is_ok(), allowed, "{result:?}");
        if !allowed {
            continue;
        }
        match kind % 8 {
            0..3 => assert!(*buf == model[range], "it reads as it was written"),
            3 | 4 => model[range].fill(kind),
            5 => model[range].fill(0),
            // A discarded cluster may read as anything; it must be the same from then on.
            6 => {
                let at = range.start as u64;
                let now = image.read_at(&mut model[range], at);
                assert!(now.is_ok(), "{now:?}");
            }
            _ => {}
        }
    }
    true
}
