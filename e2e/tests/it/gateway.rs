//! A gateway that runs, with sandboxes that live: what it survives, and that nothing is left behind.

mod api;
mod chaos;
mod ends;
mod faults;
mod machine;
mod running;
mod scale;
mod shells;
