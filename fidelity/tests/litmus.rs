//! Memory ordering, exclusives and maintenance between vCPUs, in both engines.

use skep_fidelity::litmus::{self, Engines, LitmusError, written};

/// Iterations of each test: those in debug builds show that nothing hangs.
const N: u32 = if cfg!(debug_assertions) {
    2_000
} else {
    60_000
};

const ALL: [Engines; 3] = [Engines::Translator, Engines::Mixed, Engines::Interpreter];

fn never(test: impl Fn(Engines) -> Result<u64, LitmusError>) {
    for engines in ALL {
        let forbidden = test(engines).expect("it ends");
        assert_eq!(forbidden, 0, "forbidden outcomes in {engines:?}");
    }
}

#[test]
fn who_sees_the_flag_sees_the_data() {
    never(|engines| litmus::message_passing(engines, N));
}

#[test]
fn of_two_who_write_and_then_read_one_sees_the_others_write() {
    never(|engines| litmus::store_buffering(engines, N));
}

#[test]
fn of_two_who_read_and_then_write_one_reads_before_the_other_writes() {
    never(|engines| litmus::load_buffering(engines, N));
}

#[test]
fn readers_agree_on_the_order_of_writes() {
    never(|engines| litmus::independent_reads(engines, N));
}

#[test]
fn nothing_that_exclusives_count_gets_lost() {
    never(|engines| litmus::exclusives(engines, 2, N));
    never(|engines| litmus::exclusives(engines, 4, N / 4));
}

#[test]
fn code_that_another_rewrote_is_what_executes() {
    // MOVW holds 16 bits of it.
    never(|engines| litmus::code_modification(engines, N.min(0xffff)));
}

#[test]
fn a_mapping_is_gone_everywhere_when_its_maintenance_completes() {
    never(|engines| litmus::shootdown(engines, false, false, N / 10));
    never(|engines| litmus::shootdown(engines, true, false, N / 200));
}

#[test]
fn a_mapping_is_gone_for_a_vcpu_that_must_translate_anew() {
    never(|engines| litmus::shootdown(engines, true, true, N / 100));
}

/// Iterations of tests that decode in each: fewer, and MOVW holds 16 bits of a number.
const NUMBERS: u32 = N / 3;

#[test]
fn two_writers_of_a_page_complete_each_by_itself() {
    for apart in [8, 0x40, 0x800] {
        never(|engines| written::two_writers(engines, apart, NUMBERS));
    }
}

#[test]
fn data_in_a_page_of_code_that_is_rewritten_stays() {
    never(|engines| written::data_beside_code(engines, NUMBERS));
}

#[test]
fn code_that_is_written_while_it_is_first_decoded_is_what_executes() {
    for stride in [0x40, 0x1040] {
        never(|engines| written::first_decoding(engines, 1, stride, NUMBERS));
        never(|engines| written::first_decoding(engines, 3, stride, NUMBERS / 4));
    }
}

#[test]
fn code_that_a_device_writes_is_what_executes() {
    for stride in [0x40, 0x1040] {
        never(|engines| written::device_writes(engines, false, stride, NUMBERS));
        never(|engines| written::device_writes(engines, true, stride, NUMBERS));
    }
}

#[test]
fn code_that_is_mapped_elsewhere_executes_there() {
    never(|engines| written::code_elsewhere(engines, 1, NUMBERS / 4));
    never(|engines| written::code_elsewhere(engines, 3, NUMBERS / 16));
}

#[test]
fn an_instruction_is_of_the_two_pages_that_are_mapped() {
    never(|engines| written::second_half_elsewhere(engines, NUMBERS / 4));
}
