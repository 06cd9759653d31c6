//! The environment of a process in a sandbox: built from nothing, so that nothing of the caller leaks in.

use std::collections::BTreeMap;

use navigator_isolation::{RootView, User};
use navigator_policy::NetworkMode;

use crate::request::Request;

/// Where programs are looked for when the root filesystem does not say.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The supervisor's proxy as the sandbox sees it.
const PROXY: &str = "http://10.200.0.1:3128";
/// Every spelling of the proxy variables that clients read.
const PROXY_NAMES: [&str; 7] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "grpc_proxy",
];
/// Destinations inside the sandbox itself.
const NO_PROXY: &str = "127.0.0.1,localhost,::1";

/// Builds it; later entries win, the request's own last.
pub(crate) fn build(request: &Request, user: &User) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let mut set = |name: &str, value: &str| {
        env.insert(name.to_owned(), value.to_owned());
    };
    set("HOME", &user.home.to_string_lossy());
    set("USER", &user.name);
    set("LOGNAME", &user.name);
    set("SHELL", &user.shell.to_string_lossy());
    set("TERM", request.term.as_deref().unwrap_or("dumb"));
    set("LANG", "C.UTF-8");
    let path = match request.root {
        RootView::Host => request.path.as_deref(),
        RootView::Directory(_) => None,
    };
    set("PATH", path.unwrap_or(DEFAULT_PATH));
    set("NAVIGATOR_SANDBOX", "1");
    set("NAVIGATOR_SANDBOX_NAME", &request.name);
    if request.policy.mode() == NetworkMode::Proxy {
        for name in PROXY_NAMES {
            set(name, PROXY);
        }
        set("NO_PROXY", NO_PROXY);
        set("no_proxy", NO_PROXY);
    }
    env.extend(request.env.clone());
    env
}
