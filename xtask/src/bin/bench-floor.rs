//! The floor of a start: nanoseconds of one `clone3` with all namespace flags, exec of `true`, and its end.
#![forbid(unsafe_code)]

use std::time::Instant;

fn main() -> std::io::Result<()> {
    let start = Instant::now();
    let code = navigator_isolation::floor::run_in_namespaces(c"/bin/true")?;
    let time = start.elapsed();
    if code != 0 {
        return Err(std::io::Error::other(format!("`true` ended with {code}")));
    }
    println!("{}", time.as_nanos());
    Ok(())
}
