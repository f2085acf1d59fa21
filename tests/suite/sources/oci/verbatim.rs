//! Mirrors of artifacts in other places of artifacts: all bytes, and so all digests, stay what they are.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use modelrack::lock::{LockOptions, LockedOptions};
use modelrack::mirror::{MirrorOptions, MirrorReport, MirrorState, PublishTarget};
use modelrack::{Config, Manager, ModelManager, PullOptions, PullReport};
use serde_json::{Value, json};

use super::layouts::url as layout_url;
use super::tars::packed;
use super::{LLAMA, Machine, llama};
use crate::support::disk::files_below;
use crate::support::mirror::assert_unchanged;
use crate::support::oci::real::RealRegistry;
use crate::support::oci::{Artifact, INDEX_TYPE, MANIFEST_TYPE, Registry, sha256};
use crate::support::rack::Rack;
use crate::support::server::Rule;
use crate::support::{address, bytes, chain};

const MODEL: &str = "oci/acme/llama q4";
/// Where it is in a mirror: under the whole name that it has outside.
const INSIDE: &str = "oci/acme/llama";
const DOCKER_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";

fn target(host: &str) -> PublishTarget {
    PublishTarget::parse(format!("oci://{host}/")).unwrap()
}

fn options(model: &str) -> MirrorOptions {
    MirrorOptions::default().models([address(model)])
}

/// Without a failure.
#[track_caller]
fn mirror(manager: &ModelManager, model: &str, to: &PublishTarget) -> MirrorReport {
    let report = manager.mirror(to, &options(model)).unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    report
}

/// A machine that knows nothing but a mirror, in which models have their whole names.
fn inside(url: &str) -> (Rack, ModelManager) {
    let rack = Rack::new();
    let config = inside_config(&rack, url);
    let manager = rack.manager_of(config);
    (rack, manager)
}

fn inside_config(rack: &Rack, url: &str) -> Config {
    let toml = format!("[sources.oci]\noci = \"{url}\"\nname = \"\"\n");
    rack.bare_config().bootstrap(toml)
}

/// Whether what was pulled is these files; the version may be a digest.
#[track_caller]
fn assert_has(report: &PullReport, files: &[(&str, Vec<u8>)]) {
    let there = files_below(&report.path);
    for (name, bytes) in files {
        assert_eq!(there.get(*name), Some(bytes), "{} {name}", report.model);
    }
}

#[track_caller]
fn assert_pulls(manager: &ModelManager, model: &str, files: &[(&str, Vec<u8>)]) {
    let pulled = manager.pull(&address(model), &PullOptions::default());
    assert_has(&pulled.unwrap(), files);
}

fn lock(machine: &Machine, options: LockOptions) -> PathBuf {
    let file = machine.rack.temp.path().join("models.lock");
    machine.manager().lock(&options.file(&file)).unwrap();
    file
}

/// Pushes an index of these manifests, whose blobs are there; returns its digest.
fn push_index(registry: &Registry, manifests: &[Value]) -> String {
    let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests});
    registry.put_manifest(LLAMA, "q4", INDEX_TYPE, index.to_string())
}

fn entry(artifact: &Artifact, platform: Value) -> Value {
    let manifest = artifact.manifest().to_string();
    json!({
        "mediaType": MANIFEST_TYPE,
        "digest": sha256(manifest.as_bytes()),
        "size": manifest.len(),
        "platform": platform,
    })
}

/// An index of a model, and of the attestation of how it was built; returns both, and what the index says of them.
fn attested() -> ([Artifact; 2], [Value; 2]) {
    let model = Artifact::model_pack(&llama());
    let attestation = Artifact::model_pack(&[("attestation.json", bytes(900, 9))]);
    let mut second = entry(
        &attestation,
        json!({"os": "unknown", "architecture": "unknown"}),
    );
    second["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    let first = entry(&model, json!({"os": "linux", "architecture": "amd64"}));
    ([model, attestation], [first, second])
}

#[test]
fn an_artifact_has_the_same_digests_in_another_registry() {
    let (machine, digest) = Machine::with_llama();
    let other = Registry::start();
    let to = target(&other.host());
    let plan = machine
        .manager()
        .check_mirror(&to, &options(MODEL))
        .unwrap();
    let asks = |it: &String| it.starts_with("HEAD") || it.starts_with("GET");
    assert!(other.requests().iter().all(asks), "{:?}", other.requests());
    machine.requests();
    other.server().reset_counts();

    let report = mirror(&machine.manager(), MODEL, &to);
    let version = &report.versions[0];
    assert_eq!(format!("sha256:{}", version.manifest_digest), digest);
    assert_eq!(version.state, MirrorState::New);
    assert_eq!((version.files, version.total_bytes), (3, 50_008));
    assert_eq!((version.chunks, version.chunks_written), (3, 3));
    assert_eq!(
        (version.bytes_written, version.bytes_fetched),
        (50_008, 50_008)
    );
    let planned = &plan.versions[0];
    assert_eq!(
        serde_json::to_value(planned).unwrap(),
        serde_json::to_value(version).unwrap()
    );
    let (original, copy) = (&machine.registry, &other);
    assert_eq!(copy.manifest_of(INSIDE, "q4"), Some(digest.clone()));
    assert_eq!(copy.blobs_of(INSIDE), original.blobs_of(LLAMA));
    // What the description of the model is read from was here already.
    let blobs = machine.requests().into_iter();
    assert_eq!(blobs.filter(|it| it.contains("/blobs/")).count(), 3);

    other.server().reset_counts();
    assert_unchanged(&mirror(&machine.manager(), MODEL, &to));
    assert_eq!(machine.requests(), ["HEAD acme/llama/manifests/q4"]);
    assert_eq!(other.requests(), ["HEAD oci/acme/llama/manifests/q4"]);
    // Without a copy on this machine.
    assert_eq!(machine.rack.listed(), (vec![], vec![]));

    // A new state of which most is there.
    let mut files = llama();
    files[0].1 = b"# Llama 2\n".to_vec();
    let moved = machine
        .registry
        .push(LLAMA, "q4", &Artifact::model_pack(&files));
    let report = mirror(&machine.manager(), MODEL, &to);
    let version = &report.versions[0];
    assert_eq!(
        (version.state, version.bytes_written),
        (MirrorState::Changed, 10)
    );
    assert_eq!(other.manifest_of(INSIDE, "q4"), Some(moved));
    // The old one is there as long as the registry keeps it.
    let (_rack, manager) = inside(&other.url());
    assert_pulls(&manager, &format!("{INSIDE}@{digest}"), &llama());
}

#[test]
fn a_lock_made_outside_holds_in_a_mirror_of_artifacts() {
    let machine = Machine::new();
    let (artifact, files) = packed();
    let digest = machine.registry.push(LLAMA, "q4", &artifact);
    let by_digest = format!("oci/acme/llama@{digest}");
    let names = [address(MODEL), address(&by_digest)];
    let file = lock(&machine, LockOptions::default().models(names));
    let other = Registry::start();
    let folder = machine.rack.temp.path().join("layout");
    let (layout, tar) = (folder.join("of"), folder.join("of.tar"));
    fs::create_dir(&folder).unwrap();
    let locked = MirrorOptions::default().locked(&file);
    for (to, url) in [
        (target(&other.host()), other.url()),
        (
            PublishTarget::parse(format!("oci-layout:{}", layout.display())).unwrap(),
            layout_url(&layout),
        ),
        (
            PublishTarget::parse(format!("oci-layout:{}", tar.display())).unwrap(),
            layout_url(&tar),
        ),
    ] {
        let report = machine.manager().mirror(&to, &locked).unwrap();
        assert!(report.failed.is_empty(), "{:?}", report.failed);
        let digests = report.versions.iter().map(|it| it.manifest_digest);
        assert!(digests.eq([digest["sha256:".len()..].parse().unwrap(); 2]));
        machine.requests();
        let again = machine.manager().mirror(&to, &locked).unwrap();
        let states = again.versions.iter().map(|it| it.state);
        assert!(states.eq([MirrorState::Unchanged; 2]), "{to}: {again:?}");
        assert_eq!(machine.requests(), ["HEAD acme/llama/manifests/q4"]);
        for frozen in [false, true] {
            let (rack, manager) = inside(&url);
            other.server().reset_counts();
            let options = LockedOptions::default().file(&file).frozen(frozen);
            let pulled = manager.pull_locked(&options).unwrap();
            assert!(pulled.failed.is_empty(), "{url}: {:?}", pulled.failed);
            rack.assert_files(MODEL, &files);
            assert_eq!(pulled.pulled.len(), 2);
            pulled.pulled.iter().for_each(|it| assert_has(it, &files));
            let requests = other.requests();
            let is_blob = |it: &String| it.starts_with("GET oci/acme/llama/blobs/");
            assert!(!frozen || requests.iter().all(is_blob), "{requests:?}");
            let options = LockOptions::default().file(&file);
            assert!(!manager.check_lock(&options).unwrap().is_stale());
        }
    }
    // With the beginning of the names in the address instead, too.
    let rack = Rack::new();
    let toml = format!("[sources.oci]\noci = \"{}/oci\"\n", other.url());
    let manager = rack.manager_of(rack.bare_config().bootstrap(toml));
    let options = LockedOptions::default().file(&file).frozen(true);
    let pulled = manager.pull_locked(&options).unwrap();
    assert!(pulled.failed.is_empty(), "{:?}", pulled.failed);
    rack.assert_files(MODEL, &files);
}

#[test]
fn all_of_an_index_is_copied() {
    let machine = Machine::new();
    let (artifacts, entries) = attested();
    for artifact in &artifacts {
        machine.registry.push(LLAMA, "part", artifact);
    }
    let digest = push_index(&machine.registry, &entries);
    let other = Registry::start();
    let to = target(&other.host());
    let report = mirror(&machine.manager(), MODEL, &to);
    let version = &report.versions[0];
    assert_eq!(format!("sha256:{}", version.manifest_digest), digest);
    assert_eq!((version.files, version.bytes_written), (3, 50_908));
    assert_eq!(other.manifest_of(INSIDE, "q4"), Some(digest.clone()));
    let originals = machine.registry.blobs_of(LLAMA);
    assert_eq!(other.blobs_of(INSIDE), originals);
    machine.requests();
    assert_unchanged(&mirror(&machine.manager(), MODEL, &to));
    assert_eq!(machine.requests(), ["HEAD acme/llama/manifests/q4"]);
    let (_rack, manager) = inside(&other.url());
    let part = entries[0]["digest"].as_str().unwrap();
    for version in ["q4", &digest, part] {
        assert_pulls(&manager, &format!("{INSIDE}@{version}"), &llama());
    }

    let layout = machine.rack.temp.path().join("layout");
    let to = PublishTarget::parse(format!("oci-layout:{}", layout.display())).unwrap();
    mirror(&machine.manager(), MODEL, &to);
    let index = fs::read(layout.join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(index["manifests"][0]["mediaType"], INDEX_TYPE);
    assert_eq!(index["manifests"][0]["digest"], *digest);
}

#[test]
fn of_an_index_that_is_not_all_there_the_manifest_that_is_meant_is_copied() {
    let machine = Machine::new();
    let (artifacts, entries) = attested();
    machine.registry.push(LLAMA, "part", &artifacts[0]);
    let digest = push_index(&machine.registry, &entries);
    let other = Registry::start();
    let to = target(&other.host());
    let report = mirror(&machine.manager(), MODEL, &to);
    let version = &report.versions[0];
    let meant = entries[0]["digest"].as_str().unwrap();
    assert_eq!(format!("sha256:{}", version.manifest_digest), meant);
    assert_eq!(other.manifest_of(INSIDE, "q4").as_deref(), Some(meant));
    assert_unchanged(&mirror(&machine.manager(), MODEL, &to));
    // Its files are what a lock names.
    let file = lock(&machine, LockOptions::default().models([address(MODEL)]));
    let (rack, manager) = inside(&other.url());
    let pulled = manager.pull_locked(&LockedOptions::default().file(&file));
    assert!(pulled.unwrap().failed.is_empty());
    rack.assert_files(MODEL, &llama());

    // What has another digest is not what was asked for.
    let by_digest = format!("oci/acme/llama@{digest}");
    let report = machine.manager().mirror(&to, &options(&by_digest)).unwrap();
    let error = &report.failed[0].error;
    assert_eq!(error.code(), "REGISTRY_ERROR");
    let told = chain(error);
    assert!(
        told.contains("the index names a manifest that is not there"),
        "{told}"
    );
}

#[test]
fn a_manifest_keeps_its_media_type() {
    let machine = Machine::new();
    let artifact = Artifact::model_pack(&llama());
    let mut manifest = artifact.manifest();
    manifest["mediaType"] = DOCKER_TYPE.into();
    machine.registry.blobs(LLAMA, &artifact);
    let digest = machine
        .registry
        .put_manifest(LLAMA, "q4", DOCKER_TYPE, manifest.to_string());
    // It refuses another type than the manifest states.
    let other = Registry::start();
    mirror(&machine.manager(), MODEL, &target(&other.host()));
    assert_eq!(other.manifest_of(INSIDE, "q4"), Some(digest));
}

#[test]
fn what_is_selected_is_an_artifact_of_its_own() {
    let (machine, digest) = Machine::with_llama();
    let locked = LockOptions::default().models([address(MODEL)]);
    let file = lock(&machine, locked.exclude(["onnx/"]));
    let other = Registry::start();
    let to = target(&other.host());
    let options = MirrorOptions::default().locked(&file);
    let report = machine.manager().mirror(&to, &options).unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert_ne!(other.manifest_of(INSIDE, "q4"), Some(digest));
    assert!(!other.blobs_of(INSIDE).contains(&sha256(&llama()[2].1)));
    for frozen in [false, true] {
        let (rack, manager) = inside(&other.url());
        let options = LockedOptions::default().file(&file).frozen(frozen);
        let pulled = manager.pull_locked(&options).unwrap();
        assert!(pulled.failed.is_empty(), "{:?}", pulled.failed);
        rack.assert_files(MODEL, &llama()[..2]);
    }
}

#[test]
fn a_blob_that_cannot_be_had_stops_one_model_at_once() {
    let (machine, _) = Machine::with_llama();
    machine
        .registry
        .push("acme/tiny", "v1", &Artifact::model_pack(&llama()[..1]));
    let gone = sha256(&llama()[1].1);
    let rule = Rule::path_ends(format!("/acme/llama/blobs/{gone}"));
    machine.registry.server().rule(rule.status(404));
    let other = Registry::start();
    let to = target(&other.host());
    let options = MirrorOptions::default()
        .models([MODEL, "oci/acme/tiny v1"].map(address))
        .concurrency(1);
    let report = machine.manager().mirror(&to, &options).unwrap();
    let [failed] = &report.failed[..] else {
        panic!("{report:?}");
    };
    assert_eq!(
        (&*failed.address, failed.error.code()),
        (MODEL, "NETWORK_ERROR")
    );
    let told = chain(&failed.error);
    assert!(told.contains("not found"), "{told}");
    assert_eq!(report.versions.len(), 1);
    assert_eq!(other.manifest_of(INSIDE, "q4"), None);
    let asked = machine.requests().into_iter();
    assert_eq!(asked.filter(|it| it.ends_with(&gone)).count(), 1);
}

#[test]
fn wrong_bytes_get_nowhere() {
    let (machine, _) = Machine::with_llama();
    let wrong = sha256(&llama()[1].1);
    let rule = || Rule::path_ends(format!("/acme/llama/blobs/{wrong}")).flip(17);
    machine.registry.server().rule(rule().times(1));
    let other = Registry::start();
    // It comes again, and is right then.
    mirror(&machine.manager(), MODEL, &target(&other.host()));
    assert_eq!(other.blobs_of(INSIDE), machine.registry.blobs_of(LLAMA));

    machine.registry.server().rule(rule());
    let layout = machine.rack.temp.path().join("layout");
    let to = PublishTarget::parse(format!("oci-layout:{}", layout.display())).unwrap();
    let report = machine.manager().mirror(&to, &options(MODEL)).unwrap();
    assert_eq!(report.failed[0].error.code(), "HASH_MISMATCH");
    let there = files_below(&layout);
    assert!(
        !there
            .keys()
            .any(|it| it.contains(&wrong["sha256:".len()..]))
    );
    assert!(!there.contains_key("index.json"));
}

/// From a real registry into another one, into a layout, and from there into a third; what others read of each is the same.
#[test]
fn real_registries_and_other_tools_see_the_same() {
    let (Some(outside), Some(between), Some(last)) = (
        RealRegistry::start(""),
        RealRegistry::start(""),
        RealRegistry::start(""),
    ) else {
        return;
    };
    let (artifact, files) = packed();
    let digest = outside.push(LLAMA, "q4", &artifact);
    let rack = Rack::new();
    let toml = format!("[sources.oci]\noci = \"{}\"\n", outside.url());
    let manager = rack.manager_of(rack.bare_config().bootstrap(toml));
    mirror(&manager, MODEL, &target(between.host()));
    between.requests();
    assert_unchanged(&mirror(&manager, MODEL, &target(between.host())));
    assert_eq!(between.requests(), ["HEAD oci/acme/llama/manifests/q4"]);

    let layout = rack.temp.path().join("layout");
    let to = PublishTarget::parse(format!("oci-layout:{}", layout.display())).unwrap();
    let (_middle, manager) = inside(&between.url());
    mirror(&manager, MODEL, &to);
    let (_stick, manager) = inside(&layout_url(&layout));
    mirror(&manager, MODEL, &target(last.host()));
    for registry in [&between, &last] {
        let (_rack, manager) = inside(&registry.url());
        assert_pulls(&manager, &format!("{INSIDE}@{digest}"), &files);
    }
    let raw = |place: String| {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["inspect", "--raw", "--tls-verify=false", &place]);
        skopeo.output().ok().map(|output| {
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{place}: {told}");
            sha256(&output.stdout)
        })
    };
    let Some(seen) = raw(format!("docker://{}/acme/llama:q4", outside.host())) else {
        return;
    };
    assert_eq!(seen, digest);
    for place in [
        format!("docker://{}/oci/acme/llama:q4", between.host()),
        format!("docker://{}/oci/acme/llama:q4", last.host()),
        format!("oci:{}:oci/acme/llama:q4", layout.display()),
    ] {
        assert_eq!(raw(place.clone()), Some(digest.clone()), "{place}");
    }
}
