//! The distributor's registers.

use super::spec::*;
use super::state::SPI_WORDS;
use super::{Gic, PrivateState, SpiState};

/// The registers that have one bit for each interrupt.
#[derive(Clone, Copy)]
enum Bits {
    Group,
    Enabled,
    Pending,
    Active,
}

impl Gic {
    /// `cpu` reads the distributor. Offsets are from its base; bytes, halfwords and words can be
    /// read everywhere. What does not exist reads as 0.
    pub fn dist_read(&self, cpu: usize, offset: u64, size: u8) -> u64 {
        let Some((register, shift, mask)) = lanes(offset, size).filter(|_| cpu < self.cpu_count)
        else {
            return 0;
        };
        u64::from((self.dist_read_word(cpu, register) & mask) >> shift)
    }

    /// `cpu` writes the distributor. Byte writes work where the architecture wants them
    /// (GICD_IPRIORITYRn, GICD_ITARGETSRn, GICD_CPENDSGIRn, GICD_SPENDSGIRn) and elsewhere too:
    /// they change only what the byte holds. GICD_SGIR takes whole words only.
    pub fn dist_write(&mut self, cpu: usize, offset: u64, size: u8, value: u64) {
        if let Some((register, shift, mask)) = lanes(offset, size)
            && cpu < self.cpu_count
        {
            self.dist_write_word(cpu, register, ((value as u32) << shift) & mask, mask);
        }
    }

    fn dist_read_word(&self, cpu: usize, register: u32) -> u32 {
        let word = |base: u32| (register - base) as usize / 4;
        match register {
            gicd::CTLR => self.state.ctlr,
            gicd::TYPER => (self.cpu_count as u32 - 1) << 5 | (INTIDS / 32 - 1),
            gicd::IIDR => gicd::IIDR_VALUE,
            gicd::IGROUPR..gicd::ISENABLER => self.bits(cpu, word(gicd::IGROUPR), Bits::Group),
            gicd::ISENABLER..gicd::ISPENDR => {
                self.bits(cpu, word(gicd::ISENABLER) % 32, Bits::Enabled)
            }
            gicd::ISPENDR..gicd::ISACTIVER => {
                self.bits(cpu, word(gicd::ISPENDR) % 32, Bits::Pending)
            }
            gicd::ISACTIVER..gicd::IPRIORITYR => {
                self.bits(cpu, word(gicd::ISACTIVER) % 32, Bits::Active)
            }
            gicd::IPRIORITYR..gicd::ITARGETSR => {
                let first = register - gicd::IPRIORITYR;
                self.bytes(first, |id| self.priority(cpu, id))
            }
            gicd::ITARGETSR..gicd::ICFGR => {
                let first = register - gicd::ITARGETSR;
                self.bytes(first, |id| self.target(cpu, id))
            }
            gicd::ICFGR..=gicd::ICFGR_END => self.config(cpu, register),
            gicd::CPENDSGIR..gicd::SPENDSGIR | gicd::SPENDSGIR..0xf30 => {
                let first = register % 16;
                let sources = &self.state.cpus[cpu].private.sgi_sources;
                self.bytes(first, |id| sources.get(id as usize).copied().unwrap_or(0))
            }
            gicd::ID..0x1000 => gicd::ID_VALUES
                .get(word(gicd::ID))
                .map_or(0, |&id| u32::from(id)),
            _ => 0,
        }
    }

    /// Writes the bits in `mask` of a register.
    fn dist_write_word(&mut self, cpu: usize, register: u32, value: u32, mask: u32) {
        let word = |base: u32| (register - base) as usize / 4 % 32;
        match register {
            gicd::CTLR => {
                self.state.ctlr = (self.state.ctlr & !mask | value) & gicd::CTLR_MASK;
                self.update(u8::MAX);
            }
            gicd::IGROUPR..gicd::ISENABLER => {
                let index = word(gicd::IGROUPR);
                self.change_bits(cpu, index, Bits::Group, value, mask & !value);
            }
            gicd::ISENABLER..gicd::ICENABLER => {
                self.change_bits(cpu, word(gicd::ISENABLER), Bits::Enabled, value, 0);
            }
            gicd::ICENABLER..gicd::ISPENDR => {
                self.change_bits(cpu, word(gicd::ICENABLER), Bits::Enabled, 0, value);
            }
            gicd::ISPENDR..gicd::ICPENDR => {
                self.change_bits(cpu, word(gicd::ISPENDR), Bits::Pending, value, 0);
            }
            gicd::ICPENDR..gicd::ISACTIVER => {
                self.change_bits(cpu, word(gicd::ICPENDR), Bits::Pending, 0, value);
            }
            gicd::ISACTIVER..gicd::ICACTIVER => {
                self.change_bits(cpu, word(gicd::ISACTIVER), Bits::Active, value, 0);
            }
            gicd::ICACTIVER..gicd::IPRIORITYR => {
                self.change_bits(cpu, word(gicd::ICACTIVER), Bits::Active, 0, value);
            }
            gicd::IPRIORITYR..gicd::ITARGETSR => {
                let first = register - gicd::IPRIORITYR;
                for (id, priority) in written_bytes(first, value, mask) {
                    self.set_priority(cpu, id, priority);
                }
                self.update(u8::MAX);
            }
            gicd::ITARGETSR..gicd::ICFGR => {
                let first = register - gicd::ITARGETSR;
                for (id, targets) in written_bytes(first, value, mask) {
                    self.set_target(id, targets);
                }
                self.update(u8::MAX);
            }
            gicd::ICFGR..=gicd::ICFGR_END => {
                self.set_config(cpu, register, value, mask);
                self.update(u8::MAX);
            }
            gicd::SGIR if mask == u32::MAX => self.generate_sgi(cpu, value),
            gicd::CPENDSGIR..0xf30 => {
                let set = register >= gicd::SPENDSGIR;
                let all = self.all_cpus();
                for (sgi, sources) in written_bytes(register % 16, value, mask) {
                    let held = &mut self.state.cpus[cpu].private.sgi_sources;
                    if let Some(held) = held.get_mut(sgi as usize) {
                        if set {
                            *held |= sources & all;
                        } else {
                            *held &= !sources;
                        }
                    }
                }
                self.update(1 << cpu);
            }
            _ => {}
        }
    }

    /// Word `index` of a register with a bit an interrupt.
    fn bits(&self, cpu: usize, index: usize, which: Bits) -> u32 {
        let private = &self.state.cpus[cpu].private;
        let spis = &self.state.spis;
        match (index.checked_sub(1), which) {
            (None, Bits::Group) => private.group,
            (None, Bits::Enabled) => private.enabled,
            (None, Bits::Pending) => private.pending(),
            (None, Bits::Active) => private.active,
            (Some(word), _) if word >= SPI_WORDS => 0,
            (Some(word), Bits::Group) => spis.group[word],
            (Some(word), Bits::Enabled) => spis.enabled[word],
            (Some(word), Bits::Pending) => spis.pending(word),
            (Some(word), Bits::Active) => spis.active[word],
        }
    }

    fn change_bits(&mut self, cpu: usize, index: usize, which: Bits, set: u32, clear: u32) {
        let private = &mut self.state.cpus[cpu].private;
        let spis = &mut self.state.spis;
        let (bits, fixed, affected) = match (index.checked_sub(1), which) {
            (None, Bits::Group) => (&mut private.group, 0, 1 << cpu),
            // SGIs are always enabled, and made pending by GICD_SGIR and GICD_SPENDSGIRn only.
            (None, Bits::Enabled) => (&mut private.enabled, 0xffff, 1 << cpu),
            (None, Bits::Pending) => (&mut private.latched, 0xffff, 1 << cpu),
            (None, Bits::Active) => (&mut private.active, 0, 1 << cpu),
            (Some(word), _) if word >= SPI_WORDS => return,
            (Some(word), Bits::Group) => (&mut spis.group[word], 0, u8::MAX),
            (Some(word), Bits::Enabled) => (&mut spis.enabled[word], 0, u8::MAX),
            (Some(word), Bits::Pending) => (&mut spis.latched[word], 0, u8::MAX),
            (Some(word), Bits::Active) => (&mut spis.active[word], 0, u8::MAX),
        };
        *bits = (*bits | (set & !fixed)) & !(clear & !fixed);
        self.update(affected);
    }

    /// A register made of four interrupts' bytes.
    fn bytes(&self, first: u32, byte: impl Fn(u32) -> u8) -> u32 {
        u32::from_le_bytes(core::array::from_fn(|i| byte(first + i as u32)))
    }

    pub(super) fn priority(&self, cpu: usize, id: u32) -> u8 {
        let bank: &[u8] = if id < INTERNAL {
            &self.state.cpus[cpu].private.priority
        } else {
            &self.state.spis.priority
        };
        bank.get(bank_index(id)).copied().unwrap_or(0)
    }

    fn set_priority(&mut self, cpu: usize, id: u32, priority: u8) {
        let bank: &mut [u8] = if id < INTERNAL {
            &mut self.state.cpus[cpu].private.priority
        } else {
            &mut self.state.spis.priority
        };
        if let Some(held) = bank.get_mut(bank_index(id)) {
            *held = priority;
        }
    }

    /// GICD_ITARGETSRn: with one CPU reads as zero; for SGIs and PPIs, the CPU that asks.
    fn target(&self, cpu: usize, id: u32) -> u8 {
        if self.cpu_count == 1 || id >= INTIDS {
            0
        } else if id < INTERNAL {
            1 << cpu
        } else {
            self.state.spis.targets[bank_index(id)]
        }
    }

    fn set_target(&mut self, id: u32, targets: u8) {
        if self.cpu_count > 1 && (INTERNAL..INTIDS).contains(&id) {
            self.state.spis.targets[bank_index(id)] = targets & self.all_cpus();
            self.retarget(id - INTERNAL);
        }
    }

    /// GICD_ICFGRn has sixteen interrupts a word: half a word of the bitmap `edge`.
    fn config(&self, cpu: usize, register: u32) -> u32 {
        let (index, upper) = config_index(register);
        let edge = match index.checked_sub(1) {
            None => self.state.cpus[cpu].private.edge,
            Some(word) => self.state.spis.edge.get(word).copied().unwrap_or(0),
        };
        let half = if upper { edge >> 16 } else { edge & 0xffff };
        (0..16).fold(0, |config, n| config | (half >> n & 1) << (2 * n + 1))
    }

    fn set_config(&mut self, cpu: usize, register: u32, value: u32, mask: u32) {
        let (index, upper) = config_index(register);
        let edge = match index.checked_sub(1) {
            // SGIs are edge-triggered.
            None if !upper => return,
            None => &mut self.state.cpus[cpu].private.edge,
            Some(word) => match self.state.spis.edge.get_mut(word) {
                Some(edge) => edge,
                None => return,
            },
        };
        for n in 0..16 {
            let field = 2 << (2 * n);
            if mask & field != 0 {
                let bit = 1 << (n + if upper { 16 } else { 0 });
                if value & field != 0 {
                    *edge |= bit;
                } else {
                    *edge &= !bit;
                }
            }
        }
    }

    /// GICD_SGIR.
    fn generate_sgi(&mut self, cpu: usize, value: u32) {
        let myself = 1 << cpu;
        let list = (value >> 16) as u8;
        let targets = match value >> 24 & 3 {
            0 => list,
            1 => !myself,
            2 => myself,
            _ => 0,
        } & self.all_cpus();
        let sgi = value as usize & 15;
        for (n, target) in self.state.cpus.iter_mut().enumerate() {
            if targets & (1 << n) != 0 {
                target.private.sgi_sources[sgi] |= myself;
            }
        }
        self.update(targets);
    }

    pub(super) fn set_active(&mut self, cpu: usize, id: u32, active: bool) {
        let word = if id < INTERNAL {
            &mut self.state.cpus[cpu].private.active
        } else if let Some(word) = self.state.spis.active.get_mut(spi_word(id)) {
            word
        } else {
            return;
        };
        let bit = 1 << (id % 32);
        if active {
            *word |= bit;
        } else {
            *word &= !bit;
        }
    }

    pub(super) fn is_group1(&self, cpu: usize, id: u32) -> bool {
        let word = if id < INTERNAL {
            self.state.cpus[cpu].private.group
        } else {
            self.state
                .spis
                .group
                .get(spi_word(id))
                .copied()
                .unwrap_or(0)
        };
        word & 1 << (id % 32) != 0
    }

    /// The CPUs that an interrupt can be signalled to.
    pub(super) fn affected(&self, cpu: usize, id: u32) -> u8 {
        let others = if id < INTERNAL {
            0
        } else {
            self.state
                .spis
                .targets
                .get(bank_index(id))
                .copied()
                .unwrap_or(0)
        };
        others | 1 << cpu
    }
}

impl PrivateState {
    /// An acknowledged PPI is no longer latched. An SGI is acknowledged for one source CPU, which
    /// is returned.
    pub(super) fn acknowledge(&mut self, id: u32) -> u32 {
        match self.sgi_sources.get_mut(id as usize) {
            Some(sources) => {
                let source = sources.trailing_zeros() & 7;
                *sources &= !(1 << source);
                source
            }
            None => {
                self.latched &= !(1 << (id % 32));
                0
            }
        }
    }
}

impl SpiState {
    pub(super) fn acknowledge(&mut self, id: u32) {
        if let Some(latched) = self.latched.get_mut(spi_word(id)) {
            *latched &= !(1 << (id % 32));
        }
    }
}

/// Where an interrupt is in the array of its kind (SGIs and PPIs, or SPIs).
fn bank_index(id: u32) -> usize {
    if id < INTERNAL {
        id as usize
    } else {
        (id - INTERNAL) as usize
    }
}

/// Where an SPI is in the bitmaps of SPIs.
fn spi_word(id: u32) -> usize {
    (id.wrapping_sub(INTERNAL) / 32) as usize
}

/// The word of the bitmap that a GICD_ICFGRn register belongs to, and whether it is its upper half.
fn config_index(register: u32) -> (usize, bool) {
    let n = (register - gicd::ICFGR) as usize / 4;
    (n / 2, n & 1 != 0)
}

/// The interrupts, and their values, that a write to a register of bytes changes.
fn written_bytes(first: u32, value: u32, mask: u32) -> impl Iterator<Item = (u32, u8)> {
    (0..4).filter_map(move |i| {
        let byte = |word: u32| (word >> (8 * i)) as u8;
        (byte(mask) != 0).then(|| (first + i, byte(value)))
    })
}

/// The register that an access goes to, the bits it covers and how far they are shifted. `None` if
/// it is unaligned, beyond the registers, or not of 1, 2 or 4 bytes.
pub(super) fn lanes(offset: u64, size: u8) -> Option<(u32, u32, u32)> {
    let offset = u32::try_from(offset).ok()?;
    let mask = match size {
        1 => 0xff,
        2 if offset % 2 == 0 => 0xffff,
        4 if offset % 4 == 0 => u32::MAX,
        _ => return None,
    };
    let shift = offset % 4 * 8;
    Some((offset & !3, shift, mask << shift))
}
