//! SOCKS requests: no panic, and the promises of `navigator_egress::fuzzing::socks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| navigator_egress::fuzzing::socks(bytes));
