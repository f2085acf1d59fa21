//! Where an index comes from: the server, the cache, a folder, several sources.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use modelrack::transport::Url;
use modelrack::{Manager, ManagerExt, ModelAddress, PullOptions, RemoteOptions, SearchOptions};
use serde_json::json;

use crate::support::address;
use crate::support::disk::age;
use crate::support::rack::{APP, CHUNK, Rack, sample};
use crate::support::registry::{HandMade, serve_index, shard};
use crate::support::server::Rule;

fn offered(manager: &dyn Manager, options: &RemoteOptions) -> Vec<String> {
    let all = manager.list_remote(options).unwrap().models;
    all.iter().map(|remote| remote.model.to_string()).collect()
}

#[test]
fn an_index_that_is_cut_goes_on_only_if_it_is_still_the_same() {
    // What happens to the first response, and whether the second request asks for the rest.
    type Spoil = fn(Rule) -> Rule;
    let spoils: [(&str, Spoil, bool, bool); 4] = [
        ("it is the same", |rule| rule, false, true),
        ("it has changed", |rule| rule, true, true),
        (
            "nobody can tell",
            |rule| rule.without_header("etag"),
            true,
            false,
        ),
        (
            "nobody can tell to the byte",
            |rule| rule.header("etag", "W/\"1\""),
            true,
            false,
        ),
    ];
    for (what, spoil, changes, asks_for_rest) in spoils {
        let rack = Arc::new(Rack::with_model());
        let weak = Arc::downgrade(&rack);
        let publish_more = move || {
            if changes && let Some(rack) = weak.upgrade() {
                rack.publish("g/m v2", &sample());
            }
        };
        let index = Rule::path("/models.json").nth(1);
        rack.server
            .rule(spoil(index).on_bytes(20, publish_more).cut_after(20));
        let found = offered(&rack.manager(), &RemoteOptions::default());
        assert_eq!(found.len(), 1 + usize::from(changes), "{what}");
        let requests = rack.server.requests();
        let rest = requests[1]
            .header("range")
            .zip(requests[1].header("if-range"));
        assert_eq!(rest.is_some(), asks_for_rest, "{what}");
        let expected = if changes && asks_for_rest { 3 } else { 2 };
        assert_eq!(requests.len(), expected, "{what}");
    }
}

#[test]
fn an_index_that_has_not_changed_is_not_sent_again() {
    let rack = Rack::with_model();
    let manager = rack.manager();
    assert_eq!(offered(&manager, &RemoteOptions::default()), ["g/m v1"]);
    let sent = rack.server.bytes_sent();
    assert_eq!(offered(&manager, &RemoteOptions::default()), ["g/m v1"]);
    assert_eq!(
        offered(&rack.manager(), &RemoteOptions::default()),
        ["g/m v1"]
    );
    let requests = rack.server.requests();
    let statuses: Vec<u16> = requests.iter().map(|request| request.status).collect();
    assert_eq!(statuses, [200, 304, 304]);
    assert_eq!(rack.server.bytes_sent(), sent);
    assert!(requests[0].header("if-none-match").is_none());
    assert!(requests[1].header("if-none-match").is_some());

    rack.publish("g/m v2", &sample());
    assert_eq!(
        offered(&manager, &RemoteOptions::default()),
        ["g/m v1", "g/m v2"]
    );
    assert_eq!(rack.server.requests().last().unwrap().status, 200);
}

#[test]
fn an_index_without_a_validator_is_fetched_each_time() {
    let rack = Rack::with_model();
    rack.server
        .rule(Rule::path("/models.json").without_header("etag"));
    for _ in 0..2 {
        assert_eq!(
            offered(&rack.manager(), &RemoteOptions::default()),
            ["g/m v1"]
        );
    }
    assert!(
        rack.server
            .requests()
            .iter()
            .all(|request| request.status == 200)
    );
}

#[test]
fn a_cached_index_serves_offline_and_opens_no_socket() {
    let rack = Rack::with_model();
    let remote = RemoteOptions::default().offline(true);
    let error = rack.manager().list_remote(&remote).unwrap_err();
    assert_eq!(error.code(), "OFFLINE");
    let offline = rack.manager_of(rack.config().offline(true));
    let pull = PullOptions::default();
    assert_eq!(
        offline.pull(&address("g/m"), &pull).unwrap_err().code(),
        "OFFLINE"
    );
    assert_eq!(rack.server.connections(), 0);

    rack.manager()
        .list_remote(&RemoteOptions::default())
        .unwrap();
    rack.server.reset_counts();
    assert_eq!(offered(&rack.manager(), &remote), ["g/m v1"]);
    assert_eq!(offered(&offline, &RemoteOptions::default()), ["g/m v1"]);
    // The manifest and the chunks are not there.
    assert_eq!(
        offline.pull(&address("g/m"), &pull).unwrap_err().code(),
        "OFFLINE"
    );
    let own = PullOptions::default().offline(true);
    assert_eq!(
        rack.manager()
            .pull(&address("g/m"), &own)
            .unwrap_err()
            .code(),
        "OFFLINE"
    );
    assert_eq!(rack.server.connections(), 0);
}

#[test]
fn what_is_installed_is_used_offline() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    rack.server.reset_counts();
    let offline = rack.manager_of(rack.config().offline(true));
    assert_eq!(offline.ensure("g/m v1").unwrap(), rack.dir_of("g/m v1"));
    assert!(offline.pull_model("g/m v1").is_ok());
    assert_eq!(offline.get(&address("g/m")).unwrap().files().len(), 3);
    assert_eq!(
        offline
            .search("m", &SearchOptions::default())
            .unwrap()
            .installed
            .len(),
        1
    );
    assert_eq!(rack.server.connections(), 0);
}

#[test]
fn a_lookup_of_what_is_known_of_sources_opens_no_socket() {
    let rack = Rack::with_model();
    let manager = rack.manager();
    let known = manager.sources().unwrap();
    assert_eq!(
        (known.len(), known[0].versions, known[0].fetched_at),
        (1, None, None)
    );
    manager.list_remote(&RemoteOptions::default()).unwrap();
    rack.server.reset_counts();
    let known = manager.sources().unwrap();
    assert_eq!(known[0].versions, Some(1));
    assert!(known[0].fetched_at.is_some());
    assert_eq!(rack.server.connections(), 0);
}

#[test]
fn a_folder_is_a_registry_even_offline() {
    let rack = Rack::with_model();
    let url = Url::from_path(&rack.registry()).unwrap().expose();
    for offline in [false, true] {
        let config = rack.bare_config().registry_url(&url).offline(offline);
        let manager = rack.manager_of(config);
        let options = PullOptions::default().force(true);
        manager.pull(&address("g/m v1"), &options).unwrap();
        rack.assert_sample_installed();
    }
    assert_eq!(rack.server.connections(), 0);

    fs::remove_file(rack.registry().join("models.json")).unwrap();
    let manager = rack.manager_of(rack.bare_config().registry_url(&url));
    let error = manager.list_remote(&RemoteOptions::default()).unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR");
}

#[test]
fn the_registry_may_lie_below_a_path() {
    let rack = Rack::with_model();
    rack.server.mount("/deep/er", rack.registry());
    for end in ["/deep/er", "/deep/er/"] {
        let config = rack.config().registry_url(rack.server.url() + end);
        let options = PullOptions::default().force(true);
        rack.manager_of(config)
            .pull(&address("g/m"), &options)
            .unwrap();
    }
    assert!(
        rack.server
            .requests()
            .iter()
            .all(|request| request.path.starts_with("/deep/er/"))
    );
}

/// A bootstrap of two named sources on one server, each below its own path.
fn two_sources(rack: &Rack) -> String {
    let made = HandMade::plain(&[("a", b"one")], CHUNK);
    let hash = made.serve(&rack.server);
    for (path, group, model) in [("one", "g", "m"), ("two", "", "m")] {
        let hash = hash.clone();
        let index = json!({group: {model: {"v/1": {"hash": hash}, "v": {"hash": hash}}}});
        rack.server
            .put(&format!("/{path}/models.json"), index.to_string());
        for document in made.documents() {
            rack.server
                .put(&format!("/{path}/data/{}", document.0), document.1);
        }
    }
    let url = rack.server.url();
    format!(
        "[sources.first]\nurl = \"{url}/one\"\nname = \"vendor/one\"\n[sources.second]\nurl = \"{url}/two\"\n"
    )
}

#[test]
fn each_source_has_a_name_in_front_of_its_models() {
    let rack = Rack::new();
    let config = rack.bare_config().bootstrap(two_sources(&rack));
    let manager = rack.manager_of(config);
    assert_eq!(
        offered(&manager, &RemoteOptions::default()),
        [
            "second/m v",
            "second/m v/1",
            "vendor/one/g/m v",
            "vendor/one/g/m v/1"
        ]
    );
    for (source, expected) in [("first", 2), ("vendor/one", 2), ("second", 2)] {
        let options = RemoteOptions::default().source(source);
        assert_eq!(offered(&manager, &options).len(), expected, "{source}");
    }
    let unknown = RemoteOptions::default().source("secnd");
    let error = manager.list_remote(&unknown).unwrap_err();
    assert_eq!(error.code(), "INVALID_ARGUMENT");
    assert!(error.to_string().contains("'second'"), "{error}");

    for (text, expected) in [
        ("vendor/one/g/m@v", "vendor/one/g/m v"),
        ("second@v/m", "second/m v"),
        // The longest ref that the source knows wins.
        ("second@v/1/m", "second/m v/1"),
        ("second/m v/1", "second/m v/1"),
    ] {
        let report = manager
            .pull(&text.parse().unwrap(), &PullOptions::default())
            .unwrap();
        assert_eq!(report.model.to_string(), expected, "{text}");
        let address: ModelAddress = text.parse().unwrap();
        assert_eq!(manager.path(&address).unwrap(), report.path, "{text}");
    }
    for (text, code) in [
        ("third/m v", "MODEL_NOT_FOUND"),
        ("second/n v", "MODEL_NOT_FOUND"),
        ("second@v2/m", "VERSION_NOT_FOUND"),
        ("second@v", "INVALID_REF"),
    ] {
        let error = manager
            .pull(&text.parse().unwrap(), &PullOptions::default())
            .unwrap_err();
        assert_eq!(error.code(), code, "{text}");
    }
}

#[test]
fn a_model_of_the_unnamed_source_may_begin_with_the_name_of_another() {
    let rack = Rack::new();
    let bootstrap = two_sources(&rack);
    rack.publish("second/other v", &sample());
    let config = rack.config().bootstrap(bootstrap);
    let report = rack
        .manager_of(config)
        .pull(&address("second/other v"), &PullOptions::default());
    assert_eq!(report.unwrap().source, "");
}

#[test]
fn the_overlay_of_a_user_and_the_environment_go_before_the_app() {
    let rack = Rack::with_model();
    let overlay = rack.temp.path().join("models.toml");
    let toml = format!(
        "[sources.first]\nurl = \"{}\"\nname = \"mine\"\n",
        rack.server.url()
    );
    fs::write(&overlay, toml).unwrap();
    let config = rack
        .bare_config()
        .bootstrap("[sources.first]\nurl = \"http://127.0.0.1:1\"\n");
    let environment = rack
        .environment()
        .variable("RACK_MODELS_CONFIG", &overlay)
        .variable("RACK_MODELS_DIR", rack.temp.path().join("elsewhere"));
    let manager = modelrack::ModelManager::builder(config)
        .environment(environment)
        .build();
    let report = manager
        .pull(&address("mine/g/m v1"), &PullOptions::default())
        .unwrap();
    assert!(report.path.starts_with(rack.temp.path().join("elsewhere")));
    assert!(report.path.join(format!(".{APP}")).is_dir());
}

#[test]
fn without_a_source_nothing_is_offered() {
    let rack = Rack::new();
    let manager = rack.manager_of(rack.bare_config());
    let error = manager.list_remote(&RemoteOptions::default()).unwrap_err();
    assert_eq!(error.code(), "CONFIG_ERROR");
    let error = manager
        .pull(&address("g/m"), &PullOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), "CONFIG_ERROR");
    assert!(manager.sources().unwrap().is_empty());
}

#[test]
fn aliases_are_followed_and_a_loop_is_an_error() {
    let rack = Rack::new();
    let hash = HandMade::plain(&[("a", b"one")], CHUNK).serve(&rack.server);
    let index = json!({"g": {
        "m": {"1": {"hash": hash, "metadata": {"description": "d"}}, "stable": {"alias_of": "1"}, "latest": {"alias_of": "stable"}},
    }});
    serve_index(&rack.server, &index);
    let manager = rack.manager();
    let remote = manager
        .get_remote(&address("g/m latest"), &RemoteOptions::default())
        .unwrap();
    assert_eq!(remote.manifest_digest.to_string(), hash);
    assert_eq!(remote.alias_of.as_deref(), Some("stable"));
    rack.pull("g/m latest").unwrap();
    for (what, versions) in [
        (
            "a loop",
            json!({"a": {"alias_of": "b"}, "b": {"alias_of": "a"}}),
        ),
        ("itself", json!({"a": {"alias_of": "a"}})),
        ("nowhere", json!({"a": {"alias_of": "b"}})),
        ("neither", json!({"a": {}})),
    ] {
        serve_index(&rack.server, &json!({"g": {"m": versions}}));
        let error = rack.pull("g/m a").unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{what}");
        let error = rack
            .manager()
            .list_remote(&RemoteOptions::default())
            .unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{what}");
    }
    assert_eq!(rack.listed().0, ["g/m latest"]);
}

#[test]
fn an_index_that_came_damaged_is_fetched_anew_and_does_not_replace_a_good_one() {
    let rack = Rack::with_model();
    let manager = rack.manager();
    manager.list_remote(&RemoteOptions::default()).unwrap();
    rack.publish("g/m v2", &sample());
    // With the validator of the good one.
    rack.server.rule(Rule::path("/models.json").flip(3));
    let error = manager.list_remote(&RemoteOptions::default()).unwrap_err();
    assert_eq!(error.code(), "REGISTRY_ERROR");
    let offline = RemoteOptions::default().offline(true);
    assert_eq!(offered(&manager, &offline), ["g/m v1"]);
    rack.server.clear_rules();
    assert_eq!(
        offered(&manager, &RemoteOptions::default()),
        ["g/m v1", "g/m v2"]
    );
}

/// The only file of this name that is cached of registries.
fn cached(rack: &Rack, name: &str) -> PathBuf {
    let folders = fs::read_dir(rack.index_cache().join("registries")).unwrap();
    let mut files = folders.map(|folder| folder.unwrap().path().join(name));
    files.find(|path| path.is_file()).unwrap()
}

#[test]
fn a_compiled_index_that_is_damaged_is_compiled_anew() {
    type Spoil = fn(&mut Vec<u8>);
    let damages: [(&str, Spoil); 7] = [
        ("empty", Vec::clear),
        ("cut", |bytes| bytes.truncate(bytes.len() / 2)),
        ("cut at the end", |bytes| _ = bytes.pop()),
        ("a flipped bit at the start", |bytes| bytes[5] ^= 1),
        ("a flipped bit at the end", |bytes| {
            *bytes.last_mut().unwrap() ^= 1;
        }),
        ("the older format", |bytes| {
            *bytes = b"{\"format\":1,\"models\":0}\n{\"models\":[]}\n".to_vec();
        }),
        ("no text", |bytes| bytes.fill(0xff)),
    ];
    let rack = Rack::with_model();
    let offline = RemoteOptions::default().offline(true);
    assert_eq!(
        offered(&rack.manager(), &RemoteOptions::default()),
        ["g/m v1"]
    );
    let path = cached(&rack, "models.index");
    let whole = fs::read(&path).unwrap();
    let look_up = || rack.manager().get_remote(&address("g/m"), &offline);
    for (what, spoil) in damages {
        for list in [true, false] {
            let mut bytes = whole.clone();
            spoil(&mut bytes);
            fs::write(&path, bytes).unwrap();
            match list {
                true => assert_eq!(offered(&rack.manager(), &offline), ["g/m v1"], "{what}"),
                false => assert_eq!(look_up().unwrap().model.version(), "v1", "{what}"),
            }
            assert!(fs::read(&path).unwrap() == whole, "{what}");
        }
    }
    // One that cannot be kept is no harm.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(offered(&rack.manager(), &offline), ["g/m v1"]);
}

#[test]
fn a_compiled_index_of_another_copy_is_not_believed() {
    let rack = Rack::with_model();
    let offline = RemoteOptions::default().offline(true);
    assert_eq!(
        offered(&rack.manager(), &RemoteOptions::default()),
        ["g/m v1"]
    );
    let (index, document) = (cached(&rack, "models.index"), cached(&rack, "models.json"));
    let before = fs::read(&index).unwrap();
    let text = fs::read_to_string(&document).unwrap();
    let modified = fs::metadata(&document).unwrap().modified().unwrap();
    // Of the same length, and written a second later.
    fs::write(&document, text.replace("\"v1\"", "\"v9\"")).unwrap();
    let file = fs::File::options().write(true).open(&document).unwrap();
    file.set_modified(modified + Duration::from_secs(1))
        .unwrap();
    assert_eq!(offered(&rack.manager(), &offline), ["g/m v9"]);
    assert!(fs::read(&index).unwrap() != before);
    // Of another length, and of the same time.
    fs::write(&document, text.replace("\"v1\"", "\"v10\"")).unwrap();
    let file = fs::File::options().write(true).open(&document).unwrap();
    file.set_modified(modified + Duration::from_secs(1))
        .unwrap();
    assert_eq!(offered(&rack.manager(), &offline), ["g/m v10"]);
    // What is compiled is read again, and not what it was compiled of.
    let compiled = fs::metadata(&index).unwrap().modified().unwrap();
    assert_eq!(offered(&rack.manager(), &offline), ["g/m v10"]);
    assert_eq!(fs::metadata(&index).unwrap().modified().unwrap(), compiled);
}

/// A folder has nothing that tells its states apart, and neither has many a server.
#[test]
fn an_index_that_comes_again_is_not_compiled_again() {
    for (is_folder, is_sharded) in [(true, false), (false, false), (true, true)] {
        let rack = Rack::with_model();
        if is_sharded {
            shard(&rack.registry(), 1);
        }
        let rule = Rule::path("/models.json").without_header("etag");
        rack.server.rule(rule);
        let url = match is_folder {
            true => Url::from_path(&rack.registry()).unwrap().expose(),
            false => rack.server.url(),
        };
        let list = || {
            let manager = rack.manager_of(rack.bare_config().registry_url(&url));
            offered(&manager, &RemoteOptions::default())
        };
        assert_eq!(list(), ["g/m v1"]);
        let written = || {
            let file = fs::metadata(cached(&rack, "models.index")).unwrap();
            file.modified().unwrap()
        };
        age(&cached(&rack, "models.index"), 1);
        let first = written();
        assert_eq!(list(), ["g/m v1"]);
        assert_eq!(written(), first, "{is_folder} {is_sharded}");
        // What it is compiled into may be damaged meanwhile.
        fs::write(cached(&rack, "models.index"), b"{}").unwrap();
        assert_eq!(list(), ["g/m v1"]);
        assert!(written() != first, "{is_folder} {is_sharded}");
        if !is_sharded {
            age(&cached(&rack, "models.index"), 1);
            rack.publish("g/m v2", &sample());
            assert_eq!(list(), ["g/m v1", "g/m v2"]);
            assert!(written() != first, "{is_folder}");
        }
    }
}
