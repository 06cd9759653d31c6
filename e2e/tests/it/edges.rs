//! The edges of a sandbox: what the host must not notice, names, escapes and descriptors (lines 8, 18–20, 27, 28).

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::{Who, as_everyone, code, stderr, stdout};

/// Listeners on every address of this machine; `seen` counts what reached them.
struct Host {
    port: u16,
    seen: Arc<AtomicUsize>,
}

impl Host {
    fn listen() -> Self {
        let seen = Arc::new(AtomicUsize::new(0));
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let datagrams = UdpSocket::bind(("::", port)).unwrap();
        let count = seen.clone();
        std::thread::spawn(move || {
            while listener.accept().is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        let count = seen.clone();
        std::thread::spawn(move || {
            while datagrams.recv_from(&mut [0; 64]).is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, seen }
    }
}

fn local_addresses() -> Vec<String> {
    let output = Command::new("hostname").arg("-I").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().filter(|word| !word.contains(':')).map(str::to_owned).collect()
}

#[test]
fn the_hosts_own_listeners_see_no_byte() {
    as_everyone(|case| {
        let host = Host::listen();
        std::net::TcpStream::connect(("127.0.0.1", host.port)).unwrap();
        crate::harness::eventually("the listener works", || host.seen.load(Ordering::SeqCst) == 1);
        let policy = case.policy(&format!(
            "network_policies:\n  p:\n    endpoints: [{{ host: pypi.org, port: {} }}]\n    \
             binaries: [{{ path: \"/usr/bin/python3*\" }}]\n",
            host.port
        ));
        let port = host.port.to_string();
        let own = local_addresses();
        let mut args = vec![port.as_str()];
        args.extend(own.iter().map(String::as_str));
        let found = case.attack(&["--policy", &policy], "host.py", &args);
        assert!(found.as_object().unwrap().len() > 60, "{found}");
        assert_eq!(host.seen.load(Ordering::SeqCst), 1, "as {:?}: {found}", case.who);
    });
}

#[test]
fn an_allowed_name_that_leads_to_the_host_reaches_nothing() {
    as_everyone(|case| {
        let host = Host::listen();
        let policy = case.policy(&format!(
            "network_policies:\n  p:\n    endpoints: [{{ host: localhost, port: {0} }}, {{ host: \"*.localhost.test\", port: {0} }}]\n    \
             binaries: [{{ path: \"/usr/bin/python3*\" }}]\n",
            host.port
        ));
        let output = case.run(&["--policy", &policy], &["true"]);
        if code(&output) == 2 {
            return; // Refused at the door: as good.
        }
        let port = host.port.to_string();
        let found = case.attack(&["--policy", &policy], "host.py", &[&port]);
        assert_eq!(host.seen.load(Ordering::SeqCst), 0, "as {:?}: {found}", case.who);
    });
}

#[test]
fn calls_cannot_be_hidden_behind_high_bits_and_flags() {
    as_everyone(|case| {
        for network in [
            "",
            "network_policies:\n  p:\n    endpoints: [{ host: example.com, port: 443 }]\n    \
             binaries: [{ path: /usr/bin/curl }]\n",
        ] {
            let policy = case.policy(network);
            let found = case.attack(&["--policy", &policy], "abi.py", &[]);
            for group in ["calls", "reads", "writes"] {
                for (name, result) in found[group].as_object().unwrap() {
                    assert_ne!(result, 0, "{name} worked as {:?}", case.who);
                }
            }
            assert_eq!(found["no_new_privs"], 1);
            assert_eq!(found["kernel addresses"].as_array().unwrap().len(), 0, "{found}");
        }
    });
}

#[test]
fn descriptors_of_the_caller_stay_outside() {
    as_everyone(|case| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/attacks/descriptors.py");
        let source = std::fs::read_to_string(script).unwrap();
        let script = case.file("descriptors.py", &source);
        let inner = case.navigator(&[
            "run",
            "-q",
            "--audit",
            "/dev/null",
            "--mount",
            &format!("{}:/sandbox/a.py:ro", script.display()),
            "--",
            "/usr/bin/python3",
            "/sandbox/a.py",
        ]);
        let mut shell = Command::new("bash");
        shell.args(["-c", "exec 5</ 7</etc/passwd 9<>/dev/null 200</tmp; exec \"$@\"", "bash"]);
        shell.arg(inner.get_program()).args(inner.get_args()).current_dir(case.path("."));
        let output = shell.env("HOME", case.path(".")).output().unwrap();
        let text = stdout(&output);
        let found: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found["reached"].as_array().unwrap().len(), 0, "as {:?}: {found}", case.who);
        assert_eq!(
            found["descriptors"].as_object().unwrap().len(),
            0,
            "as {:?}: {found}",
            case.who
        );
    });
}

#[test]
fn names_are_checked_before_they_reach_anything() {
    as_everyone(|case| {
        let long = "a".repeat(300);
        for name in
            ["../x", "a/b", "a b", "$(id)", "a;id", "a\nb", "a\u{1b}[31m", "", "-", ".", &long]
        {
            let option = format!("--name={name}");
            let output = case.run(&[&option], &["true"]);
            assert_eq!(code(&output), 2, "{name:?} as {:?}: {}", case.who, stderr(&output));
            assert!(!output.stderr.contains(&0x1b), "{name:?} came back raw");
        }
    });
}

#[test]
fn terminal_escapes_are_neutralised_in_what_we_print() {
    as_everyone(|case| {
        let policy = case.policy(
            "network_policies:\n  p:\n    endpoints: [{ host: example.com, port: 443 }]\n    \
             binaries: [{ path: /usr/bin/curl }]\n",
        );
        // A program whose own name is an escape sequence asks for a host that is one as well.
        let inside = "import os, shutil, socket, sys\n\
            name = '/sandbox/\\x1b]0;owned\\x07\\x1b[2J\\n\\u202efoo'\n\
            if len(sys.argv) < 2:\n  \
              shutil.copy('/usr/bin/python3', name)\n  \
              os.execv(name, [name, '-c', open('/proc/self/cmdline').read().split('\\0')[2], 'again'])\n\
            s = socket.create_connection(('10.200.0.1', 3128))\n\
            s.sendall(b'CONNECT example.com:443 HTTP/1.1\\r\\nHost: example.com:443\\r\\n\\r\\n')\n\
            answer = s.recv(4096)\n\
            assert b' 403' in answer, answer\n\
            assert b'\\x1b' not in answer and b'\\x07' not in answer, answer\n\
            s = socket.create_connection(('10.200.0.1', 3128))\n\
            s.sendall(b'CONNECT a\\x1b[2J.com:443 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n\
            assert b'\\x1b' not in s.recv(4096)\n";
        let output = case.run(&["--policy", &policy], &["/usr/bin/python3", "-c", inside]);
        assert_eq!(code(&output), 0, "as {:?}: {}", case.who, stderr(&output));
        let text = stderr(&output);
        assert!(text.contains("example.com:443"), "{text}");
        for raw in ['\u{1b}', '\u{7}', '\u{202e}'] {
            assert!(!text.contains(raw), "{raw:?} is raw in {text:?}");
        }
        let audit = std::fs::read_to_string(case.path("audit.jsonl")).unwrap();
        assert!(!audit.contains('\u{1b}') && !audit.contains('\u{7}'));
        assert!(!case.decisions().is_empty());
    });
}

#[test]
fn links_in_a_project_do_not_lead_the_supervisor_outside() {
    as_everyone(|case| {
        let project = case.directory("project");
        let outside = case.directory("outside");
        std::fs::write(outside.join("file"), "before").unwrap();
        let before = std::fs::metadata(&outside).unwrap();
        symlink("../outside", project.join("up")).unwrap();
        symlink(&outside, project.join("absolute")).unwrap();
        symlink("/etc", project.join("etc")).unwrap();
        for link in ["up", "absolute", "etc"] {
            let text = format!(
                "version: 1\nfilesystem_policy:\n  read_only: [/usr, /bin, /lib, /lib64, /etc]\n  \
                 read_write: [/sandbox, /tmp, /sandbox/project/{link}/made]\n"
            );
            let policy = case.file("policy.yaml", &text);
            let mount = format!("{}:/sandbox/project", project.display());
            let reach = format!(
                "echo started; echo x > /sandbox/project/{link}/file; echo x > /sandbox/project/{link}/navigator-e2e"
            );
            let output = case.run(
                &["--policy", policy.to_str().unwrap(), "--mount", &mount],
                &["sh", "-c", &reach],
            );
            assert_eq!(stdout(&output), "started\n", "{link}: {}", stderr(&output));
        }
        let after = std::fs::metadata(&outside).unwrap();
        assert_eq!((before.uid(), before.mode()), (after.uid(), after.mode()));
        assert_eq!(std::fs::read_to_string(outside.join("file")).unwrap(), "before");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
        assert!(!std::path::Path::new("/etc/made").exists());
        assert!(!std::path::Path::new("/etc/navigator-e2e").exists());
    });
}

#[test]
fn a_setuid_file_made_inside_gives_nothing_outside() {
    as_everyone(|case| {
        let project = case.directory("project");
        let mount = format!("{}:/sandbox/project", project.display());
        let make = "cp /bin/sh s; chmod 4755 s; chmod u+s s; install -m 4755 s t; cp s u; \
                    cp s g; chmod 2755 g; chmod g+s g; \
                    python3 -c 'import os; os.open(\"v\", os.O_CREAT | os.O_WRONLY, 0o4755)'; ./s -p -c 'id -u; id -ru'";
        let output = case.run(&["-q", "--mount", &mount], &["sh", "-c", make]);
        assert_eq!(stdout(&output), "1000\n1000\n", "{}", stderr(&output));
        // Whoever runs such a file outside would have its owner's rights; root's, and those of any group, by root's.
        let never = if case.who == Who::Root { 0o6000 } else { 0o4000 };
        for made in std::fs::read_dir(&project).unwrap() {
            let made = made.unwrap();
            let mode = made.metadata().unwrap().permissions().mode();
            assert_eq!(mode & never, 0, "{}: mode {mode:o}", made.path().display());
        }
    });
}

#[test]
fn a_process_that_leaves_its_session_ends_with_the_sandbox() {
    as_everyone(|case| {
        let marker = format!("4{}", std::process::id());
        let detach = format!("setsid nohup sleep {marker} >/dev/null 2>&1 & exit 3");
        assert_eq!(code(&case.run(&["-q"], &["sh", "-c", &detach])), 3);
        crate::harness::eventually("the detached process is gone", || {
            crate::harness::processes_with(&marker).is_empty()
        });
    });
}
