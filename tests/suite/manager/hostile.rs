//! Registries that are malformed or mean harm: refused, without a panic, and nothing outside the store is touched.

use modelrack::{Manager, PullOptions, RemoteOptions};
use serde_json::{Value, json};

use crate::support::disk::names_in;
use crate::support::rack::{Rack, sample};
use crate::support::registry::{HandMade, digest, serve_index, serve_manifest};
use crate::support::server::Rule;
use crate::support::{address, bytes, chain};

/// A rack with `safe/m v1` installed, so that a loss would show.
pub(super) fn rack() -> Rack {
    let rack = Rack::new();
    rack.publish("safe/m v1", &sample());
    rack.pull("safe/m v1").unwrap();
    rack.server.reset_counts();
    rack
}

/// Nothing but what was there is there, inside the store and around it.
#[track_caller]
pub(super) fn assert_untouched(rack: &Rack, what: &str) {
    assert_eq!(rack.listed(), (vec!["safe/m v1".into()], vec![]), "{what}");
    let store = names_in(&rack.store());
    assert_eq!(
        store,
        [
            "cache",
            "registry.json",
            "registry.json.bak",
            "registry.json.lock",
            "safe"
        ],
        "{what}"
    );
    assert_eq!(rack.cache(), Vec::<String>::new(), "{what}");
    let around = names_in(rack.temp.path());
    assert_eq!(around, ["index-cache", "registry", "store"], "{what}");
    rack.assert_files("safe/m v1", &sample());
}

#[test]
fn a_malformed_index_is_refused() {
    let hash = "a".repeat(64);
    let deep = "[".repeat(100_000);
    let cases: Vec<(&str, String)> = vec![
        ("empty", String::new()),
        ("blank", "  \n".into()),
        ("no JSON", "<!DOCTYPE html>".into()),
        ("cut", format!(r#"{{"g":{{"m":{{"v":{{"hash":"{hash}"#)),
        ("an array", "[]".into()),
        ("null", "null".into()),
        ("a number", "7".into()),
        ("too deep", format!(r#"{{"g":{deep}"#)),
        ("groups that are no objects", r#"{"g":1}"#.into()),
        ("models that are no objects", r#"{"g":{"m":[]}}"#.into()),
        (
            "versions that are no objects",
            r#"{"g":{"m":{"v":"x"}}}"#.into(),
        ),
        ("a short hash", r#"{"g":{"m":{"v":{"hash":"abc"}}}}"#.into()),
        (
            "a hash that is none",
            format!(r#"{{"g":{{"m":{{"v":{{"hash":"{}"}}}}}}}}"#, "z".repeat(64)),
        ),
        ("no hash", r#"{"g":{"m":{"v":{}}}}"#.into()),
        (
            "something behind it",
            format!(r#"{{"g":{{"m":{{"v":{{"hash":"{hash}"}}}}}}}} {{}}"#),
        ),
        (
            "versions that differ by case",
            format!(r#"{{"g":{{"m":{{"v":{{"hash":"{hash}"}},"V":{{"hash":"{hash}"}}}}}}}}"#),
        ),
        (
            "models that differ by case",
            format!(r#"{{"g":{{"m":{{"v":{{"hash":"{hash}"}}}},"M":{{}}}}}}"#),
        ),
        (
            "groups that differ by case",
            format!(r#"{{"g":{{"m":{{"v":{{"hash":"{hash}"}}}}}},"G":{{"m":{{}}}}}}"#),
        ),
    ];
    let rack = rack();
    for (what, index) in cases {
        rack.server.reset_counts();
        rack.server.put("/models.json", index);
        let error = rack.pull("g/m v").unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{what}: {}", chain(&error));
        assert!(!chain(&error).contains('\n'), "{what}");
        let error = rack
            .manager()
            .list_remote(&RemoteOptions::default())
            .unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{what}: {}", chain(&error));
        assert_untouched(&rack, what);
    }
}

#[test]
fn a_document_without_an_end_is_cut_at_its_cap() {
    let rack = rack();
    serve_index(&rack.server, &json!({}));
    // A declared size is believed only to refuse it.
    rack.server
        .rule(Rule::path("/models.json").declare_length(u64::MAX >> 1));
    assert_eq!(rack.pull("g/m v").unwrap_err().code(), "REGISTRY_ERROR");
    assert_untouched(&rack, "an index");
    rack.server.clear_rules();
    let hash = digest(b"anything");
    serve_index(&rack.server, &json!({"g": {"m": {"v": {"hash": hash}}}}));
    rack.server.rule(
        Rule::path_starts("/data/")
            .body(vec![b' '; 1 << 20])
            .endless(),
    );
    let error = rack.pull("g/m v").unwrap_err();
    assert_eq!(error.code(), "REGISTRY_ERROR", "{}", chain(&error));
    assert_eq!(rack.server.count("/data/"), 1);
    assert_untouched(&rack, "a manifest");
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused() {
    type Spoil = fn(&mut Value);
    let cases: Vec<(&str, Spoil)> = vec![
        ("a larger total", |m| m["total_size"] = json!(5000)),
        ("a smaller total", |m| m["total_size"] = json!(10)),
        ("a negative total", |m| m["total_size"] = json!(-1)),
        ("a fraction", |m| m["total_size"] = json!(1.5)),
        ("no total", |m| {
            drop(m.as_object_mut().unwrap().remove("total_size"))
        }),
        ("no chunks", |m| m["chunks"] = json!([])),
        ("no chunk list", |m| {
            drop(m.as_object_mut().unwrap().remove("chunks"))
        }),
        ("no file list", |m| {
            drop(m.as_object_mut().unwrap().remove("files"))
        }),
        ("no files", |m| m["files"] = json!([])),
        ("a chunk more", |m| {
            m["chunks"]
                .as_array_mut()
                .unwrap()
                .push(json!("a".repeat(64)))
        }),
        ("a chunk that is no digest", |m| {
            m["chunks"][0] = json!("../../etc/passwd")
        }),
        ("a chunk size of zero", |m| m["chunk_size"] = json!(0)),
        ("chunk sizes that are too few", |m| {
            m["chunk_sizes"] = json!([2500])
        }),
        ("chunk sizes that do not add up", |m| {
            m["chunk_sizes"] = json!([1000, 1000, 501])
        }),
        ("an empty chunk", |m| {
            m["chunk_sizes"] = json!([0, 1000, 1500])
        }),
        ("sizes beyond all numbers", |m| {
            m["chunk_sizes"] = json!([u64::MAX, u64::MAX, 2])
        }),
        ("files beyond all numbers", |m| {
            m["files"] = json!([{"path": "a", "size": u64::MAX}, {"path": "b", "size": 2501}]);
        }),
        ("one digest in two sizes", |m| {
            m["chunks"][1] = m["chunks"][0].clone();
            m["chunk_sizes"] = json!([1000, 999, 501]);
        }),
        ("a file without a name", |m| {
            drop(m["files"][0].as_object_mut().unwrap().remove("path"))
        }),
        ("a file without a size", |m| {
            drop(m["files"][0].as_object_mut().unwrap().remove("size"))
        }),
        ("a file digest that is none", |m| {
            m["files"][0]["sha256"] = json!("x")
        }),
        ("an array", |m| *m = json!([])),
        ("null", |m| *m = Value::Null),
    ];
    let rack = rack();
    for (what, spoil) in cases {
        rack.server.reset_counts();
        let made = HandMade::plain(&[("a", &bytes(2500, 1))], 1000).with(spoil);
        made.serve_as(&rack.server, "g", "m", "v");
        let error = rack.pull("g/m v").unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{what}: {}", chain(&error));
        assert_eq!(rack.data_requests().len(), 1, "{what}");
        assert_untouched(&rack, what);
    }
}

#[test]
fn a_file_digest_that_its_chunks_contradict_is_a_mismatch() {
    let rack = rack();
    HandMade::plain(&[("a", &bytes(2500, 1)), ("empty", b"")], 1000)
        .with(|manifest| manifest["files"][0]["sha256"] = json!(digest(b"other")))
        .serve_as(&rack.server, "g", "m", "v");
    let error = rack.pull("g/m v").unwrap_err();
    assert_eq!(error.code(), "HASH_MISMATCH", "{}", chain(&error));
    assert_eq!(rack.listed().0, ["safe/m v1"]);
    HandMade::plain(&[("a", &bytes(2500, 1)), ("empty", b"")], 1000)
        .with(|manifest| manifest["files"][1]["sha256"] = json!(digest(b"other")))
        .serve_as(&rack.server, "g", "m", "v");
    assert_eq!(rack.pull("g/m v").unwrap_err().code(), "HASH_MISMATCH");
    assert_eq!(rack.listed().0, ["safe/m v1"]);
}

#[test]
fn a_model_larger_than_the_disk_is_refused_before_its_first_chunk() {
    let huge = 1_u64 << 60;
    let chunk = "a".repeat(64);
    let other = "b".repeat(64);
    for (what, chunks, sizes) in [
        ("one chunk", vec![&chunk], json!([huge])),
        (
            "two chunks",
            vec![&chunk, &other],
            json!([huge - (1 << 30), 1 << 30]),
        ),
        (
            "a chunk many times",
            vec![&chunk; 1 << 10],
            json!(vec![huge >> 10; 1 << 10]),
        ),
    ] {
        let rack = rack();
        let manifest = json!({
            "total_size": huge, "chunk_size": huge, "chunks": chunks, "chunk_sizes": sizes,
            "files": [{"path": "a", "size": huge}],
        });
        let hash = serve_manifest(&rack.server, manifest.to_string().as_bytes());
        serve_index(&rack.server, &json!({"g": {"m": {"v": {"hash": hash}}}}));
        let error = rack.pull("g/m v").unwrap_err();
        assert_eq!(
            error.code(),
            "INSUFFICIENT_SPACE",
            "{what}: {}",
            chain(&error)
        );
        assert_eq!(rack.data_requests().len(), 1, "{what}");
        assert_eq!(rack.listed().0, ["safe/m v1"], "{what}");
        let options = PullOptions::default();
        let plan = rack
            .manager()
            .plan_pull(&address("g/m v"), &options)
            .unwrap();
        assert_eq!(plan.total_bytes, huge, "{what}");
    }
}
