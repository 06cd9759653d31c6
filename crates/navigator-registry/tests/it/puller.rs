//! Clients as the tests use them: quick to give up, and with what they tell kept.

use std::sync::Mutex;
use std::time::Duration;

use navigator_registry::{
    Client, CredentialFiles, Event, Failure, ImageName, Options, Platform, Progress, PullError,
    Resolved, Retry, Timeouts,
};

/// Short waits, so that hostile servers do not hold up the tests.
pub fn quick() -> Options {
    let short = Duration::from_millis(400);
    Options {
        timeouts: Timeouts { first_byte: short, idle: short, ..Timeouts::default() },
        retry: Retry {
            attempts: 3,
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(4),
        },
        ..Options::default()
    }
}

/// Options with these credentials, in the only file that there is.
pub fn with_credentials(home: &std::path::Path, json: &str) -> Options {
    let file = home.join("auth.json");
    std::fs::write(&file, json).unwrap();
    let path =
        std::env::join_paths([home.as_os_str(), "/usr/bin".as_ref(), "/bin".as_ref()]).unwrap();
    let variable = |name: &str| match name {
        "REGISTRY_AUTH_FILE" => Some(file.clone().into_os_string()),
        "PATH" => Some(path.clone()),
        _ => None,
    };
    Options { credentials: CredentialFiles::usual(variable), ..quick() }
}

pub fn amd64() -> Platform {
    Platform { os: "linux".into(), architecture: "amd64".into(), variant: None }
}

pub fn name(authority: &str, rest: &str) -> ImageName {
    format!("{authority}/{rest}").parse().unwrap()
}

/// Finds `repository:tag` at a server, with the usual settings of these tests.
pub async fn resolve(authority: &str, rest: &str) -> Result<Resolved, PullError> {
    resolve_with(quick(), authority, rest).await
}

pub async fn resolve_with(
    options: Options,
    authority: &str,
    rest: &str,
) -> Result<Resolved, PullError> {
    let client = Client::new(options).unwrap();
    client.resolve(&name(authority, rest), &amd64(), &Told::default()).await
}

/// Why a pull failed.
pub fn failure<T>(result: Result<T, PullError>) -> Failure {
    match result {
        Ok(_) => panic!("it did not fail"),
        Err(error) => *error.failure,
    }
}

/// What a client told.
#[derive(Default)]
pub struct Told(pub Mutex<Vec<String>>);

impl Told {
    /// The lines that begin with a word.
    pub fn of(&self, word: &str) -> Vec<String> {
        let told = self.0.lock().unwrap();
        told.iter().filter(|line| line.starts_with(word)).cloned().collect()
    }
}

impl Progress for Told {
    fn event(&self, event: Event<'_>) {
        let line = match event {
            Event::MirrorFailed { mirror, why } => format!("mirror {mirror}: {why}"),
            Event::Retrying { why, after } => format!("retry {}: {why}", after.as_millis()),
            Event::Cached { total, .. } => format!("cached {total}"),
            Event::Started { resumed, total, .. } => format!("started {resumed}/{total}"),
            Event::Received { done, total, .. } => format!("received {done}/{total}"),
            Event::Finished { total, .. } => format!("finished {total}"),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(line);
    }
}
