//! What a registry lists, and what is said of a model before it is pulled.

use modelrack::pull::PullOutcome;
use modelrack::remote::{LocalState, SourceKind};
use modelrack::{ErrorKind, Manager, PullOptions, RemoteOptions, SearchOptions};

use super::{LLAMA, Machine, llama};
use crate::cli::run_line;
use crate::support::address;
use crate::support::oci::{Artifact, sha256};
use crate::support::server::Rule;

#[test]
fn one_request_tells_all_tags_of_a_repository() {
    let (machine, digest) = Machine::with_llama();
    machine.registry.page_names(3);
    let artifact = Artifact::model_pack(&llama());
    for tag in ["q5", "q6", "q8", "latest", &digest.replace(':', "-")] {
        machine.registry.push(LLAMA, tag, &artifact);
    }
    machine.registry.push("acme/tiny", "v1", &artifact);
    machine.pull("oci/acme/llama q4").unwrap();
    machine.requests();
    let listing = machine
        .manager()
        .list_remote(&RemoteOptions::default())
        .unwrap();
    let shown = listing
        .models
        .iter()
        .map(|offer| (offer.model.to_string(), offer.local));
    let expected = |name: &str, local| (name.to_owned(), local);
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            expected("oci/acme/llama latest", LocalState::Absent),
            expected("oci/acme/llama q4", LocalState::Current),
            expected("oci/acme/llama q5", LocalState::Absent),
            expected("oci/acme/llama q6", LocalState::Absent),
            expected("oci/acme/llama q8", LocalState::Absent),
            expected("oci/acme/tiny v1", LocalState::Absent),
        ]
    );
    let mut requests = machine.requests();
    requests.sort();
    assert_eq!(
        requests,
        [
            "GET _catalog",
            "GET acme/llama/tags/list",
            "GET acme/llama/tags/list",
            "GET acme/tiny/tags/list",
        ]
    );
    let found = machine
        .manager()
        .search("tiny", &SearchOptions::default().remote(true))
        .unwrap();
    assert_eq!(found.remote.len(), 1);
}

#[test]
fn all_that_match_are_pulled_as_they_are() {
    let (machine, digest) = Machine::with_llama();
    machine
        .registry
        .push("acme/tiny", "q4", &Artifact::model_pack(&llama()[..1]));
    let pattern = "oci/acme/*@q4".parse().unwrap();
    let report = machine
        .manager()
        .pull_matching(&pattern, &PullOptions::default())
        .unwrap();
    assert_eq!((report.pulled.len(), report.failed.len()), (2, 0));
    machine.assert_llama_installed("oci/acme/llama q4");
    let listed = machine.manager().list(&Default::default()).unwrap();
    assert_eq!(listed.models[0].commit, Some(digest));
    machine.requests();
    assert_eq!(
        machine.pull("oci/acme/llama q4").unwrap().outcome,
        PullOutcome::AlreadyInstalled
    );
}

#[test]
fn a_registry_without_a_catalogue_says_so() {
    let (machine, _) = Machine::with_llama();
    machine.registry.without_catalogue();
    let error = machine
        .manager()
        .list_remote(&RemoteOptions::default())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "'oci' has no catalogue of its models: name one of them"
    );
    machine.pull("oci/acme/llama q4").unwrap();
}

#[test]
fn a_model_is_described_without_fetching_a_layer() {
    let (machine, digest) = Machine::with_llama();
    let detail = machine
        .manager()
        .remote_detail(&address("oci/acme/llama q4"), &RemoteOptions::default())
        .unwrap();
    assert_eq!(detail.remote.total_bytes, Some(50_008));
    assert_eq!(detail.remote.commit, Some(digest.into()));
    let files = detail.files.iter().map(|file| file.path.as_str());
    assert_eq!(
        files.collect::<Vec<_>>(),
        ["README.md", "model.gguf", "onnx/model.onnx"]
    );
    let metadata = detail.remote.metadata.to_map();
    for (key, value) in [
        ("artifact", "modelpack"),
        ("architecture", "transformer"),
        ("license", "MIT"),
        ("size_label", "8b"),
        ("description", "Speaks to llamas"),
    ] {
        assert_eq!(metadata[key], value, "{key}");
    }
    assert_eq!(machine.requests().len(), 2);
    let blobs = llama()
        .iter()
        .map(|(_, bytes)| sha256(bytes))
        .collect::<Vec<_>>();
    assert!(
        machine
            .registry
            .requests()
            .iter()
            .all(|request| !blobs.iter().any(|blob| request.ends_with(blob)))
    );
    let sources = machine.manager().sources().unwrap();
    assert_eq!(sources[0].kind, SourceKind::OCI);
}

#[test]
fn a_list_without_end_is_read_up_to_a_number_of_names() {
    let (machine, _) = Machine::with_llama();
    let tags: Vec<String> = (0..60_000).map(|number| format!("t{number:05}")).collect();
    let page = |first: usize| serde_json::json!({ "tags": &tags[first..first + 50_000] });
    let next = |number: u32| format!("</v2/{LLAMA}/tags/list?page={number}>; rel=\"next\"");
    let lists = |page: &'static str| {
        Rule::path_contains("tags/list").and(move |request| request.query() == page)
    };
    let server = machine.registry.server();
    for (at, body, number) in [
        ("n=1000", page(0), 2),
        // The same names again are no more of them.
        ("page=2", page(0), 3),
        ("page=3", page(10_000), 4),
        ("page=4", serde_json::json!({ "tags": tags }), 5),
    ] {
        let body = body.to_string();
        let rule = lists(at).status(200).header("link", &next(number));
        server.rule(rule.body(body));
    }
    let more: Vec<String> = (0..60_000).map(|number| format!("u{number:05}")).collect();
    let more = serde_json::json!({ "tags": more }).to_string();
    let rule = lists("page=5").status(200).header("link", &next(6));
    server.rule(rule.body(more));
    let ran = run_line(&machine.mount(), "pull oci/acme/llama");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.err.contains("goes on after 120000 names"),
        "{}",
        ran.err
    );
    // As many are shown as somebody reads.
    assert!(ran.err.contains("and 119980 more"), "{}", ran.err);
    let asked = machine.requests();
    let pages = asked.iter().filter(|it| it.ends_with("tags/list"));
    assert_eq!(pages.count(), 5);
}

#[test]
fn names_in_a_catalogue_that_no_repository_has_are_left_out() {
    let (machine, _) = Machine::with_llama();
    let names = ["../../etc", "a b", "A", "a?b", LLAMA];
    let body = serde_json::json!({ "repositories": names }).to_string();
    let rule = Rule::path_contains("_catalog").status(200).body(body);
    machine.registry.server().rule(rule);
    let listing = machine.manager().list_remote(&RemoteOptions::default());
    assert_eq!(listing.unwrap().models.len(), 1);
    assert_eq!(
        machine.requests(),
        ["GET _catalog", "GET acme/llama/tags/list"]
    );
}

#[test]
fn a_command_shows_the_versions_of_a_registry_without_a_catalogue() {
    let (machine, _) = Machine::with_llama();
    let artifact = Artifact::model_pack(&llama());
    machine.registry.push(LLAMA, "q8", &artifact);
    let ran = run_line(&machine.mount(), "info oci/acme/llama --remote");
    assert_eq!((ran.code, ran.out.lines().count()), (0, 2), "{ran:?}");
    machine.registry.without_catalogue();
    let ran = run_line(&machine.mount(), "info oci/acme/llama --remote");
    assert_eq!((ran.code, &*ran.out), (2, ""), "{ran:?}");
    let expected = "choose one of: oci/acme/llama q4, oci/acme/llama q8";
    assert!(ran.err.contains(expected), "{}", ran.err);
}

#[test]
fn offline_what_would_have_to_be_asked_is_refused() {
    let (machine, _) = Machine::with_llama();
    machine.pull("oci/acme/llama q4").unwrap();
    machine.requests();
    let offline = PullOptions::default().offline(true);
    let manager = machine.manager();
    assert_eq!(
        manager
            .pull(&address("oci/acme/llama q4"), &offline)
            .unwrap()
            .outcome,
        PullOutcome::AlreadyInstalled
    );
    let error = manager
        .pull(&address("oci/acme/llama q8"), &offline)
        .unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Offline { .. }),
        "{error:?}"
    );
    assert_eq!(machine.requests(), Vec::<String>::new());
}

#[test]
fn a_command_says_what_is_left_of_a_limit() {
    let (machine, _) = Machine::with_llama();
    let rule = Rule::path_contains("/manifests/")
        .header("ratelimit-limit", "100;w=21600")
        .header("ratelimit-remaining", "12;w=21600");
    machine.registry.server().rule(rule);
    let ran = run_line(&machine.mount(), "pull oci/acme/llama:q4 --verbose");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.err.contains("ratelimit-remaining: 12;w=21600"),
        "{}",
        ran.err
    );
    let ran = run_line(&machine.mount(), "list --remote");
    assert!(ran.out.contains("oci/acme/llama\tq4"), "{}", ran.out);
}
