//! Layers: no panic, and the promises of `navigator_images::fuzzing::layer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| navigator_images::fuzzing::layer(bytes));
