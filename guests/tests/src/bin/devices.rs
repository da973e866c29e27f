//! The board's devices: what their registers say at first, and which keep what is written. Each has
//! been driven by operating systems; here are the corners.

#![no_std]
#![no_main]

use guest_support::board::{FLASH_1, FW_CFG, GPIO, MEMORY_END, NOTHING, RTC, UART, UART_INT};
use guest_support::gic::{self, gicd};
use guest_support::mmio::{read8, read16, read32, write16, write32};
use guest_support::probe::Probe;
use guest_support::virtio::*;
use guest_support::{guest, print, println, snippet};
use guest_tests::MEMORY;

guest!(main);

fn main() {
    uart();
    uart_interrupts();
    uart_loopback();
    clock();
    gpio();
    fw_cfg();
    flash();
    virtio();
    entropy();
    empty_slots();
    nothing();
}

/// Registers by offset, as they are and after ones were written.
fn registers(name: &str, base: u32, offsets: &[u32]) {
    for offset in offsets {
        println!("{name} {offset:03x}: {:08x}", read32(base + offset));
    }
}

fn identity(name: &str, base: u32) {
    print!("{name} identity:");
    for offset in (0xfe0..0x1000).step_by(4) {
        print!(" {:02x}", read32(base + offset));
    }
    println!();
}

/// What registers keep of ones; their values are put back.
fn keeps(name: &str, base: u32, offsets: &[u32]) {
    for &offset in offsets {
        let before = read32(base + offset);
        write32(base + offset, u32::MAX);
        let ones = read32(base + offset);
        write32(base + offset, 0);
        let zeros = read32(base + offset);
        write32(base + offset, before);
        println!("{name} {offset:03x}: ones {ones:08x} zeros {zeros:08x}");
    }
}

mod uart {
    pub const FR: u32 = 0x18;
    pub const LCR_H: u32 = 0x2c;
    pub const CR: u32 = 0x30;
    pub const IFLS: u32 = 0x34;
    pub const IMSC: u32 = 0x38;
    pub const RIS: u32 = 0x3c;
    pub const MIS: u32 = 0x40;
    pub const ICR: u32 = 0x44;
}

fn uart() {
    use uart::*;
    identity("uart", UART);
    // What QEMU's firmware-less start leaves.
    registers(
        "uart",
        UART,
        &[
            0x04, FR, 0x20, 0x24, 0x28, LCR_H, CR, IFLS, IMSC, MIS, 0x48, 0x50, 0x80, 0xfdc,
        ],
    );
    keeps("uart", UART, &[0x04, 0x20, 0x24, 0x28, LCR_H, IFLS, IMSC]);
    // DMACR keeps its two upper bits, and asks for nothing.
    println!("uart flags {:02x}", read32(UART + FR));
    println!("uart nothing to read {:08x}", read32(UART));
    println!(
        "uart byte and halfword {:02x} {:04x}",
        read8(UART + CR),
        read16(UART + CR)
    );
    write32(UART + LCR_H, 0x70);
    println!("uart flags with fifo {:02x}", read32(UART + FR));
    write32(UART + LCR_H, 0x60);
    println!("uart flags without fifo {:02x}", read32(UART + FR));
}

fn uart_interrupts() {
    use uart::*;
    gic::enable();
    write32(UART + ICR, 0x7ff);
    println!("uart ris after a clear {:03x}", read32(UART + RIS));
    print!("x");
    println!();
    println!("uart ris after output {:03x}", read32(UART + RIS));
    write32(UART + IMSC, 0x20);
    println!(
        "uart mis {:03x} line {}",
        read32(UART + MIS),
        gic::bit(gicd::ISPENDR, UART_INT)
    );
    write32(UART + IMSC, 0);
    println!(
        "uart mis {:03x} line {}",
        read32(UART + MIS),
        gic::bit(gicd::ISPENDR, UART_INT)
    );
    write32(UART + ICR, 0x20);
    let after = read32(UART + RIS);
    println!("uart ris after the clear of one {after:03x}");
}

/// CR.LBE: what is sent is received.
fn uart_loopback() {
    use uart::*;
    let control = read32(UART + CR);
    write32(UART + LCR_H, 0x70);
    write32(UART + CR, control | 0x381);
    for byte in 0x61..0x65 {
        write32(UART, byte);
    }
    let mut received = [0; 5];
    for slot in &mut received {
        *slot = if read32(UART + FR) & 0x10 == 0 {
            read32(UART)
        } else {
            0xfff
        };
    }
    write32(UART + CR, control);
    println!("uart loopback {received:x?}");
}

fn clock() {
    identity("rtc", RTC);
    registers("rtc", RTC, &[0x10, 0x14, 0x18, 0x20]);
    keeps("rtc", RTC, &[0x04, 0x10]);
    // The match register, and the interrupt's ways.
    let now = read32(RTC);
    println!("rtc is after 2020: {}", now > 1_577_836_800);
    write32(RTC + 0x08, 0x1000_0000);
    println!(
        "rtc loaded: {} lr {:08x}",
        read32(RTC).wrapping_sub(0x1000_0000) < 5,
        read32(RTC + 8)
    );
    write32(RTC + 0x04, 0x1000_0000);
    println!(
        "rtc match of the past: mr {:08x} ris {:x}",
        read32(RTC + 4),
        read32(RTC + 0x14)
    );
    write32(RTC + 0x0c, 0);
    println!("rtc cr after 0: {:x}", read32(RTC + 0x0c));
    write32(RTC + 0x1c, 1);
    println!(
        "rtc ris {:x} mis {:x}",
        read32(RTC + 0x14),
        read32(RTC + 0x18)
    );
}

fn gpio() {
    identity("gpio", GPIO);
    registers(
        "gpio",
        GPIO,
        &[
            0x3fc, 0x400, 0x404, 0x408, 0x40c, 0x410, 0x414, 0x418, 0x420,
        ],
    );
    keeps("gpio", GPIO, &[0x400, 0x404, 0x408, 0x40c, 0x410, 0x420]);
    // Data is masked by the address.
    write32(GPIO + 0x400, 0xff);
    write32(GPIO + 0x3fc, 0xa5);
    println!(
        "gpio data {:02x} masked {:02x} {:02x}",
        read32(GPIO + 0x3fc),
        read32(GPIO + (0x0f << 2)),
        read32(GPIO + (0xf0 << 2))
    );
    write32(GPIO + (0x0f << 2), 0xff);
    println!("gpio after a masked write {:02x}", read32(GPIO + 0x3fc));
    write32(GPIO + 0x400, 0);
    println!("gpio as inputs {:02x}", read32(GPIO + 0x3fc));
    // A level that is there.
    write32(GPIO + 0x404, 0x08);
    write32(GPIO + 0x40c, 0x00);
    println!(
        "gpio low level: ris {:02x} mis {:02x}",
        read32(GPIO + 0x414),
        read32(GPIO + 0x418)
    );
    write32(GPIO + 0x410, 0x08);
    println!("gpio unmasked: mis {:02x}", read32(GPIO + 0x418));
    write32(GPIO + 0x410, 0);
    write32(GPIO + 0x404, 0);
    write32(GPIO + 0x41c, 0xff);
    println!("gpio cleared: ris {:02x}", read32(GPIO + 0x414));
}

/// Reads bytes of an item of the firmware configuration.
fn item(key: u16, bytes: &mut [u8]) {
    write16(FW_CFG + 8, key.swap_bytes());
    for byte in bytes {
        *byte = read8(FW_CFG);
    }
}

fn fw_cfg() {
    let mut bytes = [0u8; 8];
    item(0, &mut bytes);
    println!("fw_cfg signature {bytes:02x?}");
    item(1, &mut bytes);
    println!("fw_cfg features {bytes:02x?}");
    println!(
        "fw_cfg dma {:08x} {:08x}",
        read32(FW_CFG + 16),
        read32(FW_CFG + 20)
    );
    // Wider reads take as many bytes.
    write16(FW_CFG + 8, 0);
    println!(
        "fw_cfg by word {:08x} then byte {:02x}",
        read32(FW_CFG),
        read8(FW_CFG)
    );
    for key in [0x0006u16, 0x3fff, 0x7fff, 0xffff] {
        item(key, &mut bytes);
        println!("fw_cfg item {key:04x} {bytes:02x?}");
    }
    item(5, &mut bytes);
    println!("fw_cfg cpus {bytes:02x?}");
    let selector = Probe::new(snippet!(arm, "ldrh r1, [r0]"))
        .r(0, FW_CFG + 8)
        .run();
    println!("fw_cfg selector read: {selector}");
    // DMA: the signature, into memory; big-endian fields.
    let control = MEMORY + 0x800;
    write32(control, (2u32 | 8).swap_bytes());
    write32(control + 4, 4u32.swap_bytes());
    write32(control + 8, 0);
    write32(control + 12, (MEMORY + 0x900).swap_bytes());
    write32(MEMORY + 0x900, 0);
    write32(FW_CFG + 16, 0);
    write32(FW_CFG + 20, control.swap_bytes());
    println!(
        "fw_cfg dma: control {:08x} data {:08x}",
        read32(control),
        read32(MEMORY + 0x900)
    );
    // To where there is no memory.
    write32(control, (2u32 | 8).swap_bytes());
    write32(control + 12, NOTHING.swap_bytes());
    write32(FW_CFG + 20, control.swap_bytes());
    println!("fw_cfg dma to nothing: control {:08x}", read32(control));
}

fn flash() {
    // The second bank is erased; 16-bit parts side by side.
    println!("flash erased {:08x}", read32(FLASH_1));
    write32(FLASH_1 + 0x55 * 4, 0x0098_0098);
    print!("flash query:");
    for index in 0x10..0x40 {
        print!(" {:08x}", read32(FLASH_1 + index * 4));
    }
    println!();
    write32(FLASH_1, 0x00ff_00ff);
    println!("flash array {:08x}", read32(FLASH_1));
    write32(FLASH_1, 0x0090_0090);
    for index in 0..4 {
        print!("flash id {index}: {:08x} ", read32(FLASH_1 + index * 4));
    }
    println!();
    write32(FLASH_1, 0x0070_0070);
    println!("flash status {:08x}", read32(FLASH_1));
    write32(FLASH_1, 0x0050_0050);
    write32(FLASH_1, 0x00ff_00ff);
    println!("flash array {:08x}", read32(FLASH_1));
}

fn virtio() {
    let Some(base) = find(4) else {
        println!("no entropy device");
        return;
    };
    println!(
        "entropy magic {:08x} version {} vendor {:08x}",
        read32(base + MAGIC),
        read32(base + VERSION),
        read32(base + VENDOR_ID)
    );
    println!(
        "entropy status {:x} interrupts {:x} generation {}",
        read32(base + STATUS),
        read32(base + INTERRUPT_STATUS),
        read32(base + CONFIG_GENERATION)
    );
    for select in 0..3 {
        write32(base + DEVICE_FEATURES_SEL, select);
        println!(
            "entropy features {select} {:08x}",
            read32(base + DEVICE_FEATURES)
        );
    }
    for queue in [0, 1, 7, 1023, 0xffff_ffff] {
        write32(base + QUEUE_SEL, queue);
        println!(
            "entropy queue {queue:x}: max {} ready {}",
            read32(base + QUEUE_NUM_MAX),
            read32(base + QUEUE_READY)
        );
    }
    write32(base + QUEUE_SEL, 0);
    // Write-only registers read as 0; so does the configuration that there is none of.
    for offset in [
        DEVICE_FEATURES_SEL,
        DRIVER_FEATURES,
        DRIVER_FEATURES_SEL,
        QUEUE_SEL,
        QUEUE_NUM,
        QUEUE_NOTIFY,
        INTERRUPT_ACK,
        QUEUE_DESC_LOW,
        CONFIG,
        0x02c,
        0x0c0,
        0x1fc,
    ] {
        println!("entropy {offset:03x}: {:08x}", read32(base + offset));
    }
    println!(
        "entropy bytes {:02x} {:04x}",
        read8(base + MAGIC),
        read16(base + MAGIC)
    );
    // Status goes through its steps.
    for status in [1, 3] {
        write32(base + STATUS, status);
        println!("entropy status {:x}", read32(base + STATUS));
    }
    // Without VERSION_1 the features are not accepted.
    write32(base + DRIVER_FEATURES_SEL, 1);
    write32(base + DRIVER_FEATURES, 0);
    write32(base + STATUS, 0xb);
    println!(
        "entropy features_ok without version 1: {:x}",
        read32(base + STATUS)
    );
    write32(base + STATUS, 0);
    println!("entropy reset {:x}", read32(base + STATUS));
}

/// The driver's way to random bytes, once.
fn entropy() {
    let Some(base) = find(4) else { return };
    let queue = MEMORY + 0x8_0000;
    let (descriptors, available, used, buffer) =
        (queue, queue + 0x1000, queue + 0x2000, queue + 0x3000);
    for word in (queue..queue + 0x4000).step_by(4) {
        write32(word, 0);
    }
    for status in [0, 1, 3] {
        write32(base + STATUS, status);
    }
    write32(base + DRIVER_FEATURES_SEL, 0);
    write32(base + DRIVER_FEATURES, 0);
    write32(base + DRIVER_FEATURES_SEL, 1);
    write32(base + DRIVER_FEATURES, 1);
    write32(base + STATUS, 0xb);
    println!("entropy features_ok {:x}", read32(base + STATUS));
    write32(base + QUEUE_SEL, 0);
    write32(base + QUEUE_NUM, 8);
    for (register, address) in [
        (QUEUE_DESC_LOW, descriptors),
        (QUEUE_DRIVER_LOW, available),
        (QUEUE_DEVICE_LOW, used),
    ] {
        write32(base + register, address);
        write32(base + register + 4, 0);
    }
    write32(base + QUEUE_READY, 1);
    println!("entropy ready {:x}", read32(base + QUEUE_READY));
    write32(base + STATUS, 0xf);
    // A chain of two buffers that the device writes.
    for (n, (length, flags, next)) in [(16u32, 3u16, 1u16), (8, 2, 0)].into_iter().enumerate() {
        let at = descriptors + 16 * n as u32;
        write32(at, buffer + 0x100 * n as u32);
        write32(at + 8, length);
        write16(at + 12, flags);
        write16(at + 14, next);
    }
    write16(available + 4, 0);
    write16(available + 2, 1);
    write32(base + QUEUE_NOTIFY, 0);
    while read16(used + 2) == 0 {
        core::hint::spin_loop();
    }
    println!(
        "entropy used {} id {} length {}",
        read16(used + 2),
        read32(used + 4),
        read32(used + 8)
    );
    println!("entropy interrupt {:x}", read32(base + INTERRUPT_STATUS));
    write32(base + INTERRUPT_ACK, 1);
    println!("entropy acknowledged {:x}", read32(base + INTERRUPT_STATUS));
    let beyond = read32(buffer + 16) | read32(buffer + 0x108);
    println!("entropy wrote beyond {beyond:x}");
    write32(base + STATUS, 0);
    println!(
        "entropy after reset: ready {} status {:x}",
        read32(base + QUEUE_READY),
        read32(base + STATUS)
    );
}

fn empty_slots() {
    let Some(base) = find(0) else { return };
    for offset in [
        MAGIC,
        VERSION,
        DEVICE_ID,
        VENDOR_ID,
        DEVICE_FEATURES,
        QUEUE_NUM_MAX,
        STATUS,
        CONFIG,
    ] {
        println!("empty slot {offset:03x}: {:08x}", read32(base + offset));
    }
    write32(base + STATUS, 1);
    println!("empty slot keeps {:x}", read32(base + STATUS));
}

/// Holes in the map, and the ends of devices.
fn nothing() {
    let load = snippet!(arm, "ldr r1, [r0]");
    let byte = snippet!(arm, "ldrb r1, [r0]");
    for address in [
        0x0801_1000,
        0x0801_2000,
        0x0802_0000,
        0x0900_1000,
        0x0901_1000,
        FW_CFG + 0x18,
        FW_CFG + 0x1000,
        0x0a00_4000,
        NOTHING,
        MEMORY_END,
        0xffff_fff0,
    ] {
        println!(
            "{address:08x}: word {}, byte {}",
            Probe::new(load).r(0, address).run(),
            Probe::new(byte).r(0, address).run()
        );
    }
}
