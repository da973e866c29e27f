//! What is said of files that are wrong: `errors/NAME.toml` and, beside it, the text. After a change
//! that is meant, `SKEP_UPDATE=1 cargo test -p skep-config` writes the texts.

use skep_board::map;
use skep_config::files::{Files, Found, Kind};
use skep_config::{Document, Host, Level};
use skep_hyp::guest;
use skep_loader::fdt::{self, Node, Tree};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Files that there are for the tests.
struct Examples(BTreeMap<&'static str, Vec<u8>>);

impl Examples {
    fn new() -> Self {
        let mut bzimage = vec![0; 4096];
        bzimage[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
        bzimage[0x202..0x206].copy_from_slice(b"HdrS");
        let mut qcow2 = b"QFI\xfb".to_vec();
        qcow2.resize(1024, 0);
        Examples(BTreeMap::from([
            ("zImage", vec![0; 4096]),
            ("bzImage", bzimage),
            ("initrd.img", vec![1; 2 << 20]),
            ("u-boot.bin", vec![2; 4096]),
            ("huge.bin", vec![2; map::FLASH_BANK as usize + 1]),
            ("empty", Vec::new()),
            ("disk.img", vec![0; 4096]),
            ("raw.img", vec![0; 512]),
            ("odd.img", vec![0; 1000]),
            ("disk.qcow2", qcow2.clone()),
            ("snapshot", qcow2),
            ("board.dtb", board(|_| ())),
            ("shared.dtb", board(share_an_interrupt)),
            (
                "no-gic.dtb",
                board(|root| root.children.retain(|node| !node.name.starts_with("intc"))),
            ),
            (
                "no-memory.dtb",
                board(|root| {
                    root.children
                        .retain(|node| !node.name.starts_with("memory"))
                }),
            ),
        ]))
    }
}

/// The tree of a board with two cores and no PSCI that the hypervisor could call, changed.
fn board(change: impl Fn(&mut Node)) -> Vec<u8> {
    let range = |base, size| fdt::Range { base, size };
    let mut config = guest::board(2, range(map::RAM_BASE, 0));
    config.gic.virtualization =
        Some((range(0x803_0000, 0x1_0000), range(0x804_0000, 0x1_0000), 25));
    config.rtc = Some((range(map::RTC.base, map::RTC.size), map::SPI_RTC));
    config.gpio = Some(fdt::GpioKey {
        registers: range(map::GPIO.base, map::GPIO.size),
        spi: map::SPI_GPIO,
        power_key: map::GPIO_POWER_KEY,
    });
    let blob = fdt::board(&config, &fdt::Chosen::default());
    let mut tree = Tree::parse(&blob).expect("a tree");
    change(&mut tree.root);
    tree.to_bytes()
}

/// Two devices with one interrupt.
fn share_an_interrupt(root: &mut Node) {
    let interrupts = root
        .child("pl031@9010000")
        .and_then(|clock| clock.get("interrupts"));
    let interrupts = interrupts.expect("it has one").to_vec();
    root.child_or_insert("pl061@9030000")
        .set("interrupts", interrupts);
}

impl Files for Examples {
    fn look(&self, path: &Path) -> io::Result<Found> {
        let (kind, bytes) = match path.to_str() {
            Some("" | "directory") => (Kind::Directory, &[][..]),
            Some("pipe") => (Kind::Other, &[][..]),
            Some("secret") => return Err(ErrorKind::PermissionDenied.into()),
            Some(name) => (
                Kind::File,
                self.0.get(name).ok_or(ErrorKind::NotFound)?.as_slice(),
            ),
            None => return Err(ErrorKind::NotFound.into()),
        };
        Ok(Found {
            kind,
            size: bytes.len() as u64,
            head: bytes.iter().take(512).copied().collect(),
        })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let name = path.to_str().unwrap_or_default();
        self.0.get(name).cloned().ok_or(ErrorKind::NotFound.into())
    }

    fn names(&self, _directory: &Path) -> Vec<String> {
        self.0.keys().map(|&name| name.to_owned()).collect()
    }
}

#[test]
fn each_error_is_explained() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors");
    let update = std::env::var_os("SKEP_UPDATE").is_some();
    let files = Examples::new();
    let entries = std::fs::read_dir(&directory).expect("the directory");
    let mut sources: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    sources.sort();
    assert!(sources.len() > 10);
    for source in sources {
        let text = std::fs::read_to_string(&source).expect("a text");
        let mut document = Document::new(Path::new("skep.toml"), text);
        document.check(&files);
        let said = document.render(false);
        let golden = source.with_extension("txt");
        if update {
            std::fs::write(&golden, &said).expect("writable");
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(said, expected, "{}", source.display());
        assert!(document.report.errors() > 0, "{}", source.display());
    }
}

/// The files of the examples are right, and what is left out of them is right, too.
#[test]
fn what_is_right_has_no_errors() {
    let files = Examples::new();
    for text in [
        "[vm.one]",
        "vm.one = { kernel = 'zImage', initrd = 'initrd.img' }",
        "[vm.one]\nkernel = 'zImage'\ndisks = ['disk.img', { file = 'raw.img', readonly = true, format = 'raw' }]",
        "[vm.one]\nshares = ['directory', { directory = 'directory', mount = '/a b/c', readonly = true }]",
        "[vm.a]\ncpus = 2\n[board]\ncpu = 'cortex-a15'",
        "[vm.a]\nmemory = '64M'\n[vm.b]\nmemory = '64M'\ncores = [0, 0]\n[board]\n[core.0]\nschedule = 'shared'\nslice = '1ms'",
        "[vm.a]\nmemory = '64M'\n[vm.b]\nmemory = '1M'\n[board]\n[channel.c]\nsize = '4K'\nvms = ['a', 'b']\nreadonly = ['b']",
        "[vm.a]\nmemory = '64M'\non-fault = 'reset'\nrestarts = 0\ndevices = ['/pl031@9010000']\n[board]",
        "[vm.a]\nkernel = 'zImage'\n[board]\ndevice-tree = 'board.dtb'\nmemory = '1G'",
        "",
    ] {
        let mut document = Document::new(Path::new("skep.toml"), text.into());
        document.check(&files);
        assert_eq!(document.render(false), "", "{text}");
    }
}

#[test]
fn the_example_is_right_and_so_are_its_comments() {
    let check = |text: String| {
        let mut document = Document::new(Path::new("skep.toml"), text);
        document.check(&Examples::new());
        let errors = document.report.diagnostics.iter();
        let errors = errors.filter(|found| found.level == Level::Error);
        (
            errors.map(|found| found.title.clone()).collect::<Vec<_>>(),
            document.config,
        )
    };
    let (errors, config) = check(skep_config::EXAMPLE.into());
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(config.names().collect::<Vec<_>>(), ["demo"]);
    // A line that starts with # and no space is one to be used.
    let used = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    let lines = skep_config::EXAMPLE.lines().map(used);
    let (errors, config) = check(lines.collect::<Vec<_>>().join("\n"));
    // The files are the user's.
    assert_eq!(
        errors,
        ["`disks` of the virtual machine `second` can't be used"]
    );
    assert!(config.board.is_some());
}

#[test]
fn files_that_can_not_be_read_are_explained() {
    let directory = tempfile();
    let path = directory.join("skep.toml");
    let load = || {
        Document::load(&path)
            .map(|_| ())
            .unwrap_err()
            .replace(path.to_str().expect("text"), "FILE")
    };
    let _ = std::fs::remove_file(&path);
    assert_eq!(
        load(),
        "FILE does not exist; skep init writes one to begin with"
    );
    std::fs::write(&path, b"[vm.one]\n# \xff\n").expect("writable");
    assert_eq!(
        load(),
        "FILE is not a text in UTF-8: line 2 has other bytes; save it as UTF-8"
    );
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).expect("writable");
    assert_eq!(
        load(),
        "FILE is larger than 1 MiB; name a file as skep init writes one"
    );
    let error = Document::load(&directory).map(|_| ()).unwrap_err();
    assert!(
        error.ends_with("is a directory; name the file in it"),
        "{error}"
    );
    std::fs::write(&path, "[vm.one]\nkernel = 'kernel'\n").expect("writable");
    std::fs::write(directory.join("kernel"), [0; 64]).expect("writable");
    let mut document = Document::load(&path).expect("a file");
    document.check(&Host);
    assert_eq!(document.render(false), "");
    let vm = document.config.vm("one").expect("it is there");
    // Paths start from the file's directory.
    let kernel = vm.kernel.as_ref().expect("a kernel");
    assert_eq!(kernel.get_ref(), &directory.join("kernel"));
}

fn tempfile() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("config-files");
    std::fs::create_dir_all(&directory).expect("writable");
    directory
}

#[test]
fn disks_of_boards_are_not_for_this_host() {
    let text = "[vm.one]\ndisks = [{ board-disk = 0 }, { board-disk = 1, file = 'disk.img' }]";
    let mut document = Document::new(Path::new("skep.toml"), text.into());
    skep_config::files::check_hosted(&document.config.vms[0], &mut document.report);
    assert_eq!(
        document.render(false),
        "error: a disk of the virtual machine `one` is for boards only\n \
         --> skep.toml:2:10\n  \
         |\n\
         2 | disks = [{ board-disk = 0 }, { board-disk = 1, file = 'disk.img' }]\n  \
         |          ^^^^^^^^^^^^^^^^^^ skep run has disks of files\n  \
         |\n  \
         = help: add for instance file = \"disk.img\"\n\n"
    );
}
