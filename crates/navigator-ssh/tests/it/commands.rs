//! Commands, their environment, output and end.

use std::process::Stdio;
use std::sync::atomic::Ordering;

use navigator_ssh::Options;
use tokio::io::AsyncWriteExt;

use crate::client::{Server, run, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_output_errors_and_an_exit_code_of_its_own() {
    let server = Server::new();
    let output = server.ssh(&[], "echo out; echo err >&2; exit 7").await;
    assert_eq!(output.code, Some(7), "{output:?}");
    assert_eq!(output.stdout, "out\n");
    assert_eq!(output.stderr, "err\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_a_signal_ends_says_which() {
    let server = Server::new();
    let output = server.ssh(&["-v"], "kill -TERM $$").await;
    assert_eq!(output.code, Some(255));
    assert!(output.stderr.contains("exit-signal"), "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_start_says_why() {
    let server = Server::new();
    let output = server.ssh(&[], "not-there").await;
    assert_eq!(output.code, Some(127));
    assert_eq!(output.stderr, "there is no such program\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_one_channel_and_nothing_else() {
    let server = Server::new();
    assert_eq!(server.ssh(&[], "panic").await.code, Some(255));
    assert_eq!(server.ssh(&[], "exit 3").await.code, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_reads_its_input_to_the_end() {
    let server = Server::new();
    let mut command = server.program("ssh");
    let mut child = command.arg("host").stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"echo one\nread line; echo \"<$line>\"\nhello\nexit 4\n").await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one\n<hello>\n");
    assert_eq!(output.status.code(), Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_input_is_not_the_end_of_output() {
    let server = Server::new();
    let mut command = server.program("ssh");
    command.args(["host", "cat >/dev/null; echo after"]);
    assert_eq!(run(command).await.stdout, "after\n");
    // The other way: output ends first, and input still arrives.
    let mut command = server.program("ssh");
    command.args(["host", "exec >&- 2>&-; cat >got"]).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"late").await.unwrap();
    assert!(child.wait_with_output().await.unwrap().status.success());
    assert_eq!(std::fs::read_to_string(server.local.path("got")).unwrap(), "late");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_allowed_variables_are_set() {
    let server = Server::with(Options { environment: vec!["MINE".into()], ..Options::default() });
    let set =
        "SetEnv=LANG=C.UTF-8 LC_TEST=l COLORTERM=c MINE=m PATH=/evil LD_PRELOAD=/evil OTHER=o";
    let output = server.ssh(&["-o", set], "env").await;
    let mut lines: Vec<_> = output.stdout.lines().collect();
    lines.retain(|line| !["HOME", "PWD", "SHLVL", "_"].contains(&line.split_once('=').unwrap().0));
    lines.sort_unstable();
    assert_eq!(lines, ["COLORTERM=c", "LANG=C.UTF-8", "LC_TEST=l", "MINE=m", "PATH=/usr/bin:/bin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_is_refused() {
    let server = Server::new();
    // The first of two options counts.
    let mut command = tokio::process::Command::new("ssh");
    command.args(["-o", "User=root"]).args(server.options()).args(["host", "true"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = run(command).await;
    assert_eq!(output.code, Some(255));
    assert!(output.stderr.contains("Permission denied"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_leaves_behind_is_killed() {
    let mut server = Server::new();
    let mut child = server.program("ssh").args(["host", "touch up; sleep 1000"]).spawn().unwrap();
    until("the process runs", async || server.local.path("up").exists()).await;
    child.kill().await.unwrap();
    server.ended.recv().await.unwrap().unwrap_err();
    assert_eq!(server.local.killed.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_connection_ends_at_once_with_all_it_runs() {
    let mut server = Server::new();
    let child = server.program("ssh").args(["host", "touch up; sleep 1000"]).spawn().unwrap();
    until("the process runs", async || server.local.path("up").exists()).await;
    server.cancel.cancel();
    server.ended.recv().await.unwrap().unwrap();
    assert_eq!(server.local.killed.load(Ordering::SeqCst), 1);
    assert_eq!(child.wait_with_output().await.unwrap().status.code(), Some(255));
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_sessions_share_one_connection() {
    let mut server = Server::new();
    let socket = server.path("master").display().to_string();
    let master = ["-M", "-N", "-S", &socket, "host"];
    let mut master = server.program("ssh").args(master).spawn().unwrap();
    until("the master is up", async || {
        let mut check = server.program("ssh");
        run({
            check.args(["-S", &socket, "-O", "check", "host"]);
            check
        })
        .await
        .code
            == Some(0)
    })
    .await;
    let mut sessions = tokio::task::JoinSet::new();
    for number in 0..20 {
        let mut command = server.program("ssh");
        let line =
            format!("touch {number}; until [ -e 0 -a -e 19 ]; do sleep 0.02; done; exit {number}");
        command.args(["-S", &socket, "host", &line]);
        sessions.spawn(async move { (number, run(command).await.code) });
    }
    while let Some(session) = sessions.join_next().await {
        let (number, code) = session.unwrap();
        assert_eq!(code, Some(number));
    }
    server.ended.try_recv().unwrap_err();
    master.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_moves_files() {
    let server = Server::new();
    let (from, back) = (server.path("from"), server.path("back"));
    std::fs::write(&from, vec![7; 3 << 20]).unwrap();
    let batch = server.path("batch");
    let orders =
        format!("put {} there\nrename there again\nget again {}\n", from.display(), back.display());
    std::fs::write(&batch, orders).unwrap();
    let mut command = server.program("sftp");
    command.args(["-b", batch.to_str().unwrap(), "host"]);
    let output = run(command).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(std::fs::read(back).unwrap() == vec![7; 3 << 20]);
    assert_eq!(std::fs::metadata(server.local.path("again")).unwrap().len(), 3 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_modern_algorithms_are_offered() {
    let server = Server::new();
    let output = server.ssh(&["-vv"], "true").await;
    let (_, offered) = output.stderr.split_once("peer server KEXINIT proposal").unwrap();
    let lines: Vec<_> = offered.lines().skip(1).take(8).collect();
    let offered: Vec<_> = lines.iter().filter_map(|line| line.rsplit_once(": ")).collect();
    let offered: Vec<_> = offered.iter().map(|(_, names)| names.trim()).collect();
    let ciphers = "aes256-gcm@openssh.com,aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,\
                   aes256-ctr,aes128-ctr";
    let hashes = "hmac-sha2-512-etm@openssh.com,hmac-sha2-256-etm@openssh.com";
    let exchanges = "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org,\
                     ext-info-s,kex-strict-s-v00@openssh.com";
    let expected = [exchanges, "ssh-ed25519", ciphers, ciphers, hashes, hashes, "none", "none"];
    assert_eq!(offered, expected, "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_and_x11_are_not_forwarded() {
    let server = Server::new();
    let output = server.ssh(&["-A", "-X"], "env").await;
    assert_eq!(output.code, Some(0));
    assert!(!output.stdout.contains("SSH_AUTH_SOCK") && !output.stdout.contains("DISPLAY"));
}
