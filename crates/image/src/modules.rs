//! Kernel modules: which others one needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Modules that the default guest can load: virtio's transport and devices, and ext4.
pub const WANTED: [&str; 5] = [
    "virtio_mmio",
    "virtio_blk",
    "virtio-rng",
    "virtio_console",
    "ext4",
];

/// A kernel's modules by name.
pub struct Modules {
    paths: BTreeMap<String, PathBuf>,
}

impl Modules {
    /// Finds all modules below a directory.
    ///
    /// # Errors
    /// The host's.
    pub fn find(directory: &Path) -> std::io::Result<Self> {
        let mut paths = BTreeMap::new();
        let mut directories = vec![directory.to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory)? {
                let entry = entry?;
                let path = entry.path();
                if entry.file_type()?.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|extension| extension == "ko")
                    && let Some(name) = path.file_stem().and_then(|name| name.to_str())
                {
                    paths.insert(canonical(name), path.clone());
                }
            }
        }
        Ok(Modules { paths })
    }

    /// A module's file and those it needs, in the order in which they are loaded. Unknown modules
    /// are left out: they are part of the kernel.
    ///
    /// # Errors
    /// The host's.
    pub fn closure(&self, name: &str) -> std::io::Result<Vec<(String, PathBuf)>> {
        let mut order = Vec::new();
        self.visit(&canonical(name), &mut order, 0)?;
        Ok(order)
    }

    fn visit(
        &self,
        name: &str,
        order: &mut Vec<(String, PathBuf)>,
        depth: u32,
    ) -> std::io::Result<()> {
        // A circle of modules can't be loaded by anyone.
        const DEEPEST: u32 = 32;
        let Some(path) = self.paths.get(name) else {
            return Ok(());
        };
        if depth > DEEPEST || order.iter().any(|(known, _)| known == name) {
            return Ok(());
        }
        for needed in depends(&std::fs::read(path)?) {
            self.visit(&canonical(&needed), order, depth + 1)?;
        }
        order.push((name.to_owned(), path.clone()));
        Ok(())
    }
}

/// The kernel takes `-` and `_` in a module's name as the same.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// The modules that a module's `depends=` names: a string in its .modinfo section.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = &module[at + KEY.len()..];
    let end = value
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end])
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_after_those_they_need() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, depends: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(
                path,
                format!("ELF\0license=GPL\0depends={depends}\0name=x\0"),
            )
            .unwrap();
        };
        write("fs/ext4.ko", "mbcache,jbd2,crc16");
        write("fs/jbd2.ko", "");
        write("fs/mb/mbcache.ko", "");
        write("drivers/virtio-rng.ko", "ext4");
        let modules = Modules::find(directory.path()).unwrap();
        let names = |name| -> Vec<String> {
            modules
                .closure(name)
                .unwrap()
                .into_iter()
                .map(|(name, _)| name)
                .collect()
        };
        assert_eq!(
            names("virtio-rng"),
            ["mbcache", "jbd2", "ext4", "virtio_rng"]
        );
        assert_eq!(names("built-in"), Vec::<String>::new());
    }
}
