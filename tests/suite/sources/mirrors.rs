//! Mirrors of a chunked registry: asked in turn when the source itself fails.

use std::fs;
use std::path::Path;

use modelrack::config::HttpConfig;
use modelrack::transport::Url;
use modelrack::{Manager, ModelManager, PullOptions};

use crate::support::address;
use crate::support::platform::link_file;
use crate::support::rack::{Rack, chunks_but, quick_http, sample};
use crate::support::registry::Publication;
use crate::support::server::{Rule, Server};
use crate::support::tls::TlsFront;

/// A source on `first` with this registry's server as its mirror.
fn mirrored(rack: &Rack, first: &str) -> ModelManager {
    mirrored_with(rack, first, quick_http())
}

fn mirrored_with(rack: &Rack, first: &str, http: HttpConfig) -> ModelManager {
    let toml = format!(
        "[sources.s]\nurl = \"{first}\"\nmirrors = [\"{}\"]\n",
        rack.server.url()
    );
    rack.manager_of(rack.bare_config().http(http).bootstrap(toml))
}

fn unused_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_dead_source_is_replaced_by_its_mirror() {
    let rack = Rack::with_model();
    // Where a refusal takes its time, a second one tells no more.
    let mut http = quick_http();
    http.retry.retries = 0;
    let manager = mirrored_with(&rack, &unused_port(), http);
    manager
        .pull(&address("s/g/m v1"), &PullOptions::default())
        .unwrap();
    rack.assert_files("s/g/m v1", &sample());
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_of_the_disk() {
    let rack = Rack::with_model();
    let folder = rack.temp.path().join("loop");
    let index = folder.join("models.json");
    fs::create_dir(&folder).unwrap();
    if !link_file(Path::new("models.json"), &index) {
        return;
    }
    let url = Url::from_path(&folder).unwrap().to_string();
    let model = address("s/g/m v1");
    let source = format!("[sources.s]\nurl = \"{url}\"\n");
    let alone = rack.manager_of(rack.bare_config().bootstrap(source));
    let error = alone.pull(&model, &PullOptions::default()).unwrap_err();
    assert_eq!(error.code(), "STORAGE_ERROR", "{error}");
    assert_eq!(error.path(), Some(&*index));
    // A mirror may have it.
    let mirrored = mirrored(&rack, &url);
    mirrored.pull(&model, &PullOptions::default()).unwrap();
    rack.assert_files("s/g/m v1", &sample());
}

#[test]
fn a_source_whose_certificate_is_refused_is_replaced_by_its_mirror() {
    let rack = Rack::with_model();
    let front = TlsFront::with("self-signed", rack.server.port());
    let mut http = quick_http();
    http.certificates = vec![TlsFront::authority()];
    let manager = mirrored_with(&rack, &front.url(), http);
    manager
        .pull(&address("s/g/m v1"), &PullOptions::default())
        .unwrap();
}

#[test]
fn whatever_the_source_does_wrong_its_mirror_does_right() {
    // The rule of the first server, how often it is asked for the same thing, and for how many: the index, the manifest and
    // the first chunk, before the mirror that works is asked first.
    let faults: Vec<(&str, Rule, usize, usize)> = vec![
        ("not there", Rule::any().status(404), 1, 3),
        ("an error", Rule::any().status(500), 4, 3),
        (
            "unavailable",
            Rule::any().status(503).header("retry-after", "0"),
            4,
            3,
        ),
        ("forbidden", Rule::any().status(403), 1, 3),
        (
            "too many requests",
            Rule::any().status(429).header("retry-after", "0"),
            4,
            3,
        ),
        ("hanging up", Rule::any().close(), 4, 1),
        ("no HTTP", Rule::any().raw("garbage\r\n\r\n"), 4, 1),
        ("cut", Rule::any().cut_after(0), 4, 1),
    ];
    for (what, rule, tries, documents) in faults {
        let rack = Rack::with_model();
        let first = Server::start().folder(rack.registry());
        first.rule(rule);
        let manager = mirrored(&rack, &first.url());
        let options = PullOptions::default().concurrency(1);
        let report = manager
            .pull(&address("s/g/m v1"), &options)
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(
            report.total_bytes,
            report.bytes_fetched.min(report.total_bytes),
            "{what}"
        );
        rack.assert_files("s/g/m v1", &sample());
        assert_eq!(first.count("/models.json"), tries, "{what}");
        assert_eq!(first.requests().len(), documents * tries, "{what}");
        assert_eq!(rack.server.requests().len(), 1 + 1 + 11, "{what}");
    }
}

#[test]
fn wrong_bytes_of_the_source_come_right_from_its_mirror() {
    let rack = Rack::new();
    let published = rack.publish("g/m v1", &sample());
    let first = Server::start().folder(rack.registry());
    first.rule(Rule::path_contains("/data/").flip(3));
    let manager = mirrored(&rack, &first.url());
    let options = PullOptions::default().concurrency(1);
    manager.pull(&address("s/g/m v1"), &options).unwrap();
    rack.assert_files("s/g/m v1", &sample());
    assert_eq!(
        first.count("/data/"),
        4 + 4,
        "one manifest and one chunk, four times each"
    );
    assert_eq!(rack.chunk_requests(&[&published]).len(), published.chunks);
}

#[test]
fn a_source_that_fails_now_and_then_is_asked_again_after_its_mirror_failed() {
    let rack = Rack::new();
    let published = rack.publish("g/m v1", &sample());
    let first = Server::start().folder(rack.registry());
    // The first chunk comes from the mirror, and then the mirror has none.
    first.rule(chunks_but(&[&published]).times(1).status(404));
    rack.server.rule(chunks_but(&[&published]).times(1));
    rack.server.rule(chunks_but(&[&published]).status(404));
    let manager = mirrored(&rack, &first.url());
    let options = PullOptions::default().concurrency(1);
    manager.pull(&address("s/g/m v1"), &options).unwrap();
    rack.assert_files("s/g/m v1", &sample());
}

#[test]
fn the_error_is_that_of_the_source_itself() {
    let rack = Rack::with_model();
    let first = Server::start();
    first.rule(Rule::any().status(403));
    rack.server.rule(Rule::any().status(404));
    let manager = mirrored(&rack, &first.url());
    let error = manager
        .pull(&address("s/g/m v1"), &PullOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), "AUTHENTICATION_ERROR");
    assert_eq!(rack.listed(), (vec![], vec![]));
}

#[test]
fn a_range_that_the_source_always_sends_wrong_comes_right_from_its_mirror() {
    let rack = Rack::new();
    let file = crate::support::bytes((33 << 20) + 5, 3);
    let options = Publication {
        chunk_bytes: 64 << 20,
        ..Publication::default()
    };
    rack.publish_as("g/m v1", &[("large.bin", &file)], &options);
    let first = Server::start().folder(rack.registry());
    first.rule(
        Rule::when(|request| request.header("range") == Some("bytes=8388608-16777215")).flip(9),
    );
    let manager = mirrored(&rack, &first.url());
    manager
        .pull(&address("s/g/m v1"), &PullOptions::default())
        .unwrap();
    rack.assert_files("s/g/m v1", &[("large.bin", file)]);
}

#[test]
fn an_index_that_is_none_is_replaced_by_that_of_the_mirror() {
    for body in ["<!DOCTYPE html><p>Please sign in.", "", "[]", "{\"g\":"] {
        let rack = Rack::with_model();
        let first = Server::start().folder(rack.registry());
        first.rule(Rule::path("/models.json").body(body));
        let manager = mirrored(&rack, &first.url());
        manager
            .pull(&address("s/g/m v1"), &PullOptions::default())
            .unwrap();
        assert_eq!(first.count("/models.json"), 1, "{body}");
        assert_eq!(
            rack.server.requests().len(),
            1,
            "{body}: the index, and nothing else"
        );
    }
}
