//! Tests of reading an index.

use super::*;
use crate::error::ErrorKind;
use crate::url::Url;

fn identity(name: &str) -> Identity {
    Identity {
        key: "k".into(),
        name: name.into(),
    }
}

fn index(text: &str) -> String {
    text.replace("#A", &"a".repeat(64))
        .replace("#B", &"B".repeat(64))
}

const INDEX: &str = r##"{"g":{"m":{"v1":{"hash":"#A"},"v2":{"hash":"#B","metadata":{"type":"x"}},"latest":{"alias_of":"v2"}},
    "only":{"v1":{"hash":"#A"},"stable":{"alias_of":"v1"}}},"a/b":{"c":{"v":{"hash":"#A","new":1}}}}"##;

fn find(text: &str, path: &str, version: Option<&str>) -> Result<RemoteModel> {
    let (group, model) = path.rsplit_once('/').unwrap_or(("", path));
    let url = Url::parse("https://models.example.org/models.json").unwrap();
    match read_model(index(text).as_bytes(), group, model, &url)? {
        Lookup::Found(versions) => choose(versions, &identity(""), (group, model), version, &url),
        Lookup::Near(near) => Err(identity("").not_found(path, near)),
    }
}

#[test]
fn finds_what_is_asked_for() {
    let latest = find(INDEX, "g/m", Some("latest")).unwrap();
    assert_eq!(latest.manifest_digest.to_string(), "b".repeat(64));
    assert_eq!(latest.alias_of.as_deref(), Some("v2"));
    assert_eq!(latest.metadata.facts().model_type.as_deref(), Some("x"));
    assert_eq!(find(INDEX, "g/only", None).unwrap().model.version(), "v1");
    assert_eq!(
        find(INDEX, "a/b/c", None).unwrap().model.to_string(),
        "a/b/c v"
    );
    assert!(
        matches!(find(INDEX, "g/m", None).unwrap_err().kind(), ErrorKind::InvalidRef { choices, .. } if choices.len() == 3)
    );
    assert!(
        matches!(find(INDEX, "g/m", Some("v3")).unwrap_err().kind(), ErrorKind::VersionNotFound { near, .. } if *near == ["v1", "v2"])
    );
    assert!(
        matches!(find(INDEX, "g/n", None).unwrap_err().kind(), ErrorKind::ModelNotFound { near, .. } if near.contains(&"g/m".to_owned()))
    );
}

#[test]
fn reads_everything_in_order() {
    let all = read_all(index(INDEX).as_bytes(), &identity("weights"), "here").unwrap();
    let names: Vec<_> = all
        .models
        .iter()
        .map(|remote| remote.model.to_string())
        .collect();
    assert_eq!(
        names,
        [
            "weights/a/b/c v",
            "weights/g/m latest",
            "weights/g/m v1",
            "weights/g/m v2",
            "weights/g/only stable",
            "weights/g/only v1"
        ]
    );
}

#[test]
fn refuses_malformed_and_hostile_indexes() {
    for bad in [
        "",
        "[]",
        r#"{"g":[]}"#,
        r#"{"g":{"m":[]}}"#,
        r#"{"g":{"m":{"v":{}}}}"#,
        r#"{"g":{"m":{"v":{"hash":"zz"}}}}"#,
        r#"{"g":{"m":{"v":{"alias_of":"v"}}}}"#,
        r#"{"g":{"m":{"v":{"alias_of":"w"},"w":{"alias_of":"v"}}}}"#,
        r#"{"g":{"m":{"v":{"alias_of":"gone"}}}}"#,
        r##"{"g":{"m":{"v":{"hash":"#A"}},"M":{"v":{"hash":"#A"}}}}"##,
        r##"{"g":{"m":{"v":{"hash":"#A"},"V":{"hash":"#A"}}}}"##,
        r##"{"g":{"m":{"v":{"hash":"#A"}}}"##,
        r##"{"g":{"m":{"v":{"hash":"#A"}}}} trailing"##,
    ] {
        assert!(
            read_all(index(bad).as_bytes(), &identity(""), "here").is_err(),
            "{bad}"
        );
        let error = find(bad, "g/m", Some("v")).unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{bad}");
    }
    for name in [
        "..",
        "../x",
        "a\\\\b",
        "con",
        "a\\u001bb",
        "C:",
        " a",
        "a.",
        "",
    ] {
        let text = format!(r##"{{"{name}":{{"m":{{"v":{{"hash":"#A"}}}}}}}}"##);
        let refused = read_all(index(&text).as_bytes(), &identity(""), "here");
        assert!(refused.is_err() || name.is_empty(), "{name}");
    }
}

#[test]
fn deep_nesting_is_no_crash() {
    let (open, close) = (r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    let text = format!(
        r#"{{"g":{{"m":{{"v":{{"hash":"{}","metadata":{open}1{close}}}}}}}}}"#,
        "a".repeat(64)
    );
    let all = read_all(text.as_bytes(), &identity(""), "here").unwrap();
    let metadata = &all.models[0].metadata;
    assert!(metadata.to_map().is_empty());
    assert_eq!(metadata.facts(), crate::catalog::Facts::default());
    assert!(read_model(text.as_bytes(), "g", "m", "here").is_ok());
    assert!(matches!(
        read_model(text.as_bytes(), "g", "other", "here"),
        Ok(Lookup::Near(_))
    ));
    let text = text.replace(r#"{"a":"#, "[").replace("1}", "1]");
    assert!(read_all(text.as_bytes(), &identity(""), "here").is_err());
}

#[test]
fn what_is_left_out_is_said() {
    let text = index(
        r##"{"con":{"m":{"v":{"hash":"#A"}}},"g":{"m":{"v":{"hash":"zz"},"w":{"hash":"#A"},"x":{"alias_of":"v"}},"n":7}}"##,
    );
    let all = read_all(text.as_bytes(), &identity(""), "here").unwrap();
    assert_eq!(all.models.len(), 1);
    assert_eq!(
        all.left_out,
        [
            "the model 'g/n': invalid type: integer `7`, expected a map",
            "the name 'con' has a component that Windows reserves for a device",
            "g/m: version 'v': a SHA-256 digest has 64 hexadecimal digits, and a git id has 40",
            "g/m: version 'x': a SHA-256 digest has 64 hexadecimal digits, and a git id has 40",
        ]
    );
}
