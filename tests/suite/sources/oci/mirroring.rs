//! Mirrors of artifacts, and as artifacts.

use modelrack::lock::{LockOptions, LockedOptions};
use modelrack::mirror::{MirrorOptions, MirrorReport, MirrorState, PublishTarget};
use modelrack::pull::PullOutcome;
use modelrack::transport::Url;
use modelrack::{Manager, ModelManager, PullOptions, UpdateOptions, VerifyOptions};
use serde_json::json;

use super::tars::packed;
use super::{LLAMA, Machine, llama};
use crate::support::address;
use crate::support::disk::{files_below, flip};
use crate::support::mirror::assert_unchanged;
use crate::support::oci::Registry;
use crate::support::oci::real::RealRegistry;
use crate::support::rack::{Rack, sample};
use crate::support::registry::Publication;

const MODEL: &str = "oci/acme/llama q4";

/// Without a failure.
#[track_caller]
fn mirror(manager: &ModelManager, model: &str, to: &PublishTarget) -> MirrorReport {
    let options = MirrorOptions::default().models([address(model)]);
    let report = manager.mirror(to, &options).unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    report
}

/// Pulls what a lock says on a machine that has nothing but the mirror at a URL, and no network.
#[track_caller]
fn pulled_inside(url: &str, options: &LockedOptions) -> (Rack, ModelManager) {
    let inside = Rack::new();
    let config = inside.bare_config().registry_url(url).offline(true);
    let manager = inside.manager_of(config);
    let pulled = manager.pull_locked(options).unwrap();
    assert!(pulled.failed.is_empty(), "{:?}", pulled.failed);
    (inside, manager)
}

fn registry_target(host: &str) -> PublishTarget {
    PublishTarget::parse(format!("oci://{host}/")).unwrap()
}

/// A rack with `g/m v1`, alias `latest`, that has metadata.
fn described() -> Rack {
    let rack = Rack::new();
    let how = Publication {
        aliases: &["latest"],
        metadata: json!({"type": "audio"}),
        ..Publication::default()
    };
    rack.publish_as("g/m v1", &sample(), &how);
    rack
}

#[test]
fn a_second_run_pulls_nothing_and_pushes_nothing() {
    let (rack, registry) = (described(), Registry::start());
    let to = registry_target(&registry.host());
    let manager = rack.manager();
    let plan = manager.check_mirror(
        &to,
        &MirrorOptions::default().models([address("g/m latest")]),
    );
    assert_eq!(plan.unwrap().versions[0].state, MirrorState::New);
    assert!(
        registry
            .requests()
            .iter()
            .all(|it| it.starts_with("GET") || it.starts_with("HEAD"))
    );
    mirror(&manager, "g/m latest", &to);
    assert_eq!(rack.listed(), (vec![], vec![]));
    rack.server.reset_counts();
    registry.server().reset_counts();
    assert_unchanged(&mirror(&manager, "g/m latest", &to));
    assert_eq!(rack.data_requests(), Vec::<String>::new());
    assert_eq!(
        registry.requests(),
        ["GET g/m/manifests/v1", "HEAD g/m/manifests/latest"]
    );

    // What describes it is a part of an artifact, so that is made anew; its blobs are there.
    let how = Publication {
        aliases: &["latest"],
        metadata: json!({"type": "text"}),
        ..Publication::default()
    };
    rack.publish_as("g/m v1", &sample(), &how);
    let report = mirror(&manager, "g/m latest", &to);
    let version = &report.versions[0];
    assert_eq!(
        (version.state, version.bytes_written),
        (MirrorState::Changed, 0)
    );
    let puller = Machine {
        registry,
        rack: Rack::new(),
    };
    puller.pull("oci/g/m latest").unwrap();
    puller.rack.assert_files("oci/g/m latest", &sample());
    let record = puller.rack.record().to_string();
    assert!(record.contains("\"type\":\"text\""), "{record}");
    assert!(!record.contains("modelrack.source"), "{record}");
}

#[test]
fn what_a_registry_cannot_name_is_told_before_it_is_pulled() {
    let (rack, registry) = (Rack::new(), Registry::start());
    let models = ["g-/m v1", "g/n 1.0+gpu", "g/o v1"];
    for model in models {
        rack.publish(model, &sample());
    }
    rack.server.reset_counts();
    let options = MirrorOptions::default().models(models.map(address));
    let to = registry_target(&registry.host());
    let report = rack.manager().mirror(&to, &options).unwrap();
    let failed: Vec<_> = report.failed.iter().map(|it| &*it.address).collect();
    assert_eq!(failed, models[..2]);
    assert!(
        report
            .failed
            .iter()
            .all(|it| it.error.code() == "INVALID_ARGUMENT")
    );
    assert_eq!(report.versions.len(), 1);
    // The manifest and the chunks of one model.
    assert_eq!(rack.data_requests().len(), 12);
}

#[test]
fn a_model_with_capitals_is_found_by_its_name() {
    let (rack, registry) = (Rack::new(), Registry::start());
    rack.publish("Qwen/Tiny-8B v1", &sample());
    let to = registry_target(&registry.host());
    mirror(&rack.manager(), "Qwen/Tiny-8B v1", &to);
    assert_unchanged(&mirror(&rack.manager(), "Qwen/Tiny-8B v1", &to));
    let inside = Machine {
        registry,
        rack: Rack::new(),
    };
    inside.pull("oci/Qwen/Tiny-8B v1").unwrap();
    inside.rack.assert_files("oci/Qwen/Tiny-8B v1", &sample());
}

#[test]
fn an_artifact_goes_from_registry_to_registry_and_to_a_layout() {
    let (machine, _) = Machine::with_llama();
    let other = Registry::start();
    let layout = machine.rack.temp.path().join("layout");
    for to in [
        registry_target(&other.host()),
        PublishTarget::parse(format!("oci-layout:{}", layout.display())).unwrap(),
        PublishTarget::parse(format!("oci-layout:{}.tar", layout.display())).unwrap(),
    ] {
        mirror(&machine.manager(), MODEL, &to);
        machine.requests();
        assert_unchanged(&mirror(&machine.manager(), MODEL, &to));
        let requests = machine.requests();
        assert!(
            requests.iter().all(|it| !it.contains("/blobs/")),
            "{to}: {requests:?}"
        );
    }
    let inside = Machine {
        registry: other,
        rack: Rack::new(),
    };
    // Under the whole name that it had outside.
    inside.pull("oci/oci/acme/llama q4").unwrap();
    inside.rack.assert_files("oci/oci/acme/llama q4", &llama());
}

#[test]
fn a_real_registry_gets_a_model() {
    let Some(registry) = RealRegistry::start("") else {
        return;
    };
    let rack = described();
    let to = registry_target(registry.host());
    mirror(&rack.manager(), "g/m latest", &to);
    registry.requests();
    assert_unchanged(&mirror(&rack.manager(), "g/m latest", &to));
    let requests = registry.requests();
    assert!(
        requests
            .iter()
            .all(|it| it.starts_with("GET ") || it.starts_with("HEAD ")),
        "{requests:?}"
    );
    let toml = format!("[sources.oci]\noci = \"{}\"\n", registry.url());
    let inside = Rack::new();
    let manager = inside.manager_of(inside.bare_config().bootstrap(toml));
    for version in ["v1", "latest"] {
        let model = format!("oci/g/m {version}");
        manager
            .pull(&address(&model), &PullOptions::default())
            .unwrap();
        inside.assert_files(&model, &sample());
    }
}

#[test]
fn a_lock_of_an_artifact_holds_in_a_mirror_of_chunks() {
    let (machine, _) = Machine::with_llama();
    let lock = machine.rack.temp.path().join("models.lock");
    let options = LockOptions::default().file(&lock);
    machine
        .manager()
        .lock(&options.models([address(MODEL)]))
        .unwrap();
    let folder = machine.rack.temp.path().join("mirror");
    let options = MirrorOptions::default().locked(&lock);
    let to = PublishTarget::from(&folder);
    let report = machine.manager().mirror(&to, &options).unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    machine.requests();
    let before = files_below(&folder);
    assert_unchanged(&machine.manager().mirror(&to, &options).unwrap());
    assert!(machine.requests().iter().all(|it| !it.contains("/blobs/")));
    assert_eq!(files_below(&folder), before);

    let url = Url::from_path(&folder).unwrap().expose();
    for frozen in [false, true] {
        let options = LockedOptions::default().file(&lock).frozen(frozen);
        let (inside, _) = pulled_inside(&url, &options);
        inside.assert_files(MODEL, &llama());
    }
}

/// What is locked of a tar is the tar: a mirror has the same, and whoever pulls gets what is in it.
#[test]
fn a_lock_of_tars_holds_in_a_mirror_of_chunks() {
    let machine = Machine::new();
    let (artifact, files) = packed();
    machine.registry.push(LLAMA, "q4", &artifact);
    let lock = machine.rack.temp.path().join("models.lock");
    let options = LockOptions::default().file(&lock);
    let manager = machine.manager();
    manager.lock(&options.models([address(MODEL)])).unwrap();
    // What is installed is what is in the tars, and no tar.
    machine.pull(MODEL).unwrap();
    let options = MirrorOptions::default().locked(&lock).chunk_bytes(4096);
    for name in ["mirror", "mirror.tar"] {
        let path = machine.rack.temp.path().join(name);
        let to = PublishTarget::from(&path);
        let plan = manager.check_mirror(&to, &options).unwrap();
        machine.requests();
        let report = manager.mirror(&to, &options).unwrap();
        assert!(report.failed.is_empty(), "{:?}", report.failed);
        // What is no tar is here.
        assert_eq!(report.bytes_fetched() + 2, plan.bytes_fetched());
        machine.requests();
        assert_unchanged(&manager.mirror(&to, &options).unwrap());
        assert_eq!(machine.requests(), ["HEAD acme/llama/manifests/q4"]);

        let url = Url::from_path(&path).unwrap().expose();
        for frozen in [false, true] {
            let options = LockedOptions::default().file(&lock).frozen(frozen);
            let (inside, manager) = pulled_inside(&url, &options);
            inside.assert_files(MODEL, &files);
            let again = manager.pull_locked(&options).unwrap();
            assert_eq!(again.pulled[0].outcome, PullOutcome::AlreadyInstalled);
            let checked = manager.check_lock(&LockOptions::default().file(&lock));
            assert!(!checked.unwrap().is_stale());

            // It is made whole again, and pulled again.
            let (damaged, _) = &files[2];
            flip(&inside.dir_of(MODEL).join(damaged), 7);
            let verified = manager.verify(&VerifyOptions::default().repair(true));
            assert!(verified.unwrap().models[0].is_whole());
            inside.assert_files(MODEL, &files);
            let force = PullOptions::default().force(true);
            manager.pull(&address(MODEL), &force).unwrap();
            inside.assert_files(MODEL, &files);
            let updated = manager.update(&UpdateOptions::default()).unwrap();
            assert!(updated.entries.iter().all(|it| it.applied.is_none()));
        }
    }
}

#[test]
fn what_is_wanted_of_tars_is_what_a_mirror_gives() {
    let machine = Machine::new();
    let (artifact, mut files) = packed();
    machine.registry.push(LLAMA, "q4", &artifact);
    let lock = machine.rack.temp.path().join("models.lock");
    let options = LockOptions::default()
        .file(&lock)
        .exclude(["weights/b.bin"]);
    let manager = machine.manager();
    manager.lock(&options.models([address(MODEL)])).unwrap();
    files.retain(|(name, _)| *name != "weights/b.bin");
    let folder = machine.rack.temp.path().join("mirror");
    let options = MirrorOptions::default().locked(&lock);
    let report = manager.mirror(&PublishTarget::from(&folder), &options);
    assert!(report.unwrap().failed.is_empty());
    let url = Url::from_path(&folder).unwrap().expose();
    for frozen in [false, true] {
        let inside = Rack::new();
        let config = inside.bare_config().registry_url(&url).offline(true);
        let options = LockedOptions::default().file(&lock).frozen(frozen);
        let pulled = inside.manager_of(config).pull_locked(&options).unwrap();
        assert!(pulled.failed.is_empty(), "{:?}", pulled.failed);
        inside.assert_files(MODEL, &files);
    }
}

/// A mirror of chunks keeps tars, and one of artifacts that is made of it has what is in them.
#[test]
fn tars_go_on_from_mirror_to_mirror() {
    let machine = Machine::new();
    let (artifact, files) = packed();
    machine.registry.push(LLAMA, "q4", &artifact);
    let folder = |name| machine.rack.temp.path().join(name);
    mirror(
        &machine.manager(),
        MODEL,
        &PublishTarget::from(folder("first")),
    );
    let between = Rack::new();
    let url = |name| Url::from_path(&folder(name)).unwrap().expose();
    let config = between.bare_config().registry_url(url("first"));
    let manager = between.manager_of(config);
    mirror(&manager, MODEL, &PublishTarget::from(folder("second")));
    let data = |name| files_below(&folder(name).join("data"));
    assert!(data("second") == data("first"));
    let registry = Registry::start();
    mirror(&manager, MODEL, &registry_target(&registry.host()));
    let inside = Machine {
        registry,
        rack: Rack::new(),
    };
    inside.pull("oci/oci/acme/llama q4").unwrap();
    inside.rack.assert_files("oci/oci/acme/llama q4", &files);
}

#[test]
fn a_lock_of_another_kind_holds_in_a_mirror_of_artifacts() {
    let (rack, registry) = (Rack::new(), Registry::start());
    rack.publish("Qwen/Tiny-8B v1", &sample());
    let lock = rack.temp.path().join("models.lock");
    let options = LockOptions::default().file(&lock);
    let options = options.models([address("Qwen/Tiny-8B v1")]);
    rack.manager().lock(&options).unwrap();
    let to = PublishTarget::parse(format!("oci://{}/team/", registry.host())).unwrap();
    mirror(&rack.manager(), "Qwen/Tiny-8B v1", &to);
    for frozen in [false, true] {
        let inside = Rack::new();
        let toml = format!(
            "[sources.mirror]\noci = \"{}/team\"\nname = \"\"\n",
            registry.url()
        );
        let manager = inside.manager_of(inside.bare_config().bootstrap(toml));
        let options = LockedOptions::default().file(&lock).frozen(frozen);
        let pulled = manager.pull_locked(&options).unwrap();
        assert!(pulled.failed.is_empty(), "{:?}", pulled.failed);
        inside.assert_files("Qwen/Tiny-8B v1", &sample());
    }
}
