//! The control plane: the only authority on which sandboxes there should be and what they may do.
#![forbid(unsafe_code)]

pub mod records;
pub mod store;
