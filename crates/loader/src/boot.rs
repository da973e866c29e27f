//! Everything in the right order: choose the device tree, place, fill in the addresses.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::fdt::{self, BoardConfig, Chosen, FdtError, Range};
use crate::kernel::{Image, Kernel};
use crate::place::{Entry, Memory, PlaceError, Placed, plan};

/// Where the device tree comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceTree<'a> {
    /// The tree that came with the kernel, if one did (appended to a zImage, or in a multi-file
    /// uImage), amended; the board's otherwise. A kernel built to use an appended tree would use it
    /// on hardware too, whatever the boot loader offers.
    Board(&'a BoardConfig),
    /// The user's, amended, even if one came with the kernel.
    User(&'a [u8]),
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// RAM.
    pub ram: Memory,
    /// The kernel.
    pub kernel: &'a Kernel<'a>,
    /// The initial RAM disk; replaces one that came with the kernel.
    pub initrd: Option<&'a [u8]>,
    /// The device tree.
    pub tree: DeviceTree<'a>,
    /// Command line and seeds. `initrd` in it is ignored: it is computed.
    pub chosen: Chosen,
}

/// Why a machine can't start. Shown to the user as it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// No room.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The user's device tree is unusable.
    #[error("device tree: {0}")]
    UserTree(FdtError),
    /// The device tree that came with the kernel is unusable.
    #[error("the device tree that came with the kernel: {0}, or give another device tree")]
    KernelTree(FdtError),
    /// An initial RAM disk without contents.
    #[error("the initial RAM disk is empty; give a cpio archive, possibly compressed, or none")]
    EmptyInitrd,
}

/// What a blob is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlobKind {
    /// The kernel or a segment of it.
    Kernel,
    /// The initial RAM disk.
    Initrd,
    /// The device tree.
    Dtb,
}

/// Bytes with an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blob<'a> {
    /// What it is.
    pub kind: BlobKind,
    /// Guest-physical address; inside RAM and below 4 GiB.
    pub addr: u64,
    /// The bytes.
    pub data: Cow<'a, [u8]>,
    /// Bytes of memory, at least `data`'s length; those after `data` are zero.
    pub mem_size: u64,
}

/// A machine's memory and registers when it starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Boot<'a> {
    /// What to write to memory, in this order.
    pub blobs: Vec<Blob<'a>>,
    /// How the first CPU starts.
    pub entry: Entry,
    /// Whether the device tree is the one that came with the kernel.
    pub tree_from_kernel: bool,
}

/// Works out what to write to memory and how to start.
///
/// # Errors
///
/// There is no room, or the device tree or the initial RAM disk is unusable.
pub fn prepare<'a>(request: &Request<'a>) -> Result<Boot<'a>, BootError> {
    let kernel: &'a Kernel<'a> = request.kernel;
    let initrd = request.initrd.or(kernel.initrd.as_deref());
    if initrd.is_some_and(<[u8]>::is_empty) {
        return Err(BootError::EmptyInitrd);
    }
    let tree_from_kernel = matches!(request.tree, DeviceTree::Board(_)) && kernel.dtb.is_some();
    let build = |initrd: Option<Range>| {
        let chosen = Chosen {
            initrd,
            ..request.chosen.clone()
        };
        match (request.tree, &kernel.dtb) {
            (DeviceTree::User(blob), _) => {
                fdt::amend(blob, &[request.ram], &chosen).map_err(BootError::UserTree)
            }
            (DeviceTree::Board(_), Some(blob)) => {
                fdt::amend(blob, &[request.ram], &chosen).map_err(BootError::KernelTree)
            }
            (DeviceTree::Board(config), None) => Ok(fdt::board(config, &chosen)),
        }
    };

    // The tree's length doesn't depend on the addresses in it, but its own address does on its length.
    let size = initrd.map(|initrd| initrd.len() as u64);
    let draft = build(size.map(|size| Range { base: 0, size }))?;
    let plan = plan(request.ram, kernel, size, draft.len() as u64)?;
    let tree = build(
        plan.initrd
            .map(|Placed { addr, size }| Range { base: addr, size }),
    )?;

    let mut blobs = Vec::new();
    match &kernel.image {
        Image::Relocatable { data, .. } => {
            blobs.extend(
                plan.kernel
                    .iter()
                    .map(|placed| blob(BlobKind::Kernel, *placed, data)),
            );
        }
        Image::Fixed { segments, .. } => {
            let pairs = plan.kernel.iter().zip(segments);
            blobs.extend(
                pairs.map(|(placed, segment)| blob(BlobKind::Kernel, *placed, &segment.data)),
            );
        }
    }
    if let (Some(placed), Some(initrd)) = (plan.initrd, initrd) {
        blobs.push(blob(BlobKind::Initrd, placed, initrd));
    }
    blobs.push(Blob {
        kind: BlobKind::Dtb,
        addr: plan.dtb.addr,
        mem_size: tree.len() as u64,
        data: Cow::Owned(tree),
    });
    Ok(Boot {
        blobs,
        entry: plan.entry,
        tree_from_kernel,
    })
}

fn blob(kind: BlobKind, placed: Placed, data: &[u8]) -> Blob<'_> {
    Blob {
        kind,
        addr: placed.addr,
        data: Cow::Borrowed(data),
        mem_size: placed.size,
    }
}
