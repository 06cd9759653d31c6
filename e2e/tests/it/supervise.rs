//! Sandboxes that live: the real supervisor, driven by a gateway that is part of the test.

mod execs;
mod peer;
mod supervisor;
