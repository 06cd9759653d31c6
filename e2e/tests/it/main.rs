//! Black-box tests: the real binary, real sandboxes, as root and as an ordinary user.

mod attacks;
mod bad_input;
mod behaviour;
mod end;
mod harness;
mod network;
