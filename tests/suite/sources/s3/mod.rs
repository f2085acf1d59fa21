//! Registries in buckets of object stores.

mod credentials;
mod mirroring;
#[cfg(feature = "author")]
mod pruning;
#[cfg(feature = "author")]
mod publishing;
mod refusals;
mod store;

use modelrack::{Environment, Manager, ModelManager, PullOptions, Result};

use crate::support::address;
use crate::support::rack::{Rack, sample};
use crate::support::s3::{BUCKET, S3};

/// The key of the tests.
const KEY: (&str, &str) = ("AKIDTEST", "s3cret/of+the/tests");

/// A registry with `g/m v1` below `a b/` in a bucket that only the key opens.
fn private() -> (Rack, S3) {
    let rack = Rack::with_model();
    let store = S3::start().holding(&rack.registry(), "a b/");
    (rack, store.with_key(KEY.0, KEY.1))
}

/// A source `s` on the bucket, with more keys, read with these variables.
fn manager(rack: &Rack, store: &S3, keys: &str, variables: &[(&str, &str)]) -> ModelManager {
    let endpoint = store.server.url();
    let toml =
        format!("[sources.s]\nurl = \"s3://{BUCKET}/a b\"\nendpoint = \"{endpoint}\"\n{keys}\n");
    manager_of(rack, &toml, environment(rack, variables))
}

fn manager_of(rack: &Rack, toml: &str, environment: Environment) -> ModelManager {
    let config = rack.bare_config().bootstrap(toml);
    ModelManager::builder(config)
        .environment(environment)
        .build()
}

/// Without the metadata service of a machine, which a test that runs on one must not ask.
fn environment(rack: &Rack, variables: &[(&str, &str)]) -> Environment {
    let environment = rack
        .environment()
        .variable("AWS_EC2_METADATA_DISABLED", "true");
    let variables = variables.iter();
    variables.fold(environment, |environment, (name, value)| {
        environment.variable(name, value)
    })
}

/// The variables with the key.
fn key() -> [(&'static str, &'static str); 2] {
    [
        ("AWS_ACCESS_KEY_ID", KEY.0),
        ("AWS_SECRET_ACCESS_KEY", KEY.1),
    ]
}

fn pull(manager: &ModelManager) -> Result<()> {
    manager
        .pull(&address("s/g/m v1"), &PullOptions::default())
        .map(|_| ())
}

#[test]
fn a_private_bucket_is_read_with_signed_requests() {
    let (rack, store) = private();
    pull(&manager(&rack, &store, "", &key())).unwrap();
    rack.assert_files("s/g/m v1", &sample());
    let (signed, unsigned) = store.signed_and_unsigned();
    // The index, the manifest, and each chunk.
    assert_eq!((signed, unsigned), (13, 0));
    let requests = store.server.requests();
    let mut paths = requests.iter().map(|request| request.target.as_str());
    assert!(paths.all(|path| path.starts_with("/models/a%20b/")));
}

#[test]
fn a_public_bucket_is_read_without_a_key() {
    let rack = Rack::with_model();
    let store = S3::start().holding(&rack.registry(), "a b/");
    pull(&manager(&rack, &store, "", &[])).unwrap();
    assert_eq!(store.signed_and_unsigned(), (0, 13));
    // Nor is one sent where the source says that none is wanted.
    pull_anew(&rack, &manager(&rack, &store, "anonymous = true", &key()));
    assert_eq!(store.signed_and_unsigned(), (0, 26));
}

/// Pulls into an empty store, without a cached index.
fn pull_anew(rack: &Rack, manager: &ModelManager) {
    pull_anew_with(rack, || pull(manager));
}

fn pull_anew_with(rack: &Rack, pull: impl FnOnce() -> Result<()>) {
    std::fs::remove_dir_all(rack.store()).unwrap();
    std::fs::remove_dir_all(rack.index_cache()).unwrap();
    pull().unwrap();
    rack.assert_files("s/g/m v1", &sample());
}

#[test]
fn an_index_that_has_not_changed_is_not_fetched_again() {
    let (rack, store) = private();
    let manager = manager(&rack, &store, "", &key());
    pull(&manager).unwrap();
    let statuses = |store: &S3| -> Vec<u16> {
        let requests = store.server.requests();
        requests.iter().map(|request| request.status).collect()
    };
    store.server.reset_counts();
    manager
        .list_remote(&modelrack::RemoteOptions::default())
        .unwrap();
    assert_eq!(statuses(&store), [304]);
}

#[test]
fn a_bucket_is_a_mirror_of_a_web_server_and_the_other_way_round() {
    let (rack, store) = private();
    let (web, bucket) = (rack.server.url(), format!("s3://{BUCKET}/a b"));
    let endpoint = store.server.url();
    let toml = |url: &str, mirror: &str| {
        format!(
            "[sources.s]\nurl = \"{url}\"\nmirrors = [\"{mirror}\"]\nendpoint = \"{endpoint}\"\n"
        )
    };
    // The web server has the index and no chunks.
    std::fs::rename(rack.registry().join("data"), rack.temp.path().join("away")).unwrap();
    let manager = manager_of(&rack, &toml(&web, &bucket), environment(&rack, &key()));
    pull(&manager).unwrap();
    rack.assert_files("s/g/m v1", &sample());
    let mut requests = rack.server.requests().into_iter();
    assert!(requests.all(|request| request.header("authorization").is_none()));
    assert_eq!(store.signed_and_unsigned(), (12, 0));

    // The bucket is gone.
    std::fs::rename(rack.temp.path().join("away"), rack.registry().join("data")).unwrap();
    store.change(|state| state.has_bucket = false);
    let manager = manager_of(&rack, &toml(&bucket, &web), environment(&rack, &key()));
    pull_anew(&rack, &manager);
}

#[test]
fn endpoint_and_region_come_from_the_environment() {
    let (rack, store) = private();
    store.change(|state| state.region = "eu-west-3".into());
    let config = rack.temp.path().join("config");
    std::fs::write(
        &config,
        format!(
            "[profile mine]\nregion = eu-west-3\nservices = own\n[services own]\ns3 =\n  endpoint_url = {}\n",
            store.server.url()
        ),
    )
    .unwrap();
    let config = config.to_str().unwrap();
    let [id, secret] = key();
    let variables = [
        id,
        secret,
        ("AWS_CONFIG_FILE", config),
        ("AWS_PROFILE", "mine"),
    ];
    let toml = format!("[sources.s]\nurl = \"s3://{BUCKET}/a b/\"\n");
    let manager = manager_of(&rack, &toml, environment(&rack, &variables));
    pull(&manager).unwrap();
    assert_eq!(store.signed_and_unsigned(), (13, 0));
}

#[test]
fn keys_of_object_stores_are_checked_when_the_configuration_is_read() {
    let rack = Rack::new();
    let code_and_message = |toml: &str| {
        let manager = manager_of(&rack, toml, environment(&rack, &[]));
        let error = manager
            .list_remote(&modelrack::RemoteOptions::default())
            .unwrap_err();
        (error.code(), error.to_string())
    };
    for (toml, expected) in [
        (
            "[sources.s]\nurl = \"https://h\"\nregion = \"x\"\n",
            "the configuration of rack: sources.s.region applies to buckets only, whose URLs begin with s3://",
        ),
        (
            "[sources.s]\nhub = \"s3://models\"\n",
            "the configuration of rack: sources.s.hub cannot be a bucket: only 'url' and 'mirrors' may begin with s3://",
        ),
        (
            "[sources.s]\nurl = \"s3://models:80/x\"\n",
            "the configuration of rack: sources.s.url is not a usable URL",
        ),
    ] {
        assert_eq!(code_and_message(toml), ("CONFIG_ERROR", expected.into()));
    }
}

#[test]
fn what_is_wrong_with_the_settings_of_a_store_is_told_when_it_is_needed() {
    let rack = Rack::new();
    let file = rack.temp.path().join("config");
    std::fs::write(&file, "[default]\nregion = x/y\n").unwrap();
    let file = file.to_str().unwrap();
    for (keys, variables, expected) in [
        (
            "endpoint = \"s3://x\"",
            vec![],
            "the configuration of rack: sources.s.endpoint must start with https:// or http://",
        ),
        (
            "",
            vec![("AWS_ENDPOINT_URL", "nowhere")],
            "AWS_ENDPOINT_URL is not a usable URL",
        ),
        (
            "",
            vec![("AWS_CONFIG_FILE", file)],
            "'x/y' is not the name of a region (s3://models/models.json)",
        ),
        (
            "anonymous = false",
            vec![("AWS_ACCESS_KEY_ID", "A")],
            "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not",
        ),
    ] {
        let toml = format!("[sources.s]\nurl = \"s3://models\"\n{keys}\n");
        let manager = manager_of(&rack, &toml, environment(&rack, &variables));
        // What needs no store does without it.
        manager.list(&modelrack::ListOptions::default()).unwrap();
        let error = manager.sync(&modelrack::SyncOptions::default()).unwrap();
        let error = &error.failed[0].error;
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            ("CONFIG_ERROR", expected)
        );
    }
}
