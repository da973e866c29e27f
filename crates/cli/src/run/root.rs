//! Whether a disk holds a system that the default guest can start.

use skep_disk::{Access, Disk, Image};

/// Where an ext2, ext3 or ext4 file system has its superblock, bytes (Linux,
/// Documentation/filesystems/ext4/super.rst).
const SUPERBLOCK: u64 = 1024;
/// Where that has its magic number, and which.
const MAGIC: (usize, [u8; 2]) = (0x38, [0x53, 0xef]);
/// Where it has the label, padded with zeros, and that of a root file system.
const LABEL: (usize, [u8; 16]) = (0x78, *b"skep-root\0\0\0\0\0\0\0");

/// Whether all of a disk is a file system with the label of those that `skep image build` makes.
///
/// A guest that may write to a disk may label it, and so choose what starts from it the next time: a
/// guest again, with what that disk's owner gave it. Nothing else is done with what is read.
pub fn has_root_file_system(disk: &Disk) -> bool {
    let disk = Disk {
        access: Access::ReadOnly,
        ..disk.clone()
    };
    let mut block = [0; 1024];
    // What is wrong with the disk is told when the machine gets it.
    Image::open(&disk).is_ok_and(|image| image.read_at(&mut block, SUPERBLOCK).is_ok())
        && has(&block, MAGIC.0, &MAGIC.1)
        && has(&block, LABEL.0, &LABEL.1)
}

fn has(block: &[u8], at: usize, expected: &[u8]) -> bool {
    block
        .get(at..)
        .is_some_and(|rest| rest.starts_with(expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_disk::Format;

    /// A disk with a superblock of a file system with this label.
    fn disk(directory: &std::path::Path, format: Format, label: &[u8]) -> Disk {
        let disk = Disk {
            format: Some(format),
            ..Disk::new(directory.join(format.name()))
        };
        let _ = std::fs::remove_file(&disk.path);
        skep_disk::create(&disk.path, 1 << 20, format).unwrap();
        let image = Image::open(&disk).unwrap();
        image.write_at(&MAGIC.1, SUPERBLOCK + 0x38).unwrap();
        image.write_at(label, SUPERBLOCK + 0x78).unwrap();
        image.flush().unwrap();
        disk
    }

    #[test]
    fn the_label_decides_in_every_format() {
        let directory = tempfile::tempdir().unwrap();
        for format in [Format::Raw, Format::Qcow2] {
            for (label, expected) in [
                (&b"skep-root"[..], true),
                (b"skep-root2", false),
                (b"Skep-root", false),
                (b"", false),
            ] {
                let disk = disk(directory.path(), format, label);
                assert_eq!(has_root_file_system(&disk), expected, "{label:?}");
            }
        }
    }

    #[test]
    fn what_is_no_file_system_has_no_label() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.img");
        assert!(!has_root_file_system(&Disk::new(&path)));
        // Too short for a superblock.
        std::fs::write(&path, [0x53; 1024]).unwrap();
        assert!(!has_root_file_system(&Disk::new(&path)));
        let mut bytes = vec![0; 4096];
        bytes[1024 + 0x78..][..9].copy_from_slice(b"skep-root");
        std::fs::write(&path, &bytes).unwrap();
        assert!(!has_root_file_system(&Disk::new(&path)));
    }
}
