//! Heads of requests and their canonical paths: no panic, and the promises of `navigator_egress::fuzzing::request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| navigator_egress::fuzzing::request(bytes));
