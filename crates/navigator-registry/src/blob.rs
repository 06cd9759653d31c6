//! One layer into one file: resumed, tried again, and verified.

use std::path::Path;

use http::StatusCode;
use http::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};

use crate::error::{Failure, TransportError};
use crate::limits::FRESH_ATTEMPTS_AFTER;
use crate::manifest::Descriptor;
use crate::options::Retry;
use crate::partial::{Opened, Partial, Verdict};
use crate::progress::{Event, Progress};
use crate::retry::Attempts;
use crate::session::Session;
use crate::transport::Answer;

/// Gets a layer from one place.
pub(crate) struct Fetch<'a> {
    pub(crate) session: &'a Session<'a>,
    pub(crate) retry: Retry,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) wanted: &'a Descriptor,
}

impl Fetch<'_> {
    /// The layer is at `target` afterwards. On failure there is at most its beginning beside it, which the next
    /// attempt resumes, and nothing when what came was wrong.
    pub(crate) async fn to(&self, target: &Path) -> Result<(), Failure> {
        let (digest, total) = (&self.wanted.digest, self.wanted.size);
        let mut partial = match Partial::open(target, self.wanted).await? {
            Opened::Whole => {
                self.progress.event(Event::Cached { digest, total });
                return Ok(());
            }
            Opened::Part(partial) => partial,
        };
        self.progress.event(Event::Started { digest, resumed: partial.done(), total });
        match self.complete(&mut partial).await {
            Ok(()) => {
                self.progress.event(Event::Finished { digest, total });
                Ok(())
            }
            Err(failure) if is_poisoned(&failure) || partial.done() == 0 => {
                partial.discard().await?;
                Err(failure)
            }
            Err(failure) => {
                partial.flush().await?;
                Err(failure)
            }
        }
    }

    /// Fills the file, and verifies it. What came in pieces and is wrong is gotten once more from the beginning: one
    /// of the pieces may have been damaged long ago.
    async fn complete(&self, partial: &mut Partial) -> Result<(), Failure> {
        let mut pieced = partial.done() > 0;
        loop {
            pieced |= self.fill(partial).await?;
            match partial.finish().await? {
                Verdict::Right => return Ok(()),
                Verdict::Wrong(_) if pieced => partial.restart().await?,
                Verdict::Wrong(got) => {
                    let wanted = self.wanted.digest.clone();
                    return Err(Failure::Digest { what: "a layer", wanted, got });
                }
            }
            pieced = false;
        }
    }

    /// Gets what is missing, and says whether it came in pieces.
    async fn fill(&self, partial: &mut Partial) -> Result<bool, Failure> {
        let mut attempts = Attempts::new(self.retry, self.session.place.role, self.progress);
        let mut pieced = false;
        while partial.missing() > 0 {
            let before = partial.done();
            let Err(failure) = self.attempt(partial).await else { continue };
            if partial.done().saturating_sub(before) >= FRESH_ATTEMPTS_AFTER {
                attempts.afresh();
            }
            attempts.after(failure).await?;
            pieced |= partial.done() > 0;
        }
        Ok(pieced)
    }

    async fn attempt(&self, partial: &mut Partial) -> Result<(), Failure> {
        let mut headers = HeaderMap::new();
        if partial.done() > 0 {
            let range = format!("bytes={}-", partial.done());
            let range = HeaderValue::from_str(&range).map_err(|_| Failure::Range)?;
            headers.insert(RANGE, range);
        }
        let name = self.wanted.digest.to_string();
        let mut answer = self.session.get("blobs", &name, &headers).await?;
        self.place(partial, &answer).await?;
        self.measure(partial, &answer)?;
        while let Some(piece) = answer.body.next().await? {
            partial.append(&piece).await?;
            let (digest, total) = (&self.wanted.digest, self.wanted.size);
            self.progress.event(Event::Received { digest, done: partial.done(), total });
        }
        match partial.missing() {
            0 => Ok(()),
            missing => {
                let host = answer.body.host().to_owned();
                Err(TransportError::Ended { host, missing }.into())
            }
        }
    }

    /// Puts the file to where the answer begins: a server that ignores the range sends all.
    async fn place(&self, partial: &mut Partial, answer: &Answer) -> Result<(), Failure> {
        if answer.status != StatusCode::PARTIAL_CONTENT {
            return if partial.done() > 0 { partial.restart().await } else { Ok(()) };
        }
        let range = answer.headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        if partial.done() > 0 && range.is_some_and(|range| self.is_rest(range, partial.done())) {
            Ok(())
        } else {
            Err(Failure::Range)
        }
    }

    /// Whether a range is `bytes DONE-LAST/TOTAL` (RFC 9110, 14.4); the total may be unknown to the server.
    fn is_rest(&self, range: &str, done: u64) -> bool {
        let total = self.wanted.size;
        let rest = format!("bytes {done}-{}/", total - 1);
        range.strip_prefix(&rest).is_some_and(|of| of == "*" || of == total.to_string())
    }

    /// Refuses at once what cannot be the layer by its announced length.
    fn measure(&self, partial: &Partial, answer: &Answer) -> Result<(), Failure> {
        match answer.body.announced() {
            Some(length) if length != partial.missing() => Err(Failure::Size {
                what: "a layer",
                wanted: self.wanted.size,
                got: partial.done().saturating_add(length),
            }),
            _ => Ok(()),
        }
    }
}

/// Whether what is there cannot be trusted to be the beginning of the layer.
fn is_poisoned(failure: &Failure) -> bool {
    matches!(failure, Failure::Digest { .. } | Failure::Size { .. } | Failure::Range)
}
