//! Attacks on files and the kernel, each as a program inside a real sandbox (security model, lines 15–24).

use serde_json::Value;

use crate::harness::{Case, as_everyone, code, stdout};

const EPERM: i64 = 1;
const EROFS: i64 = 30;
const ENOSYS: i64 = 38;
const SIGSYS: i64 = -31;

const PROXY: &str = "network_policies:\n  p:\n    endpoints: [{ host: example.com, port: 443 }]\n    \
                     binaries: [{ path: /usr/bin/curl }]\n";

fn number(value: &Value, name: &str) -> i64 {
    value[name].as_i64().unwrap_or_else(|| panic!("{name} is missing in {value}"))
}

#[test]
fn dangerous_system_calls_are_refused() {
    as_everyone(|case| {
        assert_calls_refused(&case.attack(&[], "kernel.py", &[]));
    });
}

/// Every call of `kernel.py` was refused.
pub(crate) fn assert_calls_refused(found: &Value) {
    let calls = found["calls"].as_object().unwrap();
    for (name, result) in calls {
        let result = result.as_i64().unwrap();
        match name.as_str() {
            "clone3" | "openat2" => assert_eq!(result, ENOSYS, "{name}"),
            "x32" | "int80" => assert_eq!(result, SIGSYS, "{name}"),
            // Unmapped ids: the kernel calls them invalid before it asks for privileges.
            "setuid0" | "setgid0" => assert!([EPERM, 22].contains(&result), "{name}: {result}"),
            _ => assert_eq!(result, EPERM, "{name}"),
        }
    }
    assert!(calls.len() > 35);
    assert!(["S", "R"].contains(&found["init"].as_str().unwrap()), "init was stopped or ended");
}

#[test]
fn no_privilege_is_left_and_none_can_be_gained() {
    as_everyone(|case| {
        assert_no_privilege(&case.attack(&[], "kernel.py", &[]));
    });
}

/// `kernel.py` ran without any privilege.
pub(crate) fn assert_no_privilege(found: &Value) {
    let status = &found["status"];
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status[set], "0000000000000000", "{set}");
    }
    assert_eq!(status["NoNewPrivs"], "1");
    assert_eq!(status["Seccomp"], "2");
    assert_eq!(found["uid"], 1000);
}

#[test]
fn without_network_policies_there_are_no_ip_sockets() {
    as_everyone(|case| {
        let sockets = &case.attack(&[], "kernel.py", &[])["sockets"];
        for (name, result) in sockets.as_object().unwrap() {
            let wanted = if name == "unix" { 0 } else { EPERM };
            assert_eq!(result.as_i64(), Some(wanted), "{name} as {:?}", case.who);
        }
    });
}

#[test]
fn with_network_policies_only_tcp_and_udp_sockets_exist() {
    as_everyone(|case| {
        let policy = case.policy(PROXY);
        let sockets = &case.attack(&["--policy", &policy], "kernel.py", &[])["sockets"];
        for (name, result) in sockets.as_object().unwrap() {
            let allowed = ["unix", "inet_stream", "inet_dgram", "inet6_stream"];
            let wanted = if allowed.contains(&name.as_str()) { 0 } else { EPERM };
            assert_eq!(result.as_i64(), Some(wanted), "{name} as {:?}", case.who);
        }
    });
}

#[test]
fn only_granted_files_can_be_read_and_written() {
    // Unreachable through its own network namespace, reachable without one.
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name("navigator-e2e-abstract");
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address.unwrap()).unwrap();
    as_everyone(|case| {
        assert_only_granted_files(&case.attack(&[], "files.py", &[]));
    });
}

/// `files.py` reached what was granted and nothing else.
pub(crate) fn assert_only_granted_files(found: &Value) {
    for (attempt, result) in found["results"].as_object().unwrap() {
        let result = result.as_i64().unwrap();
        if attempt.starts_with("granted") || attempt == "rename across" {
            assert_eq!(result, 0, "{attempt}");
        } else {
            assert_ne!(result, 0, "{attempt}");
        }
    }
    assert_eq!(number(found, "memory"), EROFS, "/proc is a read-only mount");
    for (socket, result) in found["sockets"].as_object().unwrap() {
        assert_ne!(result.as_i64(), Some(0), "{socket}");
    }
}

#[test]
fn nothing_of_the_outside_is_visible() {
    as_everyone(|case| {
        assert_nothing_of_the_outside(&case.attack(&[], "files.py", &[]));
    });
}

/// `files.py` saw no process, descriptor, cgroup or directory of the outside.
pub(crate) fn assert_nothing_of_the_outside(found: &Value) {
    let pids: Vec<i64> =
        found["pids"].as_array().unwrap().iter().filter_map(Value::as_i64).collect();
    assert_eq!(pids, [1, number(found, "own")], "host processes are hidden");
    assert!(found["cgroups"].as_array().unwrap().is_empty());
    for (fd, target) in found["fds"].as_object().unwrap() {
        let harmless = fd.parse::<u32>().unwrap() <= 2;
        assert!(harmless, "descriptor {fd} leaked: {target}");
    }
    let top: Vec<&str> =
        found["top"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for outside in ["root", "home", "run", "var", "sys", "boot", "srv", "mnt"] {
        assert!(!top.contains(&outside), "/{outside} is visible");
    }
}

#[test]
fn the_environment_is_built_from_nothing() {
    as_everyone(|case| {
        let audit = case.path("audit.jsonl");
        let mut command = case.navigator(&[
            "run",
            "--audit",
            audit.to_str().unwrap(),
            "-e",
            "GIVEN=1",
            "-e",
            "PASSED",
            "--",
            "env",
        ]);
        let output = command.env("SECRET_TOKEN", "hunter2").env("PASSED", "on").output().unwrap();
        let text = stdout(&output);
        assert!(!text.contains("hunter2"), "{text}");
        for wanted in
            ["HOME=/sandbox", "USER=sandbox", "GIVEN=1", "PASSED=on", "NAVIGATOR_SANDBOX=1"]
        {
            assert!(text.lines().any(|line| line == wanted), "{wanted} is missing in {text}");
        }
    });
}

#[test]
fn setuid_programs_gain_nothing() {
    as_everyone(|case| {
        let output = case.run(&["-q"], &["sh", "-c", "su -c id root </dev/null; mount; id -u"]);
        assert!(stdout(&output).ends_with("1000\n"), "{}", stdout(&output));
        assert!(!stdout(&output).contains("uid=0"));
    });
}

#[test]
fn a_fork_bomb_stays_inside() {
    as_everyone(|case| {
        let program = "import os, time\nn = 0\ntry:\n  while n < 200:\n    if os.fork() == 0: time.sleep(5); os._exit(0)\n    n += 1\nexcept OSError: pass\nprint(n, flush=True)\nos._exit(0)";
        let output = case.run(&["-q", "--pids", "30"], &["/usr/bin/python3", "-c", program]);
        let made: u32 = stdout(&output).trim().parse().unwrap();
        assert!((1..=30).contains(&made), "{made} processes were made");
    });
}

#[test]
fn filling_the_disk_stays_inside() {
    as_everyone(|case| {
        let fill = "dd if=/dev/zero of=/sandbox/a bs=1M count=64 2>/dev/null; \
                    dd if=/dev/zero of=/tmp/b bs=1M count=64 2>/dev/null; \
                    dd if=/dev/zero of=/dev/shm/c bs=1M count=64 2>/dev/null; \
                    stat -c %s /sandbox/a /tmp/b /dev/shm/c";
        let output = case.run(&["-q", "--disk", "16M"], &["sh", "-c", fill]);
        let total: u64 = stdout(&output).lines().map(|line| line.parse::<u64>().unwrap()).sum();
        assert!(total <= 16 << 20, "{total} bytes were written");
    });
}

#[test]
fn using_up_descriptors_stays_inside() {
    as_everyone(|case| {
        let program = "import os\nfds = []\ntry:\n  while True: fds.append(os.open('/dev/null', 0))\nexcept OSError as e: print(e.errno)";
        let output = case.run(&["-q"], &["/usr/bin/python3", "-c", program]);
        assert_eq!(stdout(&output).trim(), "24");
    });
}

#[test]
fn memory_is_bounded_or_the_limit_is_refused() {
    as_everyone(|case| {
        let eat = "x = bytearray(256 << 20); print(len(x))";
        let output = case.run(&["-q", "--memory", "64M"], &["/usr/bin/python3", "-c", eat]);
        let refused = crate::harness::stderr(&output).contains("systemd-run");
        assert!(stdout(&output).is_empty(), "256 MiB fitted into 64 MiB");
        assert!(code(&output) == 137 || (refused && code(&output) == 125), "{output:?}");
    });
}

#[test]
fn the_host_sees_what_a_sandbox_writes_as_the_users_own() {
    use std::os::unix::fs::MetadataExt;
    as_everyone(|case: &Case| {
        let project = case.directory("project");
        let mount = format!("{}:/sandbox/project", project.display());
        let output = case
            .run(&["-q", "--mount", &mount], &["sh", "-c", "pwd; echo hi > made; stat -c %u made"]);
        assert_eq!(stdout(&output), "/sandbox/project\n1000\n");
        let made = std::fs::metadata(project.join("made")).unwrap();
        assert_eq!(made.uid(), std::fs::metadata(&project).unwrap().uid());
    });
}

#[test]
fn a_read_only_mount_cannot_be_written() {
    as_everyone(|case| {
        let project = case.directory("project");
        std::fs::write(project.join("a"), "before").unwrap();
        let mount = format!("{}:/sandbox/project:ro", project.display());
        let output = case.run(
            &["-q", "--mount", &mount],
            &["sh", "-c", "cat a; echo x > a; rm -f a; chmod 777 ."],
        );
        assert_eq!(stdout(&output), "before");
        assert_eq!(std::fs::read_to_string(project.join("a")).unwrap(), "before");
    });
}
