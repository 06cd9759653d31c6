//! Sandboxes as users of the command line see them, on a gateway in this process.

mod create;
mod exec;
mod faults;
mod policies;
mod real;
mod terminal;
mod views;

use std::process::{Command, Output};

use navigator_testkit::gateway::Service;

/// The program, told to use a gateway and directories of the test's own.
pub(crate) fn program(service: &Service) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_navigator"));
    let at = |name: &str| service.dir.path().join(name);
    command
        .env("NAVIGATOR_GATEWAY", format!("unix:{}", service.socket().display()))
        .env("NAVIGATOR_CONFIG_DIR", at("config"))
        .env("NAVIGATOR_STATE_DIR", at("state"))
        .env("NAVIGATOR_RUNTIME_DIR", at("runtime"))
        .env_remove("NAVIGATOR_SANDBOX_POLICY");
    command
}

pub(crate) fn call(service: &Service, words: &str) -> Output {
    program(service).args(words.split(' ')).output().unwrap()
}

pub(crate) fn sandbox(service: &Service, words: &str) -> Output {
    call(service, &format!("sandbox {words}"))
}
