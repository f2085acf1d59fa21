//! Publishing into buckets.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use modelrack::config::HttpConfig;
use modelrack::mirror::MirrorOptions;
use modelrack::project::{Chunking, Project, PublishOptions, PublishReport, PublishTarget};
use modelrack::{Manager, ModelManager, Result};

use super::store::Store;
use super::{KEY, environment, key, manager_of, pull, pull_anew};
use crate::support::disk::write_files;
use crate::support::rack::{Rack, model_ref, sample};
use crate::support::s3::{BUCKET, S3};
use crate::support::server::Rule;
use crate::support::{bytes, chain};

/// A store with an empty bucket that only the key opens.
pub(super) fn empty() -> (Rack, S3) {
    (Rack::new(), S3::start().with_key(KEY.0, KEY.1))
}

pub(super) fn options(rack: &Rack, endpoint: &str) -> PublishOptions {
    let [id, secret] = key();
    let variables = [id, secret, ("AWS_ENDPOINT_URL_S3", endpoint)];
    PublishOptions::default()
        .chunk_bytes(1024)
        .config(rack.bare_config())
        .environment(environment(rack, &variables))
}

pub(super) fn model(rack: &Rack) -> PathBuf {
    let folder = rack.temp.path().join("model");
    let files = sample();
    let files: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (*name, &bytes[..]))
        .collect();
    write_files(&folder, &files);
    folder
}

pub(super) fn publish(
    folder: &Path,
    model: &str,
    options: &PublishOptions,
) -> Result<PublishReport> {
    let target = PublishTarget::parse(format!("s3://{BUCKET}/a b"))?;
    Project::publish_files(&[folder.to_owned()], &model_ref(model), target, options)
}

pub(super) fn source(endpoint: &str) -> String {
    format!("[sources.s]\nurl = \"s3://{BUCKET}/a b\"\nendpoint = \"{endpoint}\"\n")
}

/// The requests of a method, by what their paths end with.
pub(super) fn count(store: &S3, method: &str, part: &str) -> usize {
    let requests = store.server.requests();
    let counted = requests
        .iter()
        .filter(|request| request.method == method && request.path.contains(part));
    counted.count()
}

#[test]
fn a_private_bucket_is_written_and_what_is_there_is_not_sent_again() {
    let (rack, store) = empty();
    let (folder, options) = (model(&rack), options(&rack, &store.server.url()));
    let report = publish(&folder, "g/m v1", &options).unwrap();
    assert_eq!(report.registry.to_string(), "s3://models/a%20b");
    assert!(report.chunks_written > 1);
    let requests = store.server.requests();
    let put = |part: &str| {
        let mut puts = requests
            .iter()
            .filter(|request| request.method == "PUT" && request.path.contains(part));
        puts.next_back().unwrap()
    };
    let (data, index) = (put("/data/"), put("/models.json"));
    assert_eq!(
        (data.header("cache-control"), data.header("if-none-match")),
        (Some("public, max-age=31536000, immutable"), Some("*"))
    );
    assert_eq!(
        (index.header("cache-control"), index.header("if-none-match")),
        (Some("no-cache"), Some("*"))
    );
    // The index is last, and looked at once more when nobody else changes it; then nobody is at work any more.
    let [.., said, read, last, unsaid, others, again, done] = &requests[..] else {
        panic!("{requests:?}")
    };
    assert_eq!((&*last.method, &last.path), ("PUT", &index.path));
    for read in [read, again] {
        assert_eq!((&*read.method, &read.path), ("GET", &index.path));
    }
    assert!(said.path.contains("/at-work/index-"), "{}", said.path);
    assert_eq!((&*unsaid.method, &unsaid.path), ("DELETE", &said.path));
    assert!(others.path.contains("at-work"), "{}", others.path);
    assert_eq!((&*done.method, &done.path), ("DELETE", &requests[1].path));
    let manager = manager_of(
        &rack,
        &source(&store.server.url()),
        environment(&rack, &key()),
    );
    pull(&manager).unwrap();
    rack.assert_files("s/g/m v1", &sample());

    store.server.reset_counts();
    let again = publish(&folder, "g/m v2", &options).unwrap();
    assert_eq!((again.chunks_written, again.bytes_written), (0, 0));
    // That the store honours conditions, and the index; not the manifest, which is the same, and was read to see how it was cut.
    assert_eq!(count(&store, "PUT", "/data/"), 1);
    assert_eq!(count(&store, "PUT", "/models.json"), 1);
    assert!(store.server.requests().len() <= 13);
}

#[test]
fn a_dry_run_lists_what_is_there_and_writes_nothing() {
    let (rack, store) = empty();
    let (folder, options) = (model(&rack), options(&rack, &store.server.url()));
    let dry = options.clone().dry_run(true);
    let said = publish(&folder, "g/m v1", &dry).unwrap();
    let has_written = || {
        let requests = store.server.requests();
        requests
            .iter()
            .any(|it| !["GET", "HEAD"].contains(&&*it.method))
    };
    assert!(!has_written() && said.chunks_there == 0, "{said:?}");
    assert_eq!(publish(&folder, "g/m v1", &options).unwrap(), said);
    store.server.reset_counts();
    let again = publish(&folder, "g/m v2", &dry).unwrap();
    assert_eq!(
        (again.chunks_written, again.bytes_there),
        (0, said.bytes_written)
    );
    assert!(!has_written());

    // A mirror says the same.
    let mirrored = Rack::with_model();
    let config = mirrored.config();
    let [id, secret] = key();
    let url = store.server.url();
    let variables = [id, secret, ("AWS_ENDPOINT_URL_S3", &*url)];
    let manager = ModelManager::builder(config)
        .environment(environment(&mirrored, &variables))
        .build();
    let target = modelrack::mirror::PublishTarget::parse(format!("s3://{BUCKET}/mirror")).unwrap();
    let chosen = MirrorOptions::default().models(["g/m v1".parse().unwrap()]);
    let said = manager.check_mirror(&target, &chosen).unwrap();
    assert!(!has_written() && said.bytes_written() > 0);
    assert_eq!(
        manager.mirror(&target, &chosen).unwrap().bytes_written(),
        said.bytes_written()
    );
    store.change(|state| state.objects.remove("mirror/models.json"));
    store.server.reset_counts();
    let again = manager.check_mirror(&target, &chosen).unwrap();
    assert_eq!((again.versions.len(), again.bytes_written()), (1, 0));
    assert!(!has_written());
}

#[test]
fn what_has_changed_is_sent_and_few_requests_beside_it() {
    const BYTES: usize = 1 << 20;
    let (rack, store) = empty();
    let options = options(&rack, &store.server.url()).chunk_bytes(BYTES as u64 / 256);
    let folder = rack.temp.path().join("large");
    let mut content = bytes(BYTES, 1);
    write_files(&folder, &[("model.bin", &content)]);
    publish(&folder, "g/m v1", &options).unwrap();
    // One percent, not where chunks begin.
    let change = BYTES / 3..BYTES / 3 + BYTES / 100;
    content[change].fill(7);
    write_files(&folder, &[("model.bin", &content)]);
    store.server.reset_counts();
    let report = publish(&folder, "g/m v2", &options).unwrap();
    assert!(report.chunks_written > 0, "{report:?}");
    assert!(report.bytes_written <= BYTES as u64 / 50, "{report:?}");
    let requests = store.server.requests();
    let sent: usize = requests.iter().map(|request| request.body.len()).sum();
    // With the manifest, which names all chunks.
    assert!(sent < BYTES / 50 + report.chunks * 80, "{sent}");
    // The index, how it was cut before, the list, whether the store honours conditions, the manifest; the index again, written,
    // and looked at. And that somebody publishes, that nobody prunes, and that it is done.
    assert_eq!(requests.len() - report.chunks_written, 14);
}

#[test]
fn a_list_in_pages_tells_all_that_is_there_and_who_may_not_list_asks() {
    for may_list in [true, false] {
        let (rack, store) = empty();
        store.change(|state| state.page = 2);
        let (folder, options) = (model(&rack), options(&rack, &store.server.url()));
        publish(&folder, "g/m v1", &options).unwrap();
        store.change(|state| state.may_list = may_list);
        store.server.reset_counts();
        let again = publish(&folder, "g/m v2", &options).unwrap();
        assert_eq!(again.chunks_written, 0);
        assert_eq!(count(&store, "HEAD", "/data/") > 0, !may_list);
        assert_eq!(count(&store, "PUT", "/data/"), 1);
    }
}

#[test]
fn a_chunk_that_was_cut_is_written_again() {
    let (rack, store) = empty();
    let (folder, options) = (model(&rack), options(&rack, &store.server.url()));
    let options = options.chunking(Chunking::Fixed);
    publish(&folder, "g/m v1", &options).unwrap();
    let cut = store.change(|state| {
        let mut objects = state.objects.iter_mut();
        let chunk = objects.rfind(|(_, bytes)| bytes.len() == 1024);
        let (key, bytes) = chunk.unwrap();
        *bytes = bytes[..10].into();
        key.clone()
    });
    let again = publish(&folder, "g/m v2", &options).unwrap();
    assert_eq!(again.chunks_written, 1);
    assert_eq!(store.change(|state| state.objects[&cut].len()), 1024);
}

#[test]
fn who_loses_the_race_for_the_index_merges_five_times() {
    let rival = |number: usize| {
        let digest = "0".repeat(64);
        format!("{{\"g\":{{\"rival{number}\":{{\"v\":{{\"hash\":\"{digest}\"}}}}}}}}").into_bytes()
    };
    for (rivals, is_published) in [(4, true), (5, false)] {
        let (rack, store) = empty();
        store.change(|state| state.rivals = (0..rivals).map(rival).collect());
        let published = publish(
            &model(&rack),
            "g/m v1",
            &options(&rack, &store.server.url()),
        );
        let index = store.change(|state| state.objects["a b/models.json"].clone());
        let index = String::from_utf8(index.to_vec()).unwrap();
        let last = format!("rival{}", rivals - 1);
        assert!(index.contains(&last), "{index}");
        assert_eq!(index.contains("\"m\""), is_published);
        match published {
            Ok(_) => assert!(is_published),
            Err(error) => {
                assert_eq!(error.code(), "REGISTRY_ERROR");
                let said = "others changed the index each of the 5 times";
                assert!(chain(&error).contains(said), "{error}");
            }
        }
    }
}

#[test]
fn who_changes_the_index_at_the_same_time_is_waited_for_and_what_they_wrote_over_is_written_again()
{
    let (rack, store) = empty();
    let (folder, options) = (model(&rack), options(&rack, &store.server.url()));
    publish(&folder, "g/m v1", &options).unwrap();
    let key = "a b/models.json";
    let before = store.change(|state| {
        let others = [("1", "process 1"), ("2", "")];
        for (number, said) in others {
            let word = format!("a b/at-work/index-{number}");
            state.written_at.insert(word.clone(), SystemTime::now());
            state.objects.insert(word, said.as_bytes().into());
        }
        state.objects[key].clone()
    });
    // The other ends while it is waited for: with what it read before, as a store does that looks at a condition first and writes
    // later.
    let store = Arc::new(store);
    let ending = Arc::downgrade(&store);
    let lists = Rule::when(|request| request.method == "GET" && request.path.contains("at-work"))
        .nth(2)
        .on_request(move || {
            let store = ending.upgrade().unwrap();
            store.change(|state| {
                state.objects.remove("a b/at-work/index-1");
                state.objects.insert(key.to_owned(), before.clone());
            });
        });
    store.server.reset_counts();
    store.server.rule(lists);
    publish(&folder, "g/m v2", &options).unwrap();
    assert_eq!(count(&store, "PUT", "/models.json"), 2);
    let index = store.change(|state| state.objects[key].clone());
    assert!(String::from_utf8_lossy(&index).contains("v2"));
}

#[test]
fn a_store_that_ignores_conditions_is_found_out_and_has_to_be_forced() {
    let (rack, store) = empty();
    store.change(|state| state.has_conditions = false);
    let (folder, options) = (model(&rack), options(&rack, &store.server.url()));
    let error = publish(&folder, "g/m v1", &options).unwrap_err();
    assert!(chain(&error).contains("ignores conditions"), "{error}");
    assert!(store.change(|state| !state.objects.contains_key("a b/models.json")));
    publish(&folder, "g/m v1", &options.force(true)).unwrap();
    let manager = manager_of(
        &rack,
        &source(&store.server.url()),
        environment(&rack, &key()),
    );
    pull(&manager).unwrap();
}

#[test]
fn what_passes_is_tried_again_and_what_is_learned_is_used() {
    let put = || Rule::when(|request| request.method == "PUT" && request.path.contains("/data/"));
    let slow =
        "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
    let cut = "<Error><Code>XAmzContentSHA256Mismatch</Code></Error>";
    for rule in [
        put().times(2).status(503).body(slow),
        put().times(1).status(409),
        put().times(1).status(400).body(cut),
        put().nth(3).reset(),
        Rule::path_ends("/models.json")
            .and(|request| request.method == "PUT")
            .times(1)
            .status(409),
    ] {
        let (rack, store) = empty();
        store.server.rule(rule);
        publish(
            &model(&rack),
            "g/m v1",
            &options(&rack, &store.server.url()),
        )
        .unwrap();
        let toml = source(&store.server.url());
        pull(&manager_of(&rack, &toml, environment(&rack, &key()))).unwrap();
        rack.assert_files("s/g/m v1", &sample());
    }
    for change in [
        |state: &mut crate::support::s3::State| state.region = "eu-west-3".into(),
        |state: &mut crate::support::s3::State| state.minutes_ahead = 20,
    ] {
        let (rack, store) = empty();
        store.change(change);
        publish(
            &model(&rack),
            "g/m v1",
            &options(&rack, &store.server.url()),
        )
        .unwrap();
    }
}

#[test]
fn nothing_is_half_published_in_a_bucket_that_refuses() {
    let (rack, store) = empty();
    let folder = model(&rack);
    let published = || publish(&folder, "g/m v1", &options(&rack, &store.server.url()));
    store.change(|state| state.has_bucket = false);
    let error = published().unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR");
    assert!(chain(&error).contains("NoSuchBucket"), "{error}");
    store.change(|state| {
        state.has_bucket = true;
        state.keys[0].1 = "other".into();
    });
    let error = published().unwrap_err();
    assert_eq!(error.code(), "AUTHENTICATION_ERROR", "{error}");
    assert!(store.change(|state| state.objects.is_empty()));
    // A list that is none.
    store.change(|state| state.keys.clear());
    for body in [
        "<ListBucketResult>",
        "<html/>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
    ] {
        store.server.clear_rules();
        store
            .server
            .rule(Rule::path_contains("list-type=2").status(200).body(body));
        assert_eq!(published().unwrap_err().code(), "REGISTRY_ERROR", "{body}");
        assert!(store.change(|state| !state.objects.contains_key("a b/models.json")));
    }
}

#[test]
fn a_real_store_is_published_to_by_eight_at_once() {
    let rack = Rack::new();
    let root = rack.temp.path().join("buckets");
    std::fs::create_dir_all(root.join(BUCKET)).unwrap();
    let Some(store) = Store::start(&root) else {
        return;
    };
    let (folder, endpoint) = (model(&rack), format!("http://127.0.0.1:{}", store.port));
    // With the waits of users, which keep those apart who lose.
    let config = rack.bare_config().http(HttpConfig::default());
    let options = options(&rack, &endpoint).config(config);
    for round in 0..3 {
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (folder, options) = (&folder, &options);
                scope.spawn(move || {
                    let name = format!("g/m{number} v{round}");
                    publish(folder, &name, options)
                        .unwrap_or_else(|error| panic!("{}", chain(&error)))
                });
            }
        });
    }
    publish(&folder, "g/m v1", &options).unwrap();
    let manager = manager_of(&rack, &store.source(), environment(&rack, &key()));
    pull(&manager).unwrap();
    pull_anew(&rack, &manager);
    let index = std::fs::read(root.join(BUCKET).join("a b/models.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    for number in 0..8 {
        let versions = index["g"][format!("m{number}")].as_object().unwrap();
        assert_eq!(versions.len(), 3, "{index}");
    }
}
