//! Terminal sessions that outlast whoever looks at them: left, taken up again, shared, ended, recorded.

use std::process::{Command, Output, Stdio};

use super::running::Running;
use crate::harness::{Case, as_everyone, code, stderr, stdout};

/// People at terminals of their own; the first arguments are the command line without its last words.
const PEOPLE: &str = r#"
import fcntl, json, os, pty, select, signal, struct, sys, termios, time
class Person:
    def __init__(self, *words, rows=24, columns=80):
        self.seen, self.all = b"", b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # Started when its terminal has a size.
            sys.stdin.readline()
            os.execvp(sys.argv[1], [*sys.argv[1:], *words])
        self.size(rows, columns)
        os.write(self.fd, b"\n")
    def size(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    def read(self, wait):
        if not select.select([self.fd], [], [], wait)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return None
        self.seen += data
        self.all += data
        return True if data else None
    def until(self, text):
        end = time.time() + 60
        while text not in self.seen:
            assert time.time() < end and self.read(1) is not None, (text, self.all[-3000:])
        self.seen = self.seen.split(text, 1)[1]
    def type(self, text):
        while text:
            if select.select([self.fd], [self.fd], [], 5)[0]:
                self.read(0)
            text = text[os.write(self.fd, text[:1024]):]
    def code(self):
        end = time.time() + 60
        while self.read(1) is not None:
            assert time.time() < end, self.all[-3000:]
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
    def leave(self):
        self.type(b"\x1dd")
        self.until(b"come back with")
        assert self.code() == 0
def connect(*words, **size):
    return Person("sandbox", "connect", "demo", *words, **size)
"#;

fn people(case: &Case, running: &Running<'_>, script: &str) -> Output {
    let driver = case.file("people.py", &format!("{PEOPLE}{script}"));
    let navigator = running.command(&[]);
    let mut python = Command::new("python3");
    python.arg(driver).arg(navigator.get_program()).args(navigator.get_args());
    python.current_dir(case.path("."));
    for (name, value) in navigator.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    python.env("TERM", "xterm-256color").stdin(Stdio::null()).output().unwrap()
}

fn succeeds(case: &Case, running: &Running<'_>, script: &str) {
    let output = people(case, running, script);
    assert_eq!(code(&output), 0, "{}{}\n{}", stdout(&output), stderr(&output), running.log());
}

#[test]
fn what_runs_goes_on_when_its_person_leaves_or_is_killed() {
    as_everyone(|case| {
        let running = Running::start(case);
        let script = r#"
agent = "echo ready-$((20+1)); read a; echo got-$a; read b; echo \xc3\xa4-$b; exit 7"
one = Person("sandbox", "create", "demo", "--", "sh", "-c", agent)
one.until(b"ready-21")
one.leave()
two = connect()
two.until(b"ready-21")
two.type(b"x\n")
two.until(b"got-x")
os.kill(two.pid, signal.SIGKILL)
two.code()
three = connect()
three.until(b"got-x")
three.type(b"z\n")
three.until("\u00e4-z".encode())
assert three.code() == 7
"#;
        succeeds(case, &running, &script.replace("\\xc3\\xa4", "\u{e4}"));
        running.succeeds(&["sandbox", "delete", "demo"]);
        running.nothing_is_left();
    });
}

#[test]
fn a_full_screen_program_is_drawn_again_after_the_gateway_was_killed() {
    as_everyone(|case| {
        let running = Running::start(case);
        running.succeeds(&["sandbox", "create", "demo", "-d"]);
        running.succeeds(&["sandbox", "wait", "demo"]);
        let begin = r#"
one = connect("--", "sh", "-c", "seq 1 500 > /tmp/n; TERM=xterm less /tmp/n")
one.until(b"\x1b[?1049h")
one.type(b"100g")
one.until(b"122")
one.leave()
"#;
        succeeds(case, &running, begin);
        running.kill();
        running.start_again();
        let again = r#"
two = connect(rows=30, columns=90)
two.until(b"\x1b[?1049h")
two.until(b"100")
two.type(b"q")
assert two.code() == 0
"#;
        succeeds(case, &running, again);
        running.succeeds(&["sandbox", "delete", "demo"]);
        running.nothing_is_left();
    });
}

#[test]
fn several_people_see_the_same_and_who_typed_last_gives_the_size() {
    as_everyone(|case| {
        let running = Running::start(case);
        running.succeeds(&["sandbox", "create", "demo", "-d"]);
        running.succeeds(&["sandbox", "wait", "demo"]);
        let script = r#"
one = connect("--", "sh", rows=24, columns=80)
one.type(b"echo on-$((40+2))\n")
one.until(b"on-42")
two = connect(rows=31, columns=97)
two.until(b"on-42")
two.type(b"stty size\n")
two.until(b"31 97")
one.until(b"31 97")
one.type(b"stty size\n")
two.until(b"24 80")
# Whoever reads nothing stops nobody.
two.type(b"seq 1 1500000; echo over-$((1+1))\n")
two.until(b"over-2")
one.until(b"over-2")
two.type(b"echo go-$((1+2)); sleep 1000\n")
two.until(b"go-3")
two.type(b"\x03")
two.until(b"$ ")
two.type(b"echo after-$((2+3))\n")
one.until(b"after-5")
one.type(b"wc -c > /tmp/pasted\n")
for _ in range(1024):
    one.type(b"x" * 1023 + b"\n")
one.type(b"\x04")
one.type(b"echo size-$(cat /tmp/pasted)\n")
one.until(b"size-1048576")
two.leave()
one.type(b"exit 3\n")
assert one.code() == 3
"#;
        succeeds(case, &running, script);
        running.succeeds(&["sandbox", "delete", "demo"]);
        running.nothing_is_left();
    });
}

#[test]
fn sessions_are_listed_ended_and_have_plain_names() {
    as_everyone(|case| {
        let running = Running::start(case);
        running.succeeds(&["sandbox", "create", "demo", "-d"]);
        running.succeeds(&["sandbox", "wait", "demo"]);
        let script = r#"
one = connect("-s", "tests", "--", "sh")
one.type(b"echo on-$((40+2))\n")
one.until(b"on-42")
again = connect("-s", "tests", "--new", "--", "sh")
again.until(b"runs already")
assert again.code() == 125
bad = connect("-s", "a\x1b]2;x\x07b")
assert bad.code() == 2
one.leave()
"#;
        succeeds(case, &running, script);
        let listed = running.succeeds(&["sandbox", "sessions", "demo", "-o", "json"]);
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        assert_eq!((&listed[0]["name"], &listed[0]["clients"]), (&"tests".into(), &0.into()));
        assert_eq!(listed[0]["columns"], 80);
        running.succeeds(&["sandbox", "sessions", "demo", "--kill", "tests"]);
        let gone = running.output(&["sandbox", "sessions", "demo", "--kill", "tests"]);
        assert_eq!(code(&gone), 1, "{}", stderr(&gone));
        running.succeeds(&["sandbox", "delete", "demo"]);
        running.nothing_is_left();
    });
}

#[test]
fn a_recording_is_kept_outside_and_played_again() {
    as_everyone(|case| {
        let running = Running::start(case);
        let script = r#"
one = Person("sandbox", "create", "demo", "--record", "--", "sh", "-c", "read -r a; echo heard-$((40+2)); ls -R / 2>/dev/null | grep '[.]cast$'; exit 4")
one.until(b"leave it with")
one.type(b"secret\n")
one.until(b"heard-42")
assert one.code() == 4
assert b".cast" not in one.all
"#;
        succeeds(case, &running, script);
        let shown = running.succeeds(&["sandbox", "replay", "demo", "--idle-limit", "0.01"]);
        assert!(shown.contains("heard-42"), "{shown:?}");
        let file = case.path("saved.cast").display().to_string();
        running.succeeds(&["sandbox", "replay", "demo", "--save", &file]);
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["version"], &lines[0]["width"]), (&2.into(), &80.into()));
        assert!(lines[1..].iter().all(|line| line[0].is_f64() && line[1] != "i"), "{text}");
        running.succeeds(&["sandbox", "delete", "demo"]);
        running.nothing_is_left();
    });
}
