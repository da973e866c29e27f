//! Packs a bundle: `pack OUT VM...`, where a VM is
//! `NAME:MEMORY_MIB:CORE[+CORE...]:KERNEL[:INITRD[:CMDLINE]]`.

use skep_bundle::{System, pack};
use skep_hyp::guest::{Request, describe};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let out = args.next().ok_or("pack OUT VM...")?;
    let mut vms = Vec::new();
    for arg in args {
        let mut parts = arg.splitn(6, ':');
        let mut part = |what: &str| parts.next().ok_or(format!("{arg}: no {what}"));
        let name = part("name")?;
        let memory_mib = part("memory")?.parse()?;
        let cores: Vec<u8> = part("cores")?
            .split('+')
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let kernel = std::fs::read(part("kernel")?)?;
        let initrd = match part("initrd") {
            Ok(path) if !path.is_empty() => Some(std::fs::read(path)?),
            _ => None,
        };
        vms.push(describe(&Request {
            name,
            memory_mib,
            cores: &cores,
            kernel: &kernel,
            initrd: initrd.as_deref(),
            cmdline: part("command line").unwrap_or_default(),
            ..Request::default()
        })?);
    }
    std::fs::write(out, pack(&System::from(vms))?)?;
    Ok(())
}
