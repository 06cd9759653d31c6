//! The JSON Schema of the language, for editors. It is a committed file; a test compares its keys with the reader's.

/// The schema as JSON text.
#[must_use]
pub fn schema() -> &'static str {
    include_str!("../schema/policy.schema.json")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    fn keys(schema: &Value, pointer: &str) -> Vec<String> {
        let map = schema.pointer(pointer).and_then(Value::as_object).expect(pointer);
        map.keys().cloned().collect()
    }

    #[test]
    fn every_key_of_the_schema_is_a_key_of_the_language() {
        let schema: Value = serde_json::from_str(super::schema()).unwrap();
        for (pointer, prefix, suffix) in [
            ("/properties", "", ""),
            ("/properties/filesystem_policy/properties", "filesystem_policy: { ", " }"),
            ("/properties/landlock/properties", "landlock: { ", " }"),
            ("/properties/process/properties", "process: { ", " }"),
            ("/$defs/network_policy/properties", "network_policies: { a: { ", " } }"),
            ("/$defs/endpoint/properties", "network_policies: { a: { endpoints: [{ ", " }] } }"),
            (
                "/$defs/request/properties",
                "network_policies: { a: { endpoints: [{ rules: [{ allow: { ",
                " } }] }] } }",
            ),
        ] {
            for key in keys(&schema, pointer) {
                let text = format!("{prefix}{key}: 0{suffix}\n");
                let errors = crate::load("p", &text).unwrap_err();
                let unknown = errors.iter().any(|error| error.message.contains("unknown key"));
                assert!(!unknown, "the language does not know {key} at {pointer}: {errors}");
            }
        }
    }
}
