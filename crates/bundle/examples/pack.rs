//! Packs a bundle: `pack OUT VM...`, where a VM is
//! `NAME:MEMORY_MIB:CORE[+CORE...]:KERNEL[:INITRD[:CMDLINE]]`.

use skep_bundle::{System, Vm, pack};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let out = args.next().ok_or("pack OUT VM...")?;
    let mut vms = Vec::new();
    for arg in args {
        let mut parts = arg.splitn(6, ':');
        let mut part = |what: &str| parts.next().ok_or(format!("{arg}: no {what}"));
        vms.push(Vm {
            name: part("name")?.to_owned(),
            memory_mib: part("memory")?.parse()?,
            cores: part("cores")?
                .split('+')
                .map(str::parse)
                .collect::<Result<_, _>>()?,
            kernel: std::fs::read(part("kernel")?)?,
            initrd: match part("initrd") {
                Ok(path) if !path.is_empty() => Some(std::fs::read(path)?),
                _ => None,
            },
            cmdline: part("cmdline").unwrap_or_default().to_owned(),
        });
    }
    std::fs::write(out, pack(&System { vms })?)?;
    Ok(())
}
