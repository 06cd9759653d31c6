//! Where an answer sends us, and whether we go.

use http::StatusCode;
use http::header::{HeaderMap, LOCATION};
use url::Url;

use crate::error::Failure;

/// Whether an answer says to look elsewhere.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where to go on from `url`.
pub(crate) fn next(url: &Url, headers: &HeaderMap) -> Result<Url, Failure> {
    let location = headers.get(LOCATION).ok_or(Failure::Redirect("it does not say where to"))?;
    let location = location.to_str().map_err(|_| Failure::Redirect("it names no URL"))?;
    let mut next = url.join(location).map_err(|_| Failure::Redirect("it names no URL"))?;
    next.set_fragment(None);
    match (url.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => {}
        ("https", "http") => return Err(Failure::Redirect("it leads away from TLS")),
        _ => return Err(Failure::Redirect("it leads away from HTTP")),
    }
    if !next.username().is_empty() || next.password().is_some() {
        return Err(Failure::Redirect("it has a login in it"));
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(url: &str, location: &str) -> Option<String> {
        let headers = [(LOCATION, location.parse().unwrap())].into_iter().collect();
        next(&url.parse().unwrap(), &headers).ok().map(String::from)
    }

    #[test]
    fn redirects_are_followed_where_they_may_lead() {
        let here = "https://a.example/v2/x";
        for (location, there) in [
            ("/y?z", Some("https://a.example/y?z")),
            ("https://b.example/y#z", Some("https://b.example/y")),
            ("//b.example/", Some("https://b.example/")),
            ("http://a.example/v2/x", None),
            ("file:///etc/passwd", None),
            ("https://user:password@b.example/", None),
            ("https://", None),
        ] {
            assert_eq!(from(here, location).as_deref(), there, "{location}");
        }
        assert!(from("http://127.0.0.1/", "http://127.0.0.1/b").is_some());
        assert!(matches!(
            next(&here.parse().unwrap(), &HeaderMap::new()),
            Err(Failure::Redirect(_))
        ));
    }
}
