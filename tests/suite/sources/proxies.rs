//! Servers that are reached through a proxy, and those that are not.

use modelrack::config::ProxyConfig;
use modelrack::{Environment, ErrorKind, Manager, ModelManager, PullOptions, PullReport, Result};

use crate::support::rack::{Rack, quick_http};
use crate::support::server::{Rule, Server};
use crate::support::tls::TlsFront;
use crate::support::tunnel::Tunnel;
use crate::support::{address, chain};

/// A registry that only the proxy, which is its own server, can find.
const HIDDEN: &str = "http://models.invalid/models";

fn rack() -> Rack {
    let rack = Rack::with_model();
    rack.server.mount("/models", rack.registry());
    rack
}

fn pull(rack: &Rack, environment: Environment, registry: &str) -> Result<PullReport> {
    ModelManager::builder(rack.bare_config().registry_url(registry))
        .environment(environment)
        .build()
        .pull(&address("g/m v1"), &PullOptions::default())
}

#[test]
fn plain_http_is_forwarded_on_persistent_connections() {
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        let rack = rack();
        let environment = rack.environment().variable(variable, rack.server.url());
        pull(&rack, environment, HIDDEN).unwrap();
        let requests = rack.server.requests();
        for request in &requests {
            assert!(
                request.target.starts_with("http://models.invalid/models/"),
                "{request:?}"
            );
            assert_eq!(
                (request.method.as_str(), request.header("host")),
                ("GET", Some("models.invalid"))
            );
            assert_eq!(request.header("proxy-authorization"), None);
        }
        assert!((rack.server.connections() as usize) < requests.len());
    }
}

#[test]
fn user_and_password_of_a_proxy_go_to_the_proxy_only() {
    let rack = rack();
    let proxy = rack.server.url().replace("http://", "http://me:p%40ss@");
    // The proxy forwards requests for one host; the other one is reached without it.
    let elsewhere = Server::start().folder(rack.registry());
    let target = elsewhere.url() + "/models.json";
    rack.server
        .rule(Rule::path("/models/models.json").redirect(302, &target));
    let environment = rack.environment().variable("HTTP_PROXY", proxy);
    let environment = environment.variable("NO_PROXY", "127.0.0.1");
    pull(&rack, environment, HIDDEN).unwrap();
    for request in rack.server.requests() {
        assert_eq!(
            request.header("proxy-authorization"),
            Some("Basic bWU6cEBzcw=="),
            "{request:?}"
        );
        assert_eq!(request.header("authorization"), None, "{request:?}");
    }
    let [direct] = elsewhere.requests().try_into().unwrap();
    assert_eq!(direct.target, "/models.json");
    assert_eq!(direct.header("proxy-authorization"), None);
}

#[test]
fn https_goes_through_a_tunnel() {
    let rack = Rack::with_model();
    let (front, tunnel) = (TlsFront::of(rack.server.port()), Tunnel::start(None));
    let proxy = tunnel.url().replace("http://", "http://me:s3cret@");
    let environment = rack
        .environment()
        .variable("HTTPS_PROXY", proxy)
        .variable("SSL_CERT_FILE", TlsFront::authority());
    pull(&rack, environment, &front.url()).unwrap();
    for head in tunnel.heads() {
        let target = format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\n", front.port());
        assert!(head.starts_with(&target), "{head}");
        assert!(
            head.contains("Proxy-Authorization: Basic bWU6czNjcmV0\r\n"),
            "{head}"
        );
    }
    assert!(!tunnel.heads().is_empty());
    for request in rack.server.requests() {
        assert_eq!(request.header("proxy-authorization"), None);
    }
}

#[test]
fn a_proxy_that_asks_for_a_password_is_asked_once_and_named() {
    for (credentials, expected) in [
        ("", "requires a user and password"),
        ("me:s3cret@", "rejects the user and password"),
    ] {
        let rack = rack();
        rack.server.rule(Rule::any().status(407));
        let tunnel = Tunnel::start(Some(407));
        for (variable, proxy, registry) in [
            ("HTTP_PROXY", rack.server.url(), HIDDEN),
            ("HTTPS_PROXY", tunnel.url(), "https://models.invalid"),
        ] {
            let url = proxy.replace("http://", &format!("http://{credentials}"));
            let environment = rack.environment().variable(variable, url);
            let error = pull(&rack, environment, registry).unwrap_err();
            assert_eq!(error.code(), "AUTHENTICATION_ERROR");
            let ErrorKind::Proxy {
                variable: named, ..
            } = error.kind()
            else {
                panic!("{error:?}");
            };
            assert_eq!(*named, Some(variable));
            let shown = chain(&error);
            assert!(
                shown.contains(expected) && shown.contains(&proxy["http://".len()..]),
                "{shown}"
            );
            assert!(!format!("{shown} {error:?}").contains("s3cret"));
        }
        assert_eq!((rack.server.requests().len(), tunnel.heads().len()), (1, 1));
    }
}

#[test]
fn a_refusal_of_a_proxy_is_not_taken_for_one_of_the_server() {
    for (status, requests) in [(403, 1), (502, 4)] {
        let rack = rack();
        let own = Rule::any()
            .status(status)
            .header("x-squid-error", "ERR_ACCESS_DENIED 0");
        rack.server.rule(own);
        let environment = rack.environment().variable("HTTP_PROXY", rack.server.url());
        let error = pull(&rack, environment, HIDDEN).unwrap_err();
        assert_eq!(error.code(), "NETWORK_ERROR");
        assert!(matches!(error.kind(), ErrorKind::Proxy { .. }), "{error:?}");
        assert_eq!(rack.server.requests().len(), requests);
    }
}

#[test]
fn a_tunnel_that_is_not_allowed_is_asked_for_once_and_a_failed_one_again() {
    for (status, requests) in [(403, 1), (405, 1), (502, 4), (503, 4)] {
        let rack = Rack::new();
        let tunnel = Tunnel::start(Some(status));
        let environment = rack.environment().variable("HTTPS_PROXY", tunnel.url());
        let error = pull(&rack, environment, "https://models.invalid").unwrap_err();
        assert_eq!(error.code(), "NETWORK_ERROR");
        let ErrorKind::Proxy { status: shown, .. } = error.kind() else {
            panic!("{error:?}");
        };
        assert_eq!((*shown, tunnel.heads().len()), (status, requests));
    }
}

#[test]
fn credentials_for_this_machine_do_not_leave_it_by_a_proxy() {
    let rack = rack();
    let registry = rack.server.url().replace("http://", "http://me:s3cret@") + "/models";
    let pull = |proxy: &str| {
        pull(
            &rack,
            rack.environment().variable("HTTP_PROXY", proxy),
            &registry,
        )
    };
    let error = pull("http://proxy.invalid").unwrap_err();
    assert_eq!(error.code(), "CONFIG_ERROR");
    assert!(!chain(&error).contains("s3cret"), "{}", chain(&error));
    pull(&rack.server.url()).unwrap();
}

#[test]
fn a_proxy_that_cannot_be_reached_is_named() {
    let rack = Rack::new();
    for scheme in ["http", "socks5"] {
        let environment = rack.environment();
        let environment = environment.variable("ALL_PROXY", format!("{scheme}://127.0.0.1:1"));
        for registry in ["http://models.invalid", "https://models.invalid"] {
            let error = pull(&rack, environment.clone(), registry).unwrap_err();
            let shown = chain(&error);
            assert!(shown.contains("through the proxy 127.0.0.1:1 "), "{shown}");
        }
    }
}

#[test]
fn what_is_excepted_never_reaches_the_proxy() {
    let proxy = Server::start();
    let rack = Rack::with_model();
    let (here, port) = (rack.server.url(), rack.server.port());
    let pull = |except: &str, registry: &str| {
        let environment = rack.environment().variable("HTTP_PROXY", proxy.url());
        pull(&rack, environment.variable("NO_PROXY", except), registry)
    };
    for except in [
        "*",
        "127.0.0.1",
        " localhost\t127.0.0.1 ",
        "localhost,,127.0.0.0/8",
        &format!("127.0.0.1:{port}"),
    ] {
        pull(except, &here).unwrap();
    }
    for except in [
        "example",
        ".models.example",
        "models.example:80",
        "::1,models.example.",
    ] {
        let error = pull(except, "http://models.example").unwrap_err();
        assert!(
            chain(&error).contains("host not found"),
            "{}",
            chain(&error)
        );
    }
    assert_eq!(proxy.connections(), 0);
    pull("xample, 27.0.0.1, 127.0.0.1:1", "http://models.example").unwrap_err();
    assert!(proxy.connections() > 0);
}

#[test]
fn a_proxy_that_is_none_is_an_error_only_where_it_is_needed() {
    let rack = Rack::with_model();
    let environment = rack
        .environment()
        .variable("https_proxy", "socks7://me:s3cret@proxy");
    pull(&rack, environment.clone(), &rack.server.url()).unwrap();
    let error = pull(&rack, environment, "https://models.invalid").unwrap_err();
    assert_eq!(error.code(), "CONFIG_ERROR");
    let shown = chain(&error);
    assert!(
        shown.contains("https_proxy") && !shown.contains("s3cret"),
        "{shown}"
    );
    let mut http = quick_http();
    http.http_proxy = Some(ProxyConfig::new("socks7://proxy", [""; 0]));
    let config = rack
        .bare_config()
        .http(http)
        .registry_url(rack.server.url());
    let manager = rack.manager_of(config);
    let error = manager
        .pull(&address("g/m v1"), &PullOptions::default().force(true))
        .unwrap_err();
    assert_eq!(error.code(), "CONFIG_ERROR");
}
