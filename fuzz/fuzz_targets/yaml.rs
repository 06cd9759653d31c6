//! Policy texts: no panic, and what is accepted survives being written out and read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    match navigator_policy::load("fuzz", text) {
        Ok(checked) => {
            for written in [checked.policy.to_yaml(), checked.policy.to_yaml_like(text)] {
                let again = navigator_policy::load("again", &written);
                assert_eq!(again.map(|checked| checked.policy), Ok(checked.policy.clone()));
            }
        }
        Err(errors) => drop(errors.render(text)),
    }
});
