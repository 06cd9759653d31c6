//! Terminals and descriptors as people use them: job control, closed descriptors, a reader that went away.

use std::process::{Command, Output, Stdio};

use crate::harness::{Case, as_everyone, code, stderr, stdout};

/// Types into an interactive shell on a terminal; its first arguments are the command to start.
const PERSON: &str = r#"
import os, pty, select, shlex, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.environ["PS1"] = "outside> "
    os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
seen = b""
def until(text):
    global seen
    end = time.time() + 30
    while text not in seen and time.time() < end:
        if select.select([fd], [], [], 1)[0]:
            seen += os.read(fd, 4096)
    assert text in seen, seen
    seen = seen.split(text, 1)[1]
def type(text):
    os.write(fd, text)
until(b"outside> ")
"#;

fn person(case: &Case, script: &str, inside: &[&str]) -> Output {
    let driver = case.file("person.py", &format!("{PERSON}{script}"));
    let mut args = vec!["run", "-q", "--audit", "/dev/null", "--"];
    args.extend(inside);
    let run = case.navigator(&args);
    Command::new("python3")
        .arg(driver)
        .arg(run.get_program())
        .args(run.get_args())
        .env("HOME", case.path("."))
        .current_dir(case.path("."))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn ctrl_z_stops_a_run_and_fg_goes_on_with_it() {
    // `go` is read after the run was stopped and brought back.
    let script = r#"
type(b"stty -echo\n")
type(shlex.join(sys.argv[1:]).encode() + b"; echo code=$?\n")
until(b"ready")
type(b"\x1a")
until(b"Stopped")
type(b"jobs\n")
until(b"Stopped")
type(b"fg\n")
time.sleep(0.5)
type(b"go\n")
until(b"heard go\r")
print("resumed")
"#;
    as_everyone(|case| {
        let inside = ["sh", "-c", "printf 'rea%s' dy; read word; echo heard $word"];
        let output = person(case, script, &inside);
        assert_eq!(stdout(&output), "resumed\n", "as {:?}: {}", case.who, stderr(&output));
    });
}

#[test]
fn a_shell_inside_has_job_control_of_its_own() {
    let script = r#"
type(shlex.join(sys.argv[1:]).encode() + b"\n")
until(b"inside> ")
type(b"sleep 300\n")
time.sleep(0.5)
type(b"\x1a")
until(b"Stopped")
until(b"inside> ")
type(b"kill -9 %1; stty size; exit 9\n")
until(b"exit")
until(b"outside> ")
type(b"echo code=$?\n")
until(b"code=")
until(b"code=")
seen += os.read(fd, 4096) if not seen else b""
print("code", seen[:1].decode())
"#;
    as_everyone(|case| {
        let inside = ["env", "PS1=inside> ", "bash", "--norc", "--noprofile", "-i"];
        let output = person(case, script, &inside);
        assert_eq!(stdout(&output), "code 9\n", "as {:?}: {}", case.who, stderr(&output));
    });
}

/// `navigator run` below a shell that first changes the descriptors.
fn redirected(case: &Case, redirection: &str, inside: &[&str]) -> Output {
    let mut args = vec!["run", "-q", "--audit", "/dev/null", "--"];
    args.extend(inside);
    let run = case.navigator(&args);
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("\"$@\" {redirection}"), "bash"]);
    shell.arg(run.get_program()).args(run.get_args());
    shell.env("HOME", case.path(".")).current_dir(case.path(".")).stdin(Stdio::null());
    shell.output().unwrap()
}

#[test]
fn closed_descriptors_are_no_way_in() {
    as_everyone(|case| {
        let look = "import os\nseen = [os.readlink(f'/proc/self/fd/{n}') for n in (0, 1, 2)]\n\
                    bad = [x for x in seen if x != '/dev/null' and not x.startswith('pipe:')]\n\
                    os._exit(9 if bad else 4)";
        for redirection in ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"] {
            let output = redirected(case, redirection, &["/usr/bin/python3", "-c", look]);
            assert_eq!(code(&output), 4, "{redirection} as {:?}: {output:?}", case.who);
        }
    });
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    as_everyone(|case| {
        let output = redirected(case, "| head -1; echo code=${PIPESTATUS[0]}", &["yes"]);
        assert_eq!(stdout(&output), "y\ncode=141\n", "as {:?}: {}", case.who, stderr(&output));
    });
}

#[test]
fn binary_data_passes_unchanged_in_both_directions_at_the_size_of_a_build() {
    as_everyone(|case| {
        let data: Vec<u8> =
            (0..5_000_000u64).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        std::fs::write(case.path("in"), &data).unwrap();
        let output = redirected(case, "< in > out", &["cat"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(std::fs::read(case.path("out")).unwrap() == data, "the data changed on the way");
    });
}
