//! The way out: what is allowed passes, everything else is refused with a reason, by every adapter.

use crate::harness::{as_everyone, code, stderr};

const PROXIES: [&str; 12] = [
    "-u",
    "HTTP_PROXY",
    "-u",
    "HTTPS_PROXY",
    "-u",
    "ALL_PROXY",
    "-u",
    "http_proxy",
    "-u",
    "https_proxy",
    "-u",
    "all_proxy",
];

fn pip(policy: &str) -> String {
    format!("{}/../examples/{policy}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_package_can_be_installed_through_the_proxy() {
    as_everyone(|case| {
        let text = std::fs::read_to_string(pip("pypi.yaml")).unwrap();
        let policy = case.file("pypi.yaml", &text);
        let install =
            ["python3", "-m", "pip", "install", "-q", "--target", "/sandbox/pkgs", "cowsay"];
        let output = case.run(&["--policy", policy.to_str().unwrap()], &install);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    });
}

#[test]
fn a_package_can_be_installed_by_a_program_that_ignores_the_proxy() {
    as_everyone(|case| {
        let text = std::fs::read_to_string(pip("pypi.yaml")).unwrap();
        let policy = case.file("pypi.yaml", &text);
        let mut install = vec!["env"];
        install.extend(PROXIES);
        install.extend([
            "/usr/bin/python3",
            "-m",
            "pip",
            "install",
            "-q",
            "--target",
            "/sandbox/p",
            "cowsay",
        ]);
        let output = case.run(&["--policy", policy.to_str().unwrap()], &install);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    });
}

const OTHER: &str = "network_policies:\n  p:\n    endpoints: [{ host: files.pythonhosted.org, port: 443 }]\n    \
                     binaries: [{ path: \"/usr/bin/python3*\" }]\n";

#[test]
fn a_refusal_names_host_port_and_program() {
    as_everyone(|case| {
        let policy = case.policy(OTHER);
        let install = [
            "python3",
            "-m",
            "pip",
            "install",
            "--retries",
            "1",
            "--target",
            "/sandbox/p",
            "cowsay",
        ];
        let output = case.run(&["--policy", &policy], &install);
        assert_ne!(code(&output), 0);
        let text = stderr(&output);
        let refusal =
            text.lines().find(|line| line.contains("403")).unwrap_or_else(|| panic!("{text}"));
        assert!(refusal.contains("pypi.org:443") && refusal.contains("python3"), "{refusal}");
        assert!(text.contains("to allow it, add to the policy"), "{text}");
    });
}

#[test]
fn a_program_that_ignores_the_proxy_is_refused_too() {
    as_everyone(|case| {
        let policy = case.policy(OTHER);
        let mut install = vec!["env"];
        install.extend(PROXIES);
        install.extend([
            "/usr/bin/python3",
            "-m",
            "pip",
            "install",
            "--retries",
            "0",
            "--target",
            "/sandbox/p",
            "cowsay",
        ]);
        let output = case.run(&["--policy", &policy], &install);
        assert_ne!(code(&output), 0);
        assert!(stderr(&output).contains("pypi.org"), "{}", stderr(&output));
    });
}

#[test]
fn every_adapter_gives_the_same_answer() {
    as_everyone(|case| {
        let policy = case.policy(
            "network_policies:\n  p:\n    endpoints: [{ host: pypi.org, ports: [80, 443] }]\n    \
             binaries: [{ path: \"/usr/bin/python3*\" }]\n",
        );
        let found = case.attack(&["--policy", &policy], "adapters.py", &[]);
        for (attempt, result) in found["allowed"].as_object().unwrap() {
            assert_eq!(result, "open", "{attempt} as {:?}", case.who);
        }
        for (attempt, result) in found["denied"].as_object().unwrap() {
            assert_ne!(result, "open", "{attempt} as {:?}", case.who);
        }
        for (attempt, result) in found["dns"].as_object().unwrap() {
            assert_eq!(result, "refused", "{attempt} as {:?}", case.who);
        }
        let leaked = case
            .decisions()
            .into_iter()
            .find(|decision| decision["decision"] == "allow" && decision["host"] != "pypi.org");
        assert!(leaked.is_none(), "{leaked:?}");
    });
}

#[test]
fn a_program_cannot_take_the_rights_of_another() {
    as_everyone(|case| {
        let policy = case.policy(
            "network_policies:\n  p:\n    endpoints: [{ host: pypi.org, port: 443 }]\n    \
             binaries: [{ path: /usr/bin/curl }, { path: /sandbox/tool }, { path: /sandbox/allowed.py }]\n",
        );
        let found = case.attack(&["--policy", &policy], "identity.py", &[]);
        assert_eq!(found["curl itself"], "open", "{found}");
        assert_eq!(found["the allowed script"], "open", "{found}");
        assert_eq!(found["first use of the tool"], "open", "{found}");
        for (attempt, result) in found["attacks"].as_object().unwrap() {
            assert_eq!(result, "denied", "{attempt} as {:?}", case.who);
        }
        assert!(found["attacks"].as_object().unwrap().len() >= 8);
    });
}
