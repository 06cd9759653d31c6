//! Logging in to a registry: what a challenge is answered with.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use crate::challenge::Challenge;
use crate::credentials::Credential;
use crate::endpoint::Scheme;
use crate::error::Failure;
use crate::limits::{TOKEN_ANSWER_BYTES, TOKEN_BYTES};
use crate::retry;
use crate::transport::{Answer, Authorization, Request, Transport};

/// How long a token lasts when its endpoint does not say (distribution's token specification).
const USUAL_LIFE: u64 = 60;
/// The longest that a token is kept; it is asked for anew when it is refused before.
const LONGEST_LIFE: u64 = 3600;
/// A token is not used in its last seconds: it could end on its way.
const MARGIN: Duration = Duration::from_secs(5);

/// What requests carry, and for how long.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) authorization: Authorization,
    until: Instant,
}

impl Login {
    pub(crate) fn lasts(&self) -> bool {
        Instant::now() + MARGIN < self.until
    }

    fn new(value: Zeroizing<String>, logged_in: bool, seconds: u64) -> Login {
        let value = SecretString::from(value.as_str());
        let until = Instant::now() + Duration::from_secs(seconds.min(LONGEST_LIFE));
        Login { authorization: Authorization { value, logged_in }, until }
    }
}

/// Answers the challenge of the registry itself. What a redirect led to is never answered.
pub(crate) async fn log_in(
    transport: &Transport,
    challenged: &Answer,
    credential: Option<Credential>,
    repository: &str,
) -> Result<Login, Failure> {
    let challenge = Challenge::read(&challenged.headers)
        .ok_or(Failure::Login("the registry does not say how, or in a way that is not known"))?;
    match (challenge, credential) {
        (Challenge::Bearer { realm, service, scope }, credential) => {
            let realm = endpoint(&realm, challenged)?;
            let scope = scope.filter(|scope| only_pulls(scope));
            let scope = scope.unwrap_or_else(|| format!("repository:{repository}:pull"));
            let wanted = Wanted { realm, service, scope };
            wanted.token(transport, challenged, credential).await
        }
        (Challenge::Basic, Some(Credential::Password { user, password })) => {
            Ok(Login::new(basic(&user, &password), true, LONGEST_LIFE))
        }
        (Challenge::Basic, Some(Credential::Identity(_))) => {
            Err(Failure::Login("the registry takes passwords, and the credentials are a token"))
        }
        (Challenge::Basic, None) => Err(Failure::Unauthorised { logged_in: false }),
    }
}

/// Where tokens are had. A registry that was reached by TLS cannot send us to an endpoint without.
fn endpoint(realm: &str, challenged: &Answer) -> Result<Url, Failure> {
    let refused = |why| Err(Failure::Login(why));
    let Ok(realm) = Url::parse(realm) else {
        return refused("the registry names no usable token endpoint");
    };
    if !realm.username().is_empty() || realm.password().is_some() {
        return refused("the registry names no usable token endpoint");
    }
    match (challenged.url.scheme(), realm.scheme()) {
        (_, "https") | ("http", "http") => Ok(realm),
        _ => refused("the registry names a token endpoint without TLS"),
    }
}

/// Whether a scope asks for reading alone: a token that can do more is not lent to a registry for a pull.
fn only_pulls(scope: &str) -> bool {
    scope.split(' ').all(|one| {
        let actions = one.rsplit_once(':').map_or("", |(_, actions)| actions);
        actions.split(',').all(|action| !matches!(action, "push" | "delete" | "*"))
    })
}

fn basic(user: &str, password: &SecretString) -> Zeroizing<String> {
    let both = Zeroizing::new(format!("{user}:{}", password.expose_secret()));
    let encoded = Zeroizing::new(STANDARD.encode(both.as_bytes()));
    Zeroizing::new(format!("Basic {}", encoded.as_str()))
}

/// A token, as the registry describes it.
struct Wanted {
    realm: Url,
    service: Option<String>,
    scope: String,
}

#[derive(Deserialize)]
struct Token {
    token: Option<SecretString>,
    access_token: Option<SecretString>,
    expires_in: Option<u64>,
}

impl Wanted {
    async fn token(
        &self,
        transport: &Transport,
        challenged: &Answer,
        credential: Option<Credential>,
    ) -> Result<Login, Failure> {
        let logged_in = credential.is_some();
        let (method, url, body, authorization) = self.request(credential);
        let mut headers = HeaderMap::new();
        if method == Method::POST {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, form);
        }
        let request = Request {
            method,
            url: &url,
            scheme: Scheme::Written,
            headers,
            authorization: authorization.as_ref(),
            body,
            reach: challenged.reach,
        };
        let answer = transport.send(request).await?;
        judge(&answer, logged_in)?;
        let deadline = transport.timeouts().document;
        let answer = answer.body.whole("a token", TOKEN_ANSWER_BYTES, deadline).await?;
        let answer = Zeroizing::new(answer);
        let nonsense = Failure::Login("the token endpoint's answer has no token");
        let Ok(token) = serde_json::from_slice::<Token>(&answer) else { return Err(nonsense) };
        token.login(logged_in).ok_or(nonsense)
    }

    /// With an identity token its exchange is asked for (OAuth 2), else a token for a user or for anybody.
    fn request(
        &self,
        credential: Option<Credential>,
    ) -> (Method, Url, Bytes, Option<Authorization>) {
        let service = self.service.iter().map(|service| ("service", service.as_str()));
        let about = service.chain([("scope", self.scope.as_str())]);
        if let Some(Credential::Identity(token)) = &credential {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(about)
                .append_pair("grant_type", "refresh_token")
                .append_pair("client_id", "navigator")
                .append_pair("refresh_token", token.expose_secret());
            // The form is a secret: what it is sent with must be treated as one.
            let marker = Authorization { value: SecretString::from(""), logged_in: true };
            return (Method::POST, self.realm.clone(), form.finish().into(), Some(marker));
        }
        let mut url = self.realm.clone();
        url.query_pairs_mut().extend_pairs(about);
        let authorization = match &credential {
            Some(Credential::Password { user, password }) => Some(Authorization {
                value: SecretString::from(basic(user, password).as_str()),
                logged_in: true,
            }),
            Some(Credential::Identity(_)) | None => None,
        };
        (Method::GET, url, Bytes::new(), authorization)
    }
}

fn judge(answer: &Answer, logged_in: bool) -> Result<(), Failure> {
    match answer.status {
        StatusCode::OK => Ok(()),
        StatusCode::UNAUTHORIZED => Err(Failure::Unauthorised { logged_in }),
        StatusCode::FORBIDDEN => Err(Failure::Denied { logged_in }),
        StatusCode::TOO_MANY_REQUESTS => {
            Err(Failure::Limited { wait: retry::asked_for(&answer.headers) })
        }
        status if status.is_server_error() => Err(Failure::Server(status.as_u16())),
        status => Err(Failure::Token(status.as_u16())),
    }
}

impl Token {
    fn login(self, logged_in: bool) -> Option<Login> {
        let token = self.token.or(self.access_token)?;
        let text = token.expose_secret();
        let fits = (1..=TOKEN_BYTES).contains(&text.len());
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        let value = Zeroizing::new(format!("Bearer {text}"));
        let life = self.expires_in.unwrap_or(USUAL_LIFE).max(USUAL_LIFE);
        (fits && plain).then(|| Login::new(value, logged_in, life))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_can_write_is_not_asked_for() {
        assert!(only_pulls("repository:a/b:pull"));
        assert!(only_pulls("repository:a/b:pull repository:c:pull"));
        assert!(only_pulls("aws"));
        for scope in ["repository:a/b:pull,push", "repository:a:*", "a:pull registry:catalog:*"] {
            assert!(!only_pulls(scope), "{scope}");
        }
    }

    #[test]
    fn nothing_of_a_token_is_shown() {
        let token = r#"{"token": "hunter2", "expires_in": 300}"#;
        let login = serde_json::from_str::<Token>(token).unwrap().login(true).unwrap();
        assert!(login.lasts());
        assert!(!format!("{:?}", login.authorization).contains("hunter2"));
        for nonsense in
            [r#"{"token": ""}"#, "{}", r#"{"token": "a b"}"#, r#"{"token": "a\r\nb: c"}"#]
        {
            assert!(serde_json::from_str::<Token>(nonsense).unwrap().login(true).is_none());
        }
    }
}
