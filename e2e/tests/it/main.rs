//! Black-box tests: the real binary, real sandboxes, as root and as an ordinary user.

mod attacks;
mod audit;
mod bad_input;
mod behaviour;
mod edges;
mod end;
mod gateway;
mod harness;
mod identity;
mod inspected;
mod internet;
mod kernels;
mod learn;
mod live;
mod network;
mod supervise;
mod terminal;
mod websocket;
mod zoo;
