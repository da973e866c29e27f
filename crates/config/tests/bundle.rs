//! What of a file comes into a bundle.

use skep_bundle::Bundle;
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
fn what_the_hypervisor_does_not_have_is_refused() {
    let (packed, said) = pack(
        &directory("bundle-refused"),
        "[vm.a]\nkernel = 'kernel'\nconsole = 'virtio'\ndisks = ['initrd']\non-fault = 'reset'\n\
         autostart = false\ndevices = ['/pl031@9010000']\n[vm.b]\nkernel = 'kernel'\ncores = [1]\n\
         [core.1]\nschedule = 'shared'\n[channel.c]\nsize = '4K'\nvms = ['a', 'b']",
    );
    assert!(packed.is_none());
    for part in [
        "no virtio consoles yet",
        "no disks yet",
        "no policies for faults yet",
        "no machines that wait yet",
        "no passed-through devices yet",
        "no shared cores yet",
        "no channels yet",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}
