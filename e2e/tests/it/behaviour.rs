//! What people expect of `navigator run`: exit codes, pipes, time, terminals.

use std::io::{Read, Write};
use std::process::Stdio;

use crate::harness::{as_everyone, code, stderr, stdout};

#[test]
fn the_exit_code_is_the_commands_own() {
    as_everyone(|case| {
        for wanted in [0, 1, 7, 255] {
            let output = case.run(&[], &["sh", "-c", &format!("exit {wanted}")]);
            assert_eq!(code(&output), wanted);
        }
        assert_eq!(code(&case.run(&[], &["sh", "-c", "kill -TERM $$"])), 143);
        assert_eq!(code(&case.run(&[], &["no-such-program"])), 127);
        assert_eq!(code(&case.run(&[], &["/etc/passwd"])), 126);
        assert_eq!(code(&case.run(&["--timeout", "200ms"], &["sleep", "30"])), 124);
        assert_eq!(
            code(&case.run(&["--workdir", "/nowhere/x", "--workdir", "../x"], &["true"])),
            2
        );
    });
}

#[test]
fn pipes_stay_pipes() {
    as_everyone(|case| {
        let mut child = case
            .navigator(&["run", "-q", "--audit", "/dev/null", "--", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let sent: Vec<u8> = (0..5_000_000u32).map(|number| (number % 251) as u8).collect();
        let mut stdin = child.stdin.take().unwrap();
        let copy = sent.clone();
        let writer = std::thread::spawn(move || stdin.write_all(&copy).unwrap());
        let mut received = vec![];
        child.stdout.take().unwrap().read_to_end(&mut received).unwrap();
        writer.join().unwrap();
        assert!(child.wait().unwrap().success());
        assert!(received == sent, "5 MB changed on the way");
    });
}

#[test]
fn standard_error_stays_apart() {
    as_everyone(|case| {
        let output = case.run(&["-q"], &["sh", "-c", "echo out; echo err >&2"]);
        assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("out\n", "err\n"));
    });
}

#[test]
fn a_terminal_is_made_when_asked_for() {
    as_everyone(|case| {
        let output = case.run(
            &["-t"],
            &["sh", "-c", "tty; test -t 0 -a -t 1 -a -t 2 && echo yes; ps -o stat= -p $$"],
        );
        let text = stdout(&output);
        assert!(text.contains("/dev/pts/0\r\n") && text.contains("yes\r\n"), "{text}");
    });
}

#[test]
fn a_real_terminal_works_as_people_expect() {
    // Python's pty module is the person: it types, resizes and reads the screen.
    let script = r#"
import fcntl, os, pty, select, signal, struct, sys, termios, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
seen = b""
def until(text):
    global seen
    end = time.time() + 20
    while text not in seen and time.time() < end:
        if select.select([fd], [], [], 1)[0]:
            if select.select([fd], [], [], 0.5)[0]: seen += os.read(fd, 4096)
    assert text in seen, (text, seen)
    seen = seen.split(text, 1)[1]
until(b"ready")
os.write(fd, b"\x03")
until(b"interrupted")
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
os.kill(pid, signal.SIGWINCH)
until(b"resized 50 132")
os.write(fd, b"word\r")
until(b"got word")
_, status = os.waitpid(pid, 0)
print("exit", os.waitstatus_to_exitcode(status))
"#;
    let inside = r#"
import os, signal, sys, time
# A handler may run in the middle of a print, which does not allow another one.
signal.signal(signal.SIGINT, lambda *a: os.write(1, b"interrupted"))
done = False
def resized(*a):
    global done
    size = os.get_terminal_size()
    if size.lines == 50:
        os.write(1, b"resized %d %d" % (size.lines, size.columns))
        done = True
signal.signal(signal.SIGWINCH, resized)
print("ready", flush=True)
# A signal that comes just before a blocking read would wait for its end.
while not done: time.sleep(0.01)
print("got", input(), flush=True)
sys.exit(5)
"#;
    as_everyone(|case| {
        let driver = case.file("driver.py", script);
        let mut run = case.navigator(&[
            "run",
            "-q",
            "--audit",
            "/dev/null",
            "--",
            "/usr/bin/python3",
            "-c",
            inside,
        ]);
        let mut words = vec![run.get_program().to_owned()];
        words.extend(run.get_args().map(ToOwned::to_owned));
        let output = std::process::Command::new("python3")
            .arg(&driver)
            .args(words)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(stdout(&output), "exit 5\n", "as {:?}: {}", case.who, stderr(&output));
        run.stdin(Stdio::null());
    });
}

#[test]
fn what_is_written_at_home_is_gone_after_the_run() {
    as_everyone(|case| {
        assert_eq!(code(&case.run(&[], &["sh", "-c", "echo x > /sandbox/kept"])), 0);
        assert_ne!(code(&case.run(&[], &["cat", "/sandbox/kept"])), 0);
    });
}

#[test]
fn login_shells_have_the_path_of_every_other_process() {
    as_everyone(|case| {
        let path = |shell: &[&str]| stdout(&case.run(&["-q"], shell));
        let plain = path(&["sh", "-c", "echo \"$PATH\""]);
        assert!(plain.contains("/bin"), "{plain}");
        assert_eq!(path(&["sh", "-lc", "echo \"$PATH\""]), plain);
        assert_eq!(path(&["bash", "-lc", "echo \"$PATH\""]), plain);
    });
}
