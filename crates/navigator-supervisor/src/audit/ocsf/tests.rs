use super::*;
use crate::audit::samples;

fn line(seq: u64, event: Event) -> Line {
    Line { seq: Some(seq), prev: None, event }
}

fn exported() -> Vec<Value> {
    let lines = samples::events().into_iter().zip(1..);
    lines.flat_map(|(event, seq)| events(&line(seq, event))).collect()
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    value.pointer(&format!("/{}", path.replace('.', "/")))
}

/// What the public schema demands of each class, with the profiles `security_control` and `host`.
fn demands() -> Value {
    serde_json::from_str(include_str!("required.json")).unwrap()
}

fn violations(event: &Value, demands: &Value) -> Vec<String> {
    let uid = event["class_uid"].as_u64().unwrap();
    let class = &demands["classes"][uid.to_string()];
    let strings = |list: &Value| -> Vec<String> { serde_json::from_value(list.clone()).unwrap() };
    let mut missing: Vec<String> = strings(&demands["every"]);
    missing.extend(strings(&class["required"]));
    missing.retain(|path| at(event, path).is_none());
    for group in class["at_least_one"].as_array().unwrap() {
        if strings(group).iter().all(|path| at(event, path).is_none()) {
            missing.push(format!("one of {group}"));
        }
    }
    let activity = event["activity_id"].as_u64().unwrap();
    if !class["activities"].as_array().unwrap().contains(&activity.into()) {
        missing.push(format!("activity {activity}"));
    }
    if event["type_uid"] != uid * 100 + activity || event["category_uid"] != uid / 1000 {
        missing.push("matching identifiers".into());
    }
    missing
}

#[test]
fn every_event_has_what_its_class_requires() {
    let (events, demands) = (exported(), demands());
    for event in &events {
        assert_eq!(violations(event, &demands), Vec::<String>::new(), "{event:#}");
    }
    for class in demands["classes"].as_object().unwrap().keys() {
        let uid: u64 = class.parse().unwrap();
        assert!(events.iter().any(|event| event["class_uid"] == uid), "{class}");
    }
    let mut broken = events[0].clone();
    broken.as_object_mut().unwrap().remove("severity_id");
    assert_eq!(violations(&broken, &demands), ["severity_id"]);
}

#[test]
fn each_kind_of_event_is_exported_as_documented() {
    let summary: Vec<String> = exported()
        .iter()
        .map(|event| {
            let number = |name: &str| event.get(name).map_or("-".into(), Value::to_string);
            ["class_uid", "activity_id", "severity_id", "action_id", "disposition_id", "status_id"]
                .map(number)
                .join(" ")
        })
        .collect();
    insta::assert_snapshot!(summary.join("\n"));
}

#[test]
fn a_refused_request_has_everything_that_is_known() {
    let event = Event::Decision(Box::new(samples::request()));
    let mut exported = events(&line(4, event));
    exported[0]["metadata"]["product"]["version"] = "VERSION".into();
    insta::assert_json_snapshot!(exported);
}

#[test]
fn a_finding_follows_a_refused_abuse_and_nothing_else() {
    for (reason, found) in [
        ("identity", true),
        ("address", true),
        ("fronting", true),
        ("malformed", true),
        ("protocol", true),
        ("destination", true),
        ("host", false),
        ("port", false),
        ("binary", false),
        ("request", false),
        ("inspection", false),
    ] {
        let mut record = samples::denied();
        record.reason = Some(reason.into());
        let exported = events(&line(1, Event::Decision(Box::new(record))));
        assert_eq!(exported.iter().any(|event| event["class_uid"] == 2004), found, "{reason}");
    }
}

#[test]
fn a_method_without_a_number_is_named() {
    let mut record = samples::request();
    record.request.as_mut().unwrap().method = "PROPFIND".into();
    let event = &events(&line(1, Event::Decision(Box::new(record))))[0];
    assert_eq!((&event["activity_id"], &event["activity_name"]), (&99.into(), &"PROPFIND".into()));
}
