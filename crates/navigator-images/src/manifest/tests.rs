//! What is taken as a manifest and what is not.

use super::*;

fn manifest(config_type: &str, layer_type: &str) -> String {
    let digest = Digest::of(b"");
    format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"{config_type}","digest":"{digest}","size":2}},
            "layers":[{{"mediaType":"{layer_type}","digest":"{digest}","size":3}}]}}"#
    )
}

#[test]
fn manifests_of_both_families_are_read() {
    for (config, layer) in [(CONFIGS[0], LAYER_TYPES[1]), (CONFIGS[1], LAYER_TYPES[7])] {
        let read = Manifest::parse(manifest(config, layer).as_bytes()).unwrap();
        assert_eq!((read.config.size, read.layers[0].size), (2, 3));
    }
}

#[test]
fn what_is_no_image_is_refused() {
    let artifact = manifest("application/vnd.example", LAYER);
    let encrypted = manifest(CONFIG, "application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
    let both = manifest(CONFIG, LAYER).replacen('{', r#"{"manifests":[],"#, 1);
    let other = manifest(CONFIG, LAYER).replacen('{', &format!(r#"{{"mediaType":"{INDEX}","#), 1);
    let old = manifest(CONFIG, LAYER).replacen("\"schemaVersion\":2", "\"schemaVersion\":1", 1);
    let negative = manifest(CONFIG, LAYER).replace("\"size\":3", "\"size\":-3");
    let huge = manifest(CONFIG, LAYER).replace("\"size\":2", "\"size\":99999999999");
    for json in ["", "{}", "[]", &artifact, &encrypted, &both, &other, &old, &negative, &huge] {
        assert!(Manifest::parse(json.as_bytes()).is_err(), "{json}");
    }
}

#[test]
fn the_entry_for_this_machine_is_chosen_and_others_never() {
    let entry = |architecture: &str, bytes: &[u8]| Descriptor {
        platform: Some(Platform { architecture: architecture.into(), os: "linux".into() }),
        ..Descriptor::new(MANIFEST, Digest::of(bytes), 1)
    };
    let this = PlatformName::of_this_machine().0;
    let entries = [entry("s390x", b"a"), entry(this, b"b")];
    assert_eq!(for_this_machine(&entries).unwrap().digest, Digest::of(b"b"));
    let error = for_this_machine(&entries[..1]).unwrap_err();
    assert!(error.to_string().contains("s390x"), "{error}");
}
