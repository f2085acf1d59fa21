//! Mirrors: what is copied from each kind of source, what is not copied again, and what is there after a failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use modelrack::lock::{LockOptions, LockedOptions};
use modelrack::mirror::{MirrorOptions, MirrorReport, MirrorState, PublishTarget};
use modelrack::progress::{Step, Task};
use modelrack::transport::Url;
use modelrack::{
    Config, Manager, ModelManager, ModelRef, Progress, ProgressEvent, PullOptions, RemoteOptions,
};
use serde_json::{Value, json};

use crate::sources::hub::machine::{Machine, WHISPER, whisper};
use crate::support::disk::{files_below, names_in};
use crate::support::rack::{Rack, quick_http, sample};
use crate::support::registry::Publication;
use crate::support::server::Rule;
use crate::support::{address, bytes};

/// The folder of the mirror of a rack.
fn folder(rack: &Rack) -> PathBuf {
    rack.temp.path().join("mirror")
}

fn target(rack: &Rack) -> PublishTarget {
    folder(rack).into()
}

fn of_models(models: &[&str]) -> MirrorOptions {
    MirrorOptions::default().models(models.iter().map(|model| address(model)))
}

/// A manager whose one source is the mirror of a rack.
fn inside(outside: &Rack, inside: &Rack) -> ModelManager {
    let url = Url::from_path(&folder(outside)).unwrap().expose();
    inside.manager_of(inside.bare_config().registry_url(url))
}

fn states(report: &MirrorReport) -> Vec<(String, MirrorState)> {
    let versions = report.versions.iter();
    versions
        .map(|version| (version.model.to_string(), version.state))
        .collect()
}

fn index(folder: &Path) -> Value {
    let json = fs::read(folder.join("models.json")).unwrap();
    serde_json::from_slice(&json).unwrap()
}

fn paths(rack: &Rack) -> Vec<String> {
    let requests = rack.server.requests().into_iter();
    let paths = requests.map(|request| request.path).collect();
    rack.server.reset_counts();
    paths
}

#[test]
fn a_version_in_chunks_goes_over_as_it_is_and_only_once() {
    let rack = Rack::new();
    let how = Publication {
        aliases: &["latest"],
        metadata: json!({"type": "audio"}),
        ..Publication::default()
    };
    let v1 = rack.publish_as("g/m v1", &sample(), &how);
    rack.server.reset_counts();
    let (manager, to) = (rack.manager(), target(&rack));
    let options = of_models(&["g/m latest"]);
    let plan = manager.check_mirror(&to, &options).unwrap();
    assert!(!folder(&rack).exists());
    assert_eq!(rack.chunk_requests(&[&v1]), Vec::<String>::new());
    rack.server.reset_counts();

    let report = manager.mirror(&to, &options).unwrap();
    assert_eq!(states(&report), [("g/m v1".to_owned(), MirrorState::New)]);
    assert_eq!(report.bytes_fetched(), plan.bytes_fetched());
    assert_eq!(report.bytes_written(), plan.bytes_written());
    assert_eq!(index(&folder(&rack)), rack.index());
    assert_eq!(
        files_below(&folder(&rack).join("data")),
        files_below(&rack.registry().join("data"))
    );

    let before = files_below(&folder(&rack));
    paths(&rack);
    let report = rack.manager().mirror(&to, &options).unwrap();
    assert_eq!(
        states(&report),
        [("g/m v1".to_owned(), MirrorState::Unchanged)]
    );
    assert_eq!((report.bytes_fetched(), report.bytes_written()), (0, 0));
    assert_eq!(paths(&rack), ["/models.json"]);
    assert_eq!(files_below(&folder(&rack)), before);

    let other = Rack::new();
    let pulled = inside(&rack, &other)
        .pull(&address("g/m latest"), &PullOptions::default())
        .unwrap();
    assert_eq!(pulled.manifest_digest, v1.manifest_digest);
    other.assert_files("g/m latest", &sample());
}

#[test]
fn what_the_mirror_or_the_store_has_is_not_fetched() {
    let rack = Rack::with_model();
    let (manager, to) = (rack.manager(), target(&rack));
    let options = of_models(&["g/m v1"]);
    manager.mirror(&to, &options).unwrap();
    let data = folder(&rack).join("data");
    let v1 = index(&folder(&rack))["g"]["m"]["v1"]["hash"].clone();
    let chunk = names_in(&data)
        .into_iter()
        .find(|name| Some(name.as_str()) != v1.as_str())
        .unwrap();
    fs::remove_file(folder(&rack).join("models.json")).unwrap();
    fs::remove_file(data.join(&chunk)).unwrap();
    rack.server.reset_counts();
    manager.mirror(&to, &options).unwrap();
    let mut requests = rack.data_requests();
    requests.retain(|request| !request.ends_with(v1.as_str().unwrap()));
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].ends_with(&chunk), "{requests:?}");

    fs::remove_dir_all(folder(&rack)).unwrap();
    rack.pull("g/m v1").unwrap();
    rack.server.reset_counts();
    let report = rack.manager().mirror(&to, &options).unwrap();
    assert_eq!(rack.data_requests(), Vec::<String>::new());
    assert_eq!(report.bytes_fetched(), 0);
    assert_eq!(
        files_below(&data),
        files_below(&rack.registry().join("data"))
    );
}

/// The highest counts of what is mirrored: things of all, and bytes of all.
#[derive(Debug, Default)]
struct Mirrored(Mutex<[u64; 4]>);

impl Progress for Mirrored {
    fn on_event(&self, _: &ModelRef, _: &ProgressEvent) {}

    fn on_step(&self, step: &Step<'_>) {
        if step.task == Task::Mirroring {
            let counts = [step.done, step.total, step.bytes_done, step.total_bytes];
            let mut highest = self.0.lock().unwrap();
            *highest = counts.max(*highest);
        }
    }
}

#[test]
fn each_byte_is_counted_once_whether_it_is_there_or_comes_twice() {
    let rack = Rack::with_model();
    let to = target(&rack);
    let mirror = || {
        let mirrored = Arc::new(Mirrored::default());
        let options = of_models(&["g/m v1"]).progress(mirrored.clone());
        rack.manager().mirror(&to, &options).unwrap();
        *mirrored.0.lock().unwrap()
    };
    let [_, chunks, _, bytes] = mirror();
    let all = [chunks, chunks, bytes, bytes];
    assert!(chunks > 1 && bytes > 1000, "{all:?}");
    // The first chunk is lost in the middle and comes again.
    fs::remove_dir_all(folder(&rack)).unwrap();
    rack.server
        .rule(Rule::path_starts("/data/").cut_after(700).nth(2));
    assert_eq!(mirror(), all);
    // All are there.
    fs::remove_file(folder(&rack).join("models.json")).unwrap();
    rack.server.reset_counts();
    assert_eq!(mirror(), all);
    let index = "/models.json";
    assert!(paths(&rack).iter().filter(|path| *path != index).count() <= 1);
}

#[test]
fn a_chunk_that_lies_keeps_its_version_out_and_no_other() {
    let rack = Rack::with_model();
    rack.publish("g/bad v1", &[("a.bin", bytes(3000, 9))]);
    rack.publish("g/good v1", &[("a.bin", bytes(3000, 8))]);
    let chunk = chunk_of(&rack, "bad");
    rack.server
        .rule(Rule::path(format!("/data/{chunk}")).flip(7));
    let options = of_models(&["g/bad v1", "g/good v1"]);
    let report = rack.manager().mirror(&target(&rack), &options).unwrap();
    assert_eq!(
        states(&report),
        [("g/good v1".to_owned(), MirrorState::New)]
    );
    assert_eq!(report.failed.len(), 1);
    assert_eq!(report.failed[0].address, "g/bad v1");
    assert_eq!(report.failed[0].error.code(), "HASH_MISMATCH");
    assert_eq!(index(&folder(&rack))["g"].get("bad"), None);
    assert!(!folder(&rack).join("data").join(&chunk).exists());

    rack.server.clear_rules();
    let report = rack.manager().mirror(&target(&rack), &options).unwrap();
    assert!(report.failed.is_empty());
    let versions = report.versions.iter();
    let written: Vec<_> = versions.map(|version| version.chunks_written).collect();
    assert!(written[0] >= 1 && written[1] == 0, "{written:?}");
}

/// The name of a chunk of the only version of a model.
fn chunk_of(rack: &Rack, model: &str) -> String {
    let manifest = rack.index()["g"][model]["v1"]["hash"].clone();
    let path = rack
        .registry()
        .join("data")
        .join(manifest.as_str().unwrap());
    let manifest: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    manifest["chunks"][0].as_str().unwrap().to_owned()
}

#[test]
fn what_cannot_be_found_is_reported_and_nothing_named_is_refused() {
    let rack = Rack::with_model();
    let (manager, to) = (rack.manager(), target(&rack));
    let report = manager
        .mirror(&to, &of_models(&["g/m v1", "g/nosuch v1"]))
        .unwrap();
    assert_eq!(report.versions.len(), 1);
    assert_eq!(report.failed[0].error.code(), "MODEL_NOT_FOUND");
    let error = manager.mirror(&to, &MirrorOptions::default()).unwrap_err();
    assert_eq!(error.code(), "INVALID_ARGUMENT");
    let options = MirrorOptions::default().patterns(["g/*".parse().unwrap()]);
    let report = manager.mirror(&to, &options).unwrap();
    assert_eq!(
        states(&report),
        [("g/m v1".to_owned(), MirrorState::Unchanged)]
    );
}

#[test]
fn a_lock_made_outside_holds_inside() {
    let (machine, _, _) = Machine::with_whisper();
    let rack = &machine.rack;
    let lock = rack.temp.path().join("models.lock");
    let manager = machine.manager();
    let options = LockOptions::default().file(&lock);
    let options = options.models([address(&format!("{WHISPER} main"))]);
    manager.lock(&options).unwrap();
    let options = MirrorOptions::default().locked(&lock);
    let report = manager.mirror(&target(rack), &options).unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert_eq!(report.versions[0].state, MirrorState::New);
    assert_ne!(
        report.versions[0].manifest_digest,
        report.versions[0].source_digest
    );
    assert_eq!(rack.cache(), Vec::<String>::new(), "a partial is left");
    assert!(!rack.dir_of(&format!("{WHISPER} main")).exists());

    machine.hub.server().reset_counts();
    let again = machine.manager().mirror(&target(rack), &options).unwrap();
    assert_eq!(again.versions[0].state, MirrorState::Unchanged);
    let requests = machine.requests();
    assert!(
        requests.iter().all(|path| !path.contains("/resolve/")),
        "{requests:?}"
    );

    // With the mirror alone, and with the source of the lock, which cannot be reached.
    let url = Url::from_path(&folder(rack)).unwrap().expose();
    let hub = "[sources.hf]\nhub = \"https://hub.invalid\"\n";
    for (frozen, bootstrap) in [(false, ""), (true, ""), (false, hub), (true, hub)] {
        let other = Rack::new();
        let config = Config::new("rack")
            .data_dir(other.store())
            .cache_dir(other.index_cache())
            .http(quick_http())
            .offline(true)
            .bootstrap(bootstrap)
            .registry_url(&url);
        let options = LockedOptions::default().file(&lock).frozen(frozen);
        let pulled = other.manager_of(config).pull_locked(&options).unwrap();
        assert!(pulled.failed.is_empty(), "{frozen}: {:?}", pulled.failed);
        other.assert_files(&format!("{WHISPER} main"), &whisper());
    }
}

#[test]
fn files_of_the_store_are_mirrored_without_a_request() {
    let (machine, _, _) = Machine::with_whisper();
    machine.pull(WHISPER).unwrap();
    machine.hub.server().reset_counts();
    let options = of_models(&[WHISPER]);
    let to = target(&machine.rack);
    let report = machine.manager().mirror(&to, &options).unwrap();
    assert_eq!(report.bytes_fetched(), 0);
    assert!(
        machine
            .requests()
            .iter()
            .all(|path| !path.contains("/resolve/"))
    );
    let other = Rack::new();
    let manager = inside(&machine.rack, &other);
    let model = address(&format!("{WHISPER} main"));
    let offer = manager
        .get_remote(&model, &RemoteOptions::default())
        .unwrap();
    let facts = offer.metadata.facts();
    assert_eq!(facts.model_type.as_deref(), Some("audio-to-text"));
    manager.pull(&model, &PullOptions::default()).unwrap();
    other.assert_files(&format!("{WHISPER} main"), &whisper());
}

#[test]
fn an_image_layout_gets_each_version_as_an_artifact() {
    let rack = Rack::with_model();
    let layout = rack.temp.path().join("layout");
    let to = PublishTarget::parse(format!("oci-layout:{}", layout.display())).unwrap();
    let options = of_models(&["g/m v1"]);
    let report = rack.manager().mirror(&to, &options).unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert!(report.bytes_written() > 0);
    assert_eq!(rack.listed(), (vec![], vec![]));
    let before = files_below(&layout);
    assert!(before.contains_key("index.json"));

    let report = rack.manager().mirror(&to, &options).unwrap();
    assert_eq!(report.bytes_written(), 0);
    assert_eq!(files_below(&layout), before);
}

/// Unpacks a tar with the program that everybody has; `None` where there is none.
fn unpack(tar: &Path, to: &Path) -> Option<()> {
    fs::create_dir_all(to).unwrap();
    let mut command = Command::new("tar");
    command.arg("-xf").arg(tar).arg("-C").arg(to);
    let ran = command.output().ok()?;
    assert!(ran.status.success(), "{ran:?}");
    Some(())
}

#[test]
fn a_tar_is_a_registry_when_it_is_unpacked_and_where_it_is() {
    let rack = Rack::with_model();
    rack.publish("g/n v1", &[("n.bin", bytes(5000, 5))]);
    let tar = rack.temp.path().join("media").join("models.tar");
    let to = PublishTarget::from(&tar);
    let report = rack
        .manager()
        .mirror(&to, &of_models(&["g/m v1", "g/n v1"]))
        .unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    // Nothing beside it, and nothing of it in the store.
    assert_eq!(names_in(tar.parent().unwrap()), ["models.tar"]);
    assert_eq!(rack.listed(), (vec![], vec![]));

    let folder = rack.temp.path().join("unpacked");
    if unpack(&tar, &folder).is_some() {
        assert_eq!(index(&folder), rack.index());
        assert_eq!(
            files_below(&folder.join("data")),
            files_below(&rack.registry().join("data"))
        );
        // By its time and size, a web server tells whether it has changed.
        let modified = fs::metadata(folder.join("models.json")).unwrap().modified();
        let age = modified.unwrap().elapsed().unwrap_or_default();
        assert!(age < Duration::from_secs(24 * 60 * 60), "{age:?}");
    }

    let other = Rack::new();
    let url = Url::from_path(&tar).unwrap().expose();
    let manager = other.manager_of(other.bare_config().registry_url(url).offline(true));
    for model in ["g/m v1", "g/n v1"] {
        manager
            .pull(&address(model), &PullOptions::default())
            .unwrap();
    }
    other.assert_files("g/m v1", &sample());
}

#[test]
fn a_tar_that_exists_is_replaced_by_one_that_has_more() {
    let rack = Rack::with_model();
    let tar = rack.temp.path().join("models.tar");
    let (manager, to) = (rack.manager(), PublishTarget::from(&tar));
    manager.mirror(&to, &of_models(&["g/m v1"])).unwrap();
    let before = fs::read(&tar).unwrap();
    rack.server.reset_counts();
    let again = rack.manager().mirror(&to, &of_models(&["g/m v1"])).unwrap();
    assert_eq!(again.versions[0].state, MirrorState::Unchanged);
    assert_eq!(paths(&rack), ["/models.json"]);
    assert_eq!(fs::read(&tar).unwrap(), before);

    // A version that shares chunks with what is there.
    let mut files = sample();
    files[0].1 = b"{\"layers\": 3}".to_vec();
    let v2 = rack.publish("g/m v2", &files);
    let report = rack.manager().mirror(&to, &of_models(&["g/m v2"])).unwrap();
    assert_eq!(rack.chunk_requests(&[&v2]).len(), 1);
    assert_eq!(report.versions[0].chunks_written, 1);
    let folder = rack.temp.path().join("unpacked");
    if unpack(&tar, &folder).is_some() {
        assert_eq!(index(&folder), rack.index());
        assert_eq!(names_in(&folder), ["data", "models.json"]);
    }

    // What is no registry is left alone, and so is what nothing could be added to.
    rack.publish("g/bad v1", &[("a.bin", bytes(3000, 9))]);
    let chunk = chunk_of(&rack, "bad");
    rack.server
        .rule(Rule::path(format!("/data/{chunk}")).flip(7));
    let before = fs::read(&tar).unwrap();
    let report = rack
        .manager()
        .mirror(&to, &of_models(&["g/bad v1"]))
        .unwrap();
    assert_eq!(report.failed[0].error.code(), "HASH_MISMATCH");
    assert_eq!(fs::read(&tar).unwrap(), before);
    for content in [&b"no tar"[..], &[0; 1024]] {
        fs::write(&tar, content).unwrap();
        let error = rack
            .manager()
            .mirror(&to, &of_models(&["g/m v1"]))
            .unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{error}");
        assert_eq!(fs::read(&tar).unwrap(), content);
    }
}

#[test]
fn shards_and_models_of_the_hub_go_into_a_tar_as_well() {
    let (machine, _, _) = Machine::with_whisper();
    let tar = machine.rack.temp.path().join("models.tar");
    let to = PublishTarget::from(&tar);
    let options = of_models(&[WHISPER]).shards(true).chunk_bytes(1024);
    let report = machine.manager().mirror(&to, &options).unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    let again = machine.manager().mirror(&to, &options).unwrap();
    assert_eq!(again.versions[0].state, MirrorState::Unchanged);
    let other = Rack::new();
    let url = Url::from_path(&tar).unwrap().expose();
    let manager = other.manager_of(other.bare_config().registry_url(url).offline(true));
    let model = format!("{WHISPER} main");
    manager
        .pull(&address(&model), &PullOptions::default())
        .unwrap();
    other.assert_files(&model, &whisper());
}
