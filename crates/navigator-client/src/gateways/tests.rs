use std::os::unix::fs::PermissionsExt;

use super::*;

fn gateways(dir: &tempfile::TempDir) -> Gateways {
    let at = dir.path().to_owned();
    Gateways::new(Places { config: at.join("config"), state: at.clone(), runtime: at })
}

fn credentials() -> Credentials {
    Credentials { ca: "ca".into(), certificate: "c".into(), key: Zeroizing::new("secret".into()) }
}

#[test]
fn local_is_there_without_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = gateways(&dir).meant(None).unwrap();
    let socket = dir.path().join("gateway.sock");
    assert_eq!(gateway, Gateway { name: "local".into(), reach: Reach::Local(socket) });
}

#[test]
fn a_gateway_is_added_used_and_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let gateways = gateways(&dir);
    gateways.add("team", "https://gw.example:8443", credentials()).unwrap();
    assert_eq!(gateways.names().unwrap(), ["local", "team"]);
    gateways.activate("team").unwrap();
    let meant = gateways.meant(None).unwrap();
    let reach = Reach::Tls { host: "gw.example".into(), port: 8443, credentials: credentials() };
    assert_eq!(meant, Gateway { name: "team".into(), reach });
    assert_eq!(gateways.meant(Some("https://gw.example:8443")).unwrap(), meant);
    gateways.remove("team").unwrap();
    assert_eq!(gateways.active().unwrap(), "local");
    assert!(matches!(gateways.remove("team"), Err(GatewaysError::Unknown(_))));
}

#[test]
fn what_is_chosen_wins_over_the_active_one() {
    let dir = tempfile::tempdir().unwrap();
    let gateways = gateways(&dir);
    let meant = gateways.meant(Some("unix:/run/x.sock")).unwrap();
    assert_eq!(meant.reach, Reach::Unix("/run/x.sock".into()));
    assert!(matches!(gateways.meant(Some("unix:x")), Err(GatewaysError::Address(_))));
    assert!(matches!(gateways.meant(Some("nobody")), Err(GatewaysError::Unknown(_))));
    let elsewhere = gateways.meant(Some("https://other.example:1"));
    assert!(matches!(elsewhere, Err(GatewaysError::NoCredentials(_))));
}

#[test]
fn nobody_else_reads_a_key_and_no_message_shows_it() {
    let dir = tempfile::tempdir().unwrap();
    let gateways = gateways(&dir);
    gateways.add("team", "https://gw.example:1", credentials()).unwrap();
    let file = dir.path().join("config/gateways/team.toml");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!format!("{:?}", gateways.get("team").unwrap()).contains("secret"));
    std::fs::write(&file, "address = 1\nkey = \"secret\"\n").unwrap();
    let error = gateways.get("team").unwrap_err();
    assert!(!format!("{error:?} {error}").contains("secret"), "{error:?}");
}

#[test]
fn names_cannot_lead_elsewhere_and_addresses_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let gateways = gateways(&dir);
    for name in ["", "../x", "a/b", "-a", "A", "a\n", "\x1b[31m"] {
        let added = gateways.add(name, "https://a:1", credentials());
        assert!(matches!(added, Err(GatewaysError::Name(_))), "{name:?}");
    }
    assert!(matches!(
        gateways.add("local", "https://a:1", credentials()),
        Err(GatewaysError::Local)
    ));
    for at in [
        "",
        "http://a:1",
        "https://a",
        "https://a:0",
        "https://a:70000",
        "https://:1",
        "https://a b:1",
        "https://::1:1",
        "https://a:1/x",
        "https://u@a:1",
    ] {
        let added = gateways.add("a", at, credentials());
        assert!(matches!(added, Err(GatewaysError::Address(_))), "{at}");
    }
    gateways.add("six", "https://[::1]:1", credentials()).unwrap();
    assert!(matches!(
        gateways.add("six", "https://a:1", credentials()),
        Err(GatewaysError::Exists(_))
    ));
}

#[test]
fn an_active_file_that_says_something_else_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let gateways = gateways(&dir);
    atomic::write(&dir.path().join("config/active"), "../../x").unwrap();
    assert!(matches!(gateways.meant(None), Err(GatewaysError::Name(_))));
    atomic::write(&dir.path().join("config/active"), "gone\n").unwrap();
    assert!(matches!(gateways.meant(None), Err(GatewaysError::Unknown(_))));
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let at = PathBuf::from("/proc/navigator-test");
    let gateways = Gateways::new(Places { config: at.clone(), state: at.clone(), runtime: at });
    let error = gateways.add("team", "https://a:1", credentials()).unwrap_err();
    assert!(error.to_string().contains("/proc/navigator-test/gateways/team.toml"), "{error}");
    assert!(gateways.activate("local").is_err());
}
