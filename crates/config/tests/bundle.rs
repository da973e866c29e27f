//! What of a file comes into a bundle.

use skep_bundle::{Bundle, Console, Contents, CoreSchedule, Policies, Policy, Share};
use skep_config::model::Guest;
use skep_config::{Document, GuestFiles, Host, Report, bundle, place};
use skep_loader::fdt::Tree;
use std::path::{Path, PathBuf};

/// A directory with a file that describes machines, and what it names.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).expect("writable");
    for name in ["kernel", "initrd"] {
        std::fs::write(directory.join(name), [7; 64]).expect("writable");
    }
    directory
}

/// Packs the machines of a file.
fn pack(directory: &Path, text: &str) -> (Option<Vec<u8>>, String) {
    let document = Document::new(&directory.join("skep.toml"), text.into());
    assert_eq!(document.render(false), "");
    let mut report = Report::default();
    let system = place(&document.config, &Host, &mut report).expect("it fits");
    let guests = |guest, _: &_| {
        assert_eq!(guest, Guest::DebianLpae);
        Ok::<_, ()>(GuestFiles {
            kernel: vec![1; 64],
            initrd: vec![2; 32],
            cmdline: "first".into(),
        })
    };
    let packed = bundle(&system, &Host, guests, &mut report).expect("there are guests");
    (packed, report.render("skep.toml", text, false))
}

/// The command line in a machine's tree, its last file.
fn bootargs(bundle: &Bundle<'_>, vm: usize) -> String {
    let tree = bundle.system.vms[vm].files.last().expect("a tree");
    let tree = Tree::parse(bundle.file(tree.file)).expect("a tree");
    let chosen = tree
        .root
        .child("chosen")
        .and_then(|node| node.get("bootargs"));
    String::from_utf8_lossy(chosen.expect("a command line")).into_owned()
}

#[test]
fn machines_are_packed_as_the_file_has_them() {
    let (packed, said) = pack(
        &directory("bundle"),
        "[vm.b]\nkernel = 'kernel'\ninitrd = 'initrd'\nmemory = '64M'\ncores = [2, 1]\n\
         [vm.a]\nguest = 'debian-lpae'\nmemory = '96M'\ncmdline = 'second'\n\
         [vm.c]\nkernel = 'kernel'\n\
         [board]\ncores = 3\nvms = ['a', 'b']",
    );
    assert_eq!(said, "");
    let packed = packed.expect("it can be packed");
    let bundle = Bundle::open(&packed).expect("a bundle");
    let vms = &bundle.system.vms;
    let found: Vec<_> = vms
        .iter()
        .map(|vm| (vm.name.as_str(), vm.memory_mib, vm.cores.as_slice()))
        .collect();
    assert_eq!(found, [("a", 96, &[0][..]), ("b", 64, &[2, 1][..])]);
    assert_eq!(bundle.file(vms[0].files[0].file), [1; 64]);
    assert_eq!(bundle.file(vms[0].files[1].file), [2; 32]);
    assert_eq!(bundle.file(vms[1].files[1].file), [7; 64]);
    assert_eq!(bootargs(&bundle, 0), "first second\0");
    assert_eq!(bootargs(&bundle, 1), "console=ttyAMA0\0");
}

#[test]
fn a_machine_has_all_that_boards_have() {
    let (packed, said) = pack(
        &directory("bundle-board"),
        "[vm.a]\nkernel = 'kernel'\nmemory = '64M'\nconsoles = ['stdio']\ncores = [1]\npriority = 7\n\
         budget = '2ms'\nperiod = '10ms'\non-fault = 'reset'\nrestarts = 3\non-reset = 'stop'\n\
         on-poweroff = 'reset'\nautostart = false\ndevices = ['/pl031@9010000']\n\
         disks = [{ file = 'initrd', readonly = true }, { size = '1M' }, { board-disk = 1, start = '1K' }]\n\
         [vm.b]\nkernel = 'kernel'\nmemory = '64M'\n\
         [core.1]\nschedule = 'shared'\nslice = '1ms'\n\
         [channel.c]\nsize = '8K'\nvms = ['b', 'a']\nreadonly = ['a']",
    );
    assert_eq!(said, "");
    let packed = packed.expect("it can be packed");
    let bundle = Bundle::open(&packed).expect("a bundle");
    assert_eq!(bundle.system.check_schedule(), Ok(()));
    let [a, b] = bundle.system.vms.as_slice() else {
        panic!("two machines")
    };
    assert_eq!((a.console, b.console), (Console::Virtio, Console::Pl011));
    let share = a.share(0);
    assert_eq!(
        (share.priority, share.budget_us, share.period_us),
        (7, 2000, 10_000)
    );
    assert_eq!(b.share(0), Share::default());
    let policies = Policies {
        fault: Policy::Reset { limit: Some(3) },
        reset: Policy::Stop,
        off: Policy::Reset { limit: None },
    };
    assert_eq!((a.policies, b.policies), (policies, Policies::default()));
    assert_eq!((a.halted, b.halted), (true, false));
    assert_eq!(bundle.system.core(0), CoreSchedule::Partitioned);
    let shared = CoreSchedule::Shared { slice_us: 1000 };
    assert_eq!(bundle.system.core(1), shared);
    assert_eq!(a.devices[0].path, "/pl031@9010000");
    assert_eq!(a.devices[0].windows[0].physical, 0x901_0000);
    let Contents::Memory { file, size: 64 } = a.disks[0].contents else {
        panic!("{:?}", a.disks[0]);
    };
    assert_eq!(bundle.file(file), [7; 64]);
    assert!(a.disks[0].read_only && !a.disks[1].read_only);
    assert!(matches!(
        &a.disks[1].contents,
        Contents::Memory {
            size: 0x10_0000,
            ..
        }
    ));
    let part = Contents::Board {
        disk: 1,
        start: 1024,
        size: 0,
    };
    assert_eq!(a.disks[2].contents, part);
    let channel = &bundle.system.channels[0];
    let ends: Vec<_> = channel
        .ends
        .iter()
        .map(|end| (end.vm, end.read_only))
        .collect();
    assert_eq!((channel.name.as_str(), channel.size), ("c", 8192));
    assert_eq!(ends, [(1, false), (0, true)]);
}
