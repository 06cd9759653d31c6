//! `navigator policy`.

use crate::{example, file, navigator, stderr, stdout};

#[test]
fn check_reports_errors_with_their_place_as_text_and_json() {
    let dir = tempfile::tempdir().unwrap();
    let bad = file(&dir, "bad.yaml", "version: 1\nprocess:\n  run_as_user: root\n  nonsense: 1\n");
    let output = navigator(&["policy", "check", &bad]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("bad.yaml:3:16") && stderr(&output).contains("bad.yaml:4:3"));
    let output = navigator(&["policy", "check", "-o", "json", &bad]);
    assert_eq!(output.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["valid"], false);
    assert_eq!(report["errors"].as_array().unwrap().len(), 2);
    assert_eq!(report["errors"][0]["line"], 3);
}

#[test]
fn why_tells_the_decision_and_the_change() {
    let ask = |host: &str| {
        let policy = example("pypi.yaml");
        navigator(&["policy", "why", &policy, "--binary", "/usr/bin/python3", "--host", host])
    };
    assert!(stdout(&ask("pypi.org")).starts_with("allowed: "));
    let denied = stdout(&ask("example.com"));
    assert!(denied.starts_with("denied: ") && denied.contains("host: example.com"), "{denied}");
    assert_eq!(ask("exa mple").status.code(), Some(2));
}

#[test]
fn allow_changes_a_policy_as_asked_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let before = file(&dir, "p.yaml", &std::fs::read_to_string(example("pypi.yaml")).unwrap());
    let after = file(&dir, "q.yaml", &std::fs::read_to_string(example("pypi.yaml")).unwrap());
    let right = ["--host", "a.example", "--port", "443", "--binary", "/usr/bin/curl"];
    let mut args = vec!["policy", "allow", &after, "--write"];
    args.extend(right);
    assert_eq!(navigator(&args).status.code(), Some(0));
    let diff = navigator(&["policy", "diff", &before, &after]);
    assert_eq!(stdout(&diff), "+ /usr/bin/curl → a.example:443\n");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn changing_a_policy_keeps_links_and_modes() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let real = file(&dir, "real.yaml", "version: 1\n");
    std::fs::set_permissions(&real, PermissionsExt::from_mode(0o600)).unwrap();
    let link = dir.path().join("link.yaml");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let right = ["--host", "a.example", "--port", "443", "--binary", "/b", "--write"];
    let mut args = vec!["policy", "allow", link.to_str().unwrap()];
    args.extend(right);
    assert_eq!(navigator(&args).status.code(), Some(0));
    assert!(link.is_symlink());
    assert!(std::fs::read_to_string(&real).unwrap().contains("a.example"));
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn fmt_is_stable_and_explain_uses_plain_words() {
    let once = stdout(&navigator(&["policy", "fmt", &example("github-readonly.yaml")]));
    let dir = tempfile::tempdir().unwrap();
    let again = stdout(&navigator(&["policy", "fmt", &file(&dir, "f.yaml", &once)]));
    assert_eq!(once, again);
    let words = stdout(&navigator(&["policy", "explain", &example("github-readonly.yaml")]));
    assert!(
        words.contains("api.github.com on port 443") && words.contains("GET, HEAD and OPTIONS")
    );
}

#[test]
fn the_schema_is_json() {
    let schema: serde_json::Value =
        serde_json::from_str(&stdout(&navigator(&["policy", "schema"]))).unwrap();
    assert_eq!(schema["title"], "Navigator policy");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    for path in ["/no/such/policy", "/", "/dev/zero"] {
        let output = navigator(&["policy", "check", path]);
        assert_eq!(output.status.code(), Some(2), "{path}");
        assert!(stderr(&output).contains(path), "{path}: {}", stderr(&output));
    }
}

#[test]
fn fmt_checks_and_rewrites_in_place() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let odd = file(&dir, "odd.yaml", "{ version: 1 }");
    std::fs::set_permissions(&odd, PermissionsExt::from_mode(0o600)).unwrap();
    let link = dir.path().join("link.yaml").display().to_string();
    std::os::unix::fs::symlink(&odd, &link).unwrap();
    let good = file(&dir, "good.yaml", &stdout(&navigator(&["policy", "fmt", &odd])));

    let check = navigator(&["policy", "fmt", "--check", &good, &link]);
    assert_eq!((check.status.code(), stdout(&check)), (Some(1), format!("{link}\n")));
    assert_eq!(std::fs::read_to_string(&odd).unwrap(), "{ version: 1 }", "nothing is written");

    let write = navigator(&["policy", "fmt", "--write", "-o", "json", &good, &link]);
    assert_eq!(write.status.code(), Some(0));
    let report: serde_json::Value = serde_json::from_str(&stdout(&write)).unwrap();
    assert_eq!(report, serde_json::json!({ "differ": [link] }));
    assert_eq!(std::fs::read(&odd).unwrap(), std::fs::read(&good).unwrap());
    assert!(std::path::Path::new(&link).is_symlink());
    assert_eq!(std::fs::metadata(&odd).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "nothing else is left");
    assert_eq!(navigator(&["policy", "fmt", "--check", &good, &odd]).status.code(), Some(0));
}

#[test]
fn fmt_prints_json_that_is_the_same_policy() {
    let output = navigator(&["policy", "fmt", "-o", "json", &example("github-readonly.yaml")]);
    let policy: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let endpoint = &policy["network_policies"]["github_readonly"]["endpoints"][0];
    assert_eq!(endpoint["access"], "read-only");
    let dir = tempfile::tempdir().unwrap();
    let json = file(&dir, "p.json", &stdout(&output));
    let diff = navigator(&["policy", "diff", &json, &example("github-readonly.yaml")]);
    assert_eq!(stdout(&diff), "");
}

#[test]
fn fmt_refuses_what_it_cannot_do() {
    let pypi = example("pypi.yaml");
    let both = navigator(&["policy", "fmt", &pypi, &example("offline.yaml")]);
    assert_eq!(both.status.code(), Some(2));
    assert!(stderr(&both).contains("--check"), "{}", stderr(&both));
    assert_eq!(navigator(&["policy", "fmt", "--check", "--write", &pypi]).status.code(), Some(2));
}

#[test]
fn standard_input_cannot_be_changed() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_navigator"))
        .args(["policy", "fmt", "--write", "-"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"{ version: 1 }").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("\n  next: name a file"), "{}", stderr(&output));
}

#[test]
fn every_policy_error_says_what_to_do_next() {
    let dir = tempfile::tempdir().unwrap();
    let bad = file(&dir, "bad.yaml", "version: 2\n");
    let good = file(&dir, "good.yaml", "version: 1\n");
    let why = ["policy", "why", &good, "--host", "a.example", "--binary"];
    let right = ["--port", "1", "--binary", "/b"];
    for args in [
        vec!["policy", "explain", &bad],
        vec!["policy", "explain", "/no/such/policy"],
        vec!["policy", "test", &good, &bad],
        vec!["policy", "why", &good, "--binary", "/b", "--host", "exa mple"],
        [&why[..], &["curl"]].concat(),
        [&why[..], &["/b", "--method", "GET", "--path", "x"]].concat(),
        [&["policy", "allow", &good, "--host", "127.0.0.1"], &right[..]].concat(),
        vec!["policy", "fmt", &good, &good],
    ] {
        let output = navigator(&args);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains("\n  next: "), "{args:?}: {text}");
        assert!(!text.contains("error: error:"), "{args:?}: {text}");
        assert_eq!(text.matches("error: failed to").count(), 1, "{args:?}: {text}");
    }
}

#[test]
fn why_never_adds_rules_to_a_preset() {
    let policy = example("github-readonly.yaml");
    let output = navigator(&[
        "policy",
        "why",
        &policy,
        "--binary",
        "/usr/bin/gh",
        "--host",
        "api.github.com",
        "--method",
        "POST",
        "--path",
        "/repos/x/y/issues",
    ]);
    insta::assert_snapshot!(stdout(&output), @r"
    denied: no rule of policy `github_readonly` allows POST /repos/x/y/issues
    to allow it, in the endpoint api.github.com:443 of policy `github_readonly` write rules instead of `access: read-only` (`access: read-write` would allow POST on every path) and allow POST /repos/x/y/issues:
      # in place of the endpoint api.github.com:443 of policy `github_readonly`
      network_policies:
        github_readonly:
          endpoints:
          - host: api.github.com
            port: 443
            protocol: rest
            tls: terminate
            enforcement: enforce
            rules:
            - allow:
                method: GET
                path: /**
            - allow:
                method: HEAD
                path: /**
            - allow:
                method: OPTIONS
                path: /**
            - allow:
                method: POST
                path: /repos/x/y/issues
    ");
}

#[test]
fn why_knows_the_rules_about_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let policy = file(
        &dir,
        "p.yaml",
        "version: 1\nnetwork_policies:\n  a:\n    endpoints: [{ host: 10.1.2.3, port: 443 }]\n    binaries: [{ path: /b }]\n",
    );
    let ask = |host: &str| {
        stdout(&navigator(&["policy", "why", &policy, "--binary", "/b", "--host", host]))
    };
    assert!(ask("10.1.2.3").starts_with("denied: 10.1.2.3 is a private address"));
    let never = ask("127.0.0.1");
    assert!(never.starts_with("denied: ") && !never.contains("to allow it"), "{never}");
}
