//! The first bytes of an inspected connection: no panic, and the promises of `navigator_egress::fuzzing::first_bytes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| navigator_egress::fuzzing::first_bytes(bytes));
