//! The kernel's modules: which the guest needs, and what they need.

use object::{Object, ObjectSection};
use std::collections::{BTreeMap, BTreeSet};

/// What the guest can load: virtio's transport and devices, sockets to the host, the file systems of disks
/// and of shared directories, what tells programs of the power key, and the watchdog.
pub const WANTED: [&str; 11] = [
    "virtio_mmio",
    "virtio_blk",
    "virtio_net",
    "virtio_rng",
    "virtio_balloon",
    "virtio_console",
    "vmw_vsock_virtio_transport",
    "virtiofs",
    "evdev",
    "sp805_wdt",
    "ext4",
];

/// What these need in Debian's kernels, so that one reading of the package is enough as a rule.
const EXPECTED: [&str; 9] = [
    "jbd2",
    "mbcache",
    "crc16",
    "crc32c_generic",
    "fuse",
    "net_failover",
    "failover",
    "vsock",
    "vmw_vsock_virtio_transport_common",
];

/// The names to look for first.
pub fn first_names() -> BTreeSet<String> {
    WANTED
        .iter()
        .chain(&EXPECTED)
        .map(|&name| name.to_owned())
        .collect()
}

/// A module of the kernel's package.
#[derive(Debug, Clone)]
pub struct Module {
    /// The path below `/lib/modules/VERSION`, without a compression's suffix.
    pub path: String,
    /// An ELF object.
    pub contents: Vec<u8>,
    info: Vec<(String, String)>,
}

impl Module {
    /// Reads what the module says of itself; `None` if it isn't a module.
    pub fn new(path: String, contents: Vec<u8>) -> Option<Self> {
        let file = object::File::parse(contents.as_slice()).ok()?;
        let section = file.section_by_name(".modinfo")?;
        let info = section
            .data()
            .ok()?
            .split(|&byte| byte == 0)
            .filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Some(Module {
            path,
            contents,
            info,
        })
    }

    fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.info
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// The names of the modules that must be loaded before this one. Of the soft dependencies,
    /// only the checksum that ext4's journal wants matters here: it hides behind an alias.
    fn needs(&self) -> BTreeSet<String> {
        let hard = self.values("depends").flat_map(|value| value.split(','));
        let soft = self
            .values("softdep")
            .filter(|value| value.split_whitespace().any(|word| word == "crypto-crc32c"))
            .map(|_| "crc32c_generic");
        hard.chain(soft)
            .filter(|name| !name.is_empty())
            .map(canonical)
            .collect()
    }
}

/// A module's name: its file's name up to `.ko`, with underscores.
pub fn name_of(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    Some(canonical(file.split_once(".ko")?.0))
}

fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// The modules of one kernel, by name.
#[derive(Debug, Default)]
pub struct Modules(BTreeMap<String, Module>);

impl Modules {
    /// Adds a module.
    pub fn insert(&mut self, name: String, module: Module) {
        self.0.insert(name, module);
    }

    /// Whether there is a module of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Module> {
        self.0.values()
    }

    /// Which modules are named as needed but are not here. Some of them may be built in.
    pub fn missing(&self) -> BTreeSet<String> {
        self.0
            .values()
            .flat_map(Module::needs)
            .filter(|name| !self.0.contains_key(name))
            .collect()
    }

    /// `modules.dep`: for each module its file and those of all it needs, the innermost last.
    pub fn dep(&self) -> String {
        let mut text = String::new();
        for (name, module) in &self.0 {
            let mut order = Vec::new();
            self.visit(name, &mut BTreeSet::new(), &mut order);
            text.push_str(&module.path);
            text.push(':');
            // The last one visited is the module itself.
            for needed in order.iter().rev().skip(1) {
                text.push(' ');
                text.push_str(needed);
            }
            text.push('\n');
        }
        text
    }

    /// Adds the paths of what `name` needs, and then its own.
    fn visit<'a>(&'a self, name: &str, seen: &mut BTreeSet<String>, order: &mut Vec<&'a str>) {
        let Some(module) = self.0.get(name) else {
            return;
        };
        if !seen.insert(name.to_owned()) {
            return;
        }
        for needed in module.needs() {
            self.visit(&needed, seen, order);
        }
        order.push(&module.path);
    }

    /// `modules.alias`: by which other names the kernel asks for a module.
    pub fn alias(&self) -> String {
        let mut text = String::new();
        for (name, module) in &self.0 {
            for alias in module.values("alias") {
                text.push_str(&format!("alias {alias} {name}\n"));
            }
        }
        text
    }
}
