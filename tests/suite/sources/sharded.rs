//! An index in shards: one of them for a lookup, all of them for a list, none that is not what was announced.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use minisign::KeyPair;
use modelrack::error::ErrorKind;
use modelrack::{ClearOptions, Manager, PullOptions, RemoteOptions, SyncOptions};
use serde_json::{Value, json};

use crate::support::rack::{Rack, sample};
use crate::support::registry::{prefix, shard, write_shard};
use crate::support::server::Rule;
use crate::support::{address, chain};

/// A registry of sixteen models in two versions, in up to eight shards; returns their digests by prefix.
fn sharded() -> (Rack, BTreeMap<String, String>) {
    let rack = Rack::with_model();
    let published = rack.index()["g"]["m"]["v1"].clone();
    let mut index = json!({});
    for number in 0..16 {
        let model = &mut index[format!("g{}", number % 3)][format!("m{number:02}")];
        *model = json!({"v1": published, "latest": {"alias_of": "v1"}});
    }
    write_index(&rack, &index);
    let shards = shard(&rack.registry(), 3);
    rack.server.reset_counts();
    (rack, shards)
}

fn write_index(rack: &Rack, index: &Value) {
    fs::write(rack.registry().join("models.json"), index.to_string()).unwrap();
}

fn offered(manager: &dyn Manager, options: &RemoteOptions) -> Vec<String> {
    let all = manager.list_remote(options).unwrap().models;
    all.iter().map(|remote| remote.model.to_string()).collect()
}

fn paths(rack: &Rack) -> Vec<String> {
    let requests = rack.server.requests().into_iter();
    requests.map(|request| request.path).collect()
}

/// The group and name of a model that is in another shard.
fn elsewhere(other: &str) -> (String, String) {
    let mut models = (0..16).map(|number| (format!("g{}", number % 3), format!("m{number:02}")));
    let is_elsewhere = |(group, model): &(String, String)| {
        prefix(&format!("{group}/{model}"), 3) != prefix(other, 3)
    };
    models.find(is_elsewhere).unwrap()
}

fn sharded_path(shards: &BTreeMap<String, String>, model: &str) -> String {
    format!("/models/{}.json", shards[&prefix(model, 3)])
}

#[test]
fn a_pull_fetches_the_shard_of_its_model_once() {
    let (rack, shards) = sharded();
    rack.pull("g1/m04 latest").unwrap();
    rack.assert_files("g1/m04 latest", &sample());
    let shard = sharded_path(&shards, "g1/m04");
    assert_eq!(paths(&rack)[..2], ["/models.json".to_owned(), shard]);
    assert_eq!(rack.server.count("/models/"), 1);
    rack.server.reset_counts();
    // The announcement is still the same, and what it names never changes.
    rack.manager()
        .get_remote(&address("g1/m04 v1"), &RemoteOptions::default())
        .unwrap();
    assert_eq!(paths(&rack), ["/models.json"]);
    assert_eq!(rack.server.requests()[0].status, 304);
    // In another case, it is looked for in the same shard.
    let error = rack.pull("G1/M04 v1").unwrap_err();
    assert_eq!(error.code(), "MODEL_NOT_FOUND");
    assert_eq!(rack.server.count("/models/"), 0);
}

#[test]
fn a_change_costs_the_announcement_and_the_shards_that_changed() {
    let (rack, shards) = sharded();
    let manager = rack.manager();
    assert_eq!(offered(&manager, &RemoteOptions::default()).len(), 32);
    assert_eq!(rack.server.count("/models/"), shards.len());
    rack.server.reset_counts();
    // As a publisher does it: the shard, and then the announcement.
    let name = prefix("g1/m04", 3);
    let path = |digest: &str| rack.registry().join(format!("models/{digest}.json"));
    let mut changed: Value =
        serde_json::from_slice(&fs::read(path(&shards[&name])).unwrap()).unwrap();
    changed["g1"]["m04"]["v2"] = changed["g1"]["m04"]["v1"].clone();
    let digest = write_shard(&rack.registry(), &changed);
    let mut now = shards.clone();
    now.insert(name.clone(), digest.clone());
    write_index(&rack, &json!({"/shards": now}));
    let all = offered(&manager, &RemoteOptions::default());
    assert!(
        all.contains(&"g1/m04 v2".to_owned()) && all.len() == 33,
        "{all:?}"
    );
    assert_eq!(
        paths(&rack),
        ["/models.json".to_owned(), format!("/models/{digest}.json")]
    );
    // What is no longer announced is not kept.
    let cached = files_below(&rack.index_cache());
    assert!(cached.contains(&format!("{digest}.json")));
    assert!(!cached.contains(&format!("{}.json", shards[&name])));
}

/// The names of all files in a folder and those below.
fn files_below(folder: &Path) -> Vec<String> {
    let files = crate::support::disk::files_below(folder).into_iter();
    let names = files.map(|(path, _)| path.rsplit('/').next().unwrap_or_default().to_owned());
    names.collect()
}

#[test]
fn offline_what_was_fetched_is_found_and_nothing_else() {
    let (rack, shards) = sharded();
    let offline = RemoteOptions::default().offline(true);
    let look_up = |model: &str| rack.manager().get_remote(&address(model), &offline);
    rack.manager()
        .get_remote(&address("g1/m04 v1"), &RemoteOptions::default())
        .unwrap();
    rack.server.reset_counts();
    assert_eq!(look_up("g1/m04 latest").unwrap().model.version(), "latest");
    let (group, model) = elsewhere("g1/m04");
    let error = look_up(&format!("{group}/{model} v1")).unwrap_err();
    assert_eq!(error.code(), "OFFLINE");
    assert!(
        chain(&error).contains("a part of the index"),
        "{}",
        chain(&error)
    );
    let error = rack.manager().list_remote(&offline).unwrap_err();
    assert_eq!(error.code(), "OFFLINE");
    let info = rack.manager().sources().unwrap();
    assert_eq!(info[0].versions, None, "not all shards are cached");
    assert_eq!(rack.server.connections(), 0);
    // A sync fetches them all, and says how many versions there are.
    let synced = rack.manager().sync(&SyncOptions::default()).unwrap();
    assert_eq!(synced.synced[0].versions, 32);
    assert_eq!(rack.server.count("/models/"), shards.len() - 1);
    let again = rack.manager().sync(&SyncOptions::default()).unwrap();
    assert_eq!((again.synced.len(), again.skipped.len()), (0, 1));
    rack.server.reset_counts();
    assert_eq!(offered(&rack.manager(), &offline).len(), 32);
    let error = look_up("g1/m40 v1").unwrap_err();
    let ErrorKind::ModelNotFound { near, .. } = error.kind() else {
        panic!("{error:?}")
    };
    let is_elsewhere = |name: &String| prefix(name, 3) != prefix("g1/m40", 3);
    assert!(near.iter().any(is_elsewhere), "{near:?}");
    let info = rack.manager().sources().unwrap();
    assert_eq!(info[0].versions, Some(32));
    assert_eq!(rack.server.connections(), 0);
}

#[test]
fn a_shard_that_is_damaged_on_this_disk_is_fetched_again() {
    let (rack, shards) = sharded();
    assert_eq!(
        offered(&rack.manager(), &RemoteOptions::default()).len(),
        32
    );
    let digest = &shards[&prefix("g1/m04", 3)];
    let registries = rack.index_cache().join("registries");
    let folder = fs::read_dir(registries)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let cached = folder.join("%shards").join(format!("{digest}.json"));
    let spoil = || {
        let mut bytes = fs::read(&cached).unwrap();
        bytes[3] ^= 1;
        fs::write(&cached, bytes).unwrap();
        rack.server.reset_counts();
    };
    spoil();
    rack.pull("g1/m04 v1").unwrap();
    assert_eq!(rack.server.count("/models/"), 1);
    spoil();
    fs::remove_file(folder.join("models.index")).unwrap();
    assert_eq!(
        offered(&rack.manager(), &RemoteOptions::default()).len(),
        32
    );
    assert_eq!(rack.server.count("/models/"), 1);
    // Who clears the cache clears them, too.
    let cleared = rack.manager().clear(&ClearOptions::default()).unwrap();
    assert_eq!(cleared.registries.len(), 1);
    let left = files_below(&rack.index_cache());
    assert!(left.iter().all(|name| !name.ends_with(".json")), "{left:?}");
}

#[test]
fn a_shard_that_is_not_what_was_announced_is_refused() {
    type Spoil = fn(&Rack, &str);
    let cases: [(&str, Spoil, &str, &str); 3] = [
        (
            "other bytes",
            |rack, path| _ = rack.server.rule(Rule::path(path).flip(5)),
            "HASH_MISMATCH",
            "a part of the index",
        ),
        (
            "nothing",
            |rack, path| _ = rack.server.rule(Rule::path(path).status(404)),
            "NETWORK_ERROR",
            "a part of the index is not there",
        ),
        (
            "a web page",
            |rack, path| _ = rack.server.rule(Rule::path(path).html()),
            "REGISTRY_ERROR",
            "",
        ),
    ];
    for (what, spoil, code, words) in cases {
        let (rack, shards) = sharded();
        let path = sharded_path(&shards, "g1/m04");
        spoil(&rack, &path);
        let error = rack.pull("g1/m04 v1").unwrap_err();
        assert_eq!(error.code(), code, "{what}: {}", chain(&error));
        assert!(chain(&error).contains(words), "{what}: {}", chain(&error));
        assert_eq!(rack.listed().0, Vec::<String>::new(), "{what}");
        rack.server.clear_rules();
        rack.pull("g1/m04 v1").unwrap();
    }
}

#[test]
fn a_registry_that_lies_about_its_shards_is_refused() {
    let (rack, shards) = sharded();
    let version = json!({"v1": {"hash": "a".repeat(64)}});
    let name = prefix("g/here", 3);
    let other = if name == "000" { "111" } else { "000" };
    let serve = |shards: Value| write_index(&rack, &json!({"/shards": shards}));
    let find = |model: &str| {
        let found = rack
            .manager()
            .get_remote(&address(model), &RemoteOptions::default());
        found.map_err(|error| (error.code(), chain(&error)))
    };
    // The model is where nobody looks for it: it is not found, and in no list either.
    let liar = json!({"g": {"here": version}});
    serve(json!({other: write_shard(&rack.registry(), &liar)}));
    assert_eq!(find("g/here v1").unwrap_err().0, "MODEL_NOT_FOUND");
    let error = rack
        .manager()
        .list_remote(&RemoteOptions::default())
        .unwrap_err();
    assert!(
        chain(&error).contains("where nobody looks for it"),
        "{}",
        chain(&error)
    );
    // An alias of what another shard has.
    let alias = json!({"g": {"here": {"v1": {"alias_of": "g1/m04 v1"}}}});
    serve(json!({name.as_str(): write_shard(&rack.registry(), &alias)}));
    let (code, words) = find("g/here v1").unwrap_err();
    assert_eq!(code, "REGISTRY_ERROR");
    assert!(
        words.contains("an alias of a version that does not exist"),
        "{words}"
    );
    // Shards in shards, and shards beside models.
    let nested = json!({"/shards": shards});
    serve(json!({name.as_str(): write_shard(&rack.registry(), &nested)}));
    let (code, words) = find("g/here v1").unwrap_err();
    assert_eq!(
        (code, words.contains("shards in a shard")),
        ("REGISTRY_ERROR", true)
    );
    write_index(&rack, &json!({"/shards": shards, "g": {"here": version}}));
    let (code, words) = find("g/here v1").unwrap_err();
    assert_eq!(
        (code, words.contains("has shards and models")),
        ("REGISTRY_ERROR", true)
    );
    // Announcements that make no sense do not replace one that does.
    serve(json!(shards));
    assert!(find("g1/m04 v1").is_ok());
    for bad in [
        json!({"0": shards.values().next(), "00": shards.values().next()}),
        json!({"x": shards.values().next()}),
        json!({"0": "../../secret"}),
        json!([]),
        json!(7),
    ] {
        serve(bad.clone());
        assert_eq!(find("g1/m04 v1").unwrap_err().0, "REGISTRY_ERROR", "{bad}");
        let offline = RemoteOptions::default().offline(true);
        rack.manager()
            .get_remote(&address("g1/m04 v1"), &offline)
            .unwrap();
    }
}

#[test]
fn names_that_differ_only_in_case_meet_in_one_shard() {
    let rack = Rack::with_model();
    let version = json!({"v1": {"hash": "a".repeat(64)}});
    write_index(
        &rack,
        &json!({"g": {"m": version, "M": version, "other": version}}),
    );
    shard(&rack.registry(), 3);
    let error = rack.pull("g/m v1").unwrap_err();
    assert_eq!(error.code(), "REGISTRY_ERROR");
    assert!(chain(&error).contains("differs from another only in case"));
    assert_eq!(
        offered(&rack.manager(), &RemoteOptions::default()),
        ["g/other v1"]
    );
}

#[test]
fn the_signature_covers_the_shards() {
    let (rack, shards) = sharded();
    let keys = KeyPair::generate_unencrypted_keypair().unwrap();
    let index = fs::read(rack.registry().join("models.json")).unwrap();
    let signature =
        minisign::sign(Some(&keys.pk), &keys.sk, Cursor::new(index), None, None).unwrap();
    rack.server
        .put("/models.json.minisig", signature.to_string());
    let (url, key) = (rack.server.url(), keys.pk.to_base64());
    let toml = format!("[sources.s]\nurl = \"{url}\"\npublic_key = \"{key}\"\n");
    let manager = rack.manager_of(rack.bare_config().bootstrap(toml));
    let pull = |model: &str| manager.pull(&address(model), &PullOptions::default());
    pull("s/g1/m04 v1").unwrap();
    // An attacker's shard in the place of the announced one.
    let (group, model) = elsewhere("g1/m04");
    let name = prefix(&format!("{group}/{model}"), 3);
    let forged = json!({group.as_str(): {model.as_str(): {"v1": {"hash": "b".repeat(64)}}}});
    let path = format!("/models/{}.json", shards[&name]);
    rack.server.put(&path, forged.to_string());
    let forged_model = format!("s/{group}/{model} v1");
    assert_eq!(pull(&forged_model).unwrap_err().code(), "HASH_MISMATCH");
    // And one that he announces himself.
    let digest = write_shard(&rack.registry(), &forged);
    write_index(&rack, &json!({"/shards": {name.as_str(): digest}}));
    assert_eq!(pull(&forged_model).unwrap_err().code(), "REGISTRY_ERROR");
}
