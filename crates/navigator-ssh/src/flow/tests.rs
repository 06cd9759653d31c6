use std::sync::Arc;
use std::task::{Context, Waker};

use super::*;

fn input() -> (Arc<Flow>, Input) {
    let flow = Arc::new(Flow::default());
    (Arc::clone(&flow), Input::new(flow))
}

fn is_open(flow: &Flow) -> bool {
    flow.poll_read(&Context::from_waker(Waker::noop())).is_ready()
}

#[tokio::test]
async fn what_is_pushed_comes_out_in_order_and_ends() {
    let (flow, input) = input();
    input.push(&[1; CHUNK]);
    input.push(&[2; 3]);
    input.end();
    input.push(&[3; 3]);
    assert_eq!(input.next().await.unwrap().as_ref(), [1; CHUNK]);
    assert_eq!(input.next().await.unwrap().as_ref(), [2; 3]);
    assert_eq!(flow.held.load(Ordering::Relaxed), 3);
    assert_eq!(input.next().await, None);
    assert_eq!(flow.held.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_full_channel_gets_a_trickle_and_others_get_windows() {
    let (flow, slow) = input();
    let quick = Input::new(Arc::clone(&flow));
    assert_eq!(flow.next_window(Some(&slow), WINDOW), WINDOW);
    slow.push(&vec![0; ROOM]);
    assert_eq!(flow.next_window(Some(&slow), WINDOW), TRICKLE);
    assert_eq!(flow.next_window(Some(&quick), TRICKLE), WINDOW);
    assert_eq!(flow.next_window(Some(&quick), WINDOW), TRICKLE);
    assert_eq!(flow.next_window(Some(&slow), TRICKLE), TRICKLE);
    assert!(lock(&flow.gate).rest.is_some());
    while slow.is_full() {
        slow.next().await.unwrap();
    }
    assert!(lock(&flow.gate).rest.is_none());
    assert_eq!(flow.next_window(Some(&slow), TRICKLE), WINDOW);
}

#[test]
fn a_connection_that_holds_too_much_is_not_read() {
    let (flow, input) = input();
    let part = vec![0; 1 << 20];
    for _ in 0..HELD / part.len() {
        assert!(is_open(&flow));
        input.push(&part);
    }
    assert!(!is_open(&flow));
    input.refuse();
    assert!(is_open(&flow));
    input.push(&part);
    assert_eq!(flow.held.load(Ordering::Relaxed), 0);
    assert_eq!(flow.full.load(Ordering::Relaxed), 0);
}
