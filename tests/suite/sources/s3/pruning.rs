//! Removing what no version names from buckets.

use std::time::{Duration, SystemTime};

use modelrack::Result;
use modelrack::project::{
    Project, PrunedObject, PublishOptions, PublishTarget, RegistryPruneOptions, RegistryPrunePlan,
    RegistryPruneReport,
};

use super::publishing::{count, empty, model, options, publish};
use super::store::Store;
use super::{environment, key, manager_of};
use crate::support::chain;
use crate::support::disk::{age, files_below, write_files};
use crate::support::rack::{Rack, sample};
use crate::support::s3::{BUCKET, S3};
use crate::support::server::Rule;

/// A file of two equal chunks that a version had once.
const OLD: (&str, &[u8]) = ("zz", &[9; 2048]);
const HOUR: Duration = Duration::from_secs(3600);

fn target() -> PublishTarget {
    PublishTarget::parse(format!("s3://{BUCKET}/a b")).unwrap()
}

fn pruning(rack: &Rack, endpoint: &str) -> RegistryPruneOptions {
    let PublishOptions {
        config,
        environment,
        ..
    } = options(rack, endpoint);
    RegistryPruneOptions::default()
        .config(config.unwrap())
        .environment(environment.unwrap())
}

fn plan(rack: &Rack, endpoint: &str) -> Result<RegistryPrunePlan> {
    Project::plan_prune(target(), &pruning(rack, endpoint))
}

fn prune(rack: &Rack, endpoint: &str) -> Result<RegistryPruneReport> {
    Project::prune(&plan(rack, endpoint)?, &pruning(rack, endpoint))
}

/// A store with a version that was replaced, all of it two days ago.
fn replaced() -> (Rack, S3) {
    let (rack, store) = empty();
    let (folder, options) = (model(&rack), options(&rack, &store.server.url()));
    write_files(&folder, &[OLD]);
    publish(&folder, "g/m v1", &options).unwrap();
    std::fs::remove_file(folder.join(OLD.0)).unwrap();
    publish(&folder, "g/m v1", &options).unwrap();
    store.change(|state| state.written_at.clear());
    store.server.reset_counts();
    (rack, store)
}

fn keys(store: &S3) -> Vec<String> {
    store.change(|state| state.objects.keys().cloned().collect())
}

#[test]
fn what_a_bucket_names_no_more_is_removed_a_day_later() {
    let (rack, store) = replaced();
    let url = store.server.url();
    let before = keys(&store);
    store.change(|state| {
        // Of others, and of the probe of conditions nobody says anything.
        for key in ["a b/data/notes", "a b/other/x", "a c/data/x"] {
            state.objects.insert(key.into(), (*b"x").into());
        }
        state.page = 3;
    });
    let planned = plan(&rack, &url).unwrap();
    // The manifest of before, and a chunk; its other chunks are those of now.
    assert_eq!(
        (planned.versions, planned.removed.len(), planned.young),
        (1, 2, 0)
    );
    assert_eq!(count(&store, "PUT", "") + count(&store, "DELETE", ""), 0);

    store.server.reset_counts();
    let report = prune(&rack, &url).unwrap();
    let paths = |removed: &[PrunedObject]| -> Vec<String> {
        removed.iter().map(|object| object.path.clone()).collect()
    };
    assert_eq!(paths(&report.removed), paths(&planned.removed));
    assert_eq!(report.bytes_freed, planned.bytes_freed);
    let gone = paths(&planned.removed);
    let mut expected = before.clone();
    expected.retain(|key| !gone.iter().any(|path| key.ends_with(path)));
    assert_eq!(expected.len(), before.len() - 2);
    expected.extend(["a b/data/notes", "a b/other/x", "a c/data/x"].map(str::to_owned));
    expected.sort();
    assert_eq!(keys(&store), expected);
    // Who is at work is said first, and looked for before the index is read for the last time.
    let requests = store.server.requests();
    let position = |method: &str, part: &str| {
        let is_it = |request: &crate::support::server::Request| {
            request.method == method && request.path.contains(part)
        };
        requests.iter().rposition(is_it).unwrap()
    };
    let order = [
        position("PUT", "/at-work/prune"),
        position("GET", "at-work"),
        position("GET", "/models.json"),
        position("DELETE", "/data/"),
        position("DELETE", "/at-work/prune"),
    ];
    assert!(order.is_sorted(), "{order:?}");
    let toml = super::publishing::source(&url);
    super::pull(&manager_of(&rack, &toml, environment(&rack, &key()))).unwrap();
    rack.assert_files("s/g/m v1", &sample());
    assert_eq!(prune(&rack, &url).unwrap().removed, []);
}

#[test]
fn what_is_younger_than_a_day_by_the_clock_of_the_store_stays() {
    let (rack, store) = replaced();
    let url = store.server.url();
    let old = plan(&rack, &url).unwrap().removed[0].path.clone();
    for (hours, ahead, removed) in [(23, 0, 0), (25, 0, 1), (23, 14, 0), (25, -14, 1)] {
        store.change(|state| {
            state.minutes_ahead = ahead;
            let now = match ahead {
                0.. => SystemTime::now() + Duration::from_secs(ahead.unsigned_abs() * 60),
                _ => SystemTime::now() - Duration::from_secs(ahead.unsigned_abs() * 60),
            };
            state
                .written_at
                .insert(format!("a b/{old}"), now - HOUR * hours);
        });
        let plan = plan(&rack, &url).unwrap();
        assert_eq!(
            (plan.removed.len(), plan.young),
            (1 + removed, 1 - removed),
            "{hours} {ahead}"
        );
    }
}

#[test]
fn whatever_cannot_be_read_keeps_everything() {
    let (rack, store) = replaced();
    let url = store.server.url();
    let before = keys(&store);
    let planned = plan(&rack, &url).unwrap();
    let index = store.change(|state| state.objects["a b/models.json"].clone());
    let hash = &String::from_utf8_lossy(&index)[r#"{"g":{"m":{"v1":{"hash":""#.len()..][..64];
    let list = || Rule::path_contains("list-type=2");
    let page = |body: &str| format!("<ListBucketResult>{body}</ListBucketResult>");
    let truncated = page("<IsTruncated>true</IsTruncated>");
    let denied = "<Error><Code>AccessDenied</Code></Error>";
    for (rule, code) in [
        (list().status(403).body(denied), "AUTHENTICATION_ERROR"),
        (list().status(200).body("<html/>"), "REGISTRY_ERROR"),
        (
            list().status(200).body("<ListBucketResult>"),
            "REGISTRY_ERROR",
        ),
        (list().status(200).body(truncated), "REGISTRY_ERROR"),
        (Rule::path_contains(hash).status(404), "REGISTRY_ERROR"),
        (
            Rule::path_contains(hash).status(200).body("{}"),
            "REGISTRY_ERROR",
        ),
        (
            Rule::path_ends("/models.json").status(404),
            "REGISTRY_ERROR",
        ),
        (
            Rule::path_ends("/models.json").status(200).body("{"),
            "REGISTRY_ERROR",
        ),
        (
            Rule::path_ends("/models.json").status(403).body(denied),
            "REGISTRY_ERROR",
        ),
    ] {
        store.server.clear_rules();
        store.server.rule(rule);
        let error = plan(&rack, &url).unwrap_err();
        assert_eq!(error.code(), code, "{}", chain(&error));
        // And what could be read when the plan was made is read again.
        let error = Project::prune(&planned, &pruning(&rack, &url)).unwrap_err();
        assert_eq!(error.code(), code, "{}", chain(&error));
        assert_eq!(keys(&store), before);
    }
}

#[test]
fn who_publishes_and_who_prunes_keep_out_of_each_others_way() {
    let (rack, store) = replaced();
    let url = store.server.url();
    let put = |key: &str, age: Duration| {
        let (key, time) = (format!("a b/at-work/{key}"), SystemTime::now() - age);
        store.change(|state| {
            state.objects.insert(key.clone(), (*b"process 1").into());
            state.written_at.insert(key, time);
        });
    };
    let removed = || count(&store, "DELETE", "/data/");
    // Somebody publishes, or was killed less than a day ago.
    put("publish-1", HOUR * 23);
    let error = prune(&rack, &url).unwrap_err();
    assert_eq!(error.code(), "REGISTRY_ERROR");
    let said = "a day later if it was killed (s3://models/a%20b/at-work/publish-1 says so)";
    assert!(chain(&error).contains(said), "{}", chain(&error));
    assert_eq!(removed(), 0);
    // What was said about the removal is taken back.
    assert!(!keys(&store).contains(&"a b/at-work/prune".to_owned()));

    put("publish-1", HOUR * 25);
    put("prune", HOUR / 2);
    let error = prune(&rack, &url).unwrap_err();
    assert!(
        chain(&error).contains("somebody else removes"),
        "{}",
        chain(&error)
    );
    assert_eq!(removed(), 0);
    let folder = model(&rack);
    let error = publish(&folder, "g/n v1", &options(&rack, &url)).unwrap_err();
    assert!(
        chain(&error).contains("somebody removes what no version names"),
        "{}",
        chain(&error)
    );
    assert_eq!(count(&store, "PUT", "/data/"), 0);
    assert_eq!(
        keys(&store)
            .iter()
            .filter(|key| key.contains("/publish-"))
            .count(),
        1
    );

    // Of one that was killed an hour ago, nothing is left.
    put("prune", HOUR * 2);
    publish(&folder, "g/n v1", &options(&rack, &url)).unwrap();
    put("prune", HOUR * 2);
    assert_eq!(prune(&rack, &url).unwrap().removed.len(), 2);
}

#[test]
fn what_was_named_again_since_the_plan_stays() {
    let (rack, store) = replaced();
    let url = store.server.url();
    let planned = plan(&rack, &url).unwrap();
    // The files of before, as another version: nothing but the index has to be sent.
    let folder = model(&rack);
    write_files(&folder, &[OLD]);
    publish(&folder, "g/m v0", &options(&rack, &url)).unwrap();
    let report = Project::prune(&planned, &pruning(&rack, &url)).unwrap();
    assert_eq!((report.removed.len(), report.bytes_freed), (0, 0));
    let paths = planned.removed.iter().map(|it| it.path.clone());
    assert_eq!(report.still_used, paths.collect::<Vec<_>>());
    assert_eq!(count(&store, "DELETE", "/data/"), 0);
}

#[test]
fn a_store_that_refuses_to_remove_is_told_of() {
    let (rack, store) = replaced();
    let denied = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    let refused =
        Rule::when(|request| request.method == "DELETE" && request.path.contains("/data/"));
    store.server.rule(refused.status(403).body(denied));
    let error = prune(&rack, &store.server.url()).unwrap_err();
    assert_eq!(error.code(), "AUTHENTICATION_ERROR");
    assert!(
        chain(&error).starts_with("0 of 2 objects are removed: data/"),
        "{}",
        chain(&error)
    );
}

#[test]
fn a_real_store_loses_what_no_version_names() {
    let rack = Rack::new();
    let root = rack.temp.path().join("buckets");
    std::fs::create_dir_all(root.join(BUCKET)).unwrap();
    let Some(store) = Store::start(&root) else {
        return;
    };
    let url = format!("http://127.0.0.1:{}", store.port);
    let (folder, options) = (model(&rack), options(&rack, &url).shards(true));
    write_files(&folder, &[OLD]);
    publish(&folder, "g/m v1", &options).unwrap();
    std::fs::remove_file(folder.join(OLD.0)).unwrap();
    publish(&folder, "g/m v1", &options).unwrap();
    let registry = root.join(BUCKET).join("a b");
    // The store says what the files say.
    let young = plan(&rack, &url).unwrap();
    assert_eq!((young.removed.len(), young.young), (0, 3));
    let before = files_below(&registry);
    before.keys().for_each(|name| age(&registry.join(name), 25));
    let planned = plan(&rack, &url).unwrap();
    let paths: Vec<&str> = planned.removed.iter().map(|it| &*it.path).collect();
    // The chunk, the manifest, and the part of the index.
    assert_eq!(paths.len(), 3, "{paths:?}");
    assert!(paths[..2].iter().all(|path| path.starts_with("data/")));
    assert!(paths[2].starts_with("models/"));
    prune(&rack, &url).unwrap();
    let mut expected = before;
    paths.iter().for_each(|path| drop(expected.remove(*path)));
    assert_eq!(files_below(&registry), expected);
    let manager = manager_of(&rack, &store.source(), environment(&rack, &key()));
    super::pull(&manager).unwrap();
    rack.assert_files("s/g/m v1", &sample());
}
