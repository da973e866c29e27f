//! A hypervisor's image and a bundle as one bootable file.
//!
//! The image's header, a zImage's with words of Skep's own (little-endian), is all that has to be
//! known of it:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0x24 | 4 | a zImage's magic number |
//! | 0x28 | 4 | the start, 0 |
//! | 0x2c | 4 | the end: bytes of memory that the image takes, more than it has |
//! | 0x30 | 4 | the byte order's magic number |
//! | 0x34 | 8 | `SKEP-HYP` |
//! | 0x3c | 4 | the bundle's format that it reads, [`VERSION`] |
//! | 0x40 | 4 | bytes that the image's file has |
//!
//! A bundle follows at the end, and the end moves behind it, so that boot loaders keep the memory
//! free.

use alloc::vec::Vec;

use crate::{PAGE, VERSION};

const ZIMAGE: u32 = 0x016f_2818;
const MAGIC: &[u8] = b"SKEP-HYP";
const ZIMAGE_AT: usize = 0x24;
const START_AT: usize = 0x28;
const END_AT: usize = 0x2c;
const MAGIC_AT: usize = 0x34;
const VERSION_AT: usize = 0x3c;
const FILE_AT: usize = 0x40;
/// The most that an image takes: its virtual address space.
const LARGEST: usize = 2 << 20;

/// Why a bundle can't be appended to an image. Shown to the user as it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Another file.
    #[error("this isn't the image of Skep's bare-metal hypervisor; cargo xtask hyp builds it")]
    Foreign,
    /// A part of the file is missing.
    #[error(
        "this image of the hypervisor is truncated: its header says {expected} bytes, the file has {found}; copy it again, or build it with cargo xtask hyp"
    )]
    Truncated {
        /// Bytes, by the header.
        expected: usize,
        /// Bytes of the file.
        found: usize,
    },
    /// A bundle is there already.
    #[error("this image has a bundle already; give the hypervisor's image alone")]
    HasBundle,
    /// An image of another time.
    #[error(
        "this hypervisor reads bundles of format {0}, and this skep writes format {VERSION}; build both from the same version"
    )]
    Version(u32),
    /// Larger than a boot loader can take.
    #[error("image and bundle would have 4 GiB or more; give fewer or smaller files")]
    TooLarge,
}

/// Appends a bundle to the hypervisor's image.
///
/// # Errors
///
/// The image isn't the hypervisor's, is of another version, truncated, or has a bundle.
pub fn append(image: &[u8], bundle: &[u8]) -> Result<Vec<u8>, ImageError> {
    let word = |at: usize| {
        let bytes = image.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let end = word(END_AT).ok_or(ImageError::Foreign)? as usize;
    if word(ZIMAGE_AT) != Some(ZIMAGE)
        || word(START_AT) != Some(0)
        || image.get(MAGIC_AT..MAGIC_AT + MAGIC.len()) != Some(MAGIC)
    {
        return Err(ImageError::Foreign);
    }
    match word(VERSION_AT) {
        Some(VERSION) => {}
        other => return Err(ImageError::Version(other.unwrap_or_default())),
    }
    let expected = word(FILE_AT).unwrap_or(u32::MAX) as usize;
    if image.len() < expected {
        let found = image.len();
        return Err(ImageError::Truncated { expected, found });
    }
    // The image has memory beyond its file; nothing is beyond a bundle.
    if end > LARGEST || image.len() >= end || !end.is_multiple_of(PAGE) {
        return Err(ImageError::HasBundle);
    }
    let total = u32::try_from(end + bundle.len()).map_err(|_| ImageError::TooLarge)?;
    let mut joined = Vec::with_capacity(end + bundle.len());
    joined.extend(image);
    joined.resize(end, 0);
    joined.extend(bundle);
    if let Some(word) = joined.get_mut(END_AT..END_AT + 4) {
        word.copy_from_slice(&total.to_le_bytes());
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn image() -> Vec<u8> {
        let mut image = vec![0xaa; 5000];
        for (at, word) in [
            (ZIMAGE_AT, ZIMAGE),
            (START_AT, 0),
            (END_AT, 0x3000),
            (VERSION_AT, VERSION),
            (FILE_AT, 5000),
        ] {
            image[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        image[MAGIC_AT..MAGIC_AT + 8].copy_from_slice(MAGIC);
        image
    }

    #[test]
    fn a_bundle_follows_the_images_memory() {
        let joined = append(&image(), &[7; 4096]).unwrap();
        assert_eq!(joined.len(), 0x4000);
        assert_eq!(joined[END_AT..END_AT + 4], 0x4000_u32.to_le_bytes());
        assert_eq!(joined[0x100..5000], image()[0x100..]);
        // Memory that the image expects to be zero.
        assert!(joined[5000..0x3000].iter().all(|&byte| byte == 0));
        assert!(joined[0x3000..].iter().all(|&byte| byte == 7));
    }

    #[test]
    fn what_is_not_the_hypervisor_is_refused() {
        let refused = |image: &[u8]| append(image, &[7; 4096]).unwrap_err();
        assert_eq!(refused(&[]), ImageError::Foreign);
        assert_eq!(refused(&[0; 4096]), ImageError::Foreign);
        let mut other = image();
        other[MAGIC_AT] = b'L';
        assert_eq!(refused(&other), ImageError::Foreign);
        let mut other = image();
        other[VERSION_AT] = 99;
        assert_eq!(refused(&other), ImageError::Version(99));
        let (expected, found) = (5000, 4999);
        let truncated = ImageError::Truncated { expected, found };
        assert_eq!(refused(&image()[..4999]), truncated);
        let joined = append(&image(), &vec![7; 4 << 20]).unwrap();
        assert_eq!(refused(&joined), ImageError::HasBundle);
        let joined = append(&image(), &[7; 4096]).unwrap();
        assert_eq!(refused(&joined), ImageError::HasBundle);
    }
}
