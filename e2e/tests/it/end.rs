//! How sandboxes end: killed supervisors, interrupts, many at once; nothing is left behind.

use std::process::{Child, Stdio};

use crate::harness::{Case, as_everyone, code, eventually, processes_with};

/// Starts a sandbox that sleeps and waits until it does.
fn sleeping(case: &Case, options: &[&str], marker: &str) -> Child {
    let mut args = vec!["run", "-q", "--audit", "/dev/null"];
    args.extend(options);
    let script = format!("sleep 1000 & sleep {marker}");
    args.extend(["--", "sh", "-c", &script]);
    let child = case.navigator(&args).stdout(Stdio::null()).spawn().unwrap();
    eventually("the sandbox runs", || {
        processes_with(marker).iter().any(|line| line.contains(": sleep "))
    });
    child
}

fn cgroups() -> usize {
    let find = std::process::Command::new("find")
        .args(["/sys/fs/cgroup", "-type", "d", "-name", "navigator-*"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&find.stdout).lines().count()
}

#[test]
fn killing_the_supervisor_kills_everything_inside() {
    as_everyone(|case| {
        let marker = format!("7{}", std::process::id());
        let mut child = sleeping(case, &[], &marker);
        child.kill().unwrap();
        child.wait().unwrap();
        eventually("everything inside is gone", || processes_with(&marker).is_empty());
    });
}

#[test]
fn killing_a_supervisor_with_limits_leaves_no_cgroup() {
    as_everyone(|case| {
        if case.who == crate::harness::Who::Ordinary {
            println!("skipped: an ordinary user may write no cgroup here");
            return;
        }
        let marker = format!("8{}", std::process::id());
        let mut child =
            sleeping(case, &["--memory", "64M", "--cpus", "1", "--pids", "50"], &marker);
        assert!(cgroups() > 0, "no cgroup was made");
        child.kill().unwrap();
        child.wait().unwrap();
        eventually("everything inside is gone", || processes_with(&marker).is_empty());
        eventually("the cgroups are gone", || cgroups() == 0);
    });
}

#[test]
fn killing_init_ends_the_run_with_our_own_failure() {
    as_everyone(|case| {
        let marker = format!("9{}", std::process::id());
        let mut child = sleeping(case, &[], &marker);
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let init = std::fs::read_to_string(children).unwrap();
        let killed =
            std::process::Command::new("kill").arg("-KILL").arg(init.trim()).status().unwrap();
        assert!(killed.success());
        assert_eq!(child.wait().unwrap().code(), Some(125));
        eventually("everything inside is gone", || processes_with(&marker).is_empty());
    });
}

#[test]
fn an_interrupt_reaches_the_command() {
    as_everyone(|case| {
        let marker = format!("6{}", std::process::id());
        let mut child = sleeping(case, &["-T"], &marker);
        let sent =
            std::process::Command::new("kill").arg("-INT").arg(child.id().to_string()).status();
        assert!(sent.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130));
        eventually("everything inside is gone", || processes_with(&marker).is_empty());
    });
}

#[test]
fn an_interrupt_during_the_start_leaves_nothing() {
    as_everyone(|case| {
        let marker = format!("5{}", std::process::id());
        for delay in 0..20 {
            let mut child = case
                .navigator(&["run", "-q", "--audit", "/dev/null", "--", "sleep", &marker])
                .spawn()
                .unwrap();
            std::thread::sleep(std::time::Duration::from_millis(delay));
            let sent =
                std::process::Command::new("kill").arg("-INT").arg(child.id().to_string()).status();
            sent.unwrap();
            child.wait().unwrap();
        }
        eventually("everything is gone", || processes_with(&marker).is_empty());
    });
}

#[test]
fn two_hundred_sandboxes_twenty_at_a_time_leave_nothing_behind() {
    as_everyone(|case| {
        let marker = format!("e2e-many-{}", std::process::id());
        let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
        let before = mounts();
        let policy = case.policy(
            "network_policies:\n  p:\n    endpoints: [{ host: example.com, port: 443 }]\n    binaries: [{ path: /usr/bin/curl }]\n",
        );
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let output =
                            case.run(&["--policy", &policy], &["sh", "-c", &format!(": {marker}")]);
                        assert_eq!(code(&output), 0, "{}", crate::harness::stderr(&output));
                    }
                });
            }
        });
        assert_eq!(mounts(), before);
        eventually("all processes are gone", || processes_with(&marker).is_empty());
    });
}
