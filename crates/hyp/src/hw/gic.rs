//! The board's GICv2: its distributor, this core's CPU interface and virtual interface.
//!
//! An interrupt is ended in two steps (GICC_CTLR.EOImode): [`end`] lets the next one come,
//! [`deactivate`] lets the same one come again; that second step is the guest's for an interrupt
//! that is linked to a list register.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use skep_board::gic::spec::{gicc, gicd};
use skep_hyp::spec::{gich, timer};

use super::cp15;

/// A frame of registers: where it is mapped, 0 before [`init`].
struct Frame(AtomicUsize);

static DISTRIBUTOR: Frame = Frame(AtomicUsize::new(0));
static INTERFACE: Frame = Frame(AtomicUsize::new(0));
static CONTROL: Frame = Frame(AtomicUsize::new(0));
static GUESTS: Frame = Frame(AtomicUsize::new(0));

/// Takes the register frames, which are mapped at these virtual addresses: GICD, GICC, GICH and GICV.
///
/// # Safety
///
/// They are there for good, as device memory, and each has all its registers.
pub unsafe fn init(distributor: usize, interface: usize, control: usize, guests: usize) {
    for (frame, address) in [
        (&DISTRIBUTOR, distributor),
        (&INTERFACE, interface),
        (&CONTROL, control),
        (&GUESTS, guests),
    ] {
        frame.0.store(address, Ordering::Relaxed);
    }
    d_write(gicd::CTLR, 1);
}

impl Frame {
    #[inline(always)]
    fn register<T>(&self, offset: usize) -> Option<*mut T> {
        let base = self.0.load(Ordering::Relaxed);
        (base != 0).then(|| ptr::with_exposed_provenance_mut(base + offset))
    }

    #[inline(always)]
    fn read(&self, offset: usize) -> u32 {
        // SAFETY: offsets are those of registers, and `init` promised that those are there.
        self.register(offset)
            .map_or(0, |register| unsafe { ptr::read_volatile(register) })
    }

    #[inline(always)]
    fn write<T>(&self, offset: usize, value: T) {
        if let Some(register) = self.register(offset) {
            // SAFETY: as in `read`; registers that are written as bytes take bytes (IHI 0048B.b 4.1.4).
            unsafe { ptr::write_volatile(register, value) }
        }
    }
}

fn d_read(offset: u32) -> u32 {
    DISTRIBUTOR.read(offset as usize)
}

fn d_write(offset: u32, value: u32) {
    DISTRIBUTOR.write(offset as usize, value);
}

fn d_write_byte(offset: u32, value: u8) {
    DISTRIBUTOR.write(offset as usize, value);
}

fn c_read(offset: u32) -> u32 {
    INTERFACE.read(offset as usize)
}

fn c_write(offset: u32, value: u32) {
    INTERFACE.write(offset as usize, value);
}

/// Reads a register of GICH.
pub fn h_read(offset: usize) -> u32 {
    CONTROL.read(offset)
}

/// Writes a register of GICH.
pub fn h_write(offset: usize, value: u32) {
    CONTROL.write(offset, value);
}

/// [`is_forgetful`], once it has been tried.
static FORGETFUL: AtomicBool = AtomicBool::new(false);

/// Whether an interrupt that is pending again when a guest ends it, through the list register that it
/// is linked to, may not be signalled before the distributor's next event. By the architecture it is
/// (IHI 0048B.b 3.2.4, 5.3.8); QEMU's model of the GIC (seen in 7.2) deactivates it and does not look
/// whether it is pending.
pub fn is_forgetful() -> bool {
    FORGETFUL.load(Ordering::Relaxed)
}

/// Tries [`is_forgetful`] on this core, as guest and hypervisor in one, with the hypervisor's timer,
/// whose interrupt this is: it is taken while its line stays high, linked to a list register, and
/// ended there. Interrupts are masked, no other is enabled yet, and no guest has run.
pub fn try_end_by_guest(intid: u32) {
    /// GICH_VMCR: all priorities pass, and Group 0 is on (5.3.3).
    const OPEN: u32 = 0x1f << 27 | 1;
    /// Looks at the interface, until a pending interrupt must have got there.
    const LOOKS: u32 = 1000;
    let comes = || (0..LOOKS).any(|_| c_read(gicc::HPPIR) & 0x3ff == intid);
    enable(intid, 0);
    cp15::cnthp_cval::write(0);
    cp15::cnthp_ctl::write(timer::ENABLE);
    cp15::isb();
    if comes()
        && let Some(acknowledged) = acknowledge()
    {
        end(acknowledged);
        h_write(gich::VMCR, OPEN);
        set_lr(
            0,
            gich::LR_HW | gich::LR_PENDING | intid << gich::LR_PHYSICAL_SHIFT | intid,
        );
        h_write(gich::HCR, gich::HCR_EN);
        let taken = GUESTS.read(gicc::IAR as usize);
        GUESTS.write(gicc::EOIR as usize, taken);
        FORGETFUL.store(!comes(), Ordering::Relaxed);
        h_write(gich::HCR, 0);
        h_write(gich::VMCR, 0);
        set_lr(0, 0);
    }
    cp15::cnthp_ctl::write(0);
    cp15::isb();
    clear_active(intid);
}

/// The priority of all interrupts of the hypervisor but those that are urgent.
const PRIORITY: u32 = 0xa0;
/// The priority of interrupts that come through [`only_urgent`] as well.
const URGENT: u8 = 0x40;
/// GICC_PMR: all priorities come.
const ALL: u32 = 0xf8;
/// GICC_PMR: [`URGENT`] comes, [`PRIORITY`] doesn't.
const ONLY_URGENT: u32 = 0x80;

/// Turns this core's interface on, and returns its number as a bit of a target mask.
pub fn init_core() -> u8 {
    for n in 0..8 {
        d_write(gicd::IPRIORITYR + 4 * n, PRIORITY * 0x0101_0101);
    }
    c_write(gicc::PMR, ALL);
    c_write(gicc::CTLR, gicc::CTLR_ENABLE_GRP0 | gicc::CTLR_EOI_MODE);
    target()
}

/// This core's interface, as a bit of a target mask.
fn target() -> u8 {
    // Private interrupts have this core as their only target.
    d_read(gicd::ITARGETSR) as u8
}

/// Lets an interrupt come; an SPI to the cores of a target mask.
pub fn enable(id: u32, targets: u8) {
    if id >= 32 {
        // Bytes: other cores may change their neighbours.
        d_write_byte(gicd::IPRIORITYR + id, PRIORITY as u8);
        d_write_byte(gicd::ITARGETSR + id, targets);
    }
    d_write(gicd::ISENABLER + id / 32 * 4, 1 << (id % 32));
}

/// Lets an SPI come to this core, as an urgent one.
pub fn enable_here(id: u32) {
    enable(id, target());
    make_urgent(id);
}

/// Lets an interrupt, which is enabled, come through [`only_urgent`] as well.
pub fn make_urgent(id: u32) {
    d_write_byte(gicd::IPRIORITYR + id, URGENT);
}

/// Lets no interrupts come to this core, or wake it, but urgent ones, while this is on.
pub fn only_urgent(on: bool) {
    c_write(gicc::PMR, if on { ONLY_URGENT } else { ALL });
}

/// Lets an SPI come no more, and forgets an edge that has come.
pub fn disable(id: u32) {
    let (register, bit) = (id / 32 * 4, 1 << (id % 32));
    d_write(gicd::ICENABLER + register, bit);
    d_write(gicd::ICPENDR + register, bit);
}

/// Sends a software-generated interrupt to the cores of a target mask.
pub fn send(id: u32, targets: u8) {
    // What was written before is seen by whoever takes the interrupt.
    cp15::dsb();
    d_write(gicd::SGIR, u32::from(targets) << 16 | id);
}

/// Sends a software-generated interrupt to all cores but this one.
pub fn send_to_others(id: u32) {
    cp15::dsb();
    d_write(gicd::SGIR, 1 << 24 | id);
}

/// Takes the pending interrupt: the value for [`end`] and [`deactivate`], with the ID in the low ten
/// bits.
#[inline(always)]
pub fn acknowledge() -> Option<u32> {
    let value = c_read(gicc::IAR);
    (value & 0x3ff < 1020).then_some(value)
}

/// Drops the priority of an interrupt: others may come.
pub fn end(acknowledged: u32) {
    c_write(gicc::EOIR, acknowledged);
}

/// Ends an interrupt's activity: it may come again.
pub fn deactivate(acknowledged: u32) {
    c_write(gicc::DIR, acknowledged);
}

/// Ends the activity of an interrupt, if it is private of this core's, whoever was to end it.
pub fn clear_active(id: u32) {
    d_write(gicd::ICACTIVER + id / 32 * 4, 1 << (id % 32));
}

/// Makes an SPI, which is not enabled, come by edges or by the level of its line. Only one core does
/// this at a time.
pub fn configure(id: u32, edge: bool) {
    let (register, bit) = (gicd::ICFGR + id / 16 * 4, 2 << (id % 16 * 2));
    let others = d_read(register) & !bit;
    d_write(register, others | if edge { bit } else { 0 });
}

/// Whether a private interrupt of this core is active: taken, and not ended.
pub fn is_active(id: u32) -> bool {
    d_read(gicd::ISACTIVER) & 1 << (id % 32) != 0
}

/// Makes a private interrupt of this core active: it does not come until it is ended.
pub fn set_active(id: u32) {
    d_write(gicd::ISACTIVER, 1 << (id % 32));
}

/// How many list registers there are.
pub fn list_registers() -> usize {
    (h_read(gich::VTR) & 0x3f) as usize + 1
}

/// Reads a list register.
pub fn lr(n: usize) -> u32 {
    h_read(gich::LR + 4 * n)
}

/// Writes a list register.
pub fn set_lr(n: usize, value: u32) {
    h_write(gich::LR + 4 * n, value);
}

/// The list registers that hold nothing, or an interrupt that the guest has ended: a bit each.
pub fn empty_lrs() -> u64 {
    let low = h_read(gich::ELRSR0) | h_read(gich::EISR0);
    let high = if list_registers() > 32 {
        h_read(gich::ELRSR1) | h_read(gich::EISR1)
    } else {
        0
    };
    u64::from(high) << 32 | u64::from(low)
}
