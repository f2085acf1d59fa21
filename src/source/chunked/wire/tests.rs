//! Tests of reading an index.

use std::io::Cursor;
use std::path::Path;

use super::super::index::Origin;
use super::super::lookup::{self, Known};
use super::*;
use crate::catalog::RemoteModel;
use crate::error::ErrorKind;
use crate::source::compiled::Compiled;

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

fn compiled(text: &str, source: &str) -> Result<Compiled<Origin>> {
    let mut bytes = Vec::new();
    let mut write = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    let mut compiler = Compiler::new(&mut write);
    let identity = identity(source);
    let mut reading = Reading::new(&identity, "here", &mut compiler);
    assert_eq!(reading.index(index(text).as_bytes())?, None);
    let rest = reading.finish()?;
    compiler.finish(Origin::default(), 0, &rest)?;
    Ok(Compiled::open(Cursor::new(bytes), Path::new("here"))?.unwrap())
}

fn read_all(text: &str, source: &str) -> Result<Vec<RemoteModel>> {
    let mut compiled = compiled(text, source)?;
    let rows = compiled.rows()?;
    let models = rows.map(|row| Ok(lookup::remote(&"k".into(), row?)));
    models.collect()
}

fn find(text: &str, path: &str, version: Option<&str>) -> Result<RemoteModel> {
    let mut compiled = compiled(text, "")?;
    Known::of(&mut compiled)?.find(&identity(""), path, version, "here")
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
    let all = read_all(INDEX, "weights").unwrap();
    let names: Vec<_> = all.iter().map(|remote| remote.model.to_string()).collect();
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
        assert!(read_all(bad, "").is_err(), "{bad}");
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
        let refused = read_all(&text, "");
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
    let all = read_all(&text, "").unwrap();
    let metadata = &all[0].metadata;
    assert!(metadata.to_map().is_empty());
    assert_eq!(metadata.facts(), crate::catalog::Facts::default());
    let text = text.replace(r#"{"a":"#, "[").replace("1}", "1]");
    assert!(read_all(&text, "").is_err());
}

#[test]
fn what_is_left_out_is_said() {
    let text = r##"{"con":{"m":{"v":{"hash":"#A"}}},"g":{"m":{"v":{"hash":"zz"},"w":{"hash":"#A"},"x":{"alias_of":"v"}},"n":7}}"##;
    let mut compiled = compiled(text, "").unwrap();
    assert_eq!(compiled.head.models, 1);
    let rest: Rest = compiled.rest().unwrap();
    let left_out: Vec<_> = rest.left_out.iter().map(ToString::to_string).collect();
    assert_eq!(rest.count, 4);
    assert_eq!(
        left_out,
        [
            "the name 'con' has a component that Windows reserves for a device",
            "g/m: version 'v': a SHA-256 digest has 64 hexadecimal digits, and a git id has 40",
            "g/m: version 'x': a SHA-256 digest has 64 hexadecimal digits, and a git id has 40",
            "the model 'g/n': invalid type: integer `7`, expected a map",
        ]
    );
}

#[test]
fn no_more_is_remembered_of_what_is_left_out_than_anybody_reads() {
    let versions: Vec<_> = (0..3000)
        .map(|number| format!(r#""{number}":{{}}"#))
        .collect();
    let text = format!(
        r##"{{"g":{{"m":{{"v":{{"hash":"#A"}}}},"n":{{{}}}}}}}"##,
        versions.join(",")
    );
    let rest: Rest = compiled(&text, "").unwrap().rest().unwrap();
    assert_eq!((rest.left_out.len(), rest.count), (MAX_LEFT_OUT, 3000));
}

#[test]
fn of_a_name_that_occurs_twice_all_versions_count_and_the_last_of_each() {
    let text =
        r##"{"g":{"m":{"v":{"hash":"#A"},"w":{"hash":"#A"}}},"g":{"m":{"v":{"hash":"#B"}}}}"##;
    let all = read_all(text, "").unwrap();
    let shown = all
        .iter()
        .map(|offer| (offer.model.version(), offer.manifest_digest.as_bytes()[0]));
    assert_eq!(shown.collect::<Vec<_>>(), [("v", 0xbb), ("w", 0xaa)]);
}
