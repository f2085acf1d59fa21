//! Registries over TLS.

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use modelrack::config::HttpConfig;
use modelrack::error::{CertificateProblem, TlsProblem};
use modelrack::{ErrorKind, Manager, ModelManager, PullOptions, PullReport, Result};

use crate::support::rack::{Rack, quick_http};
use crate::support::tls::TlsFront;
use crate::support::{address, chain};

#[test]
fn a_registry_is_pulled_over_https_when_its_authority_is_trusted() {
    let rack = Rack::with_model();
    let front = TlsFront::of(rack.server.port());
    let mut http: HttpConfig = quick_http();
    http.certificates = vec![TlsFront::authority()];
    let config = rack.bare_config().http(http).registry_url(front.url());
    let report = rack
        .manager_of(config)
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap();
    assert!(report.bytes_fetched > 0);
}

#[test]
fn the_authorities_of_the_environment_are_trusted() {
    let rack = Rack::with_model();
    let front = TlsFront::of(rack.server.port());
    let config = rack.bare_config().registry_url(front.url());
    let environment = rack
        .environment()
        .variable("SSL_CERT_FILE", TlsFront::authority());
    let manager = ModelManager::builder(config)
        .environment(environment)
        .build();
    manager
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap();
}

/// Pulls from a server with this certificate, and trusts the files and folders of the variables.
fn pull_trusting(
    certificate: &str,
    variables: &[(&str, OsString)],
) -> (TlsFront, Result<PullReport>) {
    let rack = Rack::with_model();
    let front = TlsFront::with(certificate, rack.server.port());
    let mut environment = rack.environment();
    for (name, value) in variables {
        environment = environment.variable(*name, value);
    }
    let manager = ModelManager::builder(rack.bare_config().registry_url(front.url()))
        .environment(environment)
        .build();
    let report = manager.pull(&address("g/m v1"), &PullOptions::default());
    (front, report)
}

fn trusting(certificate: &str, file: PathBuf) -> (TlsFront, Result<PullReport>) {
    pull_trusting(certificate, &[("SSL_CERT_FILE", file.into())])
}

#[test]
fn the_certificate_of_a_server_may_itself_be_trusted() {
    for certificate in ["self-signed", "own-authority", "server"] {
        trusting(certificate, TlsFront::pem(certificate)).1.unwrap();
    }
}

#[test]
fn a_certificate_that_is_refused_is_seen_once_and_explained() {
    use CertificateProblem::{Expired, OtherHost, Untrusted};
    for (certificate, trusted, problem, words) in [
        (
            "server",
            "own-authority",
            Untrusted,
            "no authority that is trusted here has signed it",
        ),
        (
            "self-signed",
            "ca",
            Untrusted,
            "no authority that is trusted here has signed it",
        ),
        ("own-authority", "ca", Untrusted, "CaUsedAsEndEntity"),
        ("expired", "expired", Expired, "it has expired"),
        (
            "other-host",
            "other-host",
            OtherHost,
            "it is for models.example.org only",
        ),
        (
            "nameless",
            "nameless",
            OtherHost,
            "it has no subject alternative name",
        ),
    ] {
        let (front, report) = trusting(certificate, TlsFront::pem(trusted));
        let error = report.unwrap_err();
        assert_eq!(error.code(), "NETWORK_ERROR");
        let ErrorKind::Certificate {
            problem: shown,
            message,
            ..
        } = error.kind()
        else {
            panic!("{error:?}");
        };
        assert_eq!(*shown, problem, "{certificate}");
        assert!(message.contains(words), "{certificate}: {message}");
        assert_eq!(front.connections(), 1, "{certificate}");
    }
}

#[test]
fn a_handshake_that_fails_is_tried_once_and_explained() {
    use TlsProblem::{ClientCertificate, Failed, NotTls, NothingInCommon};
    let rack = Rack::with_model();
    // The alerts are protocol_version, handshake_failure and internal_error.
    for (front, problem) in [
        (
            TlsFront::answering(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"),
            NotTls,
        ),
        (TlsFront::answering(b"SSH-2.0-OpenSSH_9.6\r\n"), NotTls),
        (
            TlsFront::answering(&[21, 3, 1, 0, 2, 2, 70]),
            NothingInCommon,
        ),
        (
            TlsFront::answering(&[21, 3, 3, 0, 2, 2, 40]),
            NothingInCommon,
        ),
        (TlsFront::answering(&[21, 3, 3, 0, 2, 2, 80]), Failed),
        (
            TlsFront::for_certified_clients(rack.server.port()),
            ClientCertificate,
        ),
    ] {
        let mut http = quick_http();
        http.certificates = vec![TlsFront::authority()];
        let config = rack.bare_config().http(http).registry_url(front.url());
        let error = rack
            .manager_of(config)
            .pull(&address("g/m v1"), &PullOptions::default())
            .unwrap_err();
        let ErrorKind::Tls { problem: shown, .. } = error.kind() else {
            panic!("{problem:?}: {error:?}");
        };
        assert_eq!(*shown, problem, "{error}");
        assert_eq!(error.code(), "NETWORK_ERROR");
        assert_eq!(front.connections(), 1, "{error}");
    }
    assert!(rack.server.requests().is_empty());
}

#[test]
fn a_server_that_does_not_answer_is_waited_for_as_long_as_the_error_says() {
    let rack = Rack::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut http = quick_http();
    http.connect_timeout = Duration::from_millis(50);
    let registry = format!("https://{}", silent.local_addr().unwrap());
    let config = rack.bare_config().http(http).registry_url(registry);
    let error = rack
        .manager_of(config)
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap_err();
    let shown = chain(&error);
    assert!(shown.contains("timed out after 0.05 s"), "{shown}");
}

#[test]
fn certificates_are_read_from_lists_files_and_folders() {
    let temp = tempfile::tempdir().unwrap();
    let folder = |name: &str| {
        let folder = temp.path().join(name);
        fs::create_dir(&folder).unwrap();
        folder
    };
    let (some, none) = (folder("some"), folder("none"));
    let both = temp.path().join("both.pem");
    let text = |name| fs::read_to_string(TlsFront::pem(name)).unwrap();
    fs::write(
        &both,
        format!("first\r\n{}\nsecond\n{}", text("other-host"), text("ca")),
    )
    .unwrap();
    fs::copy(&both, some.join("0a1b2c3d.0")).unwrap();
    fs::write(some.join("notes.txt"), "no certificate").unwrap();
    let missing = temp.path().join("missing");
    trusting("server", both).1.unwrap();
    let list = std::env::join_paths([&none, &missing, &some]).unwrap();
    pull_trusting("server", &[("SSL_CERT_DIR", list)])
        .1
        .unwrap();
    let variables = [
        ("SSL_CERT_FILE", missing.clone().into()),
        ("SSL_CERT_DIR", some.into()),
    ];
    pull_trusting("server", &variables).1.unwrap();
    for (variable, value) in [("SSL_CERT_FILE", missing), ("SSL_CERT_DIR", none)] {
        let error = pull_trusting("server", &[(variable, value.clone().into())])
            .1
            .unwrap_err();
        assert_eq!(error.code(), "CONFIG_ERROR");
        let shown = chain(&error);
        let value = value.display().to_string();
        assert!(
            shown.contains(variable) && shown.contains(&value),
            "{shown}"
        );
    }
}

#[test]
fn certificates_matter_to_https_only() {
    let rack = Rack::with_model();
    let environment = rack.environment().variable("SSL_CERT_FILE", "/no/such.pem");
    let manager = ModelManager::builder(rack.config())
        .environment(environment)
        .build();
    manager
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap();
}

#[test]
fn a_server_that_nobody_vouches_for_is_refused_at_once() {
    let rack = Rack::with_model();
    let front = TlsFront::of(rack.server.port());
    let config = rack.bare_config().registry_url(front.url());
    let error = rack
        .manager_of(config)
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR");
    assert!(rack.server.requests().is_empty());
}

#[test]
fn a_file_without_certificates_is_a_configuration_error() {
    let rack = Rack::new();
    let mut http = quick_http();
    http.certificates = vec![rack.temp.path().join("no-such.pem")];
    let config = rack
        .bare_config()
        .http(http)
        .registry_url("https://localhost:1");
    let error = rack
        .manager_of(config)
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), "CONFIG_ERROR");
}
