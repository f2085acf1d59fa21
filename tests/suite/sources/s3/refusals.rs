//! What an object store refuses, what is learned from it, and what is said of it.

use modelrack::{Error, ErrorKind};

use super::{KEY, key, manager, private, pull};
use crate::support::chain;
use crate::support::log::logged;
use crate::support::rack::{Rack, sample};
use crate::support::s3::S3;
use crate::support::server::{Rule, Server};

fn refused(rack: &Rack, store: &S3, keys: &str, variables: &[(&str, &str)]) -> Error {
    pull(&manager(rack, store, keys, variables)).unwrap_err()
}

#[test]
fn the_region_that_a_store_tells_is_used_and_said_once() {
    let (rack, store) = private();
    store.change(|state| state.region = "eu-west-3".into());
    let (pulled, log) = logged(|| pull(&manager(&rack, &store, "", &key())));
    pulled.unwrap();
    rack.assert_files("s/g/m v1", &sample());
    // One request went to the wrong region.
    assert_eq!(store.signed_and_unsigned(), (14, 0));
    let said = "the bucket models is in the region eu-west-3 and not in us-east-1";
    assert_eq!(log.matches(said).count(), 1, "{log}");
}

#[test]
fn a_region_in_a_header_is_learned_and_one_that_is_none_is_not() {
    for (region, learns) in [("eu-west-3", true), ("evil.example/", false)] {
        let (rack, store) = private();
        let moved = Rule::any()
            .times(1)
            .status(301)
            .header("x-amz-bucket-region", region);
        store.server.rule(moved);
        store.change(|state| state.region = "eu-west-3".into());
        let pulled = pull(&manager(&rack, &store, "region = \"us-east-2\"", &key()));
        assert_eq!(pulled.is_ok(), learns);
    }
}

#[test]
fn a_clock_that_is_wrong_is_corrected_by_the_time_of_the_store() {
    for (minutes, direction) in [(20, "slow"), (-20, "fast")] {
        let (rack, store) = private();
        store.change(|state| state.minutes_ahead = minutes);
        let (pulled, log) = logged(|| pull(&manager(&rack, &store, "", &key())));
        pulled.unwrap();
        assert_eq!(store.signed_and_unsigned(), (14, 0));
        let said = format!("min {direction}: requests are signed with the time of the server");
        assert_eq!(log.matches(&said).count(), 1, "{log}");
    }
}

#[test]
fn wrong_keys_are_told_apart() {
    let (rack, store) = private();
    for (id, secret, said, origin) in [
        (
            "AKIDOTHER",
            KEY.1,
            "InvalidAccessKeyId: The AWS Access Key Id you provided",
            "the key in AWS_ACCESS_KEY_ID",
        ),
        (
            KEY.0,
            "wr0ng",
            "SignatureDoesNotMatch: The request signature we calculated",
            "the secret key wrong in AWS_SECRET_ACCESS_KEY",
        ),
    ] {
        let variables = [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)];
        let error = refused(&rack, &store, "", &variables);
        assert_eq!(error.code(), "AUTHENTICATION_ERROR");
        let text = chain(&error);
        assert!(text.contains(said) && text.contains(origin), "{text}");
        assert!(text.contains("(s3://models/a%20b/models.json)"), "{text}");
        assert!(!text.contains(secret) && !format!("{error:?}").contains("wr0ng"));
    }
}

#[test]
fn without_keys_an_error_says_where_they_were_looked_for() {
    let (rack, store) = private();
    let error = refused(&rack, &store, "", &[]);
    assert_eq!(error.code(), "AUTHENTICATION_ERROR");
    let ErrorKind::Authentication { looked_at, .. } = error.kind() else {
        panic!("{error}");
    };
    let text = format!("{} {}", looked_at.join("; "), chain(&error));
    let aws = rack.temp.path().join("home").join(".aws");
    for place in [
        "AWS_ACCESS_KEY_ID is not set".to_owned(),
        format!(
            "the profile 'default' of {}",
            aws.join("credentials").display()
        ),
        format!("the profile 'default' of {}", aws.join("config").display()),
        "AWS_WEB_IDENTITY_TOKEN_FILE".to_owned(),
        "AccessDenied: Access Denied".to_owned(),
    ] {
        assert!(text.contains(&place), "{place}: {text}");
    }
    assert_eq!(store.signed_and_unsigned(), (0, 1));
}

#[test]
fn what_is_not_there_may_be_called_forbidden() {
    let (rack, store) = private();
    store.change(|state| {
        state.may_list = false;
        state.objects.retain(|key, _| !key.ends_with("models.json"));
    });
    let error = refused(&rack, &store, "", &key());
    assert_eq!(error.code(), "AUTHENTICATION_ERROR");
    let said = "the server denies access, or the file does not exist: the server says 'AccessDenied: Access Denied'";
    assert!(chain(&error).contains(said), "{error}");
}

#[test]
fn what_is_missing_is_told_apart_from_a_bucket_that_is() {
    let (rack, store) = private();
    store.change(|state| state.has_bucket = false);
    let error = refused(&rack, &store, "", &key());
    assert_eq!(error.code(), "NETWORK_ERROR");
    let said = "NoSuchBucket: The specified bucket does not exist";
    assert!(chain(&error).contains(said), "{error}");

    store.change(|state| {
        state.has_bucket = true;
        state.objects.clear();
    });
    let error = refused(&rack, &store, "", &key());
    assert_eq!(error.code(), "NETWORK_ERROR");
    let said = "not found (s3://models/a%20b/models.json)";
    assert!(error.to_string().ends_with(said), "{error}");
}

#[test]
fn a_store_that_asks_to_slow_down_is_asked_again() {
    let (rack, store) = private();
    let slow =
        "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
    store
        .server
        .rule(Rule::any().times(2).status(503).body(slow));
    pull(&manager(&rack, &store, "", &key())).unwrap();
    rack.assert_files("s/g/m v1", &sample());

    let (rack, store) = private();
    store.server.rule(Rule::any().status(503).body(slow));
    let error = refused(&rack, &store, "", &key());
    assert_eq!(error.code(), "NETWORK_ERROR");
    assert!(
        chain(&error).contains("SlowDown: Please reduce your request rate"),
        "{error}"
    );
}

#[test]
fn keys_that_have_expired_are_refused_whatever_the_status() {
    for code in ["ExpiredToken", "InvalidToken"] {
        let (rack, store) = private();
        let body = format!("<Error><Code>{code}</Code><Message>It is over</Message></Error>");
        store.server.rule(Rule::any().status(400).body(body));
        let error = refused(&rack, &store, "", &key());
        assert_eq!(error.code(), "AUTHENTICATION_ERROR");
        let said =
            format!("refuses the key in AWS_ACCESS_KEY_ID: the server says '{code}: It is over'");
        assert!(chain(&error).contains(&said), "{error}");
    }
}

#[test]
fn errors_that_are_no_xml_are_errors_all_the_same() {
    for body in [
        "",
        "<Error><Code>",
        "<html><body>portal</body></html>",
        "\u{1b}[31m",
        "<a>&b;</a>",
    ] {
        let (rack, store) = private();
        store.server.rule(Rule::any().status(400).body(body));
        let error = refused(&rack, &store, "", &key());
        assert_eq!(error.code(), "NETWORK_ERROR", "{body}");
        assert!(!chain(&error).contains('\u{1b}'));
    }
}

#[test]
fn nothing_is_signed_for_another_host() {
    let (rack, store) = private();
    let other = Server::start().folder(rack.registry());
    let to = |path: &str| format!("{}/{path}", other.localhost_url());
    store
        .server
        .rule(Rule::path_ends("/models.json").redirect(307, &to("models.json")));
    pull(&manager(&rack, &store, "", &key())).unwrap();
    let requests = other.requests();
    assert_eq!(requests.len(), 1);
    for (name, _) in &requests[0].headers {
        assert!(
            name != "authorization" && !name.starts_with("x-amz-"),
            "{name}"
        );
    }
    // Nor for another bucket.
    store.server.clear_rules();
    store
        .server
        .rule(Rule::path_ends("/models.json").redirect(307, "s3://other/models.json"));
    std::fs::remove_dir_all(rack.index_cache()).unwrap();
    std::fs::remove_dir_all(rack.store()).unwrap();
    assert_eq!(refused(&rack, &store, "", &key()).code(), "NETWORK_ERROR");
}
