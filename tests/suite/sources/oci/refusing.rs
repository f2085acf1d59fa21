//! Registries that cannot be believed, and those that refuse.

use modelrack::{ErrorKind, Manager, PullOptions};
use serde_json::json;

use super::{LLAMA, Machine, llama};
use crate::support::address;
use crate::support::oci::{Artifact, INDEX_TYPE, MANIFEST_TYPE};
use crate::support::server::Rule;

#[test]
fn a_manifest_is_what_its_digest_says() {
    let (machine, digest) = Machine::with_llama();
    machine.registry.forge_manifest(
        LLAMA,
        &digest,
        &Artifact::model_pack(&[("x", "y")]).manifest().to_string(),
    );
    let error = machine.pull("oci/acme/llama:q4").unwrap_err();
    assert_eq!(error.code(), "HASH_MISMATCH");
    assert_eq!(machine.rack.listed(), (vec![], vec![]));
}

#[test]
fn what_is_no_manifest_is_refused() {
    let machine = Machine::new();
    let one = |layer: serde_json::Value| {
        let mut manifest = Artifact::model_pack(&[("a", "b")]).manifest();
        manifest["layers"] = json!([layer]);
        manifest.to_string()
    };
    let layer = json!({
        "mediaType": "application/vnd.cncf.model.weight.v1.raw",
        "digest": format!("sha256:{}", "a".repeat(64)),
        "size": 9,
        "annotations": {"org.cncf.model.filepath": "model.gguf"},
    });
    let many: Vec<_> = (0..10_000).map(|_| layer.clone()).collect();
    let mut layers = Artifact::model_pack(&[("a", "b")]).manifest();
    layers["layers"] = many.into();
    let with = |key: &str, value: serde_json::Value| {
        let mut changed = layer.clone();
        changed[key] = value;
        one(changed)
    };
    for (case, json) in [
        ("no json", "<html>".to_owned()),
        ("nothing", "{}".to_owned()),
        ("10,000 layers", layers.to_string()),
        ("a negative size", with("size", json!(-1))),
        ("another algorithm", with("digest", json!("sha512:00"))),
        (
            "a name above",
            with("annotations", json!({"org.cncf.model.filepath": "../up"})),
        ),
        (
            "more than 4 MiB",
            format!("{}{}", " ".repeat(4 << 20), one(layer.clone())),
        ),
    ] {
        machine
            .registry
            .put_manifest(LLAMA, "q4", MANIFEST_TYPE, json);
        let error = machine.pull("oci/acme/llama:q4").unwrap_err();
        assert_eq!(error.code(), "REGISTRY_ERROR", "{case}: {error:?}");
        assert_eq!(machine.rack.listed(), (vec![], vec![]), "{case}");
        assert!(!error.to_string().contains('\\'), "{case}: {error}");
    }
    // Indexes do not nest.
    let inner = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []}).to_string();
    let digest = machine
        .registry
        .put_manifest(LLAMA, "inner", INDEX_TYPE, inner.clone());
    let entry = json!({"mediaType": MANIFEST_TYPE, "digest": digest, "size": inner.len()});
    let outer = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]});
    machine
        .registry
        .put_manifest(LLAMA, "q4", INDEX_TYPE, outer.to_string());
    assert_eq!(
        machine.pull("oci/acme/llama:q4").unwrap_err().code(),
        "REGISTRY_ERROR"
    );
}

#[test]
fn a_layer_is_what_its_digest_and_size_say() {
    for change in [
        json!({"digest": format!("sha256:{}", "a".repeat(64))}),
        json!({"size": 29_999}),
    ] {
        let machine = Machine::new();
        let artifact = Artifact::model_pack(&llama());
        let lying = artifact.clone().layer(1, |layer| {
            for (key, value) in change.as_object().unwrap() {
                layer[key] = value.clone();
            }
        });
        machine.registry.push(LLAMA, "q4", &lying);
        let error = machine.pull("oci/acme/llama:q4").unwrap_err();
        assert!(
            ["HASH_MISMATCH", "NETWORK_ERROR"].contains(&error.code()),
            "{change}: {error:?}"
        );
        assert_eq!(machine.rack.listed().0, Vec::<String>::new());
    }
}

#[test]
fn refusals_are_told_apart() {
    for (status, code) in [
        (401, "AUTHENTICATION_ERROR"),
        (403, "AUTHENTICATION_ERROR"),
        (429, "RATE_LIMITED"),
        (500, "NETWORK_ERROR"),
    ] {
        let (machine, _) = Machine::with_llama();
        let rule = Rule::any().status(status);
        let rule = match status {
            429 => rule
                .header("retry-after", "7")
                .header("ratelimit-limit", "100;w=21600"),
            _ => rule,
        };
        machine.registry.server().rule(rule);
        let error = machine.pull("oci/acme/llama:q4").unwrap_err();
        assert_eq!(error.code(), code, "{status}: {error:?}");
        if let ErrorKind::RateLimited {
            retry_after,
            reason,
            ..
        } = error.kind()
        {
            assert_eq!(retry_after.unwrap().as_secs(), 7);
            assert_eq!(reason.as_deref(), Some("ratelimit-limit: 100;w=21600"));
        }
    }
}

#[test]
fn plain_http_is_for_this_machine() {
    let machine = Machine::new();
    let open = |more: &str| {
        let toml = format!("[sources.oci]\noci = \"http://registry.example/acme\"\n{more}");
        let manager = machine
            .rack
            .manager_of(machine.rack.bare_config().bootstrap(toml));
        let options = PullOptions::default().offline(true);
        manager
            .pull(&address("oci/llama:q4"), &options)
            .unwrap_err()
    };
    let error = open("");
    assert_eq!(error.code(), "CONFIG_ERROR");
    assert!(error.to_string().contains("insecure = true"), "{error}");
    assert_eq!(open("insecure = true\n").code(), "OFFLINE");
}
