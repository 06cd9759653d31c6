//! Nothing but a home for the black-box tests in `tests/it`.
#![forbid(unsafe_code)]
