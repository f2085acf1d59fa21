//! What a pull asks, and what is on disk then.

use modelrack::pull::PullOutcome;
use modelrack::{Manager, PullOptions, VerifyOptions};

use super::{LLAMA, Machine, llama};
use crate::support::address;
use crate::support::disk::flip;
use crate::support::oci::{Artifact, INDEX_TYPE, MANIFEST_TYPE, sha256};
use serde_json::json;

#[test]
fn a_pull_asks_once_for_each_layer_and_twice_more() {
    let (machine, digest) = Machine::with_llama();
    let report = machine.pull("oci/acme/llama q4").unwrap();
    assert_eq!((report.files, report.bytes_fetched), (3, 50_008));
    machine.assert_llama_installed("oci/acme/llama q4");
    let requests = machine.requests();
    assert_eq!(requests[0], format!("GET {LLAMA}/manifests/q4"));
    assert!(
        requests[1..]
            .iter()
            .all(|request| request.starts_with("GET acme/llama/blobs/sha256:"))
    );
    assert_eq!(requests.len(), llama().len() + 2);
    // The commit is the digest of the manifest.
    let listed = machine
        .manager()
        .list(&modelrack::ListOptions::default())
        .unwrap();
    assert_eq!(listed.models[0].commit, Some(digest));
}

#[test]
fn an_unchanged_tag_costs_one_head() {
    let (machine, _) = Machine::with_llama();
    machine.pull("oci/acme/llama q4").unwrap();
    machine.requests();
    assert_eq!(
        machine.pull("oci/acme/llama q4").unwrap().outcome,
        PullOutcome::AlreadyInstalled
    );
    assert_eq!(machine.requests(), ["HEAD acme/llama/manifests/q4"]);
    // Another tag for the same manifest brings nothing but that, once.
    machine
        .registry
        .push(LLAMA, "latest", &Artifact::model_pack(&llama()));
    let report = machine.pull("oci/acme/llama").unwrap();
    assert_eq!(
        (report.model.version(), report.bytes_fetched),
        ("latest", 0)
    );
    assert_eq!(machine.requests(), ["GET acme/llama/manifests/latest"]);
    machine.pull("oci/acme/llama").unwrap();
    assert_eq!(machine.requests(), ["HEAD acme/llama/manifests/latest"]);
}

#[test]
fn layers_that_a_model_has_are_taken_from_there() {
    let (machine, _) = Machine::with_llama();
    machine.pull("oci/acme/llama q4").unwrap();
    let mut files = llama();
    files[0].1 = b"# Llama, again\n".to_vec();
    machine
        .registry
        .push(LLAMA, "q8", &Artifact::model_pack(&files));
    let report = machine.pull("oci/acme/llama q8").unwrap();
    assert_eq!((report.bytes_fetched, report.bytes_reused), (15, 50_000));
    machine.rack.assert_files("oci/acme/llama q8", &files);
}

#[test]
fn what_moves_while_it_is_pulled_stays_as_it_was_resolved() {
    let (machine, first) = Machine::with_llama();
    let manager = machine.manager();
    let plan = manager
        .plan_pull(&address("oci/acme/llama q4"), &PullOptions::default())
        .unwrap();
    assert_eq!((plan.total_bytes, plan.requests), (50_008, 3));
    machine.registry.push(
        LLAMA,
        "q4",
        &Artifact::model_pack(&[("other.gguf", "another")]),
    );
    machine.requests();
    manager.execute(&plan).unwrap();
    machine.assert_llama_installed("oci/acme/llama q4");
    assert!(
        machine
            .requests()
            .iter()
            .all(|request| request.contains("/blobs/"))
    );
    let listed = manager.list(&modelrack::ListOptions::default()).unwrap();
    assert_eq!(listed.models[0].commit, Some(first));
}

#[test]
fn only_the_files_that_are_wanted_come() {
    let (machine, _) = Machine::with_llama();
    let options = PullOptions::default().include(["*.gguf"]);
    let report = machine
        .manager()
        .pull(&address("oci/acme/llama q4"), &options)
        .unwrap();
    assert_eq!((report.files, report.bytes_fetched), (1, 30_000));
    machine
        .rack
        .assert_files("oci/acme/llama q4", &llama()[1..2]);
    assert_eq!(machine.requests().len(), 3);
}

#[test]
fn damage_is_repaired_from_the_digest_that_is_recorded() {
    let (machine, _) = Machine::with_llama();
    machine.pull("oci/acme/llama q4").unwrap();
    // The tag has moved since.
    machine.registry.push(
        LLAMA,
        "q4",
        &Artifact::model_pack(&[("other.gguf", "another")]),
    );
    flip(
        &machine.rack.dir_of("oci/acme/llama q4").join("model.gguf"),
        9,
    );
    machine.requests();
    let options = VerifyOptions::default().repair(true);
    let report = machine.manager().verify(&options).unwrap();
    assert!(report.models[0].is_whole(), "{report:?}");
    machine.assert_llama_installed("oci/acme/llama q4");
    assert_eq!(machine.requests().len(), 1);
}

#[test]
fn a_manifest_may_be_one_of_an_index() {
    let machine = Machine::new();
    let artifact = Artifact::model_pack(&llama());
    let manifest = artifact.manifest().to_string();
    let entry = |json: &str, kind: Option<&str>| {
        let mut entry = json!({"mediaType": MANIFEST_TYPE, "digest": sha256(json.as_bytes()), "size": json.len()});
        if let Some(kind) = kind {
            entry["artifactType"] = kind.into();
        }
        entry
    };
    machine.registry.blobs(LLAMA, &artifact);
    machine
        .registry
        .put_manifest(LLAMA, "plain", MANIFEST_TYPE, manifest.clone());
    let image = r#"{"schemaVersion": 2}"#;
    let model = "application/vnd.cncf.model.manifest.v1+json";
    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [entry(image, None), entry(&manifest, Some(model))],
    });
    let digest = machine
        .registry
        .put_manifest(LLAMA, "q4", INDEX_TYPE, index.to_string());
    machine.pull("oci/acme/llama q4").unwrap();
    machine.assert_llama_installed("oci/acme/llama q4");
    let listed = machine
        .manager()
        .list(&modelrack::ListOptions::default())
        .unwrap();
    assert_eq!(listed.models[0].commit, Some(digest));
    // Of several that may be meant, the choices are named.
    let two = json!({
        "schemaVersion": 2,
        "manifests": [entry(image, Some(model)), entry(&manifest, Some(model))],
    });
    machine
        .registry
        .put_manifest(LLAMA, "two", INDEX_TYPE, two.to_string());
    let error = machine.pull("oci/acme/llama two").unwrap_err();
    assert_eq!(error.code(), "INVALID_REF");
    machine
        .pull(&format!("oci/acme/llama@{}", sha256(manifest.as_bytes())))
        .unwrap();
}

#[test]
fn it_goes_on_where_it_was_interrupted() {
    use crate::support::server::Rule;
    let (machine, _) = Machine::with_llama();
    let onnx = sha256(&llama()[2].1);
    let broken = Rule::path_ends(format!("/blobs/{onnx}")).status(404);
    machine.registry.server().rule(broken);
    let error = machine.pull("oci/acme/llama q4").unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR");
    machine.registry.server().clear_rules();
    machine.requests();
    let report = machine.pull("oci/acme/llama q4").unwrap();
    machine.assert_llama_installed("oci/acme/llama q4");
    assert_eq!(report.bytes_fetched + report.bytes_resumed, 50_008);
    assert!(report.bytes_resumed >= 30_000, "{report:?}");
}
