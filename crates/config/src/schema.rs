//! All sections and keys: what the reader accepts, and what docs/config.md lists.

/// Who uses a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// `skep run`.
    Hosted,
    /// The bare-metal hypervisor.
    Board,
    /// Both.
    Both,
}

/// A key of a section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What a value may be, with its unit and range.
    pub values: &'static str,
    /// A value, as it is written.
    pub example: &'static str,
    /// What it is when it is left out.
    pub default: &'static str,
    /// Who uses it.
    pub place: Place,
    /// What it means.
    pub meaning: &'static str,
}

/// A section: a table of the file, or an inline table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Section {
    /// As it is written; a word in capital letters stands for a name or number.
    pub title: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

impl Section {
    /// A key of the section.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// What a table of keys consists of.
macro_rules! keys {
    ($($name:literal $place:ident, $values:literal, default $default:literal, as $example:literal: $meaning:literal;)*) => {
        &[$(Key {
            name: $name,
            values: $values,
            example: $example,
            default: $default,
            place: Place::$place,
            meaning: $meaning,
        }),*]
    };
}

/// `[vm.NAME]`.
pub const VM: Section = Section {
    title: "[vm.NAME]",
    keys: keys! {
        "guest" Both, "`debian`, `debian-lpae`", default "`debian`, without `kernel` and `bios`",
            as "\"debian\"": "The default guest: Debian's kernel with BusyBox, fetched when it is first used";
        "boot" Hosted, "`disk`, `shell`", default "`disk`, if the first disk's file system is labelled `skep-root`",
            as "\"disk\"": "What the default guest starts: the system on a disk, or a shell of its own";
        "kernel" Both, "file", default "the default guest's",
            as "\"zImage\"": "The kernel: zImage, uImage, ELF or raw image";
        "initrd" Both, "file", default "none",
            as "\"initrd.img\"": "The initial RAM disk";
        "cmdline" Both, "text", default "`console=ttyAMA0`, or `hvc0` if that is the console with `stdio`",
            as "\"console=ttyAMA0\"": "The kernel's command line; for the default guest, what is added to its own";
        "dtb" Hosted, "file", default "the board's own",
            as "\"board.dtb\"": "A device tree in place of the virtual board's";
        "bios" Hosted, "file", default "none",
            as "\"u-boot.bin\"": "Firmware in flash at address 0";
        "cpus" Both, "1 to 8", default "1, or as many as `cores` has",
            as "2": "Number of vCPUs";
        "cpu" Hosted, "`cortex-a15`, `cortex-a7`", default "`cortex-a15`",
            as "\"cortex-a15\"": "Their model; on a board it is the board's";
        "memory" Both, "size, whole MiB", default "`512M`",
            as "\"512M\"": "Guest memory";
        "disks" Both, "list of files or tables", default "none",
            as "[\"disk.img\"]": "virtio disks; on a board, copies of the files in its RAM";
        "shares" Hosted, "list of directories or tables", default "none",
            as "[\"src\"]": "Directories that the guest shares with the host";
        "net" Hosted, "`user`, with `,restrict` and `,dns=ADDRESS`; `none`; `tap=NAME`; `socket=DIRECTORY`", default "`user`",
            as "\"user\"": "What the network card is connected to";
        "publish" Hosted, "list of `[ADDRESS:]HOSTPORT:GUESTPORT[/udp]`", default "none",
            as "[\"8080:80\"]": "Ports of the guest that the host's programs reach, with `net = \"user\"`";
        "serial" Both, "`stdio`, `null`, `file=PATH[,append]`, `socket=PATH`, `pty[=LINK]`", default "`stdio`, or `null` if a virtio console has `stdio`",
            as "\"stdio\"": "What the serial port is connected to";
        "consoles" Both, "list of the same", default "none",
            as "[\"pty\"]": "virtio consoles, and what they are connected to; on a board only `stdio`: the board's console";
        "watchdog" Hosted, "`reset`, `poweroff`, `none`", default "`reset`",
            as "\"poweroff\"": "What becomes of a guest that does not feed its watchdog; `none`: it has no watchdog";
        "vsock" Hosted, "path or table", default "none",
            as "\"vm.sock\"": "The socket by which the host's programs reach the guest's over vsock";
        "virtio" Hosted, "`modern`, `legacy`", default "`modern`",
            as "\"modern\"": "Register interface of virtio devices: 1.0 and later, or before";
        "cores" Board, "list of core numbers, one for each vCPU", default "cores that nobody has, in order",
            as "[0, 1]": "The core that each vCPU runs on";
        "priority" Board, "0 to 255", default "100",
            as "100": "On a shared core the vCPUs with the highest priority run first";
        "budget" Board, "time, `100us` or more, at most `period`", default "no limit",
            as "\"2ms\"": "How long each vCPU may run in a period, on a shared core";
        "period" Board, "time, up to `10s`", default "must be given with `budget`",
            as "\"10ms\"": "The period of `budget`";
        "on-fault" Board, "`stop`, `reset`", default "`stop`",
            as "\"reset\"": "What becomes of the machine when the guest does what has no meaning";
        "restarts" Board, "0 to 4294967295", default "no limit",
            as "3": "How often `on-fault = \"reset\"` resets it; then it stops";
        "on-reset" Board, "`stop`, `reset`", default "`reset`",
            as "\"stop\"": "What becomes of the machine when the guest asks for a reset";
        "on-poweroff" Board, "`stop`, `reset`", default "`stop`",
            as "\"reset\"": "What becomes of the machine when the guest switches it off";
        "autostart" Board, "true, false", default "`true`",
            as "false": "Whether it starts with the board, or from the hypervisor's shell";
        "devices" Board, "list of paths or tables", default "none",
            as "[\"/pl031@9010000\"]": "Devices of the board that the guest has for itself: paths in the board's device tree";
    },
};

/// `disks` of `[vm.NAME]`, as tables.
pub const DISK: Section = Section {
    title: "disks = [{ ... }]",
    keys: keys! {
        "file" Both, "file", default "none, with `board-disk` or `size`",
            as "\"disk.img\"": "The image, or (hosted) a block device; on a board, unless it has `board-disk`, a copy in RAM";
        "format" Both, "`raw`, `qcow2`", default "`qcow2` if the file's name ends in `.qcow2`, else `raw`",
            as "\"qcow2\"": "The image's format; on a board only `raw`";
        "readonly" Both, "true, false", default "`false`",
            as "true": "The guest can't write to it";
        "temporary" Hosted, "true, false", default "`false`",
            as "true": "What the guest writes is lost at the end, and the file stays as it is";
        "backing" Hosted, "`allow`, `refuse`", default "`refuse`",
            as "\"allow\"": "Whether a qcow2 image may be based on another file, which it names";
        "board-disk" Board, "0 to 31", default "none",
            as "0": "A disk of the board's: which of its virtio-mmio disks";
        "start" Board, "size, whole sectors of 512 bytes", default "`0K`",
            as "\"1M\"": "Where the part of the board's disk begins";
        "size" Board, "size, whole sectors of 512 bytes", default "the file's, or all that is left of the board's disk",
            as "\"16M\"": "The size of the part, or of the disk in RAM";
    },
};

/// `shares` of `[vm.NAME]`, as tables.
pub const SHARE: Section = Section {
    title: "shares = [{ ... }]",
    keys: keys! {
        "directory" Hosted, "directory", default "must be given",
            as "\"src\"": "The directory";
        "mount" Hosted, "absolute path", default "`/mnt/NAME`, NAME as the directory is called",
            as "\"/src\"": "Where the default guest mounts it; others mount it by its name";
        "readonly" Hosted, "true, false", default "`false`",
            as "true": "The guest can't change anything in it";
    },
};

/// `vsock` of `[vm.NAME]`, as a table.
pub const VSOCK: Section = Section {
    title: "vsock = { ... }",
    keys: keys! {
        "path" Hosted, "path", default "must be given",
            as "\"vm.sock\"": "The socket; programs of the guest reach those of the host that listen at PATH_PORT";
        "cid" Hosted, "3 to 4294967294", default "3",
            as "3": "The guest's context identifier";
    },
};

/// `devices` of `[vm.NAME]`, as tables.
pub const DEVICE: Section = Section {
    title: "devices = [{ ... }]",
    keys: keys! {
        "path" Board, "path in the board's device tree", default "must be given",
            as "\"/pl031@9010000\"": "The device";
        "dma" Board, "`none`, `trusted`", default "`none`",
            as "\"trusted\"": "Trusted: the device may reach all of the board's memory, and the guest is trusted with that";
    },
};

/// `[board]`.
pub const BOARD: Section = Section {
    title: "[board]",
    keys: keys! {
        "name" Board, "`qemu`", default "`qemu`, without `device-tree`",
            as "\"qemu\"": "A known board: QEMU's `virt` machine";
        "device-tree" Board, "file", default "none",
            as "\"board.dtb\"": "The board's device tree, compiled (.dtb): what the checks look at";
        "memory" Board, "size", default "`1G`, or what the device tree has",
            as "\"1G\"": "The board's RAM, where the boot loader decides on it";
        "cores" Board, "1 to 8", default "2; with `device-tree`, not allowed",
            as "2": "Number of cores of a known board";
        "cpu" Board, "`cortex-a15`, `cortex-a7`", default "`cortex-a15`; with `device-tree`, not allowed",
            as "\"cortex-a15\"": "Their model";
        "vms" Board, "list of names", default "all, in the file's order",
            as "[\"one\", \"two\"]": "The virtual machines that run on the board; the first has the console";
    },
};

/// `[core.N]`.
pub const CORE: Section = Section {
    title: "[core.N]",
    keys: keys! {
        "schedule" Board, "`partitioned`, `shared`", default "`partitioned`",
            as "\"shared\"": "Whether one vCPU has the core for itself, or several take turns";
        "slice" Board, "time, `100us` to `1s`", default "`5ms`",
            as "\"5ms\"": "How long a vCPU of a shared core runs before another one of the same priority";
    },
};

/// `[channel.NAME]`.
pub const CHANNEL: Section = Section {
    title: "[channel.NAME]",
    keys: keys! {
        "size" Board, "size, whole pages of 4K, up to `31M`", default "must be given",
            as "\"64K\"": "Shared memory";
        "vms" Board, "list of 2 to 8 names", default "must be given",
            as "[\"one\", \"two\"]": "Who has it";
        "readonly" Board, "list of names of `vms`", default "none",
            as "[\"two\"]": "Who can't write to the memory";
    },
};

/// All sections, in the order of the documentation.
pub const ALL: [Section; 8] = [VM, DISK, SHARE, VSOCK, DEVICE, BOARD, CORE, CHANNEL];
