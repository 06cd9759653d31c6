//! Parsers of other people, in Python: the interpreter that `NAVIGATOR_TEST_PYTHON` names has them.

use std::process::Command;

/// The interpreter, if it has this module; else says why the test is skipped.
pub(crate) fn with(module: &str) -> Option<String> {
    let Ok(python) = std::env::var("NAVIGATOR_TEST_PYTHON") else {
        eprintln!("skipped: NAVIGATOR_TEST_PYTHON names no interpreter that has {module}");
        return None;
    };
    let found = Command::new(&python).args(["-c", &format!("import {module}")]).status();
    assert!(found.is_ok_and(|status| status.success()), "{python} has no module {module}");
    Some(python)
}
