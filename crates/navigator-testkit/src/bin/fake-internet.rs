//! `fake-internet DIR CMD…`: runs a command in the fake internet that `DIR/internet.json` describes.
#![forbid(unsafe_code)]

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let (Some(dir), Some(program)) = (args.next(), args.next()) else {
        eprintln!("usage: fake-internet DIR CMD…");
        return ExitCode::from(2);
    };
    match navigator_testkit::live(dir.as_ref(), Command::new(program).args(args)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("fake-internet: {error:#}");
            ExitCode::from(125)
        }
    }
}
