//! Redirects, and what goes along with them.

use modelrack::{ErrorKind, Manager, PullOptions, RemoteOptions};

use super::fixture::{Fixture, Place};
use crate::support::rack::Rack;
use crate::support::server::{Rule, Server};
use crate::support::{address, chain};

#[test]
fn redirects_are_followed_to_other_places_and_hosts() {
    let fixture = Fixture::new();
    let other = Server::start().folder(fixture.rack.registry());
    for (status, target) in [
        (301, "/moved"),
        (302, "moved"),
        (303, "/moved"),
        (307, "/moved"),
        (308, "//HOST/moved"),
    ] {
        let fixture = Fixture::new();
        let index = std::fs::read(fixture.rack.registry().join("models.json")).unwrap();
        fixture.rack.server.put("/moved", index);
        let target = target.replace("HOST", &format!("127.0.0.1:{}", fixture.rack.server.port()));
        fixture
            .rack
            .server
            .rule(fixture.at(Place::Index).redirect(status, &target));
        fixture.pull().unwrap();
        assert_eq!(fixture.requests_at(Place::Index), 1);
    }
    let manifest = format!("/data/{}", fixture.v2.manifest_digest);
    let target = other.url() + &manifest;
    fixture
        .rack
        .server
        .rule(fixture.at(Place::Manifest).redirect(302, &target));
    fixture.pull().unwrap();
    assert_eq!(other.count(&manifest), 1);
}

#[test]
fn relative_redirects_lead_where_the_rfc_says() {
    for (location, target) in [
        ("?v=2", "/a/models.json?v=2"),
        ("../b/models.json", "/b/models.json"),
        ("./x/../models.json?v=2", "/a/models.json?v=2"),
        ("/b/./models.json#top", "/b/models.json"),
        (
            "../../../b/models.json?to=http://h/",
            "/b/models.json?to=http://h/",
        ),
    ] {
        let rack = Rack::with_model();
        for folder in ["/a", "/b"] {
            rack.server.mount(folder, rack.registry());
        }
        let first = Rule::when(|request| request.path == "/a/models.json");
        rack.server.rule(first.redirect(302, location));
        let url = rack.server.url() + "/a";
        let manager = rack.manager_of(rack.config().registry_url(url));
        manager
            .list_remote(&RemoteOptions::default())
            .unwrap_or_else(|error| panic!("{location}: {error:?}"));
        let requests = rack.server.requests();
        let paths: Vec<&str> = requests.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths, ["/a/models.json", target], "{location}");
    }
}

#[test]
fn a_redirect_without_end_is_left() {
    let fixture = Fixture::new();
    fixture
        .rack
        .server
        .rule(fixture.at(Place::Index).redirect(302, "/models.json"));
    let error = fixture.pull().unwrap_err();
    assert_eq!(error.code(), "NETWORK_ERROR");
    assert_eq!(fixture.requests_at(Place::Index), 11);
    fixture.assert_nothing_lost();
}

#[test]
fn a_password_goes_to_its_own_host_only() {
    let rack = Rack::with_model();
    let elsewhere = format!("{}/elsewhere", rack.server.localhost_url());
    rack.server.mount("/elsewhere", rack.registry());
    rack.server
        .rule(Rule::path("/models.json").redirect(302, &format!("{elsewhere}/models.json")));
    let url = rack.server.url().replace("http://", "http://user:s3cret@");
    let manager = rack.manager_of(rack.config().registry_url(url));
    manager
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap();
    for request in rack.server.requests() {
        let basic = request.header("authorization");
        if request.path.starts_with("/elsewhere/") {
            assert_eq!(basic, None, "{request:?}");
        } else {
            assert_eq!(basic, Some("Basic dXNlcjpzM2NyZXQ="), "{request:?}");
        }
    }
    assert_eq!(rack.server.count("/elsewhere/"), 1);
    assert!(!format!("{manager:?}").contains("s3cret"), "{manager:?}");
    rack.server.clear_rules();
    rack.server.rule(Rule::any().status(401));
    let error = manager
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap_err();
    let shown = format!("{} {error:?}", chain(&error));
    assert!(
        !shown.contains("s3cret") && !shown.contains("dXNlcjpz"),
        "{shown}"
    );
    let ErrorKind::Authentication { failure, .. } = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(*failure, modelrack::error::AuthFailure::Refused);
}

#[test]
fn no_secret_is_written_to_the_store_or_the_cache() {
    let rack = Rack::with_model();
    let url = rack.server.url().replace("http://", "http://user:s3cret@");
    let manager = rack.manager_of(rack.config().registry_url(url));
    rack.server
        .rule(Rule::path_contains("/data/").nth(5).status(404));
    manager
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap_err();
    for folder in [rack.store(), rack.index_cache()] {
        for (name, bytes) in crate::support::disk::files_below(&folder) {
            assert!(
                !String::from_utf8_lossy(&bytes).contains("s3cret"),
                "{name}"
            );
        }
    }
}
