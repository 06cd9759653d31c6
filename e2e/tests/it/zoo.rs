//! Ordinary clients, as they are used: with and without interception, with and without proxy variables. Prints what
//! passed as a table.

use std::collections::BTreeMap;
use std::process::Output;

use navigator_testkit::{Certificate, FakeInternet, Origin};

use crate::harness::{Case, as_everyone, code, stderr, stdout};

/// Whether requests are inspected, and whether the proxy variables are there.
const COLUMNS: [[&str; 2]; 4] = [
    ["inspected", "proxy"],
    ["inspected", "transparent"],
    ["tunnel", "proxy"],
    ["tunnel", "transparent"],
];

/// What came of each client in each column.
#[derive(Default)]
struct Matrix(BTreeMap<String, [Option<String>; 4]>);

impl Matrix {
    fn add(&mut self, column: usize, output: &Output) {
        let found: BTreeMap<String, String> = serde_json::from_str(&stdout(output))
            .unwrap_or_else(|error| panic!("{error}: {}", stderr(output)));
        for (client, result) in found {
            self.0.entry(client).or_default()[column] = Some(result);
        }
    }

    /// Prints the table, then fails with what did not pass.
    fn check(&self, case: &Case, clients: usize) {
        println!("as {:?}: {:?}", case.who, COLUMNS.map(|column| column.join(", ")));
        let mut failures = vec![];
        for (client, cells) in &self.0 {
            let words = cells.each_ref().map(|cell| match cell.as_deref() {
                None => "-",
                Some("ok") => "ok",
                Some(_) => "FAILED",
            });
            println!("{client:24} {:8} {:8} {:8} {:8}", words[0], words[1], words[2], words[3]);
            let failed = cells
                .iter()
                .zip(COLUMNS)
                .filter(|(cell, _)| cell.as_deref().is_some_and(|result| result != "ok"));
            failures.extend(failed.map(|(cell, column)| format!("{client}, {column:?}: {cell:?}")));
        }
        if !failures.is_empty() {
            // A refusal for want of an identity says here alone why.
            let unidentified = case.decisions().into_iter().filter(|d| d["reason"] == "identity");
            failures.extend(unidentified.map(|d| format!("{} {}", d["host"], d["detail"])));
        }
        assert!(failures.is_empty(), "as {:?}:\n{}", case.who, failures.join("\n"));
        assert!(self.0.len() >= clients, "only {} clients ran", self.0.len());
    }
}

fn command<'a>(column: [&'a str; 2], more: &[&'a str]) -> Vec<&'a str> {
    let mut command = vec!["/usr/bin/python3", "/sandbox/programs/zoo.py"];
    command.extend(column);
    command.extend(more);
    command
}

fn policy(case: &Case, endpoints: &str) -> String {
    case.policy(&format!(
        "network_policies:\n  web:\n    endpoints:\n{endpoints}    binaries: [{{ path: \"/**\" }}]\n"
    ))
}

/// What may be asked of the web server: to read, and to fetch from repositories.
const RULES: &str = "protocol: rest, rules: [\
    { allow: { method: GET, path: \"/**\" } }, { allow: { method: POST, path: /mirror } }, \
    { allow: { method: POST, path: \"/git/**/git-upload-pack\" } }, \
    { deny: { method: \"*\", path: \"/**\", query: { service: git-receive-pack } } }]";

fn endpoints(inspected: bool) -> String {
    let (web, plain, calls, socket) = if inspected {
        let call = |name| format!("{{ allow: {{ method: POST, path: /test.Echo/{name} }} }}");
        let calls = ["Unary", "Stream", "Chat"].map(call).join(", ");
        let calls = format!("protocol: grpc, rules: [{calls}]");
        let rules = format!(", {RULES}");
        (
            format!(", tls: terminate{rules}"),
            rules,
            format!(", tls: terminate, {calls}"),
            ", tls: terminate, protocol: websocket, access: full".to_owned(),
        )
    } else {
        Default::default()
    };
    format!(
        "      - {{ host: web.example.net, port: 443{web} }}\n      - {{ host: web.example.net, port: 80{plain} }}\n      \
         - {{ host: grpc.example.net, port: 443{calls} }}\n      - {{ host: ws.example.net, port: 443{socket} }}\n      \
         - {{ host: ssh.example.net, port: 22 }}\n"
    )
}

fn internet() -> FakeInternet {
    let mut internet = FakeInternet::new()
        .name("ssh.example.net", &["203.0.113.23"])
        .origin("203.0.113.20:80", Origin::Web)
        .origin("203.0.113.23:22", Origin::Ssh);
    for (name, address) in
        [("web", "203.0.113.20"), ("grpc", "203.0.113.21"), ("ws", "203.0.113.22")]
    {
        let name = format!("{name}.example.net");
        internet = internet
            .name(&name, &[address])
            .origin(&format!("{address}:443"), Origin::WebTls(Certificate::Good { name }));
    }
    internet
}

/// What the servers have: a repository with one commit, and keys.
const SERVERS: &str = r#"
cd "$1"; exec >&2
git init -q --bare git/a.git
printf 'commit refs/heads/main\ncommitter A <a@example.net> 0 +0000\ndata 1\nx\nM 644 inline file\ndata 2\nx\n\n' |
    git -C git/a.git fast-import --quiet
git -C git/a.git symbolic-ref HEAD refs/heads/main
ssh-keygen -q -t ed25519 -N '' -f id; ssh-keygen -q -t ed25519 -N '' -f host_key
id -un > user
printf '%s\n' "HostKey $1/host_key" "AuthorizedKeysFile $1/id.pub" 'StrictModes no' 'UsePAM no' 'PidFile none' > sshd_config
"#;

#[test]
fn ordinary_clients_work_with_and_without_interception() {
    as_everyone(|case| {
        let dir = case.directory("internet");
        let mut servers = case.as_user("bash".as_ref());
        let made = servers.args(["-ec", SERVERS, "bash"]).arg(&dir).output().unwrap();
        assert_eq!(code(&made), 0, "{}", stderr(&made));
        let mut matrix = Matrix::default();
        for (at, column) in COLUMNS.into_iter().enumerate() {
            let policy = policy(case, &endpoints(column[0] == "inspected"));
            let run = case.client(&internet(), &["--policy", &policy], &command(column, &[]));
            matrix.add(at, &run.0);
        }
        matrix.check(case, 30);
    });
}

#[test]
fn packages_install_with_and_without_interception() {
    as_everyone(|case| {
        let mut matrix = Matrix::default();
        for (at, column) in COLUMNS.into_iter().enumerate() {
            let inspected = match column[0] {
                "inspected" => ", protocol: rest, tls: terminate, access: read-only",
                _ => "",
            };
            let hosts = ["pypi.org", "files.pythonhosted.org", "registry.npmjs.org"];
            let endpoints: String = hosts
                .map(|host| format!("      - {{ host: {host}, port: 443{inspected} }}\n"))
                .concat();
            let policy = policy(case, &endpoints);
            let mounts = case.client_mounts();
            let mut options = vec!["--policy", &policy, "--workdir", "/sandbox"];
            options.extend(mounts.iter().flat_map(|mount| ["--mount", mount]));
            matrix.add(at, &case.run(&options, &command(column, &["registries"])));
        }
        matrix.check(case, 3);
    });
}
