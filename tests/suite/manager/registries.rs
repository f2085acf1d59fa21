//! Verifying registries: what is there, what is wrong, and what that costs.

use std::fs;
use std::path::PathBuf;

use modelrack::mirror::{
    MirrorOptions, PublishTarget, RegistryLocation, RegistryReport, VerifyRegistryOptions,
};
use modelrack::{Manager, Result};

use crate::support::disk::{files_below, flip};
use crate::support::rack::{Rack, sample};
use crate::support::registry::{Publication, Published};
use crate::support::{address, bytes, chain};

fn verify(rack: &Rack, place: &str) -> Result<RegistryReport> {
    let manager = rack.manager_of(rack.bare_config());
    let place = RegistryLocation::parse(place)?;
    manager.verify_registry(&place, &VerifyRegistryOptions::default())
}

/// A registry with `g/m v1` and `g/m v2`, which share chunks, and an alias.
fn two_versions() -> (Rack, [Published; 2]) {
    let rack = Rack::new();
    let aliased = Publication {
        aliases: &["latest"],
        ..Publication::default()
    };
    let v1 = rack.publish_as("g/m v1", &sample(), &aliased);
    let mut files = sample();
    files[0].1 = b"{\"layers\": 3}".to_vec();
    let v2 = rack.publish("g/m v2", &files);
    rack.server.reset_counts();
    (rack, [v1, v2])
}

fn data(rack: &Rack) -> PathBuf {
    rack.registry().join("data")
}

#[test]
fn every_document_is_read_once_wherever_the_registry_is() {
    let (rack, _) = two_versions();
    let documents = files_below(&data(&rack));
    let bytes: usize = documents.values().map(Vec::len).sum();
    let folder = rack.registry();
    let tar = rack.temp.path().join("mirror.tar");
    let options = MirrorOptions::default().patterns(["g/*".parse().unwrap()]);
    rack.manager()
        .mirror(&PublishTarget::from(&tar), &options)
        .unwrap();
    rack.server.reset_counts();
    let cached = files_below(&rack.index_cache());
    for place in [
        folder.display().to_string(),
        tar.display().to_string(),
        rack.server.url(),
    ] {
        let report = verify(&rack, &place).unwrap();
        assert!(report.is_whole(), "{place}: {:?}", report.damaged);
        let models = report.versions.iter().map(|it| it.model.to_string());
        assert_eq!(models.collect::<Vec<_>>(), ["g/m v1", "g/m v2"], "{place}");
        assert_eq!(
            (report.documents, report.bytes),
            (documents.len(), bytes as u64),
            "{place}"
        );
    }
    assert_eq!(rack.data_requests().len(), documents.len());
    // Nothing is kept, and nothing was installed.
    assert_eq!(files_below(&rack.index_cache()), cached);
    assert_eq!(rack.listed(), (vec![], vec![]));
}

#[test]
fn a_configured_source_is_verified_by_its_key() {
    let (rack, _) = two_versions();
    let toml = format!("[sources.w]\nurl = \"{}\"\n", rack.server.url());
    let manager = rack.manager_of(rack.bare_config().bootstrap(toml));
    let place = RegistryLocation::parse("w").unwrap();
    let options = VerifyRegistryOptions::default();
    let report = manager.verify_registry(&place, &options).unwrap();
    assert!(report.is_whole());
    assert_eq!(report.versions[0].model.to_string(), "w/g/m v1");
    // What no source is called is a folder.
    let place = RegistryLocation::parse("nosuch").unwrap();
    let error = manager.verify_registry(&place, &options).unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR", "{error}");
}

#[test]
fn what_is_damaged_is_told_with_all_versions_that_need_it() {
    let (rack, [v1, _]) = two_versions();
    let place = rack.registry().display().to_string();
    let manifest: serde_json::Value = serde_json::from_slice(
        &fs::read(data(&rack).join(v1.manifest_digest.to_string())).unwrap(),
    )
    .unwrap();
    let chunk = |index: usize| manifest["chunks"][index].as_str().unwrap().to_owned();
    // The first is of v1 alone, the others of both.
    flip(&data(&rack).join(chunk(3)), 7);
    fs::remove_file(data(&rack).join(chunk(0))).unwrap();
    let cut = data(&rack).join(chunk(5));
    fs::write(&cut, &fs::read(&cut).unwrap()[..100]).unwrap();
    let report = verify(&rack, &place).unwrap();
    let mut damaged: Vec<_> = report
        .damaged
        .iter()
        .map(|it| (it.digest.to_string(), it.models.len(), it.error.code()))
        .collect();
    // What is wrong comes before what is missing.
    assert_eq!(damaged.pop().unwrap(), (chunk(0), 1, "NETWORK_ERROR"));
    damaged.sort();
    let mut expected = [
        (chunk(3), 2, "HASH_MISMATCH"),
        (chunk(5), 2, "HASH_MISMATCH"),
    ];
    expected.sort();
    assert_eq!(damaged, expected);
    assert!(report.versions.iter().all(|version| !version.ok));
    for damaged in &report.damaged {
        let said = chain(&damaged.error);
        assert!(said.contains(&damaged.digest.to_string()), "{said}");
    }

    let (rack, [v1, v2]) = two_versions();
    fs::remove_file(data(&rack).join(v1.manifest_digest.to_string())).unwrap();
    let report = verify(&rack, &rack.server.url()).unwrap();
    assert_eq!(report.damaged.len(), 1);
    assert_eq!(report.damaged[0].digest, v1.manifest_digest);
    assert_eq!(report.damaged[0].models[0].version(), "v1");
    let ok: Vec<bool> = report.versions.iter().map(|version| version.ok).collect();
    assert_eq!(ok, [false, true]);
    assert_eq!(report.versions[1].manifest_digest, v2.manifest_digest);
}

#[test]
fn artifacts_in_a_layout_are_verified_as_well() {
    let rack = Rack::with_model();
    rack.publish("g/n v1", &[("n.bin", bytes(5000, 5))]);
    let layout = rack.temp.path().join("a layout");
    let place = format!("oci-layout:{}", layout.display());
    let to = PublishTarget::parse(&place).unwrap();
    let models = ["g/m v1", "g/n v1"].map(address);
    let options = MirrorOptions::default().models(models);
    rack.manager().mirror(&to, &options).unwrap();
    let report = verify(&rack, &place).unwrap();
    assert!(report.is_whole(), "{:?}", report.damaged);
    assert_eq!((report.versions.len(), report.documents), (2, 4));

    let blobs = layout.join("blobs").join("sha256");
    let large = modelrack::Digest::of(&bytes(5000, 5));
    flip(&blobs.join(large.to_string()), 7);
    let report = verify(&rack, &place).unwrap();
    assert_eq!(report.damaged.len(), 1);
    assert_eq!(report.damaged[0].digest, large);
    assert_eq!(report.damaged[0].error.code(), "HASH_MISMATCH");
}

#[test]
fn an_index_must_be_signed_with_the_key_that_is_given() {
    let rack = Rack::with_model();
    let keys = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let place = RegistryLocation::from(&rack.registry());
    let options = VerifyRegistryOptions::default().public_key(keys.pk.to_base64());
    let manager = rack.manager_of(rack.bare_config());
    let verify = || manager.verify_registry(&place, &options);
    let error = verify().unwrap_err();
    assert_eq!(error.code(), "REGISTRY_ERROR", "{}", chain(&error));
    let index = fs::read(rack.registry().join("models.json")).unwrap();
    let signature = minisign::sign(Some(&keys.pk), &keys.sk, &index[..], None, None).unwrap();
    let file = rack.registry().join("models.json.minisig");
    fs::write(file, signature.to_string()).unwrap();
    assert!(verify().unwrap().is_whole());
}
