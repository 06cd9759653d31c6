//! Long lists: how long a page of them takes. Run with `--run-ignored only`; the numbers are printed.

use std::time::Instant;

use navigator_gateway::records::Page;

use super::bed::Bed;
use super::samples::{revision, sandbox};

/// Sandboxes that there are.
const SANDBOXES: u32 = 10_000;
/// Pages that are read.
const PAGES: u32 = 400;

async fn a_page_of_many_sandboxes(bed: Bed) {
    let (store, start) = (bed.store.clone(), Instant::now());
    for batch in 0..SANDBOXES / 100 {
        let makers = (0..100).map(|number| {
            let (store, mut made) = (store.clone(), sandbox(&format!("s{batch}-{number}")));
            made.created_at = i64::from(batch * 100 + number);
            tokio::spawn(async move { store.create_sandbox(&made, Some(&revision(1))).await })
        });
        for maker in makers.collect::<Vec<_>>() {
            maker.await.unwrap().unwrap();
        }
    }
    let made = start.elapsed();
    let mut times = vec![];
    for number in 0..PAGES {
        let page = Page { limit: 100, offset: number * 7919 % (SANDBOXES - 100) };
        let start = Instant::now();
        assert_eq!(store.sandboxes(page).await.unwrap().len(), 100);
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    let (middle, p99) = (at(50), at(99));
    println!("made {SANDBOXES} in {made:?}; a page of 100: p50 {middle:?}, p99 {p99:?}");
}

#[test]
#[ignore = "it measures"]
fn a_page_of_many_sandboxes_on_sqlite() {
    super::bed::on_sqlite(a_page_of_many_sandboxes);
}

#[test]
#[ignore = "it measures"]
fn a_page_of_many_sandboxes_on_postgres() {
    super::bed::on_postgres(a_page_of_many_sandboxes);
}
