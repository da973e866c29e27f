//! ELF executables for 32-bit Arm (*ELF for the Arm Architecture*, Arm IHI 0044).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use object::LittleEndian as LE;
use object::elf::{ET_EXEC, FileHeader32, PT_INTERP, PT_LOAD, ProgramHeader32};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use super::{Foreign, Format, Image, Kernel, KernelError, Segment, array, part};

const MAGIC: [u8; 4] = *b"\x7fELF";
const OFFSET_CLASS: usize = 4;
const OFFSET_DATA: usize = 5;
const OFFSET_MACHINE: usize = 18;
const CLASS_64: u8 = 2;
const DATA_BIG: u8 = 2;

const EM_ARM: u16 = 40;

/// Longest path of an interpreter that an error repeats.
const MAX_INTERPRETER: usize = 64;

pub(super) fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

pub(super) fn parse(bytes: Cow<'_, [u8]>) -> Result<Kernel<'_>, KernelError> {
    let (Some(&class), Some(&order), Some(machine)) = (
        bytes.get(OFFSET_CLASS),
        bytes.get(OFFSET_DATA),
        array(&bytes, OFFSET_MACHINE),
    ) else {
        return Err(KernelError::ElfHeader("the file header is cut off"));
    };
    let machine = if order == DATA_BIG {
        u16::from_be_bytes(machine)
    } else {
        u16::from_le_bytes(machine)
    };
    if class == CLASS_64 {
        return Err(KernelError::Foreign(Foreign::Elf64(machine)));
    }
    if order == DATA_BIG {
        return Err(KernelError::Foreign(Foreign::BigEndianElf(machine)));
    }
    if machine != EM_ARM {
        return Err(KernelError::ElfMachine(machine));
    }

    let header = FileHeader32::<LE>::parse(&*bytes)
        .map_err(|_| KernelError::ElfHeader("the file header is cut off or invalid"))?;
    let headers: &[ProgramHeader32<LE>] = header
        .program_headers(LE, &*bytes)
        .map_err(|_| KernelError::ElfHeader("the program header table lies outside the file"))?;

    if let Some(program) = headers
        .iter()
        .find(|program| program.p_type(LE) == PT_INTERP)
    {
        return Err(KernelError::ElfInterpreter(interpreter(program, &bytes)));
    }
    let file_type = header.e_type(LE);
    if file_type != ET_EXEC {
        return Err(KernelError::ElfType(file_type.0));
    }

    let mut segments = Vec::new();
    // As linked, without bit 0; becomes physical below.
    let linked = header.e_entry(LE);
    let mut entry = None;
    for (index, program) in headers.iter().enumerate() {
        if program.p_type(LE) != PT_LOAD || program.p_memsz(LE) == 0 {
            continue;
        }
        let segment = segment(index, program, &bytes)?;
        // A kernel may be linked for virtual addresses: the entry moves with its segment.
        let offset = (linked & !1).wrapping_sub(program.p_vaddr(LE));
        if offset < program.p_memsz(LE) {
            entry.get_or_insert(program.p_paddr(LE).wrapping_add(offset) | (linked & 1));
        }
        segments.push(segment);
    }
    if segments.is_empty() {
        return Err(KernelError::ElfNoSegments);
    }
    // Some link scripts give the entry as a physical address where virtual ones differ.
    let physical = u64::from(linked & !1);
    if entry.is_none()
        && segments
            .iter()
            .any(|s| (s.addr..s.addr + s.mem_size).contains(&physical))
    {
        entry = Some(linked);
    }
    let entry = entry.ok_or(KernelError::ElfEntry(linked))?;

    Ok(Kernel {
        format: Format::Elf,
        name: None,
        image: Image::Fixed { segments, entry },
        dtb: None,
        initrd: None,
    })
}

fn segment<'a>(
    index: usize,
    program: &ProgramHeader32<LE>,
    bytes: &Cow<'a, [u8]>,
) -> Result<Segment<'a>, KernelError> {
    let addr = u64::from(program.p_paddr(LE));
    let (file, mem) = (
        u64::from(program.p_filesz(LE)),
        u64::from(program.p_memsz(LE)),
    );
    if file > mem || addr + mem > 1 << 32 {
        return Err(KernelError::ElfSegmentSize {
            index,
            file,
            mem,
            addr,
        });
    }
    // Without contents in the file, the offset means nothing.
    let start = if file == 0 {
        0
    } else {
        u64::from(program.p_offset(LE))
    };
    let end = start + file;
    let data = usize::try_from(start)
        .ok()
        .zip(usize::try_from(end).ok())
        .and_then(|(start, end)| part(bytes, start, end))
        .ok_or(KernelError::ElfSegmentTruncated {
            index,
            end,
            found: bytes.len() as u64,
        })?;
    Ok(Segment {
        addr,
        data,
        mem_size: mem,
    })
}

/// The path of the program interpreter, for the error.
fn interpreter(program: &ProgramHeader32<LE>, bytes: &[u8]) -> String {
    let path = program.data(LE, bytes).unwrap_or_default();
    let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(path.get(..MAX_INTERPRETER).unwrap_or(path)).into_owned()
}
