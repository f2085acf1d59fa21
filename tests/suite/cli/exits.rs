//! How each kind of failure ends: exit code and error code, for people and for programs.

use modelrack::cli::Mount;
use modelrack::error::AuthFailure;
use modelrack::transport::Url;
use modelrack::{CancelToken, Error, ErrorKind};
use serde_json::json;

use super::recording::Recording;
use super::{Ran, mount, run_line};
use crate::support::rack::{Rack, sample};
use crate::support::registry::HandMade;
use crate::support::server::Rule;

/// A command line, what was done before it, and how it ends.
struct Case {
    what: &'static str,
    line: &'static str,
    prepare: fn(&Rack),
    /// Runs it with a mount of another kind.
    mount: fn(&Rack) -> Mount,
    code: u8,
    error: &'static str,
}

fn case(what: &'static str, line: &'static str, code: u8, error: &'static str) -> Case {
    Case {
        what,
        line,
        prepare: |_| {},
        mount,
        code,
        error,
    }
}

impl Case {
    fn prepare(mut self, prepare: fn(&Rack)) -> Self {
        self.prepare = prepare;
        self
    }

    fn mount(mut self, mount: fn(&Rack) -> Mount) -> Self {
        self.mount = mount;
        self
    }
}

fn spoil_index(rack: &Rack, rule: fn(Rule) -> Rule) {
    rack.server.rule(rule(Rule::path("/models.json")));
}

fn spoil_chunks(rack: &Rack, rule: fn(Rule) -> Rule) {
    let manifest = rack.index()["g"]["m"]["v1"]["hash"]
        .as_str()
        .unwrap()
        .to_owned();
    rack.server.rule(rule(
        Rule::path_starts("/data/").and(move |request| !request.path.contains(&manifest)),
    ));
}

fn failing(rack: &Rack, error: Error) -> Mount {
    mount(rack).manager(Recording::failing(error))
}

fn cases() -> Vec<Case> {
    vec![
        case("no source", "list --remote", 1, "CONFIG_ERROR")
            .mount(|rack| Mount::new(rack.bare_config()).environment(rack.environment())),
        case("a broken configuration", "list", 1, "CONFIG_ERROR").mount(|rack| {
            let config = rack.config().bootstrap("[sources.a]\nurls = 1\n");
            Mount::new(config).environment(rack.environment())
        }),
        case("a malformed index", "list --remote", 1, "REGISTRY_ERROR")
            .prepare(|rack| rack.server.put("/models.json", "{\"g\": 1}")),
        case("a hostile manifest", "pull g/m", 1, "REGISTRY_ERROR").prepare(|rack| {
            let made = HandMade::plain(&[("../x", b"x")], 1);
            made.serve_as(&rack.server, "g", "m", "v1");
        }),
        case(
            "a file that nothing vouches for",
            "pull g/m --require-hashes",
            1,
            "REGISTRY_ERROR",
        )
        .mount(|rack| {
            let error = Error::from(ErrorKind::Unverifiable {
                files: 1,
                first: "x".into(),
            });
            failing(rack, error)
        }),
        case("a lock that is not given up", "prune -y", 1, "LOCKED").mount(|rack| {
            let error = Error::from(ErrorKind::Locked {
                path: rack.store().join("registry.json.lock"),
                holder: Some("process 1".into()),
                waited: std::time::Duration::from_secs(30),
            });
            failing(rack, error)
        }),
        case(
            "a name that leaves its folder",
            "pull ../m v1",
            2,
            "INVALID_REF",
        ),
        case(
            "a version that is given twice",
            "pull g/m@v1 v1",
            2,
            "INVALID_REF",
        ),
        case(
            "several versions and none named",
            "pull g/m",
            2,
            "INVALID_REF",
        )
        .prepare(|rack| {
            rack.publish("g/m v2", &sample());
        }),
        case(
            "several installed and none named",
            "path g/m",
            2,
            "INVALID_REF",
        )
        .prepare(|rack| {
            rack.publish("g/m v2", &sample());
            rack.pull("g/m v1").unwrap();
            rack.pull("g/m v2").unwrap();
        }),
        case(
            "an unknown source",
            "list --source nobody",
            2,
            "INVALID_ARGUMENT",
        ),
        case("an empty query", "search \u{a0}", 2, "INVALID_ARGUMENT"),
        case(
            "all versions and one of them",
            "remove g/m v1 --all",
            2,
            "INVALID_ARGUMENT",
        ),
        case("nobody to ask", "remove g/m v1", 2, "INVALID_ARGUMENT")
            .prepare(|rack| drop(rack.pull("g/m v1").unwrap())),
        case("an unknown model", "pull g/n v1", 3, "MODEL_NOT_FOUND"),
        case(
            "an unknown version",
            "info g/m v9 --remote",
            3,
            "VERSION_NOT_FOUND",
        ),
        case("no such model here", "path g/m v1", 4, "NOT_INSTALLED"),
        case(
            "nothing to remove",
            "remove g/m --all -y",
            4,
            "NOT_INSTALLED",
        ),
        case("nothing to verify", "verify g/m v1", 4, "NOT_INSTALLED"),
        case("nothing to update", "update g/m", 4, "NOT_INSTALLED"),
        case("a server that fails", "list --remote", 5, "NETWORK_ERROR")
            .prepare(|rack| spoil_index(rack, |rule| rule.status(500))),
        case("no index", "list --remote", 5, "NETWORK_ERROR")
            .prepare(|rack| spoil_index(rack, |rule| rule.status(404))),
        case(
            "a chunk that is not there",
            "pull g/m v1",
            5,
            "NETWORK_ERROR",
        )
        .prepare(|rack| spoil_chunks(rack, |rule| rule.status(404))),
        case("a body that is cut", "pull g/m v1", 5, "NETWORK_ERROR")
            .prepare(|rack| spoil_chunks(rack, |rule| rule.cut_after(0))),
        case("offline", "pull g/m v1 --offline", 5, "OFFLINE"),
        case("too many requests", "pull g/m v1", 5, "RATE_LIMITED").prepare(|rack| {
            spoil_chunks(rack, |rule| rule.status(429).header("retry-after", "77"));
        }),
        case("other bytes", "pull g/m v1", 6, "HASH_MISMATCH")
            .prepare(|rack| spoil_chunks(rack, |rule| rule.flip(1))),
        case("a file in the way", "copy g/m v1 ws", 7, "STORAGE_ERROR").mount(|rack| {
            let error = Error::from(ErrorKind::Storage {
                action: "write",
                path: rack.store().join("x"),
                source: std::io::ErrorKind::AlreadyExists.into(),
            });
            failing(rack, error)
        }),
        case("a model in the way", "pull g/m/v1 x", 7, "STORAGE_ERROR").prepare(|rack| {
            rack.pull("g/m v1").unwrap();
            rack.publish("g/m/v1 x", &sample());
        }),
        case(
            "a place of somebody else",
            "prune -y",
            7,
            "PERMISSION_ERROR",
        )
        .mount(|rack| {
            let error = Error::from(ErrorKind::Permission {
                action: "write",
                path: rack.store(),
                source: std::io::ErrorKind::PermissionDenied.into(),
            });
            failing(rack, error)
        }),
        case(
            "a model larger than the disk",
            "pull g/m v1",
            7,
            "INSUFFICIENT_SPACE",
        )
        .prepare(|rack| {
            let size = 1_u64 << 52;
            let made = HandMade::plain(&[("x", b"x")], 1).with(|manifest| {
                manifest["total_size"] = json!(size);
                manifest["chunk_size"] = json!(size);
                manifest["files"][0]["size"] = json!(size);
            });
            made.serve_as(&rack.server, "g", "m", "v1");
        }),
        case(
            "credentials are asked for",
            "list --remote",
            8,
            "AUTHENTICATION_ERROR",
        )
        .prepare(|rack| spoil_index(rack, |rule| rule.status(401))),
        case(
            "access is refused",
            "pull g/m v1",
            8,
            "AUTHENTICATION_ERROR",
        )
        .prepare(|rack| spoil_chunks(rack, |rule| rule.status(403))),
        case(
            "terms are not accepted",
            "pull g/m v1",
            8,
            "AUTHENTICATION_ERROR",
        )
        .mount(|rack| {
            let url = Url::parse("https://hub.example/g/m").unwrap();
            let error = Error::from(ErrorKind::Authentication {
                url: Box::new(url),
                failure: AuthFailure::Gated,
                token_variable: None,
                token_origin: None,
                registry: None,
                reason: None,
                looked_at: Vec::new(),
            });
            failing(rack, error)
        }),
        case("cancelled", "pull g/m v1", 130, "CANCELLED").mount(|rack| {
            let cancel = CancelToken::new();
            cancel.cancel();
            mount(rack).cancel(cancel)
        }),
    ]
}

fn run(case: &Case, more: &str) -> Ran {
    let rack = Rack::with_model();
    (case.prepare)(&rack);
    run_line(&(case.mount)(&rack), &format!("{}{more}", case.line))
}

#[test]
fn every_failure_has_its_exit_code_and_says_why() {
    for case in cases() {
        let ran = run(&case, "");
        assert_eq!(ran.code, case.code, "{}: {ran:?}", case.what);
        assert_eq!(ran.out, "", "{}", case.what);
        // Where everything takes long, the progress was told first.
        let said = ran.err.lines().find(|line| !line.contains("% of "));
        let said = said.unwrap_or_default();
        assert!(said.starts_with("models: "), "{}: {ran:?}", case.what);
        let quiet = run(&case, " --quiet");
        assert_eq!(quiet.code, case.code, "{}", case.what);
        assert!(
            quiet.err.starts_with("models: "),
            "{}: {quiet:?}",
            case.what
        );
    }
}

#[test]
fn programs_get_every_failure_as_one_document() {
    for case in cases() {
        let ran = run(&case, " --json");
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (case.code, ""),
            "{}: {ran:?}",
            case.what
        );
        let error = &ran.json()["error"];
        assert_eq!(error["code"], case.error, "{}", case.what);
        let keys: Vec<_> = error.as_object().unwrap().keys().cloned().collect();
        for key in ["code", "message", "causes", "hint", "retry_after"] {
            assert!(keys.iter().any(|has| has == key), "{}: {keys:?}", case.what);
        }
        assert!(
            !error["message"].as_str().unwrap().is_empty(),
            "{}",
            case.what
        );
        assert!(error["causes"].is_array(), "{}", case.what);
    }
}

#[test]
fn what_was_asked_for_and_is_so_already_is_a_success() {
    let rack = Rack::with_model();
    for line in [
        "list",
        "list --remote",
        "pull g/m v1 --dry-run",
        "pull g/m v1",
        "pull g/m v1",
        "pull g/m v1 --dry-run",
        "pull g/m v1 --offline",
        "update",
        "update --apply",
        "verify",
        "verify --repair",
        "prune",
        "search none",
        "list none",
        "info",
    ] {
        assert_eq!(super::models(&rack, line).code, 0, "{line}");
    }
}

#[test]
fn a_command_line_that_means_nothing_is_refused_by_the_parser() {
    let rack = Rack::with_model();
    for line in [
        "dance",
        "pull",
        "path a b c",
        "pull g/m --concurrency 0",
        "pull g/m --concurrency 17",
        "pull g/m --concurrency many",
        "list --status somehow",
        "list --remote --status available",
        "list -j",
        "info --remote",
        "copy g/m",
        "search",
        #[cfg(feature = "author")]
        "registry publish x",
        #[cfg(feature = "author")]
        "registry publish x --to y --chunk-size huge",
    ] {
        let ran = super::models(&rack, line);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{line}");
        assert!(ran.err.starts_with("error: "), "{line}: {}", ran.err);
    }
    assert_eq!(rack.server.requests().len(), 0);
}
