//! What the configuration and the environment change.

use std::fs;
use std::time::Duration;

use modelrack::error::AuthFailure;
use modelrack::{ErrorKind, ListOptions, Manager, ModelManager, PullOptions, RemoteOptions};

use crate::support::rack::{CHUNK, Rack, quick_http, sample};
use crate::support::server::Rule;
use crate::support::{address, bytes, chain};

#[test]
fn the_environment_may_take_the_network_away_or_lead_elsewhere() {
    let rack = Rack::with_model();
    let manager = |name: &str, value: &str| {
        ModelManager::builder(rack.bare_config().registry_url("http://127.0.0.1:1"))
            .environment(rack.environment().variable(name, value))
            .build()
    };
    let options = RemoteOptions::default();
    for (value, code) in [
        ("1", "OFFLINE"),
        ("true", "OFFLINE"),
        ("0", "NETWORK_ERROR"),
        ("", "NETWORK_ERROR"),
    ] {
        let error = manager("RACK_MODELS_OFFLINE", value)
            .list_remote(&options)
            .unwrap_err();
        assert_eq!(error.code(), code, "{value:?}");
    }
    let elsewhere = manager("RACK_MODELS_REGISTRY_URL", &rack.server.url());
    assert_eq!(elsewhere.list_remote(&options).unwrap().models.len(), 1);
    let error = manager("RACK_MODELS_REGISTRY_URL", "gopher://x")
        .list_remote(&options)
        .unwrap_err();
    assert_eq!(error.code(), "CONFIG_ERROR");
    assert!(
        chain(&error).contains("RACK_MODELS_REGISTRY_URL"),
        "{}",
        chain(&error)
    );
}

#[test]
fn an_error_of_the_configuration_is_one_line_without_secrets() {
    let rack = Rack::with_model();
    for toml in [
        "[sources.s]\nurl = \"https://user:s3cret@host/\nname = 1\n",
        "[sources.s]\nurl = [\"https://user:s3cret@host/\"]\n",
        "[sources.s]\nurl = \"https://user:s3cret@\"\n",
        "[sources.s]\nurl = \"https://host\"\nmirrors = \"https://user:s3cret@host\"\n",
        "[sources.s]\nurl = \"ftp://user:s3cret@host\"\n",
        "[sources.s]\nrepo = \"o/n\"\nurl = \"https://user:s3cret@host\"\n",
    ] {
        let manager = rack.manager_of(rack.bare_config().bootstrap(toml));
        let error = manager.list_remote(&RemoteOptions::default()).unwrap_err();
        assert_eq!(error.code(), "CONFIG_ERROR", "{toml}");
        let shown = chain(&error);
        assert!(
            !shown.contains('\n') && !shown.contains("s3cret"),
            "{shown}"
        );
        assert!(
            !format!("{error:?}{manager:?}").contains("s3cret"),
            "{error:?}"
        );
    }
}

#[test]
fn missing_and_refused_credentials_are_told_apart() {
    for (status, credentials, expected) in [
        (401, "", AuthFailure::Missing),
        (401, "me:you@", AuthFailure::Refused),
        (403, "", AuthFailure::Forbidden),
        (403, "me:you@", AuthFailure::Refused),
        (407, "", AuthFailure::Missing),
    ] {
        let rack = Rack::with_model();
        rack.server.rule(Rule::any().status(status));
        let url = rack
            .server
            .url()
            .replace("http://", &format!("http://{credentials}"));
        let manager = rack.manager_of(rack.config().registry_url(url));
        let error = manager.list_remote(&RemoteOptions::default()).unwrap_err();
        let ErrorKind::Authentication { failure, .. } = error.kind() else {
            panic!("{error:?}");
        };
        assert_eq!(*failure, expected, "{status} {credentials}");
        assert_eq!(rack.server.requests().len(), 1);
    }
}

#[test]
fn a_refused_password_is_named_by_the_setting_that_has_it() {
    for status in [401, 403] {
        let rack = Rack::with_model();
        rack.server.rule(Rule::any().status(status));
        let url = rack.server.url().replace("http://", "http://me:s3cret@");
        let bare = rack.bare_config();
        let key = format!("[sources.s]\nurl = \"{url}\"\n");
        let variable = rack
            .environment()
            .variable("RACK_MODELS_REGISTRY_URL", &url);
        for (config, environment, expected) in [
            (bare.clone().registry_url(&url), None, "registry_url"),
            (bare.clone(), Some(variable), "RACK_MODELS_REGISTRY_URL"),
            (
                bare.clone().bootstrap(key),
                None,
                "the configuration of rack: sources.s.url",
            ),
        ] {
            let manager = ModelManager::builder(config)
                .environment(environment.unwrap_or(rack.environment()))
                .build();
            let error = manager.list_remote(&RemoteOptions::default()).unwrap_err();
            let shown = chain(&error);
            let named = format!("refuses the user and password in {expected} (");
            assert!(shown.contains(&named), "{shown}");
            assert!(!format!("{shown}{error:?}").contains("s3cret"), "{error:?}");
        }
    }
}

#[test]
fn a_password_goes_nowhere_in_the_clear() {
    let rack = Rack::new();
    let url = "http://user:s3cret@models.invalid/";
    let error = rack
        .manager_of(rack.config().registry_url(url))
        .list_remote(&RemoteOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), "CONFIG_ERROR");
    assert!(!chain(&error).contains("s3cret"));
}

#[test]
fn what_moves_slowly_never_times_out() {
    let rack = Rack::new();
    rack.publish("g/m v1", &[("a", bytes(CHUNK, 1))]);
    rack.server
        .rule(Rule::path_contains("/data/").throttle(1200));
    let mut http = quick_http();
    http.stall_timeout = Duration::from_millis(500);
    http.retry.retries = 0;
    let manager = rack.manager_of(rack.config_of(http));
    manager
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap();
}

#[test]
fn connections_are_kept_alive() {
    let rack = Rack::with_model();
    let options = PullOptions::default().concurrency(3);
    rack.manager().pull(&address("g/m v1"), &options).unwrap();
    assert!(
        rack.server.connections() <= 1 + 3,
        "{}",
        rack.server.connections()
    );
    assert_eq!(rack.server.requests().len(), 13);
    let agents = rack.server.requests();
    let agent = agents[0].header("user-agent").unwrap();
    assert!(agent.starts_with("modelrack/"), "{agent}");
}

#[test]
fn apps_share_nothing() {
    let rack = Rack::with_model();
    rack.pull("g/m v1").unwrap();
    let config = modelrack::Config::new("other").registry_url(rack.server.url());
    let other = rack.manager_of(config);
    assert!(
        other
            .list(&ListOptions::default())
            .unwrap()
            .models
            .is_empty()
    );
    let report = other
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap();
    assert!(
        report.path.starts_with(rack.temp.path().join("home")),
        "{report:?}"
    );
    assert!(report.path.join(".other").join("manifest.json").is_file());
    assert!(report.bytes_fetched > 0);
}

#[test]
fn a_listing_is_narrowed_by_source_and_status() {
    let rack = Rack::with_model();
    let toml = format!(
        "[sources.s]\nurl = \"{}\"\nname = \"vendor\"\n",
        rack.server.url()
    );
    let manager = rack.manager_of(rack.config().bootstrap(toml));
    manager
        .pull(&address("vendor/g/m v1"), &PullOptions::default())
        .unwrap();
    manager
        .pull(&address("g/m v1"), &PullOptions::default())
        .unwrap();
    let count = |options: ListOptions| manager.list(&options).unwrap().models.len();
    assert_eq!(count(ListOptions::default()), 2);
    assert_eq!(count(ListOptions::default().source("s")), 1);
    assert_eq!(count(ListOptions::default().source("vendor")), 1);
    assert_eq!(
        count(ListOptions::default().status(modelrack::installed::Status::Available)),
        2
    );
    assert_eq!(
        count(ListOptions::default().status(modelrack::installed::Status::Error)),
        0
    );
    let unknown = ListOptions::default().source("nobody");
    assert_eq!(
        manager.list(&unknown).unwrap_err().code(),
        "INVALID_ARGUMENT"
    );
    rack.assert_files("vendor/g/m v1", &sample());
}

#[test]
fn building_a_manager_touches_nothing() {
    let rack = Rack::with_model();
    let manager = rack.manager();
    drop(format!("{manager:?}"));
    assert!(manager.downloads().is_empty());
    assert_eq!(manager.cancel(&address("g/m")), 0);
    assert_eq!(rack.server.connections(), 0);
    let names = crate::support::disk::names_in(rack.temp.path());
    assert_eq!(names, ["registry"]);
    fs::metadata(rack.registry()).unwrap();
}
