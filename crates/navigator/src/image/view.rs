//! Images as they are printed.

use std::collections::BTreeMap;

use navigator_images::{Image, Step};
use serde::Serialize;

use crate::output::size;
use crate::sandbox::listing::Listed;
use crate::sandbox::view::age;

/// Characters of a label's value that are shown.
const VALUE: usize = 100;

/// An image in a list.
#[derive(Serialize)]
pub struct ImageView {
    name: String,
    names: Vec<String>,
    digest: String,
    id: String,
    bytes: u64,
    created: Option<String>,
    added: String,
    #[serde(skip)]
    age: String,
    #[serde(skip)]
    short: String,
}

impl From<&Image> for ImageView {
    fn from(image: &Image) -> Self {
        let short = image.digest.short();
        let name = image.names.first().map_or_else(|| short.clone(), |name| name.familiar());
        Self {
            name,
            names: image.names.iter().map(ToString::to_string).collect(),
            digest: image.digest.to_string(),
            id: image.config_digest.to_string(),
            bytes: image.bytes(),
            created: image.config.created.clone(),
            added: image.added.to_string(),
            age: created(image),
            short,
        }
    }
}

impl Listed for ImageView {
    const COLUMNS: &'static [&'static str] = &["NAME", "DIGEST", "SIZE", "CREATED"];

    fn cells(&self) -> Vec<String> {
        let name = if self.names.is_empty() { "-" } else { &self.name };
        vec![name.into(), self.short.clone(), size(self.bytes), self.age.clone()]
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// How long ago the image was made, as it says itself.
fn created(image: &Image) -> String {
    let created =
        image.config.created.as_ref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    created.map_or_else(|| "-".into(), |time| age(time.as_millisecond()))
}

/// All of an image.
#[derive(Serialize)]
pub struct ImageDetails {
    #[serde(flatten)]
    view: ImageView,
    architecture: String,
    os: String,
    config: ConfigView,
    layers: Vec<LayerView>,
    history: Vec<Step>,
}

#[derive(Serialize)]
struct ConfigView {
    env: Vec<String>,
    working_dir: String,
    user: String,
    entrypoint: Vec<String>,
    cmd: Vec<String>,
    labels: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct LayerView {
    diff_id: String,
    path: String,
    bytes: u64,
    skipped: u64,
}

impl From<&Image> for ImageDetails {
    fn from(image: &Image) -> Self {
        let config = &image.config;
        let layer = |layer: &navigator_images::Layer| LayerView {
            diff_id: layer.diff_id.to_string(),
            path: layer.path.display().to_string(),
            bytes: layer.bytes,
            skipped: layer.skipped,
        };
        Self {
            view: image.into(),
            architecture: config.architecture.clone(),
            os: config.os.clone(),
            config: ConfigView {
                env: config.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
                working_dir: config.working_dir.clone(),
                user: config.user.clone(),
                entrypoint: config.entrypoint.clone(),
                cmd: config.cmd.clone(),
                labels: config.labels.clone(),
            },
            layers: image.layers.iter().map(layer).collect(),
            history: config.history.clone(),
        }
    }
}

impl Listed for ImageDetails {
    const COLUMNS: &'static [&'static str] = ImageView::COLUMNS;

    fn cells(&self) -> Vec<String> {
        self.view.cells()
    }

    fn name(&self) -> &str {
        self.view.name()
    }
}

impl ImageDetails {
    /// For people.
    pub fn text(&self) -> String {
        let config = &self.config;
        let mut lines = vec![
            format!("Name:        {}", or_dash(&self.view.names.join(", "))),
            format!("Digest:      {}", self.view.digest),
            format!("Id:          {}", self.view.id),
            format!("Platform:    {}/{}", self.os, self.architecture),
            format!("Size:        {}", size(self.view.bytes)),
            format!("Created:     {}", self.view.created.as_deref().unwrap_or("-")),
            format!("User:        {}", or_dash(&config.user)),
            format!("Directory:   {}", or_dash(&config.working_dir)),
            format!("Entrypoint:  {}", or_dash(&config.entrypoint.join(" "))),
            format!("Command:     {}", or_dash(&config.cmd.join(" "))),
        ];
        section(&mut lines, "Environment:", config.env.iter().cloned());
        let label = |(name, value): (&String, &String)| format!("{name}={}", cut(value));
        section(&mut lines, "Labels:", config.labels.iter().map(label));
        let layer = |layer: &LayerView| format!("{}  {}", layer.diff_id, size(layer.bytes));
        section(&mut lines, "Layers, the highest first:", self.layers.iter().map(layer));
        lines.join("\n")
    }
}

fn section(lines: &mut Vec<String>, title: &str, entries: impl Iterator<Item = String>) {
    let mut entries = entries.peekable();
    if entries.peek().is_some() {
        lines.push(title.into());
        lines.extend(entries.map(|entry| format!("  {entry}")));
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}
