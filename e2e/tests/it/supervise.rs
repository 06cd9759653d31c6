//! Sandboxes that live: the real supervisor, driven by a gateway that is part of the test.

mod ending;
mod execs;
mod files;
mod logs;
mod many;
mod peer;
mod policies;
mod sessions;
mod supervisor;
mod terminals;
