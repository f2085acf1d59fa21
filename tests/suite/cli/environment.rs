//! Variables of the environment: read as people write them, and judged by what needs them.

use std::path::Path;

use modelrack::cli::Mount;

use super::{Ran, mount, run_line};
use crate::sources::hub::machine::{Machine, WHISPER};
use crate::support::disk::names_in;
use crate::support::rack::Rack;

/// Runs `rack models <line>` with one variable more.
fn with(rack: &Rack, variable: (&str, &str), line: &str) -> Ran {
    let environment = rack.environment().variable(variable.0, variable.1);
    run_line(&mount(rack).environment(environment), line)
}

/// What only the network reads, each with a value that nobody can use.
const OF_THE_NETWORK: [(&str, &str); 18] = [
    ("SSL_CERT_FILE", "/no/such.pem"),
    ("SSL_CERT_FILE", "~nobody/x.pem"),
    ("SSL_CERT_DIR", "/no/such"),
    ("HTTPS_PROXY", "not a proxy"),
    ("ALL_PROXY", "ftp://x"),
    ("GITHUB_TOKEN", "a\nb"),
    ("GH_TOKEN", "\u{e9}"),
    ("GITHUB_SERVER_URL", "nonsense"),
    ("GITHUB_API_URL", "ftp://x"),
    ("HF_ENDPOINT", "nonsense"),
    ("HF_TOKEN", "a b"),
    ("HUGGING_FACE_HUB_TOKEN", "a\tb"),
    ("HF_TOKEN_PATH", "."),
    ("HF_HOME", "~nobody/hf"),
    ("HF_HUB_CACHE", "/no/such"),
    ("HF_HUB_OFFLINE", "1"),
    ("NO_PROXY", "[::"),
    ("RACK_MODELS_REGISTRY_URL", "nonsense"),
];

#[test]
fn a_setting_of_the_network_stops_nothing_that_needs_no_network() {
    for variable in OF_THE_NETWORK {
        let rack = Rack::with_model();
        rack.pull("g/m v1").unwrap();
        let sources =
            "[sources.t]\nrepo = \"o/n\"\n[sources.hf]\nhub = \"https://huggingface.co\"\n";
        let environment = rack.environment().variable(variable.0, variable.1);
        let config = rack.config().bootstrap(sources);
        let mount = Mount::new(config).environment(environment);
        for line in [
            "list",
            "list --offline",
            "path g/m",
            "verify",
            "info",
            "info g/m",
            "prune -y",
            "clear -y",
        ] {
            let ran = run_line(&mount, line);
            assert_eq!(
                (ran.code, ran.err.as_str()),
                (0, ""),
                "{variable:?} {line}: {ran:?}"
            );
        }
        let needs_it = ["RACK_MODELS_REGISTRY_URL", "ALL_PROXY"].contains(&variable.0);
        assert_eq!(run_line(&mount, "remove g/m -y").code, 0, "{variable:?}");
        let ran = run_line(&mount, "pull g/m");
        assert_eq!(ran.code, u8::from(needs_it), "{variable:?}: {ran:?}");
        if needs_it {
            assert!(ran.err.contains(variable.0), "{ran:?}");
        }
    }
}

#[test]
fn a_hub_that_cannot_be_reached_keeps_no_registry_from_being_synced() {
    let rack = Rack::with_model();
    let sources = "[sources.hf]\nhub = \"https://huggingface.co\"\n";
    let environment = rack.environment().variable("HF_ENDPOINT", "nonsense");
    let mount = Mount::new(rack.config().bootstrap(sources)).environment(environment);
    for line in ["sync", "list --remote", "pull g/m"] {
        let ran = run_line(&mount, line);
        assert_eq!(
            (ran.code, ran.err.contains("HF_ENDPOINT")),
            (0, false),
            "{ran:?}"
        );
    }
}

#[test]
fn a_setting_of_the_network_is_named_by_what_needs_it() {
    for (variable, line) in [
        (("SSL_CERT_FILE", "~/no/such.pem"), "sync"),
        (("SSL_CERT_DIR", "/no/such"), "pull hf/o/n"),
        (("HTTPS_PROXY", "not a proxy"), "sync"),
        (("GITHUB_SERVER_URL", "nonsense"), "sync"),
        (("GITHUB_API_URL", "nonsense"), "sync --repo o/n"),
        (("HF_ENDPOINT", "nonsense"), "pull hf/o/n"),
        (("HF_ENDPOINT", "nonsense"), "search n --remote --source hf"),
        (("HF_TOKEN", "a b"), "pull hf/o/n"),
        (
            ("HUGGING_FACE_HUB_TOKEN", "a\u{200b}b"),
            "info hf/o/n --remote",
        ),
        (("GITHUB_TOKEN", "s3c\nret"), "sync"),
        (("GH_TOKEN", "s3cr\u{e9}t"), "sync --source t"),
    ] {
        let rack = Rack::new();
        let sources =
            "[sources.t]\nrepo = \"o/n\"\n[sources.hf]\nhub = \"https://huggingface.co\"\n";
        let environment = rack.environment().variable(variable.0, variable.1);
        // Nobody answers there, if it comes to that.
        let environment = environment.variable("ALL_PROXY", "http://127.0.0.1:1");
        let mount = Mount::new(rack.bare_config().bootstrap(sources)).environment(environment);
        let ran = run_line(&mount, line);
        let shown = format!("{}{}", ran.out, ran.err);
        assert_eq!(ran.code, 1, "{variable:?} {line}: {ran:?}");
        assert!(shown.contains(variable.0), "{variable:?} {line}: {ran:?}");
        assert!(!shown.contains("s3c"), "{ran:?}");
    }
}

#[test]
fn the_home_folder_is_expanded_where_no_shell_did() {
    let rack = Rack::with_model();
    let home = rack.temp.path().join("home");
    for (value, below) in [("~/store", "store"), ("~/a/b\r\n", "a/b")] {
        let ran = with(&rack, ("RACK_MODELS_DIR", value), "pull g/m");
        assert_eq!(ran.code, 0, "{value:?}: {ran:?}");
        let store = below
            .split('/')
            .fold(home.clone(), |path, name| path.join(name));
        assert!(
            names_in(&store).contains(&"registry.json".to_owned()),
            "{value:?}"
        );
    }
    std::fs::write(home.join("own.toml"), "[sources.x]\nname = 1\n").unwrap();
    let ran = with(&rack, ("RACK_MODELS_CONFIG", "~/own.toml"), "list --remote");
    assert!(ran.err.contains("own.toml: sources.x"), "{ran:?}");
    with(&rack, ("RACK_MODELS_CACHE_DIR", "~/cache"), "list --remote");
    assert!(home.join("cache").is_dir());
    assert!(!Path::new("~").exists());
}

#[test]
fn a_path_that_cannot_be_used_is_refused_by_the_name_of_its_variable() {
    let rack = Rack::with_model();
    for (name, value, line) in [
        ("RACK_MODELS_DIR", "~nobody/store", "pull g/m"),
        ("RACK_MODELS_CACHE_DIR", "~nobody", "list --remote"),
        ("RACK_MODELS_CONFIG", "/no/such.toml", "list"),
    ] {
        let ran = with(&rack, (name, value), line);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains(&format!("{name}: ")), "{ran:?}");
    }
    assert!(!Path::new("~nobody").exists());
}

#[test]
fn a_switch_of_the_hub_keeps_it_off_the_network_and_is_named() {
    for (variables, named) in [
        (&[("HF_HUB_OFFLINE", "1")][..], Some("HF_HUB_OFFLINE")),
        (
            &[("TRANSFORMERS_OFFLINE", "yes\n")],
            Some("TRANSFORMERS_OFFLINE"),
        ),
        (
            &[("RACK_MODELS_OFFLINE", "on")],
            Some("RACK_MODELS_OFFLINE"),
        ),
        (
            &[("HF_HUB_OFFLINE", ""), ("TRANSFORMERS_OFFLINE", "1")],
            Some("TRANSFORMERS_OFFLINE"),
        ),
        (
            &[("HF_HUB_OFFLINE", "0\n"), ("TRANSFORMERS_OFFLINE", "1")],
            None,
        ),
        (
            &[
                ("HF_HUB_OFFLINE", "No"),
                ("RACK_MODELS_OFFLINE", "False\r\n"),
            ],
            None,
        ),
    ] {
        let (machine, _, _) = Machine::with_whisper();
        let environment = machine.rack.environment();
        let set = |environment: modelrack::Environment, (name, value): &(&str, &str)| {
            environment.variable(*name, *value)
        };
        let environment = variables.iter().fold(environment, set);
        let mount = Mount::new(machine.config()).environment(environment);
        let ran = run_line(&mount, &format!("pull {WHISPER}"));
        match named {
            Some(name) => {
                assert_eq!(ran.code, 5, "{ran:?}");
                let hint = format!("hint: run the command with {name} unset\n");
                assert!(ran.err.ends_with(&hint), "{ran:?}");
                assert_eq!(machine.hub.server().connections(), 0);
            }
            None => assert_eq!(ran.code, 0, "{ran:?}"),
        }
    }
}

#[test]
fn the_hint_names_where_a_wrong_url_comes_from() {
    let rack = Rack::new();
    let elsewhere = format!("{}/none", rack.server.url());
    let ran = with(&rack, ("RACK_MODELS_REGISTRY_URL", &elsewhere), "pull g/m");
    assert!(
        ran.err
            .ends_with("hint: check the URL in RACK_MODELS_REGISTRY_URL\n"),
        "{ran:?}"
    );
    let own = rack.temp.path().join("own.toml");
    std::fs::write(&own, format!("[sources.x]\nurl = \"{elsewhere}\"\n")).unwrap();
    let own = own.to_str().unwrap();
    let ran = with(&rack, ("RACK_MODELS_CONFIG", own), "pull x/g/m");
    let hint = format!("hint: check the URL in {own}: sources.x.url\n");
    assert!(ran.err.ends_with(&hint), "{ran:?}");
}

#[test]
fn a_flag_and_a_variable_are_both_named() {
    let rack = Rack::with_model();
    for (value, hint) in [
        ("", "run the command without --offline"),
        (
            "1",
            "run the command without --offline, and with RACK_MODELS_OFFLINE unset",
        ),
    ] {
        let ran = with(&rack, ("RACK_MODELS_OFFLINE", value), "pull g/m --offline");
        assert_eq!(ran.code, 5, "{ran:?}");
        assert!(ran.err.ends_with(&format!("hint: {hint}\n")), "{ran:?}");
    }
}
