use super::spec::*;
use super::*;
use proptest::prelude::*;

/// A GIC as an operating system sets it up: everything in Group 0 and enabled, all SPIs to CPU 0,
/// priority 0xa0, priority mask open.
fn ready(cpus: usize) -> Gic {
    let mut gic = Gic::new(cpus);
    gic.dw(0, gicd::CTLR, 1);
    for n in 0..INTIDS / 32 {
        gic.dw(0, gicd::ISENABLER + 4 * n, u32::MAX);
    }
    for n in 0..INTIDS {
        gic.dist_write(0, u64::from(gicd::IPRIORITYR + n), 1, 0xa0);
        gic.dist_write(0, u64::from(gicd::ITARGETSR + n), 1, 1);
    }
    for cpu in 0..cpus {
        gic.dw(cpu, gicd::ISENABLER, u32::MAX);
        for n in 0..8 {
            gic.dw(cpu, gicd::IPRIORITYR + 4 * n, 0xa0a0_a0a0);
        }
        gic.cw(cpu, gicc::PMR, 0xf0);
        gic.cw(cpu, gicc::CTLR, 1);
    }
    gic
}

/// Word accesses, and the usual two by which an interrupt is handled.
impl Gic {
    fn dr(&self, cpu: usize, register: u32) -> u32 {
        self.dist_read(cpu, u64::from(register), 4) as u32
    }
    fn dw(&mut self, cpu: usize, register: u32, value: u32) {
        self.dist_write(cpu, u64::from(register), 4, u64::from(value));
    }
    fn cr(&mut self, cpu: usize, register: u32) -> u32 {
        self.cpu_read(cpu, u64::from(register), 4) as u32
    }
    fn cw(&mut self, cpu: usize, register: u32, value: u32) {
        self.cpu_write(cpu, u64::from(register), 4, u64::from(value));
    }
    fn iar(&mut self, cpu: usize) -> u32 {
        self.cr(cpu, gicc::IAR)
    }
    fn eoi(&mut self, cpu: usize, id: u32) {
        self.cw(cpu, gicc::EOIR, id);
    }
    fn make_edge(&mut self, id: u32) {
        let register = gicd::ICFGR + id / 16 * 4;
        let value = self.dr(0, register) | 2 << (id % 16 * 2);
        self.dw(0, register, value);
    }
    fn prioritise(&mut self, id: u32, priority: u8) {
        self.dist_write(0, u64::from(gicd::IPRIORITYR + id), 1, u64::from(priority));
    }
}

#[test]
fn reports_what_qemu_reports() {
    let mut gic = Gic::new(1);
    assert_eq!(gic.dr(0, gicd::TYPER), 0x08);
    assert_eq!(Gic::new(4).dr(0, gicd::TYPER), 0x68);
    assert_eq!(gic.dr(0, gicd::IIDR), 0x43b);
    assert_eq!(gic.dr(0, gicd::ISENABLER), 0xffff);
    assert_eq!(gic.dr(0, gicd::ICFGR), 0xaaaa_aaaa);
    assert_eq!(gic.dr(0, gicd::ICFGR + 4), 0);
    let ids = [4, 0, 0, 0, 0x90, 0xb4, 0x2b, 0, 0x0d, 0xf0, 5, 0xb1];
    for (i, id) in ids.into_iter().enumerate() {
        assert_eq!(gic.dr(0, gicd::ID + 4 * i as u32), id);
    }
    assert_eq!(gic.cr(0, gicc::IIDR), 0x2043b);
    assert_eq!(gic.cr(0, gicc::RPR), 0xff);
    assert_eq!(gic.cr(0, gicc::HPPIR), 0x3ff);
    assert_eq!(gic.cr(0, gicc::ABPR), 1);
    gic.cw(0, gicc::CTLR, u32::MAX);
    assert_eq!(gic.cr(0, gicc::CTLR), 0x21f);
    gic.dw(0, gicd::ITARGETSR + 32, u32::MAX);
    assert_eq!(gic.dr(0, gicd::ITARGETSR + 32), 0, "one CPU: no targets");
    assert_eq!(gic.dist_read(0, 5, 1), 0);
    assert_eq!(gic.dist_read(0, 8, 1), 0x3b);
    assert_eq!(gic.dist_read(0, 8, 2), 0x43b);
}

#[test]
fn a_level_stays_pending_until_the_line_falls() {
    let mut gic = ready(1);
    gic.set_spi(1, true);
    assert_eq!(gic.irq_outputs(), 1);
    assert_eq!(gic.cr(0, gicc::HPPIR), 33);
    assert_eq!(gic.iar(0), 33);
    assert_eq!(gic.irq_outputs(), 0, "active: not signalled again");
    assert_eq!(gic.dr(0, gicd::ISPENDR + 4), 2, "active and pending");
    assert_eq!(gic.dr(0, gicd::ISACTIVER + 4), 2);
    assert_eq!(gic.cr(0, gicc::RPR), 0xa0);
    gic.eoi(0, 33);
    assert_eq!(gic.irq_outputs(), 1, "the line is still high");
    assert_eq!(gic.iar(0), 33);
    gic.set_spi(1, false);
    gic.eoi(0, 33);
    assert_eq!(gic.irq_outputs(), 0);
    assert_eq!(gic.iar(0), SPURIOUS);
    assert_eq!(gic.cr(0, gicc::RPR), 0xff);
}

#[test]
fn an_edge_is_remembered_and_taken_once() {
    let mut gic = ready(1);
    gic.make_edge(48);
    gic.set_spi(16, true);
    gic.set_spi(16, false);
    assert_eq!(gic.iar(0), 48);
    // Another edge while active: pending again after the end of the interrupt.
    gic.set_spi(16, true);
    assert_eq!(gic.irq_outputs(), 0);
    gic.eoi(0, 48);
    assert_eq!(gic.iar(0), 48);
    gic.eoi(0, 48);
    assert_eq!(gic.irq_outputs(), 0, "the high line is no edge");
    assert_eq!(gic.iar(0), SPURIOUS);
}

#[test]
fn software_can_set_and_clear_pending() {
    let mut gic = ready(1);
    gic.dw(0, gicd::ISPENDR + 4, 4);
    assert_eq!(gic.irq_outputs(), 1);
    gic.dw(0, gicd::ICPENDR + 4, 4);
    assert_eq!(gic.irq_outputs(), 0);
    gic.set_spi(2, true);
    gic.dw(0, gicd::ICPENDR + 4, 4);
    assert_eq!(gic.irq_outputs(), 1, "a level cannot be cleared");
    gic.dw(0, gicd::ISPENDR + 4, 4);
    gic.set_spi(2, false);
    assert_eq!(gic.irq_outputs(), 1, "set by software besides");
    assert_eq!(gic.iar(0), 34);
    gic.eoi(0, 34);
    assert_eq!(gic.irq_outputs(), 0);
    gic.dw(0, gicd::ISPENDR, 0xffff);
    assert_eq!(gic.dr(0, gicd::ISPENDR), 0, "not for SGIs");
}

#[test]
fn enables_gate_each_stage() {
    let mut gic = ready(1);
    gic.set_spi(0, true);
    for (distributor, register, on) in [
        (true, gicd::CTLR, 1),
        (false, gicc::CTLR, 1),
        (false, gicc::PMR, 0xf0),
    ] {
        for (value, expect) in [(0, 0), (on, 1)] {
            if distributor {
                gic.dw(0, register, value);
            } else {
                gic.cw(0, register, value);
            }
            assert_eq!(gic.irq_outputs(), expect);
            if expect == 0 {
                assert_eq!(gic.iar(0), SPURIOUS);
            }
        }
    }
    gic.dw(0, gicd::ICENABLER + 4, 1);
    assert_eq!(gic.irq_outputs(), 0);
    assert_eq!(gic.dr(0, gicd::ICENABLER + 4) & 1, 0);
    assert_eq!(gic.dr(0, gicd::ISPENDR + 4), 1, "pending all the same");
    gic.cw(0, gicc::PMR, 0xa0);
    gic.dw(0, gicd::ISENABLER + 4, 1);
    assert_eq!(
        gic.irq_outputs(),
        0,
        "a priority equal to the mask is masked"
    );
}

#[test]
fn an_interface_that_is_off_shows_nothing_pending() {
    let mut gic = ready(1);
    gic.set_spi(8, true);
    assert_eq!(gic.cr(0, gicc::HPPIR), 40);
    gic.cw(0, gicc::CTLR, 0);
    assert_eq!(gic.cr(0, gicc::HPPIR), 1023);
}

#[test]
fn urgent_interrupts_preempt() {
    let mut gic = ready(1);
    gic.prioritise(40, 0x80);
    gic.prioritise(41, 0x84);
    gic.prioritise(42, 0x40);
    gic.cw(0, gicc::BPR, 3); // Group priority: bits 7 to 4.
    gic.set_spi(9, true);
    assert_eq!(gic.iar(0), 41);
    assert_eq!(gic.cr(0, gicc::RPR), 0x80);
    gic.set_spi(8, true);
    assert_eq!(gic.irq_outputs(), 0, "same group priority");
    assert_eq!(gic.cr(0, gicc::HPPIR), 40);
    assert_eq!(gic.iar(0), SPURIOUS);
    gic.set_spi(10, true);
    assert_eq!(gic.irq_outputs(), 1);
    assert_eq!(gic.iar(0), 42);
    assert_eq!(gic.cr(0, gicc::RPR), 0x40);
    assert_eq!([0, 4, 8].map(|n| gic.cr(0, gicc::APR + n)), [0, 1, 1]);
    for line in 8..11 {
        gic.set_spi(line, false);
    }
    gic.eoi(0, 42);
    assert_eq!(gic.cr(0, gicc::RPR), 0x80);
    gic.eoi(0, 41);
    assert_eq!(gic.cr(0, gicc::RPR), 0xff);
}

#[test]
fn equal_priorities_go_by_number() {
    let mut gic = ready(1);
    gic.set_spi(200, true);
    gic.set_spi(3, true);
    gic.set_ppi(0, 27, true);
    for id in [27, 35, 232] {
        assert_eq!(gic.iar(0), id);
        gic.dw(0, gicd::ICENABLER + id / 32 * 4, 1 << (id % 32));
        gic.eoi(0, id);
    }
}

#[test]
fn sgis_keep_their_sources() {
    let mut gic = ready(4);
    gic.dw(3, gicd::SGIR, 0b0001 << 16 | 5);
    gic.dw(1, gicd::SGIR, 1 << 24 | 5); // All but CPU 1.
    assert_eq!(gic.irq_outputs(), 0b1101);
    assert_eq!(gic.dr(0, gicd::SPENDSGIR + 4), 0b1010 << 8);
    assert_eq!(gic.cr(0, gicc::HPPIR), 1 << 10 | 5);
    assert_eq!(gic.iar(0), 1 << 10 | 5);
    assert_eq!(gic.irq_outputs(), 0b1100);
    gic.eoi(0, 1 << 10 | 5);
    assert_eq!(gic.iar(0), 3 << 10 | 5);
    gic.eoi(0, 3 << 10 | 5);
    assert_eq!(gic.iar(0), SPURIOUS);
    gic.dw(2, gicd::SGIR, 2 << 24 | 15);
    assert_eq!(gic.iar(2), 1 << 10 | 5, "the lower number first");
    gic.dw(2, gicd::CPENDSGIR + 12, 0xff00_0000);
    gic.eoi(2, 1 << 10 | 5);
    assert_eq!(gic.irq_outputs(), 0b1000);
    gic.dist_write(2, u64::from(gicd::SPENDSGIR), 1, 1);
    assert_eq!(gic.iar(2), 0);
}

#[test]
fn an_spi_is_taken_by_one_of_its_targets() {
    let mut gic = ready(4);
    gic.dist_write(0, u64::from(gicd::ITARGETSR + 33), 1, 0xf6);
    assert_eq!(gic.dr(0, gicd::ITARGETSR + 32), 0x0101_0601);
    gic.set_spi(1, true);
    assert_eq!(gic.irq_outputs(), 0b0110);
    assert_eq!(gic.iar(2), 33);
    assert_eq!(gic.irq_outputs(), 0);
    assert_eq!(gic.iar(1), SPURIOUS);
    gic.eoi(2, 33);
    assert_eq!(gic.irq_outputs(), 0b0110);
    gic.dist_write(0, u64::from(gicd::ITARGETSR + 33), 1, 8);
    assert_eq!(gic.irq_outputs(), 0b1000);
}

#[test]
fn private_interrupts_are_banked() {
    let mut gic = ready(2);
    gic.set_ppi(1, 27, true);
    assert_eq!(gic.irq_outputs(), 0b10);
    assert_eq!(gic.dr(0, gicd::ISPENDR), 0);
    assert_eq!(gic.dr(1, gicd::ISPENDR), 1 << 27);
    gic.dw(1, gicd::ICENABLER, 1 << 27);
    assert_eq!(gic.irq_outputs(), 0);
    assert_eq!(gic.dr(0, gicd::ISENABLER), u32::MAX);
    assert_eq!(gic.dr(1, gicd::ITARGETSR), 0x0202_0202);
    gic.set_ppi(1, 5, true);
    gic.set_ppi(2, 27, true);
    gic.set_spi(256, true);
    assert_eq!(gic.irq_outputs(), 0);
}

#[test]
fn priority_drop_can_be_separate_from_deactivation() {
    let mut gic = ready(1);
    gic.cw(0, gicc::CTLR, 1 | gicc::CTLR_EOI_MODE);
    gic.set_spi(1, true);
    assert_eq!(gic.iar(0), 33);
    gic.eoi(0, 33);
    assert_eq!(gic.cr(0, gicc::RPR), 0xff);
    assert_eq!(gic.irq_outputs(), 0, "still active");
    gic.set_spi(0, true);
    assert_eq!(gic.iar(0), 32, "others can come");
    gic.cw(0, gicc::DIR, 33);
    gic.eoi(0, 32);
    assert_eq!(gic.irq_outputs(), 1);
    assert_eq!(gic.iar(0), 33);
    gic.cw(0, gicc::CTLR, 1);
    gic.cw(0, gicc::DIR, 33);
    assert_eq!(gic.dr(0, gicd::ISACTIVER + 4) & 2, 2, "GICC_DIR is off");
}

#[test]
fn ends_of_no_interrupt_are_ignored() {
    let mut gic = ready(1);
    gic.eoi(0, 33);
    gic.eoi(0, SPURIOUS);
    gic.set_spi(1, true);
    assert_eq!(gic.iar(0), 33);
    gic.eoi(0, SPURIOUS);
    assert_eq!(gic.cr(0, gicc::RPR), 0xa0);
}

#[test]
fn groups_signal_and_are_acknowledged_apart() {
    let mut gic = ready(1);
    gic.dw(0, gicd::CTLR, 3);
    gic.cw(0, gicc::CTLR, 3 | gicc::CTLR_FIQ_EN);
    gic.dw(0, gicd::IGROUPR + 4, 2);
    gic.set_spi(1, true);
    assert_eq!((gic.irq_outputs(), gic.fiq_outputs()), (1, 0));
    assert_eq!(gic.iar(0), 1022);
    assert_eq!(gic.cr(0, gicc::HPPIR), 1022);
    assert_eq!(gic.cr(0, gicc::AHPPIR), 33);
    assert_eq!(gic.cr(0, gicc::AIAR), 33);
    assert_eq!(gic.cr(0, gicc::NSAPR + 8), 1 << 16);
    gic.prioritise(32, 0x10);
    gic.set_spi(0, true);
    assert_eq!((gic.irq_outputs(), gic.fiq_outputs()), (0, 1));
    assert_eq!(gic.cr(0, gicc::AIAR), 1023);
    assert_eq!(gic.iar(0), 32);
    gic.cw(0, gicc::AEOIR, 32);
    assert_eq!(gic.cr(0, gicc::RPR), 0x10, "not Group 1's to end");
    gic.eoi(0, 32);
    gic.cw(0, gicc::AEOIR, 33);
    assert_eq!(gic.cr(0, gicc::RPR), 0xff);
    gic.set_spi(0, false);
    gic.cw(0, gicc::CTLR, 3 | gicc::CTLR_ACK_CTL);
    assert_eq!(gic.iar(0), 33);
}

#[test]
fn a_new_binary_point_counts_for_what_runs() {
    let mut gic = ready(1);
    gic.prioritise(40, 0x94);
    gic.prioritise(41, 0x90);
    gic.set_spi(8, true);
    assert_eq!(gic.iar(0), 40);
    gic.set_spi(9, true);
    assert_eq!(gic.irq_outputs(), 1);
    gic.cw(0, gicc::BPR, 6); // Group priority: bit 7.
    assert_eq!(gic.irq_outputs(), 0);
    gic.cw(0, gicc::BPR, 7);
    gic.prioritise(41, 0);
    assert_eq!(gic.irq_outputs(), 0, "no preemption at all");
    gic.cw(0, gicc::BPR, 0);
    assert_eq!(gic.iar(0), 41);
}

#[test]
fn a_group_disabled_at_the_cpu_is_not_acknowledged() {
    let mut gic = ready(1);
    gic.dw(0, gicd::CTLR, 3);
    gic.dw(0, gicd::IGROUPR + 4, 2);
    gic.cw(0, gicc::CTLR, gicc::CTLR_ENABLE_GRP0 | gicc::CTLR_ACK_CTL);
    gic.set_spi(1, true);
    assert_eq!(gic.irq_outputs(), 0);
    assert_eq!(gic.iar(0), SPURIOUS);
}

#[test]
fn active_state_can_be_written() {
    let mut gic = ready(1);
    gic.set_spi(1, true);
    gic.dw(0, gicd::ISACTIVER + 4, 2);
    assert_eq!(gic.irq_outputs(), 0);
    gic.dw(0, gicd::ICACTIVER + 4, 2);
    assert_eq!(gic.irq_outputs(), 1);
}

#[test]
fn lines_survive_a_reset() {
    let mut gic = ready(1);
    gic.set_spi(1, true);
    gic.reset();
    assert_eq!(gic.irq_outputs(), 0);
    assert_eq!(gic.dr(0, gicd::ISPENDR + 4), 2);
}

proptest! {
    /// Whatever is done to it, the outputs are those of a GIC that works them out from the state
    /// afresh, and of an interrupt that is signalled, an acknowledgement finds something.
    #[test]
    fn survives_any_access_and_keeps_its_outputs_right(
        cpus in 1usize..=8,
        set_up in any::<bool>(),
        ops in prop::collection::vec(
            (0usize..9, crate::test_support::access(0x2010), 0u32..300, any::<bool>()), 0..150,
        ),
    ) {
        let mut gic = if set_up { ready(cpus) } else { Gic::new(cpus) };
        for (cpu, op, line, level) in ops {
            let offset = op.offset;
            match (op.value >> 61, op.write) {
                (0, _) => gic.set_spi(line, level),
                (1, _) => gic.set_ppi(cpu, line % 33, level),
                (2 | 3, _) => {
                    gic.iar(cpu.min(cpus - 1));
                }
                (4, true) => gic.cpu_write(cpu, offset, op.size, op.value),
                (4, false) => {
                    gic.cpu_read(cpu, offset, op.size);
                }
                (_, true) => gic.dist_write(cpu, offset, op.size, op.value),
                (_, false) => {
                    gic.dist_read(cpu, offset, op.size);
                }
            }
            let mut fresh = Gic::new(cpus);
            fresh.restore(&gic.save());
            prop_assert_eq!(fresh.save(), gic.save());
            prop_assert_eq!(fresh.irq_outputs(), gic.irq_outputs());
            prop_assert_eq!(fresh.fiq_outputs(), gic.fiq_outputs());
            prop_assert_eq!(gic.irq_outputs() & gic.fiq_outputs(), 0);
            for cpu in 0..cpus {
                let asserted = (gic.irq_outputs() | gic.fiq_outputs()) >> cpu & 1 != 0;
                prop_assert_eq!(asserted, fresh.iar(cpu) != SPURIOUS);
                fresh.restore(&gic.save());
            }
        }
    }
}
