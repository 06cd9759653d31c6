//! Paths: no panic, and what is accepted has nothing left that a server could read differently.
#![no_main]

use navigator_policy::{CanonicalPath, SandboxPath};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(path) = CanonicalPath::parse(text) {
        let segments = || path.path().split('/');
        assert!(path.path().starts_with('/'));
        assert!(!segments().any(|segment| segment == "." || segment == ".."));
        assert!(!path.path().chars().any(char::is_control));
    }
    if let Ok(path) = SandboxPath::parse(text) {
        assert_eq!(SandboxPath::parse(path.as_str()), Ok(path));
    }
});
