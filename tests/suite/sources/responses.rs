//! What servers send that is not quite what was requested: web pages, compressed bodies, refusals, and validators of all
//! kinds.

use std::io::Write;
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use modelrack::{Digest, Error, Manager, PullOptions, RemoteOptions, SyncOptions};
use serde_json::json;

use crate::sources::hub::machine::{Machine, WHISPER};
use crate::support::forge::{Forge, zip};
use crate::support::rack::{Rack, chunks_but, manifest_path, quick_http, sample};
use crate::support::registry::Publication;
use crate::support::server::{Page, Rule, Server};
use crate::support::{address, bytes, chain};

/// Pages as servers send them, with what they say that it is.
const PAGES: [(&str, &str); 5] = [
    (
        "<!DOCTYPE html>\n<html><body>Sign in.</body></html>",
        "text/html; charset=utf-8",
    ),
    ("\u{feff}\n  <HTML>\n", "application/octet-stream"),
    ("<!-- portal --><h1>Welcome</h1>", "Text/HTML"),
    ("<?xml version=\"1.0\"?><html>", "application/xhtml+xml"),
    ("<html>", ""),
];

/// Puts a page in the place of what matches: at once, or behind a redirect.
fn put_page(server: &Server, rule: Rule, (body, content_type): (&str, &str), redirects: bool) {
    let page = |rule: Rule| rule.body(body).header("content-type", content_type);
    if redirects {
        server.rule(page(Rule::path("/user/login")));
        server.rule(rule.redirect(303, "/user/login?back=%2F"));
    } else {
        server.rule(page(rule));
    }
}

/// The error is about the page, and says where it came from.
#[track_caller]
fn assert_page(error: &Error, redirects: bool, what: &str) {
    let shown = chain(error);
    assert!(shown.contains("a web page"), "{what}: {shown}");
    let code = match redirects {
        true => "AUTHENTICATION_ERROR",
        false => "REGISTRY_ERROR",
    };
    assert_eq!(error.code(), code, "{what}: {shown}");
    if redirects {
        assert!(shown.contains("sign in"), "{what}: {shown}");
        assert!(shown.contains("/user/login?…"), "{what}: {shown}");
    }
}

#[test]
fn a_page_is_no_part_of_a_chunked_registry() {
    for page in PAGES {
        for redirects in [false, true] {
            for place in ["index", "manifest", "chunk"] {
                let rack = Rack::new();
                let published = rack.publish("g/m v1", &[("a", bytes(100, 1))]);
                let rule = match place {
                    "index" => Rule::path("/models.json"),
                    "manifest" => Rule::path(manifest_path(&published)),
                    _ => chunks_but(&[&published]),
                };
                put_page(&rack.server, rule, page, redirects);
                let error = rack.pull("g/m v1").unwrap_err();
                assert_page(&error, redirects, &format!("{place} {page:?}"));
                assert!(rack.listed().0.is_empty());
                let count = rack.server.requests().len();
                let expected = ["index", "manifest", "chunk"]
                    .iter()
                    .position(|it| *it == place);
                let expected = expected.unwrap() + 1 + usize::from(redirects);
                assert_eq!(count, expected, "{place}: nothing is requested again");
            }
        }
    }
}

#[test]
fn another_mirror_has_what_one_has_a_page_for() {
    let rack = Rack::with_model();
    let portal = Server::start();
    portal.rule(Rule::any().html());
    let toml = format!(
        "[sources.s]\nurl = \"{}\"\nmirrors = [\"{}\"]\n",
        portal.url(),
        rack.server.url()
    );
    let manager = rack.manager_of(rack.bare_config().http(quick_http()).bootstrap(toml));
    manager
        .pull(&address("s/g/m v1"), &PullOptions::default())
        .unwrap();
    rack.assert_files("s/g/m v1", &sample());
}

#[test]
fn a_page_that_is_what_was_published_is_data() {
    let rack = Rack::new();
    let page = b"<!DOCTYPE html>\n<title>A model card</title>".to_vec();
    let files = [("card.html", page.clone()), ("w", bytes(50, 1))];
    rack.publish("g/m v1", &files);
    let data = Rule::path_starts("/data/").header("content-type", "text/html");
    rack.server.rule(data);
    rack.pull("g/m v1").unwrap();
    rack.assert_files("g/m v1", &files);
    // The same from the Hub, and a document that is labelled wrong, as scripts do.
    let machine = Machine::new();
    machine
        .hub
        .repo("o/n")
        .commit("main", [("card", page.clone())]);
    let rules = machine.hub.server();
    rules.rule(Rule::path_starts("/api/").header("content-type", "text/html"));
    rules.rule(Rule::path_contains("/resolve/").header("content-type", "text/html"));
    machine.pull("hf/o/n").unwrap();
    machine.rack.assert_files("hf/o/n main", &[("card", page)]);
}

#[test]
fn a_page_is_no_file_of_the_hub_and_no_answer_of_it() {
    for page in PAGES {
        for redirects in [false, true] {
            for place in ["/api/models/", "config.json", "/cdn/"] {
                let (machine, _, _) = Machine::with_whisper();
                let server = machine.hub.server();
                put_page(server, Rule::path_contains(place), page, redirects);
                let error = machine.pull(WHISPER).unwrap_err();
                // The Hub itself redirects to where large files are.
                let is_elsewhere = redirects || place == "/cdn/";
                let shown = chain(&error);
                assert!(shown.contains("a web page"), "{place}: {shown}");
                let code = match is_elsewhere {
                    true => "AUTHENTICATION_ERROR",
                    false => "REGISTRY_ERROR",
                };
                assert_eq!(error.code(), code, "{place}: {shown}");
                assert!(machine.installed().is_empty());
                let of_place = machine.hub.server().count("/user/login");
                assert!(of_place <= 2, "{place}: nothing is requested again");
            }
        }
    }
}

/// A repository `o/n` with the model `m`, on the branch `main` and as the release `v1`.
fn site(reference: &str) -> (Rack, Forge, modelrack::ModelManager) {
    let rack = Rack::new();
    let forge = Forge::start();
    let toml =
        |asset: &str| format!("{asset}[files]\n\"m/a.txt\" = {{}}\n[models]\nm = [\"m/a.txt\"]\n");
    let files = [("m/a.txt".to_owned(), b"text".to_vec())];
    let repo = forge.repo("o/n");
    let registry = (".registry/models.toml".to_owned(), toml("").into_bytes());
    repo.commit("main", [files[0].clone(), registry]);
    repo.release(
        "v1",
        [
            ("models.toml", toml("asset = \"all.zip\"\n").into_bytes()),
            ("all.zip", zip(&files)),
        ],
    );
    let toml = format!(
        "[sources.t]\nrepo = \"o/n\"\nserver = \"{}\"\nrefs = [\"{reference}\"]\n",
        forge.url()
    );
    let manager = rack.manager_of(rack.bare_config().http(quick_http()).bootstrap(toml));
    (rack, forge, manager)
}

#[test]
fn a_page_is_no_release_and_no_answer_of_git() {
    for page in PAGES {
        for redirects in [false, true] {
            let sync = |place: &str, reference: &str| {
                let (rack, forge, manager) = site(reference);
                put_page(forge.server(), Rule::path_contains(place), page, redirects);
                let mut report = manager.sync(&SyncOptions::default()).unwrap();
                (report.failed.pop().map(|it| it.error), rack, forge, manager)
            };
            // Servers that have such a page for each release that does not exist, and for each API.
            let (error, rack, _forge, manager) = sync("/releases/download/main/", "main");
            assert!(error.is_none(), "{error:?}");
            let (model, options) = (address("t/m main"), PullOptions::default());
            manager.pull(&model, &options).unwrap();
            rack.assert_files("t/m main", &[("a.txt", "text")]);
            for place in ["/info/refs", "/raw/"] {
                let (error, ..) = sync(place, "main");
                assert_page(&error.unwrap(), redirects, place);
            }
            let (error, rack, _forge, manager) = sync("/all.zip", "v1");
            assert!(error.is_none(), "{error:?}");
            let error = manager.pull(&address("t/m v1"), &options).unwrap_err();
            let shown = chain(&error);
            assert!(shown.contains("a web page"), "{shown}");
            assert!(rack.listed().0.is_empty());
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A rule that compresses what matches, though nobody asked for it, and answers ranges of what is compressed.
fn compress(rack: &Rack, path: &str, coding: &str, encode: impl Fn(&[u8]) -> Vec<u8>) {
    let file = std::fs::read(rack.registry().join(&path[1..])).unwrap();
    rack.server.put(path, encode(&file));
    let rule =
        Rule::path(path).and(|request| request.header("accept-encoding") == Some("identity"));
    rack.server.rule(rule.header("content-encoding", coding));
}

#[test]
fn bodies_that_are_compressed_unasked_are_decoded() {
    type Encode = fn(&[u8]) -> Vec<u8>;
    let deflate: Encode = |bytes| {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    // Some servers send members one after the other.
    let in_members: Encode = |bytes| {
        let (one, other) = bytes.split_at(bytes.len() / 2);
        [gzip(one), gzip(other)].concat()
    };
    let codings: [(&str, Encode); 7] = [
        ("gzip", gzip),
        ("X-GZIP", in_members),
        ("deflate", deflate),
        ("deflate, gzip", |bytes| {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).unwrap();
            gzip(&encoder.finish().unwrap())
        }),
        ("aws-chunked", <[u8]>::to_vec),
        ("utf-8", <[u8]>::to_vec),
        ("", <[u8]>::to_vec),
    ];
    for (coding, encode) in codings {
        let rack = Rack::new();
        let text = "all the same\n".repeat(400).into_bytes();
        let large = vec![7; (33 << 20) + 1];
        let options = Publication {
            chunk_bytes: 64 << 20,
            ..Publication::default()
        };
        rack.publish_as("g/text v1", &[("a", &text)], &options);
        rack.publish_as("g/large v1", &[("b", &large)], &options);
        let data = std::fs::read_dir(rack.registry().join("data")).unwrap();
        let data = data.map(|entry| format!("/data/{}", entry.unwrap().file_name().display()));
        for path in data.chain(["/models.json".to_owned()]) {
            compress(&rack, &path, coding, encode);
        }
        for (model, file) in [("g/text v1", ("a", &text)), ("g/large v1", ("b", &large))] {
            let pulled = rack.pull(model);
            pulled.unwrap_or_else(|error| panic!("{coding}: {error:?}"));
            rack.assert_files(model, &[file]);
        }
    }
}

#[test]
fn what_cannot_be_decoded_is_named_and_requested_once() {
    for coding in ["br", "zstd", "gzip, br", "compress"] {
        let rack = Rack::with_model();
        rack.server
            .rule(Rule::path("/models.json").header("content-encoding", coding));
        let error = rack.pull("g/m v1").unwrap_err();
        assert_eq!(error.code(), "NETWORK_ERROR", "{coding}");
        let shown = chain(&error);
        let name = coding.trim_start_matches("gzip, ");
        assert!(shown.contains(&format!("({name})")), "{shown}");
        assert_eq!(rack.server.requests().len(), 1, "{coding}");
    }
    for spoil in [|rule: Rule| rule.flip(20), |rule: Rule| rule.flip(3)] {
        let rack = Rack::with_model();
        compress(&rack, "/models.json", "gzip", gzip);
        rack.server.clear_rules();
        let rule = Rule::path("/models.json").header("content-encoding", "gzip");
        rack.server.rule(spoil(rule).times(1));
        rack.server
            .rule(Rule::path("/models.json").header("content-encoding", "gzip"));
        rack.pull("g/m v1").unwrap();
    }
    // Nor is it said that the connection failed where what came is not compressed at all.
    let rack = Rack::with_model();
    rack.server
        .rule(Rule::path("/models.json").header("content-encoding", "gzip"));
    let error = rack.pull("g/m v1").unwrap_err();
    assert!(
        chain(&error).contains("the server sent an invalid response"),
        "{}",
        chain(&error)
    );
}

#[test]
fn an_archive_that_is_labelled_as_compressed_stays_as_it_is() {
    let rack = Rack::new();
    let file = gzip(&bytes(3000, 1));
    let options = Publication {
        chunk_bytes: 1 << 20,
        ..Publication::default()
    };
    rack.publish_as("g/m v1", &[("w.tar.gz", &file)], &options);
    let chunk = format!("/data/{}", Digest::of(&file));
    rack.server
        .rule(Rule::path(chunk).header("content-encoding", "x-gzip"));
    rack.pull("g/m v1").unwrap();
    rack.assert_files("g/m v1", &[("w.tar.gz", &file)]);
    // Without digest and size, the name decides.
    let machine = Machine::new();
    let commit = "0123456789012345678901234567890123456789";
    let about = json!({"id": "o/n", "sha": commit, "siblings": [{"rfilename": "w.gz"}]});
    let server = machine.hub.server();
    server.put(
        "/api/models/o/n/revision/main?blobs=true",
        about.to_string(),
    );
    server.put(&format!("/o/n/resolve/{commit}/w.gz"), file.clone());
    server.rule(Rule::path_ends("/w.gz").header("content-encoding", "x-gzip"));
    machine.pull("hf/o/n").unwrap();
    machine.rack.assert_files("hf/o/n main", &[("w.gz", &file)]);
}

const CHANGED: &str = "Fri, 27 Nov 2026 10:00:00 GMT";

/// A sync of everything: whether something was new.
#[track_caller]
fn is_new(manager: &dyn Manager, options: &SyncOptions) -> bool {
    let report = manager.sync(options).unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    assert_eq!(report.synced.len() + report.skipped.len(), 1);
    report.skipped.is_empty()
}

#[test]
fn a_server_without_tags_is_asked_for_changes_since_the_last() {
    let always = SyncOptions::default();
    for (date, is_asked) in [
        ("Fri, 27 Nov 2026 10:00:01 GMT", true),
        ("Sun, 29 Nov 2026 10:00:00 GMT", true),
        // What changes within the same second has the same time.
        (CHANGED, false),
        ("Fri, 27 Nov 2026 09:59:00 GMT", false),
    ] {
        let (rack, forge, of_release) = site("v1");
        let rack_index = Rack::with_model();
        let of_index = rack_index.manager();
        for (server, place, manager) in [
            (&rack_index.server, "/models.json", &of_index),
            (forge.server(), "/storage/o/n/v1/models.toml", &of_release),
        ] {
            let known = |request: &crate::support::server::Request| {
                request.header("if-modified-since") == Some(CHANGED)
            };
            server.rule(Rule::path(place).and(known).status(304));
            let rule = Rule::path(place)
                .without_header("etag")
                .header("date", date);
            server.rule(rule.header("last-modified", CHANGED));
            assert!(is_new(manager, &always));
            assert!(!is_new(manager, &always), "{place} {date}");
            let last = server.requests().pop().unwrap();
            assert_eq!(last.status == 304, is_asked, "{place} {date}");
            assert_eq!(last.header("if-none-match"), None);
            server.reset_counts();
            assert!(is_new(manager, &always.clone().force(true)), "{place}");
            let last = server.requests().pop().unwrap();
            assert_eq!(last.header("if-modified-since"), None, "{place}");
        }
        drop(rack);
    }
}

#[test]
fn a_sync_that_is_forced_fetches_what_is_unchanged() {
    let rack = Rack::with_model();
    let manager = rack.manager();
    let force = SyncOptions::default().force(true);
    assert!(is_new(&manager, &SyncOptions::default()));
    assert!(!is_new(&manager, &SyncOptions::default()));
    assert_eq!(rack.server.requests().last().unwrap().status, 304);
    assert!(is_new(&manager, &force));
    let last = rack.server.requests().pop().unwrap();
    assert_eq!((last.status, last.header("if-none-match")), (200, None));
}

#[test]
fn tags_that_differ_from_node_to_node_make_no_change() {
    let rack = Rack::with_model();
    let index = std::fs::read(rack.registry().join("models.json")).unwrap();
    let node = Server::start();
    let state = Arc::new(Mutex::new((0, index)));
    node.routes(&state, |(count, index), _| {
        *count += 1;
        Page::file(index.clone().into(), &format!("node-{count}"))
    });
    let manager = rack.manager_of(rack.config().registry_url(node.url()));
    assert!(is_new(&manager, &SyncOptions::default()));
    assert!(!is_new(&manager, &SyncOptions::default()));
    let statuses: Vec<u16> = node.requests().iter().map(|it| it.status).collect();
    assert_eq!(statuses, [200, 200]);
}

#[test]
fn a_bucket_denies_what_does_not_exist() {
    let denied = |path: &str| {
        let body = "<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code></Error>";
        let rule = Rule::path_contains(path).status(403).body(body);
        rule.header("content-type", "application/xml")
    };
    for (path, requests) in [("/models.json", 1), ("/data/", 2)] {
        let rack = Rack::with_model();
        rack.server.rule(denied(path));
        let error = rack.pull("g/m v1").unwrap_err();
        assert_eq!(error.code(), "AUTHENTICATION_ERROR");
        let shown = chain(&error);
        assert!(shown.contains("or the file does not exist"), "{shown}");
        assert_eq!(rack.server.requests().len(), requests);
    }
    // What may be missing, is.
    let rack = Rack::with_model();
    rack.server.rule(denied(".minisig"));
    let toml = format!(
        "[sources.s]\nurl = \"{}\"\npublic_key = \"RWQoi38cIpOL0rqq8QFyYpqzyCFYVIC17y2wYs6TvSSBHVsEIPrayB2q\"\n",
        rack.server.url()
    );
    let manager = rack.manager_of(rack.bare_config().bootstrap(toml));
    let error = manager.list_remote(&RemoteOptions::default()).unwrap_err();
    assert!(chain(&error).contains("there is no signature"), "{error:?}");
    let (_rack, forge, manager) = site("main");
    forge.server().rule(denied("/releases/"));
    assert!(is_new(&manager, &SyncOptions::default()));
}
