//! From text to what it says.

use crate::consoles::{self, Backend, parse_backend};
use crate::diagnostic::{Diagnostic, Report, similar};
use crate::model::{
    At, Board, Boot, Channel, Config, Core, Cpu, Device, Disk, Guest, KnownBoard, Policy, Virtio,
    Vm, Watchdog,
};
use crate::net::{Net, parse_net, parse_publish};
use crate::schema::{self, Section};
use crate::shares;
use crate::table::{Table, list};
use crate::value::{parse_memory, parse_size};
use crate::vsock;
use skep_disk::Format;
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// The most vCPUs of a virtual machine, and cores of a known board.
const MAX_CPUS: u64 = skep_board::map::MAX_CPUS as u64;
/// How many virtio devices of its own a machine can have.
const ROOM: usize = skep_board::map::VIRTIO_SLOTS - skep_board::map::VIRTIO_FIXED;
/// The most memory of a virtual machine, bytes: what a 40-bit address can reach, kept to what hosts
/// have.
const MAX_MEMORY: u64 = 255 << 30;
/// The longest name: consoles print it before each line.
const MAX_NAME: usize = 32;
/// The most shared memory of a channel, bytes.
const MAX_CHANNEL: u64 = 31 << 20;
/// A page.
const PAGE: u32 = 4096;

const GUESTS: [(&str, Guest); 2] = [
    ("debian", Guest::Debian),
    ("debian-lpae", Guest::DebianLpae),
];
const CPUS: [(&str, Cpu); 2] = [("cortex-a15", Cpu::CortexA15), ("cortex-a7", Cpu::CortexA7)];
const BOOTS: [(&str, Boot); 2] = [("disk", Boot::Disk), ("shell", Boot::Shell)];
const VIRTIO: [(&str, Virtio); 2] = [("modern", Virtio::Modern), ("legacy", Virtio::Legacy)];
const WATCHDOGS: [(&str, Watchdog); 3] = [
    ("reset", Watchdog::Reset),
    ("poweroff", Watchdog::PowerOff),
    ("none", Watchdog::None),
];
const POLICIES: [(&str, Policy); 2] = [("stop", Policy::Stop), ("reset", Policy::Reset)];
const BOARDS: [(&str, KnownBoard); 1] = [("qemu", KnownBoard::Qemu)];
const DMA: [(&str, bool); 2] = [("none", false), ("trusted", true)];
const SCHEDULES: [(&str, bool); 2] = [("partitioned", false), ("shared", true)];

/// Reads a file's text. `base` is the file's directory, which relative paths start from. What could
/// be read is returned also when there are errors.
#[must_use]
pub fn parse(text: &str, base: &Path) -> (Config, Report) {
    let mut report = Report::default();
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        report.add(if error.message() == "duplicate key" {
            Diagnostic::error(
                "this is in the file twice",
                span,
                "here again",
                "remove one of them, or choose another name",
            )
        } else {
            Diagnostic::error(
                "this is not TOML",
                span,
                error.message(),
                "tables are [vm.NAME], and lines in them key = value, with texts in double quotes",
            )
        });
    }
    let mut config = Config::default();
    if !errors.is_empty() {
        // What was guessed of the rest would bring errors that are none.
        return (config, report);
    }
    for (key, value) in root.get_ref() {
        match key.get_ref().as_ref() {
            "vm" => {
                for named in members(key, value, "vm", "NAME", &mut report) {
                    if check_name(&named.name, "virtual machine", &mut report)
                        && let Some(table) = named.table("virtual machine", schema::VM, &mut report)
                    {
                        config
                            .vms
                            .push(vm(named.name.clone(), &table, base, &mut report));
                    }
                }
            }
            "board" => {
                if let DeValue::Table(table) = value.get_ref() {
                    let table = Table {
                        what: "the board".into(),
                        section: schema::BOARD,
                        table,
                        span: key.span(),
                    };
                    config.board = Some(board(&table, base, &mut report));
                } else {
                    report.add(no_table(key.span(), "board", "[board]"));
                }
            }
            "core" => {
                for named in members(key, value, "core", "N", &mut report) {
                    if let Some(core) = core(&named, &mut report) {
                        config.cores.push(core);
                    }
                }
            }
            "channel" => {
                for named in members(key, value, "channel", "NAME", &mut report) {
                    if check_name(&named.name, "channel", &mut report)
                        && let Some(table) = named.table("channel", schema::CHANNEL, &mut report)
                        && let Some(channel) = channel(named.name.clone(), &table, &mut report)
                    {
                        config.channels.push(channel);
                    }
                }
            }
            name => report.add(unknown_section(
                name,
                key.span(),
                value.get_ref().is_table(),
            )),
        }
    }
    // The parser's tables are in the order of names.
    config.vms.sort_by_key(|vm| vm.name.span().start);
    config.cores.sort_by_key(|core| core.number.span().start);
    config
        .channels
        .sort_by_key(|channel| channel.name.span().start);
    (config, report)
}

fn unknown_section(name: &str, span: Range<usize>, is_table: bool) -> Diagnostic {
    let title = format!("there is no section or key `{name}`");
    let meant = similar(name, ["vm", "board", "core", "channel"]);
    let section = schema::ALL
        .iter()
        .find(|section| section.key(name).is_some());
    if let Some(section) = section
        && !(is_table && meant.is_some())
    {
        return Diagnostic::error(
            title,
            span,
            format!("this is a key of {}", section.title),
            format!("write {} in a line before it", section.title),
        );
    }
    let why = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "a file has [vm.NAME], [board], [core.N] and [channel.NAME]".into(),
    };
    Diagnostic::error(title, span, why, "correct its name, or remove it")
}

fn no_table(span: Range<usize>, name: &str, title: &str) -> Diagnostic {
    Diagnostic::error(
        format!("`{name}` is a table"),
        span,
        format!("it is written as {title}"),
        format!("write {title} in a line of its own, and its keys below it"),
    )
}

/// A table with a name: `[vm.NAME]`.
struct Named<'a, 'i> {
    name: At<String>,
    value: &'a At<DeValue<'i>>,
    title: String,
}

impl<'a, 'i> Named<'a, 'i> {
    fn table(&self, kind: &str, section: Section, report: &mut Report) -> Option<Table<'a, 'i>> {
        let name = self.name.get_ref();
        let DeValue::Table(table) = self.value.get_ref() else {
            report.add(no_table(self.name.span(), name, &self.title));
            return None;
        };
        let table = Table {
            what: format!("the {kind} `{name}`"),
            section,
            table,
            span: self.name.span(),
        };
        table.check_keys(report);
        Some(table)
    }
}

/// The tables in a table: those of `[vm.one]` and `[vm.two]` in `vm`.
fn members<'a, 'i>(
    key: &At<std::borrow::Cow<'i, str>>,
    value: &'a At<DeValue<'i>>,
    section: &str,
    name: &str,
    report: &mut Report,
) -> Vec<Named<'a, 'i>> {
    let DeValue::Table(table) = value.get_ref() else {
        report.add(no_table(
            key.span(),
            section,
            &format!("[{section}.{name}]"),
        ));
        return Vec::new();
    };
    let members = table.iter().map(|(key, value)| Named {
        name: At::new(key.span(), key.get_ref().to_string()),
        value,
        title: format!("[{section}.{name}]"),
    });
    members.collect()
}

/// Reports a name that can't be one; whether it can.
fn check_name(name: &At<String>, kind: &str, report: &mut Report) -> bool {
    let text = name.get_ref();
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let good = !text.is_empty()
        && text.len() <= MAX_NAME
        && text.bytes().all(letter)
        && !text.starts_with('-');
    if !good {
        report.add(Diagnostic::error(
            format!("this can't be the name of a {kind}"),
            name.span(),
            format!("a name is 1 to {MAX_NAME} letters, digits, - and _, the first not -"),
            "choose another name",
        ));
    }
    good
}

/// A console's connection, with its path in the file's directory.
fn within(backend: At<Backend>, base: &Path) -> At<Backend> {
    At::new(backend.span(), backend.into_inner().within(base))
}

fn vm(name: At<String>, table: &Table<'_, '_>, base: &Path, report: &mut Report) -> Vm {
    let vm = Vm {
        guest: table.choice("guest", &GUESTS, report),
        kernel: table.path("kernel", base, report),
        boot: table.choice("boot", &BOOTS, report),
        initrd: table.path("initrd", base, report),
        cmdline: table.text("cmdline", report),
        dtb: table.path("dtb", base, report),
        bios: table.path("bios", base, report),
        cpus: table.number("cpus", 1..=MAX_CPUS, report),
        cpu: table.choice("cpu", &CPUS, report),
        memory: table.size("memory", parse_memory, 1 << 20..=MAX_MEMORY, report),
        disks: disks(&name, table, base, report),
        shares: shares::read(&name, table, base, report),
        net: table
            .parsed("net", parse_net, report)
            .map(|net| At::new(net.span(), net.into_inner().within(base))),
        publish: table.parsed_list("publish", parse_publish, report),
        serial: table
            .parsed("serial", parse_backend, report)
            .map(|backend| within(backend, base)),
        consoles: table
            .parsed_list("consoles", parse_backend, report)
            .into_iter()
            .map(|backend| within(backend, base))
            .collect(),
        watchdog: table.choice("watchdog", &WATCHDOGS, report),
        vsock: vsock::read(&name, table, base, report),
        virtio: table.choice("virtio", &VIRTIO, report),
        cores: table.numbers("cores", 0..=u64::from(u8::MAX), report),
        priority: table.number("priority", 0..=255, report),
        budget: table.time("budget", 100..=10_000_000, report),
        period: table.time("period", 100..=10_000_000, report),
        on_fault: table.choice("on-fault", &POLICIES, report),
        restarts: table.number("restarts", 0..=u64::from(u32::MAX), report),
        on_reset: table.choice("on-reset", &POLICIES, report),
        on_poweroff: table.choice("on-poweroff", &POLICIES, report),
        autostart: table.boolean("autostart", report),
        devices: devices(&name, table, report),
        name,
    };
    check_vm(&vm, report);
    vm
}

/// What can be wrong with a virtual machine, whatever else there is.
fn check_vm(vm: &Vm, report: &mut Report) {
    let name = vm.name.get_ref();
    if let Some(guest) = &vm.guest {
        let other = [("kernel", &vm.kernel), ("bios", &vm.bios)];
        for (key, path) in other {
            if let Some(path) = path {
                report.add(
                    Diagnostic::error(
                        format!("the virtual machine `{name}` has `guest` and `{key}`"),
                        path.span(),
                        "this is another thing to boot than the default guest",
                        format!("remove one of guest and {key}"),
                    )
                    .and(guest.span(), "the default guest brings its own files"),
                );
            }
        }
    }
    for (key, path) in [("initrd", &vm.initrd), ("dtb", &vm.dtb)] {
        if let Some(path) = path
            && vm.kernel.is_none()
        {
            report.add(Diagnostic::error(
                format!("the virtual machine `{name}` has `{key}` and no `kernel`"),
                path.span(),
                "only a kernel of your own takes this file",
                format!("add kernel = \"zImage\", or remove {key}"),
            ));
        }
    }
    if let Some(cores) = &vm.cores {
        let (count, limit) = (cores.get_ref().len(), MAX_CPUS as usize);
        if count == 0 || count > limit {
            report.add(Diagnostic::error(
                format!("`cores` of the virtual machine `{name}` can't be this"),
                cores.span(),
                format!("there is one core for each of 1 to {limit} vCPUs, not {count}"),
                "write for instance cores = [0, 1]",
            ));
        } else if let Some(cpus) = &vm.cpus
            && usize::from(*cpus.get_ref()) != count
        {
            report.add(
                Diagnostic::error(
                    format!("the virtual machine `{name}` has not one core for each vCPU"),
                    cores.span(),
                    format!("cores of {count} vCPUs"),
                    "make the numbers equal, or leave cpus out",
                )
                .and(cpus.span(), format!("{} vCPUs", cpus.get_ref())),
            );
        }
    }
    match (&vm.budget, &vm.period) {
        (Some(budget), None) => report.add(Diagnostic::error(
            format!("the virtual machine `{name}` has `budget` and no `period`"),
            budget.span(),
            "a budget is for a period",
            "add for instance period = \"10ms\"",
        )),
        (None, Some(period)) => report.add(Diagnostic::error(
            format!("the virtual machine `{name}` has `period` and no `budget`"),
            period.span(),
            "a period without a budget means nothing",
            "add for instance budget = \"2ms\", or remove period",
        )),
        (Some(budget), Some(period)) if budget.get_ref() > period.get_ref() => report.add(
            Diagnostic::error(
                format!("`budget` of the virtual machine `{name}` is more than its `period`"),
                budget.span(),
                "nobody can run for longer than a period in it",
                "make the budget shorter, or the period longer",
            )
            .and(period.span(), "the period"),
        ),
        _ => {}
    }
    if let Some(restarts) = &vm.restarts
        && vm.on_fault.as_ref().map(At::get_ref) != Some(&Policy::Reset)
    {
        report.add(Diagnostic::error(
            format!("the virtual machine `{name}` has `restarts`, but is not reset after a fault"),
            restarts.span(),
            "this limits on-fault = \"reset\"",
            "add on-fault = \"reset\", or remove restarts",
        ));
    }
    let net = vm.net();
    if let Some(publish) = vm.publish.first()
        && !matches!(net, Net::User { .. })
    {
        report.add(Diagnostic::error(
            format!("the virtual machine `{name}` has `publish` without the network for it"),
            publish.span(),
            "ports are published from net = \"user\" only",
            "remove publish, or net",
        ));
    }
    consoles::check(vm, report);
    let slots = usize::from(net != Net::None)
        + usize::from(vm.vsock.is_some())
        + vm.disks.len()
        + vm.shares.len()
        + vm.consoles.len();
    if slots > ROOM {
        report.add(Diagnostic::error(
            format!("the virtual machine `{name}` has too many devices"),
            vm.name.span(),
            format!(
                "{slots} disks, shares, virtio consoles, network cards and vsock, and there is room for {ROOM}"
            ),
            "remove disks, shares or consoles",
        ));
    }
}

fn disks(name: &At<String>, table: &Table<'_, '_>, base: &Path, report: &mut Report) -> Vec<Disk> {
    let Some(items) = table.list("disks", report) else {
        return Vec::new();
    };
    let mut disks = Vec::new();
    for item in items.get_ref() {
        let span = item.value.span();
        let what = format!("a disk of the virtual machine `{}`", name.get_ref());
        let Some(disk) = item.table(what.clone(), schema::DISK) else {
            disks.extend(table.item_path(item, base, report).map(|file| Disk {
                span,
                file: Some(file),
                format: None,
                read_only: false,
                temporary: false,
                backing: false,
                board_disk: None,
                start: None,
                size: None,
            }));
            continue;
        };
        disk.check_keys(report);
        let before = report.errors();
        let sizes = 0..=u64::MAX;
        let read = Disk {
            span: span.clone(),
            file: disk.path("file", base, report),
            format: disk.choice("format", &Format::ALL, report),
            read_only: disk.boolean("readonly", report).is_some_and(At::into_inner),
            temporary: disk
                .boolean("temporary", report)
                .is_some_and(At::into_inner),
            backing: disk
                .choice("backing", &[("allow", true), ("refuse", false)], report)
                .is_some_and(At::into_inner),
            board_disk: disk.number("board-disk", 0..=31, report),
            start: disk.size("start", parse_size, sizes, report),
            size: disk.size("size", parse_size, 1 << 10..=u64::MAX, report),
        };
        if report.errors() > before {
            continue;
        }
        if read.file.is_none() && read.board_disk.is_none() && read.size.is_none() {
            report.add(Diagnostic::error(
                format!("{what} is made of nothing"),
                span,
                "it has no file",
                "write for instance file = \"disk.img\"",
            ));
        } else if read.read_only && read.temporary {
            report.add(Diagnostic::error(
                format!("{what} is readonly and temporary"),
                span,
                "the guest can't write to the one, and what it writes to the other is lost",
                "remove one of them",
            ));
        } else if let Some(start) = &read.start
            && read.board_disk.is_none()
        {
            report.add(Diagnostic::error(
                format!("{what} has `start` and no `board-disk`"),
                start.span(),
                "this is where a part of one of the board's disks begins",
                "add for instance board-disk = 0, or remove start",
            ));
        } else {
            disks.push(read);
        }
    }
    disks
}

fn devices(name: &At<String>, table: &Table<'_, '_>, report: &mut Report) -> Vec<Device> {
    let Some(items) = table.list("devices", report) else {
        return Vec::new();
    };
    let mut devices = Vec::new();
    for item in items.get_ref() {
        let what = format!("a device of the virtual machine `{}`", name.get_ref());
        let Some(device) = item.table(what, schema::DEVICE) else {
            devices.extend(table.item_text(item, report).map(|path| Device {
                path,
                dma_trusted: false,
            }));
            continue;
        };
        device.check_keys(report);
        if !device.table.contains_key("path") {
            report.add(device.missing("path"));
        }
        let dma_trusted = device.choice("dma", &DMA, report);
        devices.extend(device.text("path", report).map(|path| Device {
            path,
            dma_trusted: dma_trusted.is_some_and(At::into_inner),
        }));
    }
    devices
}

fn board(table: &Table<'_, '_>, base: &Path, report: &mut Report) -> Board {
    table.check_keys(report);
    let board = Board {
        span: table.span.clone(),
        name: table.choice("name", &BOARDS, report),
        device_tree: table.path("device-tree", base, report),
        memory: table.size("memory", parse_memory, 1 << 20..=1 << 40, report),
        cores: table.number("cores", 1..=MAX_CPUS, report),
        cpu: table.choice("cpu", &CPUS, report),
        vms: table.texts("vms", report).map(At::into_inner),
    };
    if let Some(tree) = &board.device_tree {
        let given = [
            ("name", board.name.as_ref().map(At::span)),
            ("cores", board.cores.as_ref().map(At::span)),
            ("cpu", board.cpu.as_ref().map(At::span)),
        ];
        for (key, span) in given {
            if let Some(span) = span {
                report.add(
                    Diagnostic::error(
                        format!("the board has `{key}` and `device-tree`"),
                        span,
                        "the device tree says this",
                        format!("remove {key} or device-tree"),
                    )
                    .and(tree.span(), "the board is as this file describes it"),
                );
            }
        }
    }
    board
}

fn core(named: &Named<'_, '_>, report: &mut Report) -> Option<Core> {
    let text = named.name.get_ref();
    let number = text.parse::<u8>().ok();
    // Neither +1 nor 01.
    let number = number.filter(|number| number.to_string() == *text);
    let Some(number) = number else {
        report.add(Diagnostic::error(
            format!("`{text}` is not the number of a core"),
            named.name.span(),
            "cores are numbered from 0, in the order of the board's device tree",
            "write for instance [core.1]",
        ));
        return None;
    };
    let table = named.table("core", schema::CORE, report)?;
    let schedule = table.choice("schedule", &SCHEDULES, report);
    let core = Core {
        number: At::new(named.name.span(), number),
        shared: schedule.is_some_and(At::into_inner),
        slice: table.time("slice", 100..=1_000_000, report),
    };
    if let Some(slice) = &core.slice
        && !core.shared
    {
        report.add(Diagnostic::error(
            format!("the core {number} has `slice`, but is not shared"),
            slice.span(),
            "a vCPU has a partitioned core for itself, always",
            "add schedule = \"shared\", or remove slice",
        ));
    }
    Some(core)
}

fn channel(name: At<String>, table: &Table<'_, '_>, report: &mut Report) -> Option<Channel> {
    for key in ["size", "vms"] {
        if !table.table.contains_key(key) {
            report.add(table.missing(key));
        }
    }
    let size: Option<At<u32>> =
        table.size("size", parse_size, u64::from(PAGE)..=MAX_CHANNEL, report);
    let vms = table.texts("vms", report);
    let read_only = table.texts("readonly", report);
    let (size, vms) = (size?, vms?);
    let read_only = read_only.map(At::into_inner).unwrap_or_default();
    let what = format!("the channel `{}`", name.get_ref());
    if !size.get_ref().is_multiple_of(PAGE) {
        report.add(Diagnostic::error(
            format!("`size` of {what} can't be this"),
            size.span(),
            "memory is shared in pages of 4K",
            "write for instance size = \"64K\"",
        ));
    }
    let count = vms.get_ref().len();
    if !(2..=8).contains(&count) {
        report.add(Diagnostic::error(
            format!("`vms` of {what} can't be this"),
            vms.span(),
            format!("a channel is between 2 to 8 virtual machines, not {count}"),
            "write for instance vms = [\"one\", \"two\"]",
        ));
    }
    let vms = vms.into_inner();
    twice(&vms, &what, report);
    for name in &read_only {
        if !vms.iter().any(|vm| vm.get_ref() == name.get_ref()) {
            report.add(Diagnostic::error(
                format!(
                    "{what} is read-only for `{}`, which does not have it",
                    name.get_ref()
                ),
                name.span(),
                format!(
                    "it is between {}",
                    list(vms.iter().map(|vm| vm.get_ref().as_str()))
                ),
                "name one of these",
            ));
        }
    }
    if !vms.is_empty()
        && vms
            .iter()
            .all(|vm| read_only.iter().any(|name| name.get_ref() == vm.get_ref()))
    {
        let first = read_only.first().map(At::span).unwrap_or_default();
        report.add(Diagnostic::error(
            format!("nobody can write to {what}"),
            first,
            "it is read-only for all of its virtual machines",
            "take one out of readonly",
        ));
    }
    Some(Channel {
        name,
        size,
        vms,
        read_only,
    })
}

/// Reports names that are in a list more than once.
pub fn twice(names: &[At<String>], what: &str, report: &mut Report) {
    for (index, name) in names.iter().enumerate() {
        let mut before = names.iter().take(index);
        if let Some(first) = before.find(|first| first.get_ref() == name.get_ref()) {
            report.add(
                Diagnostic::error(
                    format!("{what} names `{}` twice", name.get_ref()),
                    name.span(),
                    "here again",
                    "remove one of them",
                )
                .and(first.span(), "here first"),
            );
        }
    }
}
