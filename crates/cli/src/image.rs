//! `skep image`.

mod build;
mod install;
mod show;
pub mod store;

use crate::Error;
use crate::config::print;
use clap::{Subcommand, ValueEnum};
use skep_config::value::parse_size;
use skep_disk::Format;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const RESIZE_HELP: &str = "\
The file system on the disk is not touched. That of skep image build grows when it is booted; in
other guests, resize2fs /dev/vda makes an ext4 file system as large as the disk, and growpart a
partition.
";

/// What to do with images.
#[derive(Subcommand, Debug)]
pub enum ImageCommand {
    /// Make an empty disk image
    Create {
        /// The file, which must not exist
        file: PathBuf,
        /// Size of the disk, with a suffix K, M or G (without one, MiB)
        #[arg(long, short, value_name = "SIZE", value_parser = parse_size)]
        size: u64,
        /// The image's format [default: qcow2 if the name ends in .qcow2, else raw]
        #[arg(long, value_name = "FORMAT")]
        format: Option<ImageFormat>,
    },
    /// Make a disk image larger
    #[command(after_help = RESIZE_HELP)]
    Resize {
        /// The file, or image:NAME
        file: PathBuf,
        /// The new size of the disk, with a suffix K, M or G (without one, MiB)
        #[arg(value_parser = parse_size)]
        size: u64,
        /// The image's format [default: qcow2 if the name ends in .qcow2, else raw]
        #[arg(long, value_name = "FORMAT")]
        format: Option<ImageFormat>,
    },
    /// Tell what a disk image is
    Info {
        /// The file, or image:NAME
        file: PathBuf,
        /// The image's format [default: qcow2 if the name ends in .qcow2, else raw]
        #[arg(long, value_name = "FORMAT")]
        format: Option<ImageFormat>,
        /// As JSON, on one line
        #[arg(long)]
        json: bool,
    },
    /// Make a disk with a system on it that boots
    #[command(after_help = build::HELP)]
    Build(build::BuildArgs),
    /// The process of the guest that build starts
    #[command(hide = true)]
    Install(install::InstallArgs),
    /// List the images of the image store
    Ls {
        /// As JSON, on one line
        #[arg(long)]
        json: bool,
    },
    /// Remove images from the image store
    Rm {
        /// Their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

/// Formats of disk images.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ImageFormat {
    /// The file's bytes are the disk's
    Raw,
    /// QEMU's format
    Qcow2,
}

impl From<ImageFormat> for Format {
    fn from(format: ImageFormat) -> Self {
        match format {
            ImageFormat::Raw => Format::Raw,
            ImageFormat::Qcow2 => Format::Qcow2,
        }
    }
}

/// `skep image`.
pub fn image(command: ImageCommand) -> Result<u8, Error> {
    match command {
        ImageCommand::Create { file, size, format } => create(&file, size, format),
        ImageCommand::Resize { file, size, format } => resize(&file, size, format),
        ImageCommand::Info { file, format, json } => info(&file, format, json),
        ImageCommand::Build(args) => build::build(&args),
        ImageCommand::Install(args) => install::install(&args),
        ImageCommand::Ls { json } => store::ls(json),
        ImageCommand::Rm { names } => store::rm(&names),
    }
}

fn create(file: &Path, size: u64, format: Option<ImageFormat>) -> Result<u8, Error> {
    let format = format.map_or_else(|| Format::of_name(file), Format::from);
    skep_disk::create(file, size, format)
        .map_err(|error| format!("the image {} can't be made: {error}", file.display()))?;
    Ok(0)
}

fn resize(file: &Path, size: u64, format: Option<ImageFormat>) -> Result<u8, Error> {
    let path = store::resolve(file.as_os_str())?;
    let before = skep_disk::grow(&path, size, format.map(Format::from))
        .map_err(|error| format!("the image {} can't be resized: {error}", file.display()))?;
    print(&format!(
        "{}: {}, was {}\n",
        file.display(),
        human(size),
        human(before)
    ))
}

fn info(file: &Path, format: Option<ImageFormat>, json: bool) -> Result<u8, Error> {
    let path = store::resolve(file.as_os_str())?;
    let info = skep_disk::info(&path, format.map(Format::from))
        .map_err(|error| format!("the image {} can't be used: {error}", file.display()))?;
    if json {
        let object = serde_json::json!({
            "format": info.format.name(),
            "size": info.size,
            "length": info.length,
            "allocated": info.allocated,
            "cluster_size": info.cluster_size,
            "backing": info.backing,
            "snapshots": info.snapshots,
        });
        return print(&format!("{object}\n"));
    }
    let mut text = format!(
        "format     {}\nsize       {} ({} bytes)\n",
        info.format.name(),
        human(info.size),
        info.size
    );
    // Writing to a string does not fail.
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10} {value}");
    };
    line("length", &human(info.length));
    line("allocated", &human(info.allocated));
    if let Some(size) = info.cluster_size {
        line("cluster", &human(size));
    }
    if let Some(backing) = &info.backing {
        line("backing", &format!("{backing:?}"));
    }
    if info.snapshots > 0 {
        line("snapshots", &info.snapshots.to_string());
    }
    print(&text)
}

/// A number of bytes for people: in the largest unit of which it has one.
fn human(bytes: u64) -> String {
    const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    for (shift, unit) in UNITS {
        let one = 1u64 << shift;
        if bytes.is_multiple_of(one) && bytes >= one {
            return format!("{} {unit}", bytes >> shift);
        }
        if bytes >= one {
            return format!("{:.1} {unit}", bytes as f64 / one as f64);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn sizes_for_people() {
        assert_eq!(human(512), "512 bytes");
        assert_eq!(human(1 << 30), "1 GiB");
        assert_eq!(human(3 << 29), "1.5 GiB");
        assert_eq!(human((1 << 20) + 512), "1.0 MiB");
        assert_eq!(human(u64::MAX), "16777216.0 TiB");
    }
}
