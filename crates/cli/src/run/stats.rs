//! `--stats`, SIGUSR1 and Ctrl-A s: what the engines did, for people or programs.

use crate::args::StatsFormat;
use serde_json::{Value, json};
use skep_vmm::{MemoryStats, TranslatorStats, VcpuStats, VmHandle, VmStats};
use std::fmt::Write as _;
use std::io::Write;

/// Prints what a running VM did, on standard error.
pub fn print_of(vm: &VmHandle, format: StatsFormat) {
    print(&vm.stats(), format);
}

/// Prints it.
pub fn print(stats: &VmStats, format: StatsFormat) {
    let text = match format {
        StatsFormat::Text => describe(stats),
        StatsFormat::Json => format!("{}\n", machine_readable(stats)),
    };
    // Standard error may be closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Millions a second.
fn rate(count: u64, seconds: f64) -> f64 {
    let rate = count as f64 / seconds.max(1e-9) / 1e6;
    (rate * 10.0).round() / 10.0
}

/// Whether all instructions were counted.
fn counted(vcpu: &VcpuStats) -> bool {
    let translator = vcpu.engine.translator.as_ref();
    translator.is_none_or(|translator| translator.counts)
}

/// Lines about the VM and each vCPU.
fn describe(stats: &VmStats) -> String {
    let seconds = stats.elapsed.as_secs_f64();
    let mut text = format!("skep: the guest ran for {seconds:.2} s\n");
    for (index, vcpu) in stats.vcpus.iter().enumerate() {
        let mut line = |what: &str, value: String| {
            let _ = writeln!(text, "  CPU {index}  {what:<28} {value}");
        };
        describe_vcpu(vcpu, seconds, &mut line);
    }
    let _ = writeln!(text, "  memory {}", describe_memory(&stats.memory));
    for device in &stats.devices {
        let _ = writeln!(
            text,
            "  {:#010x}  {:<24} {} reads, {} writes",
            device.address, device.name, device.reads, device.writes
        );
    }
    text
}

/// What is known of guest memory: what the guest tells depends on its driver.
fn describe_memory(memory: &MemoryStats) -> String {
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let told = memory.told.unwrap_or_default();
    let mut text = match told.total {
        Some(total) => mib(total),
        None => "(the guest does not tell)".into(),
    };
    let parts = [
        (told.free, "free"),
        (told.available, "available"),
        (told.caches, "in caches"),
    ];
    let mut before = ", of it";
    for (bytes, what) in parts {
        if let Some(bytes) = bytes {
            let _ = write!(text, "{before} {} {what}", mib(bytes));
            before = ",";
        }
    }
    let _ = write!(text, "; {} given back", mib(memory.given));
    if memory.ballooned > 0 {
        let _ = write!(text, ", {} in the balloon", mib(memory.ballooned));
    }
    text
}

fn describe_vcpu(vcpu: &VcpuStats, seconds: f64, line: &mut impl FnMut(&str, String)) {
    let common = &vcpu.engine.common;
    let instructions = common.instructions;
    let busy = vcpu.cpu_time.as_secs_f64();
    let counted = counted(vcpu);
    if counted {
        line("instructions", instructions.to_string());
        line(
            "million a second",
            format!(
                "{:.1}; {:.1} of the host's time that it took",
                rate(instructions, seconds),
                rate(instructions, busy)
            ),
        );
    } else {
        line("instructions", "with --stats only".into());
    }
    line("host's time, seconds", format!("{busy:.2}"));
    line("exceptions taken", common.exceptions.to_string());
    line("table walks", common.walks.to_string());
    let exits = vcpu.exits;
    line(
        "exits",
        format!(
            "{} ticks, {} WFI, {} WFE, {} SEV, {} yields, {} timer, {} HVC, {} SMC, {} by the host",
            exits.ticks,
            exits.wfi,
            exits.wfe,
            exits.sev,
            exits.yields,
            exits.timer,
            exits.hvc,
            exits.smc,
            exits.kicks
        ),
    );
    match &vcpu.engine.translator {
        Some(translator) => {
            describe_translator(translator, counted.then_some(instructions), line);
        }
        None => line("blocks decoded", common.decoded.to_string()),
    }
}

fn describe_translator(
    translator: &TranslatorStats,
    instructions: Option<u64>,
    line: &mut impl FnMut(&str, String),
) {
    let share = |part: u64| match instructions {
        Some(all) => format!("{part} ({:.2} %)", 100.0 * part as f64 / all.max(1) as f64),
        None => part.to_string(),
    };
    let (blocks, translated) = translator.blocks;
    line(
        "blocks translated",
        format!("{blocks}, {translated} instructions"),
    );
    line("blocks copied", translator.copied.to_string());
    line("code", format!("{} KiB", translator.code_bytes >> 10));
    line("interpreted in blocks", share(translator.interpreted));
    line("interpreted one by one", share(translator.handed_over));
    for (name, times) in &translator.most_handed_over {
        line(&format!("  {name}"), share(*times));
    }
    line("blocks invalidated", translator.invalidated.to_string());
    line("code cache full", format!("{} times", translator.flushes));
    line("table entries made", translator.fills.to_string());
    line(
        "windows",
        format!(
            "{} opened, {} mappings made, {} accesses that did not find their page",
            translator.windows, translator.mappings, translator.window_faults,
        ),
    );
    line(
        "floating-point exceptions",
        translator.float_exceptions.to_string(),
    );
    let leaves = translator.leaves;
    line(
        "returns of generated code",
        format!(
            "{} for inputs or another mapping, {} unlinked, {} indirect, {} after the interpreter, \
             {} to it",
            leaves.inputs,
            leaves.unlinked,
            leaves.indirect,
            leaves.after_interpreter,
            leaves.to_interpreter
        ),
    );
}

/// The same as one JSON object.
fn machine_readable(stats: &VmStats) -> Value {
    let vcpus = stats.vcpus.iter().map(|vcpu| {
        let (common, exits) = (&vcpu.engine.common, &vcpu.exits);
        let instructions = counted(vcpu).then_some(common.instructions);
        let mips = |seconds: f64| instructions.map(|instructions| rate(instructions, seconds));
        json!({
            "instructions": instructions,
            "mips": mips(stats.elapsed.as_secs_f64()),
            "mips_busy": mips(vcpu.cpu_time.as_secs_f64()),
            "cpu_seconds": vcpu.cpu_time.as_secs_f64(),
            "exceptions": common.exceptions,
            "walks": common.walks,
            "decoded": common.decoded,
            "exits": {
                "ticks": exits.ticks,
                "kicks": exits.kicks,
                "wfi": exits.wfi,
                "wfe": exits.wfe,
                "sev": exits.sev,
                "yields": exits.yields,
                "timer": exits.timer,
                "hvc": exits.hvc,
                "smc": exits.smc,
            },
            "translator": vcpu.engine.translator.as_ref().map(translator_json),
        })
    });
    let devices = stats.devices.iter().map(|device| {
        json!({
            "name": device.name,
            "address": device.address,
            "reads": device.reads,
            "writes": device.writes,
        })
    });
    let memory = &stats.memory;
    let told = memory.told.unwrap_or_default();
    json!({
        "seconds": stats.elapsed.as_secs_f64(),
        "memory": {
            "total": told.total,
            "free": told.free,
            "available": told.available,
            "caches": told.caches,
            "ballooned": memory.ballooned,
            "given_back": memory.given,
        },
        "vcpus": vcpus.collect::<Vec<_>>(),
        "devices": devices.collect::<Vec<_>>(),
    })
}

fn translator_json(translator: &TranslatorStats) -> Value {
    let (blocks, instructions) = translator.blocks;
    let leaves = translator.leaves;
    let most = translator.most_handed_over.iter();
    let most = most.map(|(name, times)| json!({ "name": name, "times": times }));
    json!({
        "blocks": blocks,
        "block_instructions": instructions,
        "copied": translator.copied,
        "code_bytes": translator.code_bytes,
        "flushes": translator.flushes,
        "invalidated": translator.invalidated,
        "interpreted": translator.interpreted,
        "handed_over": translator.handed_over,
        "most_handed_over": most.collect::<Vec<_>>(),
        "fills": translator.fills,
        "windows": translator.windows,
        "mappings": translator.mappings,
        "window_faults": translator.window_faults,
        "float_exceptions": translator.float_exceptions,
        "leaves": {
            "inputs": leaves.inputs,
            "unlinked": leaves.unlinked,
            "indirect": leaves.indirect,
            "after_interpreter": leaves.after_interpreter,
            "to_interpreter": leaves.to_interpreter,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_vmm::MemoryUse;
    use std::time::Duration;

    fn example() -> VmStats {
        let mut vcpu = VcpuStats {
            cpu_time: Duration::from_secs(1),
            ..VcpuStats::default()
        };
        vcpu.engine.common.instructions = 200_000_000;
        vcpu.exits.wfi = 7;
        vcpu.engine.translator = Some(TranslatorStats {
            counts: true,
            handed_over: 1_000_000,
            most_handed_over: vec![("MRC", 900_000), ("SVC", 100_000)],
            ..TranslatorStats::default()
        });
        VmStats {
            elapsed: Duration::from_secs(4),
            vcpus: vec![vcpu],
            memory: MemoryStats {
                told: Some(MemoryUse {
                    total: Some(500 << 20),
                    available: Some(400 << 20),
                    ..MemoryUse::default()
                }),
                ballooned: 0,
                given: 64 << 20,
            },
            devices: Vec::new(),
        }
    }

    #[test]
    fn for_people() {
        let text = describe(&example());
        for part in [
            "ran for 4.00 s",
            "50.0; 200.0 of the host",
            "0 ticks, 7 WFI",
            "MRC                        900000 (0.45 %)",
            "500 MiB, of it 400 MiB available; 64 MiB given back",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        let mut stats = example();
        if let Some(translator) = &mut stats.vcpus[0].engine.translator {
            translator.counts = false;
        }
        let text = describe(&stats);
        assert!(text.contains("instructions                 with --stats only"));
        assert!(!text.contains('%'), "{text}");
    }

    #[test]
    fn for_programs() {
        let value = machine_readable(&example());
        assert_eq!(value["vcpus"][0]["mips_busy"], 200.0);
        assert_eq!(value["memory"]["available"], 400 << 20);
        assert!(value["memory"]["free"].is_null());
        assert_eq!(value["vcpus"][0]["exits"]["wfi"], 7);
        let most = &value["vcpus"][0]["translator"]["most_handed_over"];
        assert_eq!(most[1], json!({ "name": "SVC", "times": 100_000 }));
        // A line for each time.
        assert!(!value.to_string().contains('\n'));
    }
}
