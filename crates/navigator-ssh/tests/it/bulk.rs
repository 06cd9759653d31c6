//! Much data: all of it arrives, and nobody holds it all.

use std::fs::File;
use std::process::Stdio;

use navigator_ssh::Options;
use tokio::io::AsyncReadExt;

use crate::client::{Server, until};

/// Bytes that differ everywhere.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_megabytes_go_both_ways_at_once_with_new_keys_between() {
    let server = Server::with(Options::default());
    let sent = bytes(50 << 20);
    let (from, back) = (server.path("from"), server.path("back"));
    std::fs::write(&from, &sent).unwrap();
    for cipher in ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"] {
        let mut command = server.program("ssh");
        command.args(["-c", cipher, "-o", "RekeyLimit=4M", "host", "cat"]);
        command.stdin(File::open(&from).unwrap()).stdout(File::create(&back).unwrap());
        let output = command.spawn().unwrap().wait_with_output().await.unwrap();
        assert!(output.status.success(), "{cipher}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(std::fs::read(&back).unwrap() == sent, "{cipher}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn input_and_output_of_a_slow_process_do_not_block_each_other() {
    let server = Server::new();
    // Every line of input makes eight kilobytes of output: windows of the output open behind waiting input.
    let lines = "head -c 8192 /dev/zero\n".repeat(8192);
    let script = format!("{lines}#{}\necho done\n", "x".repeat(4 << 20));
    std::fs::write(server.path("script"), &script).unwrap();
    let mut command = server.program("ssh");
    command.args(["host", "bash"]).stdin(File::open(server.path("script")).unwrap());
    let output = command.spawn().unwrap().wait_with_output().await.unwrap();
    assert_eq!(output.stdout.len(), (64 << 20) + "done\n".len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_stops_the_process() {
    let server = Server::new();
    let line = "for i in {1..64}; do head -c 1M /dev/zero; echo $i >progress; done";
    let mut command = server.program("ssh");
    let mut child = command.args(["host", line]).stdout(Stdio::piped()).spawn().unwrap();
    until("it prints", async || server.local.path("progress").exists()).await;
    for _ in 0..5 {
        assert_eq!(server.ssh(&[], "exit 3").await.code, Some(3));
    }
    let progress = std::fs::read_to_string(server.local.path("progress")).unwrap();
    assert!(progress.trim().parse::<u32>().unwrap() < 16, "{progress} MiB are held");
    let mut all = vec![];
    child.stdout.take().unwrap().read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), 64 << 20);
}
