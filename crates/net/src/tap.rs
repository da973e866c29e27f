//! An interface of the host's (a tap), as a guest's only neighbour.
//!
//! The host's administrator makes it once, for a user: `ip tuntap add tap0 mode tap user NAME`.

use crate::bell::Bell;
use crate::link::{Incoming, Link, TURNS};
use crate::os::Poll;
use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{IntegerSetter, Opcode, Setter, ioctl, opcode};
use skep_board::virtio::net::spec::HEADER;
use skep_board::virtio::net::{MAX_FRAME, Mac};
use std::ffi::c_int;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::time::Duration;

// Linux's include/uapi/linux/if_tun.h.
const TUNSETIFF: Opcode = opcode::write::<c_int>(b'T', 202);
const TUNSETOFFLOAD: Opcode = opcode::write::<c_int>(b'T', 208);
const TUNSETVNETHDRSZ: Opcode = opcode::write::<c_int>(b'T', 216);
const IFF_TAP: u16 = 0x0002;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;
/// Checksums, and segmentation of TCP over IPv4 and IPv6.
const TUN_F_ALL: usize = 1 | 2 | 4;

/// `struct ifreq` (include/uapi/linux/if.h) with flags.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// Numbers in [`Poll`].
const BELL: u64 = 0;
const TAP: u64 = 1;

/// A tap.
pub struct Tap {
    file: OwnedFd,
    poll: Poll,
}

impl Tap {
    /// Opens the tap with a name.
    ///
    /// # Errors
    /// The host's: it does not exist, or is somebody else's.
    pub fn open(name: &str) -> std::io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open("/dev/net/tun", flags, Mode::empty())?;
        let mut request = Request {
            name: [0; 16],
            flags: IFF_TAP | IFF_NO_PI | IFF_VNET_HDR,
            rest: [0; 22],
        };
        // The last byte ends the name.
        for (to, from) in request.name.iter_mut().take(15).zip(name.bytes()) {
            *to = from;
        }
        // SAFETY: TUNSETIFF reads and writes a struct ifreq, which `Request` has the size and layout
        // of, and keeps no pointer to it.
        unsafe { ioctl(&file, Setter::<TUNSETIFF, Request>::new(request)) }?;
        // SAFETY: TUNSETVNETHDRSZ reads an int.
        unsafe {
            ioctl(
                &file,
                Setter::<TUNSETVNETHDRSZ, c_int>::new(HEADER as c_int),
            )
        }?;
        // What a guest does not take as it comes is made ready for it here.
        // SAFETY: TUNSETOFFLOAD takes its argument as a number.
        unsafe { ioctl(&file, IntegerSetter::<TUNSETOFFLOAD>::new_usize(TUN_F_ALL)) }?;
        let poll = Poll::new()?;
        poll.add(&file, TAP, true)?;
        Ok(Tap { file, poll })
    }

    /// The guest's hardware address: the same for each tap always, another one for each.
    pub fn mac(name: &str) -> Mac {
        // FNV-1a.
        let hash = name.bytes().fold(0x811c_9dc5u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        let [_, a, b, c] = hash.to_be_bytes();
        [0x52, 0x54, 0x00, a, b, c]
    }

    /// Serves the guest until the bell says that it is over.
    pub fn run(self, link: &mut dyn Link, bell: &Bell) {
        if self.poll.add(bell, BELL, false).is_err() {
            return;
        }
        let (mut ids, mut frame) = (Vec::new(), Vec::new());
        let mut incoming = Incoming::new(HEADER + MAX_FRAME);
        let mut at_once = false;
        loop {
            let timeout = if at_once { 0 } else { 3600 };
            self.poll.wait(&mut ids, Duration::from_secs(timeout));
            if ids.contains(&BELL) {
                bell.answer();
            }
            if ids.contains(&TAP) {
                incoming.ready();
            }
            if bell.stopped() {
                return;
            }
            at_once = false;
            for turn in 1..=TURNS {
                let Some(offload) = link.take(&mut frame) else {
                    break;
                };
                let header = offload.header(0, 0);
                // What the host has no room for is lost, as it would be behind a cable.
                let parts = [IoSlice::new(&header), IoSlice::new(&frame)];
                let _ = rustix::io::writev(&self.file, &parts);
                at_once = turn == TURNS;
            }
            let read = |buf: &mut [u8]| Ok(rustix::io::read(&self.file, buf)?);
            at_once |= incoming.pass(link, read);
        }
    }
}
