//! The image store: images that are named without a path, as `image:NAME`.

use super::human;
use crate::{Error, config};
use skep_disk::Format;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How a disk is written that is in the store.
const PREFIX: &[u8] = b"image:";
/// How the store's files end: images in that format take no more room than what is in them.
const SUFFIX: &str = "qcow2";
/// The longest name.
const LONGEST: usize = 64;

/// The store's directory.
fn directory(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Error> {
    skep_image::base_directory(variable, "XDG_DATA_HOME", ".local/share")
        .map(|base| base.join("skep/images"))
        .ok_or_else(|| {
            "there is no place for the image store: set XDG_DATA_HOME or HOME to a directory, or \
             name a file with --output"
                .into()
        })
}

fn of_environment() -> Result<PathBuf, Error> {
    directory(|name| std::env::var_os(name))
}

/// The file of an image in a store.
fn file(directory: &Path, name: &str) -> Result<PathBuf, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    let is_name = name.chars().all(plain) && !name.starts_with(['.', '-']);
    if name.is_empty() || name.len() > LONGEST || !is_name {
        return Err(format!(
            "{name:?} is no name of an image; use letters, digits, '-', '_', '+' and '.', up to \
             {LONGEST}"
        )
        .into());
    }
    Ok(directory.join(format!("{name}.{SUFFIX}")))
}

/// The file of a new image.
pub fn new(name: &str) -> Result<PathBuf, Error> {
    let directory = of_environment()?;
    let file = file(&directory, name)?;
    std::fs::create_dir_all(&directory).map_err(|error| {
        let directory = directory.display();
        format!("the image store {directory} can't be made ({error}); make it writable")
    })?;
    Ok(file)
}

/// The file that `image:NAME` stands for. Any other text is a path.
pub fn resolve(text: &OsStr) -> Result<PathBuf, String> {
    let Some(name) = text.as_bytes().strip_prefix(PREFIX) else {
        return Ok(text.into());
    };
    let name = String::from_utf8_lossy(name);
    let found = of_environment().and_then(|directory| file(&directory, &name));
    found.map_err(|error| error.to_string())
}

/// An image in the store.
struct Stored {
    name: String,
    path: PathBuf,
    /// Bytes of the disk, and of the file; none if it can't be read.
    sizes: Option<(u64, u64)>,
}

/// The images in a store, by name.
fn list(directory: &Path) -> Vec<Stored> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut images: Vec<Stored> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension() == Some(OsStr::new(SUFFIX)))
        .filter_map(|path| {
            let name = path.file_stem()?.to_str()?.to_owned();
            let info = skep_disk::info(&path, Some(Format::Qcow2)).ok();
            let sizes = info.map(|info| (info.size, info.allocated));
            Some(Stored { name, path, sizes })
        })
        .collect();
    images.sort_by(|one, two| one.name.cmp(&two.name));
    images
}

/// `skep image ls`.
pub fn ls(json: bool) -> Result<u8, Error> {
    let images = list(&of_environment()?);
    if json {
        let images = images.iter().map(|image| {
            serde_json::json!({
                "name": image.name,
                "path": image.path.to_string_lossy(),
                "size": image.sizes.map(|(size, _)| size),
                "allocated": image.sizes.map(|(_, allocated)| allocated),
            })
        });
        let images: Vec<_> = images.collect();
        return config::print(&format!("{}\n", serde_json::json!(images)));
    }
    config::print(&table(&images))
}

fn table(images: &[Stored]) -> String {
    let longest = images.iter().map(|image| image.name.len()).max();
    let width = longest.unwrap_or(0).max(4);
    let lines = images.iter().map(|image| {
        let name = &image.name;
        match image.sizes {
            Some((size, allocated)) => {
                format!(
                    "{name:<width$}  {:>10}  {:>10}\n",
                    human(size),
                    human(allocated)
                )
            }
            None => format!("{name:<width$}  can't be read\n"),
        }
    });
    let lines: String = lines.collect();
    if lines.is_empty() {
        return lines;
    }
    format!(
        "{:<width$}  {:>10}  {:>10}\n{lines}",
        "NAME", "SIZE", "ALLOCATED"
    )
}

/// `skep image rm`.
pub fn rm(names: &[String]) -> Result<u8, Error> {
    let directory = of_environment()?;
    // All names are looked at first.
    let files = names.iter().map(|name| file(&directory, name));
    let files: Vec<PathBuf> = files.collect::<Result<_, _>>()?;
    for (name, file) in names.iter().zip(files) {
        std::fs::remove_file(&file).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                format!("there is no image {name} in the store; skep image ls lists them")
            }
            _ => format!("the image {} can't be removed ({error})", file.display()),
        })?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        let store = Path::new("/store");
        assert_eq!(
            file(store, "a-b.1").unwrap(),
            Path::new("/store/a-b.1.qcow2")
        );
        let long = "n".repeat(LONGEST + 1);
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "/etc/passwd",
            "-x",
            ".hidden",
            "a b",
            &long,
        ] {
            let error = file(store, name).unwrap_err().to_string();
            assert!(error.contains("is no name of an image"), "{name}: {error}");
        }
    }

    #[test]
    fn the_store_is_where_the_users_data_is() {
        let with = |set: &'static [(&str, &str)]| {
            directory(move |name| {
                let found = set.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, value)| value.into())
            })
        };
        let path = with(&[("XDG_DATA_HOME", "/data"), ("HOME", "/home/me")]).unwrap();
        assert_eq!(path, Path::new("/data/skep/images"));
        let path = with(&[("XDG_DATA_HOME", "relative"), ("HOME", "/home/me")]).unwrap();
        assert_eq!(path, Path::new("/home/me/.local/share/skep/images"));
        assert!(
            with(&[])
                .unwrap_err()
                .to_string()
                .contains("set XDG_DATA_HOME")
        );
    }

    #[test]
    fn a_path_is_a_path() {
        let path = resolve(OsStr::new("dir/image:x")).unwrap();
        assert_eq!(path, Path::new("dir/image:x"));
        assert!(resolve(OsStr::new("image:../x")).is_err());
    }

    #[test]
    fn images_are_listed_with_their_sizes() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        skep_disk::create(&at("two.qcow2"), 1 << 30, Format::Qcow2).unwrap();
        std::fs::write(at("one.qcow2"), "broken").unwrap();
        std::fs::write(at("other.txt"), "").unwrap();
        let images = list(directory.path());
        let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
        assert_eq!(names, ["one", "two"]);
        let text = table(&images);
        assert!(
            text.starts_with("NAME        SIZE   ALLOCATED\none   can't be read\n"),
            "{text}"
        );
        assert!(text.contains("two        1 GiB"), "{text}");
        assert_eq!(table(&[]), "");
    }
}
