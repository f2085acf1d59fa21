//! Mirrors in buckets.

use modelrack::mirror::{MirrorOptions, MirrorReport, PublishTarget};
use modelrack::{Config, Manager, ModelManager};

use super::store::Store;
use super::{KEY, environment, key, manager_of, pull};
use crate::support::address;
use crate::support::mirror::assert_unchanged;
use crate::support::oci::{Artifact, Registry};
use crate::support::rack::{Rack, sample};
use crate::support::s3::{BUCKET, S3};
use crate::support::server::Rule;

/// A manager of sources outside, which writes to the store at an endpoint.
fn outside(rack: &Rack, config: Config, endpoint: &str) -> ModelManager {
    let [id, secret] = key();
    let variables = [id, secret, ("AWS_ENDPOINT_URL_S3", endpoint)];
    ModelManager::builder(config)
        .environment(environment(rack, &variables))
        .build()
}

/// Without a failure.
#[track_caller]
fn mirror(manager: &ModelManager, model: &str) -> MirrorReport {
    let to = PublishTarget::parse(format!("s3://{BUCKET}/a b")).unwrap();
    let options = MirrorOptions::default().models([address(model)]);
    let options = options.chunk_bytes(1024);
    let report = manager.mirror(&to, &options).unwrap();
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    report
}

#[test]
fn a_version_in_chunks_goes_from_registry_to_bucket() {
    let rack = Rack::with_model();
    let store = S3::start().with_key(KEY.0, KEY.1);
    let manager = outside(&rack, rack.config(), &store.server.url());
    let report = mirror(&manager, "g/m v1");
    let version = &report.versions[0];
    assert_eq!(version.manifest_digest, version.source_digest);
    assert_eq!(report.bytes_fetched(), report.bytes_written());
    // The index is last of what is written.
    let requests = store.server.requests().into_iter();
    let mut written = requests.filter(|request| request.method == "PUT");
    assert!(written.next_back().unwrap().path.ends_with("/models.json"));

    store.server.reset_counts();
    rack.server.reset_counts();
    assert_unchanged(&mirror(&manager, "g/m v1"));
    let requests = store.server.requests();
    assert!(requests.iter().all(|request| request.method == "GET"));
    assert_eq!(rack.data_requests(), Vec::<String>::new());

    let toml = format!(
        "[sources.s]\nurl = \"s3://{BUCKET}/a b\"\nendpoint = \"{}\"\n",
        store.server.url()
    );
    pull(&manager_of(&rack, &toml, environment(&rack, &key()))).unwrap();
    rack.assert_files("s/g/m v1", &sample());
}

#[test]
fn a_bucket_that_fails_keeps_what_was_sent_and_names_nothing() {
    let rack = Rack::with_model();
    let store = S3::start().with_key(KEY.0, KEY.1);
    let manager = outside(&rack, rack.config(), &store.server.url());
    let refused = Rule::when(|request| request.method == "PUT" && request.path.contains("/data/"));
    store.server.rule(refused.nth(6).status(403));
    let to = PublishTarget::parse(format!("s3://{BUCKET}/a b")).unwrap();
    let options = MirrorOptions::default().models([address("g/m v1")]);
    let options = options.concurrency(1);
    let report = manager.mirror(&to, &options).unwrap();
    assert_eq!(report.failed[0].error.code(), "AUTHENTICATION_ERROR");
    assert!(report.versions.is_empty(), "{report:?}");
    assert!(store.change(|state| !state.objects.contains_key("a b/models.json")));

    store.server.clear_rules();
    rack.server.reset_counts();
    let report = mirror(&manager, "g/m v1");
    let version = &report.versions[0];
    assert!(version.chunks_written > 0 && version.chunks_written < version.chunks);
    assert_eq!(
        rack.data_requests().len(),
        version.chunks_written + 1,
        "what was sent is fetched again"
    );
}

#[test]
fn a_real_store_gets_models_of_two_kinds() {
    let rack = Rack::with_model();
    let root = rack.temp.path().join("buckets");
    std::fs::create_dir_all(root.join(BUCKET)).unwrap();
    let Some(store) = Store::start(&root) else {
        return;
    };
    let endpoint = format!("http://127.0.0.1:{}", store.port);
    let registry = Registry::start();
    registry.push("acme/llama", "q4", &Artifact::model_pack(&sample()));
    let oci = format!("[sources.oci]\noci = \"{}\"\n", registry.url());
    let manager = outside(&rack, rack.config().bootstrap(oci), &endpoint);
    mirror(&manager, "g/m v1");
    mirror(&manager, "oci/acme/llama q4");
    registry.server().reset_counts();
    for model in ["g/m v1", "oci/acme/llama q4"] {
        assert_unchanged(&mirror(&manager, model));
    }
    assert!(registry.requests().iter().all(|it| !it.contains("/blobs/")));

    let manager = manager_of(&rack, &store.source(), environment(&rack, &key()));
    for model in ["s/g/m v1", "s/oci/acme/llama q4"] {
        manager
            .pull(&address(model), &modelrack::PullOptions::default())
            .unwrap();
        rack.assert_files(model, &sample());
    }
}
