//! One precedence for every setting.

use super::*;

const FILE: &str = "/etc/navigator/gateway.toml";

fn settings(
    flags: &[(&'static str, &str)],
    environment: &[(&str, &str)],
    file: &str,
) -> Result<Settings, SettingsError> {
    let flags = flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let variable = |name: &str| {
        environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    let defaults = Defaults {
        config: "/etc/navigator".into(),
        state: "/var/lib/navigator".into(),
        socket: "/run/navigator/gateway.sock".into(),
    };
    Settings::new(&flags, variable, (Path::new(FILE), Some(file)), &defaults)
}

fn shown(settings: &Settings, name: &str) -> (String, String) {
    let found = settings.shown.iter().find(|shown| shown.name == name).unwrap();
    (found.value.clone(), found.origin.clone())
}

#[test]
fn nothing_has_to_be_set() {
    let all = settings(&[], &[], "").unwrap();
    assert_eq!(all.shown.len(), NAMES.len());
    assert!(all.shown.iter().all(|shown| shown.origin == "default"));
    assert_eq!(shown(&all, "store").0, "sqlite:/var/lib/navigator/gateway.db");
    assert_eq!((all.listen, all.most_sandboxes), (None, 2000));
}

#[test]
fn the_nearest_layer_wins_for_every_setting() {
    let values = |name: &str| match name {
        "state_dir" | "socket" | "tls_dir" | "supervisor" => ["/a", "/b", "/c"],
        "store" => ["sqlite:/a", "sqlite:/b", "sqlite:/c"],
        "listen" => ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"],
        "log_level" => ["error", "debug", "trace"],
        "log_format" => ["json", "text", "json"],
        "otlp_endpoint" => ["http://a", "http://b", "http://c"],
        _ => ["1", "2", "3"],
    };
    for (name, _) in NAMES {
        let [flag, variable, file] = values(name);
        let variable_name = format!("{PREFIX}{}", name.to_ascii_uppercase());
        let text = format!("{name} = {file:?}");
        let environment = [(variable_name.as_str(), variable)];
        let from_file = settings(&[], &[], &text).unwrap();
        assert_eq!(shown(&from_file, name), (file.into(), FILE.into()));
        let from_environment = settings(&[], &environment, &text).unwrap();
        assert_eq!(shown(&from_environment, name), (variable.into(), variable_name.clone()));
        let from_flag = settings(&[(name, flag)], &environment, &text).unwrap();
        assert_eq!(shown(&from_flag, name), (flag.into(), format!("--{}", name.replace('_', "-"))));
    }
}

#[test]
fn what_depends_on_a_setting_follows_it() {
    let all = settings(&[("state_dir", "/s")], &[], "").unwrap();
    assert_eq!(shown(&all, "store").0, "sqlite:/s/gateway.db");
}

#[test]
fn a_value_that_means_nothing_is_refused_with_its_origin() {
    for (name, value) in [
        ("state_dir", "relative"),
        ("socket", ""),
        ("listen", "8443"),
        ("log_level", "loud"),
        ("log_format", "xml"),
        ("otlp_endpoint", "collector"),
        ("most_sandboxes", "0"),
        ("most_sandboxes", "-1"),
    ] {
        let text = settings(&[], &[], &format!("{name} = {value:?}")).unwrap_err().to_string();
        assert!(text.contains(name) && text.contains(FILE), "{text}");
        let flag = settings(&[(name, value)], &[], "").unwrap_err().to_string();
        assert!(flag.contains("from --"), "{flag}");
    }
}

#[test]
fn a_file_with_something_else_is_refused() {
    for (text, part) in [
        ("sockets = 1", "there is no setting `sockets`"),
        ("most_sandboxes = [1]", "`most_sandboxes` must be"),
        ("socket = ", "line 1"),
        ("[gateway]\nsocket = '/x'", "`gateway`"),
    ] {
        let error = settings(&[], &[], text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(settings(&[], &[], "most_sandboxes = 7").unwrap().most_sandboxes, 7);
}

#[test]
fn a_password_is_not_shown() {
    let all = settings(&[("store", "postgres://user:hunter2@db.example/nav")], &[], "").unwrap();
    assert!(!format!("{all:?}").contains("hunter2"), "{all:?}");
    assert!(shown(&all, "store").0.contains("db.example"));
}
