//! How much of a client's input is held, and how the client is made to wait.
//!
//! The protocol gives every channel a window, and the library opens it again as soon as bytes arrive, not when a
//! process has read them. Three things make up for that. Input waits in one buffer for each channel, so that nobody
//! waits for a slow process. While a channel's buffer is full, windows are opened by [`TRICKLE`] bytes only, so that a
//! client stops there and goes on elsewhere. And when the buffers of a connection hold [`HELD`] bytes, nothing is read
//! from its stream; what processes print is still written to it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The window of a channel: what a client may send ahead. As large as OpenSSH's, for links with long delays.
pub(crate) const WINDOW: u32 = 2 << 20;
/// Input of one channel from which on its client is made to wait.
const ROOM: usize = 512 << 10;
/// Input of one connection from which on its stream is not read: two dozen channels that all wait.
const HELD: usize = 64 << 20;
/// The window of a channel that waits: the smallest that is ever opened again by what arrives.
const TRICKLE: u32 = 2;
/// How long a stream rests when a channel that waits asks again, so that asking costs little; less when a channel gets
/// room meanwhile.
const REST: Duration = Duration::from_millis(20);
/// Input that is given to a process at once: what a pipe holds.
const CHUNK: usize = 64 << 10;

/// The input of a connection.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    held: AtomicUsize,
    full: AtomicUsize,
    gate: Mutex<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    closed: bool,
    rest: Option<Instant>,
    reader: Option<Waker>,
}

/// Whether the stream may be read.
pub(crate) enum Read {
    Now,
    After(Instant),
}

impl Flow {
    /// The next window of any channel, after one was opened for this one.
    pub(crate) fn next_window(&self, input: Option<&Input>, last: u32) -> u32 {
        if self.full.load(Ordering::Relaxed) == 0 {
            return WINDOW;
        }
        let full = input.is_some_and(Input::is_full);
        if full && last == TRICKLE {
            lock(&self.gate).rest = Some(Instant::now() + REST);
        }
        // Windows have one size for all channels, so one that has room gets a whole one every second time.
        if full || last != TRICKLE { TRICKLE } else { WINDOW }
    }

    /// Whether the stream may be read; else the reader is woken when it may.
    pub(crate) fn poll_read(&self, context: &Context<'_>) -> Poll<Read> {
        let mut gate = lock(&self.gate);
        let held = self.held.load(Ordering::Relaxed);
        gate.closed = held >= HELD || (gate.closed && held >= HELD / 2);
        if gate.closed {
            gate.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let now = Instant::now();
        gate.rest = gate.rest.filter(|rest| *rest > now);
        let Some(rest) = gate.rest else {
            return Poll::Ready(Read::Now);
        };
        gate.reader = Some(context.waker().clone());
        Poll::Ready(Read::After(rest))
    }

    /// A channel has room again: whoever rests may ask for it.
    fn roomier(&self) {
        let mut gate = lock(&self.gate);
        gate.rest = None;
        if let Some(reader) = gate.reader.take() {
            reader.wake();
        }
    }

    fn release(&self, bytes: usize) {
        let held = self.held.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        if held < HELD / 2
            && let Some(reader) = lock(&self.gate).reader.take()
        {
            reader.wake();
        }
    }
}

/// The input of one channel.
#[derive(Debug)]
pub(crate) struct Input {
    flow: Arc<Flow>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: BytesMut,
    /// What its reader has and has not written yet.
    taken: usize,
    full: bool,
    ended: bool,
}

impl Input {
    pub(crate) fn new(flow: Arc<Flow>) -> Self {
        Self { flow, state: Mutex::default(), changed: Notify::new() }
    }

    /// Holds what arrived; what comes after the end is for nobody.
    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut state = lock(&self.state);
        if !state.ended {
            state.waiting.extend_from_slice(bytes);
            self.flow.held.fetch_add(bytes.len(), Ordering::Relaxed);
            self.judge(&mut state);
            self.changed.notify_one();
        }
    }

    /// Nothing more arrives.
    pub(crate) fn end(&self) {
        lock(&self.state).ended = true;
        self.changed.notify_one();
    }

    /// Nobody reads any more.
    pub(crate) fn refuse(&self) {
        let mut state = lock(&self.state);
        state.ended = true;
        let bytes = state.taken + state.waiting.len();
        state.waiting = BytesMut::new();
        state.taken = 0;
        self.judge(&mut state);
        drop(state);
        self.flow.release(bytes);
        self.changed.notify_one();
    }

    /// The next part, when the one before it is written; `None` at the end.
    pub(crate) async fn next(&self) -> Option<Bytes> {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.changed.notified().await;
        }
    }

    fn take(&self) -> Option<Option<Bytes>> {
        let mut state = lock(&self.state);
        let written = std::mem::take(&mut state.taken);
        let length = state.waiting.len().min(CHUNK);
        let next = state.waiting.split_to(length).freeze();
        if state.waiting.is_empty() {
            // What was there goes with the part.
            state.waiting = BytesMut::new();
        }
        state.taken = length;
        self.judge(&mut state);
        let ended = state.ended;
        drop(state);
        if written > 0 {
            self.flow.release(written);
        }
        if next.is_empty() { ended.then_some(None) } else { Some(Some(next)) }
    }

    fn is_full(&self) -> bool {
        lock(&self.state).full
    }

    fn judge(&self, state: &mut State) {
        let bytes = state.taken + state.waiting.len();
        let full = bytes >= ROOM || (state.full && bytes >= ROOM / 2);
        if full != state.full {
            state.full = full;
            if full {
                self.flow.full.fetch_add(1, Ordering::Relaxed);
            } else {
                self.flow.full.fetch_sub(1, Ordering::Relaxed);
                self.flow.roomier();
            }
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.refuse();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done by a panic elsewhere.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
