//! Connections to gateways: trusted or not, started or not.

mod launch;
mod mutual_tls;
mod owner;

/// Runs one conversation to its end.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
