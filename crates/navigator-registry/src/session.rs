//! Requests about one repository at one place: logged in where that is asked for, and followed to where they lead.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::Method;
use http::header::HeaderMap;
use url::Url;

use crate::address::Reach;
use crate::authenticate::{Login, log_in};
use crate::credentials::CredentialFiles;
use crate::endpoint::{Endpoint, Scheme};
use crate::error::Failure;
use crate::limits::REDIRECTS;
use crate::redirect;
use crate::retry;
use crate::transport::{Answer, Request, Transport};

/// The logins of a client, by place and repository.
#[derive(Default)]
pub(crate) struct Logins(Mutex<HashMap<(String, String), Login>>);

/// One repository at one place.
pub(crate) struct Session<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) credentials: &'a CredentialFiles,
    pub(crate) logins: &'a Logins,
    pub(crate) place: &'a Endpoint,
    pub(crate) repository: String,
}

/// An answer, and who gave it.
struct Followed {
    answer: Answer,
    /// Whether it is the place itself, and not where it redirected to.
    at_home: bool,
}

impl Logins {
    fn get(&self, key: &(String, String)) -> Option<Login> {
        let logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logins.get(key).filter(|login| login.lasts()).cloned()
    }

    fn put(&self, key: (String, String), login: Login) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, login);
    }
}

impl Session<'_> {
    /// Gets `KIND/NAME` of the repository. Every answer that is not a success is a failure.
    pub(crate) async fn get(
        &self,
        kind: &str,
        name: &str,
        headers: &HeaderMap,
    ) -> Result<Answer, Failure> {
        let path = format!("/v2/{}/{kind}/{name}", self.repository);
        let mut url = self.place.base.clone();
        url.set_path(&path);
        let key = (self.place.base.to_string(), self.repository.clone());
        let known = self.logins.get(&key);
        let first = self.follow(url.clone(), headers, known.as_ref()).await?;
        if !(first.at_home && first.answer.status == 401) {
            return judge(first, known.as_ref());
        }
        let credential = self.credentials.find(&self.place.login, &self.repository).await?;
        let login = log_in(self.transport, &first.answer, credential, &self.repository).await?;
        drop(first);
        let second = self.follow(url, headers, Some(&login)).await?;
        if second.answer.status != 401 {
            self.logins.put(key, login.clone());
        }
        judge(second, Some(&login))
    }

    /// The login goes to the place itself alone, and is gone for good once a redirect left it.
    async fn follow(
        &self,
        mut url: Url,
        headers: &HeaderMap,
        login: Option<&Login>,
    ) -> Result<Followed, Failure> {
        let (mut at_home, mut reach, mut scheme) = (true, Reach::Local, self.place.scheme);
        for hop in 0..=REDIRECTS {
            let request = Request {
                method: Method::GET,
                url: &url,
                scheme,
                headers: headers.clone(),
                authorization: login.filter(|_| at_home).map(|login| &login.authorization),
                body: Bytes::new(),
                reach,
            };
            let answer = self.transport.send(request).await?;
            if !redirect::is_redirect(answer.status) {
                return Ok(Followed { answer, at_home });
            }
            // From the outside in leads no redirect: who is far away does not say what we reach nearby.
            if hop == 0 {
                reach = answer.reach;
            }
            url = redirect::next(&answer.url, &answer.headers)?;
            at_home &= url.origin() == answer.url.origin();
            scheme = Scheme::Written;
        }
        Err(Failure::Redirect("it does not end"))
    }
}

fn judge(followed: Followed, login: Option<&Login>) -> Result<Answer, Failure> {
    let Followed { answer, at_home } = followed;
    let logged_in = login.is_some_and(|login| login.authorization.logged_in);
    let status = answer.status.as_u16();
    Err(match status {
        200 | 206 => return Ok(answer),
        401 | 403 if !at_home => Failure::Redirect("the place that it names refuses"),
        401 => Failure::Unauthorised { logged_in },
        403 => Failure::Denied { logged_in },
        404 => Failure::NotFound,
        416 => Failure::Range,
        429 | 503 => match retry::asked_for(&answer.headers) {
            None if status == 503 => Failure::Server(status),
            wait => Failure::Limited { wait },
        },
        500..=599 => Failure::Server(status),
        _ => Failure::Status(status),
    })
}
