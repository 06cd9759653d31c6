//! A sandbox as rows and back.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use serde_json::Value as Json;

use super::children::{Child, Grouped, Selection, pair, pairs, positions};
use super::database::{Row, Statement, Value, damaged, values};
use super::error::StoreError;
use super::words::Word as _;
use crate::records::{Condition, Desired, Layer, Mount, Name, Phase, Sandbox, Spec, Template};

const fn of_sandbox(table: &'static str, order: &'static str) -> Child {
    Child { table, owner: "sandbox_id", owners: "sandboxes", order }
}

const ENVIRONMENT: Child = of_sandbox("sandbox_environment", "name");
const TEMPLATE_ENVIRONMENT: Child = of_sandbox("sandbox_template_environment", "name");
const LABELS: Child = of_sandbox("sandbox_template_labels", "name");
const ANNOTATIONS: Child = of_sandbox("sandbox_template_annotations", "name");
const PROVIDERS: Child = of_sandbox("sandbox_providers", "position");
const MOUNTS: Child = of_sandbox("sandbox_mounts", "position");
const CONDITIONS: Child = of_sandbox("sandbox_conditions", "position");
const LAYERS: Child = of_sandbox("sandbox_layers", "position");
const SKIPPED: Child = of_sandbox("sandbox_skipped_paths", "position");

/// Columns of `sandboxes` in the order of [`row`]; events are counted elsewhere.
const COLUMNS: &str = "id, name, log_level, image, runtime_class_name, agent_socket, resources, \
    pod_template, volume_claim_templates, desired, phase, restarts, created_at, policy_in_force, \
    token_hash, record_version";

/// The statement that inserts the sandbox's own row.
pub(super) fn row(sandbox: &Sandbox) -> Result<Statement, StoreError> {
    let Template { image, runtime_class_name, agent_socket, .. } = &sandbox.spec.template;
    let Template { resources, pod_template, volume_claim_templates, .. } = &sandbox.spec.template;
    let sql = format!(
        "INSERT INTO sandboxes ({COLUMNS}, event_count) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, \
         $10, $11, $12, $13, $14, $15, $16, 0) ON CONFLICT (name) DO NOTHING"
    );
    let parameters = values![
        sandbox.id,
        &sandbox.name,
        &sandbox.spec.log_level,
        image,
        runtime_class_name,
        agent_socket,
        json(resources.as_ref(), "the template's resources")?,
        json(pod_template.as_ref(), "the template's pod")?,
        json(volume_claim_templates.as_ref(), "the template's volume claims")?,
        sandbox.desired.word(),
        sandbox.phase.word(),
        sandbox.restarts,
        sandbox.created_at,
        sandbox.policy_in_force,
        sandbox.token_hash.as_ref(),
        sandbox.record_version,
    ];
    Ok(Statement::new(sql, parameters))
}

/// Statements that insert what was asked for.
pub(super) fn asked_for(sandbox: &Sandbox) -> Vec<Statement> {
    let owner = sandbox.id;
    let Spec { environment, template, providers, mounts, .. } = &sandbox.spec;
    let providers = positions(providers.iter().map(|name| values![name]));
    let mounts = mounts.iter().map(|mount| {
        let (source, destination) = (mount.source.as_os_str(), mount.destination.as_os_str());
        values![source.as_bytes(), destination.as_bytes(), mount.read_only]
    });
    let mounts = positions(mounts);
    let insert = |into, rows| Statement::insert_all(into, owner, rows);
    [
        insert("sandbox_environment (sandbox_id, name, value)", pairs(environment)),
        insert(
            "sandbox_template_environment (sandbox_id, name, value)",
            pairs(&template.environment),
        ),
        insert("sandbox_template_labels (sandbox_id, name, value)", pairs(&template.labels)),
        insert(
            "sandbox_template_annotations (sandbox_id, name, value)",
            pairs(&template.annotations),
        ),
        insert("sandbox_providers (sandbox_id, position, provider)", providers),
        insert("sandbox_mounts (sandbox_id, position, source, destination, read_only)", mounts),
    ]
    .concat()
}

/// Statements that insert what is known of it.
pub(super) fn known(sandbox: &Sandbox) -> Vec<Statement> {
    let owner = sandbox.id;
    let conditions = sandbox.conditions.iter().map(|condition| {
        let Condition { kind, status, reason, message, since } = condition;
        values![kind, status, reason, message, *since]
    });
    let layers = sandbox.layers.iter().map(|layer| {
        let Layer { name, degraded, detail } = layer;
        values![name, degraded.as_ref(), detail]
    });
    let skipped = sandbox.skipped.iter().map(|(path, reason)| values![path, reason]);
    let insert = |into, rows| Statement::insert_all(into, owner, rows);
    [
        insert(
            "sandbox_conditions (sandbox_id, position, kind, status, reason, message, since)",
            positions(conditions),
        ),
        insert("sandbox_layers (sandbox_id, position, name, degraded, detail)", positions(layers)),
        insert("sandbox_skipped_paths (sandbox_id, position, path, reason)", positions(skipped)),
    ]
    .concat()
}

/// Statements that delete what is known of it.
pub(super) fn forget_known(sandbox: &Sandbox) -> Vec<Statement> {
    [CONDITIONS, LAYERS, SKIPPED].iter().map(|table| table.clear(sandbox.id)).collect()
}

/// The queries whose answers [`read`] wants.
pub(super) fn queries(which: &Selection) -> Vec<Statement> {
    vec![
        which.rows(COLUMNS, "sandboxes"),
        which.children("name, value", &ENVIRONMENT),
        which.children("name, value", &TEMPLATE_ENVIRONMENT),
        which.children("name, value", &LABELS),
        which.children("name, value", &ANNOTATIONS),
        which.children("provider", &PROVIDERS),
        which.children("source, destination, read_only", &MOUNTS),
        which.children("kind, status, reason, message, since", &CONDITIONS),
        which.children("name, degraded, detail", &LAYERS),
        which.children("path, reason", &SKIPPED),
    ]
}

/// Sandboxes from the answers to [`queries`].
pub(super) fn read(answers: Vec<Vec<Row>>) -> Result<Vec<Sandbox>, StoreError> {
    let mut answers = answers.into_iter();
    let mut next = || answers.next().unwrap_or_default();
    let sandboxes = next();
    let mut parts = Parts {
        environment: Grouped::read(next(), pair)?,
        template_environment: Grouped::read(next(), pair)?,
        labels: Grouped::read(next(), pair)?,
        annotations: Grouped::read(next(), pair)?,
        providers: Grouped::read(next(), |row| row.name("sandbox_providers.provider"))?,
        mounts: Grouped::read(next(), mount)?,
        conditions: Grouped::read(next(), condition)?,
        layers: Grouped::read(next(), layer)?,
        skipped: Grouped::read(next(), pair)?,
    };
    sandboxes.into_iter().map(|row| sandbox(row, &mut parts)).collect()
}

struct Parts {
    environment: Grouped<(String, String)>,
    template_environment: Grouped<(String, String)>,
    labels: Grouped<(String, String)>,
    annotations: Grouped<(String, String)>,
    providers: Grouped<Name>,
    mounts: Grouped<Mount>,
    conditions: Grouped<Condition>,
    layers: Grouped<Layer>,
    skipped: Grouped<(String, String)>,
}

fn sandbox(mut row: Row, parts: &mut Parts) -> Result<Sandbox, StoreError> {
    let id = row.id("sandboxes.id")?;
    let name = row.name("sandboxes.name")?;
    let spec = spec(&mut row, &id.to_string(), parts)?;
    let owner = id.to_string();
    Ok(Sandbox {
        id,
        name,
        spec,
        desired: Desired::read(&row.text("sandboxes.desired")?, "sandboxes.desired")?,
        phase: Phase::read(&row.text("sandboxes.phase")?, "sandboxes.phase")?,
        conditions: parts.conditions.take(&owner),
        layers: parts.layers.take(&owner),
        skipped: parts.skipped.take(&owner),
        restarts: row.count("sandboxes.restarts")?,
        created_at: row.integer("sandboxes.created_at")?,
        policy_in_force: row.count("sandboxes.policy_in_force")?,
        token_hash: row.digest_or_null("sandboxes.token_hash")?,
        record_version: row.integer("sandboxes.record_version")?,
    })
}

fn spec(row: &mut Row, owner: &str, parts: &mut Parts) -> Result<Spec, StoreError> {
    Ok(Spec {
        log_level: row.text("sandboxes.log_level")?,
        environment: parts.environment.take_map(owner),
        template: Template {
            image: row.text("sandboxes.image")?,
            runtime_class_name: row.text("sandboxes.runtime_class_name")?,
            agent_socket: row.text("sandboxes.agent_socket")?,
            labels: parts.labels.take_map(owner),
            annotations: parts.annotations.take_map(owner),
            environment: parts.template_environment.take_map(owner),
            resources: from_json(row, "sandboxes.resources")?,
            pod_template: from_json(row, "sandboxes.pod_template")?,
            volume_claim_templates: from_json(row, "sandboxes.volume_claim_templates")?,
        },
        providers: parts.providers.take(owner),
        mounts: parts.mounts.take(owner),
    })
}

fn mount(row: &mut Row) -> Result<Mount, StoreError> {
    let path = |bytes| PathBuf::from(OsString::from_vec(bytes));
    Ok(Mount {
        source: path(row.bytes("sandbox_mounts.source")?),
        destination: path(row.bytes("sandbox_mounts.destination")?),
        read_only: row.truth("sandbox_mounts.read_only")?,
    })
}

fn condition(row: &mut Row) -> Result<Condition, StoreError> {
    Ok(Condition {
        kind: row.text("sandbox_conditions.kind")?,
        status: row.text("sandbox_conditions.status")?,
        reason: row.text("sandbox_conditions.reason")?,
        message: row.text("sandbox_conditions.message")?,
        since: row.integer("sandbox_conditions.since")?,
    })
}

fn layer(row: &mut Row) -> Result<Layer, StoreError> {
    Ok(Layer {
        name: row.text("sandbox_layers.name")?,
        degraded: row.text_or_null("sandbox_layers.degraded")?,
        detail: row.text("sandbox_layers.detail")?,
    })
}

/// A document as text, if it can be read again: deep ones cannot.
fn json(document: Option<&Json>, what: &'static str) -> Result<Value, StoreError> {
    let Some(document) = document else {
        return Ok(Value::Null);
    };
    let text = document.to_string();
    match serde_json::from_str::<Json>(&text) {
        Ok(again) if again == *document => Ok(Value::Text(text)),
        _ => Err(StoreError::Unstorable(what)),
    }
}

fn from_json(row: &mut Row, what: &str) -> Result<Option<Json>, StoreError> {
    let text = row.text_or_null(what)?;
    text.map(|text| serde_json::from_str(&text).map_err(|_| damaged(what))).transpose()
}
