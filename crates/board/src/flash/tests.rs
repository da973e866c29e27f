use super::spec::*;
use super::*;
use alloc::vec;
use proptest::prelude::*;

struct Memory {
    bytes: Vec<u8>,
    writable: bool,
}

impl FlashArray for Memory {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn read(&self, offset: u64, buf: &mut [u8]) {
        buf.copy_from_slice(&self.bytes[offset as usize..offset as usize + buf.len()]);
    }
    fn write(&mut self, offset: u64, data: &[u8]) -> bool {
        if self.writable {
            self.bytes[offset as usize..offset as usize + data.len()].copy_from_slice(data);
        }
        self.writable
    }
}

fn flash(blocks: u64) -> Flash<Memory> {
    Flash::new(Memory {
        bytes: vec![0; (blocks * BLOCK_SIZE) as usize],
        writable: true,
    })
}

/// A command to both chips.
fn command(flash: &mut Flash<Memory>, offset: u64, command: u8) -> FlashAction {
    flash.write_command(offset, 4, u64::from(command) * 0x1_0001)
}

fn read(flash: &mut Flash<Memory>, offset: u64) -> u64 {
    flash.read(offset, 4)
}

#[test]
fn query_describes_a_bank_of_the_board() {
    // The table of a 64 MiB bank without the memory for one: QEMU's, from 0x10.
    let expect = [
        0x51, 0x52, 0x59, 0x01, 0, 0x31, 0, 0, 0, 0, 0, 0x45, 0x55, 0, 0, 0x07, 0x07, 0x0a, 0,
        0x04, 0x04, 0x04, 0, 0x19, 0x02, 0, 0x0b, 0, 0x01, 0xff, 0, 0, 0x02, 0x50, 0x52, 0x49,
        0x31, 0x30,
    ];
    for (word, byte) in (0x10..).zip(expect) {
        assert_eq!(query(word, 256), byte, "word {word:#x}");
    }
    let mut flash = flash(2);
    assert_eq!(
        command(&mut flash, 0x55 * 4, CMD_QUERY),
        FlashAction::UnmapArray
    );
    assert_eq!(read(&mut flash, 0x40), 0x0051_0051);
    assert_eq!(flash.read(0x44, 1), 0x52);
    assert_eq!(flash.read(0x45, 1), 0);
    assert_eq!(flash.read(0x46, 2), 0x52);
    assert_eq!(flash.read(0x40, 8), 0x0052_0052_0051_0051);
    assert_eq!(command(&mut flash, 0, CMD_READ_ID), FlashAction::None);
    assert_eq!(read(&mut flash, 0), 0x0089_0089);
    assert_eq!(read(&mut flash, BLOCK_SIZE + 4), 0x0018_0018);
    assert_eq!(
        command(&mut flash, 0, CMD_READ_ARRAY),
        FlashAction::MapArray
    );
    assert_eq!(read(&mut flash, 0x40), 0);
}

#[test]
fn erases_and_programs() {
    let mut flash = flash(2);
    command(&mut flash, BLOCK_SIZE + 8, CMD_BLOCK_ERASE);
    command(&mut flash, BLOCK_SIZE + 8, CONFIRM);
    assert_eq!(read(&mut flash, 0), 0x0080_0080);
    command(&mut flash, 0, CMD_READ_ARRAY);
    assert_eq!(read(&mut flash, BLOCK_SIZE - 4), 0);
    assert_eq!(read(&mut flash, BLOCK_SIZE), 0xffff_ffff);
    assert_eq!(read(&mut flash, 2 * BLOCK_SIZE - 4), 0xffff_ffff);
    for (offset, size, value) in [(BLOCK_SIZE, 4, 0x1234_5678), (BLOCK_SIZE + 6, 2, 0xabcd)] {
        command(&mut flash, offset, CMD_PROGRAM);
        flash.write(offset, size, value);
        assert_eq!(flash.array.bytes[offset as usize], value as u8);
    }
    assert_eq!(
        command(&mut flash, 0, CMD_CLEAR_STATUS),
        FlashAction::MapArray
    );
    assert_eq!(flash.read(BLOCK_SIZE, 8), 0xabcd_ffff_1234_5678);
}

#[test]
fn programs_by_buffer() {
    let mut flash = flash(1);
    command(&mut flash, 0x1000, CMD_WRITE_BUFFER);
    assert_eq!(read(&mut flash, 0), 0x0080_0080);
    flash.write(0x1000, 4, 0x0003_0003);
    for word in 0..4 {
        flash.write(0x1010 + 4 * word, 4, 0x0101_0101 * (word + 1));
    }
    assert_eq!(flash.array.bytes[0x1010], 0, "not before the confirmation");
    command(&mut flash, 0x1000, CONFIRM);
    command(&mut flash, 0, CMD_READ_ARRAY);
    assert_eq!(flash.read(0x1010, 8), 0x0202_0202_0101_0101);
    assert_eq!(flash.read(0x1018, 8), 0x0404_0404_0303_0303);
    assert_eq!(read(&mut flash, 0x1020), 0);
}

#[test]
fn wrong_sequences_and_failures_show_in_the_status() {
    const SEQUENCE: u64 = 0x00b0_00b0;
    let mut flash = flash(1);
    command(&mut flash, 0, CMD_BLOCK_ERASE);
    command(&mut flash, 0, CMD_READ_ARRAY);
    assert_eq!(read(&mut flash, 0), SEQUENCE);
    command(&mut flash, 0, CMD_CLEAR_STATUS);
    command(&mut flash, 0, CMD_WRITE_BUFFER);
    flash.write(0, 4, 0x0400_0400);
    assert_eq!(read(&mut flash, 0), SEQUENCE, "more than the buffer");
    command(&mut flash, 0, CMD_CLEAR_STATUS);
    command(&mut flash, 0, CMD_WRITE_BUFFER);
    flash.write(0, 4, 0x0001_0001);
    flash.write(0, 4, 1);
    flash.write(BUFFER_SIZE, 4, 1);
    assert_eq!(read(&mut flash, 0), SEQUENCE, "beyond the buffer");
    command(&mut flash, 0, CMD_CLEAR_STATUS);
    command(&mut flash, 0, CMD_LOCK);
    command(&mut flash, 0, CONFIRM);
    command(&mut flash, 0, CMD_READ_STATUS);
    assert_eq!(read(&mut flash, 0), 0x0080_0080);
    flash.array_mut().writable = false;
    command(&mut flash, 0, CMD_PROGRAM);
    flash.write(0, 4, 1);
    assert_eq!(read(&mut flash, 0), 0x0090_0090);
    command(&mut flash, 0, CMD_BLOCK_ERASE);
    command(&mut flash, 0, CONFIRM);
    assert_eq!(read(&mut flash, 0), SEQUENCE);
    assert!(flash.array().bytes.iter().all(|&byte| byte == 0));
}

#[test]
fn commands_of_other_chips_read_the_array() {
    let mut flash = flash(1);
    for other in [0xaa, 0x55, 0xf0] {
        assert_eq!(command(&mut flash, 0x555 * 4, other), FlashAction::None);
        assert!(flash.reads_as_array());
    }
}

#[test]
fn an_inconsistent_state_loses_its_buffer() {
    let mut flash = flash(1);
    for (buffer_base, len) in [
        (Some(1), 4096),
        (Some(1 << 40), 4096),
        (Some(0), 7),
        (None, 1),
    ] {
        flash.restore(&FlashState {
            mode: FlashMode::BufferConfirm,
            buffer_base,
            buffer: vec![0; len],
            ..FlashState::default()
        });
        assert_eq!(flash.save().mode, FlashMode::ReadStatus);
        command(&mut flash, 0, CONFIRM);
    }
}

proptest! {
    #[test]
    fn survives_any_access_and_roundtrips(
        ops in prop::collection::vec((crate::test_support::access(BLOCK_SIZE + 64), 0usize..16), 0..60),
    ) {
        const COMMANDS: [u8; 14] = [
            CMD_PROGRAM, CMD_PROGRAM_ALT, CMD_BLOCK_ERASE, CMD_CLEAR_STATUS, CMD_LOCK,
            CMD_READ_STATUS, CMD_READ_ID, CMD_QUERY, CMD_SUSPEND, CMD_WRITE_BUFFER,
            CMD_READ_ARRAY, CONFIRM, CONFIRM_LOCK, 3,
        ];
        let mut flash = flash(1);
        let mut mapped = true;
        for (op, choice) in &ops {
            if let Some(&choice) = COMMANDS.get(*choice) {
                match command(&mut flash, op.offset & 0xffc, choice) {
                    FlashAction::MapArray => mapped = true,
                    FlashAction::UnmapArray => mapped = false,
                    FlashAction::None => {}
                }
                prop_assert_eq!(mapped, flash.reads_as_array());
            }
            op.apply(&mut flash);
            mapped = flash.reads_as_array();
            let saved = flash.save();
            flash.restore(&saved);
            prop_assert_eq!(flash.save(), saved);
        }
        flash.reset();
        prop_assert_eq!(flash.save(), FlashState::default());
    }
}
