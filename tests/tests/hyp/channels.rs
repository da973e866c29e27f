//! Channels: VMs that share memory and ring at each other.

use std::process::Command;

use skep_hyp::guest::{ChannelRequest, Request, SystemRequest, describe_system};
use skep_image::cpio::Archive;
use skep_tests::Session;
use skep_tests::transcript::guest;
use tempfile::TempDir;

use crate::{Files, start_with};

fn bare_metal<'a>(name: &'a str, cores: &'a [u8], kernel: &'a [u8]) -> Request<'a> {
    Request {
        name,
        memory_mib: 32,
        cores,
        kernel,
        ..Request::default()
    }
}

/// Starts "first" and "second", a core each, which pass messages by these channels.
fn pair(channels: &[ChannelRequest<'_>]) -> (Session, TempDir) {
    let kernel = std::fs::read(guest("hyp_channel")).expect("the guest was built");
    let system = describe_system(&SystemRequest {
        vms: &[
            bare_metal("first", &[0], &kernel),
            bare_metal("second", &[1], &kernel),
        ],
        channels,
        ..SystemRequest::default()
    });
    start_with(&system.expect("it can be described"), &[])
}

/// Waits for the end of both VMs, which printed these parts of lines, and no mistake. The first has the
/// focus, the other is called "second".
fn expect_lines(session: Session, first: &[&str], second: &[&str]) {
    let output = String::from_utf8_lossy(&session.finish().stdout).into_owned();
    // Lines of the second may be anywhere in one of the first, which has the focus.
    let mut of_first = String::new();
    let mut of_second = Vec::new();
    for line in output.lines() {
        match line.strip_prefix("[second] ") {
            Some(line) => of_second.push(line),
            None => of_first += line,
        }
    }
    for part in first {
        assert!(of_first.contains(part), "no {part:?} in:\n{output}");
    }
    for part in second {
        let found = of_second.iter().any(|line| line.contains(part));
        assert!(found, "no {part:?} of the second in:\n{output}");
    }
    assert!(!output.contains("instead of"), "{output}");
}

/// What a guest says at its end, if all went well.
const PASSED: &str = "1000 messages, 0 mistakes, doorbell rang: true";

#[test]
fn two_guests_pass_messages() {
    let ends = [(0, false), (1, false)];
    let channels = [ChannelRequest {
        name: "pipe",
        size: 0x3000,
        ends: &ends,
    }];
    let (session, _directory) = pair(&channels);
    expect_lines(
        session,
        &["end 0 of 2, 12288 bytes, read-only false", PASSED],
        &["end 1 of 2, 12288 bytes, read-only false", PASSED],
    );
}

#[test]
fn a_side_that_may_only_read_can_not_write() {
    let there = [(0, false), (1, true)];
    let back = [(0, true), (1, false)];
    let channel = |name, ends| ChannelRequest {
        name,
        size: 0x1000,
        ends,
    };
    let channels = [channel("there", &there[..]), channel("back", &back[..])];
    let (session, _directory) = pair(&channels);
    expect_lines(
        session,
        // An external abort of a write.
        &["a store: data abort dfsr=808 dfar=0c101000", PASSED],
        &["a store: data abort dfsr=808 dfar=0c100000", PASSED],
    );
}

/// A static program of `guests/linux`.
fn program(name: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(name);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/linux");
    let status = Command::new("arm-linux-gnueabihf-gcc")
        .args(["-O2", "-static", "-Wall", "-Werror", "-o"])
        .arg(&path)
        .arg(format!("{source}/{name}.c"))
        .status();
    let status = status.expect("gcc-arm-linux-gnueabihf is installed");
    assert!(status.success(), "{name}.c can't be compiled");
    std::fs::read(&path).expect("it was made")
}

#[test]
fn linux_user_space_talks_to_a_bare_metal_guest() {
    let mut files = Files::linux();
    let mut overlay = Archive::default();
    overlay.file("bin/channel", 0o755, &program("channel"));
    files
        .initrd
        .get_or_insert_default()
        .extend(overlay.finish());
    let other = std::fs::read(guest("hyp_channel")).expect("the guest was built");
    let ends = [(0, false), (1, false)];
    let channels = [ChannelRequest {
        name: "pipe",
        size: 0x1000,
        ends: &ends,
    }];
    let linux = Request {
        cores: &[0],
        ..files.request()
    };
    let system = describe_system(&SystemRequest {
        vms: &[linux, bare_metal("second", &[1], &other)],
        channels: &channels,
        ..SystemRequest::default()
    });
    let (mut session, _directory) = start_with(&system.expect("it can be described"), &[]);
    session.expect("[second] end 1 of 2").expect("~# ");
    session.send(b"cat /proc/device-tree/channel@c000000/label; echo\n");
    session.expect("pipe");
    session.send(b"channel /proc/device-tree/channel@c000000 500; poweroff -f\n");
    expect_lines(
        session,
        &["end 0, 4096 bytes: 500 messages, 0 mistakes"],
        &["500 messages, 0 mistakes, doorbell rang: true"],
    );
}
