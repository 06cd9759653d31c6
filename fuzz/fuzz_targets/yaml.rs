//! Policy texts: no panic, and what is accepted survives being written out and read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    match navigator_policy::load("fuzz", text) {
        Ok(checked) => {
            let again = navigator_policy::load("again", &checked.policy.to_yaml());
            assert_eq!(again.map(|checked| checked.policy), Ok(checked.policy));
        }
        Err(errors) => drop(errors.render(text)),
    }
});
