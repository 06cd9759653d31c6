//! Targets of the proxy: no panic, and the promises of `navigator_egress::fuzzing::target`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| navigator_egress::fuzzing::target(bytes));
