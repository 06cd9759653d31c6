//! The environment of a process in a sandbox: built from nothing, so that nothing of the caller leaks in.

use std::collections::BTreeMap;
use std::path::Path;

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

/// The directories of the caller's `PATH` that a sandbox may have; the others would only tell about the host.
fn visible(path: &str, request: &Request) -> String {
    let files = &request.policy.filesystem;
    let listed = files.read_only.iter().chain(&files.read_write).map(AsRef::<Path>::as_ref);
    let roots: Vec<&Path> =
        listed.chain(request.binds.iter().map(|bind| bind.destination.as_path())).collect();
    // `/bin` is a link into `/usr` on most systems, whatever the policy lists.
    let usual = |directory: &str| DEFAULT_PATH.split(':').any(|known| known == directory);
    let kept = path.split(':').filter(|directory| {
        usual(directory) || roots.iter().any(|root| Path::new(directory).starts_with(root))
    });
    kept.collect::<Vec<_>>().join(":")
}

/// Builds it; later entries win, the request's own last.
pub(crate) fn build(request: &Request, user: &User) -> BTreeMap<String, String> {
    let mut env = request.root_env.clone();
    let mut set = |name: &str, value: &str| {
        env.insert(name.to_owned(), value.to_owned());
    };
    set("HOME", &user.home.to_string_lossy());
    set("USER", &user.name);
    set("LOGNAME", &user.name);
    set("SHELL", &user.shell.to_string_lossy());
    set("TERM", request.term.as_deref().unwrap_or("dumb"));
    if !request.root_env.contains_key("LANG") {
        set("LANG", "C.UTF-8");
    }
    let path = match request.root {
        RootView::Host => request.path.as_deref().map(|path| visible(path, request)),
        RootView::Directory(_) | RootView::Layers(_) => request.root_env.get("PATH").cloned(),
    };
    set("PATH", path.as_deref().filter(|path| !path.is_empty()).unwrap_or(DEFAULT_PATH));
    set("NAVIGATOR_SANDBOX", "1");
    set("NAVIGATOR_SANDBOX_NAME", &request.name);
    if request.mode() == NetworkMode::Proxy {
        for name in PROXY_NAMES {
            set(name, PROXY);
        }
        set("NO_PROXY", NO_PROXY);
        set("no_proxy", NO_PROXY);
        for (name, path) in crate::trust::variables() {
            set(&name, &path);
        }
    }
    env.extend(request.env.clone());
    env
}
