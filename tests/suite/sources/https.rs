//! Registries over TLS.

use modelrack::config::HttpConfig;
use modelrack::{Manager, PullOptions};

use crate::support::address;
use crate::support::rack::{Rack, quick_http};
use crate::support::tls::TlsFront;

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
    let manager = modelrack::ModelManager::builder(config)
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
