//! Who calls, and what they may call: the one place that decides it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use tonic::Status;
use uuid::Uuid;

use crate::failure::Failure;
use crate::store::Store;

/// Longest credential in bytes: ours have 64.
const TOKEN_BYTES: usize = 128;

/// Who is at the other end of a connection, as the connection itself proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The user that the gateway runs as, by the unix socket's peer credentials.
    Owner,
    /// The holder of a client certificate, by its name.
    Certificate(String),
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The user that the gateway runs as, or a program of theirs.
    Owner,
    /// Somebody with a client certificate of this name.
    User(String),
    /// The supervisor of a sandbox.
    Sandbox {
        /// The sandbox.
        id: Uuid,
        /// What is kept of the credential that it showed.
        token_hash: [u8; 32],
    },
}

impl Principal {
    /// The sandbox that calls.
    ///
    /// # Errors
    /// [`Failure::Denied`] unless the request is about the caller's own sandbox.
    pub(crate) fn only(&self, id: &str) -> Result<Uuid, Failure> {
        match self {
            Self::Sandbox { id: own, .. } if Uuid::parse_str(id).is_ok_and(|id| id == *own) => {
                Ok(*own)
            }
            Self::Sandbox { .. } | Self::Owner | Self::User(_) => {
                Err(Failure::Denied("a sandbox may ask about itself only"))
            }
        }
    }
}

/// Whether a credential that was good when a call began still is: a stream may outlive it.
///
/// # Errors
/// [`Failure::Denied`] when it is not.
pub(crate) async fn still_good(store: &Store, principal: &Principal) -> Result<(), Failure> {
    if let Principal::Sandbox { id, token_hash } = principal
        && store.sandbox_with_token(token_hash).await? != Some(*id)
    {
        return Err(Failure::Denied("the credential is no longer good"));
    }
    Ok(())
}

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    User,
    Sandbox,
}

/// Every method. What is not listed cannot be called.
const METHODS: [(&str, Caller); 39] = [
    ("/navigator.v1.Navigator/Health", Caller::User),
    ("/navigator.v1.Navigator/CreateSandbox", Caller::User),
    ("/navigator.v1.Navigator/GetSandbox", Caller::User),
    ("/navigator.v1.Navigator/ListSandboxes", Caller::User),
    ("/navigator.v1.Navigator/DeleteSandbox", Caller::User),
    ("/navigator.v1.Navigator/StopSandbox", Caller::User),
    ("/navigator.v1.Navigator/StartSandbox", Caller::User),
    ("/navigator.v1.Navigator/ListSandboxChanges", Caller::User),
    ("/navigator.v1.Navigator/SnapshotSandbox", Caller::User),
    ("/navigator.v1.Navigator/ForkSandbox", Caller::User),
    ("/navigator.v1.Navigator/WatchSandbox", Caller::User),
    ("/navigator.v1.Navigator/CreateSshSession", Caller::User),
    ("/navigator.v1.Navigator/RevokeSshSession", Caller::User),
    ("/navigator.v1.Navigator/ExecSandbox", Caller::User),
    ("/navigator.v1.Navigator/ExecInteractive", Caller::User),
    ("/navigator.v1.Navigator/ListTerminals", Caller::User),
    ("/navigator.v1.Navigator/EndTerminal", Caller::User),
    ("/navigator.v1.Navigator/ListRecordings", Caller::User),
    ("/navigator.v1.Navigator/ReadRecording", Caller::User),
    ("/navigator.v1.Navigator/CreateProvider", Caller::User),
    ("/navigator.v1.Navigator/UpdateProvider", Caller::User),
    ("/navigator.v1.Navigator/GetProvider", Caller::User),
    ("/navigator.v1.Navigator/DeleteProvider", Caller::User),
    ("/navigator.v1.Navigator/ListProviders", Caller::User),
    ("/navigator.v1.Navigator/UpdateSandboxPolicy", Caller::User),
    ("/navigator.v1.Navigator/GetSandboxPolicyStatus", Caller::User),
    ("/navigator.v1.Navigator/ListSandboxPolicies", Caller::User),
    ("/navigator.v1.Navigator/GetSandboxLogs", Caller::User),
    ("/navigator.inference.v1.Inference/CreateInferenceRoute", Caller::User),
    ("/navigator.inference.v1.Inference/UpdateInferenceRoute", Caller::User),
    ("/navigator.inference.v1.Inference/DeleteInferenceRoute", Caller::User),
    ("/navigator.inference.v1.Inference/ListInferenceRoutes", Caller::User),
    ("/navigator.v1.Navigator/GetSandboxPolicy", Caller::Sandbox),
    ("/navigator.v1.Navigator/ReportPolicyStatus", Caller::Sandbox),
    ("/navigator.v1.Navigator/GetSandboxProviderEnvironment", Caller::Sandbox),
    ("/navigator.v1.Navigator/PushSandboxLogs", Caller::Sandbox),
    ("/navigator.inference.v1.Inference/GetSandboxInferenceBundle", Caller::Sandbox),
    ("/navigator.session.v1.Session/Join", Caller::Sandbox),
    ("/navigator.session.v1.Session/Exec", Caller::Sandbox),
];

/// The name of a method, if there is one with this path.
pub(crate) fn known_method(path: &str) -> Option<&'static str> {
    let (method, _) = METHODS.iter().find(|(method, _)| *method == path)?;
    method.rsplit('/').next()
}

/// A new credential: 32 random bytes in hexadecimal, and what is kept of it.
pub(crate) fn new_token() -> (zeroize::Zeroizing<String>, [u8; 32]) {
    let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
    // The system's random numbers do not fail on a system that runs (getrandom(2)); zeros must never become a key.
    let filled = aws_lc_rs::rand::fill(bytes.as_mut_slice());
    assert!(filled.is_ok(), "the system has no random numbers");
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = token_hash(&token);
    (zeroize::Zeroizing::new(token), hash)
}

/// What is kept of a credential. It is random, so that its hash needs no salt.
pub(crate) fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Finds out who calls, and lets the call pass if they may.
pub(crate) async fn guard(
    State(store): State<Store>,
    mut request: Request,
    next: Next,
) -> Response {
    let (path, peer) =
        (request.uri().path().to_owned(), request.extensions().get::<Peer>().cloned());
    let credential = request.headers().get(AUTHORIZATION).cloned();
    match admit(&store, credential.as_ref(), peer, &path).await {
        Ok(principal) => {
            request.extensions_mut().insert(Arc::new(principal));
            next.run(request).await
        }
        Err(status) => status.into_http(),
    }
}

async fn admit(
    store: &Store,
    credential: Option<&HeaderValue>,
    peer: Option<Peer>,
    path: &str,
) -> Result<Principal, Status> {
    let principal = authenticate(store, credential, peer).await?;
    authorise(&principal, path)?;
    Ok(principal)
}

/// A credential in the request stands for a sandbox, whatever the connection would allow: less is safer.
pub(crate) async fn authenticate(
    store: &Store,
    credential: Option<&HeaderValue>,
    peer: Option<Peer>,
) -> Result<Principal, Status> {
    let Some(credential) = credential else {
        return match peer {
            Some(Peer::Owner) => Ok(Principal::Owner),
            Some(Peer::Certificate(name)) => Ok(Principal::User(name)),
            None => Err(Status::unauthenticated("the connection proves nobody")),
        };
    };
    let refused = || Status::unauthenticated("the credential is not known, or no longer good");
    let token = credential.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
    let token = token.filter(|token| token.len() <= TOKEN_BYTES).ok_or_else(refused)?;
    let token_hash = token_hash(token);
    // Found by its hash, so that how long the search takes tells nothing about the credential.
    let found = store.sandbox_with_token(&token_hash).await.map_err(Failure::from)?;
    found.map(|id| Principal::Sandbox { id, token_hash }).ok_or_else(refused)
}

fn authorise(principal: &Principal, path: &str) -> Result<(), Status> {
    let found = METHODS.iter().find(|(method, _)| *method == path);
    match (principal, found.map(|(_, caller)| *caller)) {
        (Principal::Owner | Principal::User(_), Some(Caller::User))
        | (Principal::Sandbox { .. }, Some(Caller::Sandbox)) => Ok(()),
        (Principal::Owner | Principal::User(_), Some(Caller::Sandbox)) => {
            Err(Status::permission_denied("only a sandbox's supervisor may call this"))
        }
        (Principal::Sandbox { .. }, Some(Caller::User) | None) => {
            Err(Status::permission_denied("a sandbox's credential is not good for this"))
        }
        (Principal::Owner | Principal::User(_), None) => {
            Err(Status::unimplemented("there is no such call"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every call that the definitions have.
    fn defined() -> Vec<String> {
        let proto = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/navigator");
        let mut methods = vec![];
        for file in
            ["v1/navigator.proto", "inference/v1/inference.proto", "session/v1/session.proto"]
        {
            let text = std::fs::read_to_string(proto.join(file)).unwrap();
            let word = |line: &str, key: &str| {
                let rest = line.trim().strip_prefix(key)?;
                Some(rest.split(|c: char| !c.is_alphanumeric() && c != '.').next()?.to_owned())
            };
            let package = text.lines().find_map(|line| word(line, "package ")).unwrap();
            let service = text.lines().find_map(|line| word(line, "service ")).unwrap();
            let calls = text.lines().filter_map(|line| word(line, "rpc "));
            methods.extend(calls.map(|call| format!("/{package}.{service}/{call}")));
        }
        methods
    }

    #[test]
    fn every_call_is_for_users_or_for_sandboxes_and_never_both() {
        let user = Principal::User("somebody".into());
        let sandbox = Principal::Sandbox { id: Uuid::nil(), token_hash: [0; 32] };
        let defined = defined();
        for method in &defined {
            let may = [authorise(&user, method).is_ok(), authorise(&sandbox, method).is_ok()];
            assert_eq!(authorise(&Principal::Owner, method).is_ok(), may[0], "{method}");
            assert_eq!(may.iter().filter(|may| **may).count(), 1, "{method}: {may:?}");
        }
        assert_eq!(defined.len(), METHODS.len(), "a call that is not defined is listed");
    }

    #[test]
    fn a_sandbox_may_make_the_calls_of_its_side_and_no_other() {
        let sandbox = Principal::Sandbox { id: Uuid::nil(), token_hash: [0; 32] };
        let mut may: Vec<_> =
            defined().into_iter().filter(|method| authorise(&sandbox, method).is_ok()).collect();
        may.sort();
        assert_eq!(
            may,
            [
                "/navigator.inference.v1.Inference/GetSandboxInferenceBundle",
                "/navigator.session.v1.Session/Exec",
                "/navigator.session.v1.Session/Join",
                "/navigator.v1.Navigator/GetSandboxPolicy",
                "/navigator.v1.Navigator/GetSandboxProviderEnvironment",
                "/navigator.v1.Navigator/PushSandboxLogs",
                "/navigator.v1.Navigator/ReportPolicyStatus",
            ]
        );
        for other in ["", "/", "/navigator.v1.Navigator/", "/x", "/navigator.v1.Navigator/health"] {
            assert!(authorise(&sandbox, other).is_err(), "{other}");
            assert!(authorise(&Principal::User(String::new()), other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_sandbox_is_itself_only() {
        let own = Uuid::now_v7();
        let sandbox = Principal::Sandbox { id: own, token_hash: [0; 32] };
        assert_eq!(sandbox.only(&own.to_string()).unwrap(), own);
        for other in ["", "x", &Uuid::now_v7().to_string()] {
            assert!(sandbox.only(other).is_err());
            assert!(Principal::User(String::new()).only(other).is_err());
        }
    }

    #[test]
    fn credentials_differ_and_only_their_hash_is_kept() {
        let ((one, first), (two, second)) = (new_token(), new_token());
        assert_eq!(one.len(), 64);
        assert!(*one != *two && first != second);
        assert_eq!(token_hash(&one), first);
    }
}
