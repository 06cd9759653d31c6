//! Everything that is wrong with a policy is said at once, with its place.

use navigator_policy::load;

fn messages(text: &str) -> Vec<String> {
    let errors = load("policy.yaml", text).expect_err(text);
    errors
        .iter()
        .map(|error| format!("{}:{} {}", error.line, error.column, error.message))
        .collect()
}

fn endpoint(fields: &str) -> String {
    format!(
        "version: 1\nnetwork_policies:\n  a:\n    endpoints:\n      - {{ {fields} }}\n    binaries: [{{ path: /b }}]\n"
    )
}

#[test]
fn all_errors_are_reported_and_not_the_first() {
    let text = "version: 2\nfilesystem_policy: { read_only: [relative, /a/../b], read_wirte: [] }\nprocess: { run_as_user: root }\n";
    assert_eq!(messages(text).len(), 5);
}

#[test]
fn an_error_names_its_line_and_column() {
    assert_eq!(
        messages("version: 1\nprocess:\n  run_as_user: root\n"),
        ["3:16 a sandbox never runs as root"]
    );
}

#[test]
fn a_text_that_could_command_a_terminal_is_an_error() {
    for text in ["\\e[31m", "\\u009b31m", "\\u202e", "\\n"] {
        let policy = endpoint("host: a.example, port: 443");
        let named = policy.replace("  a:\n", &format!("  a:\n    name: \"x{text}\"\n"));
        assert!(messages(&named)[0].contains("does not show"), "{named}");
        let keyed = policy.replace("  a:\n", &format!("  \"x{text}\":\n"));
        assert!(messages(&keyed)[0].contains("does not show"), "{keyed}");
    }
}

#[test]
fn a_misspelt_key_gets_the_right_one() {
    let errors = load("p", "version: 1\nfilesystem_polcy: {}\n").unwrap_err();
    let error = errors.iter().next().unwrap();
    assert_eq!(error.help.as_deref(), Some("did you mean `filesystem_policy`?"));
    assert_eq!((error.line, error.column), (2, 1));
}

#[test]
fn each_forbidden_endpoint_is_an_error() {
    let host = "host: a.example, port: 443";
    for (fields, wanted) in [
        (format!("{host}, protocol: rest, access: full, rules: []"), "exclude each other"),
        (format!("{host}, protocol: rest"), "needs `access` or `rules`"),
        (format!("{host}, protocol: rest, rules: []"), "allows nothing"),
        (format!("{host}, tls: terminate"), "needs `protocol`"),
        (
            format!("{host}, protocol: sql, enforcement: enforce, access: full"),
            "cannot be enforced",
        ),
        (format!("{host}, protocol: gopher, access: full"), "is not known here"),
        (format!("{host}, access: full"), "needs `protocol`"),
        (format!("{host}, unknown: 1"), "unknown key"),
        (format!("{host}, allowed_ips: [127.0.0.0/8]"), "loopback"),
        (format!("{host}, allowed_ips: [0.0.0.0/0]"), "loopback"),
        (format!("{host}, allowed_ips: [\"fe80::/64\"]"), "link-local"),
        (format!("{host}, allowed_ips: [169.254.169.254]"), "link-local"),
        (format!("{host}, allowed_ips: [nonsense]"), "not an address"),
        (format!("{host}, allowed_ips: []"), "allows none"),
        ("host: a.example, port: 0".into(), "1 to 65535"),
        ("host: a.example, port: 65536".into(), "1 to 65535"),
        ("host: a.example, port: \"443\"".into(), "1 to 65535"),
        ("host: a.example, ports: []".into(), "allows none"),
        ("host: a.example, port: 1, ports: [2]".into(), "exclude each other"),
        ("host: a.example".into(), "`port` is missing"),
        ("port: 443".into(), "`host` is missing"),
        ("host: \"*\", port: 443".into(), "bare `*`"),
        ("host: \"a.*.example\", port: 443".into(), "whole first label"),
        ("host: \"*a.example\", port: 443".into(), "whole first label"),
        ("host: \"*.com\", port: 443".into(), "public suffix"),
        ("host: \"*.co.uk\", port: 443".into(), "public suffix"),
        ("host: 127.0.0.1, port: 443".into(), "no policy can allow"),
        ("host: \"https://a.example\", port: 443".into(), ""),
        (format!("{host}, protocol: rest, rules: [{{ allow: {{}} }}]"), "names nothing"),
        (format!("{host}, protocol: rest, rules: [{{ allow: {{ path: x }} }}]"), "starts with `/`"),
        (format!("{host}, protocol: rest, rules: [{{ permit: {{ path: /x }} }}]"), "unknown key"),
    ] {
        let found = messages(&endpoint(&fields));
        assert!(found.iter().any(|message| message.contains(wanted)), "{fields}: {found:?}");
    }
}

#[test]
fn empty_lists_of_binaries_are_errors() {
    let text = "version: 1\nnetwork_policies: { a: { endpoints: [], binaries: [] } }\n";
    assert!(messages(text).iter().any(|message| message.contains("allows nobody")));
}

#[test]
fn unsafe_files_are_errors() {
    for path in [
        "/", "/etc", "/usr", "/bin", "/lib64", "/proc", "/sys", "/dev", "/var", "/boot", "/root",
        "/home", "//", "/./",
    ] {
        let text = format!("version: 1\nfilesystem_policy: {{ read_write: [{path}] }}\n");
        assert!(messages(&text)[0].contains("overly broad"), "{path}");
    }
    let many = vec!["/a"; 257].join(", ");
    let text = format!("version: 1\nfilesystem_policy: {{ read_only: [{many}] }}\n");
    assert!(messages(&text)[0].contains("the limit is 256"));
}

#[test]
fn root_is_refused_under_every_name() {
    for user in ["root", "\"0\"", "0"] {
        for key in ["run_as_user", "run_as_group"] {
            let found = messages(&format!("version: 1\nprocess: {{ {key}: {user} }}\n"));
            assert!(found[0].contains("root"), "{key}: {user}: {found:?}");
        }
    }
}

#[test]
fn duplicate_keys_are_errors() {
    assert!(!messages("version: 1\nversion: 1\n").is_empty());
    let twice = "version: 1\nnetwork_policies:\n  a: { endpoints: [], binaries: [{ path: /b }] }\n  a: { endpoints: [], binaries: [{ path: /b }] }\n";
    assert!(!messages(twice).is_empty());
}

#[test]
fn what_is_not_yaml_is_one_error() {
    for text in ["{", "a: b: c", "\t- x", "- &a *a", "[", "%YAML 9\n---\n\u{1}", ""] {
        assert!(!messages(text).is_empty(), "{text:?}");
    }
    let large = format!("version: 1\n# {}\n", "x".repeat(1 << 20));
    assert!(messages(&large)[0].contains("1 MiB"));
}

#[test]
fn odd_policies_get_warnings() {
    let warnings = |text: &str| {
        let checked = load("p", text).unwrap_or_else(|errors| panic!("{errors}"));
        checked.warnings.iter().map(|warning| warning.message.clone()).collect::<Vec<_>>()
    };
    let rest = endpoint("host: a.example, port: 443, protocol: rest, access: full");
    assert!(warnings(&rest)[0].contains("nothing can be inspected"));
    let method = endpoint(
        "host: a.example, port: 80, protocol: rest, rules: [{ allow: { method: FETCH, path: /x } }]",
    );
    assert!(warnings(&method)[0].contains("FETCH"));
    let nobody =
        "version: 1\nnetwork_policies: { a: { endpoints: [], binaries: [{ path: /b }] } }\n";
    assert!(warnings(nobody)[0].contains("no endpoint"));
    let one = "{ endpoints: [{ host: a.example, port: 1 }], binaries: [{ path: /b }] }";
    let shadow = format!("version: 1\nnetwork_policies: {{ a: {one}, b: {one} }}\n");
    assert_eq!(warnings(&shadow), ["`b` adds nothing to `a`"]);
    assert!(warnings("version: 1\n").is_empty());
}

#[test]
fn errors_are_shown_with_the_line_they_are_about() {
    let text = "version: 1\nprocess:\n  run_as_user: root\n";
    let shown = load("policy.yaml", text).unwrap_err().render(text);
    assert!(shown.contains("policy.yaml:3:16") && shown.contains("run_as_user: root"), "{shown}");
    assert!(shown.contains("write `sandbox`"), "{shown}");
}
