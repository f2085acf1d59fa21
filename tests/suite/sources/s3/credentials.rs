//! Where keys of object stores come from.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Arc, Mutex};

use super::{KEY, key, manager_of, private, pull};
use crate::support::chain;
use crate::support::rack::{Rack, sample};
use crate::support::s3::{BUCKET, S3};
use crate::support::server::{Page, Rule, Server};

/// The answer of a service, or of a program, with the key of the tests.
fn answer(token: &str, expires: &str) -> String {
    let (id, secret) = KEY;
    format!(
        r#"{{"Version": 1, "Code": "Success", "AccessKeyId": "{id}", "SecretAccessKey": "{secret}",
             "SessionToken": "{token}", "Expiration": "{expires}"}}"#
    )
    .replace(
        "SessionToken",
        if token.is_empty() {
            "Ignored"
        } else {
            "SessionToken"
        },
    )
}

/// Long after the tests.
const LATER: &str = "2999-01-01T00:00:00Z";

/// Pulls from the bucket with these variables and files.
fn pull_with(rack: &Rack, store: &S3, variables: &[(&str, &str)]) -> modelrack::Result<()> {
    let endpoint = store.server.url();
    let toml = format!("[sources.s]\nurl = \"s3://{BUCKET}/a b\"\nendpoint = \"{endpoint}\"\n");
    let environment = variables
        .iter()
        .fold(rack.environment(), |environment, (name, value)| {
            environment.variable(name, value)
        });
    pull(&manager_of(rack, &toml, environment))
}

/// Has the store take the key with this token of a session only.
fn require_token(store: &S3, token: &str) {
    store.change(|state| state.keys[0].2 = Some(token.into()));
}

fn write(rack: &Rack, name: &str, text: &str) -> String {
    let path = rack.temp.path().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_session_has_a_token() {
    let (rack, store) = private();
    require_token(&store, "t0ken");
    let [id, secret] = key();
    pull_with(&rack, &store, &[id, secret, ("AWS_SESSION_TOKEN", "t0ken")]).unwrap();
    rack.assert_files("s/g/m v1", &sample());
}

#[test]
fn the_profile_that_the_environment_names_has_keys() {
    let (rack, store) = private();
    let (id, secret) = KEY;
    let home = rack.temp.path().join("home").join(".aws");
    fs::create_dir_all(&home).unwrap();
    let text = format!(
        "[default]\naws_access_key_id = x\naws_secret_access_key = y\n\
         [mine]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"
    );
    fs::write(home.join("credentials"), text).unwrap();
    pull_with(&rack, &store, &[("AWS_PROFILE", "mine")]).unwrap();
    assert_eq!(store.signed_and_unsigned(), (13, 0));

    let error = pull_with(&rack, &store, &[("AWS_PROFILE", "yours")]).unwrap_err();
    assert_eq!(error.code(), "CONFIG_ERROR");
    assert!(
        error
            .to_string()
            .contains(": the profile 'yours' that AWS_PROFILE names is not in ")
    );
}

#[test]
fn a_profile_that_only_the_aws_tools_can_use_says_how() {
    let (rack, store) = private();
    for (text, what) in [
        ("[default]\nsso_session = x\n", "signs in with a browser"),
        (
            "[default]\nrole_arn = arn:x\nsource_profile = y\n",
            "assumes a role",
        ),
    ] {
        let config = write(&rack, "config", text);
        let error = pull_with(&rack, &store, &[("AWS_CONFIG_FILE", &config)]).unwrap_err();
        assert_eq!(error.code(), "CONFIG_ERROR");
        let text = error.to_string();
        assert!(
            text.contains(what)
                && text.contains("aws configure export-credentials --profile default"),
            "{text}"
        );
    }
    assert_eq!(store.server.requests().len(), 0);
}

mod programs {
    use modelrack::config::System;

    use super::*;
    use crate::support::platform::SYSTEM;

    /// Pulls with a profile whose keys a script prints; returns how often it ran, too.
    fn pull_with_script(script: &str, store: &S3, rack: &Rack) -> (modelrack::Result<()>, usize) {
        let count = rack.temp.path().join("count");
        let _ = fs::remove_file(&count);
        let script = write(
            rack,
            "my script",
            &format!("echo x >> '{}'\n{script}\n", count.display()),
        );
        let config = write(
            rack,
            "config",
            &format!("[default]\ncredential_process = sh \"{script}\" a 'b c'\n"),
        );
        let path = std::env!("PATH");
        let variables = [("AWS_CONFIG_FILE", config.as_str()), ("PATH", path)];
        let pulled = pull_with(rack, store, &variables);
        let runs = fs::read_to_string(&count)
            .unwrap_or_default()
            .lines()
            .count();
        (pulled, runs)
    }

    #[test]
    fn a_program_is_asked_once_a_run_and_again_before_its_keys_expire() {
        if SYSTEM == System::Windows {
            // It has no shell to play the programs.
            return;
        }
        let (rack, store) = private();
        require_token(&store, "b-c");
        let script = format!("cat <<END\n{}\nEND", answer("${2% c}-c", LATER));
        let (pulled, runs) = pull_with_script(&script, &store, &rack);
        pulled.unwrap();
        rack.assert_files("s/g/m v1", &sample());
        assert_eq!(runs, 1);
        assert_eq!(store.signed_and_unsigned(), (13, 0));
        // Those that expire at once are asked for by every request.
        super::super::pull_anew_with(&rack, || {
            let script = format!(
                "cat <<END\n{}\nEND",
                answer("${2% c}-c", "2001-01-01T00:00:00Z")
            );
            let (pulled, runs) = pull_with_script(&script, &store, &rack);
            assert_eq!(runs, 13);
            pulled
        });
    }

    #[test]
    fn programs_that_fail_are_told_apart_and_their_output_is_not_shown() {
        if SYSTEM == System::Windows {
            // It has no shell to play the programs.
            return;
        }
        let (rack, store) = private();
        for (script, said) in [
            (
                "echo 'the session has expired: sign in' >&2; exit 255",
                "fails and says 'the session has expired: sign in'",
            ),
            ("echo s3cret", "gives no keys in the form of the AWS tools"),
            (
                "echo '{\"AccessKeyId\": \"s3cret\"}'",
                "gives no keys in the form of the AWS tools",
            ),
            ("yes s3cret", "answered with more than 65536 bytes"),
        ] {
            let (pulled, _) = pull_with_script(script, &store, &rack);
            let error = pulled.unwrap_err();
            assert_eq!(error.code(), "CONFIG_ERROR");
            let text = chain(&error);
            assert!(text.contains(said), "{script}: {text}");
            assert!(
                text.contains(": credential_process in the profile 'default' of "),
                "{text}"
            );
            assert!(!text.contains("s3cret"), "{text}");
        }
        let config = write(
            &rack,
            "config",
            "[default]\ncredential_process = /no/such program\n",
        );
        let error = pull_with(&rack, &store, &[("AWS_CONFIG_FILE", &config)]).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("names a program that is not installed"),
            "{error}"
        );
    }
}

#[test]
fn a_token_of_the_machine_s_identity_stands_for_a_role() {
    let (rack, store) = private();
    require_token(&store, "t0ken");
    let (id, secret) = KEY;
    let service = Server::start();
    let state = std::sync::Arc::new(std::sync::Mutex::new(format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{id}</AccessKeyId>\
         <SecretAccessKey>{secret}</SecretAccessKey><SessionToken>t0ken</SessionToken>\
         <Expiration>{LATER}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
         </AssumeRoleWithWebIdentityResponse>"
    )));
    service.routes(&state, |answer, request| {
        assert_eq!(request.method, "POST");
        let body = String::from_utf8(request.body.clone()).unwrap();
        assert_eq!(
            body,
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr\
             &RoleSessionName=me&WebIdentityToken=id.token%2B"
        );
        crate::support::server::Page::new(200, answer.clone().into_bytes())
    });
    let token = write(&rack, "token", "id.token+\n");
    let url = service.url();
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
        ("AWS_ROLE_SESSION_NAME", "me"),
        ("AWS_ENDPOINT_URL_STS", url.as_str()),
    ];
    pull_with(&rack, &store, &variables).unwrap();
    rack.assert_files("s/g/m v1", &sample());
    assert_eq!(service.requests().len(), 1);
    assert_eq!(store.signed_and_unsigned(), (13, 0));
}

#[test]
fn a_token_service_that_refuses_says_why() {
    let (rack, store) = private();
    let service = Server::start();
    let refusal = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>s\u{1b}o</Message></Error></ErrorResponse>";
    service.rule(Rule::any().status(400).body(refusal));
    let token = write(&rack, "token", "id.token");
    let url = service.url();
    let mut variables = vec![
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
        ("AWS_ENDPOINT_URL_STS", url.as_str()),
    ];
    let error = pull_with(&rack, &store, &variables).unwrap_err();
    let said = "a web identity token needs a role: set AWS_ROLE_ARN";
    assert!(error.to_string().ends_with(said), "{error}");
    variables.push(("AWS_ROLE_ARN", "arn:x"));
    let error = pull_with(&rack, &store, &variables).unwrap_err();
    assert_eq!(error.code(), "AUTHENTICATION_ERROR");
    let text = chain(&error);
    assert!(
        text.contains("InvalidIdentityToken: s o") && text.contains(&token),
        "{text}"
    );
    assert!(!text.contains("id.token"));
}

#[test]
fn the_service_of_a_container_is_asked_with_its_token() {
    let (rack, store) = private();
    let service = Server::start();
    service.put("/v2/credentials", answer("", LATER));
    let token = write(&rack, "token", "Bearer of the container\n");
    let url = format!("{}/v2/credentials", service.url());
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.as_str()),
    ];
    pull_with(&rack, &store, &variables).unwrap();
    let requests = service.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(
        requests[0].header("authorization"),
        Some("Bearer of the container")
    );
    // No other host is asked in the open.
    let variables = [(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "http://keys.example.org/x",
    )];
    let error = pull_with(&rack, &store, &variables).unwrap_err();
    assert_eq!(error.code(), "CONFIG_ERROR");
    let said = "AWS_CONTAINER_CREDENTIALS_FULL_URI: keys are only asked for over https, or of this machine \
        (http://keys.example.org/x)";
    assert!(error.to_string().ends_with(said), "{error}");
}

/// The metadata service of a machine, which gives these answers one after the other.
fn machine(answers: impl Into<VecDeque<String>>) -> Server {
    let machine = Server::start();
    let answers = Arc::new(Mutex::new(answers.into()));
    machine.routes(&answers, |answers, request| {
        let body = match (request.method.as_str(), request.path.as_str()) {
            ("PUT", "/latest/api/token") => Some("machine-token".to_owned()),
            _ if request.header("x-aws-ec2-metadata-token") != Some("machine-token") => {
                return Page::new(401, []);
            }
            ("GET", "/latest/meta-data/iam/security-credentials/") => Some("the-role\n".to_owned()),
            ("GET", "/latest/meta-data/iam/security-credentials/the-role") => answers.pop_front(),
            _ => None,
        };
        match body {
            Some(body) => Page::new(200, body.into_bytes()),
            None => Page::new(404, []),
        }
    });
    machine
}

#[test]
fn a_key_of_the_machine_that_a_store_calls_expired_is_renewed() {
    let (rack, store) = private();
    require_token(&store, "second");
    let machine = machine([answer("first", LATER), answer("second", LATER)]);
    let url = machine.url();
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str())];
    pull_with(&rack, &store, &variables).unwrap();
    rack.assert_files("s/g/m v1", &sample());
    assert_eq!(machine.requests().len(), 6);
}

#[test]
fn the_machine_is_asked_last_and_only_by_what_is_refused_without_a_key() {
    let (rack, store) = private();
    let machine = machine([answer("", LATER)]);
    let url = machine.url();
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str())];
    pull_with(&rack, &store, &variables).unwrap();
    rack.assert_files("s/g/m v1", &sample());
    assert_eq!(machine.requests().len(), 3);
    assert_eq!(store.signed_and_unsigned(), (13, 1));

    // A public bucket, and a machine that must not be asked, need nothing of it.
    super::pull_anew_with(&rack, || {
        store.change(|state| state.keys.clear());
        pull_with(&rack, &store, &variables)
    });
    assert_eq!(machine.requests().len(), 3);
}

#[test]
fn a_machine_without_a_metadata_service_costs_a_second() {
    let (rack, store) = private();
    let machine = Server::start();
    machine.rule(Rule::any().stall());
    let url = machine.url();
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str())];
    let error = pull_with(&rack, &store, &variables).unwrap_err();
    assert_eq!(error.code(), "AUTHENTICATION_ERROR");
    let said = format!("{error:?}");
    assert!(
        said.contains("the machine has no metadata service with a key"),
        "{said}"
    );
    assert_eq!(machine.requests().len(), 1);
}
