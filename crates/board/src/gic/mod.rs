//! Generic Interrupt Controller version 2 without Security Extensions: distributor and up to eight
//! CPU interfaces.
//!
//! Section numbers are those of the *ARM Generic Interrupt Controller Architecture Specification*,
//! version 2 (ARM IHI 0048B).

pub mod spec;

use crate::map::{MAX_CPUS, SPIS};
use spec::{cpu, dist};

/// Interrupt IDs: 16 SGIs, 16 PPIs, and the SPIs.
const INTIDS: usize = 32 + SPIS as usize;
const WORDS: usize = INTIDS / 32;
/// What IAR reads when nothing is pending (3.2.3).
const SPURIOUS: u32 = 1023;
/// The priority of an idle CPU.
const IDLE: u8 = 0xff;
/// Implementer: Arm (4.3.6, as QEMU reads).
const DIST_IIDR: u64 = 0;
/// GICv2, implementer Arm (4.4.14).
const CPU_IIDR: u64 = 0x0202_043b;
/// PIDR4 to PIDR7, PIDR0 to PIDR3, CIDR0 to CIDR3.
const IDENTIFICATION: [u8; 12] = [0x44, 0, 0, 0, 0x92, 0xb4, 0x2b, 0, 0x0d, 0xf0, 0x05, 0xb1];

/// EOImodeNS: EOIR drops the priority only, DIR deactivates (4.4.1).
const EOI_MODE: u32 = 1 << 9;

/// A bit for each interrupt that one CPU sees: its own SGIs and PPIs, and the SPIs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Shared {
    enabled: [u32; WORDS],
    /// Made pending by an edge or by software.
    latched: [u32; WORDS],
    /// The input line is asserted.
    line: [u32; WORDS],
    active: [u32; WORDS],
    /// Edge-triggered; else level-sensitive.
    edge: [u32; WORDS],
}

/// A CPU's interface and its banked distributor registers.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Interface {
    ctlr: u32,
    pmr: u8,
    bpr: u8,
    abpr: u8,
    /// A bit for each preemption level (bits 7:1 of a group priority) with an active interrupt.
    active_levels: u128,
    enabled: u32,
    latched: u32,
    line: u32,
    active: u32,
    /// Configuration of PPIs: edge-triggered. SGIs always are.
    edge: u32,
    priority: [u8; 32],
    /// For each SGI, the CPUs that sent it.
    sgi_sources: [u8; 16],
}

impl Interface {
    fn new() -> Self {
        Interface {
            ctlr: 0,
            pmr: 0,
            bpr: 0,
            abpr: 1,
            active_levels: 0,
            enabled: 0xffff,
            latched: 0,
            line: 0,
            active: 0,
            edge: 0xffff,
            priority: [0; 32],
            sgi_sources: [0; 16],
        }
    }

    fn pending(&self) -> u32 {
        self.latched | self.line & !self.edge
    }

    /// The bits of a priority that decide about preemption (3.3.3).
    fn group(&self, priority: u8) -> u8 {
        priority & ((0xffu16 << (self.bpr + 1)) as u8)
    }

    fn running(&self) -> u8 {
        match self.active_levels.trailing_zeros() {
            128 => IDLE,
            level => (level << 1) as u8,
        }
    }
}

/// The interrupt controller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gic {
    cpus: usize,
    enabled: bool,
    /// Only the words of SPIs are used.
    spi: Shared,
    spi_priority: [u8; SPIS as usize],
    spi_targets: [u8; SPIS as usize],
    interfaces: [Interface; MAX_CPUS],
    /// IRQ outputs, a bit a CPU.
    outputs: u8,
}

impl Gic {
    /// A controller for `cpus` CPUs, 1 to 8.
    pub fn new(cpus: usize) -> Self {
        Gic {
            cpus: cpus.clamp(1, MAX_CPUS),
            enabled: false,
            spi: Shared::default(),
            spi_priority: [0; SPIS as usize],
            spi_targets: [0; SPIS as usize],
            interfaces: core::array::from_fn(|_| Interface::new()),
            outputs: 0,
        }
    }

    /// Back to the state after power-on. Input lines keep their levels: devices drive them.
    pub fn reset(&mut self) {
        let lines = self.spi.line;
        let ppis = self.interfaces.each_ref().map(|interface| interface.line);
        *self = Gic::new(self.cpus);
        self.spi.line = lines;
        for (interface, line) in self.interfaces.iter_mut().zip(ppis) {
            interface.line = line;
        }
    }

    /// Drives the line of SPI `n` (interrupt ID 32 + n).
    pub fn set_spi(&mut self, n: u32, level: bool) {
        let intid = n as usize + 32;
        let Some(line) = self.spi.line.get_mut(intid / 32) else {
            return;
        };
        let bit = 1 << (intid % 32);
        if level && *line & bit == 0 && self.spi.edge[intid / 32] & bit != 0 {
            self.spi.latched[intid / 32] |= bit;
        }
        *line = if level { *line | bit } else { *line & !bit };
        self.update();
    }

    /// Drives the line of a CPU's private peripheral interrupt (interrupt ID 16 to 31).
    pub fn set_ppi(&mut self, cpu: usize, intid: u32, level: bool) {
        let Some(interface) = self.interfaces.get_mut(cpu) else {
            return;
        };
        if !(16..32).contains(&intid) {
            return;
        }
        let bit = 1 << intid;
        if level && interface.line & bit == 0 {
            interface.latched |= bit & interface.edge;
        }
        interface.line = if level {
            interface.line | bit
        } else {
            interface.line & !bit
        };
        self.update_cpu(cpu);
    }

    /// The CPUs whose IRQ input is asserted, a bit for each.
    pub fn irq_outputs(&self) -> u8 {
        self.outputs
    }

    fn update(&mut self) {
        for cpu in 0..self.cpus {
            self.update_cpu(cpu);
        }
    }

    fn update_cpu(&mut self, cpu: usize) {
        let Some(interface) = self.interfaces.get(cpu) else {
            return;
        };
        let on = self.enabled && interface.ctlr & 1 != 0 && self.signalled(cpu).is_some();
        self.outputs = self.outputs & !(1 << cpu) | u8::from(on) << cpu;
    }

    /// The pending interrupt of the highest priority for a CPU, and its priority.
    fn best(&self, cpu: usize) -> Option<(usize, u8)> {
        let interface = self.interfaces.get(cpu)?;
        let mut best: Option<(usize, u8)> = None;
        let mut consider = |intid: usize, priority: u8| {
            if best.is_none_or(|(_, least)| priority < least) {
                best = Some((intid, priority));
            }
        };
        for bit in Bits(interface.pending() & interface.enabled & !interface.active) {
            consider(bit, interface.priority[bit]);
        }
        let spi = &self.spi;
        for word in 1..WORDS {
            let pending = spi.latched[word] | spi.line[word] & !spi.edge[word];
            for bit in Bits(pending & spi.enabled[word] & !spi.active[word]) {
                let n = 32 * word + bit - 32;
                if self.targets(n) >> cpu & 1 != 0 {
                    consider(n + 32, self.spi_priority[n]);
                }
            }
        }
        best
    }

    /// The interrupt that is signalled to a CPU: the best pending one, if it is above the mask and
    /// preempts what is active (3.3).
    fn signalled(&self, cpu: usize) -> Option<(usize, u8)> {
        let interface = self.interfaces.get(cpu)?;
        self.best(cpu).filter(|(_, priority)| {
            *priority < interface.pmr && interface.group(*priority) < interface.running()
        })
    }

    /// Target CPUs of an SPI. With one CPU there is nothing to choose.
    fn targets(&self, n: usize) -> u8 {
        if self.cpus == 1 {
            1
        } else {
            self.spi_targets.get(n).copied().unwrap_or(0)
        }
    }

    /// Reads a distributor register, as CPU `cpu`.
    pub fn dist_read(&mut self, cpu: usize, offset: u64, size: u8) -> u64 {
        let size = u64::from(size.min(4));
        (0..size).fold(0, |value, i| {
            value | self.dist_read8(cpu, offset + i) << (8 * i)
        })
    }

    fn dist_read8(&self, cpu: usize, offset: u64) -> u64 {
        let Some(interface) = self.interfaces.get(cpu) else {
            return 0;
        };
        let byte_of = |word: u32| u64::from(word >> (8 * (offset & 3)) & 0xff);
        let bits = |base: u64, banked: u32, shared: &[u32; WORDS]| {
            let word = ((offset - base) / 4) as usize;
            byte_of(if word == 0 {
                banked
            } else {
                shared.get(word).copied().unwrap_or(0)
            })
        };
        let spi = &self.spi;
        match offset {
            0..0x004 => byte_of(u32::from(self.enabled)),
            dist::TYPER..0x008 => byte_of((WORDS as u32 - 1) | (self.cpus as u32 - 1) << 5),
            dist::IIDR..0x00c => byte_of(DIST_IIDR as u32),
            dist::ISENABLER..0x180 => bits(dist::ISENABLER, interface.enabled, &spi.enabled),
            dist::ICENABLER..0x200 => bits(dist::ICENABLER, interface.enabled, &spi.enabled),
            dist::ISPENDR..0x300 => {
                let base = offset & !0x7f;
                let pending = core::array::from_fn(|word| {
                    spi.latched[word] | spi.line[word] & !spi.edge[word]
                });
                bits(base, interface.pending(), &pending)
            }
            dist::ISACTIVER..0x400 => bits(offset & !0x7f, interface.active, &spi.active),
            dist::IPRIORITYR..0x800 => {
                let intid = (offset - dist::IPRIORITYR) as usize;
                u64::from(match intid {
                    0..32 => interface.priority[intid],
                    _ => self.spi_priority.get(intid - 32).copied().unwrap_or(0),
                })
            }
            dist::ITARGETSR..0xc00 => {
                let intid = (offset - dist::ITARGETSR) as usize;
                u64::from(match intid {
                    _ if self.cpus == 1 => 0,
                    0..32 => 1 << cpu,
                    _ => self.spi_targets.get(intid - 32).copied().unwrap_or(0),
                })
            }
            dist::ICFGR..0xd00 => {
                // Four interrupts a byte; bit 1 of each pair is the configuration.
                let first = (offset - dist::ICFGR) as usize * 4;
                (0..4).fold(0, |value, i| {
                    let intid = first + i;
                    let edge = match intid {
                        0..32 => interface.edge >> intid & 1,
                        _ => spi
                            .edge
                            .get(intid / 32)
                            .map_or(0, |word| word >> (intid % 32) & 1),
                    };
                    value | u64::from(edge) << (2 * i + 1)
                })
            }
            dist::CPENDSGIR..0xf30 => u64::from(interface.sgi_sources[(offset & 15) as usize]),
            dist::PIDR4..0x1000 if offset & 3 == 0 => {
                u64::from(IDENTIFICATION[((offset - dist::PIDR4) / 4) as usize])
            }
            _ => 0,
        }
    }

    /// Writes a distributor register, as CPU `cpu`.
    pub fn dist_write(&mut self, cpu: usize, offset: u64, size: u8, value: u64) {
        if cpu >= self.cpus {
            return;
        }
        if offset == dist::SGIR {
            self.send_sgi(cpu, value as u32);
        } else {
            for i in 0..u64::from(size.min(4)) {
                self.dist_write8(cpu, offset + i, (value >> (8 * i)) as u8);
            }
        }
        self.update();
    }

    fn dist_write8(&mut self, cpu: usize, offset: u64, value: u8) {
        let Some(interface) = self.interfaces.get_mut(cpu) else {
            return;
        };
        // One bit an interrupt, as a word of the register's bank.
        let word = (offset & 0x7f) as usize / 4;
        let mask = u32::from(value) << (8 * (offset & 3));
        let spi = &mut self.spi;
        let intid = |base: u64| (offset - base) as usize;
        match offset {
            0 => self.enabled = value & 1 != 0,
            dist::ISENABLER..0x200 => {
                let set = offset < dist::ICENABLER;
                let target = if word == 0 {
                    Some(&mut interface.enabled)
                } else {
                    spi.enabled.get_mut(word)
                };
                if let Some(target) = target {
                    // SGIs are always enabled.
                    let keep = if word == 0 { 0xffff } else { 0 };
                    *target = if set {
                        *target | mask
                    } else {
                        *target & !(mask & !keep)
                    };
                }
            }
            dist::ISPENDR..0x300 => {
                let set = offset < dist::ICPENDR;
                // SGIs have registers of their own.
                let (target, mask) = if word == 0 {
                    (Some(&mut interface.latched), mask & !0xffff)
                } else {
                    (spi.latched.get_mut(word), mask)
                };
                if let Some(target) = target {
                    *target = if set { *target | mask } else { *target & !mask };
                }
            }
            dist::ISACTIVER..0x400 => {
                let set = offset < dist::ICACTIVER;
                let target = if word == 0 {
                    Some(&mut interface.active)
                } else {
                    spi.active.get_mut(word)
                };
                if let Some(target) = target {
                    *target = if set { *target | mask } else { *target & !mask };
                }
            }
            dist::IPRIORITYR..0x800 => match intid(dist::IPRIORITYR) {
                n @ 0..32 => interface.priority[n] = value,
                n => {
                    if let Some(priority) = self.spi_priority.get_mut(n - 32) {
                        *priority = value;
                    }
                }
            },
            0x820..0xc00 => {
                let existing = ((1u16 << self.cpus) - 1) as u8;
                if let Some(targets) = self.spi_targets.get_mut(intid(0x820)) {
                    *targets = value & existing;
                }
            }
            dist::ICFGR..0xd00 => {
                for i in 0..4 {
                    let n = intid(dist::ICFGR) * 4 + i;
                    let bit = 1u32 << (n % 32);
                    let target = match n {
                        0..16 => None,
                        16..32 => Some(&mut interface.edge),
                        _ => spi.edge.get_mut(n / 32),
                    };
                    if let Some(target) = target {
                        let edge = value >> (2 * i + 1) & 1 != 0;
                        *target = if edge { *target | bit } else { *target & !bit };
                    }
                }
            }
            dist::CPENDSGIR..0xf30 => {
                let sgi = (offset & 15) as usize;
                let sources = &mut interface.sgi_sources[sgi];
                *sources = if offset < dist::SPENDSGIR {
                    *sources & !value
                } else {
                    *sources | value
                };
                let pending = *sources != 0;
                interface.latched = interface.latched & !(1 << sgi) | u32::from(pending) << sgi;
            }
            _ => {}
        }
    }

    /// SGIR (4.3.15).
    fn send_sgi(&mut self, from: usize, value: u32) {
        let existing = (1u32 << self.cpus) - 1;
        let targets = match value >> 24 & 3 {
            0 => value >> 16 & 0xff,
            1 => !(1 << from),
            2 => 1 << from,
            _ => 0,
        } & existing;
        let sgi = (value & 15) as usize;
        for cpu in Bits(targets) {
            if let Some(interface) = self.interfaces.get_mut(cpu) {
                interface.sgi_sources[sgi] |= 1 << from;
                interface.latched |= 1 << sgi;
            }
        }
    }

    /// Reads a CPU interface register. IAR acknowledges.
    pub fn cpu_read(&mut self, cpu: usize, offset: u64, size: u8) -> u64 {
        // Registers are words; a part of one reads as that part.
        let shift = 8 * (offset & 3);
        let mask = u64::MAX >> (64 - 8 * u64::from(size.min(4)));
        (u64::from(self.cpu_read32(cpu, offset & !3)) >> shift) & mask
    }

    fn cpu_read32(&mut self, cpu: usize, offset: u64) -> u32 {
        let Some(interface) = self.interfaces.get(cpu) else {
            return 0;
        };
        match offset {
            cpu::CTLR => interface.ctlr,
            cpu::PMR => u32::from(interface.pmr),
            cpu::BPR => u32::from(interface.bpr),
            cpu::ABPR => u32::from(interface.abpr),
            cpu::IAR | cpu::AIAR => self.acknowledge(cpu),
            cpu::RPR => u32::from(interface.running()),
            cpu::HPPIR | cpu::AHPPIR => match self.best(cpu) {
                Some((intid, _)) => self.with_source(cpu, intid),
                None => SPURIOUS,
            },
            cpu::APR..0xe0 => (interface.active_levels >> (8 * (offset - cpu::APR))) as u32,
            cpu::IIDR => CPU_IIDR as u32,
            _ => 0,
        }
    }

    /// An interrupt ID with, for an SGI, the lowest-numbered CPU that sent it in bits 12:10.
    fn with_source(&self, cpu: usize, intid: usize) -> u32 {
        let sources = self
            .interfaces
            .get(cpu)
            .and_then(|interface| interface.sgi_sources.get(intid))
            .copied()
            .unwrap_or(0);
        let source = if sources == 0 {
            0
        } else {
            sources.trailing_zeros()
        };
        intid as u32 | source << 10
    }

    fn acknowledge(&mut self, cpu: usize) -> u32 {
        let enabled = self.enabled && self.interfaces.get(cpu).is_some_and(|i| i.ctlr & 1 != 0);
        let Some((intid, priority)) = self.signalled(cpu).filter(|_| enabled) else {
            return SPURIOUS;
        };
        let result = self.with_source(cpu, intid);
        let Some(interface) = self.interfaces.get_mut(cpu) else {
            return SPURIOUS;
        };
        interface.active_levels |= 1 << (interface.group(priority) >> 1);
        let bit = 1u32 << (intid % 32);
        if intid < 32 {
            interface.active |= bit;
            interface.latched &= !bit;
            if let Some(sources) = interface.sgi_sources.get_mut(intid) {
                *sources &= sources.wrapping_sub(1);
                if *sources != 0 {
                    interface.latched |= bit;
                }
            }
            self.update_cpu(cpu);
        } else {
            self.spi.active[intid / 32] |= bit;
            self.spi.latched[intid / 32] &= !bit;
            self.update();
        }
        result
    }

    /// Writes a CPU interface register.
    pub fn cpu_write(&mut self, cpu: usize, offset: u64, _size: u8, value: u64) {
        let Some(interface) = self.interfaces.get_mut(cpu).filter(|_| cpu < self.cpus) else {
            return;
        };
        let value = value as u32;
        match offset {
            cpu::CTLR => interface.ctlr = value & (1 | EOI_MODE),
            cpu::PMR => interface.pmr = value as u8,
            cpu::BPR => interface.bpr = (value & 7) as u8,
            cpu::ABPR => interface.abpr = (value & 7).max(1) as u8,
            cpu::EOIR | cpu::AEOIR => {
                let intid = value & 0x3ff;
                if intid as usize >= INTIDS {
                    return;
                }
                // The highest active priority is dropped.
                interface.active_levels &= interface.active_levels.wrapping_sub(1);
                if interface.ctlr & EOI_MODE == 0 {
                    self.deactivate(cpu, intid as usize);
                }
            }
            cpu::DIR if interface.ctlr & EOI_MODE != 0 => {
                self.deactivate(cpu, (value & 0x3ff) as usize);
            }
            cpu::APR..0xe0 => {
                let shift = 8 * (offset & !3) - 8 * cpu::APR;
                interface.active_levels &= !(0xffff_ffff << shift);
                interface.active_levels |= u128::from(value) << shift;
            }
            _ => return,
        }
        self.update();
    }

    fn deactivate(&mut self, cpu: usize, intid: usize) {
        let bit = 1u32 << (intid % 32);
        if intid < 32 {
            if let Some(interface) = self.interfaces.get_mut(cpu) {
                interface.active &= !bit;
            }
        } else if let Some(active) = self.spi.active.get_mut(intid / 32) {
            *active &= !bit;
        }
    }
}

/// The positions of the ones of a word.
struct Bits(u32);

impl Iterator for Bits {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let bit = self
            .0
            .checked_ilog2()
            .map(|_| self.0.trailing_zeros() as usize)?;
        self.0 &= self.0 - 1;
        Some(bit)
    }
}
