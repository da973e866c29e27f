//! `--stats`: what the engines did, for people.

use skep_vmm::EngineStats;
use std::time::Duration;

/// Lines about each vCPU, after a session that took `elapsed`.
pub fn describe(vcpus: &[EngineStats], elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-9);
    let mut text = format!("skep: the session took {seconds:.2} s\n");
    for (index, vcpu) in vcpus.iter().enumerate() {
        let common = &vcpu.common;
        let instructions = common.instructions;
        let mut line = |what: &str, value: String| {
            text.push_str(&format!("  CPU {index}  {what:<28} {value}\n"));
        };
        line("instructions", instructions.to_string());
        line(
            "million a second",
            format!("{:.1}", instructions as f64 / seconds / 1e6),
        );
        line("exceptions taken", common.exceptions.to_string());
        line("table walks", common.walks.to_string());
        let Some(translator) = &vcpu.translator else {
            line("blocks decoded", common.decoded.to_string());
            continue;
        };
        let share = |part: u64| {
            format!(
                "{part} ({:.2} %)",
                100.0 * part as f64 / instructions.max(1) as f64
            )
        };
        let (blocks, translated) = translator.blocks;
        line(
            "blocks translated",
            format!("{blocks}, {translated} instructions"),
        );
        line("code", format!("{} KiB", translator.code_bytes >> 10));
        line("interpreted in blocks", share(translator.interpreted));
        line("interpreted one by one", share(translator.handed_over));
        line("blocks invalidated", translator.invalidated.to_string());
        line("code cache full", format!("{} times", translator.flushes));
        line("table entries made", translator.fills.to_string());
        line("returns of generated code", translator.leaves.to_string());
    }
    text
}
