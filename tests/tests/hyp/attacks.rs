//! A guest that attacks by its devices, and Linux beside it: on the same core, with a channel between
//! them.

use skep_bundle::{Console, Contents, CoreSchedule, Disk, Policy};
use skep_hyp::guest::{ChannelRequest, Request, SystemRequest, describe_system};
use skep_tests::transcript::guest;

use crate::{Files, start_with};

#[test]
fn by_devices_on_the_victims_core() {
    let files = Files::linux();
    let attacker = std::fs::read(guest("hyp_attack_devices")).expect("the guest was built");
    let disk = |byte, read_only| {
        [Disk {
            contents: Contents::Memory {
                file: vec![byte; 1 << 20],
                size: 1 << 20,
            },
            read_only,
        }]
    };
    let (own, foreign) = (disk(0xa5, false), disk(0x5a, true));
    let victim = Request {
        name: "victim",
        cores: &[0],
        cmdline: "console=ttyAMA0 quiet skep.modules=virtio_blk",
        disks: &own,
        ..files.request()
    };
    let attacker = Request {
        name: "attacker",
        memory_mib: 64,
        cores: &[0],
        kernel: &attacker,
        console: Console::Virtio,
        disks: &foreign,
        ..Request::default()
    };
    let channels = [ChannelRequest {
        name: "pipe",
        size: 0x1000,
        ends: &[(0, false), (1, false)],
    }];
    let request = SystemRequest {
        vms: &[victim, attacker],
        channels: &channels,
        ..SystemRequest::default()
    };
    let mut system = describe_system(&request).expect("it can be described");
    let slice_us = CoreSchedule::SLICE_US;
    system.cores = vec![CoreSchedule::Shared { slice_us }];
    // It attacks again and again.
    system.vms[1].policies.off = Policy::Reset { limit: None };
    let (mut session, _directory) = start_with(&system, &[]);
    for line in [
        "attack begins",
        "doorbell: strd end, rung 0",
        "0c0ffffc: data abort dfsr=8 dfar=0c0ffffc, data abort dfsr=808 dfar=0c0ffffc",
        "0c101000: data abort dfsr=8 dfar=0c101000, data abort dfsr=808 dfar=0c101000",
        "0bfffffc: data abort dfsr=8 dfar=0bfffffc, data abort dfsr=808 dfar=0bfffffc",
        "0c001000: data abort dfsr=8 dfar=0c001000, data abort dfsr=808 dfar=0c001000",
        "a jump into shared memory: vector 3",
        "rings elsewhere, register 80: asks for a reset: true, works then: true",
        "rings elsewhere, register 90: asks for a reset: true, works then: true",
        "rings elsewhere, register a0: asks for a reset: true, works then: true",
        "data elsewhere, kind 0: asks for a reset: true, works then: true",
        "data elsewhere, kind 1: asks for a reset: true, works then: true",
        "a loop: asks for a reset: true, works then: true",
        "a table in itself: asks for a reset: true, works then: true",
        "an index far ahead: asks for a reset: true, works then: true",
        "no such descriptor: asks for a reset: true, works then: true",
        "flood: served true",
        "a flood: asks for a reset: false, works then: true",
        "noise: asks for a reset: true, works then: true",
        "console: asks for a reset: true",
        "line: taken true",
        "attack over",
    ] {
        session.expect(&format!("[attacker] {line}"));
    }
    // What Linux keeps in its memory and on its disk, while it goes on. It may have been there before:
    // a line that is typed brings another prompt.
    session.expect("[attacker] attack begins");
    session.send(b"\n");
    session.expect("~# ");
    let sum = format!("{:08x}", crc32fast::hash(&vec![0xa5; 1 << 20]));
    let command = format!(
        "dd if=/dev/vda of=/tmp/copy bs=64k 2>/dev/null; for n in 1 2 3; do sleep 1; \
         crc32 /dev/vda /tmp/copy; done | grep -c {sum}\n"
    );
    session.send(command.as_bytes());
    session.expect("\n6\r\n").expect("[attacker] attack over");
}
