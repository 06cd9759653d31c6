//! Layers: resumed, tried again, verified; and what hostile servers do to them.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use navigator_registry::{Client, Event, Failure, Progress, PullError, TransportError};
use tokio::sync::Notify;

use crate::image::{Image, downloads, names};
use crate::puller::{Told, amd64, failure, name, quick};
use crate::server::{Asked, Reply, Server, Then, honest};

const SIZE: usize = 100_000;

/// A server of an image with one layer, which is answered like this.
async fn layer_server(
    image: &Image,
    answer: impl Fn(&Image, &Asked) -> Reply + Send + Sync + 'static,
) -> Server {
    let image = image.clone();
    Server::start(move |asked| match asked.is_blob() && image.config != found(&image, asked) {
        true => answer(&image, asked),
        false => honest(&image, asked),
    })
    .await
}

fn found(image: &Image, asked: &Asked) -> Vec<u8> {
    let name = asked.path.rsplit('/').next().unwrap();
    image.find(name).unwrap_or_default().to_vec()
}

async fn pull(server: &Server, directory: &Path, told: &dyn Progress) -> Result<(), PullError> {
    let client = Client::new(quick()).unwrap();
    let found = client.resolve(&name(&server.authority(), "a:b"), &amd64(), told).await?;
    client.download(&found, downloads(&found, directory), told).await
}

fn partial(image: &Image) -> String {
    format!("{}.partial", navigator_registry::Digest::sha256(&image.layers[0]).hex())
}

fn assert_whole(image: &Image, directory: &Path) {
    let mut wanted: Vec<_> = image.layers.iter().map(|layer| layer.to_vec()).collect();
    let mut there: Vec<_> =
        names(directory).iter().map(|name| std::fs::read(directory.join(name)).unwrap()).collect();
    wanted.sort();
    there.sort();
    assert!(wanted == there, "{:?}", names(directory));
}

#[tokio::test]
async fn a_wrong_layer_leaves_nothing() {
    let image = Image::with_layers(&[SIZE]);
    let server = layer_server(&image, |_, _| Reply::ok("", &[0; SIZE])).await;
    let directory = tempfile::tempdir().unwrap();
    let refused = failure(pull(&server, directory.path(), &Told::default()).await);
    assert!(matches!(refused, Failure::Digest { what: "a layer", .. }), "{refused:?}");
    assert!(names(directory.path()).is_empty());
}

#[tokio::test]
async fn layers_of_another_length_leave_nothing() {
    let image = Image::with_layers(&[SIZE]);
    let longer = vec![7; SIZE * 2];
    for reply in [
        Reply::ok("", &longer),
        Reply::status(200).body(&longer),
        Reply::status(200).body(&[7; 65536]).then(Then::Repeat),
        Reply::ok("", &[7; 9]),
    ] {
        let server = layer_server(&image, move |_, _| reply.clone()).await;
        let directory = tempfile::tempdir().unwrap();
        let refused = failure(pull(&server, directory.path(), &Told::default()).await);
        assert!(matches!(refused, Failure::Size { .. }), "{refused:?}");
        assert!(names(directory.path()).is_empty());
    }
}

#[tokio::test]
async fn a_layer_that_always_breaks_is_left_for_the_next_pull() {
    let image = Image::with_layers(&[SIZE]);
    let half = image.layers[0][..SIZE / 2].to_vec();
    let broken = move |image: &Image, asked: &Asked| match asked.header("range") {
        Some(_) => Reply { body: vec![], ..honest(image, asked) },
        None => Reply { body: half.clone(), ..honest(image, asked) },
    };
    let server = layer_server(&image, broken).await;
    let directory = tempfile::tempdir().unwrap();
    let refused = failure(pull(&server, directory.path(), &Told::default()).await);
    assert!(matches!(refused, Failure::Unreachable(_)), "{refused:?}");
    assert_eq!(server.count(|asked| asked.header("range") == Some("bytes=50000-")), 2);
    assert_eq!(names(directory.path()), [partial(&image)]);

    let server = layer_server(&image, honest).await;
    let told = Told::default();
    pull(&server, directory.path(), &told).await.unwrap();
    assert_whole(&image, directory.path());
    assert_eq!(told.of("started"), ["started 50000/100000"]);
    assert_eq!(server.count(|asked| asked.header("range") == Some("bytes=50000-")), 1);
    pull(&server, directory.path(), &told).await.unwrap();
    assert_eq!(told.of("cached"), ["cached 100000"]);
}

#[tokio::test]
async fn a_body_that_ends_early_and_cleanly_is_resumed() {
    let image = Image::with_layers(&[SIZE]);
    let server = layer_server(&image, |image, asked| match asked.header("range") {
        Some(_) => honest(image, asked),
        None => Reply::status(200).body(&image.layers[0][..30]),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let told = Told::default();
    pull(&server, directory.path(), &told).await.unwrap();
    assert_whole(&image, directory.path());
    assert_eq!(told.of("retry").len(), 1);
}

#[tokio::test]
async fn a_server_without_ranges_sends_all_again() {
    let image = Image::with_layers(&[SIZE]);
    let tries = AtomicUsize::new(0);
    let server = layer_server(&image, move |image, _| {
        let whole = Reply::ok("", &image.layers[0]);
        match tries.fetch_add(1, Ordering::SeqCst) {
            0 => Reply { body: whole.body[..SIZE / 2].to_vec(), ..whole },
            _ => whole,
        }
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    pull(&server, directory.path(), &Told::default()).await.unwrap();
    assert_whole(&image, directory.path());
}

#[tokio::test]
async fn lies_about_ranges_leave_nothing() {
    let image = Image::with_layers(&[SIZE]);
    for lie in [
        "bytes 49999-99999/100000",
        "bytes 50000-99999/100001",
        "bytes 50000-99998/100000",
        "bytes */100000",
        "pages 1-2/3",
        "",
    ] {
        let server = layer_server(&image, move |image, _| {
            let rest = Reply { status: 206, ..Reply::ok("", &image.layers[0][SIZE / 2..]) };
            rest.header("Content-Range", lie)
        })
        .await;
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(partial(&image)), &image.layers[0][..SIZE / 2])
            .unwrap();
        let refused = failure(pull(&server, directory.path(), &Told::default()).await);
        assert!(matches!(refused, Failure::Range), "{lie}: {refused:?}");
        assert!(names(directory.path()).is_empty());
    }
}

#[tokio::test]
async fn a_part_that_nobody_asked_for_is_refused() {
    let image = Image::with_layers(&[SIZE]);
    let server = layer_server(&image, |image, _| {
        let whole = Reply { status: 206, ..Reply::ok("", &image.layers[0]) };
        whole.header("Content-Range", "bytes 0-99999/100000")
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let refused = failure(pull(&server, directory.path(), &Told::default()).await);
    assert!(matches!(refused, Failure::Range), "{refused:?}");
    assert!(names(directory.path()).is_empty());
}

#[tokio::test]
async fn what_was_damaged_on_disk_is_gotten_again() {
    let image = Image::with_layers(&[SIZE]);
    let server = layer_server(&image, honest).await;
    for damaged in [vec![1; SIZE / 2], vec![1; SIZE], vec![1; SIZE + 1]] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(partial(&image)), damaged).unwrap();
        pull(&server, directory.path(), &Told::default()).await.unwrap();
        assert_whole(&image, directory.path());
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let image = Image::with_layers(&[SIZE]);
    let server = layer_server(&image, |image, asked| {
        let honest = honest(image, asked);
        let body = if asked.header("range").is_some() { vec![] } else { vec![honest.body[0]] };
        Reply { body, ..honest }.then(Then::Hang)
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let refused = failure(pull(&server, directory.path(), &Told::default()).await);
    assert!(
        matches!(refused, Failure::Unreachable(TransportError::Deadline { .. })),
        "{refused:?}"
    );
    assert_eq!(names(directory.path()), [partial(&image)]);
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let image = Image::with_layers(&[SIZE]);
    let server = layer_server(&image, |image, asked| {
        let honest = honest(image, asked);
        Reply { body: vec![], ..honest }.then(Then::Trickle)
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let refused = failure(pull(&server, directory.path(), &Told::default()).await);
    assert!(
        matches!(refused, Failure::Unreachable(TransportError::Deadline { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_registry_that_fails_for_a_while_is_asked_again() {
    let image = Image::with_layers(&[SIZE]);
    let tries = AtomicUsize::new(0);
    let server =
        layer_server(&image, move |image, asked| match tries.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::status(500),
            1 => Reply::status(429).header("Retry-After", "1"),
            _ => honest(image, asked),
        })
        .await;
    let directory = tempfile::tempdir().unwrap();
    let told = Told::default();
    pull(&server, directory.path(), &told).await.unwrap();
    let retries = told.of("retry");
    assert!(retries[0].starts_with("retry 1: "), "{retries:?}");
    assert!(retries[1].starts_with("retry 1000: "), "{retries:?}");
    assert_whole(&image, directory.path());
}

#[tokio::test]
async fn a_registry_that_asks_for_too_long_a_pause_is_not_asked_again() {
    let image = Image::with_layers(&[SIZE]);
    let limited = |_: &Image, _: &Asked| Reply::status(429).header("Retry-After", "86400");
    let server = layer_server(&image, limited).await;
    let directory = tempfile::tempdir().unwrap();
    let refused = failure(pull(&server, directory.path(), &Told::default()).await);
    assert!(refused.to_string().contains("for 86400 s"), "{refused}");
    assert_eq!(server.count(|asked| asked.path.ends_with(&partial(&image)[..64])), 1);
    assert!(names(directory.path()).is_empty());
}

#[tokio::test]
async fn at_most_three_layers_come_at_once() {
    let image = Image::with_layers(&[SIZE, SIZE, SIZE, SIZE, SIZE, SIZE, SIZE]);
    let server = layer_server(&image, honest).await;
    let directory = tempfile::tempdir().unwrap();
    let most = AtOnce::default();
    pull(&server, directory.path(), &most).await.unwrap();
    assert_eq!(*most.0.lock().unwrap(), (0, 3));
    assert_whole(&image, directory.path());
}

/// How many layers are on their way, and how many were at most.
#[derive(Default)]
struct AtOnce(Mutex<(usize, usize)>);

impl Progress for AtOnce {
    fn event(&self, event: Event<'_>) {
        let mut counts = self.0.lock().unwrap();
        match event {
            Event::Started { .. } => counts.0 += 1,
            Event::Finished { .. } => counts.0 -= 1,
            _ => {}
        }
        counts.1 = counts.1.max(counts.0);
    }
}

#[tokio::test]
async fn the_same_layer_twice_comes_once() {
    let layer = vec![5; SIZE];
    let image = Image::new(vec![layer.clone(), layer], "amd64");
    let server = layer_server(&image, honest).await;
    let directory = tempfile::tempdir().unwrap();
    pull(&server, directory.path(), &Told::default()).await.unwrap();
    assert_eq!(server.count(Asked::is_blob), 2);
    assert_eq!(names(directory.path()).len(), 1);
}

#[tokio::test]
async fn an_empty_layer_needs_no_request() {
    let image = Image::with_layers(&[0]);
    let server = layer_server(&image, |_, _| Reply::status(500)).await;
    let directory = tempfile::tempdir().unwrap();
    pull(&server, directory.path(), &Told::default()).await.unwrap();
    assert_whole(&image, directory.path());
}

#[tokio::test]
async fn a_pull_that_is_cancelled_is_resumed() {
    let image = Image::with_layers(&[SIZE]);
    let server = Arc::new(
        layer_server(&image, |image, asked| match asked.header("range") {
            Some(_) => honest(image, asked),
            None => {
                let whole = honest(image, asked);
                Reply { body: whole.body[..SIZE / 2].to_vec(), ..whole }.then(Then::Hang)
            }
        })
        .await,
    );
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let half = Arc::new(Half::default());
    let task = {
        let (server, directory, half) = (server.clone(), directory.clone(), half.clone());
        tokio::spawn(async move { pull(&server, directory.path(), &*half).await })
    };
    half.0.notified().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(names(directory.path()), [partial(&image)]);
    let told = Told::default();
    pull(&server, directory.path(), &told).await.unwrap();
    assert_eq!(told.of("started"), ["started 50000/100000"]);
    assert_whole(&image, directory.path());
}

/// Says when half of the layer is there.
#[derive(Default)]
struct Half(Notify);

impl Progress for Half {
    fn event(&self, event: Event<'_>) {
        if matches!(event, Event::Received { done, .. } if done == SIZE as u64 / 2) {
            self.0.notify_one();
        }
    }
}
