//! The gateways that this user knows: kept, listed, chosen and asked whether they answer.

use std::path::Path;

use navigator_client::{Credentials, Gateway, Gateways, Places, Reach, connect};
use navigator_proto::v1::{HealthRequest, ServiceStatus};
use serde::Serialize;

use super::{AddArgs, ListArgs, StatusArgs};
use crate::output::{line, say};
use crate::policy::PolicyError;
use crate::sandbox::error::SandboxError;
use crate::sandbox::listing::{Listed, print_all, print_one};
use crate::sandbox::session::meant;
use crate::text_file;

/// A gateway that is known.
#[derive(Serialize)]
struct KnownView {
    name: String,
    address: String,
    active: bool,
}

impl Listed for KnownView {
    const COLUMNS: &'static [&'static str] = &["NAME", "ACTIVE", "ADDRESS"];

    fn cells(&self) -> Vec<String> {
        let active = if self.active { "*" } else { "" };
        vec![self.name.clone(), active.to_owned(), self.address.clone()]
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// Where a gateway is.
pub fn address(gateway: &Gateway) -> String {
    match &gateway.reach {
        Reach::Local(path) | Reach::Unix(path) => format!("unix:{}", path.display()),
        Reach::Tls { host, port, .. } if host.contains(':') => format!("https://[{host}]:{port}"),
        Reach::Tls { host, port, .. } => format!("https://{host}:{port}"),
    }
}

/// Lists those that are known.
pub fn list(places: &Places, args: &ListArgs) -> Result<u8, SandboxError> {
    let gateways = Gateways::new(places.clone());
    let active = gateways.active()?;
    let view = |name: String| {
        let address = address(&gateways.get(&name)?);
        Ok::<_, SandboxError>(KnownView { active: name == active, address, name })
    };
    let all = gateways.names()?.into_iter().map(view).collect::<Result<Vec<_>, _>>()?;
    print_all(&all, args.output)?;
    Ok(0)
}

/// Keeps one.
pub fn add(places: &Places, args: &AddArgs) -> Result<u8, SandboxError> {
    let read = |path: &Path| text_file::read(path).map_err(PolicyError::Read);
    let credentials = Credentials {
        ca: read(&args.ca)?,
        certificate: read(&args.cert)?,
        key: read(&args.key)?.into(),
    };
    let gateways = Gateways::new(places.clone());
    gateways.add(&args.name, &args.address, credentials)?;
    if args.activate {
        gateways.activate(&args.name)?;
    }
    say(&format!("navigator: added the gateway `{}`", line(&args.name)));
    Ok(0)
}

/// Uses one from now on.
pub fn activate(places: &Places, name: &str) -> Result<u8, SandboxError> {
    Gateways::new(places.clone()).activate(name)?;
    say(&format!("navigator: using the gateway `{}`", line(name)));
    Ok(0)
}

/// Forgets one.
pub fn remove(places: &Places, name: &str) -> Result<u8, SandboxError> {
    Gateways::new(places.clone()).remove(name)?;
    say(&format!("navigator: removed the gateway `{}`", line(name)));
    Ok(0)
}

/// What a gateway says about itself.
#[derive(Serialize)]
pub struct HealthView {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: String,
    /// Whether it answers.
    pub reachable: bool,
    /// `healthy`, `degraded`, `unhealthy` or `unknown`.
    pub health: &'static str,
    /// Its version.
    pub version: String,
}

impl Listed for HealthView {
    const COLUMNS: &'static [&'static str] = &["NAME", "HEALTH", "VERSION", "ADDRESS"];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.health.into(), self.version.clone(), self.address.clone()]
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl HealthView {
    /// The same for people.
    pub fn text(&self) -> String {
        let Self { name, address, health, version, .. } = self;
        let (name, address, version) = (line(name), line(address), line(version));
        format!("gateway   {name}\naddress   {address}\nhealth    {health}\nversion   {version}")
    }
}

/// Asks a gateway how it is.
pub async fn health(gateway: &Gateway) -> Result<HealthView, SandboxError> {
    let answer = connect(gateway).await?.health(HealthRequest {}).await;
    let answer = answer.map_err(SandboxError::refused("ask for its health"))?.into_inner();
    let health = match ServiceStatus::try_from(answer.status) {
        Ok(ServiceStatus::Healthy) => "healthy",
        Ok(ServiceStatus::Degraded) => "degraded",
        Ok(ServiceStatus::Unhealthy) => "unhealthy",
        Ok(ServiceStatus::Unspecified) | Err(_) => "unknown",
    };
    Ok(HealthView {
        name: gateway.name.clone(),
        address: address(gateway),
        reachable: true,
        health,
        version: answer.version,
    })
}

/// Tells whether one answers.
pub async fn status(places: &Places, args: &StatusArgs) -> Result<u8, SandboxError> {
    let gateway = match &args.name {
        Some(name) => Gateways::new(places.clone()).get(name)?,
        None => meant(places)?,
    };
    let view = health(&gateway).await?;
    print_one(&view, args.output, HealthView::text)?;
    Ok(u8::from(view.health != "healthy"))
}
