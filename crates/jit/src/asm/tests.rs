//! Every emitter function against a disassembler: what is emitted must read back as one instruction
//! with the operands that were asked for, as text that is built here without looking at encodings.

use super::*;
use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter, MemorySizeOptions, Register};

const ORIGIN: u64 = 0x7000_0000;
const DISPLACEMENTS: [i32; 11] = [
    0,
    1,
    -1,
    0x40,
    127,
    -128,
    128,
    -129,
    0x1_2345,
    i32::MAX,
    i32::MIN,
];
const IMMEDIATES: [i32; 12] = [
    0,
    1,
    -1,
    5,
    127,
    -128,
    128,
    -129,
    0x8000,
    0x1234_5678,
    i32::MAX,
    i32::MIN,
];
const WIDTHS: [Width; 4] = [Width::B8, Width::B16, Width::B32, Width::B64];
const CONDITIONS: [(Cc, &str); 16] = [
    (Cc::O, "o"),
    (Cc::No, "no"),
    (Cc::B, "b"),
    (Cc::Ae, "ae"),
    (Cc::E, "e"),
    (Cc::Ne, "ne"),
    (Cc::Be, "be"),
    (Cc::A, "a"),
    (Cc::S, "s"),
    (Cc::Ns, "ns"),
    (Cc::P, "p"),
    (Cc::Np, "np"),
    (Cc::L, "l"),
    (Cc::Ge, "ge"),
    (Cc::Le, "le"),
    (Cc::G, "g"),
];
const ALU: [(Alu, &str); 8] = [
    (Alu::Add, "add"),
    (Alu::Or, "or"),
    (Alu::Adc, "adc"),
    (Alu::Sbb, "sbb"),
    (Alu::And, "and"),
    (Alu::Sub, "sub"),
    (Alu::Xor, "xor"),
    (Alu::Cmp, "cmp"),
];
const SHIFTS: [(Sh, &str); 6] = [
    (Sh::Rol, "rol"),
    (Sh::Ror, "ror"),
    (Sh::Rcr, "rcr"),
    (Sh::Shl, "shl"),
    (Sh::Shr, "shr"),
    (Sh::Sar, "sar"),
];
const QUADS: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];
const BYTES: [&str; 8] = ["al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"];

/// The name of a general-purpose register of some width.
fn name(width: Width, reg: Gpr) -> String {
    let number = usize::from(reg as u8);
    match (width, number) {
        (Width::B64, _) => QUADS[number].into(),
        (Width::B32, 0..8) => format!("e{}", &QUADS[number][1..]),
        (Width::B16, 0..8) => QUADS[number][1..].into(),
        (Width::B8, 0..8) => BYTES[number].into(),
        (Width::B32, _) => format!("{}d", QUADS[number]),
        (Width::B16, _) => format!("{}w", QUADS[number]),
        (Width::B8, _) => format!("{}b", QUADS[number]),
    }
}

fn pointer(width: Width) -> &'static str {
    match width {
        Width::B8 => "byte",
        Width::B16 => "word",
        Width::B32 => "dword",
        Width::B64 => "qword",
    }
}

/// `[base+index*scale+disp]`.
fn brackets(mem: Mem) -> String {
    let mut text = format!("[{}", QUADS[mem.base as usize]);
    if let Some((index, scale)) = mem.index {
        text += &format!("+{}*{}", QUADS[index as usize], 1 << scale);
    }
    if mem.disp != 0 {
        let sign = if mem.disp < 0 { '-' } else { '+' };
        text += &format!("{sign}{:#x}", mem.disp.unsigned_abs());
    }
    text + "]"
}

fn operand(width: Width, loc: Loc) -> String {
    match loc {
        Loc::Reg(reg) => name(width, reg),
        Loc::Mem(mem) => format!("{} ptr {}", pointer(width), brackets(mem)),
    }
}

/// An immediate that is sign-extended to an operand's width.
fn immediate(width: Width, imm: i32) -> String {
    match width {
        Width::B8 => format!("{:#x}", imm as u8),
        Width::B16 => format!("{:#x}", imm as u16),
        Width::B32 => format!("{imm:#x}"),
        Width::B64 => format!("{:#x}", i64::from(imm)),
    }
}

fn registers() -> impl Iterator<Item = Gpr> {
    (0..16).map(gpr)
}

/// All addressing forms.
fn memories() -> Vec<Mem> {
    let mut all = Vec::new();
    for base in registers() {
        for disp in DISPLACEMENTS {
            all.push(Mem::at(base, disp));
            for index in registers().filter(|index| *index != Gpr::Rsp) {
                for scale in 0..4 {
                    all.push(Mem::indexed(base, index, scale, disp));
                }
            }
        }
    }
    all
}

struct Checker {
    asm: Asm,
    formatter: IntelFormatter,
    text: String,
    memories: Vec<Mem>,
    /// The addressing form that comes next, for instructions that do not go through all.
    next: usize,
    checked: usize,
}

impl Checker {
    fn new() -> Self {
        let mut formatter = IntelFormatter::new();
        let options = formatter.options_mut();
        options.set_hex_prefix("0x");
        options.set_hex_suffix("");
        options.set_uppercase_hex(false);
        options.set_small_hex_numbers_in_decimal(false);
        options.set_branch_leading_zeros(false);
        options.set_space_after_operand_separator(true);
        options.set_always_show_scale(true);
        options.set_memory_size_options(MemorySizeOptions::Always);
        Checker {
            asm: Asm::new(ORIGIN),
            formatter,
            text: String::new(),
            memories: memories(),
            next: 0,
            checked: 0,
        }
    }

    /// What `emit` emits must be one instruction that reads as `wanted`.
    fn check(&mut self, wanted: &str, emit: impl FnOnce(&mut Asm)) {
        self.asm.restart(ORIGIN);
        emit(&mut self.asm);
        let code = &self.asm.code;
        let mut decoder = Decoder::with_ip(64, code, ORIGIN, DecoderOptions::NONE);
        let insn = decoder.decode();
        self.text.clear();
        self.formatter.format(&insn, &mut self.text);
        assert_eq!(self.text, wanted, "{code:02x?}");
        assert_eq!(insn.len(), code.len(), "{wanted}: {code:02x?}");
        // The displacement takes no more room than it needs.
        let disp = decoder.get_constant_offsets(&insn);
        if disp.has_displacement() && !insn.is_jmp_near() && !insn.is_call_near() {
            let value = insn.memory_displacement64() as i64;
            let short = i8::try_from(value).is_ok() && insn.memory_base() != Register::None;
            let size = if short { 1 } else { 4 };
            assert_eq!(disp.displacement_size(), size, "{wanted}: {code:02x?}");
        }
        self.checked += 1;
    }

    /// Some addressing forms, others each time; the step and the number of forms have no common
    /// divisor, so that all come around.
    fn some_memories(&mut self) -> Vec<Mem> {
        let len = self.memories.len();
        (0..48)
            .map(|_| {
                self.next = (self.next + 997) % len;
                self.memories[self.next]
            })
            .collect()
    }

    /// All registers, and some places in memory.
    fn locations(&mut self) -> Vec<Loc> {
        let memories = self.some_memories();
        let registers = registers().map(Loc::Reg);
        registers
            .chain(memories.into_iter().map(Loc::Mem))
            .collect()
    }

    /// The same for vector registers.
    fn vectors(&mut self) -> Vec<XmmLoc> {
        let memories = self.some_memories();
        let registers = (0..16).map(|n| XmmLoc::Reg(Xmm(n)));
        registers
            .chain(memories.into_iter().map(XmmLoc::Mem))
            .collect()
    }
}

fn vector(size: &str, loc: XmmLoc) -> String {
    match loc {
        XmmLoc::Reg(reg) => format!("xmm{}", reg.0),
        XmmLoc::Mem(mem) => format!("{size} ptr {}", brackets(mem)),
    }
}

#[test]
fn every_addressing_form() {
    let mut checker = Checker::new();
    for (n, mem) in checker.memories.clone().into_iter().enumerate() {
        let reg = gpr(n as u8);
        let wanted = format!("mov {}, qword ptr {}", QUADS[reg as usize], brackets(mem));
        checker.check(&wanted, |asm| asm.load(Width::B64, reg, mem));
        let text = operand(Width::B8, mem.into());
        checker.check(&format!("mov {text}, {}", name(Width::B8, reg)), |asm| {
            asm.store(Width::B8, mem, reg);
        });
        let text = vector("xmmword", mem.into());
        checker.check(&format!("paddb xmm{}, {text}", n % 16), |asm| {
            asm.sse(Prefix::P66, 0xfc, Xmm(n as u8 % 16), mem);
        });
        let a = n / 16 % 16;
        checker.check(
            &format!(
                "vfmadd231sd xmm{}, xmm{a}, qword ptr {}",
                n % 16,
                brackets(mem)
            ),
            |asm| asm.fused(0xb9, true, Xmm(n as u8 % 16), Xmm(a as u8), mem),
        );
    }
    assert!(checker.checked > 40_000, "{}", checker.checked);
}

#[test]
fn moves() {
    let mut checker = Checker::new();
    for width in WIDTHS {
        for reg in registers() {
            let r = name(width, reg);
            for loc in checker.locations() {
                let text = operand(width, loc);
                checker.check(&format!("mov {r}, {text}"), |asm| asm.load(width, reg, loc));
                checker.check(&format!("mov {text}, {r}"), |asm| {
                    asm.store(width, loc, reg)
                });
            }
        }
    }
    for loc in checker.locations() {
        for imm in IMMEDIATES {
            let text = format!("mov {}, {imm:#x}", operand(Width::B32, loc));
            checker.check(&text, |asm| asm.mov_imm(loc, imm as u32));
            let text = format!("mov {}, {:#x}", operand(Width::B8, loc), imm as u8);
            checker.check(&text, |asm| asm.mov_imm8(loc, imm as u8));
        }
    }
    for reg in registers() {
        for imm in [0, 1, u64::MAX, 0x1234_5678_9abc_def0, 1 << 63] {
            let text = format!("mov {}, {imm:#x}", name(Width::B64, reg));
            checker.check(&text, |asm| asm.mov_imm64(reg, imm));
        }
        for from in [Width::B8, Width::B16] {
            for loc in checker.locations() {
                let (r, text) = (name(Width::B32, reg), operand(from, loc));
                checker.check(&format!("movzx {r}, {text}"), |asm| {
                    asm.load_zx(from, reg, loc);
                });
                checker.check(&format!("movsx {r}, {text}"), |asm| {
                    asm.load_sx(from, reg, loc);
                });
            }
        }
        let q = name(Width::B64, reg);
        checker.check(&format!("push {q}"), |asm| asm.push(reg));
        checker.check(&format!("pop {q}"), |asm| asm.pop(reg));
        for mem in checker.some_memories() {
            let text = format!("lea {}, {}", name(Width::B32, reg), brackets(mem));
            checker.check(&text, |asm| asm.lea(reg, mem));
            let text = format!("lea {}, {}", name(Width::B64, reg), brackets(mem));
            checker.check(&text, |asm| asm.lea64(reg, mem));
        }
    }
}

#[test]
fn arithmetic() {
    let mut checker = Checker::new();
    for (op, mnemonic) in ALU {
        for width in WIDTHS {
            for reg in registers() {
                let r = name(width, reg);
                for loc in checker.locations() {
                    let text = operand(width, loc);
                    checker.check(&format!("{mnemonic} {r}, {text}"), |asm| {
                        asm.alu(width, op, reg, loc);
                    });
                    checker.check(&format!("{mnemonic} {text}, {r}"), |asm| {
                        asm.alu_to(width, op, loc, reg);
                    });
                }
            }
            for loc in checker.locations() {
                for imm in IMMEDIATES {
                    let text = operand(width, loc);
                    let wanted = format!("{mnemonic} {text}, {}", immediate(width, imm));
                    checker.check(&wanted, |asm| asm.alu_imm(width, op, loc, imm));
                }
            }
        }
    }
    for width in WIDTHS {
        for reg in registers() {
            for loc in checker.locations() {
                let wanted = format!("test {}, {}", operand(width, loc), name(width, reg));
                checker.check(&wanted, |asm| asm.test(width, loc, reg));
            }
        }
    }
    for loc in checker.locations() {
        let (byte, word) = (operand(Width::B8, loc), operand(Width::B32, loc));
        for imm in [0, 1, 0x80, 0xff] {
            checker.check(&format!("test {byte}, {imm:#x}"), |asm| {
                asm.test_imm8(loc, imm);
            });
        }
        checker.check(&format!("not {word}"), |asm| asm.not(loc));
        checker.check(&format!("neg {word}"), |asm| asm.neg(loc));
        checker.check(&format!("mul {word}"), |asm| asm.mul_wide(false, loc));
        checker.check(&format!("imul {word}"), |asm| asm.mul_wide(true, loc));
        checker.check(&format!("div {word}"), |asm| asm.div(false, loc));
        checker.check(&format!("idiv {word}"), |asm| asm.div(true, loc));
        for bit in [0, 1, 7, 31] {
            checker.check(&format!("bt {word}, {bit:#x}"), |asm| asm.bt(loc, bit));
        }
    }
    for reg in registers() {
        for index in registers().filter(|index| *index != Gpr::Rsp) {
            for scale in 0..4 {
                let wanted = format!(
                    "lea {}, [{}*{}]",
                    name(Width::B32, reg),
                    QUADS[index as usize],
                    1 << scale
                );
                checker.check(&wanted, |asm| asm.lea_scaled(reg, index, scale));
            }
        }
        for bit in [0, 31, 32, 63] {
            let wanted = format!("bt {}, {bit:#x}", name(Width::B64, reg));
            checker.check(&wanted, |asm| asm.bt64(reg, bit));
        }
        for width in [Width::B32, Width::B64] {
            let r = name(width, reg);
            for loc in checker.locations() {
                let text = operand(width, loc);
                checker.check(&format!("imul {r}, {text}"), |asm| {
                    asm.imul(width, reg, loc)
                });
            }
        }
        let r = name(Width::B32, reg);
        checker.check(&format!("bswap {r}"), |asm| asm.bswap(reg));
        for loc in checker.locations() {
            let text = operand(Width::B32, loc);
            checker.check(&format!("lzcnt {r}, {text}"), |asm| asm.lzcnt(reg, loc));
            checker.check(&format!("tzcnt {r}, {text}"), |asm| asm.tzcnt(reg, loc));
        }
    }
    checker.check("lahf", Asm::lahf);
    // AH can't be named beside registers that need a prefix.
    let low = |mem: &Mem| {
        let index = mem.index.map_or(0, |(index, _)| index as u8);
        (mem.base as u8) < 8 && index < 8
    };
    let memories = checker.memories.clone();
    for mem in memories.into_iter().filter(low) {
        let text = format!("mov byte ptr {}, ah", brackets(mem));
        checker.check(&text, |asm| asm.store_ah(mem));
    }
    checker.check("cdq", Asm::cdq);
    checker.check("cmc", Asm::cmc);
}

#[test]
fn shifts() {
    let mut checker = Checker::new();
    for (op, mnemonic) in SHIFTS {
        for width in WIDTHS {
            for loc in checker.locations() {
                let text = operand(width, loc);
                for amount in [1, 2, 7, 31] {
                    let wanted = format!("{mnemonic} {text}, {amount:#x}");
                    checker.check(&wanted, |asm| asm.shift(width, op, loc, amount));
                }
                checker.check(&format!("{mnemonic} {text}, cl"), |asm| {
                    asm.shift_cl(width, op, loc);
                });
            }
        }
    }
}

#[test]
fn conditions() {
    let mut checker = Checker::new();
    for (cc, suffix) in CONDITIONS {
        for loc in checker.locations() {
            let text = operand(Width::B8, loc);
            checker.check(&format!("set{suffix} {text}"), |asm| asm.setcc(cc, loc));
        }
        for reg in registers() {
            let r = name(Width::B32, reg);
            for loc in checker.locations() {
                let text = operand(Width::B32, loc);
                checker.check(&format!("cmov{suffix} {r}, {text}"), |asm| {
                    asm.cmov(cc, reg, loc);
                });
            }
        }
        // The opposite is the one that differs in "not".
        let opposite = CONDITIONS.iter().find(|(other, _)| *other == cc.opposite());
        let names = [suffix, opposite.map_or("", |(_, name)| name)];
        let pairs = [
            ["o", "no"],
            ["b", "ae"],
            ["e", "ne"],
            ["be", "a"],
            ["s", "ns"],
            ["p", "np"],
            ["l", "ge"],
            ["le", "g"],
        ];
        let known = |pair: &[&str; 2]| *pair == names || [pair[1], pair[0]] == names;
        assert!(pairs.iter().any(known), "{names:?}");
    }
}

#[test]
fn branches() {
    let mut checker = Checker::new();
    for distance in [5i64, 0, -1, 0x100, -0x100, 0x7fff_fff0, -0x6fff_fff0] {
        let target = ORIGIN.wrapping_add_signed(distance);
        checker.check(&format!("jmp {target:#x}"), |asm| {
            assert_eq!(asm.here(), ORIGIN);
            asm.jmp_to(target);
        });
        checker.check(&format!("call {target:#x}"), |asm| asm.call_to(target));
    }
    // To labels, forwards and backwards.
    let nops = |asm: &mut Asm, count| asm.code.extend(vec![0x90; count]);
    let targets = |code: &[u8]| {
        let mut decoder = Decoder::with_ip(64, code, ORIGIN, DecoderOptions::NONE);
        let jumps = decoder.iter().filter(|insn| !insn.is_invalid());
        let jumps = jumps.filter(|insn| insn.near_branch_target() != 0);
        jumps
            .map(|insn| (insn.condition_code() as u8, insn.near_branch_target()))
            .collect::<Vec<_>>()
    };
    for gap in [0, 1, 100, 1000] {
        for (n, (cc, _)) in CONDITIONS.into_iter().enumerate() {
            let mut asm = Asm::new(ORIGIN);
            let (ahead, behind) = (asm.label(), asm.label());
            asm.bind(behind);
            nops(&mut asm, 3);
            asm.jcc(cc, ahead);
            asm.jmp(ahead);
            nops(&mut asm, gap);
            asm.jcc(cc, behind);
            asm.jmp(behind);
            asm.bind(ahead);
            let end = asm.here();
            nops(&mut asm, 1);
            asm.finish();
            // The disassembler counts conditions from 1; 0 is none.
            let n = n as u8 + 1;
            let wanted = [(n, end), (0, end), (n, ORIGIN), (0, ORIGIN)];
            assert_eq!(targets(&asm.code), wanted, "{gap} {cc:?}");
        }
    }
    for loc in checker.locations() {
        let text = operand(Width::B64, loc);
        checker.check(&format!("jmp {text}"), |asm| asm.jmp_ind(loc));
        checker.check(&format!("call {text}"), |asm| asm.call_ind(loc));
    }
    checker.check("ret", Asm::ret);
}

#[test]
fn atomics() {
    let mut checker = Checker::new();
    checker.check("lock or dword ptr [rsp], 0x0", Asm::fence);
    for width in WIDTHS {
        for reg in registers() {
            for mem in checker.some_memories() {
                let text = format!("{}, {}", operand(width, mem.into()), name(width, reg));
                checker.check(&format!("cmpxchg {text}"), |asm| {
                    asm.cmpxchg(false, width, mem, reg);
                });
                checker.check(&format!("lock cmpxchg {text}"), |asm| {
                    asm.cmpxchg(true, width, mem, reg);
                });
            }
        }
    }
}

#[test]
fn vector_instructions() {
    use Prefix::{F2, F3, None, P66};
    // Each prefix in each map, and the sizes in memory that they stand for.
    let map_0f = [
        (None, 0x28, "movaps", "xmmword"),
        (None, 0x57, "xorps", "xmmword"),
        (None, 0x2e, "ucomiss", "dword"),
        (P66, 0x2e, "ucomisd", "qword"),
        (P66, 0xef, "pxor", "xmmword"),
        (P66, 0xfe, "paddd", "xmmword"),
        (F3, 0x58, "addss", "dword"),
        (F3, 0x5a, "cvtss2sd", "dword"),
        (F3, 0x6f, "movdqu", "xmmword"),
        (F3, 0x7e, "movq", "qword"),
        (F2, 0x59, "mulsd", "qword"),
        (F2, 0x51, "sqrtsd", "qword"),
    ];
    let map_0f38 = [
        (P66, 0x17, "ptest", "xmmword"),
        (P66, 0x1c, "pabsb", "xmmword"),
        (P66, 0x2b, "packusdw", "xmmword"),
        (P66, 0x3b, "pminud", "xmmword"),
        (P66, 0x40, "pmulld", "xmmword"),
    ];
    let mut checker = Checker::new();
    for number in 0..16 {
        let reg = Xmm(number);
        let x = format!("xmm{number}");
        for (prefix, opcode, mnemonic, size) in map_0f {
            for loc in checker.vectors() {
                let text = format!("{mnemonic} {x}, {}", vector(size, loc));
                checker.check(&text, |asm| asm.sse(prefix, opcode, reg, loc));
            }
        }
        for (prefix, opcode, mnemonic, size) in map_0f38 {
            for loc in checker.vectors() {
                let text = format!("{mnemonic} {x}, {}", vector(size, loc));
                checker.check(&text, |asm| asm.sse38(prefix, opcode, reg, loc));
            }
        }
        for loc in checker.vectors() {
            // An immediate follows.
            let text = format!("pshufd {x}, {}, 0x1b", vector("xmmword", loc));
            checker.check(&text, |asm| {
                asm.sse(P66, 0x70, reg, loc);
                asm.immediate(0x1b);
            });
        }
        for from in 0..16 {
            let text = format!("palignr {x}, xmm{from}, 0x5");
            checker.check(&text, |asm| asm.align_right(reg, Xmm(from), 5));
        }
        let shifts = [
            (0x71, 2, "psrlw"),
            (0x71, 4, "psraw"),
            (0x71, 6, "psllw"),
            (0x72, 2, "psrld"),
            (0x72, 4, "psrad"),
            (0x72, 6, "pslld"),
            (0x73, 2, "psrlq"),
            (0x73, 3, "psrldq"),
            (0x73, 6, "psllq"),
            (0x73, 7, "pslldq"),
        ];
        for (opcode, extension, mnemonic) in shifts {
            checker.check(&format!("{mnemonic} {x}, 0x7"), |asm| {
                asm.sse_shift(opcode, extension, reg, 7);
            });
        }
        // Elements.
        for loc in checker.locations() {
            let byte = match loc {
                Loc::Reg(_) => operand(Width::B32, loc),
                Loc::Mem(_) => operand(Width::B8, loc),
            };
            let (word, quad) = (operand(Width::B32, loc), operand(Width::B64, loc));
            let cases = [
                (false, 0x14, format!("pextrb {byte}, {x}, 0x3")),
                (false, 0x16, format!("pextrd {word}, {x}, 0x3")),
                (true, 0x16, format!("pextrq {quad}, {x}, 0x3")),
                (false, 0x20, format!("pinsrb {x}, {byte}, 0x3")),
                (false, 0x22, format!("pinsrd {x}, {word}, 0x3")),
                (true, 0x22, format!("pinsrq {x}, {quad}, 0x3")),
            ];
            for (wide, opcode, wanted) in cases {
                checker.check(&wanted, |asm| asm.sse3a(wide, opcode, reg, loc, 3));
            }
        }
        for from in 0..16 {
            let text = format!("pblendw {x}, xmm{from}, 0x5");
            checker.check(&text, |asm| asm.sse3a_vector(0x0e, reg, Xmm(from), 5));
        }
        // Between both kinds of registers, or memory.
        for loc in checker.locations() {
            let word = operand(Width::B32, loc);
            let quad = operand(Width::B64, loc);
            let cases = [
                (P66, false, 0x6e, format!("movd {x}, {word}")),
                (P66, true, 0x6e, format!("movq {x}, {quad}")),
                (P66, false, 0x7e, format!("movd {word}, {x}")),
                (P66, true, 0x7e, format!("movq {quad}, {x}")),
                (F3, false, 0x2a, format!("cvtsi2ss {x}, {word}")),
                (F2, true, 0x2a, format!("cvtsi2sd {x}, {quad}")),
            ];
            for (prefix, wide, opcode, wanted) in cases {
                checker.check(&wanted, |asm| {
                    asm.sse_gpr(prefix, wide, opcode, number, loc);
                });
            }
        }
    }
}

#[test]
fn fused_multiplications() {
    let mut checker = Checker::new();
    let forms = [
        (0xb9, "vfmadd231s"),
        (0xbb, "vfmsub231s"),
        (0xbd, "vfnmadd231s"),
        (0xbf, "vfnmsub231s"),
    ];
    for (opcode, mnemonic) in forms {
        for (double, letter, size) in [(false, 's', "dword"), (true, 'd', "qword")] {
            for dst in 0..16 {
                for a in 0..16 {
                    for b in checker.vectors() {
                        let text = vector(size, b);
                        let wanted = format!("{mnemonic}{letter} xmm{dst}, xmm{a}, {text}");
                        checker.check(&wanted, |asm| {
                            asm.fused(opcode, double, Xmm(dst), Xmm(a), b);
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn broadcasts() {
    let mut checker = Checker::new();
    for (size, letter, memory) in [(0, 'b', "byte"), (1, 'w', "word"), (2, 'd', "dword")] {
        for dst in 0..16 {
            for src in checker.vectors() {
                let text = vector(memory, src);
                let wanted = format!("vpbroadcast{letter} xmm{dst}, {text}");
                checker.check(&wanted, |asm| asm.broadcast(size, Xmm(dst), src));
            }
        }
    }
}

#[test]
fn instructions_with_three_operands() {
    let mut checker = Checker::new();
    for (opcode, mnemonic) in [(0x54, "vandp"), (0x58, "vaddp")] {
        for (double, letter) in [(false, 's'), (true, 'd')] {
            for (dst, a) in [(0, 15), (15, 0), (3, 9), (9, 3)] {
                for b in checker.vectors() {
                    let text = vector("xmmword", b);
                    let wanted = format!("{mnemonic}{letter} xmm{dst}, xmm{a}, {text}");
                    checker.check(&wanted, |asm| {
                        asm.avx(opcode, double, Xmm(dst), Xmm(a), b);
                    });
                }
            }
        }
    }
}

#[test]
fn a_label_is_where_it_was_bound() {
    let mut asm = Asm::new(0);
    let (before, behind, unbound) = (asm.label(), asm.label(), asm.label());
    asm.bind(before);
    asm.jmp(behind);
    asm.bind(behind);
    assert_eq!(asm.offset(before), Some(0));
    assert_eq!(asm.offset(behind), Some(asm.code.len()));
    assert_eq!(asm.offset(unbound), None);
}

#[test]
fn what_is_to_be_changed_when_code_moves_is_where_it_was_noted() {
    let mut asm = Asm::new(0x1000);
    asm.mov_address(Gpr::R9, 0x1234_5678);
    asm.mov_address(Mem::at(Gpr::Rbp, 8), 0x1234_5678);
    asm.alu_imm(Width::B32, Alu::Cmp, Mem::at(Gpr::R15, 0x5678_9abc), 5);
    asm.note_displacement(Part::Word);
    asm.mov_imm(Gpr::Rax, 7);
    asm.note(Part::Op);
    asm.call_to(0x2000);
    let words = [0x1234_5678, 0x1234_5678, 0x5678_9abc, 7];
    assert_eq!(asm.fixes.len(), 5);
    for (fix, word) in asm.fixes.iter().zip(words) {
        let at = usize::from(fix.at);
        assert_eq!(asm.code[at..at + 4], u32::to_le_bytes(word), "{fix:?}");
    }
    let parts: Vec<Part> = asm.fixes.iter().map(|fix| fix.part).collect();
    use Part::{Address, Op, Outside, Word};
    assert_eq!(parts, [Address, Address, Word, Op, Outside]);
    assert!(asm.movable);
    // A displacement of one byte has no room for another address's.
    asm.load(Width::B32, Gpr::Rax, Mem::at(Gpr::R15, 8));
    asm.note_displacement(Part::Word);
    assert!(!asm.movable);
    asm.restart(0);
    asm.note_at(0x1_0000, Part::Link);
    assert!(!asm.movable && asm.fixes.is_empty());
}

/// A function that is added to the assembler is checked here.
#[test]
fn no_function_is_left_out() {
    let (source, tests) = (include_str!("../asm.rs"), include_str!("tests.rs"));
    let body = source
        .split_once("\nimpl Asm {")
        .and_then(|(_, rest)| rest.split_once("\n}\n"))
        .map_or("", |(body, _)| body);
    let names = body.split("pub fn ").skip(1);
    let names: Vec<&str> = names.filter_map(|rest| rest.split('(').next()).collect();
    assert!(names.len() > 40, "{names:?}");
    for name in names {
        let used = [format!("asm.{name}("), format!("Asm::{name}")];
        assert!(
            used.iter().any(|used| tests.contains(used.as_str())),
            "no test of Asm::{name}"
        );
    }
}
