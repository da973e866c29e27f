//! The machine as a few instructions on it see it.

use skep_tests::program::{self, Machine};
use skep_vmm::{Access, Disk, Engine, Error, Outcome, Vm, VmConfig, VmHandle};
use std::time::{Duration, Instant};

#[test]
fn performance_counters_interrupt_when_they_overflow() {
    let started = Instant::now();
    let printed = program::run(
        r"
        .equ    PMU, 23
        gic_on  PMU
        mov     r0, #1
        mcr     p15, 0, r0, c9, c12, 0          @ PMCR: enable
        @ The cycle counter, 4096 cycles before its end.
        mov     r0, #1 << 31
        mcr     p15, 0, r0, c9, c14, 1          @ PMINTENSET
        ldr     r0, =-4096
        mcr     p15, 0, r0, c9, c13, 0          @ PMCCNTR
        mov     r0, #1 << 31
        mcr     p15, 0, r0, c9, c12, 1          @ PMCNTENSET
        mov     r4, #'c'
        bl      wait
        @ Event counter 0, a millisecond of cycles before its end.
        mov     r0, #0
        mcr     p15, 0, r0, c9, c12, 5          @ PMSELR
        mov     r0, #0x11
        mcr     p15, 0, r0, c9, c13, 1          @ PMXEVTYPER: cycles
        ldr     r0, =-1000000
        mcr     p15, 0, r0, c9, c13, 2          @ PMXEVCNTR
        mov     r0, #1
        mcr     p15, 0, r0, c9, c14, 1
        mcr     p15, 0, r0, c9, c12, 1
        mov     r4, #'e'
        bl      wait
        @ The same counter of software increments.
        mov     r0, #0
        mcr     p15, 0, r0, c9, c13, 1
        mvn     r0, #0
        mcr     p15, 0, r0, c9, c13, 2
        mov     r0, #1
        mcr     p15, 0, r0, c9, c12, 4          @ PMSWINC
        mov     r4, #'s'
        bl      wait
        off

        @ Waits for the interrupt, and prints r4 if it came, and went when the flag was cleared.
wait:   wfi
        ldr     r1, =GICC
        ldr     r2, [r1, #0xc]                  @ GICC_IAR
        ldr     r3, =1023
        cmp     r2, r3                          @ WFI may end without a reason
        beq     wait
        cmp     r2, #PMU
        bne     wrong
        mrc     p15, 0, r0, c9, c12, 3          @ PMOVSR
        mcr     p15, 0, r0, c9, c12, 3
        str     r2, [r1, #0x10]                 @ GICC_EOIR
        ldr     r2, [r1, #0x18]                 @ GICC_HPPIR
        cmp     r2, r3
        bne     wrong
        ldr     r1, =UART
        str     r4, [r1]
        bx      lr
wrong:  put     '!'
        off
        ",
    );
    assert_eq!(printed, "ces");
    // A WFI that misses its interrupt lasts ten seconds.
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_event_stream_ends_wfe() {
    // A hundred periods of 2^16 ticks. Nothing else ends a WFE in less than ten milliseconds.
    let printed = program::run(
        r"
        mov     r0, #0xf4                       @ EVNTEN, EVNTI = 15
        mcr     p15, 0, r0, c14, c1, 0          @ CNTKCTL
        wfe
        mrrc    p15, 1, r4, r5, c14             @ CNTVCT
        mov     r6, #100
1:      wfe
        subs    r6, r6, #1
        bne     1b
        mrrc    p15, 1, r6, r7, c14
        subs    r6, r6, r4
        lsr     r6, r6, #16
        cmp     r6, #90
        blo     wrong
        cmp     r6, #600
        bhi     wrong
        put     'e'
        off
wrong:  put     '!'
        off
        ",
    );
    assert_eq!(printed, "e");
}

#[test]
fn sev_ends_wfe_on_another_cpu() {
    // CPU 1 is told of 200 flags, one after the other, while it waits: without the event, each would
    // take ten milliseconds.
    let mut machine = Machine::new(
        program::raw(
            r"
        .equ    FLAG, 0x40f00000
        adr     r2, second
        mov     r1, #1
        mov     r3, #0
        call    0x84000003                      @ CPU_ON
        ldr     r8, =FLAG
        mov     r9, #0
1:      add     r9, r9, #1
        str     r9, [r8]
        dsb
        sev
2:      ldr     r0, [r8, #64]                   @ what CPU 1 has seen
        cmp     r0, r9
        bne     2b
        cmp     r9, #200
        bne     1b
        put     's'
        off

second: ldr     r8, =FLAG
        mov     r9, #0
3:      ldr     r0, [r8]
        cmp     r0, r9
        wfeeq
        beq     3b
        mov     r9, r0
        str     r9, [r8, #64]
        b       3b
        ",
            0,
        ),
        2,
    );
    let started = Instant::now();
    assert_eq!(machine.run(), Outcome::PoweredOff);
    assert_eq!(machine.printed(), "s");
    assert!(started.elapsed() < Duration::from_millis(1500));
}

#[test]
fn a_reservation_is_at_a_physical_address_and_outlives_a_stop() {
    let mut machine = Machine::new(
        program::raw(
            r"
        ldr     r12, =UART
        ldr     r0, =0x301                      @ UARTCR: on, both ways
        str     r0, [r12, #0x30]
        ldr     r8, =0x40f00010
        mov     r0, #5
        str     r0, [r8]
        ldrex   r1, [r8]
        put     'l'
1:      ldr     r0, [r12, #0x18]                @ UARTFR
        tst     r0, #0x10
        bne     1b
        strex   r2, r1, [r8]
        add     r0, r2, #'0'
        str     r0, [r12]
        strex   r2, r1, [r8]                    @ the reservation is used up
        add     r0, r2, #'0'
        str     r0, [r12]
        off
        ",
            0,
        ),
        1,
    );
    machine.run_until_printed(1);
    let state = machine.vm.states().next().expect("one CPU");
    let reservation = state.exclusive.expect("LDREX made one");
    assert_eq!((reservation.pa, reservation.size), (0x40f0_0010, 4));
    assert_eq!(reservation.value, 5);
    let outcome = machine.run_while(|vm| vm.input(b"x"));
    assert_eq!(outcome, Outcome::PoweredOff);
    assert_eq!(machine.printed(), "l01");
}

#[test]
fn cpu_suspend_waits_for_an_interrupt() {
    // In standby and in a state that may lose context: both return 0 with everything kept, and the
    // timer's interrupt pending, though masked.
    let started = Instant::now();
    let printed = program::run(
        r"
        .equ    TIMER, 27
        gic_on  TIMER
        .macro  call_suspend
        mov     r1, r5
        adr     r2, wrong                       @ entry point, were context lost
        call    0x84000001                      @ CPU_SUSPEND
        .endm
        mov     r5, #0                          @ power_state: standby
        bl      suspend
        mov     r5, #0x10000                    @ power down
        bl      suspend
        mov     r5, #0x1000000                  @ of the cluster: not here
        call_suspend
        cmn     r0, #2                          @ INVALID_PARAMETERS
        bne     wrong
        put     'i'
        off

suspend:
        ldr     r0, =625000                     @ 10 ms
        mcr     p15, 0, r0, c14, c3, 0          @ CNTV_TVAL
        mov     r0, #1
        mcr     p15, 0, r0, c14, c3, 1          @ CNTV_CTL
1:      call_suspend
        cmp     r0, #0
        bne     wrong
        mrc     p15, 0, r0, c14, c3, 1
        tst     r0, #4                          @ ISTATUS; waking up early is allowed
        beq     1b
        ldr     r1, =GICC
        ldr     r2, [r1, #0x18]                 @ GICC_HPPIR
        cmp     r2, #TIMER
        bne     wrong
        mov     r0, #0
        mcr     p15, 0, r0, c14, c3, 1
        put     's'
        bx      lr
wrong:  put     '!'
        off
        ",
    );
    assert_eq!(printed, "ssi");
    let passed = started.elapsed();
    assert!(passed > Duration::from_millis(20) && passed < Duration::from_secs(5));
}

#[test]
fn a_cpu_is_switched_on_and_off_again() {
    let mut machine = Machine::new(
        program::raw(
            r"
        mov     r6, #3                          @ so many times
again:  mov     r1, #1
        adr     r2, arm_entry
        tst     r6, #1
        addeq   r2, r2, #thumb_entry + 1 - arm_entry
        add     r3, r6, #'0'
        call    0x84000003                      @ CPU_ON
        cmp     r0, #0
        bne     wrong
        mov     r1, #0
        call    0x84000003
        cmn     r0, #4                          @ ALREADY_ON: it calls
        bne     wrong
1:      mov     r1, #1
        mov     r2, #0
        call    0x84000004                      @ AFFINITY_INFO
        cmp     r0, #1                          @ OFF
        bne     1b
        subs    r6, r6, #1
        bne     again
        off
wrong:  put     '!'
        off

        @ CPU 1 prints what it was given, and goes.
        .align  2
arm_entry:
        ldr     r1, =UART
        str     r0, [r1]
        call    0x84000002                      @ CPU_OFF
        put     '?'
        .align  2
        .thumb
thumb_entry:
        adds    r0, #'a' - '0'
        ldr     r1, =UART
        str     r0, [r1]
        call    0x84000002
        put     '?'
        ",
            0,
        ),
        2,
    );
    assert_eq!(machine.run(), Outcome::PoweredOff);
    assert_eq!(machine.printed(), "3c1");
}

/// Prints 'a' and waits for a byte on the serial port; prints 'o' if less than a second has passed
/// meanwhile, and 'l' otherwise.
const STOPWATCH: &str = r"
        ldr     r8, =UART
        ldr     r0, =0x301                      @ UARTCR: on, both ways
        str     r0, [r8, #0x30]
        mrrc    p15, 1, r4, r5, c14             @ CNTVCT
        put     'a'
1:      ldr     r0, [r8, #0x18]                 @ UARTFR
        tst     r0, #0x10
        bne     1b
        mrrc    p15, 1, r6, r7, c14
        subs    r6, r6, r4
        ldr     r0, =187500000
        cmp     r6, r0
        movlo   r0, #'o'
        movhs   r0, #'l'
        str     r0, [r8]
        off
";

fn wait_for_output(vm: &VmHandle, bytes: u64) {
    while vm.output_count() < bytes {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn time_and_execution_stand_still_during_a_pause() {
    // The second CPU is off, and must not keep the pause waiting.
    let mut machine = Machine::new(program::raw(STOPWATCH, 0), 2);
    let outcome = machine.run_while(|vm| {
        wait_for_output(&vm, 1);
        vm.pause();
        assert!(vm.paused());
        let before = vm.progress();
        std::thread::sleep(Duration::from_millis(3500));
        assert_eq!(vm.progress(), before);
        vm.resume();
        assert!(!vm.paused());
        vm.input(b"x");
    });
    assert_eq!(outcome, Outcome::PoweredOff);
    assert_eq!(machine.printed(), "ao");
    // Without a pause, the stopwatch runs.
    let mut machine = Machine::new(program::raw(STOPWATCH, 0), 1);
    machine.run_while(|vm| {
        wait_for_output(&vm, 1);
        std::thread::sleep(Duration::from_millis(3100));
        vm.input(b"x");
    });
    assert_eq!(machine.printed(), "al");
}

#[test]
fn input_wakes_a_guest_that_sleeps_since_it_listens() {
    // The port gives input to guests that have listened for a while; this one sleeps at once.
    let mut machine = Machine::new(
        program::raw(
            r"
        .equ    UART_IRQ, 33
        gic_on  0
        ldr     r8, =GICD
        mov     r0, #2
        str     r0, [r8, #0x104]                @ GICD_ISENABLER1
        mov     r0, #1
        strb    r0, [r8, #0x800 + UART_IRQ]     @ GICD_ITARGETSR
        ldr     r8, =UART
        ldr     r0, =0x301                      @ UARTCR: on, both ways
        str     r0, [r8, #0x30]
        mov     r0, #0x10
        str     r0, [r8, #0x38]                 @ UARTIMSC: receive
        put     'a'
1:      wfi
        ldr     r0, [r8, #0x3c]                 @ UARTRIS, which is no poll for input
        tst     r0, #0x10
        beq     1b
        ldr     r0, [r8]
        str     r0, [r8]
        off
        ",
            0,
        ),
        1,
    );
    let mut waited = Duration::MAX;
    let outcome = machine.run_while(|vm| {
        wait_for_output(&vm, 1);
        std::thread::sleep(Duration::from_millis(100));
        let typed = Instant::now();
        vm.input(b"x");
        wait_for_output(&vm, 2);
        waited = typed.elapsed();
    });
    assert_eq!(outcome, Outcome::PoweredOff);
    assert_eq!(machine.printed(), "ax");
    // Without being woken up, it sleeps for ten seconds.
    assert!(waited < Duration::from_secs(3), "{waited:?}");
}

/// Prints 'n' if memory is new, 'u' if it is used, and sleeps for ever.
const SLEEPER: &str = r"
        ldr     r8, =0x40f00000
        ldr     r1, [r8]
        mov     r0, #1
        str     r0, [r8]
        cmp     r1, #0
        moveq   r0, #'n'
        movne   r0, #'u'
        ldr     r8, =UART
        str     r0, [r8]
1:      wfi
        b       1b
";

#[test]
fn a_reset_starts_anew_from_any_state() {
    let mut machine = Machine::new(program::raw(SLEEPER, 0), 2);
    let outcome = machine.run_while(|vm| {
        wait_for_output(&vm, 1);
        vm.reset();
        wait_for_output(&vm, 2);
        vm.pause();
        vm.reset();
        wait_for_output(&vm, 3);
        assert!(!vm.paused());
        vm.pause();
        vm.stop();
    });
    assert_eq!(outcome, Outcome::Stopped);
    assert_eq!(machine.printed(), "nnn");
    // It goes on where it was, asleep.
    let outcome = machine.run_while(|vm| vm.stop());
    assert_eq!(outcome, Outcome::Stopped);
    assert_eq!(machine.printed(), "nnn");
}

#[test]
fn a_panic_of_one_cpu_ends_the_machine() {
    // The host's sink panics. The other CPU sleeps; the first waits for it in a loop.
    let program = program::raw(
        r"
        mov     r1, #1
        adr     r2, second
        mov     r3, #0
        call    0x84000003                      @ CPU_ON
1:      mcr     p15, 0, r0, c8, c3, 0           @ TLBIALLIS
        dsb
        b       1b
second: put     'x'
2:      wfi
        b       2b
        ",
        0,
    );
    for engine in [Engine::Interp, Engine::Auto] {
        let config = VmConfig {
            kernel: Some(program.clone().into()),
            memory: 16 << 20,
            cpus: 2,
            engine,
            ..VmConfig::default()
        };
        let sink = |byte| panic!("the sink got {byte}");
        let mut vm = Vm::new(config, Box::new(sink)).expect("a valid configuration");
        let Err(Error::Panic { cpu, message }) = vm.run() else {
            panic!("{engine:?}: no panic");
        };
        assert_eq!((cpu, message.as_str()), (1, "the sink got 120"));
    }
}

/// A program that asks a disk 256 times for its first `mib` MiB, each time into the same MiB of memory
/// at 0x40600000. It begins with `before`, and prints `a` when it asks.
fn asks_for_much(mib: u32, before: &str) -> Vec<u8> {
    let last = mib + 2;
    let source = format!(
        r"
        .equ    DISK, 0x0a003e00                @ virtio-mmio, the last slot
        .macro  set register, value
        ldr     r0, =\value
        str     r0, [r8, #\register]
        .endm
{before}
        ldr     r8, =DISK
        set     0x70, 3                         @ ACKNOWLEDGE, DRIVER
        set     0x24, 1
        set     0x20, 1                         @ VERSION_1
        set     0x70, 0xb                       @ FEATURES_OK
        set     0x38, 256                       @ the queue's size, and its three parts
        set     0x80, 0x40400000
        set     0x90, 0x40401000
        set     0xa0, 0x40402000
        set     0x44, 1
        set     0x70, 0xf                       @ DRIVER_OK
        @ One chain: the header (zeros: read sector 0), 250 buffers, the status.
        ldr     r1, =0x40400000
        ldr     r2, =0x40500000
        mov     r3, #0
        mov     r4, #16
        ldr     r5, =0x00010001                 @ NEXT
        stmia   r1!, {{r2-r5}}
        ldr     r2, =0x40600000
        mov     r4, #0x100000
        ldr     r5, =0x00020003                 @ NEXT, WRITE
1:      stmia   r1!, {{r2-r5}}
        add     r5, r5, #0x10000
        lsr     r6, r5, #16
        cmp     r6, #{last}
        bne     1b
        ldr     r2, =0x40500100
        mov     r4, #1
        mov     r5, #2                          @ WRITE
        stmia   r1!, {{r2-r5}}
        ldr     r1, =0x40401000                 @ the same chain 256 times
        mov     r0, #256
        strh    r0, [r1, #2]
        put     'a'
        set     0x50, 0
2:      b       2b
        "
    );
    program::raw(&source, 0)
}

#[test]
fn a_pause_does_not_wait_for_all_that_a_disk_was_asked() {
    // 64 GB to move.
    let program = asks_for_much(250, "");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("disk.img");
    let disk = std::fs::File::create(&path).and_then(|file| file.set_len(250 << 20));
    disk.expect("the directory is writable");
    let mut machine = Machine::with(VmConfig {
        kernel: Some(program.into()),
        memory: 16 << 20,
        disks: vec![Disk {
            access: Access::ReadOnly,
            ..Disk::new(path)
        }],
        ..VmConfig::default()
    });
    let mut waited = Duration::MAX;
    let outcome = machine.run_while(|vm| {
        wait_for_output(&vm, 1);
        std::thread::sleep(Duration::from_millis(100));
        let asked = Instant::now();
        vm.pause();
        vm.resume();
        vm.stop();
        waited = asked.elapsed();
    });
    assert_eq!(outcome, Outcome::Stopped);
    assert_eq!(machine.printed(), "a");
    assert!(waited < Duration::from_secs(4), "{waited:?}");
}

#[test]
fn a_reset_leaves_nothing_to_requests_that_are_being_served() {
    // It looks for some milliseconds whether its memory, which is empty after a reset, stays so.
    let program = asks_for_much(
        16,
        r"
        mov     r4, #4
1:      ldr     r1, =0x40600000
        ldr     r2, =0x40700000
2:      ldr     r3, [r1], #64
        cmp     r3, #0
        beq     3f
        put     '!'
4:      b       4b
3:      cmp     r1, r2
        blo     2b
        subs    r4, r4, #1
        bne     1b",
    );
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("disk.img");
    std::fs::write(&path, vec![0xff; 16 << 20]).expect("the directory is writable");
    let mut machine = Machine::with(VmConfig {
        kernel: Some(program.into()),
        memory: 16 << 20,
        disks: vec![Disk::new(path)],
        ..VmConfig::default()
    });
    let outcome = machine.run_while(|vm| {
        for resets in 1..=10 {
            wait_for_output(&vm, resets);
            std::thread::sleep(Duration::from_millis(2 * resets));
            vm.reset();
        }
        wait_for_output(&vm, 11);
        vm.stop();
    });
    assert_eq!(outcome, Outcome::Stopped);
    assert_eq!(machine.printed(), "a".repeat(11));
}
