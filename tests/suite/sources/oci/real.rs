//! The registry that Debian has, where it is installed: what others push is pulled from it.

use modelrack::installed::Freshness;
use modelrack::{Manager, ManagerExt, PullOptions, RemoteOptions, UpdateOptions};

use super::{LLAMA, llama};
use crate::support::disk::files_below;
use crate::support::oci::Artifact;
use crate::support::oci::real::RealRegistry;
use crate::support::rack::Rack;
use crate::support::{address, bytes};

#[test]
fn a_real_registry_serves_models() {
    let Some(registry) = RealRegistry::start("") else {
        return;
    };
    let mut files = llama();
    files[1].1 = bytes(20 << 20, 3);
    let digest = registry.push(LLAMA, "q4", &Artifact::model_pack(&files));
    registry.push("acme/tiny", "v1", &Artifact::model_pack(&llama()[..1]));
    let rack = Rack::new();
    let toml = format!("[sources.oci]\noci = \"{}\"\n", registry.url());
    let manager = rack.manager_of(rack.bare_config().bootstrap(toml));

    let listing = manager.list_remote(&RemoteOptions::default()).unwrap();
    assert_eq!(listing.models.len(), 2);
    for (typed, version) in [
        ("oci/acme/llama:q4", "q4"),
        (&format!("oci/acme/llama@{digest}"), &*digest),
        (&format!("oci://{}/acme/llama:q4", registry.host()), "q4"),
    ] {
        let report = manager
            .pull(&address(typed), &PullOptions::default())
            .unwrap();
        assert_eq!(report.model.version(), version);
        let there = files_below(&report.path);
        let there = files
            .iter()
            .map(|(name, _)| there.get(*name).map(Vec::as_slice));
        assert!(
            there.eq(files.iter().map(|(_, bytes)| Some(bytes.as_slice()))),
            "{typed}"
        );
    }

    files[0].1 = b"# Llama 2\n".to_vec();
    registry.push(LLAMA, "q4", &Artifact::model_pack(&files));
    let report = manager.update(&UpdateOptions::default()).unwrap();
    let updated = report
        .entries
        .iter()
        .filter_map(|entry| entry.applied.as_ref());
    let fetched: Vec<u64> = updated.map(|applied| applied.bytes_fetched).collect();
    assert_eq!(fetched.iter().sum::<u64>(), 10, "{report:?}");
    rack.assert_files("oci/acme/llama q4", &files);
    let after = manager.check_update(&UpdateOptions::default()).unwrap();
    assert!(
        after
            .entries
            .iter()
            .all(|entry| matches!(entry.freshness, Freshness::UpToDate))
    );

    let error = manager.pull_model("oci/acme/llama:none").unwrap_err();
    assert_eq!(error.code(), "VERSION_NOT_FOUND");
    let error = manager.pull_model("oci/acme/none").unwrap_err();
    assert_eq!(error.code(), "MODEL_NOT_FOUND");
}
