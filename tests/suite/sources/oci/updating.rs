//! Updating what came from a registry.

use modelrack::installed::Freshness;
use modelrack::{Manager, UpdateOptions};

use super::{LLAMA, Machine, llama};
use crate::support::oci::Artifact;

#[test]
fn an_update_fetches_the_layers_that_a_moved_tag_has_anew() {
    let (machine, _) = Machine::with_llama();
    machine.pull("oci/acme/llama q4").unwrap();
    let mut files = llama();
    files[0].1 = b"# Llama 2\n".to_vec();
    files.pop();
    let digest = machine
        .registry
        .push(LLAMA, "q4", &Artifact::model_pack(&files));
    machine.requests();
    let manager = machine.manager();
    let report = manager.update(&UpdateOptions::default()).unwrap();
    let Freshness::Changed(change) = &report.entries[0].freshness else {
        panic!("{report:?}");
    };
    assert_eq!(change.changed, ["README.md"]);
    assert_eq!(change.removed, ["onnx/model.onnx"]);
    assert_eq!(
        report.entries[0].applied.as_ref().unwrap().bytes_fetched,
        10
    );
    machine.rack.assert_files("oci/acme/llama q4", &files);
    // The configuration is the same blob.
    let requests = machine.requests();
    assert_eq!(requests.len(), 3, "{requests:?}");
    assert_eq!(requests[1], format!("GET {LLAMA}/manifests/{digest}"));
    let after = manager.update(&UpdateOptions::default()).unwrap();
    assert!(matches!(after.entries[0].freshness, Freshness::UpToDate));
}

#[test]
fn a_manifest_that_says_the_same_of_the_files_changes_nothing() {
    let (machine, _) = Machine::with_llama();
    machine.pull("oci/acme/llama q4").unwrap();
    let mut artifact = Artifact::model_pack(&llama());
    artifact.config["descriptor"]["family"] = "llama4".into();
    let digest = machine.registry.push(LLAMA, "q4", &artifact);
    let report = machine.manager().update(&UpdateOptions::default()).unwrap();
    assert!(matches!(report.entries[0].freshness, Freshness::UpToDate));
    let listed = machine.manager().list(&Default::default()).unwrap();
    assert_eq!(listed.models[0].commit, Some(digest));
}
