//! The initial RAM disk: BusyBox, kernel modules, and the program that starts it all.

use crate::cpio::Archive;
use crate::modules::{Modules, WANTED};
use std::path::Path;

/// Builds the archive. `busybox` is a static executable, `modules` the package's `lib/modules`.
///
/// # Errors
/// The host's, when modules can't be read.
pub fn build(busybox: &[u8], modules: &Path) -> std::io::Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in [
        "bin",
        "dev",
        "etc",
        "lib",
        "lib/modules",
        "proc",
        "root",
        "sys",
        "tmp",
    ] {
        archive.directory(directory);
    }
    archive.device("dev/console", 0o600, 5, 1);
    archive.device("dev/null", 0o666, 1, 3);
    archive.file("bin/busybox", 0o755, busybox);
    archive.symlink("bin/sh", "busybox");
    archive.file("init", 0o755, INIT.as_bytes());
    archive.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
    archive.file("etc/group", 0o644, b"root:x:0:\n");
    archive.file("etc/hosts", 0o644, b"127.0.0.1 localhost\n::1 localhost\n");
    archive.file("etc/profile", 0o644, PROFILE.as_bytes());

    let known = Modules::find(modules)?;
    let mut order = String::new();
    let mut added: Vec<String> = Vec::new();
    for wanted in WANTED {
        let closure = known.closure(wanted)?;
        // A line for each module that can be asked for: its name, then files in load order.
        order.push_str(&wanted.replace('-', "_"));
        for (name, path) in closure {
            order.push_str(&format!(" {name}.ko"));
            if !added.contains(&name) {
                archive.file(
                    &format!("lib/modules/{name}.ko"),
                    0o644,
                    &std::fs::read(path)?,
                );
                added.push(name);
            }
        }
        order.push('\n');
    }
    archive.file("lib/modules/order", 0o644, order.as_bytes());
    Ok(archive.finish())
}

const PROFILE: &str = "\
export PATH=/bin HOME=/root TERM=${TERM:-vt102} PS1='skep:\\w\\$ '
cd /root
";

/// The first program. Modules to load come from the kernel command line (`skep.modules=a,b`); what
/// to run, from the files in /skep.
const INIT: &str = r#"#!/bin/sh
# Starts the default guest: a shell, commands from a pipe, or one command.
export PATH=/bin HOME=/root
busybox mkdir -p /bin
busybox mount -t devtmpfs dev /dev
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t tmpfs tmp /tmp
busybox --install -s /bin

load() {
    while read -r name files; do
        [ "$name" = "$1" ] || continue
        for file in $files; do
            [ -e "/sys/module/${file%.ko}" ] || insmod "/lib/modules/$file"
        done
    done < /lib/modules/order
}
for word in $(cat /proc/cmdline); do
    case $word in
    skep.modules=*)
        load virtio_mmio
        for name in $(echo "${word#*=}" | tr ',-' ' _'); do load "$name"; done
        case $word in *virtio_blk*)
            tries=0
            while [ ! -e /dev/vda ] && [ $tries -lt 100 ]; do
                usleep 20000
                tries=$((tries + 1))
            done
        esac
        case $word in *virtio_console*)
            # The kernel had no console to start this program with, if it is to be a virtio one.
            exec 0<> /dev/console 1>&0 2>&0
        esac
        ;;
    esac
done

off() {
    sync
    poweroff -f
    while :; do sleep 1; done
}

if [ -e /skep/run ]; then
    # One command. Nothing but its own output goes between the two lines.
    token=$(cat /skep/token)
    stty raw -echo < /dev/console
    if [ -e /skep/stdin ]; then
        stty icanon -icrnl < /dev/console
        mkfifo /tmp/stdin
        # Beside the command, which may end before its input does.
        while read -r line && [ "$line" != . ]; do
            echo "$line" | base64 -d
        done < /dev/console > /tmp/stdin &
        printf 'skep-%s-start\n' "$token"
        sh /skep/run < /tmp/stdin
        status=$?
    else
        printf 'skep-%s-start\n' "$token"
        sh /skep/run < /dev/null
        status=$?
    fi
    printf 'skep-%s-end %s\n' "$token" "$status"
    # The last byte leaves before the power does.
    sleep 0.05
    off
fi
cd /root
if [ -e /skep/pipe ]; then
    token=$(cat /skep/token)
    stty -echo -opost < /dev/console
    printf 'skep-%s-start\n' "$token"
    # Through a pipe, or the shell takes itself for an interactive one.
    cat /dev/console | sh
    printf 'skep-%s-end %s\n' "$token" 0
    off
fi
export TERM=vt102
setsid cttyhack sh -l
off
"#;
