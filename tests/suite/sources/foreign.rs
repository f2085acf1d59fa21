//! Registries that other programs wrote, of each kind: what `tests/suite/data` has, see its README.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::PathBuf;

use modelrack::pull::PullOutcome;
use modelrack::{
    ListOptions, Manager, ModelManager, PullOptions, RemoteOptions, SearchOptions, SyncOptions,
    VerifyOptions,
};
use serde_json::Value;
use zip::ZipArchive;

use crate::support::disk::{files_below, write_files};
use crate::support::forge::Forge;
use crate::support::hub::Hub;
use crate::support::rack::Rack;
use crate::support::server::Server;
use crate::support::{address, get, root};

fn data(folder: &str) -> PathBuf {
    let data = root().join("tests").join("suite").join("data");
    folder.split('/').fold(data, |path, part| path.join(part))
}

/// The files of `speech/fast/tiny v1`.
fn tiny() -> Vec<(String, Vec<u8>)> {
    let mut files = files_below(&data("store/speech/fast/tiny/v1"));
    files.remove(".rack/manifest.json").unwrap();
    files.into_iter().collect()
}

fn offered(manager: &ModelManager) -> Vec<String> {
    let listing = manager.list_remote(&RemoteOptions::default()).unwrap();
    let models = listing.models.iter();
    models.map(|model| model.model.to_string()).collect()
}

#[test]
fn a_chunked_registry_of_another_writer_is_listed_and_pulled() {
    let rack = Rack::new();
    let server = Server::start().folder(data("chunked"));
    let manager = rack.manager_of(rack.bare_config().registry_url(server.url()));
    let tiny_at = |version: &str| format!("speech/fast/tiny {version}");
    assert_eq!(offered(&manager), ["latest", "v1", "v2"].map(tiny_at));
    let found = manager
        .search("twelve", &SearchOptions::default().remote(true))
        .unwrap();
    assert_eq!(found.remote.len(), 1);
    let pull = |version| {
        manager
            .pull(&address(&tiny_at(version)), &PullOptions::default())
            .unwrap()
    };

    let report = pull("v1");
    assert_eq!(
        (report.files, report.total_bytes, report.bytes_fetched),
        (3, 5151, 5151)
    );
    // No digest covers a file, but all bytes are covered by those of chunks.
    assert_eq!(report.files_unverified, Vec::<String>::new());
    assert_eq!(rack.files_of("speech/fast/tiny v1"), tiny());

    let mut changed: BTreeMap<_, _> = tiny().into_iter().collect();
    changed.insert("config.json".to_owned(), b"{\"layers\": 3}\n".to_vec());
    changed.insert("weights/empty.bin".to_owned(), Vec::new());
    let report = pull("latest");
    assert_eq!(report.alias_of.as_deref(), Some("v2"));
    // All but the first of three chunks is that of v1.
    assert_eq!((report.bytes_fetched, report.bytes_reused), (2048, 3103));
    let expected: Vec<_> = changed.into_iter().collect();
    assert_eq!(rack.files_of("speech/fast/tiny latest"), expected);
}

#[test]
fn a_store_of_another_writer_is_read_verified_and_pulled_into() {
    let rack = Rack::new();
    let files = files_below(&data("store"));
    let named: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (&**name, &**bytes))
        .collect();
    write_files(&rack.store(), &named);
    let server = Server::start().folder(data("chunked"));
    let manager = rack.manager_of(rack.bare_config().registry_url(server.url()));
    let listing = manager.list(&ListOptions::default()).unwrap();
    let [model] = listing.models.as_slice() else {
        panic!("{listing:?}");
    };
    assert_eq!(model.model.to_string(), "speech/fast/tiny v1");
    assert_eq!((model.total_bytes, model.files), (5151, 3));
    let verified = manager.verify(&VerifyOptions::default()).unwrap();
    assert!(verified.models[0].is_whole());
    let report = manager
        .pull(&address("speech/fast/tiny v1"), &PullOptions::default())
        .unwrap();
    assert_eq!(report.outcome, PullOutcome::AlreadyInstalled);
    assert_eq!(rack.files_of("speech/fast/tiny v1"), tiny());
}

/// The files of two models, named as in the registries that list them.
fn modflow_files() -> Vec<(String, Vec<u8>)> {
    let zip = std::fs::read(data("modflow/mf6examples.zip")).unwrap();
    let mut zip = ZipArchive::new(Cursor::new(zip)).unwrap();
    let files = (0..zip.len()).map(|index| {
        let mut member = zip.by_index(index).unwrap();
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        (member.name().unwrap().into_owned(), bytes)
    });
    files.collect()
}

/// A manager of one repository, synced.
fn modflow(rack: &Rack, forge: &Forge, repo: &str, name: &str, reference: &str) -> ModelManager {
    let source = format!(
        "[sources.mf6]\nrepo = \"{repo}\"\nname = \"{name}\"\nrefs = [\"{reference}\"]\nserver = \"{}\"\n",
        forge.url()
    );
    let manager = rack.manager_of(rack.bare_config().bootstrap(source));
    let report = manager.sync(&SyncOptions::default()).unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    manager
}

fn in_folder(folder: &str) -> Vec<(String, Vec<u8>)> {
    let files = modflow_files().into_iter();
    let inside = files.filter_map(|(name, bytes)| {
        let name = name.strip_prefix(folder)?.strip_prefix('/')?;
        Some((name.to_owned(), bytes))
    });
    inside.collect()
}

#[test]
fn a_branchs_models_toml_of_another_writer_is_listed_and_pulled() {
    let (rack, forge) = (Rack::new(), Forge::start());
    let mut tree = modflow_files();
    for (name, _) in &mut tree {
        name.insert_str(0, "mf6/");
    }
    let toml = std::fs::read(data("modflow/test/models.toml")).unwrap();
    tree.push((".registry/models.toml".to_owned(), toml));
    forge.repo("o/testmodels").commit("develop", tree);
    let manager = modflow(&rack, &forge, "o/testmodels", "mf6/test", "develop");
    assert_eq!(
        offered(&manager),
        [
            "mf6/test/test001a_Tharmonic develop",
            "mf6/test/test003_gwfs develop"
        ]
    );
    let model = "mf6/test/test003_gwfs develop";
    let report = manager
        .pull(&address(model), &PullOptions::default())
        .unwrap();
    assert_eq!((report.files, report.files_unverified.len()), (12, 0));
    assert_eq!(rack.files_of(model), in_folder("test003_gwfs"));
}

#[test]
fn a_releases_models_toml_of_another_writer_is_listed_and_pulled() {
    let (rack, forge) = (Rack::new(), Forge::start());
    let repo = forge.repo("o/examples");
    repo.commit("main", [("README.md", "")]);
    let read = |name: &str| std::fs::read(data(&format!("modflow/{name}"))).unwrap();
    let assets = [
        ("models.toml", read("example/models.toml")),
        ("mf6examples.zip", read("mf6examples.zip")),
    ];
    repo.release("current", assets);
    let manager = modflow(&rack, &forge, "o/examples", "mf6/example", "current");
    let model = "mf6/example/test001a_Tharmonic current";
    let report = manager
        .pull(&address(model), &PullOptions::default())
        .unwrap();
    // It has no hashes of what lies in the zip.
    assert_eq!((report.files, report.files_unverified.len()), (15, 15));
    assert_eq!(rack.files_of(model), in_folder("test001a_Tharmonic"));
}

fn hub_document(name: &str) -> Value {
    let json = std::fs::read(data(&format!("hub/{name}.json"))).unwrap();
    serde_json::from_slice(&json).unwrap()
}

#[test]
fn answers_of_the_real_hub_are_searched_and_pulled() {
    let (rack, server) = (Rack::new(), Server::start());
    let model = hub_document("model");
    let commit = model["sha"].as_str().unwrap();
    server.put("/api/models", hub_document("models").to_string());
    server.put("/api/models/speech/tiny/revision/main", model.to_string());
    server.put(
        "/api/models/speech/tiny/refs",
        hub_document("refs").to_string(),
    );
    let files = files_below(&data("hub/files"));
    for (name, bytes) in &files {
        server.put(
            &format!("/speech/tiny/resolve/{commit}/{name}"),
            bytes.clone(),
        );
    }
    let source = format!("[sources.hf]\nhub = \"{}\"\n", server.url());
    let manager = rack.manager_of(rack.bare_config().bootstrap(source));
    let found = manager
        .search("tiny", &SearchOptions::default().remote(true))
        .unwrap();
    assert_eq!(found.remote[0].model.name().to_string(), "hf/speech/tiny");
    let report = manager
        .pull(&address("hf/speech/tiny"), &PullOptions::default())
        .unwrap();
    assert_eq!((report.files, report.files_unverified.len()), (4, 0));
    let pulled = rack.files_of("hf/speech/tiny main");
    assert_eq!(pulled, files.into_iter().collect::<Vec<_>>());
}

/// The Hub of the other tests gives what the real one does, as far as it goes.
#[test]
fn the_hub_of_the_tests_answers_like_the_real_one() {
    let hub = Hub::start();
    let repo = hub.repo("speech/tiny");
    repo.commit("main", files_below(&data("hub/files")));
    repo.describe(|facts| {
        facts.pipeline_tag = Some("automatic-speech-recognition".to_owned());
        facts.library = Some("transformers".to_owned());
        facts.card = Some(serde_json::json!({"license": "mit"}));
    });
    let client = |path: &str| -> Value {
        let (_, body) = get(hub.server(), path, &[]);
        serde_json::from_slice(&body).unwrap()
    };
    let model = client("/api/models/speech/tiny/revision/main?blobs=true");
    assert_eq!(model["siblings"], hub_document("model")["siblings"]);
    assert_same_types(&model, &hub_document("model"));
    assert_same_types(
        &client("/api/models?search=tiny&full=true")[0],
        &hub_document("models")[0],
    );
    assert_same_types(
        &client("/api/models/speech/tiny/refs"),
        &hub_document("refs"),
    );
}

/// Asserts that each key of one document is in the other with a value of the same type.
#[track_caller]
fn assert_same_types(one: &Value, other: &Value) {
    for (key, value) in one.as_object().unwrap() {
        let there = other
            .get(key)
            .unwrap_or_else(|| panic!("'{key}' is not in {other}"));
        assert_eq!(
            std::mem::discriminant(value),
            std::mem::discriminant(there),
            "{key}: {value} and {there}"
        );
    }
}
