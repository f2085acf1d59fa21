//! The shape of what is printed: help, errors, documents.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use modelrack::error::{AuthFailure, BoxError, CertificateProblem, LockProblem, TlsProblem};
use modelrack::transport::Url;
use modelrack::{Error, ErrorKind};
use serde_json::{Value, json};

use super::recording::Recording;
use super::snapshot::assert_snapshot;
use super::{Sinks, mount, run_line, run_words};
use crate::support::disk::{flip, write_files};
use crate::support::rack::{Rack, chunks_but, sample};
use crate::support::registry::Publication;

fn url() -> Box<Url> {
    Box::new(Url::parse("https://user:secret@models.example.org/data/ab?sig=1").unwrap())
}

fn words(text: &str) -> Option<BoxError> {
    Some(text.into())
}

fn step(step: &str, source: Error) -> Error {
    source.step(step)
}

fn certificate(problem: CertificateProblem, message: &str) -> Error {
    Error::from(ErrorKind::Certificate {
        url: url(),
        problem,
        message: message.to_owned(),
    })
}

fn tls(problem: TlsProblem, message: &str) -> Error {
    Error::from(ErrorKind::Tls {
        url: url(),
        problem,
        message: message.to_owned(),
    })
}

fn unusable(problem: LockProblem, message: &str) -> Error {
    Error::from(ErrorKind::UnusableLock {
        location: "models.lock".to_owned(),
        problem,
        message: message.to_owned(),
    })
}

fn proxy(status: u16, authorized: bool, variable: Option<&'static str>) -> Error {
    Error::from(ErrorKind::Proxy {
        url: url(),
        proxy: "proxy.example:3128".to_owned(),
        status,
        authorized,
        variable,
    })
}

/// One of each kind, and of each that is told in another way.
fn errors() -> Vec<Error> {
    let text = |text: &str| text.to_owned();
    let path = || PathBuf::from("store/registry.json");
    let network = |status, message: &str| {
        Error::from(ErrorKind::Network {
            url: url(),
            status,
            message: message.into(),
            server_code: None,
            source: None,
        })
    };
    let authentication = |failure, token_variable| {
        Error::from(ErrorKind::Authentication {
            url: url(),
            failure,
            token_variable,
            token_origin: None,
            registry: None,
            reason: None,
            looked_at: Vec::new(),
        })
    };
    let registry = |failure, origin: Option<&str>, looked_at: &[&str]| {
        Error::from(ErrorKind::Authentication {
            url: url(),
            failure,
            token_variable: None,
            token_origin: origin.map(text),
            registry: Some(text("docker.io")),
            reason: (failure == AuthFailure::UnsafeTokenService)
                .then(|| text("http://192.0.2.1/token")),
            looked_at: looked_at.iter().map(|place| text(place)).collect(),
        })
    };
    let invalid = |choices| {
        Error::from(ErrorKind::InvalidRef {
            input: text("g/m"),
            message: text("has several versions"),
            choices,
        })
    };
    vec![
        Error::from(ErrorKind::NotSynced {
            source_name: text("mf6/test"),
            references: vec![text("develop"), text("master")],
            source: None,
        }),
        Error::from(ErrorKind::NotSynced {
            source_name: text("mf6/test"),
            references: vec![text("develop")],
            source: words("connection refused (https://git.example.org/o/n)"),
        }),
        Error::from(ErrorKind::NotSynced {
            source_name: text("o/n"),
            references: Vec::new(),
            source: None,
        }),
        Error::from(ErrorKind::Config {
            message: text("models.toml is no TOML"),
            source: words("expected '='"),
        }),
        Error::from(ErrorKind::NoSource),
        Error::from(ErrorKind::Unsupported {
            method: "plan_pull",
        }),
        Error::from(ErrorKind::Registry {
            location: text("https://models.example.org/models.json"),
            message: text("the index is malformed"),
            source: words("expected `,` at line 3"),
        }),
        invalid(vec![text("v1"), text("v2")]),
        invalid(vec![]),
        Error::from(ErrorKind::DamagedRegistry {
            path: PathBuf::from(".registry/models.toml"),
            message: text("the registry is empty"),
            source: None,
        }),
        Error::from(ErrorKind::DamagedTarget {
            location: text("public/models.json"),
            source: words("expected `,` at line 3"),
        }),
        Error::from(ErrorKind::RegistryTooLarge {
            path: PathBuf::from(".registry/models.toml"),
            size_bytes: 11,
            max_bytes: 10,
        }),
        Error::from(ErrorKind::DamagedCache {
            path: PathBuf::from("cache/models.index"),
            source: words("expected `,` at line 3"),
        }),
        Error::from(ErrorKind::OriginUnknown {
            source_name: text("mf6/test"),
        }),
        Error::from(ErrorKind::IndexNotFound {
            url: url(),
            origin: Some(text("RACK_MODELS_REGISTRY_URL")),
        }),
        Error::from(ErrorKind::IndexNotFound {
            url: url(),
            origin: None,
        }),
        Error::from(ErrorKind::ModelNotFound {
            model: text("hf/o/m"),
            near: vec![],
            sources: vec![],
            token_variable: Some("HF_TOKEN"),
            registry: None,
        }),
        Error::from(ErrorKind::VersionNotFound {
            model: text("hf/o/m"),
            version: text("v9"),
            near: vec![],
            is_revision: true,
        }),
        Error::from(ErrorKind::RateLimited {
            url: url(),
            retry_after: None,
            token_variable: Some("GITHUB_TOKEN"),
            registry: None,
            reason: None,
        }),
        Error::from(ErrorKind::InvalidArgument {
            message: text("the query is empty"),
        }),
        Error::from(ErrorKind::ModelNotFound {
            model: text("g/n"),
            near: vec![text("g/m"), text("g/o")],
            sources: vec![],
            token_variable: None,
            registry: None,
        }),
        Error::from(ErrorKind::ModelNotFound {
            model: text("g/n"),
            near: vec![],
            sources: vec![],
            token_variable: None,
            registry: None,
        }),
        Error::from(ErrorKind::VersionNotFound {
            model: text("g/m"),
            version: text("v9"),
            near: vec![text("v1")],
            is_revision: false,
        }),
        Error::from(ErrorKind::VersionNotFound {
            model: text("g/m"),
            version: text("v9"),
            near: vec![],
            is_revision: false,
        }),
        Error::from(ErrorKind::NotInstalled {
            model: text("g/m v1"),
            near: vec![text("g/m v2")],
        }),
        Error::from(ErrorKind::FolderMissing {
            model: text("g/m v1"),
            path: PathBuf::from("store/g/m/v1"),
        }),
        Error::from(ErrorKind::Damaged {
            model: text("g/m v1"),
            files: 1,
            first: text("model.bin"),
        }),
        Error::from(ErrorKind::Damaged {
            model: text("g/m v1"),
            files: 3,
            first: text("model.bin"),
        }),
        Error::from(ErrorKind::NotRegistered {
            id: text("sri"),
            near: vec![text("sir")],
        }),
        Error::from(ErrorKind::NotRegistered {
            id: text("sri"),
            near: vec![],
        }),
        Error::from(ErrorKind::NotPublishable {
            findings: vec![text("model 'sir': Model file not found: sir.py")],
        }),
        Error::from(ErrorKind::NotPublishable {
            findings: vec![text("model 'a': one"), text("target 'b': two")],
        }),
        Error::from(ErrorKind::LockStale {
            path: PathBuf::from("models.lock"),
            models: vec![text("g/m v1")],
        }),
        Error::from(ErrorKind::LockStale {
            path: PathBuf::from("models.lock"),
            models: vec![text("g/m v1"), text("g/n v1")],
        }),
        unusable(LockProblem::Missing, "there is no lock"),
        unusable(LockProblem::Unmerged, "line 3: a merge is unfinished here"),
        unusable(LockProblem::LaterVersion, "the lock has version 2"),
        unusable(LockProblem::Malformed, "the lock is malformed: line 3"),
        Error::from(ErrorKind::NotInstalled {
            model: text("g/m v1"),
            near: vec![],
        }),
        step(
            "pull fast-whisper/tiny fp16",
            step("chunk 3/8", network(None, "connection timed out")),
        ),
        network(Some(404), "404 Not Found"),
        network(Some(503), "503 Service Unavailable"),
        Error::from(ErrorKind::Offline {
            needed: text("the index of https://models.example.org/"),
            variable: Some(text("RACK_MODELS_OFFLINE")),
        }),
        Error::from(ErrorKind::RateLimited {
            url: url(),
            retry_after: Some(Duration::from_secs(9)),
            token_variable: None,
            registry: None,
            reason: None,
        }),
        Error::from(ErrorKind::RateLimited {
            url: url(),
            retry_after: None,
            token_variable: None,
            registry: None,
            reason: None,
        }),
        Error::from(ErrorKind::RateLimited {
            url: url(),
            retry_after: None,
            token_variable: None,
            registry: Some(text("docker.io")),
            reason: Some(text("TOOMANYREQUESTS: wait; ratelimit-limit: 100;w=21600")),
        }),
        Error::from(ErrorKind::ModelNotFound {
            model: text("ghcr.io/o/m"),
            near: vec![],
            sources: vec![],
            token_variable: None,
            registry: Some(text("ghcr.io")),
        }),
        registry(
            AuthFailure::Missing,
            None,
            &["/home/ada/.docker/config.json does not exist"],
        ),
        registry(AuthFailure::Missing, None, &[]),
        registry(
            AuthFailure::Refused,
            Some("/home/ada/.docker/config.json"),
            &["/home/ada/.docker/config.json has a login for it"],
        ),
        registry(
            AuthFailure::Refused,
            Some("[sources.hub] in /app/models.toml"),
            &[],
        ),
        registry(
            AuthFailure::Forbidden,
            None,
            &["/home/ada/.docker/config.json does not exist"],
        ),
        registry(AuthFailure::UnsafeTokenService, None, &[]),
        Error::from(ErrorKind::HashMismatch {
            what: text("chunk 3/8"),
            expected: "a".repeat(64),
            actual: "b".repeat(64),
        }),
        Error::from(ErrorKind::SizeMismatch {
            what: text("chunk 3/8"),
            expected_bytes: 10,
            actual_bytes: 11,
        }),
        Error::from(ErrorKind::Unverifiable {
            files: 2,
            first: text("a.bin"),
        }),
        Error::from(ErrorKind::Storage {
            action: "read",
            path: path(),
            source: io::ErrorKind::InvalidData.into(),
        }),
        Error::from(ErrorKind::Storage {
            action: "copy",
            path: path(),
            source: io::ErrorKind::AlreadyExists.into(),
        }),
        Error::from(ErrorKind::Collision {
            model: text("g/m/v1 x"),
            other: text("the installed 'g/m v1'"),
        }),
        Error::from(ErrorKind::InsufficientSpace {
            path: path(),
            needed_bytes: 2000,
            available_bytes: 1000,
        }),
        Error::from(ErrorKind::InsufficientSpace {
            path: path(),
            needed_bytes: 0,
            available_bytes: 0,
        }),
        Error::from(ErrorKind::Permission {
            action: "write",
            path: path(),
            source: io::ErrorKind::PermissionDenied.into(),
        }),
        Error::from(ErrorKind::Locked {
            path: path(),
            holder: Some(text("process 42")),
            waited: Duration::from_secs(30),
        }),
        Error::from(ErrorKind::Locked {
            path: path(),
            holder: None,
            waited: Duration::from_secs(30),
        }),
        authentication(AuthFailure::Missing, None),
        authentication(AuthFailure::Refused, None),
        authentication(AuthFailure::Forbidden, None),
        authentication(AuthFailure::Gated, None),
        Error::from(ErrorKind::WebPage {
            url: url(),
            requested: url(),
            token_variable: None,
        }),
        Error::from(ErrorKind::WebPage {
            url: Url::parse("https://models.example.org/user/login")
                .unwrap()
                .into(),
            requested: url(),
            token_variable: Some("GITHUB_TOKEN"),
        }),
        authentication(AuthFailure::Refused, Some("GITHUB_TOKEN")),
        authentication(AuthFailure::Gated, Some("HF_TOKEN")),
        certificate(
            CertificateProblem::Untrusted,
            "no authority that is trusted here has signed it",
        ),
        certificate(CertificateProblem::Expired, "it has expired"),
        certificate(CertificateProblem::OtherHost, "it is for a.example only"),
        tls(TlsProblem::NotTls, "the port does not speak TLS"),
        tls(
            TlsProblem::NothingInCommon,
            "the server has no version or cipher suite of TLS that is accepted here",
        ),
        tls(
            TlsProblem::ClientCertificate,
            "the server requires a certificate of the client",
        ),
        tls(
            TlsProblem::Failed,
            "the handshake failed: received fatal alert: InternalError",
        ),
        proxy(407, false, Some("HTTPS_PROXY")),
        proxy(407, true, None),
        proxy(403, false, Some("HTTPS_PROXY")),
        proxy(502, false, Some("HTTPS_PROXY")),
        step("pull g/m v1", Error::from(ErrorKind::Cancelled)),
        Error::from(ErrorKind::Several {
            message: text("2 of 3 versions remain: g/m v1, g/m v2"),
            errors: vec![
                step("remove g/m v1", Error::from(ErrorKind::Cancelled)),
                step(
                    "remove g/m v2",
                    Error::from(ErrorKind::Permission {
                        action: "remove",
                        path: path(),
                        source: io::ErrorKind::PermissionDenied.into(),
                    }),
                ),
            ],
        }),
        Error::from(ErrorKind::Internal {
            message: text("a worker panicked"),
        }),
    ]
}

#[test]
fn the_text_and_the_hint_of_every_error() {
    let rack = Rack::new();
    let mut text = String::new();
    for error in errors() {
        let code = error.code();
        let mount = mount(&rack).manager(Recording::failing(error));
        let ran = run_line(&mount, "pull g/m");
        assert_eq!(ran.out, "");
        assert!(!ran.err.contains("secret"), "{}", ran.err);
        writeln!(text, "{code}, exit {}\n{}", ran.code, ran.err).unwrap();
    }
    assert_snapshot("errors.txt", &text);
}

#[test]
fn the_document_of_every_error() {
    let rack = Rack::new();
    let mut text = String::new();
    for error in errors() {
        let mount = mount(&rack).manager(Recording::failing(error));
        let ran = run_words(&mount, &["pull", "g/m", "--json"], Sinks::Terminal(""));
        assert_eq!(ran.err, "");
        assert!(!ran.out.contains("secret"), "{}", ran.out);
        text.push_str(&ran.out);
    }
    assert_snapshot("errors-json.txt", &text);
}

#[test]
fn hints_name_a_place_of_the_user_rather_than_the_variables_of_the_store() {
    let rack = Rack::new();
    let permission = || ErrorKind::Permission {
        action: "write",
        path: PathBuf::from("elsewhere"),
        source: io::ErrorKind::PermissionDenied.into(),
    };
    let full = || ErrorKind::InsufficientSpace {
        path: PathBuf::from("elsewhere"),
        needed_bytes: 0,
        available_bytes: 0,
    };
    for line in ["copy g/m v1 elsewhere", "lock g/m@v1"] {
        for (kind, hint) in [
            (permission(), "choose a folder that you may write to"),
            (full(), "free some space there and try again"),
        ] {
            let mount = mount(&rack).manager(Recording::failing(kind.into()));
            let ran = run_line(&mount, line);
            assert_eq!(ran.code, 7, "{line}: {ran:?}");
            assert!(
                ran.err.contains(&format!("hint: {hint}")),
                "{line}: {ran:?}"
            );
        }
    }
    let unreadable = ErrorKind::Permission {
        action: "read",
        path: PathBuf::from("elsewhere"),
        source: io::ErrorKind::PermissionDenied.into(),
    };
    let mount = mount(&rack).manager(Recording::failing(unreadable.into()));
    let ran = run_line(&mount, "pull g/m v1");
    assert_eq!(ran.code, 7, "{ran:?}");
    let hint = "hint: ask whoever owns it for permission to read it";
    assert!(ran.err.contains(hint), "{ran:?}");
}

#[test]
fn where_patterns_mean_nothing_a_hint_says_where_they_do() {
    let rack = Rack::with_model();
    for line in ["remove g/* -y", "verify g/*", "update g/*"] {
        let ran = run_line(&mount(&rack), line);
        assert_eq!(ran.code, 2, "{line}: {ran:?}");
        let hint = "hint: patterns are for pull, lock and mirror; 'rack models list' shows";
        assert!(ran.err.contains(hint), "{line}: {ran:?}");
    }
}

/// Text without what is another each time: times, folders, the server's port.
pub(super) fn stable(rack: &Rack, text: &str) -> String {
    let temp = rack.temp.path().display().to_string();
    let in_json = Value::from(temp.as_str()).to_string();
    let mut stable = String::new();
    for line in text.lines() {
        let line = line
            .replace(in_json.trim_matches('"'), "<temp>")
            .replace(&temp, "<temp>")
            .replace(&rack.server.url(), "<server>");
        let line = if line.contains("<temp>") {
            line.replace("\\\\", "/").replace('\\', "/")
        } else {
            line
        };
        let comma = if line.ends_with(',') { "," } else { "" };
        let line = match line.split_once(": ") {
            Some((key, value)) if key.ends_with("_at\"") && value.starts_with('"') => {
                format!("{key}: \"<time>\"{comma}")
            }
            Some((key, _)) if key.ends_with("\"elapsed_ms\"") => {
                format!("{key}: <milliseconds>{comma}")
            }
            _ => line,
        };
        stable.extend([line.as_str(), "\n"]);
    }
    stable
}

#[test]
fn the_document_of_every_command() {
    let rack = Rack::new();
    let metadata =
        json!({"description": "Ten chunks", "type": "text", "tags": ["small"], "accuracy": 0.5});
    let options = Publication {
        metadata,
        aliases: &["latest"],
        ..Publication::default()
    };
    rack.publish_as("g/m v1", &sample(), &options);
    let broken = rack.publish("g/n v1", &[("n.bin", crate::support::bytes(3000, 3))]);
    let folder = rack.temp.path().join("mine");
    write_files(&folder, &[("a.bin", b"mine")]);
    let mut text = String::new();
    let mut run = |line: &str| {
        let temp = rack.temp.path().display().to_string();
        let words: Vec<String> = line
            .split(' ')
            .map(|word| word.replace("<temp>", &temp))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        // Indented, as at a terminal.
        let ran = run_words(&mount(&rack), &words, Sinks::Terminal(""));
        assert_eq!(ran.err, "", "{line}");
        assert!(
            ran.out.ends_with('\n') && !ran.out.ends_with("\n\n"),
            "{line}"
        );
        ran.json();
        writeln!(text, "$ {line}\n{}", stable(&rack, &ran.out)).unwrap();
    };
    run("info --json");
    run("list --json");
    run("list --remote --json");
    run("info g/m v1 --remote --json");
    run("pull g/m v1 --dry-run --json");
    run("pull g/m v1 --json");
    run("pull g/m v1 --json");
    run("pull g/m latest --json");
    rack.server.rule(chunks_but(&[&broken]).nth(2).status(404));
    run("pull g/n v1 --concurrency 1 --json");
    rack.server.clear_rules();
    run("list --json");
    run("search chunks --json");
    run("search latest --remote --json");
    run("info g/m v1 --json");
    run("info --json");
    run("info g/m --json");
    run("info g/m --remote --json");
    run("pull g/m@v1 g/m@latest --json");
    run("path g/m v1 --json");
    run("copy g/m@v1 <temp>/copy --json");
    run("verify g/m v1 --json");
    flip(&rack.dir_of("g/m v1").join("labels.txt"), 1);
    run("verify --json");
    run("verify --repair --json");
    rack.publish(
        "g/m v1",
        &[
            ("config.json", b"{}".to_vec()),
            ("new.txt", b"new".to_vec()),
        ],
    );
    run("update --json");
    run("update g/m v1 --apply --json");
    run("prune --json -y");
    run("prune --json -y");
    run("remove g/m v1 --json");
    run("remove g/m --all --yes --json");
    run("list --status available --json");
    #[cfg(feature = "author")]
    run("registry publish <temp>/mine --to <temp>/public --alias latest --json");
    assert_snapshot("documents.txt", &text);
}

/// The errors in a document, wherever they are.
fn errors_in(document: &Value) -> Vec<&Value> {
    let below: Vec<&Value> = match document {
        Value::Array(list) => list.iter().collect(),
        Value::Object(fields) if fields.contains_key("code") => return vec![document],
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    };
    below.into_iter().flat_map(errors_in).collect()
}

#[test]
fn an_error_in_a_report_says_what_one_on_its_own_says() {
    let rack = Rack::with_model();
    rack.publish("g/n v1", &[("n.bin", crate::support::bytes(3000, 3))]);
    let lines = |lines: &[&str]| {
        let temp = rack.temp.path().display().to_string();
        for line in lines {
            let ran = run_line(&mount(&rack), &line.replace("<temp>", &temp));
            let document = ran.json();
            let errors = errors_in(&document);
            assert!(!errors.is_empty() && ran.code > 0, "{line}: {document}");
            for error in errors {
                assert!(error["message"].is_string(), "{line}: {document}");
                assert!(error["causes"].is_array(), "{line}: {document}");
                assert!(error["hint"].is_string(), "{line}: {document}");
                assert!(error.get("retry_after").is_some(), "{line}: {document}");
            }
        }
    };
    run_line(&mount(&rack), "pull g/m@v1 g/n@v1").success();
    let temp = rack.temp.path().display().to_string();
    for line in [
        "lock g/m@v1 --file <temp>/x.lock",
        "mirror g/n@v1 --to <temp>/mirror",
    ] {
        run_line(&mount(&rack), &line.replace("<temp>", &temp)).success();
    }
    lines(&[
        "pull g/nosuch --json",
        "pull g/m@v1 g/nosuch@v1 --json",
        "pull g/m@v1 g/nosuch@v1 --dry-run --json",
        "verify g/m@v1 g/nosuch@v1 --json",
        "remove g/nosuch@v1 g/nosuch@v2 --json -y",
        "mirror g/m@v1 g/nosuch@v1 --to <temp>/mirror --json",
    ]);
    for file in crate::support::disk::names_in(&rack.temp.path().join("mirror").join("data")) {
        flip(&rack.temp.path().join("mirror").join("data").join(file), 1);
    }
    lines(&["verify --registry <temp>/mirror --json"]);
    rack.server
        .rule(crate::support::server::Rule::any().status(404));
    lines(&[
        "list --remote --json",
        "search m --remote --json",
        "update --json",
        "lock --json --check --file <temp>/x.lock",
    ]);
}
