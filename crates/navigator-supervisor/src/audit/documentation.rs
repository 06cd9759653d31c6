//! The schema page names exactly the fields that are written.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::samples;

const PAGE: &str = include_str!("../../../../docs/audit.md");

type Fields = BTreeMap<String, BTreeSet<String>>;

fn documented() -> Fields {
    let mut fields = Fields::new();
    let mut event = None;
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            event = (heading == "Lines").then_some("every line");
        } else if let Some(heading) = line.strip_prefix("### `") {
            event = heading.strip_suffix('`');
        } else if let (Some(event), Some(row)) = (event, line.strip_prefix("| `")) {
            let field = row.split('`').next().unwrap();
            fields.entry(event.to_owned()).or_default().insert(field.to_owned());
        }
    }
    fields
}

fn collect(at: &str, value: &Value, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if !at.is_empty() && !at.ends_with("[]") {
                fields.insert(at.to_owned());
            }
            for (name, value) in members {
                let dot = if at.is_empty() { "" } else { "." };
                collect(&format!("{at}{dot}{name}"), value, fields);
            }
        }
        Value::Array(items) => {
            let scalar = |item: &Value| !item.is_object();
            if items.iter().all(scalar) {
                fields.insert(format!("{at}[]"));
            }
            for item in items.iter().filter(|item| item.is_object()) {
                collect(&format!("{at}[]"), item, fields);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            fields.insert(at.to_owned());
        }
    }
}

fn written() -> Fields {
    let mut fields = Fields::new();
    let link = ["seq", "prev", "event"].map(str::to_owned);
    fields.insert("every line".to_owned(), BTreeSet::from(link));
    for event in samples::events() {
        let mut value = serde_json::to_value(&event).unwrap();
        let name = value.as_object_mut().unwrap().remove("event").unwrap();
        collect("", &value, fields.entry(name.as_str().unwrap().to_owned()).or_default());
    }
    fields
}

#[test]
fn the_documented_fields_are_those_that_are_written() {
    assert_eq!(documented(), written());
}

#[test]
fn the_documented_numbers_are_those_of_the_code() {
    assert_eq!((super::ROTATE_AT, super::KEPT), (64 * 1024 * 1024, 15));
    assert!(PAGE.contains("64 MiB") && PAGE.contains("newest 15"));
    assert!(PAGE.contains(super::ocsf::VERSION));
}
