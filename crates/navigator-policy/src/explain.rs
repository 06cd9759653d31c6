//! A policy in plain words.

use std::fmt::Write as _;

use crate::model::{
    AccessPreset, Compatibility, Effect, Endpoint, EndpointHost, Enforcement, NetworkMode, Policy,
    Requests,
};

/// Says in plain words what a policy grants.
#[must_use]
pub fn explain(policy: &Policy) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_files(&mut text, policy);
    let _ = write_network(&mut text, policy);
    text
}

fn write_files(text: &mut String, policy: &Policy) -> std::fmt::Result {
    let files = &policy.filesystem;
    let list = |paths: &[crate::SandboxPath]| {
        let paths: Vec<&str> = paths.iter().map(|path| path.as_str()).collect();
        if paths.is_empty() { "nothing".to_owned() } else { paths.join(", ") }
    };
    writeln!(text, "Files")?;
    writeln!(text, "- may be read and executed: {}", list(&files.read_only))?;
    writeln!(text, "- may be changed: {}", list(&files.read_write))?;
    if files.include_workdir {
        writeln!(text, "- the working directory may be changed")?;
    }
    writeln!(text, "- nothing else exists in the sandbox")?;
    let kernel = match policy.landlock.compatibility {
        Compatibility::HardRequirement => "the sandbox does not start",
        Compatibility::BestEffort => "the sandbox starts with what there is and says so",
    };
    writeln!(text, "- on a kernel that cannot enforce this, {kernel}")?;
    let process = &policy.process;
    writeln!(text, "\nProcesses\n- run as {}:{}", process.run_as_user, process.run_as_group)
}

fn write_network(text: &mut String, policy: &Policy) -> std::fmt::Result {
    writeln!(text, "\nNetwork")?;
    if policy.mode() == NetworkMode::Block {
        return writeln!(text, "- none: no IP sockets exist");
    }
    for (key, network) in &policy.network {
        let binaries: Vec<String> = network.binaries.iter().map(|path| binary(path)).collect();
        writeln!(text, "- {key}: {} may reach", binaries.join(", "))?;
        for endpoint in &network.endpoints {
            writeln!(text, "  - {}", destination(endpoint))?;
            for line in requests(endpoint) {
                writeln!(text, "    {line}")?;
            }
        }
    }
    if let Some(inference) = &policy.inference
        && !inference.allowed_routes.is_empty()
    {
        writeln!(text, "- model calls may use the routes {}", inference.allowed_routes.join(", "))?;
    }
    writeln!(text, "- everything else is refused and recorded")
}

fn binary(path: &str) -> String {
    if path == "/**" { "any program".to_owned() } else { path.to_owned() }
}

fn destination(endpoint: &Endpoint) -> String {
    let ports: Vec<String> = endpoint.ports.iter().map(ToString::to_string).collect();
    let ports = ports.join(", ");
    let nets: Vec<String> = endpoint.allowed_ips.iter().map(ToString::to_string).collect();
    let within = if nets.is_empty() {
        String::new()
    } else {
        format!(", at addresses in {}", nets.join(", "))
    };
    match &endpoint.host {
        Some(EndpointHost::Exact(host)) => format!("{host} on port {ports}{within}"),
        Some(EndpointHost::Below(pattern)) => {
            format!("every name below {} on port {ports}{within}", pattern.domain())
        }
        None => format!("any name on port {ports}{within}"),
    }
}

fn requests(endpoint: &Endpoint) -> Vec<String> {
    let Some(requests) = &endpoint.requests else { return vec![] };
    let mut lines = vec![];
    match requests {
        Requests::Access(AccessPreset::ReadOnly) => {
            lines.push("with GET, HEAD and OPTIONS requests".to_owned());
        }
        Requests::Access(AccessPreset::ReadWrite) => {
            lines.push("with GET, HEAD, OPTIONS, POST, PUT and PATCH requests".to_owned());
        }
        Requests::Access(AccessPreset::Full) => lines.push("with every request".to_owned()),
        Requests::Rules(rules) => {
            for rule in rules {
                let effect = match rule.effect {
                    Effect::Allow => "allowed",
                    Effect::Deny => "denied",
                };
                lines.push(format!("{effect}: {} {}", rule.method, rule.path));
            }
        }
    }
    if endpoint.enforcement == Enforcement::Audit {
        lines.push("other requests pass and are recorded".to_owned());
    }
    lines
}
