//! Removing what no version names from a registry in a folder.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use modelrack::progress::Step;
use modelrack::project::{
    Project, PublishOptions, PublishReport, PublishTarget, RegistryPruneOptions, RegistryPrunePlan,
};
use modelrack::{ErrorKind, ModelRef, Progress, ProgressEvent, Result};

use crate::support::chain;
use crate::support::disk::{age, files_below, write_files};
use crate::support::rack::{CHUNK, Rack, model_ref, sample};

/// Publishes into the registry of a rack.
fn publish<B: AsRef<[u8]>>(
    rack: &Rack,
    model: &str,
    files: &[(&str, B)],
    options: &PublishOptions,
) -> Result<PublishReport> {
    let folder = tempfile::tempdir_in(&rack.temp).unwrap();
    let files = files.iter().map(|(name, bytes)| (*name, bytes.as_ref()));
    write_files(folder.path(), &files.collect::<Vec<_>>());
    let options = options.clone().chunk_bytes(CHUNK as u64);
    let paths = [folder.path().to_owned()];
    Project::publish_files(&paths, &model_ref(model), rack.registry(), &options)
}

/// A registry with a version that was replaced; all of it is so many hours old.
fn replaced(options: &PublishOptions, hours: u64) -> Rack {
    let rack = Rack::new();
    publish(&rack, "g/m v1", &sample(), options).unwrap();
    publish(&rack, "g/m v1", &sample()[1..], options).unwrap();
    age_all(&rack.registry(), hours);
    rack
}

fn age_all(folder: &Path, hours: u64) {
    let files = files_below(folder);
    files.keys().for_each(|name| age(&folder.join(name), hours));
}

fn plan(rack: &Rack) -> Result<RegistryPrunePlan> {
    Project::plan_prune(rack.registry(), &RegistryPruneOptions::default())
}

fn paths(plan: &RegistryPrunePlan) -> Vec<String> {
    let paths = plan.removed.iter().map(|object| object.path.clone());
    paths.collect()
}

#[test]
fn what_no_version_names_is_removed_a_day_later() {
    for shards in [false, true] {
        let rack = replaced(&PublishOptions::default().shards(shards), 25);
        let registry = rack.registry();
        let digest = "0a".repeat(32);
        let left = [
            format!("data/{digest}.41-0.tmp"),
            format!("models/{digest}.json.41-0.tmp"),
            "models.json.41-0.tmp".to_owned(),
        ];
        let others = ["notes.txt", "data/notes.tmp", "models/x.json", ".hidden/x"];
        for name in left.iter().map(String::as_str).chain(others) {
            write_files(&registry, &[(name, b"x")]);
            age(&registry.join(name), 25);
        }
        let before = files_below(&registry);
        let planned = plan(&rack).unwrap();
        assert_eq!(files_below(&registry), before, "a plan changes nothing");
        let old = paths(&planned);
        left.iter()
            .for_each(|name| assert!(old.contains(name), "{old:?}"));
        let shards_of = old
            .iter()
            .filter(|path| path.starts_with("models/") && path.ends_with(".json"));
        assert_eq!(shards_of.count(), usize::from(shards));
        assert!(old.len() >= 5 + usize::from(shards), "{old:?}");

        let report = Project::prune(&planned, &RegistryPruneOptions::default()).unwrap();
        assert_eq!(report.removed, planned.removed);
        assert_eq!(report.still_used, [] as [&str; 0]);
        let mut expected = before;
        let gone = old
            .iter()
            .map(|path| expected.remove(path).unwrap().len() as u64);
        assert_eq!(gone.sum::<u64>(), report.bytes_freed);
        assert_eq!(files_below(&registry), expected);
        assert_eq!(paths(&plan(&rack).unwrap()), [] as [&str; 0]);
        rack.pull("g/m v1").unwrap();
        rack.assert_files("g/m v1", &sample()[1..]);
    }
}

#[test]
fn what_is_younger_than_a_day_stays() {
    let rack = replaced(&PublishOptions::default(), 23);
    let planned = plan(&rack).unwrap();
    assert_eq!(paths(&planned), [] as [&str; 0]);
    assert!(planned.young >= 2 && planned.bytes_young > 0, "{planned:?}");
    // One that was written again since the plan was made is young, too.
    age_all(&rack.registry(), 25);
    let planned = plan(&rack).unwrap();
    let (again, old) = planned.removed.split_first().unwrap();
    age(&rack.registry().join(&again.path), 0);
    let report = Project::prune(&planned, &RegistryPruneOptions::default()).unwrap();
    assert_eq!(
        (report.still_used, &*report.removed),
        (vec![again.path.clone()], old)
    );
}

#[test]
fn whatever_cannot_be_read_keeps_everything() {
    for shards in [false, true] {
        let rack = replaced(&PublishOptions::default().shards(shards), 25);
        let registry = rack.registry();
        let planned = plan(&rack).unwrap();
        let index = fs::read_to_string(registry.join("models.json")).unwrap();
        let report = publish(&rack, "g/m v1", &sample()[1..], &PublishOptions::default()).unwrap();
        age_all(&registry, 25);
        let manifest = format!("data/{}", report.manifest_digest);
        let mut broken = vec![
            ("models.json".to_owned(), None),
            ("models.json".to_owned(), Some("{")),
            (
                "models.json".to_owned(),
                Some(r#"{"g":{"m":{"v1":{"hash":"short"}}}}"#),
            ),
            (
                "models.json".to_owned(),
                Some(r#"{"g":{"m":{"v1":{"size":1}}}}"#),
            ),
            (manifest.clone(), None),
            (manifest.clone(), Some("{}")),
        ];
        if shards {
            let name = format!(
                "models/{}.json",
                &index[index.find("\":\"").unwrap() + 3..][..64]
            );
            assert!(registry.join(&name).is_file(), "{name}");
            broken.extend([(name.clone(), None), (name, Some("{}"))]);
        }
        for (name, text) in broken {
            let path = registry.join(&name);
            let whole = fs::read(&path).unwrap();
            match text {
                None => fs::remove_file(&path).unwrap(),
                Some(text) => fs::write(&path, text).unwrap(),
            }
            let before = files_below(&registry);
            for error in [
                plan(&rack).unwrap_err(),
                Project::prune(&planned, &RegistryPruneOptions::default()).unwrap_err(),
            ] {
                assert_eq!(
                    error.code(),
                    "REGISTRY_ERROR",
                    "{name} {text:?}: {}",
                    chain(&error)
                );
                if text == Some("{") {
                    let kind = error.kind();
                    let is_named = |location: &str| location.ends_with("/models.json");
                    assert!(
                        matches!(kind, ErrorKind::DamagedTarget { location, .. } if is_named(location)),
                        "{kind:?}"
                    );
                }
            }
            assert_eq!(files_below(&registry), before, "{name} {text:?}");
            fs::write(&path, whole).unwrap();
        }
    }
}

/// Does something once, when all chunks are written.
struct Then(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl std::fmt::Debug for Then {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Then")
    }
}

impl Progress for Then {
    fn on_event(&self, _: &ModelRef, _: &ProgressEvent) {}

    fn on_step(&self, step: &Step<'_>) {
        if step.task.as_str() == "chunking"
            && step.done > 0
            && step.done == step.total
            && let Some(then) = self.0.lock().unwrap().take()
        {
            then();
        }
    }
}

#[test]
fn who_publishes_what_is_removed_meanwhile_is_told_and_publishes_again() {
    let rack = replaced(&PublishOptions::default(), 25);
    let registry = rack.registry();
    // The files of before: they are there, old, and no version names them.
    let removing = registry.clone();
    let then = move || {
        let options = RegistryPruneOptions::default();
        let planned = Project::plan_prune(&removing, &options).unwrap();
        let report = Project::prune(&planned, &options).unwrap();
        assert_eq!(report.removed, planned.removed);
        assert!(!report.removed.is_empty());
    };
    let then = Arc::new(Then(Mutex::new(Some(Box::new(then)))));
    let options = PublishOptions::default().progress(then.clone());
    let index = fs::read(registry.join("models.json")).unwrap();
    let error = publish(&rack, "g/m v0", &sample(), &options).unwrap_err();
    assert_eq!(error.code(), "REGISTRY_ERROR");
    let said = "removed while this was published, as no version named them: publish again";
    assert!(chain(&error).contains(said), "{}", chain(&error));
    assert_eq!(fs::read(registry.join("models.json")).unwrap(), index);

    publish(&rack, "g/m v0", &sample(), &options).unwrap();
    for (version, from) in [("g/m v0", 0), ("g/m v1", 1)] {
        rack.pull(version).unwrap();
        rack.assert_files(version, &sample()[from..]);
    }
}

#[test]
fn what_was_named_again_since_the_plan_stays() {
    let rack = replaced(&PublishOptions::default(), 25);
    let planned = plan(&rack).unwrap();
    publish(&rack, "g/m v0", &sample(), &PublishOptions::default()).unwrap();
    let before = files_below(&rack.registry());
    let report = Project::prune(&planned, &RegistryPruneOptions::default()).unwrap();
    assert_eq!((report.removed.len(), report.bytes_freed), (0, 0));
    assert_eq!(report.still_used, paths(&planned));
    assert_eq!(files_below(&rack.registry()), before);
}

#[test]
fn a_plan_reaches_nothing_but_what_is_of_a_registry() {
    let rack = replaced(&PublishOptions::default(), 25);
    let folder = rack.registry();
    write_files(&folder, &[("data/notes", b"x"), ("sub/data/y", b"x")]);
    write_files(rack.temp.path(), &[("outside", b"x")]);
    age_all(rack.temp.path(), 25);
    let mut planned = plan(&rack).unwrap();
    planned.removed.truncate(1);
    for path in [
        "../outside",
        "data/../../outside",
        "data/notes",
        "sub/data/y",
        "models.json",
        "",
        "data/",
    ] {
        planned.removed[0].path = path.to_owned();
        let before = files_below(rack.temp.path());
        let report = Project::prune(&planned, &RegistryPruneOptions::default()).unwrap();
        assert_eq!(report.still_used, [path]);
        assert_eq!(files_below(rack.temp.path()), before, "{path}");
    }
}

#[test]
fn places_of_artifacts_are_not_pruned() {
    for (to, said) in [
        ("oci://ghcr.io/acme/tiny", "delete tags there"),
        ("oci-layout:layout", "into a new one"),
        ("registry.tar", "into a new one"),
    ] {
        let target = PublishTarget::parse(to).unwrap();
        let error = Project::plan_prune(target, &RegistryPruneOptions::default()).unwrap_err();
        assert_eq!(error.code(), "INVALID_ARGUMENT");
        let message = error.to_string();
        assert!(
            message.starts_with(&format!("cannot prune {to}: ")) && message.contains(said),
            "{message}"
        );
    }
}
