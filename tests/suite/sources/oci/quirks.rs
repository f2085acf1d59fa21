//! What registries do otherwise than the specification says, or in one of several ways that it allows.

use std::sync::Arc;

use modelrack::{Manager, ModelManager, PullOptions};

use super::{LLAMA, Machine, llama};
use crate::support::oci::{Artifact, sha256};
use crate::support::rack::Rack;
use crate::support::server::{Request, Rule};
use crate::support::transport::InMemory;
use crate::support::{address, bytes};

fn is_blob(request: &Request) -> bool {
    request.path.contains("/blobs/")
}

fn is_manifest(request: &Request) -> bool {
    request.path.contains("/manifests/")
}

fn is_head(request: &Request) -> bool {
    request.method == "HEAD"
}

/// Larger than what comes in one request.
fn large() -> Vec<(&'static str, Vec<u8>)> {
    vec![("model.gguf", bytes(20 << 20, 3))]
}

#[test]
fn registries_that_answer_in_their_own_way() {
    let open = |request: &Request| {
        request
            .header("range")
            .is_some_and(|range| range.ends_with('-'))
    };
    let quirks: [(&str, Rule); 11] = [
        (
            "no Accept-Ranges",
            Rule::when(is_blob).without_header("accept-ranges"),
        ),
        (
            "no ranges",
            Rule::when(is_blob)
                .ignore_range()
                .without_header("accept-ranges"),
        ),
        (
            "416 to open ranges",
            Rule::when(is_blob).and(open).status(416),
        ),
        (
            "text/plain manifests",
            Rule::when(is_manifest).header("content-type", "text/plain; charset=utf-8"),
        ),
        (
            "no media type of blobs",
            Rule::when(is_blob).header("content-type", ""),
        ),
        (
            "chunked manifests",
            Rule::when(is_manifest).and(|it| !is_head(it)).chunked(),
        ),
        ("no HEAD", Rule::when(is_head).status(405)),
        (
            "HEAD is redirected",
            Rule::when(is_head).redirect(307, "/elsewhere"),
        ),
        (
            "no digest",
            Rule::when(is_manifest).without_header("docker-content-digest"),
        ),
        (
            "a digest of another algorithm",
            Rule::when(is_manifest).header("docker-content-digest", "sha512:00"),
        ),
        (
            "429 for manifests",
            Rule::when(is_manifest)
                .times(2)
                .status(429)
                .header("retry-after", "0"),
        ),
    ];
    let artifact = Artifact::model_pack(&large());
    for (quirk, rule) in quirks {
        let machine = Machine::new();
        machine.registry.push(LLAMA, "q4", &artifact);
        machine.registry.server().rule(rule);
        let pulled = machine
            .manager()
            .pull(&address("oci/acme/llama:q4"), &PullOptions::default());
        let report = pulled.unwrap_or_else(|error| panic!("{quirk}: {error:?}"));
        assert_eq!(report.bytes_fetched, 20 << 20, "{quirk}");
        machine.rack.assert_files("oci/acme/llama q4", &large());
        assert_eq!(
            machine.registry.server().count("/v2/?"),
            0,
            "nobody asks what is 404 at some"
        );
    }
}

#[test]
fn an_address_that_has_expired_is_asked_for_anew() {
    let machine = Machine::new();
    machine
        .registry
        .push(LLAMA, "q4", &Artifact::model_pack(&large()));
    // Three requests are told the same place, and it serves two of them.
    machine.registry.redirect_blobs(2, 3);
    let options = PullOptions::default().concurrency(1);
    machine
        .manager()
        .pull(&address("oci/acme/llama:q4"), &options)
        .unwrap();
    machine.rack.assert_files("oci/acme/llama q4", &large());
    let requests = machine.registry.server().requests();
    let expired = requests
        .iter()
        .filter(|request| request.status == 403)
        .count();
    assert!(expired > 0, "no address expired");
}

#[test]
fn a_tag_that_moves_while_it_is_resolved_is_what_it_names_then() {
    let (machine, _) = Machine::with_llama();
    let gone = format!("sha256:{}", "a".repeat(64));
    let rule = Rule::when(|request| is_head(request) && is_manifest(request));
    let rule = rule.status(200).header("docker-content-digest", &gone);
    machine.registry.server().rule(rule);
    machine.pull("oci/acme/llama:q4").unwrap();
    machine.assert_llama_installed("oci/acme/llama q4");
}

#[test]
fn a_transport_that_knows_nothing_but_get_is_enough() {
    let artifact = Artifact::model_pack(&llama());
    let at = |rest: &str| format!("http://127.0.0.1:9/v2/{LLAMA}/{rest}");
    let blobs = artifact.blobs().into_iter();
    let blobs = blobs.map(|blob| (at(&format!("blobs/{}", sha256(&blob))), blob));
    let manifest = artifact.manifest().to_string().into_bytes();
    let transport = Arc::new(InMemory {
        documents: blobs.chain([(at("manifests/q4"), manifest)]).collect(),
        ..InMemory::default()
    });
    let rack = Rack::new();
    let config = rack
        .bare_config()
        .bootstrap("[sources.oci]\noci = \"http://127.0.0.1:9\"\n");
    let manager = ModelManager::builder(config)
        .environment(rack.environment())
        .transport(transport)
        .build();
    manager
        .pull(&address("oci/acme/llama:q4"), &PullOptions::default())
        .unwrap();
    rack.assert_files("oci/acme/llama q4", &llama());
}
