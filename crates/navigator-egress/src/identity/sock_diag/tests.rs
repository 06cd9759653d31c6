use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::netlink::SOCK_DIAG;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::*;

fn netlink() -> OwnedFd {
    socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(SOCK_DIAG))
        .unwrap()
}

fn connected(address: &str) -> Option<(TcpStream, TcpStream, ClientSocket)> {
    let listener = TcpListener::bind((address, 0)).ok()?;
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, from) = listener.accept().unwrap();
    let wanted = server.local_addr().unwrap();
    Some((client, server, ClientSocket { client: from, wanted }))
}

#[test]
fn finds_the_client_end_of_a_real_connection() {
    let netlink = netlink();
    for (sequence, address) in [(5, "127.0.0.1"), (6, "::1")] {
        let Some((client, _server, socket)) = connected(address) else {
            eprintln!("skipped {address}: not available here");
            continue;
        };
        let inode = inode_of(netlink.as_fd(), &socket, sequence).unwrap();
        assert_eq!(inode, rustix::fs::fstat(&client).unwrap().st_ino);
    }
}

#[test]
fn a_listening_socket_is_not_taken_for_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = ClientSocket {
        client: listener.local_addr().unwrap(),
        wanted: "127.0.0.1:9".parse().unwrap(),
    };
    let found = inode_of(netlink().as_fd(), &socket, 1);
    assert!(matches!(found, Err(SockDiagError::Gone)), "{found:?}");
}

#[test]
fn a_socket_that_was_never_there_is_gone() {
    let socket = ClientSocket {
        client: "127.0.0.1:1".parse().unwrap(),
        wanted: "127.0.0.1:2".parse().unwrap(),
    };
    assert!(matches!(inode_of(netlink().as_fd(), &socket, 1), Err(SockDiagError::Gone)));
}

#[test]
fn mixed_families_and_torn_answers_are_errors() {
    let socket =
        ClientSocket { client: "127.0.0.1:1".parse().unwrap(), wanted: "[::1]:2".parse().unwrap() };
    assert!(matches!(inode_of(netlink().as_fd(), &socket, 1), Err(SockDiagError::MixedFamilies)));
    let mut answer = vec![0u8; ANSWER_LEN];
    answer[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    for length in 0..ANSWER_LEN {
        assert!(inode_in(&answer[..length], &socket).is_err());
    }
    assert!(inode_in(&answer, &socket).is_err(), "family 0 is none");
}
