//! The registry that Debian has, where it is installed: what we push there, we pull.

use std::fs;

use modelrack::installed::VerifiedModel;
use modelrack::project::PublishOptions;
use modelrack::{CancelToken, Manager, ManagerExt, UpdateOptions, VerifyOptions};
use serde_json::json;

use super::{Publisher, model};
use crate::support::disk::flip;
use crate::support::oci::real::RealRegistry;
use crate::support::{address, bytes, root};

fn is_write(request: &&String) -> bool {
    !(request.starts_with("GET ") || request.starts_with("HEAD "))
}

#[test]
fn the_digits_go_to_a_real_registry_and_back() {
    let Some(registry) = RealRegistry::start("") else {
        return;
    };
    let digits = |version: &str| {
        let files =
            crate::support::disk::files_below(&root().join("examples/digits").join(version));
        files.into_iter().collect::<Vec<_>>()
    };
    let publisher = Publisher::of::<&[u8]>(&[]);
    let write = |version: &str| {
        let files = digits(version);
        let files: Vec<_> = files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes))
            .collect();
        publisher.write(&files);
    };
    write("v1");
    let to = format!("oci://{}/acme/digits", registry.host());
    let report = publisher.push(&format!("{to}:v1")).unwrap();
    assert_eq!(report.model.to_string(), "acme/digits v1");
    let pull = report.address.clone().unwrap();
    assert_eq!(pull, format!("{to}:v1"));
    registry.requests();

    publisher.assert_pulled(&pull);
    // The tag, its manifest, the configuration, and the layers.
    let requests = registry.requests();
    assert!(requests.len() <= report.files + 4, "{requests:?}");
    publisher.assert_pulled(&format!("{to}@sha256:{}", report.manifest_digest));

    // Publishing it again sends nothing.
    registry.requests();
    let again = publisher.push(&format!("{to}:v1")).unwrap();
    assert_eq!(
        (again.chunks_written, again.manifest_digest),
        (0, report.manifest_digest)
    );
    let requests = registry.requests();
    assert_eq!(requests.iter().find(is_write), None, "{requests:?}");

    // The tag moves.
    write("v2");
    let options = publisher.options().aliases(["latest"]);
    publisher.push_with(&format!("{to}:v1"), &options).unwrap();
    let manager = publisher.manager();
    let update = UpdateOptions::default().model(address(&pull));
    manager.update(&update).unwrap();
    publisher.assert_pulled(&pull);
    publisher.assert_pulled(&to);

    let installed = manager.pull_model(&*pull).unwrap();
    flip(&installed.path.join("model.safetensors"), 100);
    // What another version has would be taken from there.
    for other in [
        format!("{to}:latest"),
        format!("{to}@sha256:{}", report.manifest_digest),
    ] {
        manager
            .remove(&address(&other), &CancelToken::new())
            .unwrap();
    }
    let report = manager
        .verify(&VerifyOptions::default().repair(true))
        .unwrap();
    assert!(
        report.models.iter().all(VerifiedModel::is_whole),
        "{report:?}"
    );
    publisher.assert_pulled(&pull);
    manager
        .remove(&address(&pull), &CancelToken::new())
        .unwrap();
    assert!(!installed.path.exists());
}

#[test]
fn another_tag_costs_what_is_new() {
    let Some(registry) = RealRegistry::start("") else {
        return;
    };
    let names: Vec<String> = (0..10)
        .map(|number| format!("model-{number}.bin"))
        .collect();
    let part = |number: u64| bytes(100_000, number);
    let files = names
        .iter()
        .zip(1..)
        .map(|(name, number)| (name.as_str(), part(number)));
    let mut files: Vec<_> = files.collect();
    let publisher = Publisher::of(&files);
    let to = format!("oci://{}/acme/shards", registry.host());
    publisher.push(&format!("{to}:v1")).unwrap();
    let manager = publisher.manager();
    manager.pull_model(&*format!("{to}:v1")).unwrap();

    files[9].1 = part(100);
    publisher.write(&files);
    registry.requests();
    let report = publisher.push(&format!("{to}:v2")).unwrap();
    assert_eq!((report.chunks_written, report.bytes_written), (1, 100_000));
    let requests = registry.requests();
    // The layer, which is begun and sent, and two ways to name the manifest.
    assert!(
        requests.iter().filter(is_write).count() <= 6,
        "{requests:?}"
    );
    let report = manager.pull_model(&*format!("{to}:v2")).unwrap();
    assert_eq!(
        (report.bytes_fetched, report.bytes_reused),
        (100_000, 900_000)
    );
    let requests = registry.requests();
    assert!(requests.len() <= 1 + 4, "{requests:?}");
    publisher.assert_pulled(&format!("{to}:v2"));
}

#[test]
fn files_of_all_sizes_go_through_a_private_registry() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("htpasswd");
    // ada:s3cret
    let ada = "ada:$2y$04$XZGI.XVVT5vm3seWNsoRieCVOEoE.MGlxsGRyBrwlcFy6CbQfHLcu\n";
    fs::write(&users, ada).unwrap();
    let more = format!("auth: {{htpasswd: {{realm: models, path: {users:?}}}}}\n");
    let Some(registry) = RealRegistry::start(&more) else {
        return;
    };
    let publisher = Publisher::of(&model());
    let to = format!("oci://{}/acme/tiny:v1", registry.host());
    let error = publisher.push(&to).unwrap_err();
    assert_eq!(error.code(), "AUTHENTICATION_ERROR");
    let login = json!({"auths": {registry.host(): {"auth": "YWRhOnMzY3JldA=="}}});
    let file = folder.path().join("auth.json");
    fs::write(&file, login.to_string()).unwrap();
    let environment = publisher
        .rack
        .environment()
        .variable("REGISTRY_AUTH_FILE", &file);
    let options = PublishOptions::default()
        .config(publisher.rack.bare_config())
        .environment(environment.clone());
    publisher.push_with(&to, &options).unwrap();
    let manager = modelrack::ModelManager::builder(publisher.rack.bare_config())
        .environment(environment)
        .build();
    let report = manager.pull_model(&*to).unwrap();
    assert_eq!(report.files, model().len() as u64);
}

#[test]
fn a_project_has_a_repository_for_each_model() {
    let Some(registry) = RealRegistry::start("") else {
        return;
    };
    let publisher = Publisher::of::<&[u8]>(&[]);
    let reports = publisher.push_project(&format!("oci://{}/acme/", registry.host()));
    let addresses: Vec<_> = reports
        .iter()
        .filter_map(|report| report.address.as_deref())
        .collect();
    let host = registry.host();
    assert_eq!(
        addresses,
        [
            format!("oci://{host}/acme/one:1.0.0"),
            format!("oci://{host}/acme/two:1.0.0")
        ]
    );
    // The weights of the second are taken from the first.
    assert_eq!(reports[1].bytes_written, 6);
    let manager = publisher.manager();
    for from in addresses {
        manager.pull_model(from).unwrap();
    }
    let listing = manager.list(&modelrack::ListOptions::default()).unwrap();
    for model in listing.models {
        assert_eq!(
            model.metadata.to_map().get("outputs"),
            Some(&json!(["incidence"])),
            "{model:?}"
        );
    }
}
