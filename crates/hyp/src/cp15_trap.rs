//! Accesses to CP15 that trap: set/way cache maintenance, ACTLR, and what is implementation defined.

use crate::hw::cp15;
use crate::vcpu::Vcpu;

/// ACTLR.SMP of Cortex-A7, A15 and A17: the core takes part in coherency, which it does.
const ACTLR_SMP: u32 = 1 << 6;
/// L2CTLR: how many cores the cluster has, less one.
const L2CTLR_CORES_SHIFT: u32 = 24;

/// An MCR or MRC that trapped, by the syndrome's fields (manual table B3-44); false if it is
/// UNDEFINED.
pub fn emulate(vcpu: &mut Vcpu, iss: u32) -> bool {
    let field = |shift: u32, bits: u32| iss >> shift & ((1 << bits) - 1);
    let (opc2, opc1, crn, rt, crm) = (
        field(17, 3),
        field(14, 3),
        field(10, 4),
        field(5, 4) as usize,
        field(1, 4),
    );
    let read = iss & 1 != 0;
    let value = match (crn, opc1, crm, opc2) {
        // ACTLR: what it says is for the hypervisor to decide.
        (1, 0, 0, 1) => cp15::actlr::read() | ACTLR_SMP,
        // DCISW, DCCSW, DCCISW. A core that sees the memory without its caches must see what was
        // written with them: everything is cleaned, by address, since others share the cache.
        (7, 0, 6 | 10 | 14, 2) if !read => {
            vcpu.vm.ram.clean(0, u32::MAX);
            return true;
        }
        // L2CTLR, L2ECTLR.
        (9, 1, 0, 2) => (vcpu.vm.cores.len() as u32 - 1) << L2CTLR_CORES_SHIFT,
        (9, 1, 0, 3) => 0,
        // Performance monitors: there are none.
        (9, 0, 12..=14, _) => 0,
        _ => return false,
    };
    if read {
        vcpu.set_reg(rt, value);
    }
    true
}
