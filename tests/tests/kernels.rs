//! Every kind of kernel file starts, with the device tree that it should have.

use skep_tests::{Session, file, program, run, stderr};
use std::path::Path;
use std::process::Command;

/// Prints where it runs, 'T' if its registers are those of a kernel's entry, and the device tree.
const PROGRAM: &str = r"
        b       main
        .org    0x24                            @ a zImage's header
        .word   0x016f2818, 0, end - _start, 0x04030201
main:   mov     r10, r2
        mov     r3, r0
        adr     r4, _start
        ldr     r5, =UART
        mov     r6, #28
1:      lsr     r7, r4, r6
        and     r7, r7, #15
        cmp     r7, #10
        addlo   r7, r7, #'0'
        addhs   r7, r7, #'a' - 10
        str     r7, [r5]
        subs    r6, r6, #4
        bpl     1b
        cmp     r3, #0
        cmneq   r1, #1
        bne     2f
        put     'T'
2:      ldr     r6, [r10, #4]                   @ the tree's size
        rev     r6, r6
3:      ldrb    r7, [r10], #1
        str     r7, [r5]
        subs    r6, r6, #1
        bne     3b
        off
        .ltorg
end:
";

/// The same without the header, so that it is a raw image.
fn plain() -> String {
    let start = PROGRAM.find(".org").expect("the header");
    let end = PROGRAM.find("main:").expect("behind it");
    [&PROGRAM[..start], &PROGRAM[end..]].concat()
}

/// What the program said: where it runs, and the device tree.
fn start(kernel: &str, options: &[&str]) -> (String, Vec<u8>) {
    let words = [&["run", "--memory", "64M", "--kernel", kernel][..], options];
    let output = run(&words.concat(), b"");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (address, rest) = output.stdout.split_at(8);
    assert_eq!(rest[0], b'T', "registers at entry");
    assert_eq!(&rest[1..5], b"\xd0\x0d\xfe\xed");
    let address = String::from_utf8(address.to_vec()).expect("digits");
    (address, rest[1..].to_vec())
}

fn holds(tree: &[u8], text: &str) -> bool {
    tree.windows(text.len()).any(|part| part == text.as_bytes())
}

/// The board's tree, with another name for the machine.
fn other_tree(directory: &Path) -> Vec<u8> {
    let kernel = file(directory, "plain", &program::raw(&plain(), 0));
    let (_, mut tree) = start(&kernel, &["--append", "from-the-tree"]);
    let name = b"linux,dummy-virt";
    let at = tree.windows(name.len()).position(|part| part == name);
    let at = at.expect("the board's name");
    tree[at..at + name.len()].copy_from_slice(b"another,computer");
    tree
}

/// Packs a file into a uImage.
fn uimage(directory: &Path, data: &str, arguments: &[&str]) -> String {
    let path = directory.join("uImage");
    let output = Command::new("mkimage")
        .args(["-A", "arm", "-O", "linux", "-T", "kernel", "-n", "test"])
        .args(arguments)
        .args(["-d", data])
        .arg(&path)
        .output()
        .expect("u-boot-tools is installed");
    assert!(output.status.success(), "{}", stderr(&output));
    path.to_str().expect("a path of this test").to_owned()
}

#[test]
fn raw_images_and_elf_files() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let directory = directory.path();
    let raw = file(directory, "raw", &program::raw(&plain(), 0));
    let (address, tree) = start(&raw, &["--append", "hello=raw"]);
    assert_eq!(address, "40010000");
    assert!(holds(&tree, "hello=raw") && holds(&tree, "linux,dummy-virt"));

    let elf = file(directory, "elf", &program::elf(&plain(), 0x4123_4000));
    let (address, tree) = start(&elf, &["--append", "hello=elf"]);
    assert_eq!(address, "41234000");
    assert!(holds(&tree, "hello=elf"));
}

#[test]
fn legacy_uimages() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let directory = directory.path();
    let raw = program::raw(&plain(), 0);
    let data = file(directory, "raw", &raw);
    let place = ["-a", "0x40400000", "-e", "0x40400000"];
    let image = uimage(directory, &data, &[&["-C", "none"][..], &place].concat());
    assert_eq!(start(&image, &[]).0, "40400000");

    // mkimage packs nothing itself.
    let packed = Command::new("gzip").args(["-k", &data]).status();
    assert!(packed.expect("gzip").success());
    let packed = format!("{data}.gz");
    let image = uimage(directory, &packed, &[&["-C", "gzip"][..], &place].concat());
    let (address, tree) = start(&image, &["--append", "hello=uimage"]);
    assert_eq!(address, "40400000");
    assert!(holds(&tree, "hello=uimage"));

    let mut damaged = std::fs::read(&image).expect("it was made");
    *damaged.last_mut().expect("not empty") ^= 1;
    let damaged = file(directory, "damaged", &damaged);
    let output = run(&["run", "--kernel", &damaged], b"");
    assert!(stderr(&output).contains("checksum"), "{}", stderr(&output));
}

#[test]
fn device_trees_of_the_user_and_of_the_kernel() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let directory = directory.path();
    let tree = other_tree(directory);
    let dtb = file(directory, "dtb", &tree);
    let zimage = program::raw(PROGRAM, 0);
    let appended = file(directory, "appended", &[&zimage[..], &tree].concat());
    let zimage = file(directory, "zImage", &zimage);

    let (_, own) = start(&zimage, &[]);
    assert!(holds(&own, "linux,dummy-virt"));
    // The user's, with what is given on the command line in it.
    let (_, given) = start(&zimage, &["--dtb", &dtb, "--append", "hello=dtb"]);
    assert!(holds(&given, "another,computer") && holds(&given, "hello=dtb"));
    assert!(!holds(&given, "from-the-tree"));
    // The kernel's own is used, unless the user gives another.
    let (_, with_kernel) = start(&appended, &[]);
    assert!(holds(&with_kernel, "another,computer"));
    let board = file(directory, "board", &own);
    let (_, given) = start(&appended, &["--dtb", &board]);
    assert!(!holds(&given, "another,computer"));

    let broken = file(directory, "broken", &tree[..tree.len() - 1]);
    let output = run(&["run", "--kernel", &zimage, "--dtb", &broken], b"");
    assert!(!output.status.success());
    let errors = stderr(&output);
    assert!(errors.contains("device tree"), "{errors}");
}

#[test]
fn linux_with_an_appended_tree_in_a_uimage() {
    let guest = skep_image::ensure(&skep_image::Options::default(), &skep_image::Silent)
        .expect("the default guest");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let directory = directory.path();
    let mut kernel = std::fs::read(&guest.kernel).expect("the cached kernel");
    kernel.extend(other_tree(directory));
    let data = file(directory, "zImage", &kernel);
    let place = ["-C", "none", "-a", "0x40008000", "-e", "0x40008000"];
    let kernel = uimage(directory, &data, &place);
    let initrd = guest.initrd.to_str().expect("a path of the cache");
    let mut session = Session::start(&[
        "run",
        "--kernel",
        &kernel,
        "--initrd",
        initrd,
        "--append",
        "console=ttyAMA0 quiet",
    ]);
    session.expect("skep:");
    session.send(b"cat /proc/device-tree/model; grep MemTotal /proc/meminfo\n");
    session.expect("another,computer").expect("MemTotal");
    session.send(b"poweroff -f\n");
    assert_eq!(session.finish().status.code(), Some(0));
}
