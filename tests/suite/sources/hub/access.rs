//! Tokens, and models that not everybody may have.

use std::fs;

use modelrack::error::AuthFailure;
use modelrack::{Environment, Error, ErrorKind, Manager, PullOptions, RemoteOptions};

use crate::sources::hub::machine::{Machine, WHISPER, whisper};
use crate::support::disk::{files_below, write_files};
use crate::support::server::Server;
use crate::support::{address, chain};

const TOKEN: &str = "hf_s3cret";

/// A machine with a private model, and a pull of it in an environment.
fn private() -> Machine {
    let (machine, repo, _) = Machine::with_whisper();
    repo.make_private(TOKEN);
    machine
}

fn failure(error: &Error) -> Option<AuthFailure> {
    match error.kind() {
        ErrorKind::Authentication { failure, .. } => Some(*failure),
        _ => None,
    }
}

#[test]
fn a_token_is_found_where_the_hub_s_own_tools_find_it() {
    type Place = fn(&Machine, Environment) -> Environment;
    let home = |machine: &Machine| machine.rack.temp.path().join("home");
    let write = |machine: &Machine, path: &str, text: &str| {
        write_files(&home(machine), &[(path, text.as_bytes())]);
    };
    let places: [(&str, Place); 5] = [
        ("the variable", |_, env| env.variable("HF_TOKEN", TOKEN)),
        ("the variable with a line end", |_, env| {
            env.variable("HF_TOKEN", format!(" {TOKEN}\r\n"))
        }),
        ("the file in the home", |_, env| env),
        ("the file of HF_HOME", |machine, env| {
            env.variable("HF_HOME", machine.rack.temp.path().join("home").join("hf"))
        }),
        ("the file that is named", |machine, env| {
            let path = machine.rack.temp.path().join("home").join("my-token");
            env.variable("HF_TOKEN_PATH", path)
        }),
    ];
    for (at, (what, place)) in places.into_iter().enumerate() {
        let machine = private();
        let text = format!("{TOKEN}\n");
        match at {
            2 => write(&machine, ".cache/huggingface/token", &text),
            3 => write(&machine, "hf/token", &text),
            4 => write(&machine, "my-token", &text),
            _ => {}
        }
        let environment = place(&machine, machine.rack.environment());
        machine
            .manager_in(environment)
            .pull(&address(WHISPER), &PullOptions::default())
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        machine
            .rack
            .assert_files("hf/openai/whisper-tiny main", &whisper());
        for request in machine.hub.server().requests() {
            let sent = request.header("authorization");
            let bearer = format!("Bearer {TOKEN}");
            let expected = (!request.path.starts_with("/cdn/")).then_some(bearer.as_str());
            assert_eq!(sent, expected, "{what}: {}", request.path);
        }
    }
}

#[test]
fn the_variable_goes_before_the_file() {
    let machine = private();
    let home = machine.rack.temp.path().join("home");
    write_files(&home, &[(".cache/huggingface/token", b"hf_another")]);
    machine
        .manager_with_token(TOKEN)
        .pull(&address(WHISPER), &PullOptions::default())
        .unwrap();
}

#[test]
fn other_sources_never_see_the_token() {
    let machine = private();
    let other = Server::start();
    let toml = format!(
        "[sources.hf]\nhub = \"{}\"\n[sources.weights]\nurl = \"{}\"\n",
        machine.hub.url(),
        other.url()
    );
    let manager = modelrack::ModelManager::builder(machine.rack.bare_config().bootstrap(toml))
        .environment(machine.rack.environment().variable("HF_TOKEN", TOKEN))
        .build();
    let options = RemoteOptions::default();
    manager
        .get_remote(&address("weights/g/m"), &options)
        .unwrap_err();
    manager.get_remote(&address(WHISPER), &options).unwrap();
    let requests = other.requests();
    assert!(!requests.is_empty());
    assert!(
        requests
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
}

#[test]
fn what_may_not_be_had_is_told_apart() {
    // Who asks, for what, and how it ends.
    let missing = "MODEL_NOT_FOUND";
    let denied = "AUTHENTICATION_ERROR";
    for (what, prepare, token, code, why) in [
        ("private, nobody", "private", None, missing, None),
        (
            "private, somebody else",
            "private",
            Some("hf_other"),
            missing,
            None,
        ),
        (
            "private, no such token",
            "private",
            Some("hf_none"),
            denied,
            Some(AuthFailure::Refused),
        ),
        (
            "gated, nobody",
            "gated",
            None,
            denied,
            Some(AuthFailure::Gated),
        ),
        (
            "gated, not let in",
            "gated",
            Some("hf_other"),
            denied,
            Some(AuthFailure::Gated),
        ),
        (
            "gated, no such token",
            "gated",
            Some("hf_none"),
            denied,
            Some(AuthFailure::Refused),
        ),
        (
            "disabled",
            "disabled",
            None,
            denied,
            Some(AuthFailure::Forbidden),
        ),
    ] {
        for explained in [false, true] {
            let (machine, repo, _) = Machine::with_whisper();
            machine.hub.token("hf_other");
            if explained {
                machine.hub.explain_refusals();
            }
            match prepare {
                "private" => repo.make_private(TOKEN),
                "gated" => repo.gate(TOKEN),
                "disabled" => repo.disable(),
                _ => {}
            }
            let manager = match token {
                Some(token) => machine.manager_with_token(token),
                None => machine.manager(),
            };
            let error = manager
                .pull(&address(WHISPER), &PullOptions::default())
                .unwrap_err();
            assert_eq!(
                (error.code(), failure(&error)),
                (code, why),
                "{what}: {error:?}"
            );
            assert!(machine.installed().is_empty());
            let said = chain(&error);
            assert!(!said.contains("hf_"), "{said}");
            assert_eq!(machine.hub.server().count("/cdn/"), 0);
        }
    }
}

#[test]
fn a_gated_model_comes_for_those_who_are_let_in() {
    let (machine, repo, _) = Machine::with_whisper();
    repo.gate_by_hand(TOKEN);
    let manager = machine.manager_with_token(TOKEN);
    manager
        .pull(&address(WHISPER), &PullOptions::default())
        .unwrap();
    machine
        .rack
        .assert_files("hf/openai/whisper-tiny main", &whisper());
    let [model] = machine.installed().try_into().unwrap();
    assert_eq!(model.metadata.to_map()["gated"], "manual");
}

#[test]
fn a_token_is_shown_nowhere() {
    let (machine, repo, _) = Machine::with_whisper();
    repo.gate("hf_reader");
    machine.hub.token(TOKEN);
    let manager = machine.manager_with_token(TOKEN);
    let error = manager
        .pull(&address(WHISPER), &PullOptions::default())
        .unwrap_err();
    let shown = format!("{error:?} {} {manager:?}", chain(&error));
    assert!(!shown.contains("s3cret"), "{shown}");
    for folder in [machine.rack.store(), machine.rack.index_cache()] {
        for (name, bytes) in files_below(&folder) {
            assert!(
                !String::from_utf8_lossy(&bytes).contains("s3cret"),
                "{name}"
            );
        }
    }
}

#[test]
fn a_token_that_is_no_token_is_no_header_of_another_name() {
    let (machine, _, _) = Machine::with_whisper();
    let manager = machine.manager_with_token("hf_a\r\nx-injected: s3cret");
    let result = manager.get_remote(&address(WHISPER), &RemoteOptions::default());
    let shown = format!("{result:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
    let requests = machine.hub.server().requests();
    assert!(
        requests
            .iter()
            .all(|request| request.header("x-injected").is_none())
    );
    // A file that is no text is no token either.
    let path = machine.rack.temp.path().join("garbage");
    fs::write(&path, [0xff, 0xfe, 0]).unwrap();
    let environment = machine.rack.environment().variable("HF_TOKEN_PATH", &path);
    let error = machine
        .manager_in(environment)
        .pull(&address(WHISPER), &PullOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), "CONFIG_ERROR");
    let shown = chain(&error);
    assert!(shown.contains(&*path.to_string_lossy()), "{shown}");
}
