//! From a new revision of the policy to the first wish that is refused by it.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use navigator_egress::authorise::{Judge, Verdict};
use navigator_egress::identity::Identifier;
use navigator_egress::intent::{Adapter, ClientSocket, EgressIntent};
use navigator_egress::tls::{Authority, UpstreamTls};
use navigator_egress::{
    AuditRecord, AuditSink, EgressContext, EgressSettings, SandboxLabel, SystemResolver,
};
use navigator_policy::{CompiledPolicy, Host};

const PORT: u16 = 443;
/// Endpoints of the policy, as many as a policy for work has.
const ENDPOINTS: usize = 15;

/// Takes records and keeps none.
struct Nowhere;

impl AuditSink for Nowhere {
    fn record(&self, _: AuditRecord) {}
}

/// Nanoseconds of compiling a revision, putting it into force and refusing what it does not allow.
pub async fn changes(
    socket: &ClientSocket,
    identifier: Identifier,
    samples: usize,
) -> io::Result<Vec<u128>> {
    let (with, without) = (policy("192.0.2.7")?, policy("192.0.2.8")?);
    let compile = |policy| CompiledPolicy::compile(policy, &|_| None);
    let context = Arc::new(EgressContext::new(EgressSettings {
        policy: compile(&with),
        audit: Arc::new(Nowhere),
        resolver: Arc::new(SystemResolver::default()),
        sandbox: SandboxLabel { id: "bench".into(), name: "bench".into() },
        read_only: vec![],
        authority: Authority::new("bench").map_err(io::Error::other)?,
        upstream_tls: UpstreamTls::default(),
        learning: None,
    }));
    let judge = Judge::new(context.clone(), identifier);
    let caller = judge.identify(socket).await;
    let host = Host::parse("192.0.2.7").map_err(io::Error::other)?;
    let intent = EgressIntent { socket: *socket, host, port: PORT, adapter: Adapter::Connect };
    let mut times = vec![];
    for _ in 0..samples {
        match judge.authorise(&intent, &caller).await {
            Verdict::Connect(_) => {}
            other => return Err(io::Error::other(format!("expected a connection: {other:?}"))),
        }
        let start = Instant::now();
        context.replace_policy(compile(&without));
        match judge.authorise(&intent, &caller).await {
            Verdict::Refuse(_) => times.push(start.elapsed().as_nanos()),
            other => return Err(io::Error::other(format!("expected a refusal: {other:?}"))),
        }
        context.replace_policy(compile(&with));
    }
    Ok(times)
}

fn policy(address: &str) -> io::Result<navigator_policy::Policy> {
    let others: String = (1..ENDPOINTS)
        .map(|number| format!("      - {{ host: host{number}.example.com, port: {PORT} }}\n"))
        .collect();
    let text = format!(
        "version: 1\nnetwork_policies:\n  bench:\n    endpoints:\n      - {{ host: {address}, port: {PORT} }}\n\
         {others}    binaries: [{{ path: {} }}]\n",
        std::env::current_exe()?.display()
    );
    Ok(navigator_policy::load("bench", &text).map_err(io::Error::other)?.policy)
}
